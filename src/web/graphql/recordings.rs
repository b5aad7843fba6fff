//! The status document of a recording, as the schema has it.

use super::times;
use crate::domain::score;
use juniper::GraphQLObject;

/// Where a recording stands. Times are RFC 3339, UTC.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct RecordingStatus {
    test_event_id: String,
    patient_id: String,
    movement: String,
    /// `received`, `converted`, `training`, `awaiting_model`, `scored` or `failed`.
    status: String,
    balance_score: Option<i32>,
    score: Option<RecordingScore>,
    samples: Option<i32>,
    sampling_rate_hz: Option<f64>,
    failure: Option<RecordingFailure>,
    received_at: String,
    updated_at: String,
}

/// A score with its 90 % interval, each 0 to 100.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct RecordingScore {
    value: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    model_version: String,
    /// `local` or `sagemaker`.
    backend: String,
}

/// Why a recording failed.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct RecordingFailure {
    /// Stable, in `snake_case`.
    code: String,
    message: String,
}

impl From<&score::RecordingState> for RecordingStatus {
    fn from(state: &score::RecordingState) -> Self {
        Self {
            test_event_id: state.test_event_id.to_string(),
            patient_id: state.patient_id.to_string(),
            movement: state.movement.to_string(),
            status: state.status.name().to_owned(),
            balance_score: state.balance_score,
            score: state.score.as_ref().map(|score| RecordingScore {
                value: score.value,
                lower: score.lower,
                upper: score.upper,
                model_version: score.model_version.to_string(),
                backend: score.backend.to_owned(),
            }),
            samples: i32::try_from(state.samples).ok(),
            sampling_rate_hz: state.sampling_rate_hz,
            failure: state
                .failure
                .as_ref()
                .map(|failure| RecordingFailure { code: failure.code.clone(), message: failure.message.clone() }),
            received_at: times::shown(state.received_at),
            updated_at: times::shown(state.updated_at),
        }
    }
}
