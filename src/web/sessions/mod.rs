//! Accounts and sessions: `/v1/accounts`, `/v1/sessions`, `/.well-known/jwks.json`.

use super::Services;
use super::body::read_object;
use super::caller::{Authenticated, client_address};
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::session_auth::{PublishedKeys, Refresh, SignIn, SignOut, SignUp, Tokens};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

/// Bytes of the largest body.
const LARGEST_BODY: usize = 16 << 10;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/accounts").route(web::post().to(sign_up)))
        .service(web::resource("/v1/sessions").route(web::post().to(sign_in)))
        .service(web::resource("/v1/sessions/refresh").route(web::post().to(refresh)))
        .service(web::resource("/v1/sessions/current").route(web::delete().to(sign_out)))
        .service(web::resource("/.well-known/jwks.json").route(web::get().to(published_keys)));
}

async fn sign_up(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let ask = SignUp {
        email: fields.text("email")?,
        password: fields.text("password")?,
        first_name: fields.optional_text("first_name")?,
        last_name: fields.optional_text("last_name")?,
        peer: client_address(&request, &services.trusted_proxies),
    };
    fields.finish()?;
    let made = services.session_auth.ask(ask).await.map_err(ServiceError::from)??;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(
        json!({ "account_id": made.account.to_string(), "role": "patient", "patient_id": made.patient.as_str() }),
    ))
}

async fn sign_in(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let (email, password) = (fields.text("email")?, fields.text("password")?);
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    let tokens = services.session_auth.ask(SignIn { email, password, peer }).await.map_err(ServiceError::from)??;
    Ok(token_document(&tokens))
}

async fn refresh(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let refresh_token = fields.text("refresh_token")?;
    fields.finish()?;
    let tokens = services.session_auth.ask(Refresh { refresh_token }).await.map_err(ServiceError::from)??;
    Ok(token_document(&tokens))
}

async fn sign_out(
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    services.session_auth.ask(SignOut { caller }).await.map_err(ServiceError::from)??;
    Ok(HttpResponse::NoContent().finish())
}

async fn published_keys(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let keys = services.session_auth.ask(PublishedKeys).await.map_err(ServiceError::from)??;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(keys))
}

fn token_document(tokens: &Tokens) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in.as_secs(),
    }))
}
