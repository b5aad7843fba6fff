//! What must hold for a configuration: every value within its bounds, and nothing asked for that is not compiled in.

use super::{Config, ConfigError, LakeEngine, ScoringBackend};

/// Bytes of memory without which no query runs.
const SMALLEST_QUERY: usize = 16 << 20;
/// Bytes of models without which none may have room.
const SMALLEST_CACHE: usize = 1 << 20;
/// Seconds that a link into a bucket can be good for at most.
const LONGEST_LINK: u64 = 604_800;

impl Config {
    /// Checks every value, and that what is asked for is compiled in.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("http.workers", self.http.workers as u64),
            ("http.disk_threads", self.http.disk_threads as u64),
            ("compute.threads", self.compute.threads as u64),
            ("http.keep_alive_seconds", self.http.keep_alive_seconds),
            ("http.max_connections", self.http.max_connections as u64),
            ("database.readers", self.database.readers.into()),
            ("database.acquire_timeout_seconds", self.database.acquire_timeout_seconds),
            ("database.statement_timeout_seconds", self.database.statement_timeout_seconds),
            ("objects.max_read_bytes", self.objects.max_read_bytes),
            ("objects.timeout_seconds", self.objects.timeout_seconds),
            ("objects.max_attempts", self.objects.max_attempts.into()),
            ("ingest.sqs_at_once", self.ingest.sqs_at_once as u64),
            ("ingest.sqs_hidden_seconds", self.ingest.sqs_hidden_seconds),
            ("ingest.at_once", self.ingest.at_once as u64),
            ("uploads.max_bytes", self.uploads.max_bytes),
            ("uploads.max_open", self.uploads.max_open as u64),
            ("uploads.max_open_per_account", self.uploads.max_open_per_account as u64),
            ("uploads.longest_seconds", self.uploads.longest_seconds),
            ("uploads.idle_timeout_seconds", self.uploads.idle_timeout_seconds),
            ("training.minimum", self.training.minimum.max(0).unsigned_abs()),
            ("training.every", self.training.every.max(0).unsigned_abs()),
            ("training.at_once", self.training.at_once as u64),
            ("training.max_trainers", self.training.max_trainers as u64),
            ("lake.at_once", self.lake.at_once as u64),
            ("lake.deadline_seconds", self.lake.deadline_seconds),
            ("lake.max_rows", self.lake.max_rows),
            ("lake.max_result_bytes", self.lake.max_result_bytes),
            ("lake.compact_recordings", self.lake.compact_recordings.into()),
            ("lake.compact_samples", self.lake.compact_samples),
            ("lake.max_files", self.lake.max_files.into()),
            ("graphql.at_once", self.graphql.at_once as u64),
            ("graphql.deadline_seconds", self.graphql.deadline_seconds),
            ("graphql.max_body_bytes", self.graphql.max_body_bytes as u64),
            ("graphql.max_batch", self.graphql.max_batch as u64),
            ("graphql.max_document_bytes", self.graphql.max_document_bytes as u64),
            ("graphql.max_tokens", self.graphql.max_tokens as u64),
            ("graphql.max_depth", self.graphql.max_depth as u64),
            ("graphql.max_fields", self.graphql.max_fields as u64),
            ("graphql.max_root_fields", self.graphql.max_root_fields),
            ("graphql.max_cost", self.graphql.max_cost),
            ("graphql.max_page", self.graphql.max_page.into()),
            ("live.max_connections", self.live.max_connections as u64),
            ("live.max_connections_per_account", self.live.max_connections_per_account as u64),
            ("live.max_subscriptions", self.live.max_subscriptions as u64),
            ("live.max_message_bytes", self.live.max_message_bytes as u64),
            ("live.max_waiting", self.live.max_waiting as u64),
            ("live.init_seconds", self.live.init_seconds),
            ("live.ping_seconds", self.live.ping_seconds),
            ("live.stalled_seconds", self.live.stalled_seconds),
            ("live.recheck_seconds", self.live.recheck_seconds),
            ("live.look_ms", self.live.look_ms),
            ("reports.link_seconds", self.reports.link_seconds),
            ("reports.at_once", self.reports.at_once as u64),
            ("reports.requests_at_once", self.reports.requests_at_once as u64),
            ("reports.deadline_seconds", self.reports.deadline_seconds),
            ("reports.downloads_at_once", self.reports.downloads_at_once as u64),
            ("reports.exports_at_once", self.reports.exports_at_once as u64),
            ("reports.idle_seconds", self.reports.idle_seconds),
            ("reports.longest_seconds", self.reports.longest_seconds),
            ("reports.export_events", self.reports.export_events.into()),
            ("auth.hashes_at_once", self.auth.hashes_at_once as u64),
            ("scoring.workers", self.scoring.workers as u64),
            ("inference.in_hand", self.inference.in_hand as u64),
            ("inference.deadline_ms", self.inference.deadline_ms),
            ("inference.max_body_bytes", self.inference.max_body_bytes as u64),
            ("inference.max_rows", self.inference.max_rows as u64),
            ("inference.counted_models", self.inference.counted_models as u64),
            ("audit.waiting", self.audit.waiting as u64),
            ("audit.at_once", self.audit.at_once as u64),
            ("audit.longest_wait_seconds", self.audit.longest_wait_seconds),
            ("audit.unknown_every_seconds", self.audit.unknown_every_seconds),
            ("audit.unknown_apart", self.audit.unknown_apart as u64),
            ("queue.lease_seconds", self.queue.lease_seconds),
            ("queue.max_attempts", self.queue.max_attempts.max(0).unsigned_abs()),
            ("queue.tick_ms", self.queue.tick_ms),
            ("queue.converts_at_once", self.queue.converts_at_once as u64),
            ("queue.scores_at_once", self.queue.scores_at_once as u64),
            ("queue.deletions_at_once", self.queue.deletions_at_once as u64),
            ("supervision.mailbox", self.supervision.mailbox as u64),
            ("supervision.probe_every_ms", self.supervision.probe_every_ms),
            ("supervision.stuck_after_ms", self.supervision.stuck_after_ms),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(ConfigError::NotAllowed { key, problem: "must be at least 1".into() });
            }
        }
        if self.http.bind.parse::<std::net::SocketAddr>().is_err() {
            return not_allowed("http.bind", "must be an address and a port such as 127.0.0.1:8080");
        }
        if self.http.public_url.as_deref().is_some_and(|url| !is_base(url)) {
            return not_allowed("http.public_url", "must be an address such as https://stance.example.org");
        }
        if self.reports.link_seconds > LONGEST_LINK {
            return not_allowed("reports.link_seconds", "must be at most 604800, a week");
        }
        if self.training.max_trainers < self.training.at_once {
            return not_allowed("training.max_trainers", "must be at least training.at_once");
        }
        self.auth.check()?;
        self.mail.check()?;
        // What reads a document calls itself for each level.
        if self.graphql.max_depth > 64 {
            return not_allowed("graphql.max_depth", "must be at most 64");
        }
        // Pages are read as a whole.
        if self.graphql.max_page > 1_000 {
            return not_allowed("graphql.max_page", "must be at most 1000");
        }
        if self.graphql.only_persisted && self.graphql.persisted_documents.is_none() {
            return not_allowed("graphql.only_persisted", "needs graphql.persisted_documents");
        }
        if let Some(file) = &self.graphql.persisted_documents
            && let Err(error) = std::fs::File::open(file)
        {
            return not_allowed("graphql.persisted_documents", &format!("{} cannot be read: {error}", file.display()));
        }
        if self.queue.lease_seconds * 1_000 < 4 * self.queue.tick_ms {
            return not_allowed(
                "queue.lease_seconds",
                "must be at least four times queue.tick_ms, or leases end under way",
            );
        }
        if self.database.connections < 2 {
            return not_allowed("database.connections", "must be at least 2");
        }
        match self.database.url.strip_prefix("sqlite://") {
            Some("") => return not_allowed("database.url", "names no path after sqlite://"),
            Some(_) => {}
            None if is_postgres(&self.database.url)? => {}
            None => return not_allowed("database.url", "must begin with sqlite:// or postgres://"),
        }
        self.objects.check()?;
        if self.objects.max_read_bytes < self.uploads.max_bytes {
            return not_allowed("objects.max_read_bytes", "must be at least uploads.max_bytes");
        }
        if self.ingest.sqs_url.is_some() {
            if cfg!(not(feature = "aws")) {
                return not_compiled("ingest.sqs_url", "Amazon SQS");
            }
            if self.objects.bucket().is_none() {
                return not_allowed("ingest.sqs_url", "tells of a bucket: objects.url must be s3://");
            }
        }
        if self.scoring.cache_bytes < SMALLEST_CACHE {
            return not_allowed("scoring.cache_bytes", "must be at least 1 MiB");
        }
        if self.scoring.backend == ScoringBackend::Sagemaker {
            return not_supported("scoring.backend", "Amazon SageMaker");
        }
        for (key, name) in
            [("lake.athena.database", &self.lake.athena.database), ("lake.athena.table", &self.lake.athena.table)]
        {
            if name.is_empty() {
                return not_allowed(key, "must be a name");
            }
        }
        if self.lake.compact_grace_seconds < 2 * self.lake.deadline_seconds {
            return not_allowed(
                "lake.compact_grace_seconds",
                "must be at least twice lake.deadline_seconds, or queries lose files under way",
            );
        }
        if self.lake.memory_bytes < SMALLEST_QUERY {
            return not_allowed("lake.memory_bytes", "must be at least 16 MiB");
        }
        if self.lake.engine == LakeEngine::Athena {
            if cfg!(not(all(feature = "aws", feature = "lake"))) {
                return not_compiled("lake.engine", "Amazon Athena");
            }
            if self.lake.athena.output.as_ref().is_some_and(|output| !output.starts_with("s3://")) {
                return not_allowed("lake.athena.output", "must begin with s3://");
            }
        }
        Ok(())
    }
}

/// Whether other addresses can be made by adding a path.
fn is_base(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// Whether a URL is PostgreSQL's; it must name a database then. What is wrong is said without the URL's password.
fn is_postgres(url: &str) -> Result<bool, ConfigError> {
    let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
        return Ok(false);
    };
    let address = rest.split_once('?').map_or(rest, |(address, _)| address);
    if address.rsplit_once('/').is_none_or(|(_, name)| name.is_empty()) {
        not_allowed("database.url", "must have the form postgres://USER:PASSWORD@HOST:PORT/NAME")?;
    }
    Ok(true)
}

/// A backend that is not compiled into this program.
pub(super) fn not_compiled(key: &'static str, what: &str) -> Result<(), ConfigError> {
    not_allowed(
        key,
        &format!(
            "{what} is not compiled into this program; build it with `cargo build --release --features aws,lake`, or use the container image"
        ),
    )
}

/// A backend that is not there yet in this version.
fn not_supported(key: &'static str, what: &str) -> Result<(), ConfigError> {
    not_allowed(key, &format!("{what} is not supported by this version; use the embedded backend (leave {key} out)"))
}

pub(super) fn not_allowed(key: &'static str, problem: &str) -> Result<(), ConfigError> {
    Err(ConfigError::NotAllowed { key, problem: problem.to_owned() })
}
