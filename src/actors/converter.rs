//! The converter: raw document to Parquet, CSV, quality report, ranges and features.

use super::compute::Compute;
use super::handover::Handover;
use super::updates::Updates;
use super::work::{Assignment, JobError, Ledger};
use crate::domain::clock::SharedClock;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Recording, assess, parse};
use crate::scoring::input::features;
use crate::storage::database::{AfterConversion, Conversion, Database, Job, JobKind, RecordingRow, TrainingRule};
use crate::storage::lake::{to_csv, to_parquet};
use crate::storage::objects::{ObjectError, Objects};
use crate::supervised;
use actix::prelude::*;
use stance_models::features::FEATURE_SET;
use std::sync::Arc;

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct ConverterDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Threads for the numbers.
    pub compute: Compute,
    /// Recordings that were just read.
    pub handover: Handover,
    /// Woken when a job follows.
    pub ledger: Ledger,
    /// Tells who waits.
    pub updates: Updates,
    /// When to train.
    pub rule: TrainingRule,
}

/// The actor.
#[derive(Debug)]
pub struct Converter(ConverterDeps);

impl Converter {
    /// A new one.
    #[must_use]
    pub fn new(deps: ConverterDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Converter {
    type Context = Context<Self>;
}

supervised!(Converter, "converter");

impl Message for Assignment {
    type Result = ();
}

impl Handler<Assignment> for Converter {
    type Result = ();

    fn handle(&mut self, assignment: Assignment, context: &mut Context<Self>) {
        fail::fail_point!("converter");
        let deps = self.0.clone();
        context.spawn(
            async move { assignment.perform(|job| async move { deps.convert(&job).await }).await }.into_actor(self),
        );
    }
}

impl ConverterDeps {
    async fn convert(&self, job: &Job) -> Result<(), JobError> {
        let row = job.recording.as_ref().ok_or_else(gone)?;
        let recording = match self.handover.take(row.id, row.digest) {
            Some(recording) => recording,
            None => self.read(row).await?,
        };
        let (csv, parquet, numbers) = tokio::join!(
            self.write_csv(row, recording.clone()),
            self.write_parquet(row, recording.clone()),
            self.compute.run(move || describe(&recording)),
        );
        csv?;
        parquet?;
        let conversion = numbers??;
        let now = self.clock.now();
        let after = self.database.finish_conversion(job.fence, row.id, &conversion, self.rule, now).await?;
        match after {
            AfterConversion::TrainingQueued | AfterConversion::ProvisionalQueued => self.ledger.wake(JobKind::Train),
            AfterConversion::ScoreQueued => self.ledger.wake(JobKind::Score),
            AfterConversion::Counted | AfterConversion::AwaitsModel => {}
        }
        self.updates.publish(row.id, after != AfterConversion::ScoreQueued);
        Ok(())
    }

    async fn read(&self, row: &RecordingRow) -> Result<Arc<Recording>, JobError> {
        let raw = self.objects.get(&row.raw_key, Some(row.digest)).await?;
        let recording = self.compute.run(move || parse(raw)).await?;
        recording.map(Arc::new).map_err(|refusal| JobError::dead(refusal.code, &refusal.detail))
    }

    async fn write_csv(&self, row: &RecordingRow, recording: Arc<Recording>) -> Result<(), JobError> {
        let key = ObjectKey::csv(&row.patient, &row.movement, row.day, row.id);
        let csv = self.compute.run(move || to_csv(&recording)).await?;
        Ok(self.objects.put(&key, csv.into()).await?)
    }

    async fn write_parquet(&self, row: &RecordingRow, recording: Arc<Recording>) -> Result<(), JobError> {
        let key = ObjectKey::parquet(&row.patient, &row.movement, row.day, row.id);
        let parquet = self.compute.run(move || to_parquet(&recording)).await?.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a recording could not be written as Parquet");
            JobError::Retry("Parquet could not be written")
        })?;
        Ok(self.objects.put(&key, parquet.into()).await?)
    }
}

fn gone() -> JobError {
    JobError::dead("recording_gone", "the recording was deleted")
}

fn describe(recording: &Recording) -> Result<Conversion, JobError> {
    let features = features(recording).map_err(|_| JobError::dead("unusable_samples", "the samples are not usable"))?;
    Ok(Conversion { quality: assess(recording), feature_set: FEATURE_SET, features })
}

impl From<ObjectError> for JobError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Corrupt => {
                Self::dead("raw_object_corrupt", "the raw object's bytes are not those that were kept")
            }
            ObjectError::TooLarge => Self::dead("object_too_large", "the object is larger than objects.max_read_bytes"),
            ObjectError::Unavailable(_) => Self::Away("the object store is away"),
            ObjectError::Refused(_) => Self::Retry("the object store refused"),
            ObjectError::NotFound => Self::Retry("an object is not there"),
            ObjectError::NoSpace => Self::Away("no space is left"),
            ObjectError::Exists | ObjectError::Io(_) => Self::Retry("the object store failed"),
        }
    }
}
