//! `stance-loadtest peers`: the program beside MLServer with mlserver-sklearn on the same machine, by the same client, in turns.

mod http;
mod mlserver;
mod ours;
mod training;

use crate::program::cost::resident_bytes;
use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::Table;
use http::{Throughput, drive};
use mlserver::MlServer;
use ours::{Container, Server};
use serde_json::json;
use stance_models::features::FEATURES;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use training::{OF_THE_PEER, Trained};

/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Rows of a request that a client gathered.
const GATHERED: usize = 16;
/// Loads, and cold scores, of which the median is told.
const SAMPLES: usize = 21;
/// Recordings of a patient to train on.
const RECORDINGS: usize = 30;

/// What to measure.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stance-loadtest peers --program target/release/stance --environment peers-environment --folder ./measure-data"
)]
pub struct Options {
    /// The program, built for release.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A Python environment that has mlserver and mlserver-sklearn.
    #[arg(long, value_name = "FOLDER")]
    environment: PathBuf,
    /// Folder for data.
    #[arg(long, value_name = "FOLDER", default_value = "./measure-data")]
    folder: PathBuf,
    /// Seconds for each number of connections.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Models that the peer knows, few and many.
    #[arg(long, num_args = 2, default_values_t = [50, 1_000])]
    known: Vec<usize>,
    /// Models that the program knows in the end.
    #[arg(long, default_value_t = 100_000)]
    known_here: u64,
    /// Models that are loaded here to see what one takes; there, it is some twenty.
    #[arg(long, default_value_t = 10_000)]
    loaded: usize,
    /// Patients to train.
    #[arg(long, default_value_t = 1_000)]
    patients: usize,
}

/// Measures, and prints one table.
///
/// # Errors
/// The program or the peer does not start, or refuses something.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = options.folder.join("peers");
    std::fs::create_dir_all(&folder)?;
    let (folder, environment) = (folder.canonicalize()?, options.environment.canonicalize()?);
    let (few, many) = (options.known.first().copied().unwrap_or(50), options.known.get(1).copied().unwrap_or(1_000));
    ensure!(few.min(many) > 2 * SAMPLES, "the peer loads {} models, and is to know them", 2 * SAMPLES);
    let (body, gathered) = (body(1), body(GATHERED));
    let mut table = Table::new();
    table.set_header(["", "stance model-server", "stance /v2 (token, audit)", "MLServer", "model-server : MLServer"]);

    let container = Container::start(&options.program, &folder).await?;
    let server = Server::start(&options.program, &folder).await?;
    let peer = MlServer::start(&environment, &folder, few, FEATURES).await?;
    container.load("m-0").await?;
    peer.load(0).await?;
    for connections in CONNECTIONS {
        let time = Duration::from_secs(options.seconds);
        let here = drive(&container.invoke("m-0", &body), connections, time).await?;
        let v2 = drive(&server.infer(&server.name, &body).await?, connections, time).await?;
        let there = drive(&peer.infer(0, &body), connections, time).await?;
        table.add_rows(throughputs(connections, here, v2, there));
        said(&format!("{connections} connections are measured"))?;
    }
    let time = Duration::from_secs(options.seconds);
    let here = drive(&container.invoke("m-0", &gathered), GATHERED, time).await?;
    let v2 = drive(&server.infer(&server.name, &gathered).await?, GATHERED, time).await?;
    let there = drive(&peer.infer(0, &gathered), GATHERED, time).await?;
    table.add_row(rows_gathered(here, v2, there));

    let (mut here, mut v2, mut there) = (Loads::default(), Loads::default(), Loads::default());
    for n in 1..=SAMPLES {
        here.few.push(container.load(&format!("m-{n}")).await?);
        v2.few.push(server.load(&server.name).await?);
        there.few.push(peer.load(n).await?);
        let fresh = format!("cold-{n}");
        here.cold.push(container.load(&fresh).await? + container.invoke(&fresh, &body).once().await?.0);
        let fresh = SAMPLES + n;
        there.cold.push(peer.load(fresh).await? + peer.infer(fresh, &body).once().await?.0);
    }
    drop(peer);
    let before = resident_bytes(container.pid()?)?;
    for n in 0..options.loaded {
        container.load(&format!("more-{n}")).await?;
    }
    here.bytes = resident_bytes(container.pid()?)?.saturating_sub(before) / options.loaded.max(1) as u64;
    for n in 0..SAMPLES {
        here.many.push(container.load(&format!("last-{n}")).await?);
    }
    drop(container);

    let peer = MlServer::start(&environment, &folder, many, FEATURES).await?;
    // The first brings scikit-learn with it, which is no model's.
    peer.load(SAMPLES).await?;
    let before = peer.resident()?;
    for n in 0..SAMPLES {
        there.many.push(peer.load(n).await?);
    }
    there.bytes = peer.resident()?.saturating_sub(before) / there.many.len().max(1) as u64;
    drop(peer);
    let server = server.with_known(options.known_here).await?;
    let names = server.names(u32::try_from(2 * SAMPLES)?).await?;
    let (loaded, asked) = names.split_at(names.len() / 2);
    for name in loaded {
        v2.many.push(server.load(name).await?);
    }
    for name in asked {
        v2.cold.push(server.infer(name, &body).await?.once().await?.0);
    }
    server.stop().await?;
    let known = [
        format!("load, {few} known (/v2: 1)"),
        format!("load, {many} known (model-server: {} loaded; /v2: {} known)", options.loaded, options.known_here),
    ];
    table.add_rows(loads(known, here, v2, there));
    said("loads are measured")?;

    let Trained { ours, peers, our_error, peers_error } =
        training::compare(&environment, options.patients, RECORDINGS).await?;
    let some = OF_THE_PEER.min(options.patients);
    let name = format!("training {} patients of {RECORDINGS} recordings (scikit-learn: {some})", options.patients);
    table.add_row(compared(name, ours, None, peers));
    let points = |error: f64| format!("{error:.2}");
    table.add_row(["its error, left out", &points(our_error), "", &points(peers_error), ""]);
    said(&table.to_string())
}

/// Times to load, few known or many; to load and score; bytes of a loaded model.
#[derive(Default)]
struct Loads {
    few: Vec<Duration>,
    many: Vec<Duration>,
    cold: Vec<Duration>,
    bytes: u64,
}

fn throughputs(connections: usize, here: Throughput, v2: Throughput, there: Throughput) -> [[String; 5]; 3] {
    let rate = |throughput: Throughput| format!("{:.0}", throughput.per_second);
    let ratio = format!("{:.1}", here.per_second / there.per_second);
    [
        [format!("requests a second, {connections} connections"), rate(here), rate(v2), rate(there), ratio],
        compared(format!("p50, {connections} connections"), here.p50, Some(v2.p50), there.p50),
        compared(format!("p99, {connections} connections"), here.p99, Some(v2.p99), there.p99),
    ]
}

/// Rows a second where each request holds [`GATHERED`] of them.
fn rows_gathered(here: Throughput, v2: Throughput, there: Throughput) -> [String; 5] {
    let rows = |throughput: Throughput| format!("{:.0}", throughput.per_second * GATHERED as f64);
    let ratio = format!("{:.1}", here.per_second / there.per_second);
    let name = format!("rows a second, {GATHERED} in a request, {GATHERED} connections");
    [name, rows(here), rows(v2), rows(there), ratio]
}

fn loads([few, many]: [String; 2], here: Loads, v2: Loads, there: Loads) -> [[String; 5]; 5] {
    let cold = "load and first score".to_owned();
    let ratio = format!("{:.1}", there.bytes as f64 / here.bytes.max(1) as f64);
    let size = |loads: &Loads| format!("{:.1} kB", loads.bytes as f64 * 1e-3);
    let in_a_gigabyte = |loads: &Loads| (1_000_000_000 / loads.bytes.max(1)).to_string();
    let same = || "the same".to_owned();
    [
        ["memory of a loaded model".to_owned(), size(&here), same(), size(&there), ratio.clone()],
        ["models that a gigabyte holds".to_owned(), in_a_gigabyte(&here), same(), in_a_gigabyte(&there), ratio],
        compared(few, median(here.few), Some(median(v2.few)), median(there.few)),
        compared(many, median(here.many), Some(median(v2.many)), median(there.many)),
        compared(cold, median(here.cold), Some(median(v2.cold)), median(there.cold)),
    ]
}

/// A row of times, and how many times faster the first is than the last.
fn compared(name: String, here: Duration, v2: Option<Duration>, there: Duration) -> [String; 5] {
    let shown = |time: Duration| match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    };
    let ratio = format!("{:.1}", there.as_secs_f64() / here.as_secs_f64());
    [name, shown(here), v2.map(shown).unwrap_or_default(), shown(there), ratio]
}

/// A request for so many rows.
fn body(rows: usize) -> String {
    let row = (0..FEATURES).map(|place| place as f64 / 100.0);
    let data: Vec<f64> = std::iter::repeat_n(row, rows).flatten().collect();
    json!({ "inputs": [{ "name": "features", "shape": [rows, FEATURES], "datatype": "FP64", "data": data }] })
        .to_string()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn said(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output is closed")
}
