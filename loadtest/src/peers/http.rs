//! A client that costs next to nothing, so that what is measured is the server: one request, made beforehand, over and over on
//! connections that stay.

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the longest answer.
const LONGEST: usize = 1 << 20;

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    address: String,
    bytes: Vec<u8>,
}

impl Request {
    /// A request to `address` (`127.0.0.1:8080`), with a token where there is one.
    pub(super) fn new(method: &str, address: &str, path: &str, token: Option<&str>, body: &str) -> Self {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let bytes = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address: address.to_owned(), bytes: bytes.into_bytes() }
    }

    /// Sends it once; how long it took, and the answer's body.
    pub(super) async fn once(&self) -> anyhow::Result<(Duration, Vec<u8>)> {
        let mut connection = Connection::open(&self.address).await?;
        let begun = Instant::now();
        let body = connection.ask(&self.bytes).await?;
        Ok((begun.elapsed(), body))
    }
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Throughput {
    pub(super) per_second: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// Sends the request again and again on so many connections for so long. All of them are on one thread: where server and client share
/// two processors, a client on two would measure how threads wait for one another.
pub(super) async fn drive(request: &Request, connections: usize, time: Duration) -> anyhow::Result<Throughput> {
    let request = request.clone();
    let driven = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(driven(&request, connections, time))
    });
    driven.await?
}

async fn driven(request: &Request, connections: usize, time: Duration) -> anyhow::Result<Throughput> {
    let begun = Instant::now();
    let mut running = Vec::new();
    for _ in 0..connections {
        let request = request.clone();
        running.push(tokio::spawn(async move {
            let mut connection = Connection::open(&request.address).await?;
            let mut histogram = Histogram::<u64>::new(3)?;
            while begun.elapsed() < time {
                let sent = Instant::now();
                connection.ask(&request.bytes).await?;
                histogram.record(u64::try_from(sent.elapsed().as_nanos())?)?;
            }
            anyhow::Ok(histogram)
        }));
    }
    let mut all = Histogram::<u64>::new(3)?;
    for running in running {
        all.add(running.await??)?;
    }
    let at = |quantile| Duration::from_nanos(all.value_at_quantile(quantile));
    Ok(Throughput { per_second: all.len() as f64 / begun.elapsed().as_secs_f64(), p50: at(0.5), p99: at(0.99) })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its answer to the end, which must be a 200.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        tokio::time::timeout(PATIENCE, async {
            self.stream.write_all(request).await?;
            self.buffer.clear();
            loop {
                ensure!(self.buffer.len() < LONGEST, "the answer is too long");
                ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
                if let Some((status, body)) = complete(&self.buffer)? {
                    if status != 200 {
                        bail!("status {status}: {}", String::from_utf8_lossy(body));
                    }
                    return Ok(body.to_vec());
                }
            }
        })
        .await
        .context("no answer in time")?
    }
}

/// The status and the body of an answer that is there as a whole.
fn complete(bytes: &[u8]) -> anyhow::Result<Option<(u16, &[u8])>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = bytes.split_at(end + 4);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("no content-length")?.trim().parse()?;
    Ok(rest.get(..length).map(|body| (status, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_when_its_length_is_there() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(complete(whole).unwrap(), Some((200, &b"abc"[..])));
        for cut in 0..whole.len() {
            assert_eq!(complete(&whole[..cut]).unwrap(), None);
        }
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
