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
        /// Scorers, each with a model cache of its own.
        workers: usize = 2,
        /// Bytes of models in the caches of all scorers.
        cache_bytes: usize = 64 << 20,
    }
);
