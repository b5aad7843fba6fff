//! `log.*`: what a log line looks like.

use super::sections::section;
use serde::{Deserialize, Serialize};

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
