//! One log line and one observation a request; a request id in both, in the response, and in every line between.

use super::Services;
use super::problem::Problem;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Names a request, in both directions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);
/// Characters of the longest id that is taken over from a client.
const LONGEST_ID: usize = 64;

/// Wraps every request.
///
/// # Errors
/// Those of the wrapped service.
pub async fn log<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let began = Instant::now();
    let services = request.app_data::<web::Data<Services>>().cloned();
    let id = incoming_id(&request)
        .or_else(|| services.as_ref().map(|services| services.entropy.uuid().to_string()))
        .unwrap_or_default();
    request.extensions_mut().insert(RequestId(id.as_str().into()));
    // Of the level `error`: the id is on the lines that are written, whatever the filter.
    let span = tracing::error_span!("request", request_id = %id);
    let handled = async {
        let mut response = dress(next.call(request).await?);
        // The pattern, not the path: a path holds identities.
        let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".into());
        let (status, took) = (response.status().as_u16(), began.elapsed());
        tracing::info!(
            method = %known_method(response.request().method().as_str()),
            route,
            status,
            ms = took.as_secs_f64() * 1_000.0,
            "request"
        );
        if let Some(services) = &services {
            services.metrics.http_request(&route, status, took.as_secs_f64());
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        Ok(response)
    };
    handled.instrument(span).await
}

/// Makes a problem of the empty 405 that actix gives where a resource has no such method.
fn dress<B: MessageBody + 'static>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED || response.headers().contains_key(header::CONTENT_TYPE) {
        return response.map_into_left_body();
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = Problem::method_not_allowed().error_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    response.into_response(problem).map_into_right_body()
}

/// The id that a client or proxy gave, where it is short and plain.
fn incoming_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = !id.is_empty()
        && id.len() <= LONGEST_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    plain.then(|| id.to_owned())
}

/// A method is a client's text: only known ones are written down.
fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
