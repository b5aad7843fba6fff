//! The command line of the load tester.

use clap::{Parser, Subcommand};
use stance_loadtest::{backends, demo, generate, lake, live, measure, pages, peers};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "stance-loadtest",
    version,
    about = "Makes realistic movement recordings, fills a demo clinic, and measures Stance"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the program and fills an empty data folder with a demo clinic.
    Demo(demo::Options),
    /// Writes made recordings as files.
    Generate(generate::Options),
    /// Starts the program in folders of its own and measures it.
    Measure(measure::Options),
    /// Compares SQLite, PostgreSQL and two processes, over few and many rows.
    Backends(backends::Options),
    /// Compares a patient's page with a bare handler's and PostGraphile's, over PostgreSQL.
    Pages(pages::Options),
    /// Compares queries over the lake with DuckDB's over the same files.
    Lake(lake::Options),
    /// Compares the inference server with MLServer, and training with scikit-learn.
    Peers(peers::Options),
    /// Measures live updates with many subscribers.
    Live(live::Options),
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match command {
                    Command::Demo(options) => demo::run(options).await,
                    Command::Generate(options) => generate::run(&options),
                    Command::Measure(options) => measure::run(options).await,
                    Command::Backends(options) => backends::run(options).await,
                    Command::Pages(options) => pages::run(options).await,
                    Command::Lake(options) => lake::run(options).await,
                    Command::Peers(options) => peers::run(options).await,
                    Command::Live(options) => live::run(options).await,
                }
            })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the command line's way to say what went wrong")]
            {
                eprintln!("stance-loadtest: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
