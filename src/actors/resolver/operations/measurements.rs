//! Scores and measurements over time, and the samples of one recording.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::actors::compute::unmetered;
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Axis, TimestampWriter};
use crate::storage::database::{DayRange, ScoreStats, Window};
use crate::storage::lake::{AxisSamples, LakeReadError, open_axis};
use crate::storage::objects::ObjectError;

/// Days and movements that one answer lists at most: the latest.
const MOST_RANGES: u32 = 10_000;
/// Samples that one answer lists at most.
const MOST_SAMPLES: u64 = 500_000;

/// Mean and range of a patient's computed scores in a window.
pub struct ScoresOverTime {
    /// Whose.
    pub patient: PatientId,
    /// When.
    pub window: Window,
    /// Of this movement only.
    pub movement: Option<Movement>,
}

impl Operation for ScoresOverTime {
    const NAME: &'static str = "scores_over_time";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = ScoreStats;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<ScoreStats, ServiceError> {
        let stats = deps.database.score_stats(&self.patient, self.window, self.movement.as_ref()).await?;
        stats.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

/// Lowest and highest value of an axis on each day, of each movement.
pub struct RangesOverTime {
    /// Whose.
    pub patient: PatientId,
    /// Of which axis.
    pub axis: Axis,
}

impl Operation for RangesOverTime {
    const NAME: &'static str = "ranges_over_time";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<DayRange>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Vec<DayRange>, ServiceError> {
        let ranges = deps.database.day_ranges(&self.patient, self.axis, MOST_RANGES).await?;
        ranges.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

/// Every sample of one axis of a recording.
pub struct SamplesOfAxis {
    /// Of which test event.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which axis.
    pub axis: Axis,
}

/// Samples, one time and one value each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToldSamples {
    /// When, as the app writes it: `2023-04-25 12:04:52.228840 -07:00`.
    pub times: Vec<String>,
    /// What was measured, in the axis's unit.
    pub values: Vec<f64>,
}

impl Operation for SamplesOfAxis {
    const NAME: &'static str = "samples_of_axis";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "measurement";
    type Answer = ToldSamples;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<ToldSamples, ServiceError> {
        let row = deps.database.recording(self.id).await?.filter(|row| row.patient == self.patient);
        let row = row.ok_or(ServiceError::NotFound(Self::SUBJECT))?;
        let key = ObjectKey::parquet(&row.patient, &row.movement, row.day, row.id);
        match open_axis(&deps.objects, &key, self.axis, MOST_SAMPLES).await {
            Ok(axis) => Ok(unmetered(move || axis.read().map(|samples| tell(&samples))).await??),
            // It is not converted yet, or cannot be.
            Err(LakeReadError::Object(ObjectError::NotFound)) => Err(ServiceError::NotFound(Self::SUBJECT)),
            Err(error) => Err(error.into()),
        }
    }
}

fn tell(samples: &AxisSamples) -> ToldSamples {
    let mut writer = TimestampWriter::default();
    let times = samples.times.iter().map(|time| writer.write(*time).unwrap_or_default()).collect();
    ToldSamples { times, values: samples.values.clone() }
}

impl From<LakeReadError> for ServiceError {
    fn from(error: LakeReadError) -> Self {
        match error {
            LakeReadError::Object(error) => error.into(),
            LakeReadError::TooManySamples(most) => Self::Invalid {
                code: "too_many_samples",
                detail: format!("the recording has more than {most} samples; its CSV can be downloaded"),
            },
            LakeReadError::Parquet(_) | LakeReadError::NoParquet | LakeReadError::Columns => {
                Self::Internal(error.into())
            }
        }
    }
}
