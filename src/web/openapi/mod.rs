//! `GET /openapi.json`: the HTTP surface, described (OpenAPI 3.1).

mod documents;
mod inference_documents;
mod operation;
mod routes;

use super::Services;
use super::problem::{Problem, no_such_route};
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use operation::BEARER;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder};

/// Adds the route.
pub fn configure(routes: &mut web::ServiceConfig) {
    let printed = web::Bytes::from(printed());
    routes
        .service(web::resource("/openapi.json").route(web::get().to(move |services| serve(services, printed.clone()))));
}

async fn serve(services: web::Data<Services>, printed: web::Bytes) -> Result<HttpResponse, Problem> {
    if !services.openapi {
        return Err(no_such_route().await);
    }
    let response = HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type("application/json")
        .body(printed);
    Ok(response)
}

/// The description as it is served.
fn printed() -> String {
    let mut text = description().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn description() -> OpenApi {
    let (mut paths, mut components) = (PathsBuilder::new(), ComponentsBuilder::new());
    for described in routes::all() {
        paths = paths.path(described.path, PathItem::new(described.method, described.operation));
        components = components.schemas_from_iter(described.schemas);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of a session; older clients send it without `Bearer `"));
    let info = InfoBuilder::new()
        .title("Stance")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Errors are problem documents (RFC 9457) with a stable `code`. What a caller may not see is answered as what is not there."));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components.security_scheme(BEARER, SecurityScheme::Http(bearer.build())).build()))
        .build()
}

#[cfg(test)]
mod tests;
