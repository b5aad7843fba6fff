//! A client of live updates: graphql-ws, run by Node.

use super::{Client, SOON};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};

/// What is installed from npm.
const PACKAGES: [&str; 3] = ["graphql-ws@6.4.2", "ws@8.18.3", "graphql@16.11.0"];
const SCRIPT: &str = include_str!("../live/subscribe.mjs");

/// One that runs. Dropped, it is killed.
pub(crate) struct Subscriber {
    child: Child,
    orders: ChildStdin,
    events: Receiver<Value>,
}

impl Subscriber {
    /// Connects with a client's token.
    pub(crate) fn of(client: &Client) -> Self {
        Self::start(&client.url, Some(&format!("Bearer {}", client.token)), &json!({}), 0)
    }

    /// Connects to a server with what `connection_init` and the upgrade's headers say, and comes back so many times.
    pub(crate) fn start(url: &str, token: Option<&str>, headers: &Value, retries: u32) -> Self {
        let url = format!("{}/graphql", url.replacen("http", "ws", 1));
        let told = json!({ "url": url, "token": token, "headers": headers, "retries": retries });
        let mut child = Command::new("node")
            .args(["--input-type=module", "--eval", SCRIPT])
            .current_dir(stance_testkit::node::environment("graphql-ws", &PACKAGES).unwrap())
            .env("SUBSCRIBER", told.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, events) = channel(10_000);
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.blocking_send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let orders = child.stdin.take().unwrap();
        Self { child, orders, events }
    }

    /// Waits until the server has let it in.
    pub(crate) async fn connected(mut self) -> Self {
        assert_eq!(self.next().await["event"], "connected");
        self
    }

    /// Subscribes under a name.
    pub(crate) fn subscribe(&mut self, name: &str, query: &str, variables: &Value) {
        self.order(&json!({ "order": "subscribe", "name": name, "query": query, "variables": variables }));
    }

    /// Subscribes to a patient's recordings.
    pub(crate) fn watch(&mut self, patient: &str) {
        let query = "subscription($p: String!) { recordingUpdated(patient_id: $p) {
            test_event_id patient_id movement status balance_score updated_at
            score { value lower upper model_version backend provisional unlike_training novelty } failure { code } } }";
        self.subscribe(patient, query, &json!({ "p": patient }));
    }

    /// Ends the subscription of that name, stops reading, or goes on reading.
    pub(crate) fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// The next thing that happens.
    pub(crate) async fn next(&mut self) -> Value {
        tokio::time::timeout(SOON, self.events.recv()).await.unwrap().unwrap()
    }

    /// The next thing that happens within a time, if anything does.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Option<Value> {
        tokio::time::timeout(limit, self.events.recv()).await.ok().flatten()
    }

    /// Waits for that kind of event, past others.
    pub(crate) async fn until(&mut self, event: &str) -> Value {
        loop {
            let next = self.next().await;
            if next["event"] == event {
                return next;
            }
        }
    }

    /// Waits until a recording is said to stand there; what was said of it.
    pub(crate) async fn until_status(&mut self, id: &str, status: &str) -> Value {
        loop {
            let next = self.until("next").await;
            let fields = next["data"].as_object().unwrap_or_else(|| panic!("{next}"));
            let recording = fields.values().next().unwrap();
            if recording["test_event_id"] == id && recording["status"] == status {
                return recording.clone();
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
