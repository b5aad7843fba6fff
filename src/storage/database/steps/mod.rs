//! The steps of a recording: acceptance, conversion, training, score. Each is a transaction with the job that it ends and the
//! job that it begins.
//!
//! SQLite, which is here, takes a statement for each thing that is written; to PostgreSQL, which may be far away, a step is one
//! statement. Both keep the same contract.

pub(super) mod follow_serving;
pub(super) mod postgres;
pub(super) mod sqlite;

use super::jobs::{Fence, Job, JobKind, read_job};
use super::models::{NewModel, read_model};
use super::recordings::read_recording;
use super::statement::Row;
use super::{Backend, Database, Result, from_micros};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Day, Quality};
use crate::domain::score::{Failure, RecordingState, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// A recording whose raw object is durable.
#[derive(Debug, Clone)]
pub struct NewRecording {
    /// Its test event.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// Digest of the decoded body.
    pub digest: Digest,
    /// Where the raw object is.
    pub raw_key: ObjectKey,
    /// Its size.
    pub raw_bytes: i64,
    /// The local day.
    pub day: Day,
    /// The clinician's score of a training recording.
    pub clinic_score: Option<f64>,
    /// How many samples.
    pub samples: i64,
    /// First and last sample, microseconds since 1970 UTC.
    pub taken: (i64, i64),
    /// How often the test event had been deleted when the raw object was about to be kept, as its claim told.
    pub deletions: i64,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is new.
    Accepted,
    /// The same bytes are there already.
    Replayed,
    /// Other bytes, or another patient's event, have that id.
    Conflicting,
    /// The event is being deleted, or was since the raw object was about to be kept: that object may be gone.
    Deleted,
}

impl NewRecording {
    /// Where the recording stands when it has just been accepted.
    #[must_use]
    pub fn accepted(&self, now: DateTime<Utc>) -> RecordingState {
        RecordingState {
            test_event_id: self.id,
            patient_id: self.patient.clone(),
            movement: self.movement.clone(),
            status: RecordingStatus::Received,
            balance_score: None,
            score: None,
            samples: self.samples,
            sampling_rate_hz: None,
            failure: None,
            received_at: now,
            updated_at: now,
        }
    }
}

/// How a recording came.
#[derive(Debug, Clone, Copy)]
enum Road<'a> {
    /// Sent to the program, on behalf of a patient who is there.
    Upload,
    /// Found in the object store; why it cannot be processed.
    Landed(Option<&'a Failure>),
}

impl<'a> Road<'a> {
    fn failure(self) -> Option<&'a Failure> {
        match self {
            Self::Upload => None,
            Self::Landed(failure) => failure,
        }
    }
}

/// What a recording says of its test event; nothing where it cannot be processed.
struct Reported {
    doctor_score: Option<i32>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

impl Reported {
    fn of(new: &NewRecording, road: Road<'_>) -> Result<Self> {
        if road.failure().is_some() {
            return Ok(Self { doctor_score: None, start: None, end: None });
        }
        let (start, end) = new.taken;
        #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
        let doctor_score = new.clinic_score.map(|score| score.round() as i32);
        Ok(Self { doctor_score, start: Some(from_micros(start)?), end: Some(from_micros(end)?) })
    }
}

/// What conversion found.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// The quality report.
    pub quality: Quality,
    /// Which feature set.
    pub feature_set: &'static str,
    /// The features.
    pub features: Vec<f64>,
}

/// What follows a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterConversion {
    /// It is a training recording; nothing else happens.
    Counted,
    /// It completed a count: a training was queued.
    TrainingQueued,
    /// A score was queued.
    ScoreQueued,
    /// It waits for the patient's first model.
    AwaitsModel,
    /// It waits for a provisional model, whose training was queued.
    ProvisionalQueued,
}

/// What came of a scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterScoring {
    /// The score is kept.
    Scored,
    /// Its model was retired meanwhile: nothing was written, and the lease still holds.
    ModelRetired,
}

/// From which count on models are trained, and how often.
#[derive(Debug, Clone, Copy)]
pub struct TrainingRule {
    /// Recordings for the first model.
    pub minimum: i64,
    /// Recordings for each next.
    pub every: i64,
    /// Whether models learn from other patients of the care provider, too.
    pub from_others: bool,
}

impl TrainingRule {
    /// Whether this many recordings start a training.
    #[must_use]
    pub fn is_due(self, recordings: i64) -> bool {
        recordings >= self.minimum && (recordings - self.minimum) % self.every.max(1) == 0
    }
}

/// Does a step on the database that there is.
macro_rules! step {
    ($database:ident.$step:ident($($argument:expr),+)) => {
        match $database.backend {
            Backend::Sqlite { .. } => sqlite::$step($database, $($argument),+).await,
            Backend::Postgres(_) => postgres::$step($database, $($argument),+).await,
        }
    };
}

impl Database {
    /// Accepts a recording whose raw object is durable: its event, its row and its job.
    ///
    /// # Errors
    /// When the database cannot; [`DatabaseError::MissingReference`] when there is no such patient.
    pub async fn accept_recording(&self, new: &NewRecording, now: DateTime<Utc>) -> Result<Acceptance> {
        step!(self.accept(new, Road::Upload, now))
    }

    /// Accepts a recording that a client put into the object store by itself. Its patient is made where there is none: of
    /// them only the id is known. One that cannot be processed is kept with its failure, and has no job; its event gets
    /// no times and no score from it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn accept_landed(
        &self,
        new: &NewRecording,
        failure: Option<&Failure>,
        now: DateTime<Utc>,
    ) -> Result<Acceptance> {
        step!(self.accept(new, Road::Landed(failure), now))
    }

    /// Leases up to `limit` jobs of a kind to `owner`. A job is leased to one owner, whoever else asks at the same time.
    /// Each brings its recording's row; one that scores, the newest model of its patient and movement as well.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn lease_jobs(&self, kind: JobKind, limit: u32, owner: &str, until: DateTime<Utc>) -> Result<Vec<Job>> {
        step!(self.lease(kind, limit, owner, until))
    }

    /// Ends a conversion: its rows, the count of training recordings, and the job that follows.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_conversion(
        &self,
        fence: Fence,
        id: TestEventId,
        conversion: &Conversion,
        rule: TrainingRule,
        now: DateTime<Utc>,
    ) -> Result<AfterConversion> {
        step!(self.finish_conversion(fence, id, conversion, rule, now))
    }

    /// Ends a training: the model's row, and a score job for everything that waited for one that serves; how much that was. `None`
    /// when a training recording, the patient's or a source's, was deleted since the model learned: then nothing was written, and the job is still held.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_training(&self, fence: Fence, model: &NewModel, now: DateTime<Utc>) -> Result<Option<u64>> {
        step!(self.finish_training(fence, model, now))
    }

    /// Ends a scoring: the score, and the integer on the event; nothing where the model was retired meanwhile.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_scoring(
        &self,
        fence: Fence,
        id: TestEventId,
        score: &Score,
        now: DateTime<Utc>,
    ) -> Result<AfterScoring> {
        step!(self.finish_scoring(fence, id, score, now))
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The axes whose value never changes, as they are kept.
fn constant_axes(quality: &Quality) -> String {
    quality.constant_axes.join(",")
}

/// A leased job with the rows that came with it.
fn read_leased(row: &Row) -> Result<Job> {
    let mut job = read_job(row)?;
    if row.get::<Option<Uuid>>("test_event_id")?.is_some() {
        job.recording = Some(Arc::new(read_recording(row)?));
    }
    if row.get::<Option<String>>("model_version")?.is_some() {
        job.model = Some(Arc::new(read_model(row)?));
    }
    Ok(job)
}
