//! Own accounts: `/v1/accounts`, what their owners do with them, and `/v1/admin/accounts`.

mod admin;
mod document;

use super::Services;
use super::body::{Fields, read_object};
use super::caller::{Authenticated, client_address};
use super::problem::Problem;
use crate::actors::session_auth::{
    ChangePassword, ConfirmEmail, ConfirmSecondFactor, EnrolSecondFactor, OwnAccount, Proof, RemoveSecondFactor,
    RequestCode, ResetPassword, SignUp,
};
use crate::storage::database::Purpose;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use document::AccountDocument;
use serde_json::json;

/// Bytes of the largest body.
pub(super) const LARGEST_BODY: usize = 16 << 10;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/accounts").route(web::post().to(sign_up)))
        .service(web::resource("/v1/accounts/confirmation/request").route(web::post().to(request_confirmation)))
        .service(web::resource("/v1/accounts/confirmation").route(web::post().to(confirm_email)))
        .service(web::resource("/v1/accounts/reset/request").route(web::post().to(request_reset)))
        .service(web::resource("/v1/accounts/reset").route(web::post().to(reset_password)))
        .service(web::resource("/v1/accounts/current").route(web::get().to(own_account)))
        .service(web::resource("/v1/accounts/current/password").route(web::put().to(change_password)))
        .service(web::resource("/v1/accounts/current/totp").route(web::post().to(enrol)))
        .service(web::resource("/v1/accounts/current/totp/confirm").route(web::post().to(confirm_totp)))
        .service(web::resource("/v1/accounts/current/totp/remove").route(web::post().to(remove_totp)))
        .configure(admin::configure);
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
    let made = services.session_auth.ask_for(ask).await?;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(
        json!({ "account_id": made.account.to_string(), "role": "patient", "patient_id": made.patient.as_str() }),
    ))
}

async fn request_confirmation(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    request_code(Purpose::Confirm, request, payload, services).await
}

async fn request_reset(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    request_code(Purpose::Reset, request, payload, services).await
}

async fn request_code(
    purpose: Purpose,
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let email = fields.text("email")?;
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    services.session_auth.ask_for(RequestCode { email, purpose, peer }).await?;
    Ok(HttpResponse::Accepted().finish())
}

async fn confirm_email(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let (email, code) = (fields.text("email")?, fields.text("code")?);
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    services.session_auth.ask_for(ConfirmEmail { email, code, peer }).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn reset_password(
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let ask = ResetPassword {
        email: fields.text("email")?,
        code: fields.text("code")?,
        password: fields.text("password")?,
        peer: client_address(&request, &services.trusted_proxies),
    };
    fields.finish()?;
    services.session_auth.ask_for(ask).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn own_account(
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let account = services.session_auth.ask_for(OwnAccount { caller }).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(AccountDocument::from(&account)))
}

async fn change_password(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let (password, new_password) = (fields.text("password")?, fields.text("new_password")?);
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    let ask = ChangePassword { caller, password, new_password, peer };
    services.session_auth.ask_for(ask).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn enrol(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let password = fields.text("password")?;
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    let ask = EnrolSecondFactor { caller, password, peer };
    let enrolment = services.session_auth.ask_for(ask).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "secret": enrolment.secret, "uri": enrolment.uri })))
}

async fn confirm_totp(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let totp = fields.text("totp")?;
    fields.finish()?;
    let codes = services.session_auth.ask_for(ConfirmSecondFactor { caller, totp }).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({ "recovery_codes": codes })))
}

async fn remove_totp(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let password = fields.text("password")?;
    let proof = proof(&mut fields)?.ok_or_else(|| Problem::invalid_body("/totp", "is missing"))?;
    fields.finish()?;
    let peer = client_address(&request, &services.trusted_proxies);
    let ask = RemoveSecondFactor { caller, password, proof, peer };
    services.session_auth.ask_for(ask).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The second factor that a body shows: `totp` or `recovery_code`.
pub(super) fn proof(fields: &mut Fields) -> Result<Option<Proof>, Problem> {
    match (fields.optional_text("totp")?, fields.optional_text("recovery_code")?) {
        (Some(totp), None) => Ok(Some(Proof::Totp(totp))),
        (None, Some(code)) => Ok(Some(Proof::RecoveryCode(code))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::invalid_body("/recovery_code", "goes without totp")),
    }
}
