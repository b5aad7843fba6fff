//! Recordings: acceptance, conversion, score. Each step and the job it ends and begins are one transaction.

use super::jobs::{Fence, JobKind};
use super::patients::read_patient_id;
use super::statement::Row;
use super::{Database, DatabaseError, Result, Transaction, from_micros, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{AXES, Day, Quality};
use crate::domain::score::{Failure, RecordingState, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
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
    fn of(new: &NewRecording, failure: Option<&Failure>) -> Result<Self> {
        if failure.is_some() {
            return Ok(Self { doctor_score: None, start: None, end: None });
        }
        let (start, end) = new.taken;
        #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
        let doctor_score = new.clinic_score.map(|score| score.round() as i32);
        Ok(Self { doctor_score, start: Some(from_micros(start)?), end: Some(from_micros(end)?) })
    }
}

/// What a later step needs to know of a recording.
#[derive(Debug, Clone)]
pub struct RecordingRow {
    /// Its test event.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// The local day.
    pub day: Day,
    /// Where the raw object is.
    pub raw_key: ObjectKey,
    /// Digest of the raw object.
    pub digest: Digest,
    /// Place among the patient's training recordings of the movement, once converted.
    pub training_ordinal: Option<i64>,
    /// The features, once converted: which set, and the values.
    pub features: Option<(String, Vec<f64>)>,
}

/// Lowest and highest value of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisRange {
    /// `ax` to `mz`.
    pub axis: String,
    /// Lowest value.
    pub lowest: f64,
    /// Highest value.
    pub highest: f64,
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
}

/// From which count on models are trained, and how often.
#[derive(Debug, Clone, Copy)]
pub struct TrainingRule {
    /// Recordings for the first model.
    pub minimum: i64,
    /// Recordings for each next.
    pub every: i64,
}

impl TrainingRule {
    /// Whether this many recordings start a training.
    #[must_use]
    pub fn is_due(self, recordings: i64) -> bool {
        recordings >= self.minimum && (recordings - self.minimum) % self.every.max(1) == 0
    }
}

statements! {
    ADD_PLACEHOLDER = shared(
        "INSERT INTO patients (patient_id, placeholder, created_at) VALUES ($1, true, $2)
         ON CONFLICT (patient_id) DO NOTHING",
    );
    /// The event's row is locked from here on; no row when the id is another patient's.
    CLAIM_EVENT = shared(
        "INSERT INTO test_events (test_event_id, patient_id, test_type, doctor_score, start_time, end_time, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (test_event_id) DO UPDATE SET
             doctor_score = coalesce(test_events.doctor_score, excluded.doctor_score),
             start_time = coalesce(test_events.start_time, excluded.start_time),
             end_time = coalesce(test_events.end_time, excluded.end_time)
         WHERE test_events.patient_id = excluded.patient_id
         RETURNING test_event_id",
    );
    ADD_RECORDING = shared(
        "INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day,
                                 clinic_score, samples, received_at, updated_at, status, failure_code, failure_message)
         VALUES ($1, $2, $3,
                 coalesce((SELECT care_provider_id FROM patient_care_providers WHERE patient_id = $2
                           ORDER BY linked_at, care_provider_id LIMIT 1), $2),
                 $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15)
         ON CONFLICT (test_event_id) DO NOTHING",
    );
    DIGEST = shared("SELECT digest FROM recordings WHERE test_event_id = $1");
    KIND_OF_RECORDING = shared(
        "SELECT patient_id, movement, clinic_score IS NOT NULL AS training FROM recordings WHERE test_event_id = $1",
    );
    COUNT_TRAINING = shared(
        "INSERT INTO training_counts (patient_id, movement, recordings) VALUES ($1, $2, $3)
         ON CONFLICT (patient_id, movement) DO UPDATE SET
             recordings = training_counts.recordings + excluded.recordings
         RETURNING recordings",
    );
    HAS_MODEL = shared("SELECT EXISTS (SELECT 1 FROM models WHERE patient_id = $1 AND movement = $2) AS has_model");
    ADD_QUALITY = shared(
        "INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s,
                                      jitter_s, non_monotonic, constant_axes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    ADD_RANGES = shared(
        "INSERT INTO axis_ranges (test_event_id, axis, lowest, highest)
         VALUES ($1, $2, $3, $4), ($1, $5, $6, $7), ($1, $8, $9, $10), ($1, $11, $12, $13), ($1, $14, $15,
                $16), ($1, $17, $18, $19), ($1, $20, $21, $22), ($1, $23, $24, $25), ($1, $26, $27, $28)",
    );
    ADD_FEATURES = shared("INSERT INTO features (test_event_id, feature_set, vector) VALUES ($1, $2, $3)");
    CONVERTED = shared(
        "UPDATE recordings SET status = $1, sampling_rate_hz = $2, training_ordinal = $3, updated_at = $4
         WHERE test_event_id = $5",
    );
    ADD_SCORE = shared(
        "INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    SCORED = shared("UPDATE recordings SET status = 'scored', updated_at = $1 WHERE test_event_id = $2");
    SET_BALANCE_SCORE = shared("UPDATE test_events SET balance_score = $1 WHERE test_event_id = $2");
    FAILED = shared(
        "UPDATE recordings SET status = 'failed', failure_code = $1, failure_message = $2, updated_at = $3
         WHERE test_event_id = $4 AND status <> 'scored'",
    );
    /// A job that dies gives its recording the reason that it keeps itself.
    CLEAR_FAILURES = each(
        "UPDATE recordings SET status = CASE jobs.kind WHEN 'convert' THEN 'received' ELSE 'converted' END,
             failure_code = NULL, failure_message = NULL, updated_at = $1
         FROM jobs WHERE job_id IN (SELECT value FROM json_each($2)) AND kind IN ('convert', 'score')
             AND test_event_id = subject AND status = 'failed' AND failure_message = reason",
        "UPDATE recordings SET status = CASE jobs.kind WHEN 'convert' THEN 'received' ELSE 'converted' END,
             failure_code = NULL, failure_message = NULL, updated_at = $1
         FROM jobs WHERE job_id = ANY ($2) AND kind IN ('convert', 'score')
             AND test_event_id = subject AND status = 'failed' AND failure_message = reason",
    );
    RECORDING = shared(
        "SELECT recordings.test_event_id, patient_id, movement, year, month, day, raw_key, digest, training_ordinal,
                feature_set, vector
         FROM recordings LEFT JOIN features USING (test_event_id) WHERE test_event_id = $1",
    );
    RECORDING_STATE = shared(
        "SELECT recordings.patient_id, movement, status, balance_score, value, lower, upper, model_version, backend, samples,
                sampling_rate_hz, failure_code, failure_message, received_at, updated_at
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
         WHERE test_event_id = $1",
    );
    AXIS_RANGES = shared("SELECT axis, lowest, highest FROM axis_ranges WHERE test_event_id = $1 ORDER BY axis");
}

impl Database {
    /// Accepts a recording whose raw object is durable: its event, its row and its job.
    ///
    /// # Errors
    /// When the database cannot; [`DatabaseError::MissingReference`] when there is no such patient.
    pub async fn accept_recording(&self, new: &NewRecording, now: DateTime<Utc>) -> Result<Acceptance> {
        self.accept(new, Road::Upload, now).await
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
        self.accept(new, Road::Landed(failure), now).await
    }

    async fn accept(&self, new: &NewRecording, road: Road<'_>, now: DateTime<Utc>) -> Result<Acceptance> {
        let mut transaction = self.begin().await?;
        if let Road::Landed(_) = road {
            transaction.statement(ADD_PLACEHOLDER).bind(new.patient.as_str()).bind(now).execute().await?;
        }
        if !transaction.claim_event(new, road.failure(), now).await? {
            return Ok(Acceptance::Conflicting);
        }
        if !transaction.add_recording(new, road.failure(), now).await? {
            let digest: Vec<u8> = transaction.statement(DIGEST).bind(Uuid::from(new.id)).one().await?.get("digest")?;
            let same = digest == new.digest.0;
            return Ok(if same { Acceptance::Replayed } else { Acceptance::Conflicting });
        }
        if road.failure().is_none() {
            transaction.enqueue(JobKind::Convert, new.id, now).await?;
        }
        transaction.commit().await?;
        Ok(Acceptance::Accepted)
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
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        let row = transaction.statement(KIND_OF_RECORDING).bind(Uuid::from(id)).one().await?;
        let (patient, movement) = (read_patient_id(&row)?, read_movement(&row)?);
        transaction.insert_conversion(id, conversion).await?;

        let mut ordinal = None;
        let after = if row.get("training")? {
            let count = transaction.count_training(&patient, &movement, 1).await?;
            ordinal = Some(count);
            if rule.is_due(count) {
                transaction.enqueue(JobKind::Train, id, now).await?;
                AfterConversion::TrainingQueued
            } else {
                AfterConversion::Counted
            }
        } else if transaction.has_model(&patient, &movement).await? {
            transaction.enqueue(JobKind::Score, id, now).await?;
            AfterConversion::ScoreQueued
        } else {
            AfterConversion::AwaitsModel
        };
        let status = match after {
            AfterConversion::Counted | AfterConversion::TrainingQueued => RecordingStatus::Training,
            AfterConversion::ScoreQueued => RecordingStatus::Converted,
            AfterConversion::AwaitsModel => RecordingStatus::AwaitingModel,
        };
        let update = transaction.statement(CONVERTED).bind(status.name()).bind(conversion.quality.effective_rate_hz);
        update.bind(ordinal).bind(now).bind(Uuid::from(id)).execute().await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Ends a scoring: the score, and the integer on the event.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_scoring(&self, fence: Fence, id: TestEventId, score: &Score, now: DateTime<Utc>) -> Result<()> {
        let id = Uuid::from(id);
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        transaction
            .statement(ADD_SCORE)
            .bind(id)
            .bind(score.value)
            .bind(score.lower)
            .bind(score.upper)
            .bind(score.model_version.as_str())
            .bind(score.backend)
            .bind(now)
            .execute()
            .await?;
        transaction.statement(SCORED).bind(now).bind(id).execute().await?;
        transaction.statement(SET_BALANCE_SCORE).bind(score.balance_score()).bind(id).execute().await?;
        transaction.commit().await
    }

    /// What a step needs to know of a recording.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording(&self, id: TestEventId) -> Result<Option<RecordingRow>> {
        let row = self.read(RECORDING).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(read_recording).transpose()
    }

    /// Where a recording stands.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording_state(&self, id: TestEventId) -> Result<Option<RecordingState>> {
        let row = self.read(RECORDING_STATE).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(|row| read_state(id, row)).transpose()
    }

    /// The range of each axis, where the recording is converted.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn axis_ranges(&self, id: TestEventId) -> Result<Vec<AxisRange>> {
        let rows = self.read(AXIS_RANGES).bind(Uuid::from(id)).all().await?;
        rows.iter()
            .map(|row| {
                Ok(AxisRange { axis: row.get("axis")?, lowest: row.get("lowest")?, highest: row.get("highest")? })
            })
            .collect()
    }
}

impl Transaction {
    /// Makes the event of a recording, or fills in what it lacks; whether the id is free or the patient's own.
    async fn claim_event(&mut self, new: &NewRecording, failure: Option<&Failure>, now: DateTime<Utc>) -> Result<bool> {
        let reported = Reported::of(new, failure)?;
        let claimed = self
            .statement(CLAIM_EVENT)
            .bind(Uuid::from(new.id))
            .bind(new.patient.as_str())
            .bind(new.movement.as_str())
            .bind(reported.doctor_score)
            .bind(reported.start)
            .bind(reported.end)
            .bind(now)
            .optional()
            .await?;
        Ok(claimed.is_some())
    }

    /// Makes the row of a recording; whether there was none.
    async fn add_recording(
        &mut self,
        new: &NewRecording,
        failure: Option<&Failure>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let status = if failure.is_some() { RecordingStatus::Failed } else { RecordingStatus::Received };
        let added = self
            .statement(ADD_RECORDING)
            .bind(Uuid::from(new.id))
            .bind(new.patient.as_str())
            .bind(new.movement.as_str())
            .bind(&new.digest.0)
            .bind(new.raw_key.as_str())
            .bind(new.raw_bytes)
            .bind(new.day.year)
            .bind(new.day.month)
            .bind(new.day.day)
            .bind(new.clinic_score)
            .bind(new.samples)
            .bind(now)
            .bind(status.name())
            .bind(failure.map(|failure| failure.code.as_str()))
            .bind(failure.map(|failure| failure.message.as_str()))
            .execute()
            .await?;
        Ok(added == 1)
    }

    async fn insert_conversion(&mut self, id: TestEventId, conversion: &Conversion) -> Result<()> {
        let (id, quality) = (Uuid::from(id), &conversion.quality);
        self.statement(ADD_QUALITY)
            .bind(id)
            .bind(count(quality.samples))
            .bind(quality.duration_seconds)
            .bind(quality.effective_rate_hz)
            .bind(count(quality.gaps))
            .bind(quality.longest_gap_seconds)
            .bind(quality.jitter_seconds)
            .bind(count(quality.non_monotonic))
            .bind(&quality.constant_axes.join(","))
            .execute()
            .await?;
        let mut ranges = self.statement(ADD_RANGES).bind(id);
        for (axis, (lowest, highest)) in AXES.into_iter().zip(quality.ranges) {
            ranges = ranges.bind(axis).bind(lowest).bind(highest);
        }
        ranges.execute().await?;
        let vector: Vec<u8> = conversion.features.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.statement(ADD_FEATURES).bind(id).bind(conversion.feature_set).bind(&vector[..]).execute().await?;
        Ok(())
    }

    /// Counts training recordings of a patient and movement, and locks the count until the transaction ends: whoever ends
    /// a conversion or a training of the two waits for the others who do.
    async fn count_training(&mut self, patient: &PatientId, movement: &Movement, more: i64) -> Result<i64> {
        let count = self.statement(COUNT_TRAINING).bind(patient.as_str()).bind(movement.as_str());
        count.bind(more).one().await?.get("recordings")
    }

    /// Waits for those who end a conversion or a training of the patient and movement, and has others wait.
    pub(super) async fn lock_training_count(&mut self, patient: &PatientId, movement: &Movement) -> Result<()> {
        self.count_training(patient, movement, 0).await?;
        Ok(())
    }

    /// Whether there is a model, which stays so until the transaction ends.
    async fn has_model(&mut self, patient: &PatientId, movement: &Movement) -> Result<bool> {
        // The statement after the lock sees what was committed before the lock was given.
        self.lock_training_count(patient, movement).await?;
        let has_model = self.statement(HAS_MODEL).bind(patient.as_str()).bind(movement.as_str());
        has_model.one().await?.get("has_model")
    }

    /// Takes back what the deaths of these convert and score jobs made of their recordings.
    pub(super) async fn clear_failures_of(&mut self, jobs: &[i64], now: DateTime<Utc>) -> Result<()> {
        self.statement(CLEAR_FAILURES).bind(now).bind(jobs).execute().await?;
        Ok(())
    }

    /// Marks a recording failed, unless it has a score.
    pub(super) async fn mark_failed(&mut self, id: TestEventId, failure: &Failure, now: DateTime<Utc>) -> Result<()> {
        let update = self.statement(FAILED).bind(&failure.code).bind(&failure.message).bind(now);
        update.bind(Uuid::from(id)).execute().await?;
        Ok(())
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn read_vector(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

pub(super) fn read_digest(bytes: Vec<u8>) -> Result<Digest> {
    bytes.try_into().map(Digest).map_err(|_| DatabaseError::Corrupt("digest"))
}

fn read_movement(row: &Row) -> Result<Movement> {
    Movement::new(row.get::<String>("movement")?).map_err(|_| DatabaseError::Corrupt("movement"))
}

fn read_recording(row: &Row) -> Result<RecordingRow> {
    let vector: Option<Vec<u8>> = row.get("vector")?;
    let set: Option<String> = row.get("feature_set")?;
    Ok(RecordingRow {
        id: row.get::<Uuid>("test_event_id")?.into(),
        patient: read_patient_id(row)?,
        movement: read_movement(row)?,
        day: Day { year: row.get("year")?, month: row.get("month")?, day: row.get("day")? },
        raw_key: ObjectKey::from_row(row.get("raw_key")?),
        digest: read_digest(row.get("digest")?)?,
        training_ordinal: row.get("training_ordinal")?,
        features: set.zip(vector.as_deref().map(read_vector)),
    })
}

fn read_state(id: TestEventId, row: &Row) -> Result<RecordingState> {
    let score = match row.get("value")? {
        None => None,
        Some(value) => Some(Score {
            value,
            lower: row.get("lower")?,
            upper: row.get("upper")?,
            model_version: ModelVersion::new(row.get::<String>("model_version")?)
                .map_err(|_| DatabaseError::Corrupt("model version"))?,
            backend: match row.get::<String>("backend")?.as_str() {
                "local" => "local",
                "sagemaker" => "sagemaker",
                _ => return Err(DatabaseError::Corrupt("scoring backend")),
            },
        }),
    };
    let failure = match row.get("failure_code")? {
        None => None,
        Some(code) => {
            Some(Failure { code, message: row.get::<Option<String>>("failure_message")?.unwrap_or_default() })
        }
    };
    Ok(RecordingState {
        test_event_id: id,
        patient_id: read_patient_id(row)?,
        movement: read_movement(row)?,
        status: RecordingStatus::from_name(&row.get::<String>("status")?).ok_or(DatabaseError::Corrupt("status"))?,
        balance_score: row.get("balance_score")?,
        score,
        samples: row.get("samples")?,
        sampling_rate_hz: row.get("sampling_rate_hz")?,
        failure,
        received_at: row.get("received_at")?,
        updated_at: row.get("updated_at")?,
    })
}
