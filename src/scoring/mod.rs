//! Who runs a model on features: this process (linfa's models, the low-latency path), or an endpoint.

pub mod engine;
pub mod exchange;
pub mod input;
pub mod statistics;
pub mod turns;

use stance_models::model::{ModelError, Prediction, TrainedModel};

/// A scoring backend, chosen by configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In this process.
    Local,
}

impl Backend {
    /// Its name in rows and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }

    /// Runs the model.
    ///
    /// # Errors
    /// [`ModelError`] when the features do not fit the model.
    pub fn predict(self, model: &TrainedModel, features: &[f64]) -> Result<Prediction, ModelError> {
        match self {
            Self::Local => model.predict(features),
        }
    }
}
