//! `stance-loadtest demo`: a clinic to look at, made through the server's public surface.

mod clinic;
mod overview;

use crate::client::Client;
use crate::program::Program;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// The demo's care provider.
const EMAIL: &str = "clinic@example.org";
const PASSWORD: &str = "demo-clinic-2026";
const CARE_PROVIDER: &str = "demo-clinic";

/// What to start, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest demo --program target/release/stance --data-dir ./stance-data --bind 127.0.0.1:8080"
)]
pub struct Options {
    /// The program.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Its data folder; an empty one is filled with the demo clinic.
    #[arg(long, value_name = "FOLDER", default_value = "./stance-data")]
    data_dir: PathBuf,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: String,
    /// Scored recordings of each patient.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    scored: u64,
    /// Samples of each recording.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(600..=60_000))]
    samples: u32,
    /// Stop when the clinic stands there, instead of serving on.
    #[arg(long)]
    exit_when_ready: bool,
}

/// Starts the program, fills the clinic, shows it, and serves until told to stop.
///
/// # Errors
/// The program does not start, or the clinic cannot be made.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // From the start on: a signal while the clinic is filled stops the program in order, too.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let fresh = !options.data_dir.join("stance.db").exists();
    let mut program = Program::start(&options.program, &options.data_dir, &options.bind).await?;
    say(&format!("Stance is ready on {} after {} ms.", program.url(), program.ready_after().as_millis()))?;
    let stopped = tokio::select! {
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
        opened = open(&program, &options, fresh) => { opened?; options.exit_when_ready }
    };
    if !stopped {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            status = program.ended() => anyhow::bail!("the program ended ({})", status?),
        }
    }
    say("Stopping: what is under way is finished first.")?;
    program.stop().await
}

/// Fills the clinic where the data folder was empty, and shows it.
async fn open(program: &Program, options: &Options, fresh: bool) -> anyhow::Result<()> {
    if fresh {
        program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
    }
    let Ok(client) = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await else {
        say("This data folder has no demo clinic, and nothing was added to it. For the demo take an empty folder:\n\
             make run DATA_DIR=./demo-data")?;
        return Ok(());
    };
    clinic::fill(&client, options.scored, options.samples as usize).await?;
    say(&overview::of_patients(&client).await?.to_string())?;
    let url = program.url();
    say(&format!(
        "Look at   {url}/graphiql   (query page; its first tab holds an example)\n\
         \x20         {url}/metrics    (Prometheus)\n\
         \x20         {url}/healthz\n\
         Sign in   as {EMAIL} with the password {PASSWORD}\n\
         Data in   {}\n\
         Ctrl-C stops it; a second start keeps what is there.",
        options.data_dir.display()
    ))
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
