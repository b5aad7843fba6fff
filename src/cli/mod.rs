//! The command line: a file a command. Errors go to standard error as one clear line and a non-zero exit.

mod admin;
mod audit;
mod compact;
mod config;
mod evaluate;
mod files;
mod import;
mod migrate;
mod model_server;
mod models;
mod open;
mod password;
mod query;
mod serve;
mod train;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "stance",
    version,
    about = "Turns movement recordings from a phone into scores in front of a care provider"
)]
struct CommandLine {
    /// Configuration file (TOML). Environment variables such as STANCE__HTTP__BIND override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    Serve(serve::Options),
    /// Serves models by the container contract of Amazon SageMaker: one model or many.
    ModelServer(model_server::Options),
    /// Trains one model by the same contract, from recordings under /opt/ml.
    Train(train::Options),
    /// Brings the database to this version's schema.
    #[command(after_help = "Example:\n  STANCE__DATABASE__URL=postgres://stance@db/stance stance migrate")]
    Migrate,
    /// Sends recordings from files or folders to a server, or takes in those of the bucket.
    Import(import::Options),
    /// Asks the lake in SQL.
    Query(query::Options),
    /// Measures how good models are on recordings that they did not see.
    Evaluate(evaluate::Options),
    /// Compacts the lake now.
    #[command(after_help = "Example:\n  stance compact")]
    Compact,
    /// Looks after accounts and jobs that were given up.
    Admin(admin::Options),
    /// Checks or prints the configuration.
    Config(config::Options),
}

/// Runs the command that the command line names.
#[must_use]
pub fn run() -> ExitCode {
    let CommandLine { config, command } = CommandLine::parse();
    let file = config.as_deref();
    let result = match command {
        Command::Serve(options) => serve::run(file, &options),
        Command::ModelServer(options) => model_server::run(&options),
        Command::Train(options) => train::run(&options),
        Command::Migrate => migrate::run(file),
        Command::Import(options) => import::run(file, options),
        Command::Query(options) => query::run(file, options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Compact => compact::run(file),
        Command::Admin(options) => admin::run(file, options),
        Command::Config(options) => config::run(file, &options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the command line's way to say what went wrong")]
            {
                eprintln!("stance: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
