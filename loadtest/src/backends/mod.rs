//! `stance-loadtest backends`: the same recordings through SQLite, PostgreSQL, and PostgreSQL with two processes, over a
//! database that holds few or many already.

mod filler;

use crate::client::{Client, Uploaded};
use crate::measure::{CARE_PROVIDER, EMAIL, PASSWORD, PERSON, Template, Timings, recording};
use crate::program::{Program, cost};
use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PATIENT: &str = "measured";
/// Sent before anything is timed.
const WARM_UP: usize = 48;

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest backends --program target/release/stance --postgres postgres://postgres@127.0.0.1:5432/postgres --folder ./measure-data\n\nDatabases named stance_measure_… are made in that cluster and dropped afterwards."
)]
pub struct Options {
    /// The program, built for release.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A PostgreSQL cluster, as a user who may make databases.
    #[arg(long, value_name = "URL")]
    postgres: String,
    /// Folder for the data folders of the programs.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data")]
    folder: PathBuf,
    /// Samples of each recording.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(600..=60_000))]
    samples: u32,
    /// Recordings of each measurement.
    #[arg(long, default_value_t = 600)]
    recordings: usize,
    /// Uploads at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Recordings that the database holds already.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 1_000_000])]
    rows: Vec<i64>,
    /// Rounds; the setups take turns in each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    Sqlite,
    Postgres { processes: usize },
}

const SETUPS: [Setup; 3] = [Setup::Sqlite, Setup::Postgres { processes: 1 }, Setup::Postgres { processes: 2 }];

impl Setup {
    fn name(self) -> String {
        match self {
            Self::Sqlite => "SQLite".to_owned(),
            Self::Postgres { processes: 1 } => "PostgreSQL, one process".to_owned(),
            Self::Postgres { processes } => format!("PostgreSQL, {processes} processes"),
        }
    }
}

/// Measures, and prints a row a setup and number of rows.
///
/// # Errors
/// A program does not start or refuses what it is sent; the cluster does not answer.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.set_header([
        "rows",
        "setup",
        "recordings/s (median of rounds)",
        "lowest to highest",
        "CPU a recording",
        "statements a recording",
        "POST p50 at half",
        "p99",
    ]);
    for rows in &options.rows {
        let mut stages = Vec::new();
        for setup in SETUPS {
            stages.push(Stage::build(&options, setup, *rows).await?);
        }
        for _ in 0..options.rounds {
            for stage in &mut stages {
                stage.round(&options).await?;
            }
        }
        for stage in stages {
            table.add_row(stage.finish(&options, *rows).await?);
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    Ok(out.flush()?)
}

/// A setup under measurement.
struct Stage {
    setup: Setup,
    database: Option<(PgPool, String)>,
    folder: PathBuf,
    programs: Vec<Program>,
    clients: Vec<Client>,
    documents: Vec<Template>,
    next: usize,
    rates: Vec<f64>,
    cpu: Duration,
    statements: f64,
    sent: usize,
}

impl Stage {
    async fn build(options: &Options, setup: Setup, rows: i64) -> anyhow::Result<Self> {
        let name = match setup {
            Setup::Sqlite => "sqlite".to_owned(),
            Setup::Postgres { processes } => format!("postgres_{processes}"),
        };
        let folder = options.folder.join(&name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let objects = format!("file://{}", folder.canonicalize()?.join("objects").display());
        let mut settings = vec![("STANCE__OBJECTS__URL", objects)];
        let (mut database, mut processes) = (None, 1);
        if let Setup::Postgres { processes: wanted } = setup {
            let admin = PgPool::connect(&options.postgres).await.context("the cluster does not answer")?;
            let name = format!("stance_measure_{name}");
            // A name of a database cannot be a parameter; this one is made of constants and a number.
            for command in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
                sqlx::query(sqlx::AssertSqlSafe(format!("{command} {name}"))).execute(&admin).await?;
            }
            let url: PgConnectOptions = options.postgres.parse()?;
            settings
                .push(("STANCE__DATABASE__URL", sqlx::ConnectOptions::to_url_lossy(&url.database(&name)).to_string()));
            database = Some((admin, name));
            processes = wanted;
        }
        let mut programs = Vec::new();
        for process in 0..processes {
            let data = folder.join(format!("process-{process}"));
            programs.push(Program::start_with(&options.program, &data, "127.0.0.1:0", &settings).await?);
        }
        let first = programs.first().context("no process")?;
        first.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
        fill(&database, &options.postgres, &folder, rows).await?;
        let mut clients = Vec::new();
        for program in &programs {
            clients.push(Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?);
        }
        let client = clients.first().context("no process")?;
        client.adopt(CARE_PROVIDER, PATIENT, "Measured", "Patient").await?;
        let record = |seed| recording(options.samples, PERSON, seed, PATIENT);
        for seed in 0..10 {
            let uploaded = client.upload(record(seed).scored_by_clinician().to_json(), Some(30)).await?;
            anyhow::ensure!(matches!(uploaded, Uploaded::Accepted(_)), "the server is busy");
        }
        let documents = (100..116).map(|seed| Template::of(&record(seed))).collect();
        let mut stage = Self {
            setup,
            database,
            folder,
            programs,
            clients,
            documents,
            next: 0,
            rates: Vec::new(),
            cpu: Duration::ZERO,
            statements: 0.0,
            sent: 0,
        };
        stage.send(WARM_UP, options.at_once).await?;
        Ok(stage)
    }

    /// Sends that many and waits for their scores.
    async fn send(&mut self, recordings: usize, at_once: usize) -> anyhow::Result<()> {
        let turn = AtomicUsize::new(0);
        let numbers = self.next..self.next + recordings;
        stream::iter(numbers.zip(self.documents.iter().cycle()))
            .map(Ok::<_, anyhow::Error>)
            .try_for_each_concurrent(at_once, |(number, document)| {
                let client = self.clients.get(turn.fetch_add(1, Ordering::Relaxed) % self.clients.len());
                async move {
                    let client = client.context("no process")?;
                    loop {
                        match client.upload(document.under_new_id(number), Some(30)).await? {
                            Uploaded::Accepted(state) if state.status == "scored" => return Ok(()),
                            Uploaded::Accepted(state) => anyhow::bail!("a recording is {}", state.status),
                            Uploaded::Busy => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                    }
                }
            })
            .await?;
        self.next += recordings;
        Ok(())
    }

    async fn round(&mut self, options: &Options) -> anyhow::Result<()> {
        let (cpu, statements) = (self.cpu_time()?, self.statements_sent().await?);
        let begun = Instant::now();
        self.send(options.recordings, options.at_once).await?;
        self.rates.push(options.recordings as f64 / begun.elapsed().as_secs_f64());
        self.cpu += self.cpu_time()?.saturating_sub(cpu);
        self.statements += self.statements_sent().await? - statements;
        self.sent += options.recordings;
        Ok(())
    }

    /// Posts at half of the rate that was reached, on a clock, whatever the answers take; then stops everything.
    async fn finish(mut self, options: &Options, rows: i64) -> anyhow::Result<Vec<String>> {
        self.rates.sort_by(f64::total_cmp);
        let rate = self.rates.get(self.rates.len() / 2).copied().unwrap_or(1.0);
        let timings = Mutex::new(Timings::new()?);
        let begun = Instant::now();
        let numbers = self.next..self.next + options.recordings;
        stream::iter(numbers.zip(self.documents.iter().cycle()).enumerate())
            .map(Ok::<_, anyhow::Error>)
            .try_for_each_concurrent(256, |(place, (number, document))| {
                let (timings, client) = (&timings, self.clients.get(place % self.clients.len()));
                async move {
                    let due = begun + Duration::from_secs_f64(place as f64 / (rate / 2.0));
                    tokio::time::sleep_until(due.into()).await;
                    let uploaded = client.context("no process")?.upload(document.under_new_id(number), None).await?;
                    anyhow::ensure!(matches!(uploaded, Uploaded::Accepted(_)), "busy at half of the load");
                    if let Ok(mut timings) = timings.lock() {
                        timings.add(due.elapsed());
                    }
                    Ok(())
                }
            })
            .await?;
        let timings = timings.into_inner().map_err(|_| anyhow::anyhow!("a task panicked"))?;
        let sent = self.sent.max(1);
        let [lowest, highest] = [self.rates.first(), self.rates.last()].map(|rate| rate.copied().unwrap_or_default());
        let row = vec![
            rows.to_string(),
            self.setup.name(),
            format!("{rate:.1}"),
            format!("{lowest:.1} to {highest:.1}"),
            format!("{:.1} ms", self.cpu.as_secs_f64() * 1e3 / sent as f64),
            format!("{:.1}", self.statements / sent as f64),
            timings.quantile(0.5),
            timings.quantile(0.99),
        ];
        for program in self.programs {
            program.stop().await?;
        }
        if let Some((admin, name)) = self.database {
            sqlx::query(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&admin).await?;
        }
        std::fs::remove_dir_all(&self.folder)?;
        Ok(row)
    }

    fn cpu_time(&self) -> anyhow::Result<Duration> {
        self.programs.iter().filter_map(Program::pid).map(cost::cpu_time).sum()
    }

    async fn statements_sent(&self) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for client in &self.clients {
            let text = client.metrics().await?;
            let line = text.lines().find_map(|line| line.strip_prefix("stance_database_statements_total "));
            sum += line.context("the metric is not there")?.parse::<f64>()?;
        }
        Ok(sum)
    }
}

async fn fill(
    database: &Option<(PgPool, String)>,
    url: &str,
    folder: &std::path::Path,
    rows: i64,
) -> anyhow::Result<()> {
    match database {
        Some((_, name)) => {
            let options: PgConnectOptions = url.parse()?;
            let pool = PgPool::connect_with(options.database(name)).await?;
            filler::postgres(&pool, rows).await?;
            pool.close().await;
        }
        None => {
            let options = SqliteConnectOptions::new().filename(folder.join("process-0/stance.db"));
            let pool = SqlitePool::connect_with(options.busy_timeout(Duration::from_secs(60))).await?;
            filler::sqlite(&pool, rows).await?;
            pool.close().await;
        }
    }
    Ok(())
}
