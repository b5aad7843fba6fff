//! The rules of the protocol and the bounds of connections, spoken by hand.

use super::PATIENT;
use crate::harness::{Client, Program, Subscriber, eventually};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) async fn open(program: &Program, protocol: &str) -> Result<Socket, Error> {
    let mut request = format!("{}/graphql", program.url().replacen("http", "ws", 1)).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

pub(super) async fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The code with which the server closes, past what it says before.
async fn closed(socket: &mut Socket) -> u16 {
    let code = async {
        loop {
            if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), code).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_the_protocol_are_kept() {
    let program = Program::start_with(&[("live.init_seconds", "1"), ("live.max_message_bytes", "20000")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": clinic.token } });
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload":
        { "query": "subscription { recordingUpdated(patient_id: \"patient-1\") { status } }" } });
    let large = json!({ "type": "ping", "payload": { "x": "x".repeat(30_000) } });

    let mut silent = open(&program, "graphql-transport-ws").await.unwrap();
    assert_eq!(closed(&mut silent).await, 4408);
    for (messages, code) in [
        (vec![&subscribe], 4401),
        (vec![&init, &init], 4429),
        (vec![&init, &subscribe, &subscribe], 4409),
        (vec![&init, &json!({ "type": "no such" })], 4400),
        (vec![&large], 1009),
        (vec![&init, &large], 1009),
    ] {
        let mut socket = open(&program, "graphql-transport-ws").await.unwrap();
        for message in &messages {
            say(&mut socket, message).await;
        }
        assert_eq!(closed(&mut socket).await, code, "{:.200}", json!(messages).to_string());
    }
    let mut socket = open(&program, "graphql-transport-ws").await.unwrap();
    socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(closed(&mut socket).await, 1003);
    let mut socket = open(&program, "graphql-transport-ws").await.unwrap();
    say(&mut socket, &json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await.unwrap().unwrap().to_text().unwrap(), "{\"type\":\"pong\"}");

    let Err(Error::Http(refused)) = open(&program, "graphql-ws").await else { panic!("another protocol") };
    assert_eq!(refused.status(), 400);
    let plain = clinic.get("/graphql").await;
    assert_eq!(
        (plain.status, plain.code(), plain.headers["upgrade"].as_bytes()),
        (426, "upgrade_required", &b"websocket"[..])
    );
}

/// The next message that is no ping.
async fn heard(socket: &mut Socket) -> Value {
    let text = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other @ (Message::Binary(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), text).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_ends_its_subscription_and_not_the_connection_however_it_is_written() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut socket = open(&program, "graphql-transport-ws").await.unwrap();
    say(&mut socket, &json!({ "type": "connection_init", "payload": { "Authorization": clinic.token } })).await;
    assert_eq!(heard(&mut socket).await["type"], "connection_ack");
    let theirs = "recordingUpdated(patient_id: \"not-mine\") { status }";
    for (query, code) in [
        (format!("subscription {{ {theirs} }}"), "not_found"),
        (format!("subscription {{ ...F }} fragment F on Subscription {{ {theirs} }}"), "one_subscription_field"),
        (format!("subscription {{ ... on Subscription {{ {theirs} }} }}"), "one_subscription_field"),
        (format!("subscription {{ ... {{ {theirs} }} }}"), "one_subscription_field"),
        ("subscription { ...F } fragment F on Subscription { __typename }".to_owned(), "one_subscription_field"),
        ("subscription { __typename }".to_owned(), "one_subscription_field"),
        (format!("subscription {{ {theirs} }}"), "not_found"),
    ] {
        say(&mut socket, &json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
        loop {
            let message = heard(&mut socket).await;
            let error = match message["type"].as_str().unwrap() {
                "error" => &message["payload"][0],
                "next" => &message["payload"]["errors"][0],
                // The end of the one before.
                _ => continue,
            };
            assert_eq!(error["extensions"]["code"], code, "{query}: {message}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_every_connection() {
    let limits = [("live.max_connections", "3"), ("live.max_connections_per_account", "2")];
    let program = Program::start_with(&limits);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut first = Subscriber::of(&clinic).connected().await;
    let _second = Subscriber::of(&clinic).connected().await;
    assert_eq!(Subscriber::of(&clinic).next().await["code"], 1013);
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    let other = Client::sign_in(program.url(), "other@example.org").await;
    let _third = eventually("a place", || async { Some(Subscriber::of(&other).connected().await) }).await;
    let Err(Error::Http(refused)) = open(&program, "graphql-transport-ws").await else { panic!("a fourth") };
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    // Who leaves makes room.
    first.order(&json!({ "order": "pause" }));
    drop(first);
    eventually("room", || async { open(&program, "graphql-transport-ws").await.ok() }).await;
}
