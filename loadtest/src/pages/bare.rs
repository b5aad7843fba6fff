//! A handler that does nothing but run the SQL of a page and write the rows.

use super::Duration;
use crate::measure::{CARE_PROVIDER, EMAIL};
use actix_web::dev::ServerHandle;
use actix_web::error::ErrorInternalServerError;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::types::Uuid;

/// The handler's server, on a thread of its own.
pub(super) struct Bare {
    url: String,
    handle: ServerHandle,
}

#[derive(Deserialize)]
struct Asked {
    patient: String,
}

#[derive(Serialize, sqlx::FromRow)]
struct Profile {
    patient_id: String,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    privacy_consent_date: Option<String>,
}

#[derive(Serialize, sqlx::FromRow)]
struct Event {
    test_event_id: Uuid,
    test_type: String,
    balance_score: Option<i64>,
    doctor_score: Option<i64>,
    notes: Option<String>,
    start_time: Option<DateTime<Utc>>,
    end_time: Option<DateTime<Utc>>,
}

#[derive(Serialize, sqlx::FromRow)]
struct Average {
    test_type: String,
    period: String,
    mean: f64,
    scores: i64,
    change: Option<f64>,
}

#[derive(Serialize)]
struct Page {
    patient: Option<Profile>,
    events: Vec<Event>,
    averages: Vec<Average>,
}

/// What authenticates and authorises a request in Stance, once.
const SESSION: &str = "SELECT sessions.session_id FROM sessions JOIN accounts USING (account_id)
     WHERE accounts.email = $1 AND sessions.expires_at > $2 AND sessions.revoked_at IS NULL LIMIT 1";
const LINKED: &str =
    "SELECT EXISTS (SELECT 1 FROM patient_care_providers WHERE care_provider_id = $1 AND patient_id = $2)";
const PATIENT: &str =
    "SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients WHERE patient_id = $1";
/// The page of Stance's `LATEST_EVENT_PAGE`, without filters that are not asked for.
const EVENTS: &str =
    "SELECT test_event_id, test_type, balance_score, doctor_score, notes, start_time, end_time FROM test_events
     WHERE patient_id = $1 AND (coalesce(start_time, created_at), test_event_id) < ($2, $3)
     ORDER BY coalesce(start_time, created_at) DESC, test_event_id DESC LIMIT 51";
/// Stance's `SCORE_AVERAGES`.
const AVERAGES: &str = "SELECT test_type, period, mean, scores, change FROM (
         SELECT test_type, to_char(period, 'YYYY-MM-DD') AS period, mean, scores,
             CASE WHEN lag(period) OVER earlier = period - interval '1 week' THEN mean - lag(mean) OVER earlier END AS change
         FROM (SELECT test_type, avg(balance_score)::double precision AS mean, count(*) AS scores,
                   date_trunc('week', coalesce(start_time, created_at) AT TIME ZONE 'UTC') AS period
               FROM test_events
               WHERE patient_id = $1 AND balance_score IS NOT NULL AND coalesce(start_time, created_at) >= $2
                   AND coalesce(start_time, created_at) < $3
               GROUP BY test_type, period) AS means
         WINDOW earlier AS (PARTITION BY test_type ORDER BY period)) AS changes
     ORDER BY test_type, period LIMIT 1000";

async fn page(pool: web::Data<PgPool>, asked: web::Json<Asked>) -> actix_web::Result<HttpResponse> {
    let page = read(&pool, &asked.patient).await.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().json(page))
}

async fn read(pool: &PgPool, patient: &str) -> sqlx::Result<Page> {
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let now = Utc::now();
    sqlx::query(SESSION).bind(EMAIL).bind(now).fetch_one(pool).await?;
    sqlx::query(LINKED).bind(CARE_PROVIDER).bind(patient).fetch_one(pool).await?;
    let profile = sqlx::query_as(PATIENT).bind(patient).fetch_optional(pool);
    let events = sqlx::query_as(EVENTS).bind(patient).bind(now).bind(Uuid::max()).fetch_all(pool);
    let averages = sqlx::query_as(AVERAGES).bind(patient).bind(now - TimeDelta::days(372)).bind(now).fetch_all(pool);
    let (patient, mut events, averages) = futures_util::try_join!(profile, events, averages)?;
    events.truncate(50);
    Ok(Page { patient, events, averages })
}

impl Bare {
    pub(super) async fn start(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let (ready, told) = std::sync::mpsc::channel();
        let database = database.clone();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                // As many connections as Stance has for requests.
                let pool =
                    PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect_lazy_with(database);
                let pool = web::Data::new(pool);
                let server = HttpServer::new(move || {
                    App::new().app_data(pool.clone()).service(web::resource("/page").route(web::post().to(page)))
                })
                .workers(2)
                .disable_signals()
                .bind("127.0.0.1:0");
                let Ok(server) = server else { return };
                let address = server.addrs().first().copied();
                let server = server.run();
                if ready.send((address, server.handle())).is_ok() {
                    let _ = server.await;
                }
            });
        });
        let (address, handle) =
            tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(10))).await??;
        let address = address.context("no address was bound")?;
        Ok(Self { url: format!("http://{address}/page"), handle })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }
}
