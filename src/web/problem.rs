//! Errors as problem documents (RFC 9457). The one place that turns an error into HTTP.

use crate::actors::ServiceError;
use crate::domain::recording::{Refusal, RefusalKind};
use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Media type of a problem document.
const PROBLEM: &str = "application/problem+json";

/// A problem, as a client is told of it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    retry_after: Option<Duration>,
}

/// Where a document breaks a rule.
#[derive(Debug, Clone, Serialize)]
struct Fault {
    /// JSON pointer (RFC 6901).
    pointer: String,
    detail: String,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// A problem of the inference server, whose protocol wants the sentence under `error`, too.
#[derive(Debug)]
pub struct InferenceProblem(Problem);

impl From<Problem> for InferenceProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<ServiceError> for InferenceProblem {
    fn from(error: ServiceError) -> Self {
        Self(error.into())
    }
}

impl From<Refusal> for InferenceProblem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl fmt::Display for InferenceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for InferenceProblem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.0.response(Some(&self.0.detail))
    }
}

impl Problem {
    /// A problem with a stable `snake_case` code and a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// A JSON body that can be read and breaks a rule at `pointer`.
    pub fn invalid_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let place = if pointer.is_empty() { String::new() } else { format!("{pointer} ") };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", format!("{place}{detail}")).at(pointer, detail)
    }

    /// A method that the resource does not have.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this resource does not have that method")
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn at(mut self, pointer: String, detail: String) -> Self {
        self.errors.push(Fault { pointer, detail });
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<ServiceError> for Problem {
    /// A fault of ours is logged here, within the request's span, and the client is told that it is one.
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", text),
            ServiceError::WrongCredentials => Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", text),
            ServiceError::EmailNotConfirmed => Self::new(StatusCode::FORBIDDEN, "email_not_confirmed", text),
            ServiceError::SecondFactorRequired => Self::new(StatusCode::UNAUTHORIZED, "second_factor_required", text),
            ServiceError::WrongSecondFactor => Self::new(StatusCode::UNAUTHORIZED, "wrong_second_factor", text),
            ServiceError::ClaimsRefused(detail) => {
                tracing::warn!(reason = detail, "a token of the identity provider is of no use here");
                Self::new(StatusCode::FORBIDDEN, "claims_refused", detail)
            }
            ServiceError::OwnAccountsOff => Self::new(StatusCode::NOT_FOUND, "own_accounts_off", text),
            ServiceError::Forbidden => Self::new(StatusCode::FORBIDDEN, "forbidden", text),
            ServiceError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            ServiceError::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            ServiceError::Invalid { code, detail } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail),
            ServiceError::Refused(refusal) => refusal.into(),
            ServiceError::TooManyAttempts { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", text).retry_after(retry_after)
            }
            ServiceError::Busy { reason, retry_after } => {
                tracing::warn!(reason, "a bound is reached");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server is busy; try again later")
                    .retry_after(retry_after)
            }
            ServiceError::NoSpace => {
                tracing::error!("no space is left");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", text)
            }
            ServiceError::Internal(cause) => {
                tracing::error!(error = format!("{cause:#}"), "internal error");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on the server")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Malformed => StatusCode::BAD_REQUEST,
            RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalKind::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RefusalKind::Rule => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::new(status, refusal.code, refusal.detail.clone());
        match refusal.pointer {
            Some(pointer) => problem.at(pointer, refusal.detail),
            None => problem,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.response(None)
    }
}

impl Problem {
    /// The problem document, with the member that the inference protocol wants.
    fn response(&self, error: Option<&str>) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, PROBLEM)).insert_header((header::CACHE_CONTROL, "no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: who comes back then is not too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1).to_string()));
        }
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            errors: &self.errors,
            error,
        };
        response.body(serde_json::to_string(&document).unwrap_or_default())
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        self.error_response()
    }
}

/// Makes problems of what actix refuses before a handler runs.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .app_data(web::QueryConfig::default().error_handler(|_, _| {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_query", "the query cannot be read").into()
        }))
        // Of what cannot be a path, there is nothing.
        .app_data(
            web::PathConfig::default().error_handler(|_, _| Problem::from(ServiceError::NotFound("resource")).into()),
        );
}

/// The answer where no route fits.
pub async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such resource")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    async fn document(problem: Problem) -> (HttpResponse, Value) {
        let response = problem.error_response();
        let copy = problem.error_response();
        let body = to_bytes(copy.into_body()).await.unwrap();
        (response, serde_json::from_slice(&body).unwrap())
    }

    #[actix_web::test]
    async fn a_fault_of_ours_says_nothing_of_its_cause() {
        let error = ServiceError::Internal(anyhow::anyhow!("SELECT secret"));
        let (response, body) = document(error.into()).await;
        assert_eq!(response.status(), 500);
        let expected = json!({ "type": "about:blank", "title": "Internal Server Error", "status": 500,
                               "detail": "something went wrong on the server", "code": "internal_error" });
        assert_eq!(body, expected);
    }

    #[actix_web::test]
    async fn a_refused_recording_names_the_place() {
        let (response, body) =
            document(ServiceError::from(Refusal::sample("not_finite", "ax", 17, "is no number")).into()).await;
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), PROBLEM);
        assert_eq!(body["code"], "not_finite");
        assert_eq!(body["errors"], json!([{ "pointer": "/ax/17", "detail": "is no number" }]));
    }

    #[actix_web::test]
    async fn who_must_come_back_is_told_when() {
        let limited = ServiceError::TooManyAttempts { retry_after: Duration::from_millis(1_500) };
        for (error, status, seconds) in [(limited, 429, "2"), (ServiceError::busy("x"), 503, "1")] {
            let (response, _) = document(error.into()).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), seconds);
        }
        let (response, _) = document(ServiceError::Unauthenticated.into()).await;
        assert_eq!(response.headers().get(header::WWW_AUTHENTICATE).unwrap(), "Bearer");
    }
}
