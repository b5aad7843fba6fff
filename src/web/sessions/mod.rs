//! Sessions: `/v1/sessions`, `/.well-known/jwks.json`.

use super::Services;
use super::accounts::{LARGEST_BODY, proof};
use super::body::read_object;
use super::caller::{Authenticated, client_address, origin};
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::session_auth::{EndSession, OwnSessions, PublishedKeys, Refresh, SignIn, SignOut, Tokens};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::SecondsFormat;
use serde_json::json;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/sessions").route(web::post().to(sign_in)).route(web::get().to(own_sessions)))
        .service(web::resource("/v1/sessions/refresh").route(web::post().to(refresh)))
        .service(web::resource("/v1/sessions/current").route(web::delete().to(sign_out)))
        .service(web::resource("/v1/sessions/{session_id}").route(web::delete().to(end_session)))
        .service(web::resource("/.well-known/jwks.json").route(web::get().to(published_keys)));
}

async fn sign_in(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let (email, password) = (fields.text("email")?, fields.text("password")?);
    let second_factor = proof(&mut fields)?;
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    let ask = SignIn { email, password, second_factor, peer };
    let tokens = services.session_auth.ask_for(ask).await?;
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
    let ask = Refresh { refresh_token, origin: origin(&request, &services) };
    let tokens = services.session_auth.ask_for(ask).await?;
    Ok(token_document(&tokens))
}

async fn sign_out(
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    services.session_auth.ask_for(SignOut { caller }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn own_sessions(
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let current = caller.session;
    let open = services.session_auth.ask_for(OwnSessions { caller }).await?;
    let sessions: Vec<_> = open
        .iter()
        .map(|session| {
            json!({
                "session_id": session.id.to_string(),
                "created_at": session.created_at.to_rfc3339_opts(SecondsFormat::Micros, true),
                "expires_at": session.expires_at.to_rfc3339_opts(SecondsFormat::Micros, true),
                "current": session.id == current,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({ "sessions": sessions })))
}

async fn end_session(
    Authenticated(caller): Authenticated,
    session: web::Path<String>,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    // What is no id is that of no session.
    let session = session.parse().map_err(|_| ServiceError::NotFound("session"))?;
    services.session_auth.ask_for(EndSession { caller, session }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn published_keys(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let keys = services.session_auth.ask_for(PublishedKeys).await?;
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
