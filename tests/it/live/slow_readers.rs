//! Clients that do not read what they are sent.

use super::protocol::{open, say};
use super::{PATIENT, QUIET, live};
use crate::harness::{Program, document, eventually, fresh_id};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Lets [`large_subscription`] be.
const MANY_ALIASES: (&str, &str) = ("graphql.max_aliases", "2000");

/// A subscription whose messages are large, so that few fill what lies between it and a client that does not read.
fn large_subscription() -> Value {
    let fields: String = (0..1_900).map(|n| format!("a{n}:test_event_id ")).collect();
    let query = format!("subscription{{recordingUpdated(patient_id:\"{PATIENT}\"){{{fields} status}}}}");
    json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })
}

/// Subscribes, and reads nothing while recordings change many times; the messages that it reads then.
async fn read_late(program: &Program) -> Vec<Value> {
    let clinic = program.clinic_with(&[PATIENT]).await;
    for _ in 0..60 {
        assert_eq!(clinic.upload(document(PATIENT, fresh_id()).to_string()).await.status, 202);
    }
    let converted = "SELECT count(*) FROM recordings WHERE status = 'awaiting_model'";
    eventually("converted", || async { (program.count(converted).await == 60).then_some(()) }).await;
    // What changed until now is told before anybody watches.
    tokio::time::sleep(QUIET).await;
    let mut socket = open(program, "graphql-transport-ws").await.unwrap();
    say(&mut socket, &json!({ "type": "connection_init", "payload": { "Authorization": clinic.token } })).await;
    say(&mut socket, &large_subscription()).await;
    live(program, 1.0).await;
    for _ in 0..10 {
        program.change("UPDATE recordings SET updated_at = updated_at + 1").await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    program.change("UPDATE recordings SET updated_at = updated_at + 1, status = 'failed'").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut messages = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(3 * QUIET, socket.next()).await {
        if let Message::Text(text) = message.unwrap() {
            messages.push(serde_json::from_str::<Value>(&text).unwrap());
        }
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_misses_steps_in_between_and_never_the_last() {
    let program = Program::start_with(&[("live.look_ms", "100"), MANY_ALIASES]);
    let messages = read_late(&program).await;
    let mut last = std::collections::HashMap::new();
    for message in messages.iter().filter(|message| message["type"] == "next") {
        let state = &message["payload"]["data"]["recordingUpdated"];
        last.insert(state["a0"].to_string(), state["status"].clone());
    }
    println!("{} messages of {} changes", messages.len(), 11 * 60);
    assert_eq!(last.len(), 60);
    assert!(last.values().all(|status| status == "failed"), "{last:?}");
    assert!(messages.len() < 400, "{}", messages.len());
    assert!(program.metric("stance_live_changes_total{outcome=\"asked_anew\"}").await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_far_too_slowly_is_told_to_begin_again() {
    let program = Program::start_with(&[("live.look_ms", "100"), ("live.max_waiting", "10"), MANY_ALIASES]);
    let messages = read_late(&program).await;
    let [.., error, complete] = messages.as_slice() else { panic!("{}", messages.len()) };
    assert_eq!(error["payload"]["errors"][0]["extensions"]["code"], "fell_behind");
    assert_eq!(complete["type"], "complete");
    live(&program, 0.0).await;
}
