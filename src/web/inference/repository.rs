//! The repository and statistics extensions of `/v2`.

use super::{Answer, asked};
use crate::actors::inference::{Asked, Counted, Listing, MOST_LISTED, State};
use crate::domain::access::Caller;
use crate::domain::ids::ModelName;
use crate::domain::recording::Refusal;
use crate::scoring::statistics::Taken;
use crate::web::Services;
use crate::web::body::read_bytes;
use crate::web::caller::Authenticated;
use crate::web::problem::{InferenceProblem, Problem};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of the largest body.
const LARGEST_BODY: usize = 64 << 10;

/// What an index is asked for.
#[derive(Debug, Deserialize, Default)]
struct IndexRequest {
    /// Only what may be asked.
    #[serde(default)]
    ready: bool,
    /// The last name of the page before.
    #[serde(default)]
    after: String,
    /// Models in the page.
    limit: Option<u32>,
}

pub(super) async fn index(
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Answer {
    let Authenticated(caller) = caller?;
    let IndexRequest { ready, after, limit } = read_optional(payload).await?;
    if !after.is_empty() {
        let name = ModelName::new(after.as_str());
        name.map_err(|error| Problem::invalid_body("/after", error.to_string()))?;
    }
    let listed = services.inference.list(&caller, &after, limit.unwrap_or(MOST_LISTED)).await?;
    let shown = listed.iter().filter(|listing| !ready || is_ready(listing.state)).map(shown);
    Ok(HttpResponse::Ok().json(shown.collect::<Vec<_>>()))
}

fn is_ready(state: State) -> bool {
    match state {
        State::Loaded | State::Known => true,
        State::Withheld | State::Retired => false,
    }
}

fn shown(Listing { name, version, state }: &Listing) -> Value {
    let reason = match state {
        State::Loaded => "",
        State::Known => "not in memory: loaded when it is asked",
        State::Withheld => "unloaded",
        State::Retired => "a recording that it learned from was deleted",
    };
    let state = if is_ready(*state) { "READY" } else { "UNAVAILABLE" };
    json!({ "name": name.as_str(), "version": version.as_str(), "state": state, "reason": reason })
}

pub(super) async fn load(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Answer {
    let (caller, name) = operator(&request, caller, payload).await?;
    services.inference.load(&caller, &name).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

pub(super) async fn unload(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Answer {
    let (caller, name) = operator(&request, caller, payload).await?;
    services.inference.unload(&caller, &name).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Who loads or unloads, and which model.
async fn operator(
    request: &HttpRequest,
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
) -> Result<(Caller, ModelName), InferenceProblem> {
    let Authenticated(caller) = caller?;
    let Asked { name, .. } = asked(request)?;
    // What a client asks for besides, such as another configuration, is not to be had.
    let _: Value = read_optional(payload).await?;
    Ok((caller, name))
}

pub(super) async fn statistics(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    services: web::Data<Services>,
) -> Answer {
    let Authenticated(caller) = caller?;
    Ok(told(&services.inference.statistics(&caller, &asked(&request)?).await?))
}

pub(super) async fn all_statistics(caller: Result<Authenticated, Problem>, services: web::Data<Services>) -> Answer {
    let Authenticated(caller) = caller?;
    Ok(told(&services.inference.all_statistics(&caller).await?))
}

fn told(counted: &[Counted]) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "model_stats": counted.iter().map(one).collect::<Vec<_>>() }))
}

fn one(Counted { label, statistics }: &Counted) -> Value {
    let taken = |Taken { count, ns }: Taken| json!({ "count": count, "ns": ns });
    let batches = statistics.batches.iter().map(|(rows, batch)| {
        json!({ "batch_size": rows, "compute_input": taken(batch.input), "compute_infer": taken(batch.infer),
                "compute_output": taken(batch.output) })
    });
    json!({
        "name": label.name,
        "version": label.version,
        "last_inference": statistics.last_inference_ms,
        "inference_count": statistics.inferences,
        "execution_count": statistics.executions,
        "inference_stats": {
            "success": taken(statistics.success),
            "fail": taken(statistics.fail),
            "queue": taken(statistics.queue),
            "compute_input": taken(statistics.input),
            "compute_infer": taken(statistics.infer),
            "compute_output": taken(statistics.output),
            "cache_hit": taken(Taken { count: statistics.hits, ns: 0 }),
            "cache_miss": taken(statistics.loads),
        },
        "batch_stats": batches.collect::<Vec<_>>(),
    })
}

/// A small JSON body, or none.
async fn read_optional<T: for<'a> Deserialize<'a> + Default>(payload: web::Payload) -> Result<T, InferenceProblem> {
    let body = read_bytes(payload, LARGEST_BODY).await?;
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|error| {
        let place = format!("the body cannot be read (line {}, column {})", error.line(), error.column());
        Refusal::malformed("malformed_request", place).into()
    })
}
