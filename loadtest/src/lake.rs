//! `stance-loadtest lake`: queries over many recordings, by the program and by DuckDB over the same files, in turns; before and
//! after the program compacted them.

use crate::client::{Client, Uploaded};
use crate::generator::{Exercise, Person};
use crate::measure::{CARE_PROVIDER, EMAIL, PASSWORD};
use crate::program::Program;
use anyhow::{Context, bail};
use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longest wait for the last recording to be converted.
const CONVERTED: Duration = Duration::from_secs(1_800);
/// Reads a line of JSON, `{"sql"}`, runs it, and writes one: how many milliseconds it took, and how many rows came.
const PEER: &str = r#"
import duckdb, json, sys, time
connection = duckdb.connect()
connection.execute("SET threads = " + sys.argv[1])
connection.execute("SET enable_progress_bar = false")
for line in sys.stdin:
    begun = time.perf_counter()
    rows = connection.execute(json.loads(line)["sql"]).fetchall()
    print(json.dumps({"ms": 1000 * (time.perf_counter() - begun), "rows": len(rows)}), flush=True)
"#;

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest lake --program target/release/stance --python duckdb-environment/bin/python --folder ./measure-data"
)]
pub struct Options {
    /// The program, built for release with the feature `lake`.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A Python that has the package `duckdb`.
    #[arg(long, value_name = "FILE")]
    python: PathBuf,
    /// Folder for the data folder of the program.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data")]
    folder: PathBuf,
    /// How many people.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    people: u64,
    /// How many recordings of each.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    recordings: u64,
    /// Samples of each.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    samples: u32,
    /// Rounds; the two take turns in each.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Threads of either.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What is asked, with `$samples` for the table and `$patient` for one of the people.
const QUERIES: [(&str, &str); 3] = [
    (
        "range of an axis by day, one patient",
        "SELECT year, month, day, min(ay), max(ay) FROM $samples WHERE $who = '$patient' GROUP BY year, month, day",
    ),
    (
        "range of an axis by day, all",
        "SELECT year, month, day, min(ay), max(ay) FROM $samples GROUP BY year, month, day",
    ),
    (
        "group by patient, all",
        "SELECT $who, count(*), avg(ay), stddev(ay), max(sqrt(gx * gx + gy * gy + gz * gz)) FROM $samples GROUP BY $who",
    ),
];

/// Measures, and prints a row a query and state of the lake.
///
/// # Errors
/// The program or the peer does not start, refuses something, or they do not agree.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = options.folder.join("lake");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let settings = [
        ("STANCE__LAKE__THREADS", options.threads.to_string()),
        ("STANCE__LAKE__COMPACT_EVERY_SECONDS", "0".to_owned()),
    ];
    let program = Program::start_with(&options.program, &folder, "127.0.0.1:0", &settings).await?;
    program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
    let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
    let patient = fill(&options, &client).await?;
    // Signed in anew: filling may take longer than a token holds.
    let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
    await_samples(&options, &client).await?;
    let mut peer = Peer::start(&options).await?;
    let mut table = Table::new();
    table.set_header(["query", "lake", "stance p50", "DuckDB p50", "stance / DuckDB"]);
    for (state, files) in [("a file a recording", "patient_tests"), ("compacted", "compacted_tests")] {
        if files == "compacted_tests" {
            let begun = Instant::now();
            program.run(&["compact"]).await?;
            println_now(&format!("compacted in {:.1} s", begun.elapsed().as_secs_f64()))?;
        }
        let (count, bytes) = size(&folder.join("objects/parquet_data").join(files))?;
        println_now(&format!("{state}: {count} files, {:.1} MB", bytes as f64 * 1e-6))?;
        for (name, sql) in QUERIES {
            let glob = format!("{}/objects/parquet_data/{files}/**/*.parquet", folder.display());
            let read = format!("read_parquet('{glob}', hive_partitioning = true)");
            let ours = sql.replace("$samples", "samples").replace("$who", "patient_id").replace("$patient", &patient);
            let theirs = sql.replace("$samples", &read).replace("$who", "user_id").replace("$patient", &patient);
            let (mut here, mut there) = (Vec::new(), Vec::new());
            for round in 0..=options.rounds {
                let (took, rows) = ask(&client, &ours).await?;
                let (took_there, rows_there) = peer.ask(&theirs).await?;
                anyhow::ensure!(rows == rows_there, "{name}: {rows} rows here, {rows_there} there");
                // The first is to warm the system's cache up.
                if round > 0 {
                    here.push(took);
                    there.push(took_there);
                }
            }
            let (here, there) = (median(here), median(there));
            let ratio = format!("{:.2}", here / there);
            table.add_row([
                name.to_owned(),
                state.to_owned(),
                format!("{here:.1} ms"),
                format!("{there:.1} ms"),
                ratio,
            ]);
        }
    }
    program.stop().await?;
    println_now(&table.to_string())
}

/// Uploads everything; the id of one of the people.
async fn fill(options: &Options, client: &Client) -> anyhow::Result<String> {
    let exercise = Exercise::sit_to_stand().samples(options.samples as usize);
    let people: Vec<Person> = (0..options.people).map(Person::from_seed).collect();
    for person in &people {
        client.adopt(CARE_PROVIDER, &person.patient_id(), "Lake", "Measured").await?;
    }
    let bar = ProgressBar::new(options.people * options.recordings)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} recordings, {eta} left")?);
    let all = people.iter().flat_map(|person| (0..options.recordings).map(move |number| (person, number)));
    let uploads = stream::iter(all).map(|(person, number)| {
        let (exercise, bar) = (&exercise, &bar);
        async move {
            let document = exercise.record(person, 0.5, number).to_json();
            loop {
                match client.upload(document.clone(), None).await? {
                    Uploaded::Accepted(_) => break,
                    Uploaded::Busy => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
            bar.inc(1);
            anyhow::Ok(())
        }
    });
    uploads.buffer_unordered(8).try_collect::<Vec<()>>().await?;
    bar.finish();
    Ok(people.first().context("nobody is measured")?.patient_id())
}

async fn await_samples(options: &Options, client: &Client) -> anyhow::Result<()> {
    let all = options.people * options.recordings;
    let begun = Instant::now();
    loop {
        let sql = "SELECT count(duration_seconds) AS n FROM recordings";
        let answer = query(client, sql).await?;
        if answer.pointer("/0/n").and_then(Value::as_u64) == Some(all) {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < CONVERTED, "the recordings are not converted: {answer}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn ask(client: &Client, sql: &str) -> anyhow::Result<(f64, usize)> {
    let begun = Instant::now();
    let answer = query(client, sql).await?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    Ok((took, answer.as_array().map_or(0, Vec::len)))
}

async fn query(client: &Client, sql: &str) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().post(client.at("/v1/query")).bearer_auth(client.token());
    let response = request.json(&json!({ "sql": sql })).send().await?;
    let status = response.status();
    let answer: Value = response.json().await?;
    anyhow::ensure!(status.is_success(), "{status}: {answer}");
    Ok(answer)
}

/// DuckDB in a process of its own, which stays from query to query.
struct Peer {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let mut process = Command::new(&options.python)
            .args(["-c", PEER, &options.threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", options.python.display()))?;
        let input = process.stdin.take().context("the peer has no standard input")?;
        let output = BufReader::new(process.stdout.take().context("the peer has no standard output")?).lines();
        let mut peer = Self { _process: process, input, output };
        peer.ask("SELECT 1").await.context("DuckDB does not answer")?;
        Ok(peer)
    }

    async fn ask(&mut self, sql: &str) -> anyhow::Result<(f64, usize)> {
        self.input.write_all(format!("{}\n", json!({ "sql": sql })).as_bytes()).await?;
        let Some(line) = self.output.next_line().await? else { bail!("the peer ended") };
        let answer: Value = serde_json::from_str(&line)?;
        let number = |key: &str| answer.get(key).and_then(Value::as_f64).context("the peer's answer");
        Ok((number("ms")?, number("rows")? as usize))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many files there are below a folder, and their bytes.
fn size(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let (below, length) = size(&entry.path())?;
            files += below;
            bytes += length;
        } else {
            files += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((files, bytes))
}

fn println_now(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
