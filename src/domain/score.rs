//! Scores and where a recording stands on its way to one.

use super::ids::{ModelVersion, Movement, PatientId, TestEventId};
use chrono::{DateTime, Utc};

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordingStatus {
    /// Durable, not converted yet.
    Received,
    /// In the lake; its score is being computed.
    Converted,
    /// In the lake; it carries a clinician's score and counts towards the patient's model. Final.
    Training,
    /// In the lake; it is scored when the patient's first model arrives.
    AwaitingModel,
    /// Scored. Final.
    Scored,
    /// A later step refused it; it is kept, with the reason. Final.
    Failed,
}

impl RecordingStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Converted, Self::Training, Self::AwaitingModel, Self::Scored, Self::Failed];

    /// The name in documents and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Converted => "converted",
            Self::Training => "training",
            Self::AwaitingModel => "awaiting_model",
            Self::Scored => "scored",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the pipeline is done with it unless something new happens.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Training | Self::AwaitingModel | Self::Scored | Self::Failed => true,
            Self::Received | Self::Converted => false,
        }
    }
}

/// A score with its 90 % interval, each 0 to 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The score.
    pub value: f64,
    /// Lower end of the interval, where the model gives one.
    pub lower: Option<f64>,
    /// Upper end of the interval, where the model gives one.
    pub upper: Option<f64>,
    /// By a model without a scored recording of the patient's own, from what other patients have in common: it gives way to
    /// that of the patient's own model, and is never saved on the event.
    pub provisional: bool,
    /// The recording is unlike those that the model knows: not to be trusted.
    pub unlike_training: bool,
    /// How far the recording lies from those that the model knows, over how far these lie from one another; `None` where that
    /// was not noted.
    pub novelty: Option<f64>,
    /// The model that gave it.
    pub model_version: ModelVersion,
    /// The scoring backend that ran the model: `local` or `sagemaker`.
    pub backend: &'static str,
}

impl Score {
    /// The score as it is saved on the event: an integer, 0 to 100.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=100 first")]
    pub fn balance_score(&self) -> i32 {
        self.value.clamp(0.0, 100.0).round() as i32
    }
}

/// How charts and reports mark a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// 85 and up.
    Ok,
    /// 60 to 85.
    Watch,
    /// 40 to 60.
    Low,
    /// Below 40.
    VeryLow,
}

impl Band {
    /// Where each begins, highest first.
    pub const ALL: [(Self, f64); 4] = [(Self::Ok, 85.0), (Self::Watch, 60.0), (Self::Low, 40.0), (Self::VeryLow, 0.0)];

    /// The band of a score, 0 to 100.
    #[must_use]
    pub fn of(score: f64) -> Self {
        Self::ALL.into_iter().find(|(_, begin)| score >= *begin).map_or(Self::VeryLow, |(band, _)| band)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Watch => "watch",
            Self::Low => "low",
            Self::VeryLow => "very low",
        }
    }
}

/// Everything that a client may know of where its recording stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingState {
    /// Which recording.
    pub test_event_id: TestEventId,
    /// Whose.
    pub patient_id: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// Where it stands.
    pub status: RecordingStatus,
    /// The saved integer score.
    pub balance_score: Option<i32>,
    /// The score itself.
    pub score: Option<Score>,
    /// How many samples it has.
    pub samples: i64,
    /// Measured sampling rate, hertz.
    pub sampling_rate_hz: Option<f64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was acknowledged.
    pub received_at: DateTime<Utc>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
}

/// Why a recording failed: a stable code, and a sentence without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, `snake_case`.
    pub code: String,
    /// For a person.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_lies_in_the_band_that_the_charts_mark() {
        for (score, band) in [
            (100.0, Band::Ok),
            (85.0, Band::Ok),
            (84.9, Band::Watch),
            (60.0, Band::Watch),
            (59.9, Band::Low),
            (40.0, Band::Low),
            (39.9, Band::VeryLow),
            (0.0, Band::VeryLow),
        ] {
            assert_eq!(Band::of(score), band, "{score}");
        }
    }
}
