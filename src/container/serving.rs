//! Serving: the platform says what is loaded; this obeys and reports.

use super::folder;
use super::payload::{self, PayloadError, Written};
use crate::domain::clock::SharedClock;
use crate::scoring::engine::{Engine, EngineError, EngineLimits, LoadError, Request};
use crate::scoring::statistics::Label;
use crate::scoring::turns::Urgency;
use actix_web::body::BoxBody;
use actix_web::dev::Server;
use actix_web::http::{StatusCode, header};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use stance_models::cache::{Eviction, Source};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest that an answer may take: the platform waits 60 s.
const DEADLINE: Duration = Duration::from_secs(55);
/// How long a body may take to arrive.
const LONGEST_ARRIVAL: Duration = Duration::from_secs(30);
/// Bytes of an invocation at most; the platform sends 6 MB.
const LARGEST_BODY: usize = 16 << 20;
/// Bytes of a load's document at most.
const LARGEST_LOAD: usize = 64 << 10;
/// Models that one page names.
const PAGE: usize = 100;
/// Seconds that requests under way get when the platform ends the container: it kills after 30.
const DRAIN_SECONDS: u64 = 25;
/// Characters of a model's name at most.
const LONGEST_NAME: usize = 1_024;
/// What the one model of a container for one is kept under. No name of the platform is empty.
const ONLY: &str = "";

/// How a container serves.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Where it listens.
    pub bind: SocketAddr,
    /// `/opt/ml`.
    pub root: PathBuf,
    /// Bytes of loaded models.
    pub memory_bytes: usize,
    /// Threads.
    pub processors: usize,
}

#[derive(Debug, Clone)]
struct Container {
    engine: Engine,
    root: Arc<Path>,
    /// Where each loaded model came from, by name.
    loaded: Arc<Mutex<BTreeMap<String, String>>>,
}

/// Binds the port and serves, after the container's own model is loaded where there is one under `model`; gives the address that it
/// got.
///
/// # Errors
/// When that model cannot be loaded or the port not be bound.
pub async fn serve(serving: &Serving, clock: SharedClock) -> anyhow::Result<(SocketAddr, Server)> {
    let limits = EngineLimits {
        cache_bytes: serving.memory_bytes,
        eviction: Eviction::Never,
        at_once: serving.processors,
        in_hand: 256,
        failed_for: Duration::ZERO,
        counted: 1_000,
    };
    let container =
        Container { engine: Engine::new(&limits, clock), root: serving.root.clone().into(), loaded: Arc::default() };
    let own = serving.root.join("model");
    if std::fs::read_dir(&own).is_ok_and(|mut files| files.next().is_some()) {
        container.load_from(ONLY, own).await.map_err(|error| anyhow::anyhow!("the model cannot be served: {error}"))?;
    }
    let data = web::Data::new(container);
    let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(configure))
        .workers(serving.processors)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .bind(serving.bind)?;
    let address = server.addrs().first().copied().ok_or_else(|| anyhow::anyhow!("no address was bound"))?;
    Ok((address, server.run()))
}

fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/ping").route(web::get().to(ping)))
        .service(web::resource("/metrics").route(web::get().to(metrics)))
        .service(web::resource("/invocations").route(web::post().to(invoke_only)))
        .service(web::resource("/models").route(web::post().to(load)).route(web::get().to(list)))
        // What is asked most comes first: routes are tried in order.
        .service(web::resource("/models/{name}/invoke").route(web::post().to(invoke)))
        .service(web::resource("/models/{name}").route(web::get().to(describe)).route(web::delete().to(unload)));
}

/// Why the platform is not answered as it wants.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("the body is too large, or did not arrive")]
    Body,
    #[error("the model is loaded already")]
    LoadedAlready,
    #[error("the model is not loaded")]
    NotLoaded,
    #[error("{0}")]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the answer could not be written")]
    Unwritten,
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LoadedAlready => StatusCode::CONFLICT,
            Self::NotLoaded | Self::Engine(EngineError::NotLoaded) => StatusCode::NOT_FOUND,
            Self::Engine(EngineError::NoRoom) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Engine(EngineError::Busy | EngineError::TooSlow) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Engine(
                EngineError::Row { .. }
                | EngineError::Recording { .. }
                | EngineError::Load(LoadError::Refused(_) | LoadError::Newer | LoadError::Missing | LoadError::Corrupt),
            ) => StatusCode::BAD_REQUEST,
            Self::Engine(EngineError::Load(LoadError::Away(_) | LoadError::Failed(_)) | EngineError::NotDone)
            | Self::Unwritten => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::build(self.status_code()).json(json!({ "error": self.to_string() }))
    }
}

async fn ping() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn metrics(container: web::Data<Container>) -> HttpResponse {
    let text = container.engine.statistics().prometheus() + "# EOF\n";
    HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text)
}

#[derive(Deserialize)]
struct LoadDocument {
    model_name: String,
    url: String,
}

async fn load(container: web::Data<Container>, payload: web::Payload) -> Result<HttpResponse, Refusal> {
    let body = body(payload, LARGEST_LOAD).await?;
    let wrong = |_| Refusal::Malformed("the body must be {\"model_name\": ..., \"url\": ...}".to_owned());
    let LoadDocument { model_name, url } = serde_json::from_slice(&body).map_err(wrong)?;
    if model_name.is_empty() || model_name.chars().count() > LONGEST_NAME {
        return Err(Refusal::Malformed(format!("model_name must have 1 to {LONGEST_NAME} characters")));
    }
    if container.loaded().contains_key(&model_name) {
        return Err(Refusal::LoadedAlready);
    }
    let folder = container.folder(&url)?;
    match container.load_from(&model_name, folder).await? {
        Source::LoadedNow => container.loaded().insert(model_name, url),
        Source::There => return Err(Refusal::LoadedAlready),
    };
    Ok(HttpResponse::Ok().json(json!({})))
}

#[derive(Deserialize)]
struct PageQuery {
    next_page_token: Option<String>,
}

async fn list(container: web::Data<Container>, query: web::Query<PageQuery>) -> HttpResponse {
    use std::ops::Bound::{Excluded, Unbounded};
    let loaded = container.loaded();
    let after = query.next_page_token.as_deref().map_or(Unbounded, Excluded);
    let mut models = loaded.range::<str, _>((after, Unbounded));
    let page: Vec<_> = models.by_ref().take(PAGE).collect();
    let mut document = json!({ "models": page.iter().map(|(name, url)| described(name, url)).collect::<Vec<_>>() });
    if models.next().is_some()
        && let (Some((last, _)), Some(fields)) = (page.last(), document.as_object_mut())
    {
        fields.insert("nextPageToken".to_owned(), json!(last));
    }
    HttpResponse::Ok().json(document)
}

async fn describe(container: web::Data<Container>, name: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let loaded = container.loaded();
    let url = loaded.get(name.as_str()).ok_or(Refusal::NotLoaded)?;
    Ok(HttpResponse::Ok().json(described(&name, url)))
}

fn described(name: &str, url: &str) -> Value {
    json!({ "modelName": name, "modelUrl": url })
}

async fn unload(container: web::Data<Container>, name: web::Path<String>) -> Result<HttpResponse, Refusal> {
    container.loaded().remove(name.as_str()).ok_or(Refusal::NotLoaded)?;
    container.engine.unload(&name.as_str().into()).await;
    Ok(HttpResponse::Ok().json(json!({})))
}

async fn invoke(
    request: HttpRequest,
    container: web::Data<Container>,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    if !container.loaded().contains_key(name.as_str()) {
        return Err(Refusal::NotLoaded);
    }
    container.invoked(&request, &name, payload).await
}

async fn invoke_only(
    request: HttpRequest,
    container: web::Data<Container>,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    container.invoked(&request, ONLY, payload).await
}

impl Container {
    /// Asks a model that is loaded.
    async fn invoked(&self, request: &HttpRequest, name: &str, payload: web::Payload) -> Result<HttpResponse, Refusal> {
        let place = self.engine.admit()?;
        let body = body(payload, LARGEST_BODY).await?;
        let (inputs, form) = payload::read(is_csv(request), &body)?;
        // The platform's names may be made of anything: they are no labels.
        let label = Label {
            name: if name == ONLY { "model".to_owned() } else { "models".to_owned() },
            version: "1".to_owned(),
        };
        let asked = Request {
            place,
            label: label.clone(),
            inputs,
            urgency: Urgency::Interactive,
            deadline: Instant::now() + DEADLINE,
        };
        let predictions = self.engine.answer_if_loaded(&name.into(), asked).await?;
        let begun = Instant::now();
        let Written { media, body } = payload::write(&form, name, &predictions).map_err(|_| Refusal::Unwritten)?;
        self.engine.statistics().written(&label, predictions.len(), begun.elapsed());
        Ok(HttpResponse::Ok().content_type(media).body(body))
    }

    async fn load_from(&self, name: &str, from: PathBuf) -> Result<Source, EngineError> {
        let fetch = || {
            let from = from.clone();
            async move {
                let read = tokio::task::spawn_blocking(move || folder::read(&from)).await;
                read.unwrap_or(Err(LoadError::Failed("the work was not done")))
            }
        };
        self.engine.load(&name.into(), fetch).await
    }

    /// The folder that the platform names, which must lie under ours.
    fn folder(&self, url: &str) -> Result<PathBuf, Refusal> {
        let elsewhere = || Refusal::Malformed("url must be a folder under /opt/ml/models".to_owned());
        let folder = Path::new(url).canonicalize().map_err(|_| elsewhere())?;
        let models = self.root.join("models").canonicalize().map_err(|_| elsewhere())?;
        if folder.starts_with(&models) && folder.is_dir() { Ok(folder) } else { Err(elsewhere()) }
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_csv(request: &HttpRequest) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/csv")
}

async fn body(payload: web::Payload, limit: usize) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(LONGEST_ARRIVAL, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(Refusal::Body),
    }
}
