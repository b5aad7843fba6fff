//! A server that publishes documents, as an identity provider does its keys: it counts who comes, and can be away.

use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Dropped, it stops.
pub(crate) struct Publisher {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    away: AtomicBool,
    documents: Mutex<HashMap<String, String>>,
}

impl Publisher {
    /// With nothing to publish.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, serving }
    }

    /// With one document.
    pub(crate) async fn of(path: &str, document: &Value) -> Self {
        let publisher = Self::start().await;
        publisher.publish(path, document);
        publisher
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn publish(&self, path: &str, document: &Value) {
        self.shared.documents.lock().unwrap().insert(path.to_owned(), document.to_string());
    }

    /// Hangs up on whoever comes, or no longer.
    pub(crate) fn be_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::Relaxed);
    }

    /// How often somebody came, whether or not they were answered.
    pub(crate) fn visits(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if !shared.away.load(Ordering::Relaxed) {
            tokio::spawn(answer(socket, shared.clone()));
        }
    }
}

/// One request a connection.
async fn answer(mut socket: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8_192 {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let document = shared.documents.lock().unwrap().get(path).cloned();
    let (status, body) = document.map_or(("404 Not Found", String::new()), |document| ("200 OK", document));
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(socket.write_all(answer.as_bytes()).await);
}
