//! The configuration as a whole, of which each section is a file beside this one, and what a section is made of.

use super::{
    AuditConfig, AuthConfig, ComputeConfig, DatabaseConfig, GraphqlConfig, HttpConfig, InferenceConfig, IngestConfig,
    LakeConfig, LiveConfig, LogConfig, MailConfig, ObjectsConfig, QueueConfig, ReportsConfig, ScoringConfig,
    SupervisionConfig, TrainingConfig, UploadsConfig,
};
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
    /// The inference server on `/v2`.
    pub inference: InferenceConfig,
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

/// A section: its fields, what each means, and their defaults.
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
            inference: InferenceConfig::default(),
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
