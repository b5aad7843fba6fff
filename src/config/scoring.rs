//! `scoring.*`: who runs the models.

use super::sections::section;
use serde::{Deserialize, Serialize};

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
        /// Scorers.
        workers: usize = 2,
        /// Bytes of loaded models, whoever uses them; at least 1 MiB.
        cache_bytes: usize = 64 << 20,
    }
);
