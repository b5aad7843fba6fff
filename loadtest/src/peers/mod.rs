//! `stance-loadtest peers`: the program beside MLServer with mlserver-sklearn on the same machine, by the same client, in turns.

mod http;
mod mlserver;
mod ours;
mod training;

use crate::program::cost::resident_bytes;
use anyhow::Context;
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

/// Connections at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Loads, and cold scores, of which the median is told.
const SAMPLES: usize = 21;

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
    let row: Vec<f64> = (0..FEATURES).map(|place| place as f64 / 100.0).collect();
    let body = json!({ "inputs": [{ "name": "features", "shape": [1, FEATURES], "datatype": "FP64", "data": row }] });
    let body = body.to_string();
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
        let rate = |throughput: Throughput| format!("{:.0}", throughput.per_second);
        let ratio = format!("{:.1}", here.per_second / there.per_second);
        table.add_row([
            format!("requests a second, {connections} connections"),
            rate(here),
            rate(v2),
            rate(there),
            ratio,
        ]);
        table.add_row(compared(format!("p50, {connections} connections"), here.p50, Some(v2.p50), there.p50));
        table.add_row(compared(format!("p99, {connections} connections"), here.p99, Some(v2.p99), there.p99));
        said(&format!("{connections} connections are measured"))?;
    }

    let mut loads = [Vec::new(), Vec::new(), Vec::new()];
    let mut cold = [Vec::new(), Vec::new(), Vec::new()];
    for n in 1..=SAMPLES {
        let name = format!("m-{n}");
        let [here, v2, there] = &mut loads;
        here.push(container.load(&name).await?);
        v2.push(server.load(&server.name).await?);
        there.push(peer.load(n).await?);
        let [here, _, there] = &mut cold;
        let (loaded, fresh) = (container.load(&format!("cold-{n}")).await?, format!("cold-{n}"));
        here.push(loaded + container.invoke(&fresh, &body).once().await?.0);
        let loaded = peer.load(SAMPLES + n).await?;
        there.push(loaded + peer.infer(SAMPLES + n, &body).once().await?.0);
    }
    let before = resident_bytes(container.pid()?)?;
    for n in 0..options.loaded {
        container.load(&format!("more-{n}")).await?;
    }
    let of_one = |bytes: u64, models: usize| format!("{:.1} kB", bytes as f64 * 1e-3 / models.max(1) as f64);
    let here = of_one(resident_bytes(container.pid()?)?.saturating_sub(before), options.loaded);
    drop(container);
    drop(peer);
    let [here_few, v2_few, there_few] = loads.map(median);

    let peer = MlServer::start(&environment, &folder, many, FEATURES).await?;
    let before = peer.resident()?;
    let (mut there_many, more) = (Vec::new(), SAMPLES.min(many));
    for n in 0..more {
        there_many.push(peer.load(n).await?);
    }
    let there = of_one(peer.resident()?.saturating_sub(before), more);
    drop(peer);
    let server = server.with_known(options.known_here).await?;
    let names = server.names(u32::try_from(2 * SAMPLES)?).await?;
    let mut v2_many = Vec::new();
    let (loaded, asked) = names.split_at(names.len() / 2);
    for name in loaded {
        v2_many.push(server.load(name).await?);
    }
    let [_, v2_cold, _] = &mut cold;
    for name in asked {
        v2_cold.push(server.infer(name, &body).await?.once().await?.0);
    }
    server.stop().await?;
    table.add_row(compared(format!("load, {few} known (here 1)"), here_few, Some(v2_few), there_few));
    let known = format!("load, {many} known (here {})", options.known_here);
    table.add_row(compared(known, here_few, Some(median(v2_many)), median(there_many)));
    let [here_cold, v2_cold, there_cold] = cold.map(median);
    table.add_row(compared("load and first score".to_owned(), here_cold, Some(v2_cold), there_cold));
    table.add_row(["memory of a loaded model".to_owned(), here, "the same".to_owned(), there, String::new()]);
    said("loads are measured")?;

    let (here, there) = training::compare(&environment, options.patients, 30).await?;
    table.add_row(compared(format!("training {} patients of 30 recordings", options.patients), here, None, there));
    said(&table.to_string())
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

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn said(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output is closed")
}
