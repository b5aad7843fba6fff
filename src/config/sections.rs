//! The sections of the configuration, their defaults and their rules.

use super::ConfigError;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where embedded backends keep everything.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub http: HttpConfig,
    /// Rows.
    pub database: DatabaseConfig,
    /// Objects.
    pub objects: ObjectsConfig,
    /// Arrival other than by HTTP.
    pub ingest: IngestConfig,
    /// Uploads over HTTP.
    pub uploads: UploadsConfig,
    /// Training.
    pub training: TrainingConfig,
    /// Scoring.
    pub scoring: ScoringConfig,
    /// SQL over the lake.
    pub lake: LakeConfig,
    /// Sign-in.
    pub auth: AuthConfig,
    /// The durable queue.
    pub queue: QueueConfig,
    /// Processors.
    pub compute: ComputeConfig,
    /// Supervision of actors.
    pub supervision: SupervisionConfig,
    /// GraphQL.
    pub graphql: GraphqlConfig,
    /// Log lines.
    pub log: LogConfig,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./stance-data"),
            http: HttpConfig::default(),
            database: DatabaseConfig::default(),
            objects: ObjectsConfig::default(),
            ingest: IngestConfig::default(),
            uploads: UploadsConfig::default(),
            training: TrainingConfig::default(),
            scoring: ScoringConfig::default(),
            lake: LakeConfig::default(),
            auth: AuthConfig::default(),
            queue: QueueConfig::default(),
            compute: ComputeConfig::default(),
            supervision: SupervisionConfig::default(),
            graphql: GraphqlConfig::default(),
            log: LogConfig::default(),
        }
    }
}

section!(
    /// The HTTP server.
    HttpConfig {
        /// Address and port; port 0 picks one.
        bind: String = "127.0.0.1:8080".into(),
        /// Threads that speak HTTP.
        workers: usize = 2,
        /// Threads that write arriving bodies to the disk, per worker.
        disk_threads: usize = 4,
        /// Connections at once, per thread.
        max_connections: usize = 10_000,
        /// Seconds that a client may take to send a request's head.
        head_timeout_seconds: u64 = 10,
        /// Networks of the proxies in front, such as `10.0.0.0/8`: they are believed when `X-Forwarded-For` says where a
        /// request came from.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Seconds that requests under way get when the program stops.
        drain_seconds: u64 = 20,
        /// Whether there is a GraphQL query page at `/graphiql`.
        query_page: bool = true,
    }
);

section!(
    /// Rows.
    DatabaseConfig {
        /// `sqlite://PATH`, where `{data_dir}` stands for the data folder, or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
        url: String = "sqlite://{data_dir}/stance.db".into(),
        /// Connections for reading; SQLite.
        readers: u32 = 4,
        /// Connections of this process, at least two; PostgreSQL.
        connections: u32 = 16,
        /// Seconds to wait for a connection.
        acquire_timeout_seconds: u64 = 10,
        /// Seconds that a statement may take; PostgreSQL.
        statement_timeout_seconds: u64 = 30,
    }
);

/// Encryption at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectsEncryption {
    /// What the bucket does by itself.
    #[serde(rename = "none")]
    None,
    /// With a key of S3's.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of KMS.
    #[serde(rename = "aws:kms")]
    Kms,
}

section!(
    /// Objects.
    ObjectsConfig {
        /// `file://PATH`, where `{data_dir}` stands for the data folder, or `s3://BUCKET/PREFIX`.
        url: String = "file://{data_dir}/objects".into(),
        /// Largest object that is read into memory, bytes.
        max_read_bytes: u64 = 256 << 20,
        /// Address of an S3-compatible server; none is Amazon.
        endpoint: Option<String> = None,
        /// Whether the bucket's name goes into the path of a URL; most compatible servers need it.
        path_style: bool = false,
        /// Region of the bucket; none takes `AWS_REGION`, the profile's or the machine's.
        region: Option<String> = None,
        /// `none` (what the bucket does by itself), `AES256` or `aws:kms`.
        server_side_encryption: ObjectsEncryption = ObjectsEncryption::None,
        /// Key for `aws:kms`; none is the account's own for S3.
        kms_key_id: Option<String> = None,
        /// Seconds that a request to the bucket may take with its repetitions.
        timeout_seconds: u64 = 20,
        /// Attempts of a request to the bucket.
        max_attempts: u32 = 5,
    }
);

section!(
    /// Arrival other than by HTTP.
    IngestConfig {
        /// Queue that tells of objects put into the bucket.
        sqs_url: Option<String> = None,
        /// Address of the queue's server, where that is not Amazon's.
        sqs_endpoint: Option<String> = None,
        /// Messages of the queue in hand at once.
        sqs_at_once: usize = 16,
        /// Seconds for which a message in hand is hidden from others; extended while it takes longer.
        sqs_hidden_seconds: u64 = 60,
        /// Bodies that are read and kept at once; further ones are told to come back.
        at_once: usize = 128,
        /// Bytes of parsed recordings kept for the converter.
        handover_bytes: usize = 64 << 20,
    }
);

section!(
    /// Uploads over HTTP.
    UploadsConfig {
        /// Largest body, decoded, bytes.
        max_bytes: u64 = 64 << 20,
        /// Uploads whose body arrives at once; further ones are told to come back.
        max_open: usize = 4_096,
        /// Uploads of one account whose body arrives at once.
        max_open_per_account: usize = 1_024,
        /// Seconds that a body may take to arrive.
        longest_seconds: u64 = 900,
        /// Seconds without a byte after which an upload is given up.
        idle_timeout_seconds: u64 = 30,
    }
);

section!(
    /// Training.
    TrainingConfig {
        /// Scored recordings for the first model.
        minimum: i64 = 10,
        /// Scored recordings for each next.
        every: i64 = 10,
        /// Trainings at once.
        at_once: usize = 2,
        /// Trainers, one a care provider, that live at once.
        max_trainers: usize = 16,
        /// Seconds after which an idle trainer is stopped.
        idle_seconds: u64 = 60,
    }
);

/// Who runs the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoringBackend {
    /// This process.
    Local,
    /// A SageMaker multi-model endpoint.
    Sagemaker,
}

section!(
    /// Scoring.
    ScoringConfig {
        /// `local` or `sagemaker`.
        backend: ScoringBackend = ScoringBackend::Local,
        /// Scorers, each with a model cache of its own.
        workers: usize = 2,
        /// Bytes of models in the caches of all scorers.
        cache_bytes: usize = 64 << 20,
    }
);

/// Who runs SQL over the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LakeEngine {
    /// This process.
    Datafusion,
    /// Amazon Athena.
    Athena,
}

section!(
    /// SQL over the lake.
    LakeConfig {
        /// `datafusion` or `athena`.
        engine: LakeEngine = LakeEngine::Datafusion,
    }
);

section!(
    /// Sign-in.
    AuthConfig {
        /// Seconds that an access token holds.
        access_token_seconds: u64 = 900,
        /// Days that a session holds without being used.
        session_days: u64 = 30,
        /// Failed sign-ins in the window for one account from one address.
        max_failures: u32 = 5,
        /// Failed sign-ins in the window from one address.
        max_failures_per_address: u32 = 50,
        /// The window, seconds.
        window_seconds: u64 = 900,
        /// Passwords hashed at once.
        hashes_at_once: usize = 2,
        /// Accounts made from one address in the window.
        max_sign_ups_per_address: u32 = 20,
        /// Issuer of tokens, where accounts are an external provider's.
        issuer: Option<String> = None,
        /// Where that provider publishes its keys.
        jwks_url: Option<String> = None,
        /// Whom its tokens are meant for.
        audience: Option<String> = None,
        /// Which of its claims says what.
        claims: BTreeMap<String, String> = BTreeMap::new(),
    }
);

section!(
    /// The durable queue.
    QueueConfig {
        /// Seconds that a lease holds without being extended.
        lease_seconds: u64 = 30,
        /// Attempts before a job is given up.
        max_attempts: i64 = 10,
        /// Milliseconds before the second attempt; doubles with each.
        backoff_first_ms: u64 = 500,
        /// Longest delay, seconds.
        backoff_cap_seconds: u64 = 300,
        /// Longest rest of a step while the database, the object store or room on the disk is away, seconds.
        longest_rest_seconds: u64 = 10,
        /// Milliseconds between looks for what became due.
        tick_ms: u64 = 500,
        /// Conversions at once.
        converts_at_once: usize = 4,
        /// Scorings at once.
        scores_at_once: usize = 32,
        /// Seconds that a conversion or a scoring may take.
        deadline_seconds: u64 = 60,
        /// Seconds that a training may take.
        training_deadline_seconds: u64 = 600,
    }
);

section!(
    /// Processors.
    ComputeConfig {
        /// Threads for parsing, signal code and training at once; 0 is one more than there are processors.
        at_once: usize = 0,
        /// Threads beside each actor's own for that and for waiting on the disk.
        threads: usize = 16,
    }
);

section!(
    /// Supervision of actors.
    SupervisionConfig {
        /// Messages that may wait at one actor.
        mailbox: usize = 1_024,
        /// Seconds that an asker waits for an answer.
        ask_timeout_seconds: u64 = 30,
        /// Milliseconds between probes.
        probe_every_ms: u64 = 1_000,
        /// Milliseconds after which an actor that does not answer a probe is rebuilt.
        stuck_after_ms: u64 = 5_000,
        /// Milliseconds before the first rebuild; doubles with each that follows soon.
        backoff_first_ms: u64 = 50,
        /// Longest pause before a rebuild, milliseconds.
        backoff_cap_ms: u64 = 5_000,
    }
);

section!(
    /// GraphQL.
    GraphqlConfig {
        /// Requests at once; further ones are told to come back.
        at_once: usize = 256,
        /// Seconds that an operation may take.
        deadline_seconds: u64 = 10,
    }
);

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a machine: one JSON object a line.
    Json,
}

section!(
    /// Log lines.
    LogConfig {
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text,
        /// Which lines: a level, or `target=level` pairs.
        level: String = "info".into(),
    }
);

impl Config {
    /// The file that holds the rows; `None` where a server does.
    #[must_use]
    pub fn database_path(&self) -> Option<PathBuf> {
        self.database.url.starts_with("sqlite://").then(|| self.path_of(&self.database.url, "sqlite://"))
    }

    /// The folder that holds the objects.
    #[must_use]
    pub fn objects_path(&self) -> PathBuf {
        self.path_of(&self.objects.url, "file://")
    }

    fn path_of(&self, url: &str, scheme: &str) -> PathBuf {
        let path = url.strip_prefix(scheme).unwrap_or(url);
        match path.strip_prefix("{data_dir}") {
            Some(rest) => self.data_dir.join(rest.trim_start_matches('/')),
            None => PathBuf::from(path),
        }
    }

    /// Checks every value, and that what is asked for is compiled in.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("http.workers", self.http.workers as u64),
            ("http.disk_threads", self.http.disk_threads as u64),
            ("compute.threads", self.compute.threads as u64),
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
            ("graphql.at_once", self.graphql.at_once as u64),
            ("auth.hashes_at_once", self.auth.hashes_at_once as u64),
            ("scoring.workers", self.scoring.workers as u64),
            ("queue.lease_seconds", self.queue.lease_seconds),
            ("queue.max_attempts", self.queue.max_attempts.max(0).unsigned_abs()),
            ("queue.tick_ms", self.queue.tick_ms),
            ("queue.converts_at_once", self.queue.converts_at_once as u64),
            ("queue.scores_at_once", self.queue.scores_at_once as u64),
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
        if self.training.max_trainers < self.training.at_once {
            return not_allowed("training.max_trainers", "must be at least training.at_once");
        }
        if self.auth.issuer.is_some() || self.auth.jwks_url.is_some() || self.auth.audience.is_some() {
            return missing("auth.issuer", "An external OpenID Connect provider", None);
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
        if !is_postgres(&self.database.url)? {
            backend("database.url", &self.database.url, "sqlite", &[])?;
        }
        self.objects.check()?;
        if self.objects.max_read_bytes < self.uploads.max_bytes {
            return not_allowed("objects.max_read_bytes", "must be at least uploads.max_bytes");
        }
        if self.ingest.sqs_url.is_some() {
            if cfg!(not(feature = "aws")) {
                return missing("ingest.sqs_url", "Amazon SQS", Some(false));
            }
            if self.objects.bucket().is_none() {
                return not_allowed("ingest.sqs_url", "tells of a bucket: objects.url must be s3://");
            }
        }
        if self.scoring.backend == ScoringBackend::Sagemaker {
            return missing("scoring.backend", "Amazon SageMaker", Some(cfg!(feature = "aws")));
        }
        if self.lake.engine == LakeEngine::Athena {
            return missing("lake.engine", "Amazon Athena", Some(cfg!(feature = "aws")));
        }
        Ok(())
    }
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

/// Checks the scheme of a URL: the embedded one, or one that this build may not have.
fn backend(key: &'static str, url: &str, embedded: &str, others: &[(&str, Option<bool>)]) -> Result<(), ConfigError> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    if scheme == embedded {
        if rest.is_empty() {
            return not_allowed(key, &format!("names no path after {embedded}://"));
        }
        return Ok(());
    }
    match others.iter().find(|(name, _)| *name == scheme) {
        Some((name, compiled)) => missing(key, &format!("{name}://"), *compiled),
        None => not_allowed(key, &format!("must begin with {embedded}://")),
    }
}

/// A backend that this program does not have: not compiled in, or not there yet in this version.
pub(super) fn missing(key: &'static str, what: &str, compiled: Option<bool>) -> Result<(), ConfigError> {
    not_allowed(
        key,
        &match compiled {
            Some(false) => format!(
                "{what} is not compiled into this program; build it with `cargo build --release --features aws`, or use the container image"
            ),
            Some(true) | None => {
                format!("{what} is not supported by this version; use the embedded backend (leave {key} out)")
            }
        },
    )
}

pub(super) fn not_allowed(key: &'static str, problem: &str) -> Result<(), ConfigError> {
    Err(ConfigError::NotAllowed { key, problem: problem.to_owned() })
}

/// Seconds as a duration.
#[must_use]
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
