//! Where a recording stands, as the status document says it, with its quality report and the ranges of its axes.

use super::context::Context;
use super::times;
use crate::actors::resolver::EventOf;
use crate::domain::score::{self, RecordingState};
use crate::storage::database::{self, RecordingDetails};
use juniper::{FieldResult, GraphQLObject, graphql_object};

/// A recording.
pub(super) struct Recording(RecordingDetails);

impl From<RecordingDetails> for Recording {
    fn from(details: RecordingDetails) -> Self {
        Self(details)
    }
}

#[graphql_object]
#[graphql(context = Context, rename_all = "none")]
impl Recording {
    /// `received`, `converted`, `training`, `awaiting_model`, `scored` or `failed`.
    fn status(&self) -> &'static str {
        self.state().status.name()
    }

    /// The score with its interval and the model that gave it.
    fn score(&self) -> Option<RecordingScore> {
        self.state().score.clone().map(RecordingScore::from)
    }

    /// How many samples it has.
    fn samples(&self) -> i32 {
        i32::try_from(self.state().samples).unwrap_or(i32::MAX)
    }

    /// Measured, hertz.
    fn sampling_rate_hz(&self) -> Option<f64> {
        self.state().sampling_rate_hz
    }

    /// Why it failed.
    fn failure(&self) -> Option<RecordingFailure> {
        self.state().failure.clone().map(RecordingFailure::from)
    }

    /// When it was acknowledged.
    fn received_at(&self) -> String {
        times::shown(self.state().received_at)
    }

    /// When its status last changed.
    fn updated_at(&self) -> String {
        times::shown(self.state().updated_at)
    }

    /// The quality report; null until it is converted.
    fn quality(&self) -> Option<Quality> {
        self.0.quality.clone().map(Quality::from)
    }

    /// Lowest and highest value of each axis, by name; empty until it is converted.
    async fn ranges(&self, context: &Context) -> FieldResult<Vec<AxisRange>> {
        let event = EventOf { event: self.state().test_event_id, patient: self.state().patient_id.clone() };
        let ranges = context.loaders.ranges.load(event).await?.unwrap_or_default();
        Ok(ranges.into_iter().map(AxisRange::from).collect())
    }
}

impl Recording {
    fn state(&self) -> &RecordingState {
        &self.0.state
    }
}

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

impl From<&RecordingState> for RecordingStatus {
    fn from(state: &RecordingState) -> Self {
        Self {
            test_event_id: state.test_event_id.to_string(),
            patient_id: state.patient_id.to_string(),
            movement: state.movement.to_string(),
            status: state.status.name().to_owned(),
            balance_score: state.balance_score,
            score: state.score.clone().map(RecordingScore::from),
            samples: i32::try_from(state.samples).ok(),
            sampling_rate_hz: state.sampling_rate_hz,
            failure: state.failure.clone().map(RecordingFailure::from),
            received_at: times::shown(state.received_at),
            updated_at: times::shown(state.updated_at),
        }
    }
}

/// A score with its 90 % interval, each 0 to 100.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct RecordingScore {
    value: f64,
    /// Lower end of the interval.
    lower: Option<f64>,
    /// Upper end of the interval.
    upper: Option<f64>,
    model_version: String,
    /// Who ran the model: `local` or `sagemaker`.
    backend: String,
    /// Whether the model has learned from no recording of the patient's own: the score follows what other patients of the care
    /// provider have in common.
    provisional: bool,
    /// Whether the recording is unlike those that the model learned from: its score should not be relied on.
    unlike_training: bool,
    /// How far it lies from them, over how far they lie from one another; null where the model does not know.
    novelty: Option<f64>,
}

impl From<score::Score> for RecordingScore {
    fn from(score: score::Score) -> Self {
        Self {
            value: score.value,
            lower: score.lower,
            upper: score.upper,
            model_version: score.model_version.to_string(),
            backend: score.backend.to_owned(),
            provisional: score.provisional,
            unlike_training: score.unlike_training,
            novelty: score.novelty,
        }
    }
}

/// Why a recording failed.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct RecordingFailure {
    /// Stable, `snake_case`.
    code: String,
    message: String,
}

impl From<score::Failure> for RecordingFailure {
    fn from(failure: score::Failure) -> Self {
        Self { code: failure.code, message: failure.message }
    }
}

/// What can be said of a recording's quality from its samples alone.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct Quality {
    samples: i32,
    /// From the first to the last timestamp.
    duration_seconds: f64,
    /// Intervals by duration.
    effective_rate_hz: Option<f64>,
    /// Intervals over three times the median one.
    gaps: i32,
    longest_gap_seconds: f64,
    /// Standard deviation of the intervals.
    jitter_seconds: f64,
    /// Timestamps that are not later than the one before.
    non_monotonic: i32,
    /// Axes on which every sample is the same.
    constant_axes: Vec<String>,
}

impl From<database::QualityReport> for Quality {
    fn from(report: database::QualityReport) -> Self {
        let whole = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            samples: whole(report.samples),
            duration_seconds: report.duration_seconds,
            effective_rate_hz: report.effective_rate_hz,
            gaps: whole(report.gaps),
            longest_gap_seconds: report.longest_gap_seconds,
            jitter_seconds: report.jitter_seconds,
            non_monotonic: whole(report.non_monotonic),
            constant_axes: report.constant_axes,
        }
    }
}

/// Lowest and highest value of an axis.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct AxisRange {
    /// `ax` to `mz`.
    axis: String,
    lowest: f64,
    highest: f64,
}

impl From<database::AxisRange> for AxisRange {
    fn from(range: database::AxisRange) -> Self {
        Self { axis: range.axis, lowest: range.lowest, highest: range.highest }
    }
}
