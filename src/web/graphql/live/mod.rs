//! Live updates: `GET /graphql`, upgraded to a WebSocket that speaks `graphql-transport-ws`.

mod connection;
mod document;

use crate::actors::ServiceError;
use crate::actors::auditor::Audit;
use crate::actors::metrics::Metrics;
use crate::actors::watches::Watches;
use crate::config::LiveConfig;
use crate::domain::clock::SharedClock;
use crate::web::Services;
use crate::web::caller::{origin, token};
use crate::web::places::Places;
use crate::web::problem::Problem;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use chrono::{DateTime, Utc};
use connection::Connection;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The protocol's name in `Sec-WebSocket-Protocol`.
const PROTOCOL: &str = "graphql-transport-ws";

/// What live updates work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LiveServices {
    limits: Arc<LiveConfig>,
    watches: Watches,
    /// Of connections, whoever they are.
    open: Arc<Semaphore>,
    /// Of connections whose account is known.
    places: Places,
    closing: CancellationToken,
}

impl LiveServices {
    /// With these limits.
    #[must_use]
    pub fn new(limits: &LiveConfig, watches: Watches, metrics: &Metrics) -> Self {
        let (most, most_of_one) = (limits.max_connections, limits.max_connections_per_account);
        Self {
            limits: Arc::new(limits.clone()),
            watches,
            open: Arc::new(Semaphore::new(most)),
            places: Places::for_live_connections(most, most_of_one, metrics.clone()),
            closing: CancellationToken::new(),
        }
    }

    /// Ends every connection, so that clients come back to another process or to the next one, and takes no new ones.
    pub fn close(&self) {
        self.closing.cancel();
    }

    fn watching(&self, services: &Services) -> Watching {
        Watching {
            watches: self.watches.clone(),
            subscriptions: Arc::new(Semaphore::new(self.limits.max_subscriptions)),
            audit: services.audit.clone(),
            clock: services.clock.clone(),
            metrics: services.metrics.clone(),
        }
    }
}

/// What the subscriptions of one connection share. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Watching {
    /// Where they wait.
    pub(super) watches: Watches,
    /// A place for each.
    pub(super) subscriptions: Arc<Semaphore>,
    /// Notes of whom they tell.
    pub(super) audit: Audit,
    clock: SharedClock,
    metrics: Metrics,
}

impl Watching {
    /// Somebody is told now what became of a recording then.
    pub(super) fn told_of(&self, changed: DateTime<Utc>) {
        self.metrics.live_lag((self.clock.now() - changed).to_std().unwrap_or_default());
    }
}

/// Opens a WebSocket. Who is at the other end it says in its first message, or in the header of this request.
pub(super) async fn open(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Ok(upgrade_required());
    }
    let live = &services.live;
    if live.closing.is_cancelled() {
        return Err(ServiceError::busy("closing").into());
    }
    let permit = live.open.clone().try_acquire_owned().map_err(|_| ServiceError::busy("live connections"))?;
    let opened = actix_ws::handle_with_protocols(&request, payload, &[PROTOCOL]);
    let (response, session, frames) = opened.map_err(|error| bad_request("bad_handshake", error.to_string()))?;
    if !response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(bad_request("unsupported_subprotocol", "Sec-WebSocket-Protocol must be graphql-transport-ws"));
    }
    let largest = live.limits.max_message_bytes;
    let frames = frames.max_frame_size(largest).aggregate_continuations().max_continuation_size(largest);
    let connection = Connection {
        services: services.clone(),
        origin: origin(&request, &services),
        token: token(&request),
        session,
        frames,
    };
    actix_web::rt::spawn(connection.run(permit));
    Ok(response)
}

fn bad_request(code: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

/// Documents are sent by POST; a GET is for a WebSocket.
fn upgrade_required() -> HttpResponse {
    let detail = "GET is for a WebSocket; send documents by POST";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail).error_response();
    response.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    response
}
