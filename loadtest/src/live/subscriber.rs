//! One subscriber: a WebSocket that speaks `graphql-transport-ws`.

use super::now;
use crate::client::Client;
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// What a subscriber was told, and when.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) test_event_id: String,
    pub(super) status: String,
    /// When the row changed, by the program's clock.
    pub(super) changed: DateTime<Utc>,
    /// When the message was here.
    pub(super) at: DateTime<Utc>,
}

/// Connects, subscribes to a field, and hands on what it is told until the program closes.
pub(super) async fn subscribe(client: &Client, field: String, told: Sender<Told>) -> anyhow::Result<()> {
    let mut request = client.at("/graphql").replacen("http", "ws", 1).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    let (mut socket, _) = connect_async(request).await.context("a WebSocket cannot be opened")?;
    let init = json!({ "type": "connection_init", "payload": { "Authorization": client.token() } });
    socket.send(Message::text(init.to_string())).await?;
    match socket.next().await {
        Some(Ok(Message::Text(text))) if text.contains("connection_ack") => {}
        other => bail!("a subscriber is not let in: {other:?}"),
    }
    let query = format!(
        "subscription {{ told: {field} {{ test_event_id patient_id movement status balance_score updated_at
            score {{ value lower upper model_version backend }} }} }}"
    );
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
    socket.send(Message::text(subscribe.to_string())).await?;
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let at = now();
            let Some(heard) = read(&text, at) else { continue };
            if told.send(heard).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn read(text: &str, at: DateTime<Utc>) -> Option<Told> {
    let message: Value = serde_json::from_str(text).ok()?;
    let state = message.pointer("/payload/data/told")?;
    let field = |name: &str| state.get(name).and_then(Value::as_str);
    Some(Told {
        test_event_id: field("test_event_id")?.to_owned(),
        status: field("status")?.to_owned(),
        changed: field("updated_at")?.parse().ok()?,
        at,
    })
}
