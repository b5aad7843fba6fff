//! Memory under many uploads that take their time.

use super::{Bench, Options, megabytes, print, recording};
use crate::program::cost;
use anyhow::Context;
use comfy_table::Table;
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the uploads trickle while memory is watched, and a piece of a document every so often.
const TRICKLE: Duration = Duration::from_secs(8);
const EVERY: Duration = Duration::from_millis(100);
const PIECE: usize = 2_048;

/// Slow from the first byte on, and (on a program of its own) pausing after half of the document came at once.
pub(super) async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new();
    let open = format!("{} uploads", options.slow);
    table.set_header([&open, "memory before", "highest while open", "for each", "2 s after the last", "all accepted"]);
    for (name, at_once) in [("2 kB every 100 ms", false), ("half at once, then so", true)] {
        let bench = Bench::start(options, if at_once { "slow-half" } else { "slow" }).await?;
        let [before, highest, after] = trickle(&bench, options, at_once).await?;
        let each = highest.saturating_sub(before) as f64 / f64::from(options.slow);
        let memory = [before, highest, after].map(megabytes);
        let [before, highest, after] = memory;
        table.add_row([name.to_owned(), before, highest, format!("{:.0} kB", each / 1e3), after, "yes".to_owned()]);
        bench.stop().await?;
    }
    print(&table)
}

/// Memory before, at its highest while the uploads were open, and after they were done.
async fn trickle(bench: &Bench, options: &Options, half_at_once: bool) -> anyhow::Result<[u64; 3]> {
    let patient = "slow";
    bench.patient(patient).await?;
    let before = cost::resident_bytes(bench.pid)?;
    let template = recording(options.samples, 3, 1, patient);
    let (document, id) = (template.to_json(), template.test_event_id().to_string());
    let documents: Vec<_> = (0..options.slow)
        .map(|number| document.replacen(&id, &format!("00000000-0000-4000-8000-{number:012}"), 1))
        .collect();
    let mut uploads = Vec::new();
    for document in &documents {
        let mut upload = Slow::open(bench, document).await?;
        if half_at_once {
            upload.send(document.len() / 2).await?;
        }
        uploads.push(upload);
    }
    let mut highest = 0;
    let begun = Instant::now();
    while begun.elapsed() < TRICKLE {
        try_join_all(uploads.iter_mut().map(|upload| upload.send(PIECE))).await?;
        highest = highest.max(cost::resident_bytes(bench.pid)?);
        tokio::time::sleep(EVERY).await;
    }
    for chunk in uploads.chunks_mut(16) {
        for finished in try_join_all(chunk.iter_mut().map(Slow::finish)).await? {
            anyhow::ensure!(finished.starts_with("HTTP/1.1 202"), "{}", finished.lines().next().unwrap_or_default());
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok([before, highest, cost::resident_bytes(bench.pid)?])
}

/// One upload on a connection of its own.
struct Slow<'a> {
    connection: TcpStream,
    left: &'a [u8],
}

impl<'a> Slow<'a> {
    /// Sends the head.
    async fn open(bench: &Bench, document: &'a str) -> anyhow::Result<Self> {
        let address = bench.program.url().strip_prefix("http://").context("the server speaks plain HTTP")?;
        let mut connection = TcpStream::connect(address).await?;
        let head = format!(
            "POST /v1/recordings HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            bench.client.token(),
            document.len()
        );
        connection.write_all(head.as_bytes()).await?;
        Ok(Self { connection, left: document.as_bytes() })
    }

    async fn send(&mut self, bytes: usize) -> anyhow::Result<()> {
        let (now, later) = self.left.split_at(bytes.min(self.left.len()));
        self.connection.write_all(now).await?;
        self.left = later;
        Ok(())
    }

    async fn finish(&mut self) -> anyhow::Result<String> {
        self.send(self.left.len()).await?;
        let mut answer = Vec::new();
        (&mut self.connection).take(16_384).read_buf(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
