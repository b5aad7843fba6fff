//! Configuration: defaults, then a file, then environment variables, then flags. Checked as a whole; an unknown key, a
//! bad value or an unreadable file stops the start with the key's name.

mod audit;
mod auth;
mod check;
mod compute;
mod database;
mod graphql;
mod http;
mod inference;
mod ingest;
mod lake;
mod live;
mod log;
mod mail;
mod objects;
mod queue;
mod reports;
mod scoring;
mod sections;
mod supervision;
mod training;
mod uploads;

pub use audit::AuditConfig;
pub(crate) use auth::OWN_ISSUER;
pub use auth::{AuthConfig, ClaimsConfig, RolesConfig, TokenUse};
pub use compute::ComputeConfig;
pub use database::DatabaseConfig;
pub use graphql::GraphqlConfig;
pub use http::HttpConfig;
pub use inference::InferenceConfig;
pub use ingest::IngestConfig;
pub use lake::{AthenaConfig, LakeConfig, LakeEngine};
pub use live::LiveConfig;
pub use log::{LogConfig, LogFormat};
pub use mail::{MailConfig, MailDelivery, MailSecurity};
pub use objects::{ObjectsConfig, ObjectsEncryption};
pub use queue::QueueConfig;
pub use reports::ReportsConfig;
pub use scoring::{ScoringBackend, ScoringConfig};
pub use sections::Config;
pub(crate) use sections::seconds;
pub use supervision::SupervisionConfig;
pub use training::TrainingConfig;
pub use uploads::UploadsConfig;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use std::path::Path;

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("the configuration file {0} cannot be read: {1}")]
    File(String, std::io::Error),
    /// An unknown key, or a value of the wrong type.
    #[error("{0}")]
    Value(String),
    /// A value that is not allowed.
    #[error("{key}: {problem}")]
    NotAllowed {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Reads the configuration: `overrides` are flags as `(key, value)`.
    ///
    /// # Errors
    /// [`ConfigError`], with the key's name.
    pub fn load(file: Option<&Path>, overrides: &[(&str, String)]) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).map_err(|error| ConfigError::File(path.display().to_string(), error))?;
            figment = figment.merge(Toml::string(&text));
        }
        figment = figment.merge(Env::prefixed("STANCE__").split("__"));
        for (key, value) in overrides {
            figment = figment.merge((*key, value.clone()));
        }
        let config: Self = figment.extract().map_err(|error| ConfigError::Value(describe(&error)))?;
        config.check()?;
        Ok(config)
    }

    /// Where the rows are, without a password.
    #[must_use]
    pub fn database_shown(&self) -> String {
        match self.database_path() {
            Some(path) => path.display().to_string(),
            None => without_password(&self.database.url),
        }
    }

    /// The configuration as TOML, with secrets left out.
    ///
    /// # Errors
    /// Never in practice: every value has a TOML form.
    pub fn printed(&self) -> Result<String, toml::ser::Error> {
        let mut shown = self.clone();
        shown.database.url = without_password(&shown.database.url);
        shown.mail.password = shown.mail.password.map(|_| "***".to_owned());
        toml::to_string(&shown)
    }
}

/// The error with the full name of the key it is about.
fn describe(error: &figment::Error) -> String {
    let path = error.path.join(".");
    let source = error.metadata.as_ref().map(|metadata| format!(" (from {})", metadata.name)).unwrap_or_default();
    if let figment::error::Kind::UnknownField(field, _) = &error.kind {
        let key = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        return format!("{key}: there is no such key{source}");
    }
    format!("{path}: {}{source}", error.kind)
}

/// The URL without its password, wherever it stands: before the host or among the parameters.
fn without_password(url: &str) -> String {
    let shown = url.split_once('?').map_or(url, |(address, _)| address);
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, host) = (shown.get(..scheme).unwrap_or_default(), shown.get(at..).unwrap_or_default());
            format!("{scheme}://***{host}")
        }
        _ => shown.to_owned(),
    }
}
