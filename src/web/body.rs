//! Small JSON bodies: bounded in size and time, read key by key so that a fault names its key.

use super::problem::Problem;
use crate::domain::recording::Refusal;
use actix_web::http::header;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};
use std::time::Duration;

/// How long a small body may take to arrive.
const LONGEST_ARRIVAL: Duration = Duration::from_secs(15);

/// The keys of a JSON object that are not read yet.
pub(super) struct Fields(Map<String, Value>);

/// Reads a body that is a JSON object of at most `limit` bytes.
pub(super) async fn read_object(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Fields, Problem> {
    read_value(request, payload, limit).await?.try_into()
}

/// Reads a body that is JSON of at most `limit` bytes.
pub(super) async fn read_value(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Value, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if !kind.is_none_or(|kind| kind.to_str().is_ok_and(is_json)) {
        return Err(Refusal::unsupported("unsupported_content_type", "the body must be application/json").into());
    }
    let body = read_bytes(payload, limit).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let place = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
        Refusal::malformed("malformed_json", place).into()
    })
}

/// Reads a body of at most `limit` bytes, whatever it is.
pub(super) async fn read_bytes(payload: web::Payload, limit: usize) -> Result<web::Bytes, Problem> {
    match tokio::time::timeout(LONGEST_ARRIVAL, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Refusal::malformed("body_cut_short", "the body did not arrive as a whole").into()),
        Ok(Err(_)) => Err(Refusal::too_large(limit as u64).into()),
        Err(_) => Err(Refusal::malformed("body_too_slow", "the body took too long to arrive").into()),
    }
}

impl TryFrom<Value> for Fields {
    type Error = Problem;

    fn try_from(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Problem::invalid_body("", "the body must be one JSON object"))
            }
        }
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

impl Fields {
    /// The text of a key that must be there.
    pub(super) fn text(&mut self, key: &str) -> Result<String, Problem> {
        self.optional_text(key)?.ok_or_else(|| Problem::invalid_body(format!("/{key}"), "is missing"))
    }

    /// The text of a key that may be absent or null.
    pub(super) fn optional_text(&mut self, key: &str) -> Result<Option<String>, Problem> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(Problem::invalid_body(format!("/{key}"), "must be text"))
            }
        }
    }

    /// A key's value, whatever it is.
    pub(super) fn value(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    /// Refuses a key that nobody read.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => {
                let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                Err(Problem::invalid_body(pointer, "is not a key of this request"))
            }
        }
    }
}
