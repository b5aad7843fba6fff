//! What admins do with accounts: `/v1/admin/accounts`.

use super::super::Services;
use super::super::body::read_object;
use super::super::caller::Authenticated;
use super::super::problem::Problem;
use super::LARGEST_BODY;
use super::document::AccountDocument;
use crate::actors::ServiceError;
use crate::actors::resolver::{AccountsPage, Ask, RemoveSecondFactorOf, SetRole};
use crate::domain::access::Role;
use crate::domain::ids::AccountId;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use std::fmt::Display;
use std::str::FromStr;
use uuid::Uuid;

/// Accounts of a page where the query does not say.
const USUAL_PAGE: u32 = 50;

pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/admin/accounts").route(web::get().to(accounts)))
        .service(web::resource("/v1/admin/accounts/{account_id}/role").route(web::put().to(set_role)))
        .service(web::resource("/v1/admin/accounts/{account_id}/totp").route(web::delete().to(remove_totp)));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

async fn accounts(
    Authenticated(caller): Authenticated,
    page: web::Query<Page>,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let Page { after, limit } = page.into_inner();
    let after = match after {
        Some(text) => parsed("after", &text)?,
        None => AccountId::from(Uuid::nil()),
    };
    let operation = AccountsPage { after, limit: limit.unwrap_or(USUAL_PAGE) };
    let page = services.resolver.ask_for(Ask::new(caller, operation)).await?;
    let accounts: Vec<_> = page.accounts.iter().map(AccountDocument::from).collect();
    let next = page.next.map(|id| id.to_string());
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "accounts": accounts, "next": next })))
}

async fn set_role(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    account: web::Path<String>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let account = known(&account)?;
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let (patient, care_provider) = (fields.optional_text("patient_id")?, fields.optional_text("care_provider_id")?);
    let role = match (fields.text("role")?.as_str(), patient, care_provider) {
        ("patient", Some(id), None) => Role::Patient(parsed("patient_id", &id)?),
        ("care_provider", None, Some(id)) => Role::CareProvider(parsed("care_provider_id", &id)?),
        ("admin", None, None) => Role::Admin,
        ("patient" | "care_provider" | "admin", _, _) => {
            return Err(Problem::invalid_body(
                "/role",
                "goes with patient_id where it is patient, with care_provider_id where it is care_provider, and with neither where it is admin",
            ));
        }
        _ => return Err(Problem::invalid_body("/role", "must be patient, care_provider or admin")),
    };
    fields.finish()?;
    let operation = SetRole { account, role };
    let account = services.resolver.ask_for(Ask::new(caller, operation)).await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(AccountDocument::from(&account)))
}

async fn remove_totp(
    Authenticated(caller): Authenticated,
    account: web::Path<String>,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let operation = RemoveSecondFactorOf { account: known(&account)? };
    services.resolver.ask_for(Ask::new(caller, operation)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is no id is that of no account.
fn known(text: &str) -> Result<AccountId, Problem> {
    text.parse().map_err(|_| ServiceError::NotFound("account").into())
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::invalid_body(format!("/{name}"), format!("{error}")))
}
