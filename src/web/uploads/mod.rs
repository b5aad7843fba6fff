//! `POST /v1/recordings` and `GET /v1/recordings/{testID}`.

mod body;
mod status;

use super::Services;
use super::caller::Authenticated;
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::ingest::{Arrival, Arrived, await_settled};
use crate::actors::resolver::{Ask, RecordingStatus};
use crate::domain::ids::TestEventId;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use status::StatusDocument;
use std::time::Duration;

/// Longest wait that `Prefer: wait=N` may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/recordings").route(web::post().to(upload)))
        .service(web::resource("/v1/recordings/{test_id}").route(web::get().to(read_status)));
}

async fn upload(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut payload = payload.into_inner();
    let admitted = caller.and_then(|Authenticated(caller)| {
        let place = body::admit(&request, &caller, &services)?;
        Ok((caller, place))
    });
    let (caller, place) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            body::discard(&mut payload).await;
            return Err(problem);
        }
    };
    let staged = body::receive(&request, payload, &services).await?;
    drop(place);
    let wait = preferred_wait(&request);
    let changes = services.updates.subscribe();
    let arrived = services.ingest.ask_for(Arrival { caller, staged }).await?;
    let Arrived { mut state, replayed } = arrived;
    let mut settled = state.status.is_settled();
    if let Some(limit) = wait.filter(|_| !settled) {
        let id = state.test_event_id;
        if let Ok(Some(later)) = await_settled(&services.database, changes, id, limit).await {
            state = later;
            settled = state.status.is_settled();
        }
    }
    let mut response =
        if replayed || (wait.is_some() && settled) { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    if wait.is_some() {
        response.insert_header(("Preference-Applied", "wait"));
    }
    Ok(response
        .insert_header((header::LOCATION, format!("/v1/recordings/{}", state.test_event_id)))
        .json(StatusDocument::from(&state)))
}

async fn read_status(
    path: web::Path<String>,
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let test_event_id: TestEventId = path.parse().map_err(|_| ServiceError::NotFound("recording"))?;
    let ask = Ask::new(caller, RecordingStatus { test_event_id });
    let state = services.resolver.ask_for(ask).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(StatusDocument::from(&state)))
}

/// `Prefer: wait=N` (RFC 7240), cut to the longest wait.
fn preferred_wait(request: &HttpRequest) -> Option<Duration> {
    let preferences = request.headers().get_all("Prefer").filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("wait") {
                return None;
            }
            value.trim().trim_matches('"').parse().ok()
        })
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}
