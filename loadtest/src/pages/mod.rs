//! `stance-loadtest pages`: a patient's page (profile, the latest 50 events, weekly averages) in one GraphQL request of
//! Stance, from a bare actix handler that runs the same SQL, and from PostGraphile, over the same PostgreSQL.

mod bare;
mod postgraphile;

use crate::client::Client;
use crate::measure::{CARE_PROVIDER, EMAIL, PASSWORD, Timings};
use crate::program::Program;
use anyhow::Context;
use bare::Bare;
use clap::Args;
use comfy_table::Table;
use futures_util::future::try_join_all;
use postgraphile::Postgraphile;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const DATABASE: &str = "stance_measure_pages";
/// Patients who have events, and how many each.
const PATIENTS: i64 = 200;
const EVENTS: i64 = 500;

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest pages --program target/release/stance --postgres postgres://postgres@127.0.0.1:5432/postgres --postgraphile ./measure-data/postgraphile\n\nA database named stance_measure_pages is made in that cluster and dropped afterwards."
)]
pub struct Options {
    /// The program, built for release.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A PostgreSQL cluster, as a user who may make databases.
    #[arg(long, value_name = "URL")]
    postgres: String,
    /// Folder in which `npm install node@22 postgraphile@5` was run; without it PostGraphile is left out.
    #[arg(long, value_name = "FOLDER")]
    postgraphile: Option<PathBuf>,
    /// Folder for the program's data.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data/pages")]
    folder: PathBuf,
    /// Requests at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Rounds; the servers take turns in each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// A server under measurement: where to send what.
struct Server {
    name: &'static str,
    url: String,
    token: String,
    body: fn(&str) -> Value,
    /// Whether the answer holds 50 events.
    whole: fn(&Value) -> bool,
    rates: Vec<f64>,
    timings: Timings,
}

fn stance_body(patient: &str) -> Value {
    let query = "query($p: String!) {
        getPatientById(patient_id: $p) { patient_id first_name last_name email privacy_consent_date }
        listTestEvents(patient_id: $p, first: 50) { has_next end_cursor nodes {
            test_event_id test_type balance_score doctor_score notes start_time end_time } }
        getScoreAverages(patient_id: $p, period: week) { movement start mean scores change } }";
    json!({ "query": query, "variables": { "p": patient } })
}

fn events_at(answer: &Value, pointer: &str) -> bool {
    answer.pointer(pointer).and_then(Value::as_array).is_some_and(|events| events.len() == 50)
}

/// Measures, and prints a row a server.
///
/// # Errors
/// A server does not start or gives no whole page; the cluster does not answer.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let admin = PgPool::connect(&options.postgres).await.context("the cluster does not answer")?;
    // A name of a database cannot be a parameter; this one is a constant.
    for command in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("{command} {DATABASE}"))).execute(&admin).await?;
    }
    let database: PgConnectOptions = options.postgres.parse::<PgConnectOptions>()?.database(DATABASE);
    let url = sqlx::ConnectOptions::to_url_lossy(&database).to_string();
    if options.folder.exists() {
        std::fs::remove_dir_all(&options.folder)?;
    }
    std::fs::create_dir_all(&options.folder)?;
    let settings = [("STANCE__DATABASE__URL", url.clone()), ("STANCE__AUTH__ACCESS_TOKEN_SECONDS", "3600".to_owned())];
    let program = Program::start_with(&options.program, &options.folder, "127.0.0.1:0", &settings).await?;
    program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
    fill(&database).await?;
    let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
    let bare = Bare::start(&database).await?;
    let mut servers = vec![
        Server {
            name: "bare actix handler",
            url: bare.url(),
            token: String::new(),
            body: |patient| json!({ "patient": patient }),
            whole: |answer| events_at(answer, "/events"),
            rates: Vec::new(),
            timings: Timings::new()?,
        },
        Server {
            name: "Stance",
            url: client.at("/graphql"),
            token: client.token().to_owned(),
            body: stance_body,
            whole: |answer| events_at(answer, "/data/listTestEvents/nodes"),
            rates: Vec::new(),
            timings: Timings::new()?,
        },
    ];
    let peer = match &options.postgraphile {
        None => None,
        Some(folder) => Some(Postgraphile::start(folder, &url).await?),
    };
    if let Some(peer) = &peer {
        servers.push(Server {
            name: "PostGraphile",
            url: peer.url(),
            token: String::new(),
            body: postgraphile::body,
            whole: |answer| events_at(answer, "/data/allTestEvents/nodes"),
            rates: Vec::new(),
            timings: Timings::new()?,
        });
    }
    let http = reqwest::Client::new();
    for server in &mut servers {
        server.round(&http, &options, Duration::from_secs(2)).await?;
        server.rates.clear();
        server.timings = Timings::new()?;
    }
    for _ in 0..options.rounds {
        for server in &mut servers {
            server.round(&http, &options, Duration::from_secs(options.seconds)).await?;
        }
    }
    let mut table = Table::new();
    table.set_header(["server", "pages a second (median)", "lowest to highest", "p50", "p99"]);
    for server in &mut servers {
        table.add_row(server.row());
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    out.flush()?;
    drop(peer);
    bare.stop().await;
    program.stop().await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("DROP DATABASE {DATABASE} WITH (FORCE)"))).execute(&admin).await?;
    Ok(std::fs::remove_dir_all(&options.folder)?)
}

impl Server {
    /// Asks for pages for so long, that many at once.
    async fn round(&mut self, http: &reqwest::Client, options: &Options, time: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let this = &*self;
        let loops = (0..options.at_once).map(|number| async move {
            let mut times = Vec::new();
            let mut patient = number as i64;
            while begun.elapsed() < time {
                patient = (patient + 7) % PATIENTS;
                let mut request = http.post(&this.url).json(&(this.body)(&format!("page-{patient}")));
                if !this.token.is_empty() {
                    request = request.bearer_auth(&this.token);
                }
                let sent = Instant::now();
                let answer = request.send().await?.bytes().await?;
                times.push(sent.elapsed());
                // Reading every answer would measure the client.
                if times.len() % 64 == 1 {
                    let answer: Value = serde_json::from_slice(&answer)?;
                    anyhow::ensure!((this.whole)(&answer), "{}: no whole page: {answer}", this.name);
                }
            }
            Ok::<_, anyhow::Error>(times)
        });
        let times = try_join_all(loops).await?;
        let elapsed = begun.elapsed();
        let count = times.iter().map(Vec::len).sum::<usize>();
        self.rates.push(count as f64 / elapsed.as_secs_f64());
        for time in times.into_iter().flatten() {
            self.timings.add(time);
        }
        Ok(())
    }

    fn row(&mut self) -> Vec<String> {
        self.rates.sort_by(f64::total_cmp);
        let at = |place: usize| self.rates.get(place).copied().unwrap_or_default();
        vec![
            self.name.to_owned(),
            format!("{:.0}", at(self.rates.len() / 2)),
            format!("{:.0} to {:.0}", at(0), at(self.rates.len().saturating_sub(1))),
            self.timings.quantile(0.5),
            self.timings.quantile(0.99),
        ]
    }
}

/// Patients of the care provider, each with events over about a year and a half, scored.
async fn fill(database: &PgConnectOptions) -> anyhow::Result<()> {
    let pool = PgPool::connect_with(database.clone()).await?;
    for statement in [
        "INSERT INTO patients (patient_id, email, first_name, last_name, created_at)
         SELECT 'page-' || i, 'page-' || i || '@example.org', 'First', 'Last ' || i, now() FROM generate_series(0, $1 - 1) i
         WHERE $2 > 0",
        "INSERT INTO patient_care_providers (care_provider_id, patient_id, linked_at)
         SELECT 'measure', 'page-' || i, now() FROM generate_series(0, $1 - 1) i WHERE $2 > 0",
        "INSERT INTO test_events (test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time, created_at)
         SELECT gen_random_uuid(), 'page-' || i, 'sit-to-stand', (i + n) % 101, NULL, 'some words about it',
                now() - n * interval '1 day', now() - n * interval '1 day' + interval '1 minute', now()
         FROM generate_series(0, $1 - 1) i, generate_series(1, $2) n",
    ] {
        sqlx::query(statement).bind(PATIENTS).bind(EVENTS).execute(&pool).await?;
    }
    sqlx::query(sqlx::AssertSqlSafe(postgraphile::AVERAGES)).execute(&pool).await?;
    sqlx::query("VACUUM ANALYZE").execute(&pool).await?;
    pool.close().await;
    Ok(())
}
