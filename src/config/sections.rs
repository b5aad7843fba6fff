//! The sections of the configuration, their defaults and their rules.

use super::auth::AuthConfig;
use super::mail::MailConfig;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
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
    /// Mails to the owners of accounts.
    pub mail: MailConfig,
    /// The audit record.
    pub audit: AuditConfig,
    /// The durable queue.
    pub queue: QueueConfig,
    /// Processors.
    pub compute: ComputeConfig,
    /// Supervision of actors.
    pub supervision: SupervisionConfig,
    /// GraphQL.
    pub graphql: GraphqlConfig,
    /// Live updates over WebSockets.
    pub live: LiveConfig,
    /// Reports, links and exports.
    pub reports: ReportsConfig,
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
pub(super) use section;

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
            mail: MailConfig::default(),
            audit: AuditConfig::default(),
            queue: QueueConfig::default(),
            compute: ComputeConfig::default(),
            supervision: SupervisionConfig::default(),
            graphql: GraphqlConfig::default(),
            live: LiveConfig::default(),
            reports: ReportsConfig::default(),
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
        /// Seconds that a connection may be idle: more than a load balancer in front keeps it, or it sends into a closed one.
        keep_alive_seconds: u64 = 75,
        /// Networks of the proxies in front, such as `10.0.0.0/8`: they are believed when `X-Forwarded-For` says where a
        /// request came from.
        trusted_proxies: Vec<IpNet> = Vec::new(),
        /// Seconds that requests under way get when the program stops.
        drain_seconds: u64 = 20,
        /// Where clients reach the server, such as `https://stance.example.org`: what links to it begin with. Without it they
        /// name the address that is bound; what a request says of its host is never believed.
        public_url: Option<String> = None,
        /// Whether there is a GraphQL query page at `/graphiql`.
        query_page: bool = true,
        /// Whether the HTTP surface is described at `/openapi.json`.
        openapi: bool = true,
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
    /// Amazon Athena, where it answers queries.
    AthenaConfig {
        /// The database of its data catalogue.
        database: String = "stance".into(),
        /// The table over the recordings' own Parquet files.
        table: String = "samples".into(),
        /// Workgroup; Athena's own where absent.
        workgroup: Option<String> = None,
        /// Where it keeps results, `s3://BUCKET/PREFIX`; what the workgroup says where absent.
        output: Option<String> = None,
        /// Address of a server other than Amazon's.
        endpoint: Option<String> = None,
        /// Region; none takes `AWS_REGION`, the profile's or the machine's.
        region: Option<String> = None,
    }
);

section!(
    /// SQL over the lake.
    LakeConfig {
        /// `datafusion` or `athena`.
        engine: LakeEngine = LakeEngine::Datafusion,
        /// Amazon Athena.
        athena: AthenaConfig = AthenaConfig::default(),
        /// Bytes of memory that one query may have.
        memory_bytes: usize = 256 << 20,
        /// Queries at once; further ones are told to come back.
        at_once: usize = 2,
        /// Threads that queries run on; 0 is as many as there are processors.
        threads: usize = 0,
        /// Seconds that a query may take until its last row is taken.
        deadline_seconds: u64 = 60,
        /// Rows of a result.
        max_rows: u64 = 1_000_000,
        /// Bytes of a result.
        max_result_bytes: u64 = 256 << 20,
        /// Files that a table of a query may read.
        max_files: u32 = 200_000,
        /// Seconds between compactions; 0 is never.
        compact_every_seconds: u64 = 3_600,
        /// New recordings of a patient, movement and month that are compacted at once; fewer wait for a day.
        compact_recordings: u32 = 8,
        /// Samples of the largest compacted file.
        compact_samples: u64 = 4_000_000,
        /// Seconds that a replaced file stays for the queries that read it.
        compact_grace_seconds: u64 = 900,
    }
);

section!(
    /// The audit record.
    AuditConfig {
        /// Entries that may wait to be written; further requests are told to come back.
        waiting: usize = 4_096,
        /// Entries that are written in one statement.
        at_once: usize = 512,
        /// Seconds that a request waits for its entry.
        longest_wait_seconds: u64 = 5,
        /// Seconds between two writes of the counts of requests without a token that holds.
        unknown_every_seconds: u64 = 60,
        /// Addresses whose requests of that kind are counted apart in that time; those of all others are counted together.
        unknown_apart: usize = 64,
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
        /// Deleted test events whose objects are removed at once.
        deletions_at_once: usize = 4,
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
        /// Largest body of a request, bytes.
        max_body_bytes: usize = 256 << 10,
        /// Requests in one body.
        max_batch: usize = 10,
        /// Longest document, bytes.
        max_document_bytes: usize = 64 << 10,
        /// Tokens (names, values, punctuation) of a document.
        max_tokens: usize = 8_000,
        /// Levels of a document, fragments expanded; at most 64.
        max_depth: usize = 24,
        /// Fields of an operation, fragments expanded.
        max_fields: usize = 2_000,
        /// Fields at the root of all operations of a body.
        max_root_fields: u64 = 20,
        /// Aliases of all operations of a body.
        max_aliases: u64 = 50,
        /// Directives of all operations of a body.
        max_directives: u64 = 50,
        /// Cost of all operations of a body: about the number of objects in the answer.
        max_cost: u64 = 20_000,
        /// Entries of a page.
        max_page: u32 = 200,
        /// Whether the schema can be asked for.
        introspection: bool = true,
        /// File with documents that are known beforehand: a JSON object, SHA-256 digest to document.
        persisted_documents: Option<PathBuf> = None,
        /// Whether only those documents are run.
        only_persisted: bool = false,
    }
);

section!(
    /// Live updates over WebSockets.
    LiveConfig {
        /// Connections at once; further ones are told to come back.
        max_connections: usize = 5_000,
        /// Connections of one account at once.
        max_connections_per_account: usize = 64,
        /// Subscriptions of one connection at once.
        max_subscriptions: usize = 32,
        /// Bytes of the largest message of a client.
        max_message_bytes: usize = 128 << 10,
        /// Recordings whose change waits for one subscription; beyond that it ends with the code `fell_behind`.
        max_waiting: usize = 256,
        /// Seconds that a client may take to say who it is.
        init_seconds: u64 = 10,
        /// Seconds between pings; who is silent for two of them is gone.
        ping_seconds: u64 = 20,
        /// Seconds that a message may take to be taken off by its client.
        stalled_seconds: u64 = 30,
        /// Seconds between looks whether a connection's session still holds.
        recheck_seconds: u64 = 30,
        /// Milliseconds between looks for changes whose hints were lost.
        look_ms: u64 = 5_000,
    }
);

section!(
    /// Reports, links and exports.
    ReportsConfig {
        /// Seconds that a link to a report or a CSV is good for; at most a week.
        link_seconds: u64 = 300,
        /// Reports made at once.
        at_once: usize = 2,
        /// Requests for documents in hand at once; further ones are told to come back.
        requests_at_once: usize = 64,
        /// Seconds that such a request may take.
        deadline_seconds: u64 = 10,
        /// Linked objects sent at once; further ones are told to come back.
        downloads_at_once: usize = 64,
        /// Exports of a patient's record sent at once; further ones are told to come back.
        exports_at_once: usize = 4,
        /// Seconds for which a client may take nothing of what it is sent.
        idle_seconds: u64 = 30,
        /// Seconds that an export or a linked object may take to be sent.
        longest_seconds: u64 = 3_600,
        /// Test events in one export at most.
        export_events: u32 = 20_000,
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
}

/// Seconds as a duration.
#[must_use]
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
