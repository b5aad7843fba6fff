//! `/v2`: the Open Inference Protocol, with its repository, statistics and binary-tensor extensions. docs/MODEL-SERVER.md says what
//! a model takes and gives.

mod infer;
mod repository;

use super::Services;
use super::caller::Authenticated;
use super::problem::{InferenceProblem, Problem};
use crate::actors::ServiceError;
use crate::actors::inference::{Asked, Described};
use crate::domain::ids::{ModelName, ModelVersion};
use crate::scoring::exchange;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

type Answer = Result<HttpResponse, InferenceProblem>;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/v2").route(web::get().to(server)))
        .service(web::resource("/v2/health/live").route(web::get().to(live)))
        .service(web::resource("/v2/health/ready").route(web::get().to(ready)))
        .service(web::resource("/v2/repository/index").route(web::post().to(repository::index)))
        .service(web::resource("/v2/repository/models/{model_name}/load").route(web::post().to(repository::load)))
        .service(web::resource("/v2/repository/models/{model_name}/unload").route(web::post().to(repository::unload)))
        // Before models: no model has this name.
        .service(web::resource("/v2/models/stats").route(web::get().to(repository::all_statistics)))
        .service(web::resource("/v2/models/{model_name}").route(web::get().to(model)))
        .service(web::resource("/v2/models/{model_name}/ready").route(web::get().to(model_ready)))
        .service(web::resource("/v2/models/{model_name}/infer").route(web::post().to(infer::infer)))
        .service(web::resource("/v2/models/{model_name}/stats").route(web::get().to(repository::statistics)))
        .service(web::resource("/v2/models/{model_name}/versions/{model_version}").route(web::get().to(model)))
        .service(
            web::resource("/v2/models/{model_name}/versions/{model_version}/ready").route(web::get().to(model_ready)),
        )
        .service(
            web::resource("/v2/models/{model_name}/versions/{model_version}/infer").route(web::post().to(infer::infer)),
        )
        .service(
            web::resource("/v2/models/{model_name}/versions/{model_version}/stats")
                .route(web::get().to(repository::statistics)),
        );
}

/// The model that a path names. What cannot be a name is the name of nothing.
fn asked(request: &HttpRequest) -> Result<Asked, ServiceError> {
    let parts = request.match_info();
    let absent = || ServiceError::NotFound("model");
    let name = ModelName::new(parts.get("model_name").unwrap_or_default()).map_err(|_| absent())?;
    let version = parts.get("model_version").map(ModelVersion::new).transpose().map_err(|_| absent())?;
    Ok(Asked { name, version })
}

async fn server(caller: Result<Authenticated, Problem>, services: web::Data<Services>) -> Answer {
    let Authenticated(caller) = caller?;
    services.inference.admit(&caller).await?;
    Ok(HttpResponse::Ok().json(json!({
        "name": exchange::PLATFORM,
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_repository", "model_repository(unload_dependents)", "statistics"],
    })))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

async fn ready(services: web::Data<Services>) -> Result<HttpResponse, InferenceProblem> {
    if super::health::is_ready(&services).await {
        return Ok(HttpResponse::Ok().json(json!({ "ready": true })));
    }
    let detail = "the server is not ready";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).into())
}

async fn model(request: HttpRequest, caller: Result<Authenticated, Problem>, services: web::Data<Services>) -> Answer {
    let Authenticated(caller) = caller?;
    let Described { name, versions } = services.inference.describe(&caller, &asked(&request)?).await?;
    Ok(HttpResponse::Ok().json(json!({
        "name": name.as_str(),
        "versions": versions.iter().map(ModelVersion::as_str).collect::<Vec<_>>(),
        "platform": exchange::PLATFORM,
        "inputs": exchange::inputs(),
        "outputs": exchange::outputs(),
    })))
}

async fn model_ready(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    services: web::Data<Services>,
) -> Answer {
    let Authenticated(caller) = caller?;
    let asked = asked(&request)?;
    if services.inference.is_ready(&caller, &asked).await? {
        return Ok(HttpResponse::Ok().json(json!({ "name": asked.name.as_str(), "ready": true })));
    }
    let detail = "the model was unloaded; an admin may load it".to_owned();
    Err(ServiceError::Conflict { code: "model_unloaded", detail }.into())
}
