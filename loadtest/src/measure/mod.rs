//! `stance-loadtest measure`: what a whole program costs, seen from outside: started in folders of its own, spoken to
//! over HTTP, weighed through `/proc`.

mod axis;
mod learning;
mod slow;
mod template;
mod throughput;

pub(crate) use template::Template;

use crate::client::Client;
use crate::generator::{Exercise, GeneratedRecording, Person};
use crate::program::{Program, cost};
use clap::Args;
use comfy_table::Table;
use hdrhistogram::Histogram;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const EMAIL: &str = "measure@example.org";
pub(crate) const PASSWORD: &str = "measure-it-twice";
pub(crate) const CARE_PROVIDER: &str = "measure";
/// The person recorded again and again; none of those whose learning is timed.
pub(crate) const PERSON: u64 = 1_000_007;

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest measure --program target/release/stance --folder ./measure-data\n\nThe folder should be on the disk whose speed is meant; what is measured in it is removed afterwards."
)]
pub struct Options {
    /// The program, built for release.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Folder for the data folders of the program.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data")]
    folder: PathBuf,
    /// Samples of each recording.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(600..=60_000))]
    samples: u32,
    /// Recordings at each level of concurrency.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    recordings: u32,
    /// Slow uploads at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    slow: u32,
    /// Patients whose tenth recording is timed.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    patients: u64,
}

/// Measures, and prints a table a subject.
///
/// # Errors
/// The program does not start or refuses what it is sent.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // An open upload has a socket.
    rlimit::increase_nofile_limit(u64::MAX)?;
    std::fs::create_dir_all(&options.folder)?;
    starting(&options).await?;
    let bench = Bench::start(&options, "work").await?;
    learning::measure(&bench, &options).await?;
    axis::measure(&bench, &options).await?;
    throughput::measure(&bench, &options).await?;
    bench.stop().await?;
    slow::measure(&options).await?;
    std::fs::remove_dir_all(&options.folder)?;
    Ok(())
}

/// A program in a folder of its own, and a care provider signed in.
struct Bench {
    program: Program,
    client: Client,
    pid: u32,
}

impl Bench {
    async fn start(options: &Options, name: &str) -> anyhow::Result<Self> {
        let folder = options.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let program = Program::start(&options.program, &folder, "127.0.0.1:0").await?;
        program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
        let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
        let pid = program.pid().ok_or_else(|| anyhow::anyhow!("the program has ended"))?;
        Ok(Self { program, client, pid })
    }

    async fn patient(&self, name: &str) -> anyhow::Result<()> {
        self.client.adopt(CARE_PROVIDER, name, "Measured", "Patient").await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await
    }
}

/// A made recording of the person with this number, quality drawn from the seed.
pub(crate) fn recording(samples: u32, person: u64, seed: u64, patient: &str) -> GeneratedRecording {
    let quality = 0.1 + 0.085 * (seed % 11) as f64;
    Exercise::sit_to_stand()
        .samples(samples as usize)
        .record(&Person::from_seed(person), quality, seed)
        .of_patient(patient)
}

/// How soon the program is ready, on an empty folder and on one that is there, and what it weighs when idle.
async fn starting(options: &Options) -> anyhow::Result<()> {
    let (mut first, mut again, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..5 {
        let folder = options.folder.join(format!("start-{round}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        for ready in [&mut first, &mut again] {
            let program = Program::start(&options.program, &folder, "127.0.0.1:0").await?;
            ready.push(program.ready_after());
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(pid) = program.pid() {
                idle.push(cost::resident_bytes(pid)?);
            }
            program.stop().await?;
        }
    }
    idle.sort_unstable();
    let idle = idle.get(idle.len() / 2).copied().unwrap_or_default();
    let mut table = Table::new();
    table.set_header(["start", "median of 5", "slowest"]);
    for (name, mut times) in [("ready, empty folder", first), ("ready, folder there", again)] {
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or_default();
        table.add_row([name.to_owned(), millis(middle), millis(times.last().copied().unwrap_or_default())]);
    }
    table.add_row(["memory idle, 1 s after the start".to_owned(), megabytes(idle), String::new()]);
    print(&table)
}

/// Durations, to a thousandth.
pub(crate) struct Timings(Histogram<u64>);

impl Timings {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 3)?))
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn quantile(&self, quantile: f64) -> String {
        millis(Duration::from_micros(self.0.value_at_quantile(quantile)))
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn print(table: &Table) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{table}\n")?;
    Ok(out.flush()?)
}
