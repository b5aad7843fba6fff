//! Recordings from upload to score: how long one takes, how many a second, what each costs the processor.

use super::learning::accepted;
use super::{Bench, Options, PERSON, Template, Timings, megabytes, millis, print, recording};
use crate::client::Uploaded;
use crate::program::cost;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Levels of concurrency: one phone, a clinic, a city.
const AT_ONCE: [usize; 3] = [1, 8, 64];
/// Different recordings, sent again and again under ids of their own.
const DIFFERENT: u64 = 16;
/// Sent before anything is timed.
const WARM_UP: usize = 32;

pub(super) async fn measure(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let patient = "measured";
    bench.patient(patient).await?;
    for seed in 0..10 {
        let document = recording(options.samples, PERSON, seed, patient).scored_by_clinician().to_json();
        accepted(bench.client.upload(document, Some(30)).await?, "training")?;
    }
    let documents: Vec<_> =
        (0..DIFFERENT).map(|seed| Template::of(&recording(options.samples, PERSON, 100 + seed, patient))).collect();
    let size = documents.iter().map(Template::len).sum::<usize>() / documents.len();
    let mut number = 0;
    send(bench, &documents, number..WARM_UP, 1).await?;
    number += WARM_UP;

    let mut table = Table::new();
    table.set_header([
        "at once",
        "p50",
        "p90",
        "p99",
        "max",
        "recordings/s",
        "CPU a recording",
        "busy",
        "memory after",
    ]);
    for at_once in AT_ONCE {
        let recordings = options.recordings as usize;
        let before = cost::cpu_time(bench.pid)?;
        let begun = Instant::now();
        let (timings, busy) = send(bench, &documents, number..number + recordings, at_once).await?;
        number += recordings;
        let elapsed = begun.elapsed();
        let cpu = cost::cpu_time(bench.pid)?.saturating_sub(before) / options.recordings;
        table.add_row([
            at_once.to_string(),
            timings.quantile(0.5),
            timings.quantile(0.9),
            timings.quantile(0.99),
            timings.quantile(1.0),
            format!("{:.1}", recordings as f64 / elapsed.as_secs_f64()),
            millis(cpu),
            busy.to_string(),
            megabytes(cost::resident_bytes(bench.pid)?),
        ]);
    }
    table.add_row([format!("{} samples, {} bytes, upload to score", options.samples, size)]);
    print(&table)
}

/// Sends recordings under ids of these numbers and waits for their scores; how long each took, and how often the server was busy.
async fn send(
    bench: &Bench,
    documents: &[Template],
    numbers: Range<usize>,
    at_once: usize,
) -> anyhow::Result<(Timings, u32)> {
    let timings = Mutex::new((Timings::new()?, 0));
    stream::iter(numbers.zip(documents.iter().cycle()))
        .map(Ok::<_, anyhow::Error>)
        .try_for_each_concurrent(at_once, |(number, document)| {
            let timings = &timings;
            async move {
                let document = document.under_new_id(number);
                let begun = Instant::now();
                let mut busy = 0;
                loop {
                    match bench.client.upload(document.clone(), Some(30)).await? {
                        Uploaded::Busy => busy += 1,
                        uploaded @ Uploaded::Accepted(_) => break accepted(uploaded, "scored")?,
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let elapsed = begun.elapsed();
                if let Ok(mut timings) = timings.lock() {
                    timings.0.add(elapsed);
                    timings.1 += busy;
                }
                Ok(())
            }
        })
        .await?;
    timings.into_inner().map_err(|_| anyhow::anyhow!("a task panicked"))
}
