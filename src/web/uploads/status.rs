//! The status document of a recording.

use crate::domain::score::RecordingState;
use chrono::SecondsFormat;
use serde::Serialize;

/// As the contract has it; absent parts are null.
#[derive(Debug, Serialize)]
pub(super) struct StatusDocument {
    test_event_id: String,
    patient_id: String,
    movement: String,
    status: &'static str,
    balance_score: Option<i32>,
    score: Option<ScoreDocument>,
    samples: i64,
    sampling_rate_hz: Option<f64>,
    failure: Option<FailureDocument>,
    received_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize)]
struct ScoreDocument {
    value: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    model_version: String,
    backend: &'static str,
    provisional: bool,
    unlike_training: bool,
    novelty: Option<f64>,
}

#[derive(Debug, Serialize)]
struct FailureDocument {
    code: String,
    message: String,
}

impl From<&RecordingState> for StatusDocument {
    fn from(state: &RecordingState) -> Self {
        Self {
            test_event_id: state.test_event_id.to_string(),
            patient_id: state.patient_id.to_string(),
            movement: state.movement.to_string(),
            status: state.status.name(),
            balance_score: state.balance_score,
            score: state.score.as_ref().map(|score| ScoreDocument {
                value: score.value,
                lower: score.lower,
                upper: score.upper,
                model_version: score.model_version.to_string(),
                backend: score.backend,
                provisional: score.provisional,
                unlike_training: score.unlike_training,
                novelty: score.novelty,
            }),
            samples: state.samples,
            sampling_rate_hz: state.sampling_rate_hz,
            failure: state
                .failure
                .as_ref()
                .map(|failure| FailureDocument { code: failure.code.clone(), message: failure.message.clone() }),
            received_at: state.received_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            updated_at: state.updated_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        }
    }
}
