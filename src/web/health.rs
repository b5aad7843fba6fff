//! `/healthz`, `/readyz`, `/metrics`.

use super::Services;
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::supervision::Probe;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;
use std::time::Duration;

/// Longest that one check of readiness may take.
const CHECK: Duration = Duration::from_secs(2);

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/healthz").route(web::get().to(alive)))
        .service(web::resource("/readyz").route(web::get().to(ready)))
        .service(web::resource("/metrics").route(web::get().to(metrics)));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

async fn ready(services: web::Data<Services>) -> HttpResponse {
    let Readiness { database, objects, actors } = readiness(&services).await;
    let ready = database && objects && actors;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status)
        .json(json!({ "ready": ready, "database": database, "objects": objects, "actors": actors }))
}

/// Whether everything that serving needs is there.
pub(super) async fn is_ready(services: &Services) -> bool {
    let Readiness { database, objects, actors } = readiness(services).await;
    database && objects && actors
}

struct Readiness {
    database: bool,
    objects: bool,
    actors: bool,
}

async fn readiness(services: &Services) -> Readiness {
    let (database, objects, auth, resolver, ingest) = tokio::join!(
        tokio::time::timeout(CHECK, services.database.ping()),
        tokio::time::timeout(CHECK, services.objects.ping()),
        services.session_auth.ask_within(CHECK, Probe),
        services.resolver.ask_within(CHECK, Probe),
        services.ingest.ask_within(CHECK, Probe),
    );
    let database = matches!(database, Ok(Ok(())));
    let objects = matches!(objects, Ok(Ok(())));
    let silent: Vec<_> = services.actors.iter().filter(|actor| !actor.get()).map(|actor| actor.name).collect();
    let actors = auth.is_ok() && resolver.is_ok() && ingest.is_ok() && silent.is_empty();
    Readiness { database, objects, actors }
}

async fn metrics(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let queue = services.database.queue_depths().await.map_err(ServiceError::from)?;
    let engine = services.inference.engine();
    services.metrics.model_cache(engine.cache());
    let text = services
        .metrics
        .encode(&queue, services.database.statements(), &engine.statistics().prometheus(), services.clock.now())
        .map_err(|error| ServiceError::Internal(error.into()))?;
    Ok(HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text))
}
