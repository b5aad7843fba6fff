//! `GET /v1/models/{model_version}/card`: what a model is and how good it was found to be, as JSON or as a page.

use super::Services;
use super::accept::accepted;
use super::caller::Authenticated;
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::resolver::{Ask, ModelCardOf};
use crate::documents::model_card;
use crate::domain::ids::ModelVersion;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes.service(web::resource("/v1/models/{model_version}/card").route(web::get().to(card)));
}

/// Where a model's card is.
pub(super) fn card_path(version: &ModelVersion) -> String {
    format!("/v1/models/{version}/card")
}

/// What a page may do: nothing but look as its own style says.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(model_card::STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
    )
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    format: Option<String>,
}

/// The forms of a card.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Page,
}

async fn card(
    request: HttpRequest,
    version: web::Path<String>,
    Authenticated(caller): Authenticated,
    wanted: web::Query<Wanted>,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let form = form(&request, wanted.into_inner())?;
    let version: ModelVersion = version.parse().map_err(|_| ServiceError::NotFound("model"))?;
    let (patient, model) = services.resolver.ask_for(Ask::new(caller, ModelCardOf { version })).await?;
    let unreadable = |error| ServiceError::Internal(anyhow::Error::new(error).context("a model card"));
    let (kind, body) = match form {
        Form::Json => ("application/json", model_card::json(&patient, &model).map_err(unreadable)?),
        Form::Page => {
            ("text/html; charset=utf-8", model_card::page(&patient, &model, services.clock.now()).map_err(unreadable)?)
        }
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body))
}

/// The form that the query names; otherwise the first of `Accept` that there is.
fn form(request: &HttpRequest, Wanted { format }: Wanted) -> Result<Form, Problem> {
    match format.as_deref() {
        Some("json") => Ok(Form::Json),
        Some("html") => Ok(Form::Page),
        Some(_) => Err(Problem::invalid_body("/format", "must be json or html")),
        None => accepted(request, Form::Json, of_media_type, "application/json or text/html"),
    }
}

fn of_media_type(range: &str) -> Option<Form> {
    match range {
        "*/*" | "application/*" | "application/json" => Some(Form::Json),
        "text/*" | "text/html" => Some(Form::Page),
        _ => None,
    }
}
