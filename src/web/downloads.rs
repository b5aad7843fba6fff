//! What is sent as a file: `GET /v1/objects/{token}`, where a link leads, and `GET /v1/patients/{patient_id}/export`.

use super::Services;
use super::caller::Authenticated;
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::courier::{Consignment, SendLinked, SendRecord};
use crate::actors::links::Link;
use crate::actors::resolver::{Ask, ReadRecord};
use crate::domain::ids::PatientId;
use actix_web::http::header;
use actix_web::{HttpResponse, web};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v1/objects/{token}").route(web::get().to(linked)))
        .service(web::resource("/v1/patients/{patient_id}/export").route(web::get().to(export)));
}

/// The address of a link; a token's is below `base`.
pub(super) fn address(link: Link, base: &str) -> String {
    match link {
        Link::Store(address) => address,
        Link::Token(token) => format!("{base}/v1/objects/{token}"),
    }
}

/// The token alone says who may: it was given to somebody who was asked who they are.
async fn linked(token: web::Path<String>, services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let ask = SendLinked { token: token.into_inner() };
    Ok(send(services.courier.ask_for(ask).await?))
}

async fn export(
    patient: web::Path<String>,
    Authenticated(caller): Authenticated,
    services: web::Data<Services>,
) -> Result<HttpResponse, Problem> {
    let patient: PatientId = patient.parse().map_err(|_| ServiceError::NotFound("patient"))?;
    let ask = Ask::new(caller, ReadRecord { patient });
    let leave = services.resolver.ask_for(ask).await?;
    Ok(send(services.courier.ask_for(SendRecord { leave }).await?))
}

fn send(consignment: Consignment) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(consignment.media_type)
        .insert_header((header::CONTENT_DISPOSITION, consignment.disposition))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .streaming(consignment.body)
}
