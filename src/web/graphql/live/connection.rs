//! One WebSocket, from its opening to its end.
//!
//! The protocol itself is `juniper_graphql_ws`'s; here is what it leaves open: who is at the other end and for how long,
//! bounds of size and time, and the codes of closing.

use super::super::context;
use super::super::refusal::{give_codes, give_codes_to};
use super::document;
use crate::actors::ServiceError;
use crate::actors::session_auth::{Admission, Admit};
use crate::config::seconds;
use crate::domain::audit::Origin;
use crate::web::Services;
use crate::web::caller::token_of;
use crate::web::places::Place;
use actix_web::web;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, Closed, ProtocolError, Session};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use juniper::{DefaultScalarValue, InputValue, Variables};
use juniper_graphql_ws::ConnectionConfig;
use juniper_graphql_ws::graphql_transport_ws::{self, Output, ServerMessage};
use std::collections::HashSet;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

type ClientMessage = graphql_transport_ws::ClientMessage<DefaultScalarValue>;

/// How long the last message may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// A connection that was just opened.
pub(super) struct Connection {
    pub(super) services: web::Data<Services>,
    pub(super) origin: Origin,
    /// That of the request's header.
    pub(super) token: Option<String>,
    pub(super) session: Session,
    pub(super) frames: AggregatedMessageStream,
}

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// The client is gone, or takes nothing off.
    Gone,
    /// With a code of RFC 6455 (1000 to 1015) or of the protocol (4400 to 4499), and a reason.
    Close(u16, String),
}

impl Ending {
    fn close(code: u16, reason: &str) -> Self {
        Self::Close(code, reason.to_owned())
    }

    /// The program stops; graphql-ws comes back after this code.
    fn restart() -> Self {
        Self::close(1012, "the server restarts")
    }
}

/// Somebody whose token holds.
struct Admitted {
    token: String,
    admission: Admission,
    _place: Place,
}

impl Connection {
    /// Serves it to its end. The permit is held until the client is really gone: one that takes nothing off keeps its place.
    pub(super) async fn run(mut self, _permit: OwnedSemaphorePermit) {
        let closing = self.services.live.closing.clone();
        let first = seconds(self.services.live.limits.init_seconds);
        let admitted = tokio::select! {
            admitted = tokio::time::timeout(first, self.first_message()) => {
                admitted.unwrap_or_else(|_| Err(Ending::close(4408, "Connection initialisation timeout")))
            }
            () = closing.cancelled() => Err(Ending::restart()),
        };
        let (ending, _admitted) = match admitted {
            Ok(admitted) => {
                let ending = tokio::select! {
                    ending = self.converse(&admitted) => ending,
                    () = closing.cancelled() => Ending::restart(),
                };
                (ending, Some(admitted))
            }
            Err(ending) => (ending, None),
        };
        let Self { session, mut frames, .. } = self;
        if let Ending::Close(code, reason) = ending {
            let reason = CloseReason { code: code.into(), description: Some(reason) };
            let _ = tokio::time::timeout(GOODBYE, session.close(Some(reason))).await;
        } else {
            drop(session);
        }
        while let Some(Ok(_)) = frames.recv().await {}
    }

    /// Waits until the client says who it is.
    async fn first_message(&mut self) -> Result<Admitted, Ending> {
        loop {
            let Some(text) = received(self.frames.recv().await, &mut self.session).await? else { continue };
            self.services.metrics.live_message("in");
            match read(&text)? {
                ClientMessage::ConnectionInit { payload } => return self.admit(&payload).await,
                ClientMessage::Subscribe { .. } => return Err(Ending::close(4401, "Unauthorized")),
                ClientMessage::Ping { .. } => {
                    self.session.text(r#"{"type":"pong"}"#).await.map_err(|Closed| Ending::Gone)?;
                }
                ClientMessage::Pong { .. } | ClientMessage::Complete { .. } => {}
            }
        }
    }

    async fn admit(&self, payload: &Variables<DefaultScalarValue>) -> Result<Admitted, Ending> {
        let of_payload = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let token = match of_payload {
            Some((_, InputValue::Scalar(DefaultScalarValue::String(value)))) => token_of(value),
            Some(_) => None,
            None => self.token.clone(),
        };
        let Some(token) = token else {
            self.services.audit.unknown("authenticate", &self.origin);
            return Err(Ending::close(4401, "Unauthorized"));
        };
        let admit = Admit { token: token.clone(), origin: self.origin.clone() };
        let admitted = self.services.session_auth.ask(admit).await.map_err(ServiceError::from).flatten();
        if let Err(ServiceError::Unauthenticated) = &admitted {
            self.services.audit.unknown("authenticate", &self.origin);
        }
        let admission = admitted.map_err(|error| refusal(&error))?;
        let place = self.services.live.places.take(admission.caller.account).map_err(|error| refusal(&error))?;
        Ok(Admitted { token, admission, _place: place })
    }

    /// Speaks with a client who is known, as long as its token holds.
    async fn converse(&mut self, admitted: &Admitted) -> Ending {
        let live = &self.services.live;
        let context = context(&self.services, admitted.admission.caller.clone());
        let context = context.watching(live.watching(&self.services));
        let config = ConnectionConfig::new(context)
            .with_max_in_flight_operations(live.limits.max_subscriptions)
            // WebSocket's own pings are answered by every client.
            .with_keep_alive_interval(Duration::ZERO);
        let protocol = graphql_transport_ws::Connection::new(self.services.graphql.schema().clone(), config);
        let (mut input, output) = protocol.split();
        let Ok(()) = input.send(ClientMessage::ConnectionInit { payload: Variables::default() }).await;
        tokio::select! {
            ending = send(&self.services, output, self.session.clone()) => ending,
            ending = outlast(&self.services, admitted) => ending,
            ending = receive(&self.services, &mut self.frames, &mut self.session, input) => ending,
        }
    }
}

/// Takes what the client sends.
async fn receive(
    services: &Services,
    frames: &mut AggregatedMessageStream,
    session: &mut Session,
    mut input: impl Sink<ClientMessage, Error = Infallible> + Unpin,
) -> Ending {
    let limits = &services.live.limits;
    let every = seconds(limits.ping_seconds);
    let mut pings = tokio::time::interval(every);
    let mut heard = Instant::now();
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => frame,
            _ = pings.tick() => {
                if heard.elapsed() >= 2 * every {
                    return Ending::close(1001, "no sign of life");
                }
                // One that cannot be sent is one of many messages that cannot.
                let _ = tokio::time::timeout(every / 2, session.ping(b"")).await;
                continue;
            }
        };
        heard = Instant::now();
        let message = match received(frame, session).await {
            Ok(Some(text)) => read(&text),
            Ok(None) => continue,
            Err(ending) => return ending,
        };
        services.metrics.live_message("in");
        let message = match message {
            Ok(ClientMessage::ConnectionInit { .. }) => {
                return Ending::close(4429, "Too many initialisation requests");
            }
            Ok(message) => message,
            Err(ending) => return ending,
        };
        if let ClientMessage::Subscribe { id, payload } = &message
            && let Err(refused) = document::check(payload, &services.graphql)
        {
            services.metrics.live_message("out");
            match deliver(session, document::error_message(id, refused).to_string(), seconds(limits.stalled_seconds))
                .await
            {
                Ok(()) => continue,
                Err(ending) => return ending,
            }
        }
        let Ok(()) = input.send(message).await;
    }
}

/// Sends what the protocol answers, one message after the other: what the client has not taken off waits where it is bounded.
async fn send(
    services: &Services,
    mut output: impl Stream<Item = Output<DefaultScalarValue>> + Unpin,
    mut session: Session,
) -> Ending {
    let patience = seconds(services.live.limits.stalled_seconds);
    // An error ends an operation; the crate completes it all the same, which clients count as a second end.
    let mut failed = HashSet::new();
    while let Some(answer) = output.next().await {
        match answer {
            Output::Message(ServerMessage::Complete { id }) if failed.remove(&id) => {}
            Output::Message(message) => {
                if let ServerMessage::Error { id, .. } = &message {
                    failed.insert(id.clone());
                }
                services.metrics.live_message("out");
                if let Err(ending) = deliver(&mut session, written(&message), patience).await {
                    return ending;
                }
            }
            Output::Close { code, message } => return Ending::Close(code, message),
        }
    }
    Ending::Gone
}

async fn deliver(session: &mut Session, text: String, patience: Duration) -> Result<(), Ending> {
    match tokio::time::timeout(patience, session.text(text)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Closed)) | Err(_) => Err(Ending::Gone),
    }
}

/// Returns when the token holds no longer: it expired, its session ended, or its account became another.
async fn outlast(services: &Services, admitted: &Admitted) -> Ending {
    let recheck = seconds(services.live.limits.recheck_seconds);
    let mut until = admitted.admission.until;
    loop {
        let Ok(left) = (until - services.clock.now()).to_std() else {
            return Ending::close(4403, "the token has expired");
        };
        tokio::time::sleep(left.min(recheck)).await;
        if left <= recheck {
            continue;
        }
        let origin = admitted.admission.caller.origin.clone();
        match services.session_auth.ask(Admit { token: admitted.token.clone(), origin }).await {
            Ok(Ok(again)) if again.caller == admitted.admission.caller => until = again.until,
            Ok(Ok(_) | Err(ServiceError::Unauthenticated | ServiceError::ClaimsRefused(_))) => {
                return Ending::close(4403, "the session has ended");
            }
            // It is not known: asked again later, and not beyond the token's time.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Why somebody is not let in. Who comes too early is told to come back.
fn refusal(error: &ServiceError) -> Ending {
    match error {
        ServiceError::Busy { reason, .. } => {
            tracing::warn!(reason, "a bound is reached");
            Ending::close(1013, "the server is busy; try again later")
        }
        ServiceError::Unauthenticated
        | ServiceError::WrongCredentials
        | ServiceError::EmailNotConfirmed
        | ServiceError::SecondFactorRequired
        | ServiceError::WrongSecondFactor
        | ServiceError::ClaimsRefused(_)
        | ServiceError::OwnAccountsOff
        | ServiceError::Forbidden
        | ServiceError::NotFound(_)
        | ServiceError::Conflict { .. }
        | ServiceError::Invalid { .. }
        | ServiceError::Refused(_)
        | ServiceError::TooManyAttempts { .. } => Ending::close(4403, "Forbidden"),
        ServiceError::NoSpace => Ending::close(1013, "the server is busy; try again later"),
        ServiceError::Internal(cause) => {
            tracing::error!(error = format!("{cause:#}"), "internal error");
            Ending::close(1011, "something went wrong on the server")
        }
    }
}

/// The text of a frame; `None` for one that is answered already or says nothing.
async fn received(
    frame: Option<Result<AggregatedMessage, ProtocolError>>,
    session: &mut Session,
) -> Result<Option<String>, Ending> {
    match frame {
        Some(Ok(AggregatedMessage::Text(text))) => Ok(Some(text.to_string())),
        Some(Ok(AggregatedMessage::Ping(bytes))) => {
            session.pong(&bytes).await.map_err(|Closed| Ending::Gone)?;
            Ok(None)
        }
        Some(Ok(AggregatedMessage::Pong(_))) => Ok(None),
        Some(Ok(AggregatedMessage::Binary(_))) => Err(Ending::close(1003, "messages are text")),
        Some(Ok(AggregatedMessage::Close(_))) => Err(Ending::close(1000, "")),
        Some(Err(ProtocolError::Overflow)) => Err(Ending::close(1009, "the message is too large")),
        Some(Err(ProtocolError::Io(error))) if error.kind() == ErrorKind::InvalidData => {
            Err(Ending::close(1007, "the message is not UTF-8"))
        }
        // A message in too many pieces, or a connection that broke; the latter hears nothing.
        Some(Err(ProtocolError::Io(_))) => Err(Ending::close(1009, "the message is too large")),
        Some(Err(_)) => Err(Ending::close(1002, "this is not WebSocket")),
        None => Err(Ending::Gone),
    }
}

fn read(text: &str) -> Result<ClientMessage, Ending> {
    serde_json::from_str(text).map_err(|_| Ending::close(4400, "Invalid message"))
}

/// A message as JSON; errors of documents get their code.
fn written(message: &ServerMessage<DefaultScalarValue>) -> String {
    let plain = match message {
        ServerMessage::Next { payload, .. } => payload.errors.is_empty(),
        ServerMessage::Error { .. } => false,
        ServerMessage::ConnectionAck | ServerMessage::Pong | ServerMessage::Complete { .. } => true,
    };
    if plain {
        return serde_json::to_string(message).unwrap_or_default();
    }
    let mut document = serde_json::to_value(message).unwrap_or_default();
    match document.get_mut("payload") {
        Some(errors @ serde_json::Value::Array(_)) => give_codes_to(Some(errors), "invalid_document"),
        Some(payload) => give_codes(payload, "invalid_argument"),
        None => {}
    }
    document.to_string()
}
