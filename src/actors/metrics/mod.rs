//! Counters, gauges and durations. Labels hold names of routes, stages and actors, never anything of a person.

mod trust;

pub use trust::ScoreSigns;

use crate::storage::database::QueueDepth;
use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stance_models::cache::CacheCounters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use trust::Trust;

/// Bucket bounds of durations, seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ActorLabels {
    actor: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RestartLabels {
    actor: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    kind: &'static str,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LiveMessageLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CacheLabels {
    event: &'static str,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of the program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    http: Durations<RouteLabels>,
    stages: Durations<StageLabels>,
    in_flight: Family<StageLabels, Gauge>,
    restarts: Family<RestartLabels, Counter>,
    actors: Family<ActorLabels, Gauge>,
    queue_jobs: Family<QueueLabels, Gauge>,
    queue_age: Family<QueueLabels, Gauge<f64, AtomicU64>>,
    uploads_open: Gauge,
    model_cache: Family<CacheLabels, Gauge>,
    database_statements: Counter,
    live_connections: Gauge,
    live_subscriptions: Gauge,
    live_messages: Family<LiveMessageLabels, Counter>,
    live_changes: Family<OutcomeLabels, Counter>,
    live_lag: Histogram,
    bucket_events: Family<OutcomeLabels, Counter>,
    provider_looks: Family<OutcomeLabels, Counter>,
    mails: Family<OutcomeLabels, Counter>,
    audit_records: Family<OutcomeLabels, Counter>,
    trust: Trust,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at zero.
    #[must_use]
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut registry = Registry::with_prefix("stance");
        let mut inner = Inner {
            trust: Trust::new(&mut registry),
            registry,
            http: Family::new_with_constructor(histogram),
            stages: Family::new_with_constructor(histogram),
            in_flight: Family::default(),
            restarts: Family::default(),
            actors: Family::default(),
            queue_jobs: Family::default(),
            queue_age: Family::default(),
            uploads_open: Gauge::default(),
            model_cache: Family::default(),
            bucket_events: Family::default(),
            audit_records: Family::default(),
            database_statements: Counter::default(),
            live_connections: Gauge::default(),
            live_subscriptions: Gauge::default(),
            live_messages: Family::default(),
            live_changes: Family::default(),
            live_lag: Histogram::new(SECONDS),
            provider_looks: Family::default(),
            mails: Family::default(),
        };
        let r = &mut inner.registry;
        r.register("http_request_duration_seconds", "HTTP requests by route pattern and status", inner.http.clone());
        r.register("stage_duration_seconds", "Steps of the pipeline", inner.stages.clone());
        r.register("stage_in_flight", "Steps under way", inner.in_flight.clone());
        r.register("actor_restarts", "Rebuilt actors, by what befell them", inner.restarts.clone());
        r.register("actors", "Actors that run", inner.actors.clone());
        r.register("queue_jobs", "Jobs in the durable queue", inner.queue_jobs.clone());
        r.register("queue_oldest_age_seconds", "Age of the oldest job", inner.queue_age.clone());
        r.register("uploads_open", "Uploads whose body is arriving", inner.uploads_open.clone());
        r.register(
            "model_cache",
            "The cache of loaded models: bytes, models, hits, misses, evictions, failures",
            inner.model_cache.clone(),
        );
        r.register(
            "database_statements",
            "Statements sent to the database, beginnings and ends of transactions included",
            inner.database_statements.clone(),
        );
        r.register("bucket_events", "What the bucket told of, by what became of it", inner.bucket_events.clone());
        r.register("live_connections", "Open WebSockets of live updates", inner.live_connections.clone());
        r.register("live_subscriptions", "Live subscriptions", inner.live_subscriptions.clone());
        r.register("live_messages", "Messages over WebSockets, by direction", inner.live_messages.clone());
        r.register(
            "live_changes",
            "What subscriptions took: fresh, asked_anew (it waited long), absent (no longer to be seen), fell_behind",
            inner.live_changes.clone(),
        );
        r.register("live_lag_seconds", "From a recording's change to its message", inner.live_lag.clone());
        r.register(
            "provider_looks",
            "Looks at the identity provider's keys, by what became of them",
            inner.provider_looks.clone(),
        );
        r.register("mails", "Mails with a code, by what became of them", inner.mails.clone());
        r.register("audit_records", "Rows of the audit record, written or not", inner.audit_records.clone());
        Self(Arc::new(inner))
    }

    /// A WebSocket was opened (`1`) or closed (`-1`).
    pub fn live_connections(&self, change: i64) {
        self.0.live_connections.inc_by(change);
    }

    /// A live subscription began (`1`) or ended (`-1`).
    pub fn live_subscriptions(&self, change: i64) {
        self.0.live_subscriptions.inc_by(change);
    }

    /// A message came (`in`) or went (`out`) over a WebSocket.
    pub fn live_message(&self, direction: &'static str) {
        self.0.live_messages.get_or_create(&LiveMessageLabels { direction }).inc();
    }

    /// A subscription took a change.
    pub fn live_change(&self, outcome: &'static str) {
        self.0.live_changes.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// So long after the recording changed its subscriber is told.
    pub fn live_lag(&self, lag: Duration) {
        self.0.live_lag.observe(lag.as_secs_f64());
    }

    /// Something became of a mail.
    pub fn mail(&self, outcome: &'static str) {
        self.0.mails.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// The identity provider was asked for its keys.
    pub fn provider_looked_at(&self, outcome: &'static str) {
        self.0.provider_looks.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// The bucket told of something.
    pub fn bucket_event(&self, outcome: &'static str) {
        self.0.bucket_events.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// So many rows of the audit record were `written`, or `refused` by the database.
    pub fn audited(&self, rows: usize, outcome: &'static str) {
        self.0.audit_records.get_or_create(&OutcomeLabels { outcome }).inc_by(rows as u64);
    }

    /// A request was answered.
    pub fn http_request(&self, route: &str, status: u16, seconds: f64) {
        self.0.http.get_or_create(&RouteLabels { route: route.to_owned(), status }).observe(seconds);
    }

    /// A step of the pipeline ended.
    pub fn stage(&self, stage: &'static str, outcome: &'static str, took: Duration) {
        self.0.stages.get_or_create(&StageLabels { stage, outcome }).observe(took.as_secs_f64());
    }

    /// A step of the pipeline began (`1`) or ended (`-1`).
    pub fn in_flight(&self, stage: &'static str, change: i64) {
        self.0.in_flight.get_or_create(&StageLabels { stage, outcome: "" }).inc_by(change);
    }

    /// An actor was started.
    pub fn actor_started(&self, actor: &'static str) {
        self.0.actors.get_or_create(&ActorLabels { actor }).inc();
        for cause in ["died", "stuck"] {
            drop(self.0.restarts.get_or_create(&RestartLabels { actor, cause }));
        }
    }

    /// An actor was stopped for good.
    pub fn actor_stopped(&self, actor: &'static str) {
        self.0.actors.get_or_create(&ActorLabels { actor }).dec();
    }

    /// An actor was rebuilt.
    pub fn actor_restarted(&self, actor: &'static str, cause: &'static str) {
        self.0.restarts.get_or_create(&RestartLabels { actor, cause }).inc();
    }

    /// The body of an upload began (`1`) or stopped (`-1`) arriving.
    pub fn uploads_open(&self, change: i64) {
        self.0.uploads_open.inc_by(change);
    }

    /// What the cache of loaded models has seen and holds.
    pub fn model_cache(&self, cache: CacheCounters) {
        let CacheCounters { hits, misses, evictions, failures, bytes, entries } = cache;
        let (bytes, entries) = (bytes as u64, entries as u64);
        for (event, value) in [
            ("hits", hits),
            ("misses", misses),
            ("evictions", evictions),
            ("failures", failures),
            ("bytes", bytes),
            ("models", entries),
        ] {
            self.0.model_cache.get_or_create(&CacheLabels { event }).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// The text that a Prometheus server reads. `statements` is what the database was sent since it was opened, `more` are
    /// lines of others.
    ///
    /// # Errors
    /// Never in practice: writing to a string.
    pub fn encode(
        &self,
        queue: &[QueueDepth],
        statements: u64,
        more: &str,
        now: DateTime<Utc>,
    ) -> Result<String, std::fmt::Error> {
        self.0.database_statements.inner().store(statements, Ordering::Relaxed);
        self.0.queue_jobs.clear();
        self.0.queue_age.clear();
        for depth in queue {
            let labels = QueueLabels { kind: depth.kind.name(), state: depth.state.clone() };
            self.0.queue_jobs.get_or_create(&labels).set(depth.jobs);
            let age = (now - depth.oldest).to_std().unwrap_or_default();
            self.0.queue_age.get_or_create(&labels).set(age.as_secs_f64());
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.0.registry)?;
        text.push_str(more);
        encode_eof(&mut text)?;
        Ok(text)
    }
}
