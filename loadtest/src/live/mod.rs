//! `stance-loadtest live`: how soon many subscribers are told of one recording, and what they cost.

mod subscriber;

use crate::client::{Client, Uploaded};
use crate::measure::{CARE_PROVIDER, EMAIL, PASSWORD, PERSON, Timings, recording};
use crate::program::{Program, cost};
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subscriber::{Told, subscribe};
use tokio::sync::mpsc::{Receiver, channel};

const PATIENT: &str = "measured";
/// Subscribers that connect at once.
const AT_ONCE: usize = 32;
/// Longest wait for all subscribers to be told.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest live --program target/release/stance --folder ./measure-data\n\nHalf of the subscribers watch the patient, half all patients of their care provider."
)]
pub struct Options {
    /// The program, built for release.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Folder for the program's data folder.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data")]
    folder: PathBuf,
    /// Subscribers, each with a connection of its own.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    subscribers: u32,
    /// Recordings that are scored, one after the other.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    recordings: u32,
    /// Samples of each recording.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(600..=60_000))]
    samples: u32,
}

/// Measures, and prints a table.
///
/// # Errors
/// The program does not start or refuses what it is sent, or a subscriber is not told.
pub async fn run(options: Options) -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let folder = options.folder.join("live");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let most = options.subscribers.to_string();
    let settings =
        [("STANCE__LIVE__MAX_CONNECTIONS", most.clone()), ("STANCE__LIVE__MAX_CONNECTIONS_PER_ACCOUNT", most)];
    let program = Program::start_with(&options.program, &folder, "127.0.0.1:0", &settings).await?;
    program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
    let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
    client.adopt(CARE_PROVIDER, PATIENT, "Measured", "Patient").await?;
    let pid = program.pid().context("the program has ended")?;
    for seed in 0..10 {
        let scored = recording(options.samples, PERSON, seed, PATIENT).scored_by_clinician();
        settled(&client, scored.to_json()).await?;
    }
    // The first score: there is a model, and it is loaded.
    settled(&client, recording(options.samples, PERSON, 10, PATIENT).to_json()).await?;

    let before = cost::resident_bytes(pid)?;
    let (sender, mut told) = channel(4 * options.subscribers as usize);
    let begun = Instant::now();
    stream::iter(0..options.subscribers)
        .map(|n| subscribe(&client, scope(n), sender.clone()))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let connected = begun.elapsed();
    await_subscriptions(&client, options.subscribers).await?;
    let open = cost::resident_bytes(pid)?;

    let mut rounds = Rounds::new()?;
    let (cpu, statements) = (cost::cpu_time(pid)?, statements(&client).await?);
    for seed in 0..options.recordings {
        rounds.one(&options, &client, u64::from(seed), &mut told).await?;
    }
    let cpu = cost::cpu_time(pid)?.saturating_sub(cpu) / options.recordings;
    let statements = (self::statements(&client).await? - statements) / f64::from(options.recordings);
    let after = cost::resident_bytes(pid)?;
    program.stop().await?;
    std::fs::remove_dir_all(&folder)?;

    let each = after.saturating_sub(before) as f64 / f64::from(options.subscribers) / 1e3;
    let mut table = Table::new();
    table.set_header([&format!("{} subscribers, one score", options.subscribers), "p50", "p99", "max"]);
    for (name, timings) in [
        ("change of the row → first receipt", &rounds.first),
        ("change of the row → last receipt", &rounds.last),
        ("first byte of the upload → last receipt", &rounds.whole),
    ] {
        table.add_row([name.to_owned(), timings.quantile(0.5), timings.quantile(0.99), timings.quantile(1.0)]);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    writeln!(out, "connected in {:.2} s", connected.as_secs_f64())?;
    writeln!(
        out,
        "memory: {:.1} MB before, {:.1} MB connected, {:.1} MB after {} recordings ({each:.1} kB a subscriber)",
        before as f64 / 1e6,
        open as f64 / 1e6,
        after as f64 / 1e6,
        options.recordings,
    )?;
    writeln!(out, "a recording: {:.1} ms of processor, {statements:.1} statements", cpu.as_secs_f64() * 1e3)?;
    Ok(out.flush()?)
}

/// Half watch the patient, half all patients.
fn scope(n: u32) -> String {
    if n.is_multiple_of(2) {
        format!("recordingUpdated(patient_id: \"{PATIENT}\")")
    } else {
        format!("recordingUpdatedForCareprovider(care_provider_id: \"{CARE_PROVIDER}\")")
    }
}

/// Uploads, and waits until nothing is to come.
async fn settled(client: &Client, document: String) -> anyhow::Result<()> {
    match client.upload(document, Some(30)).await? {
        Uploaded::Accepted(state) if state.is_final() || state.status == "awaiting_model" => Ok(()),
        Uploaded::Accepted(state) => bail!("a recording is {} after 30 s", state.status),
        Uploaded::Busy => bail!("the server is busy"),
    }
}

async fn metric(client: &Client, name: &str) -> anyhow::Result<f64> {
    let text = client.metrics().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("there is no {name}"))?;
    Ok(line.trim().parse()?)
}

async fn statements(client: &Client) -> anyhow::Result<f64> {
    metric(client, "stance_database_statements_total").await
}

async fn await_subscriptions(client: &Client, wanted: u32) -> anyhow::Result<()> {
    let begun = Instant::now();
    while metric(client, "stance_live_subscriptions").await? < f64::from(wanted) {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "not all subscriptions began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

struct Rounds {
    first: Timings,
    last: Timings,
    whole: Timings,
}

impl Rounds {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { first: Timings::new()?, last: Timings::new()?, whole: Timings::new()? })
    }

    /// Uploads one and waits until every subscriber has its score.
    async fn one(
        &mut self,
        options: &Options,
        client: &Client,
        seed: u64,
        told: &mut Receiver<Told>,
    ) -> anyhow::Result<()> {
        let document = recording(options.samples, PERSON, 100 + seed, PATIENT);
        let (id, body) = (document.test_event_id().to_string(), document.to_json());
        let begun: DateTime<Utc> = now();
        let Uploaded::Accepted(_) = client.upload(body, None).await? else { bail!("the server is busy") };
        let (mut first, mut last): (Option<Told>, Option<Told>) = (None, None);
        let mut missing = options.subscribers;
        while missing > 0 {
            let next = tokio::time::timeout(PATIENCE, told.recv()).await;
            let next = next.ok().flatten().with_context(|| format!("{missing} subscribers were not told"))?;
            if next.test_event_id != id || next.status != "scored" {
                continue;
            }
            missing -= 1;
            first.get_or_insert_with(|| next.clone());
            last = Some(next);
        }
        let since = |from: DateTime<Utc>, at: DateTime<Utc>| (at - from).to_std().unwrap_or_default();
        if let (Some(first), Some(last)) = (first, last) {
            self.first.add(since(first.changed, first.at));
            self.last.add(since(last.changed, last.at));
            self.whole.add(since(begun, last.at));
        }
        Ok(())
    }
}

/// The machine's clock, which the program reads too.
#[expect(clippy::disallowed_methods, reason = "what is measured lies between two processes")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
