//! `POST /graphql`, live updates at `GET /graphql`, and the query page `GET /graphiql`.

mod argument;
mod audit;
mod column;
mod context;
mod limits;
mod live;
mod mutation;
mod query;
mod recordings;
mod schema;
mod subscription;
mod times;
mod types;

pub use live::LiveServices;

use super::Services;
use super::body::read_object;
use super::caller::Authenticated;
use super::problem::Problem;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use context::Context;
use juniper::InputValue;
use juniper::http::GraphQLRequest;
use schema::{Schema, schema};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of the largest body.
const LARGEST_BODY: usize = 256 << 10;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .app_data(web::Data::new(schema()))
        .service(web::resource("/graphql").route(web::post().to(execute)).route(web::get().to(live::open)))
        .service(web::resource("/graphiql").route(web::get().to(query_page)));
}

async fn execute(
    request: HttpRequest,
    Authenticated(caller): Authenticated,
    payload: web::Payload,
    services: web::Data<Services>,
    schema: web::Data<Schema>,
) -> Result<HttpResponse, Problem> {
    let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
    let query = fields.text("query")?;
    let operation_name = fields.optional_text("operationName")?;
    let variables = match fields.value("variables") {
        None | Some(Value::Null) => None,
        Some(variables @ Value::Object(_)) => Some(
            InputValue::deserialize(variables)
                .map_err(|_| Problem::invalid_body("/variables", "holds a value that GraphQL does not have"))?,
        ),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(Problem::invalid_body("/variables", "must be an object"));
        }
    };
    limits::check(&query).map_err(|detail| Problem::invalid_body("/query", detail))?;
    let context = Context {
        resolver: services.resolver.clone(),
        reporter: services.reporter.clone(),
        base: services.base.clone(),
        caller,
        watching: None,
    };
    let response = GraphQLRequest::new(query, operation_name, variables).execute(&schema, &context).await;
    let mut document = serde_json::to_value(&response).unwrap_or_default();
    give_codes(&mut document);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(document))
}

/// An error without a code is one of the document: the operations give theirs.
fn give_codes(document: &mut Value) {
    give_codes_to(document.get_mut("errors"));
}

/// The same for a list of errors.
fn give_codes_to(errors: Option<&mut Value>) {
    let errors = errors.and_then(Value::as_array_mut);
    for error in errors.into_iter().flatten().filter_map(Value::as_object_mut) {
        if error.get("extensions").is_none_or(Value::is_null) {
            error.insert("extensions".into(), json!({ "code": "invalid_document" }));
        }
    }
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
mod tests;
