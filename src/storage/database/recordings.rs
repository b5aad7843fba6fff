//! Recordings as they stand, and their failures.

use super::event_records::{QualityReport, read_quality};
use super::patients::read_patient_id;
use super::statement::Row;
use super::{Database, DatabaseError, Result, Transaction, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use crate::domain::score::{Failure, RecordingState, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a later step needs to know of a recording.
#[derive(Debug, Clone, PartialEq)]
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

/// Where a recording stands, and what its samples are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingDetails {
    /// Where it stands.
    pub state: RecordingState,
    /// Its quality report, once it is converted.
    pub quality: Option<QualityReport>,
}

statements! {
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
        "SELECT recordings.patient_id, movement, status, balance_score, value, lower, upper, model_version, backend, provisional, unlike_training, novelty, samples,
                sampling_rate_hz, failure_code, failure_message, received_at, updated_at
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
         WHERE test_event_id = $1",
    );
    RECORDING_DETAILS = each(
        "SELECT recordings.test_event_id, recordings.patient_id, movement, status, balance_score, value, lower, upper,
                model_version, backend, provisional, unlike_training, novelty, recordings.samples, sampling_rate_hz, failure_code, failure_message, received_at,
                updated_at, duration_seconds, effective_rate_hz, gaps, longest_gap_s, jitter_s, non_monotonic, constant_axes
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
             LEFT JOIN quality_reports USING (test_event_id)
         WHERE recordings.test_event_id IN (SELECT value FROM json_each($1))",
        "SELECT recordings.test_event_id, recordings.patient_id, movement, status, balance_score, value, lower, upper,
                model_version, backend, provisional, unlike_training, novelty, recordings.samples, sampling_rate_hz, failure_code, failure_message, received_at,
                updated_at, duration_seconds, effective_rate_hz, gaps, longest_gap_s, jitter_s, non_monotonic, constant_axes
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
             LEFT JOIN quality_reports USING (test_event_id)
         WHERE recordings.test_event_id = ANY ($1)",
    );
    AXIS_RANGES_OF = each(
        "SELECT test_event_id, patient_id, axis, lowest, highest FROM axis_ranges JOIN recordings USING (test_event_id)
         WHERE test_event_id IN (SELECT value FROM json_each($1)) ORDER BY test_event_id, axis",
        "SELECT test_event_id, patient_id, axis, lowest, highest FROM axis_ranges JOIN recordings USING (test_event_id)
         WHERE test_event_id = ANY ($1) ORDER BY test_event_id, axis",
    );
    REPLACE_FEATURES = shared("UPDATE features SET feature_set = $1, vector = $2 WHERE test_event_id = $3");
    AXIS_RANGES = shared("SELECT axis, lowest, highest FROM axis_ranges WHERE test_event_id = $1 ORDER BY axis");
}

impl Database {
    /// What a step needs to know of a recording.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording(&self, id: TestEventId) -> Result<Option<RecordingRow>> {
        let row = self.read(RECORDING).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(read_recording).transpose()
    }

    /// Keeps features of another set in place of those that there are.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn replace_features(&self, id: TestEventId, feature_set: &str, features: &[f64]) -> Result<()> {
        let write = self.write_redoable(REPLACE_FEATURES).bind(feature_set).bind(&write_vector(features)[..]);
        write.bind(Uuid::from(id)).execute().await?;
        Ok(())
    }

    /// Where a recording stands.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording_state(&self, id: TestEventId) -> Result<Option<RecordingState>> {
        let row = self.read(RECORDING_STATE).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(|row| read_state(id, row)).transpose()
    }

    /// Those of the recordings that there are, in no order.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording_details(&self, ids: &[TestEventId]) -> Result<Vec<RecordingDetails>> {
        self.read(RECORDING_DETAILS).bind(&uuids(ids)[..]).all().await?.iter().map(read_details).collect()
    }

    /// The ranges of the axes of those recordings that are converted, by recording and axis, and whose each recording is.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn axis_ranges_of(&self, ids: &[TestEventId]) -> Result<Vec<(TestEventId, PatientId, AxisRange)>> {
        let rows = self.read(AXIS_RANGES_OF).bind(&uuids(ids)[..]).all().await?;
        rows.iter()
            .map(|row| {
                let range =
                    AxisRange { axis: row.get("axis")?, lowest: row.get("lowest")?, highest: row.get("highest")? };
                Ok((row.get::<Uuid>("test_event_id")?.into(), read_patient_id(row)?, range))
            })
            .collect()
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

pub(super) fn read_vector(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// Features, as they are kept.
pub(super) fn write_vector(features: &[f64]) -> Vec<u8> {
    features.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(super) fn read_digest(bytes: Vec<u8>) -> Result<Digest> {
    bytes.try_into().map(Digest).map_err(|_| DatabaseError::Corrupt("digest"))
}

pub(super) fn read_movement(row: &Row) -> Result<Movement> {
    read_movement_named(row, "movement")
}

/// A movement that stands in that column.
pub(super) fn read_movement_named(row: &Row, column: &'static str) -> Result<Movement> {
    Movement::new(row.get::<String>(column)?).map_err(|_| DatabaseError::Corrupt(column))
}

fn uuids(ids: &[TestEventId]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid::from(*id)).collect()
}

fn read_details(row: &Row) -> Result<RecordingDetails> {
    let state = read_state(row.get::<Uuid>("test_event_id")?.into(), row)?;
    Ok(RecordingDetails { state, quality: read_quality(row)? })
}

pub(super) fn read_recording_day(row: &Row) -> Result<Day> {
    Ok(Day { year: row.get("year")?, month: row.get("month")?, day: row.get("day")? })
}

pub(super) fn read_recording(row: &Row) -> Result<RecordingRow> {
    let vector: Option<Vec<u8>> = row.get("vector")?;
    let set: Option<String> = row.get("feature_set")?;
    Ok(RecordingRow {
        id: row.get::<Uuid>("test_event_id")?.into(),
        patient: read_patient_id(row)?,
        movement: read_movement(row)?,
        day: read_recording_day(row)?,
        raw_key: ObjectKey::from_row(row.get("raw_key")?),
        digest: read_digest(row.get("digest")?)?,
        training_ordinal: row.get("training_ordinal")?,
        features: set.zip(vector.as_deref().map(read_vector)),
    })
}

pub(super) fn read_score(row: &Row) -> Result<Option<Score>> {
    let Some(value) = row.get("value")? else { return Ok(None) };
    Ok(Some(Score {
        provisional: row.get("provisional")?,
        unlike_training: row.get("unlike_training")?,
        novelty: row.get("novelty")?,
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
    }))
}

pub(super) fn read_state(id: TestEventId, row: &Row) -> Result<RecordingState> {
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
        score: read_score(row)?,
        samples: row.get("samples")?,
        sampling_rate_hz: row.get("sampling_rate_hz")?,
        failure,
        received_at: row.get("received_at")?,
        updated_at: row.get("updated_at")?,
    })
}
