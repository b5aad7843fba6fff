//! Memory under many uploads that take their time.

use super::{Bench, Options, megabytes, print, recording};
use crate::program::cost;
use anyhow::Context;
use comfy_table::Table;
use futures_util::future::try_join_all;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the uploads trickle while memory is watched.
const TRICKLE: Duration = Duration::from_secs(8);

/// Opens the uploads, sends half of each, lets them trickle, and finishes them.
pub(super) async fn measure(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let patient = "slow";
    bench.patient(patient).await?;
    let before = cost::resident_bytes(bench.pid)?;
    let template = recording(options, 3, 1, patient);
    let (document, id) = (template.to_json(), template.test_event_id().to_string());
    let documents: Vec<_> = (0..options.slow)
        .map(|number| document.replacen(&id, &format!("00000000-0000-4000-8000-{number:012}"), 1))
        .collect();
    let mut uploads = Vec::new();
    for document in &documents {
        uploads.push(Slow::open(bench, document).await?);
    }
    let mut highest = 0;
    let step = TRICKLE / 16;
    for _ in 0..16 {
        try_join_all(uploads.iter_mut().map(|upload| upload.send(256))).await?;
        tokio::time::sleep(step).await;
        highest = highest.max(cost::resident_bytes(bench.pid)?);
    }
    let mut answers = 0;
    for chunk in uploads.chunks_mut(16) {
        for finished in try_join_all(chunk.iter_mut().map(Slow::finish)).await? {
            anyhow::ensure!(finished.starts_with("HTTP/1.1 202"), "{}", finished.lines().next().unwrap_or_default());
            answers += 1;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut table = Table::new();
    table.set_header([&format!("{answers} slow uploads, all accepted in the end"), "memory"]);
    let after = cost::resident_bytes(bench.pid)?;
    for (name, bytes) in [("before", before), ("highest while open", highest), ("2 s after the last", after)] {
        table.add_row([name.to_owned(), megabytes(bytes)]);
    }
    let each = highest.saturating_sub(before) / u64::from(options.slow);
    table.add_row(["for each open upload".to_owned(), format!("{:.1} kB", each as f64 / 1e3)]);
    print(&table)
}

/// One upload on a connection of its own.
struct Slow<'a> {
    connection: TcpStream,
    left: &'a [u8],
}

impl<'a> Slow<'a> {
    /// Sends the head and half of the body.
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
        let mut slow = Self { connection, left: document.as_bytes() };
        slow.send(document.len() / 2).await?;
        Ok(slow)
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
