//! `POST /graphql`, live updates at `GET /graphql`, and the query page `GET /graphiql`.

mod api;
mod argument;
mod audit;
mod column;
mod context;
mod cursor;
mod documents;
mod limits;
mod live;
mod loaders;
mod mutation;
mod pages;
mod query;
mod recording;
mod refusal;
mod schema;
mod subscription;
mod times;
mod types;

pub use api::Api;
pub use live::LiveServices;

use super::Services;
use super::body::{Fields, read_value};
use super::caller::Authenticated;
use super::problem::Problem;
use crate::domain::access::Caller;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use api::Request;
use context::Context;
use serde_json::Value;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/graphql").route(web::post().to(execute)).route(web::get().to(live::open)))
        .service(web::resource("/graphiql").route(web::get().to(query_page)));
}

/// Runs one request, or several one after the other where the body is a list.
async fn execute(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let api = &services.graphql;
    let bounds = api.bounds();
    let body = read_value(&request, payload, bounds.max_body_bytes).await?;
    let context = context(&services, caller);
    let answer = match body {
        Value::Array(requests) => {
            if requests.is_empty() || requests.len() > bounds.max_batch {
                let detail = format!("a list has 1 to {} requests", bounds.max_batch);
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "batch_too_large", detail));
            }
            let requests = requests.into_iter().map(|request| Request::read(Fields::try_from(request)?));
            api.run_all(requests.collect::<Result<_, Problem>>()?, &context).await
        }
        request @ (Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            api.run(Request::read(Fields::try_from(request)?)?, &context).await
        }
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type(header::ContentType::json())
        .body(answer))
}

/// What the fields of that caller's request are resolved with.
fn context(services: &Services, caller: Caller) -> Context {
    let (resolver, reporter) = (services.resolver.clone(), services.reporter.clone());
    Context::new(resolver, reporter, services.base.clone(), caller, services.graphql.bounds().max_page)
}

async fn query_page(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    if !services.query_page {
        return Err(super::problem::no_such_route().await);
    }
    // The page is one file: it loads nothing, and speaks to this server only.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(include_str!("page.html")))
}

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod tests;
