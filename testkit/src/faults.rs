//! A proxy on this machine that does to a conversation what a network and an overloaded server do to it. What it does can
//! be changed at any time.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Largest head of a request or an answer.
const HEAD: usize = 64 << 10;
/// What S3 says when it is asked too often.
const SLOW_DOWN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message><RequestId>1</RequestId></Error>";

/// Tells what a fault is for: a request's first line, such as `POST /b/k?uploadId=1 HTTP/1.1`; of other than HTTP the bytes
/// that came together, as text.
pub type Which = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What the proxy does. From [`Mode::Status`] to [`Mode::ShortenBody`] it must be HTTP that passes.
#[derive(Clone)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Takes no connections, and ends those that there are.
    Refuse,
    /// Waits before each request (HTTP) or each connection is passed on.
    Delay(Duration),
    /// Ends the connection after so many bytes of an answer.
    CutAfter(u64),
    /// Answers every request itself, with this status and no body.
    Status(u16),
    /// Answers every request itself, as S3 does when it is asked too often.
    SlowDown,
    /// Passes the answer's head on and half of its body, and ends the connection.
    TruncateBody,
    /// As [`Mode::TruncateBody`], with a head that says that half is all.
    ShortenBody,
    /// Passes such a request on, and ends the connection instead of passing the answer back.
    LoseAnswer(Which),
    /// Ends the connection instead of passing such a request on.
    LoseRequest(Which),
}

impl Mode {
    /// Loses the answers to requests whose line holds all of these.
    #[must_use]
    pub fn lose_answers_to(parts: &[&str]) -> Self {
        Self::LoseAnswer(holds(parts))
    }

    /// Loses requests whose line holds all of these.
    #[must_use]
    pub fn lose_requests(parts: &[&str]) -> Self {
        Self::LoseRequest(holds(parts))
    }
}

fn holds(parts: &[&str]) -> Which {
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    Arc::new(move |line| parts.iter().all(|part| line.contains(part)))
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::Refuse => f.write_str("Refuse"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::CutAfter(bytes) => write!(f, "CutAfter({bytes})"),
            Self::Status(status) => write!(f, "Status({status})"),
            Self::SlowDown => f.write_str("SlowDown"),
            Self::LoseAnswer(_) => f.write_str("LoseAnswer"),
            Self::LoseRequest(_) => f.write_str("LoseRequest"),
            Self::TruncateBody => f.write_str("TruncateBody"),
            Self::ShortenBody => f.write_str("ShortenBody"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Tcp,
    Http,
}

/// The proxy. Dropped, it stops.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    faults: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// In front of a server that speaks HTTP/1.1. Each connection carries one request.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn http(upstream: SocketAddr) -> io::Result<Self> {
        Self::start(upstream, Language::Http).await
    }

    /// In front of a server that speaks anything else.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn tcp(upstream: SocketAddr) -> io::Result<Self> {
        Self::start(upstream, Language::Tcp).await
    }

    async fn start(upstream: SocketAddr, language: Language) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (mode, modes) = watch::channel(Mode::Pass);
        let faults = Arc::new(AtomicU64::default());
        let serving = tokio::spawn(serve(listener, Line { upstream, language, modes, faults: faults.clone() }));
        Ok(Self { address, mode, faults, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does something else from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How often it did other than pass on.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What every connection knows.
#[derive(Debug, Clone)]
struct Line {
    upstream: SocketAddr,
    language: Language,
    modes: watch::Receiver<Mode>,
    faults: Arc<AtomicU64>,
}

async fn serve(listener: TcpListener, mut line: Line) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    loop {
        let mode = line.modes.borrow_and_update().clone();
        if matches!(mode, Mode::Refuse) {
            // A closed port refuses; one that is only not served does not.
            listener = None;
            line.fault();
            if line.modes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => match TcpListener::bind(address).await {
                Ok(open) => open,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((client, _)) = accepted {
                    tokio::spawn(converse(client, line.clone()));
                }
            }
            changed = line.modes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        listener = Some(open);
    }
}

/// One connection, to its end or until all are refused.
async fn converse(client: TcpStream, line: Line) {
    let mut modes = line.modes.clone();
    let talk = async {
        match line.language {
            Language::Tcp => line.pass_tcp(client).await,
            Language::Http => line.pass_http(client).await,
        }
    };
    tokio::select! {
        // A connection that breaks is what this is about.
        _ = talk => {}
        _ = modes.wait_for(|mode| matches!(mode, Mode::Refuse)) => {}
    }
}

impl Line {
    fn mode(&self) -> Mode {
        self.modes.borrow().clone()
    }

    fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    async fn pass_tcp(&self, mut client: TcpStream) -> io::Result<()> {
        if let Mode::Delay(time) = self.mode() {
            self.fault();
            tokio::time::sleep(time).await;
        }
        let mut server = TcpStream::connect(self.upstream).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let lost = AtomicBool::new(false);
        let there = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let read = from_client.read(&mut buffer).await?;
                if read == 0 {
                    return to_server.shutdown().await;
                }
                let piece = buffer.get(..read).unwrap_or_default();
                let mode = self.mode();
                if let Mode::LoseRequest(which) | Mode::LoseAnswer(which) = &mode
                    && which(&String::from_utf8_lossy(piece))
                {
                    if matches!(mode, Mode::LoseRequest(_)) {
                        self.fault();
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    lost.store(true, Ordering::Relaxed);
                }
                to_server.write_all(piece).await?;
            }
        };
        let back = async {
            let mut passed = 0;
            let mut buffer = vec![0; 16 << 10];
            loop {
                let read = from_server.read(&mut buffer).await?;
                if read == 0 {
                    return to_client.shutdown().await;
                }
                // What the server answers with, it has done.
                if lost.load(Ordering::Relaxed) {
                    self.fault();
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                let mut piece = buffer.get(..read).unwrap_or_default();
                if let Mode::CutAfter(limit) = self.mode() {
                    let room = usize::try_from(limit.saturating_sub(passed)).unwrap_or(usize::MAX);
                    if room < piece.len() {
                        self.fault();
                        piece = piece.get(..room).unwrap_or_default();
                        to_client.write_all(piece).await?;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                to_client.write_all(piece).await?;
                passed += piece.len() as u64;
            }
        };
        tokio::try_join!(there, back).map(drop)
    }

    async fn pass_http(&self, mut client: TcpStream) -> io::Result<()> {
        let request = Message::read(&mut client, true).await?;
        let mode = self.mode();
        if !matches!(mode, Mode::Pass | Mode::LoseAnswer(_) | Mode::LoseRequest(_)) {
            self.fault();
        }
        match &mode {
            Mode::LoseRequest(which) if which(request.first_line()) => {
                self.fault();
                return Ok(());
            }
            Mode::Status(status) => return answer(&mut client, &format!("{status} Fault"), "").await,
            Mode::SlowDown => return answer(&mut client, "503 Slow Down", SLOW_DOWN).await,
            Mode::Delay(time) => tokio::time::sleep(*time).await,
            Mode::Pass | Mode::Refuse | Mode::CutAfter(_) | Mode::LoseAnswer(_) | Mode::LoseRequest(_) => {}
            Mode::TruncateBody | Mode::ShortenBody => {}
        }
        let mut server = TcpStream::connect(self.upstream).await?;
        server.write_all(request.closing().as_bytes()).await?;
        server.write_all(&request.body).await?;
        let answered = Message::read(&mut server, false).await?;
        let half = answered.body.get(..answered.body.len() / 2).unwrap_or_default();
        match &mode {
            Mode::LoseAnswer(which) if which(request.first_line()) => self.fault(),
            Mode::CutAfter(limit) => {
                let whole = [answered.closing().as_bytes(), &answered.body].concat();
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX).min(whole.len());
                client.write_all(whole.get(..limit).unwrap_or_default()).await?;
            }
            Mode::TruncateBody => {
                client.write_all(answered.closing().as_bytes()).await?;
                client.write_all(half).await?;
            }
            Mode::ShortenBody => {
                client.write_all(answered.with_length(half.len()).as_bytes()).await?;
                client.write_all(half).await?;
            }
            Mode::Pass
            | Mode::Refuse
            | Mode::Delay(_)
            | Mode::Status(_)
            | Mode::SlowDown
            | Mode::LoseAnswer(_)
            | Mode::LoseRequest(_) => {
                client.write_all(answered.closing().as_bytes()).await?;
                client.write_all(&answered.body).await?;
            }
        }
        client.shutdown().await
    }
}

async fn answer(client: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    client.write_all(head.as_bytes()).await?;
    client.shutdown().await
}

/// A request or an answer.
struct Message {
    /// Without the empty line.
    head: String,
    /// As it is on the wire.
    body: Vec<u8>,
}

impl Message {
    async fn read(stream: &mut TcpStream, is_request: bool) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() > HEAD || stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let mut body = bytes.split_off(end + 4);
        bytes.truncate(end);
        let message = Self { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
        if is_request && message.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let length = message.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let chunked = message.header("transfer-encoding").is_some();
        let is_whole = |body: &[u8]| match length {
            Some(length) => body.len() >= length,
            None if chunked => body.ends_with(b"0\r\n\r\n"),
            // An answer without a length ends with its connection.
            None => is_request,
        };
        while !is_whole(&body) {
            if stream.read_buf(&mut body).await? == 0 {
                break;
            }
        }
        Ok(Self { body, ..message })
    }

    fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The head, with the announcement that the connection ends after this.
    fn closing(&self) -> String {
        let kept: Vec<_> = self.without(&["connection", "keep-alive", "expect"]).collect();
        format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n"))
    }

    fn with_length(&self, length: usize) -> String {
        let kept: Vec<_> = self.without(&["connection", "keep-alive", "content-length"]).collect();
        format!("{}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n", kept.join("\r\n"))
    }

    fn without<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter(|line| {
            let name = line.split_once(':').map_or("", |(name, _)| name);
            !names.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
        })
    }
}
