//! Recordings: acceptance, conversion, score. Each step and the job it ends and begins are one transaction.

use super::jobs::{Fence, JobKind};
use super::{Database, DatabaseError, Result, Transaction, from_micros, micros};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{AXES, Day, Quality};
use crate::domain::score::{Failure, RecordingState, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

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

impl Database {
    /// Accepts a recording whose raw object is durable: its event, its row and its job.
    ///
    /// # Errors
    /// When the database cannot; [`DatabaseError::MissingReference`] when there is no such patient.
    pub async fn accept_recording(&self, new: &NewRecording, now: DateTime<Utc>) -> Result<Acceptance> {
        let id = new.id.to_string();
        let mut transaction = self.begin().await?;
        if let Some(acceptance) = transaction.known(&id, new).await? {
            return Ok(acceptance);
        }
        let (start, end) = new.taken;
        #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
        let doctor_score = new.clinic_score.map(|score| score.round() as i32);
        sqlx::query(
            "INSERT INTO test_events (test_event_id, patient_id, test_type, doctor_score, start_time, end_time, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (test_event_id) DO UPDATE SET doctor_score = coalesce(doctor_score, excluded.doctor_score),
                 start_time = coalesce(start_time, excluded.start_time), end_time = coalesce(end_time, excluded.end_time)",
        )
        .bind(&id)
        .bind(new.patient.as_str())
        .bind(new.movement.as_str())
        .bind(doctor_score)
        .bind(start)
        .bind(end)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        sqlx::query(
            "INSERT INTO recordings (test_event_id, patient_id, movement, lane, digest, raw_key, raw_bytes, year, month, day,
                                     clinic_score, status, samples, received_at, updated_at)
             VALUES (?1, ?2, ?3,
                     coalesce((SELECT care_provider_id FROM patient_care_providers WHERE patient_id = ?2
                               ORDER BY linked_at, care_provider_id LIMIT 1), ?2),
                     ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'received', ?11, ?12, ?12)",
        )
        .bind(&id)
        .bind(new.patient.as_str())
        .bind(new.movement.as_str())
        .bind(&new.digest.0[..])
        .bind(new.raw_key.as_str())
        .bind(new.raw_bytes)
        .bind(new.day.year)
        .bind(new.day.month)
        .bind(new.day.day)
        .bind(new.clinic_score)
        .bind(new.samples)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        transaction.enqueue(JobKind::Convert, &id, now).await?;
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
        let text = id.to_string();
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        let row = sqlx::query(
            "SELECT patient_id, movement, clinic_score IS NOT NULL AS training,
                    EXISTS (SELECT 1 FROM models WHERE models.patient_id = recordings.patient_id
                            AND models.movement = recordings.movement) AS has_model
             FROM recordings WHERE test_event_id = ?1",
        )
        .bind(&text)
        .fetch_one(transaction.conn())
        .await?;
        let (patient, movement): (String, String) = (row.try_get("patient_id")?, row.try_get("movement")?);
        let (training, has_model): (bool, bool) = (row.try_get("training")?, row.try_get("has_model")?);
        transaction.insert_conversion(&text, conversion).await?;

        let mut ordinal = None;
        let after = if training {
            let count: i64 = sqlx::query_scalar(
                "INSERT INTO training_counts (patient_id, movement, recordings) VALUES (?1, ?2, 1)
                 ON CONFLICT (patient_id, movement) DO UPDATE SET recordings = recordings + 1 RETURNING recordings",
            )
            .bind(&patient)
            .bind(&movement)
            .fetch_one(transaction.conn())
            .await?;
            ordinal = Some(count);
            if rule.is_due(count) {
                transaction.enqueue(JobKind::Train, &text, now).await?;
                AfterConversion::TrainingQueued
            } else {
                AfterConversion::Counted
            }
        } else if has_model {
            transaction.enqueue(JobKind::Score, &text, now).await?;
            AfterConversion::ScoreQueued
        } else {
            AfterConversion::AwaitsModel
        };
        let status = match after {
            AfterConversion::Counted | AfterConversion::TrainingQueued => RecordingStatus::Training,
            AfterConversion::ScoreQueued => RecordingStatus::Converted,
            AfterConversion::AwaitsModel => RecordingStatus::AwaitingModel,
        };
        sqlx::query(
            "UPDATE recordings SET status = ?1, sampling_rate_hz = ?2, training_ordinal = ?3, updated_at = ?4
             WHERE test_event_id = ?5",
        )
        .bind(status.name())
        .bind(conversion.quality.effective_rate_hz)
        .bind(ordinal)
        .bind(micros(now))
        .bind(&text)
        .execute(transaction.conn())
        .await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Ends a scoring: the score, and the integer on the event.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_scoring(&self, fence: Fence, id: TestEventId, score: &Score, now: DateTime<Utc>) -> Result<()> {
        let text = id.to_string();
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        sqlx::query(
            "INSERT INTO scores (test_event_id, value, lower, upper, model_version, backend, scored_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(&text)
        .bind(score.value)
        .bind(score.lower)
        .bind(score.upper)
        .bind(score.model_version.as_str())
        .bind(score.backend)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        sqlx::query("UPDATE recordings SET status = 'scored', updated_at = ?1 WHERE test_event_id = ?2")
            .bind(micros(now))
            .bind(&text)
            .execute(transaction.conn())
            .await?;
        sqlx::query("UPDATE test_events SET balance_score = ?1 WHERE test_event_id = ?2")
            .bind(score.balance_score())
            .bind(&text)
            .execute(transaction.conn())
            .await?;
        transaction.commit().await
    }

    /// What a step needs to know of a recording.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording(&self, id: TestEventId) -> Result<Option<RecordingRow>> {
        let row = sqlx::query(
            "SELECT recordings.test_event_id, patient_id, movement, year, month, day, raw_key, digest, training_ordinal,
                    feature_set, vector
             FROM recordings LEFT JOIN features USING (test_event_id) WHERE test_event_id = ?1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_recording).transpose()
    }

    /// Where a recording stands.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording_state(&self, id: TestEventId) -> Result<Option<RecordingState>> {
        let row = sqlx::query(
            "SELECT recordings.test_event_id, recordings.patient_id, movement, status, balance_score, value, lower, upper,
                    model_version, backend, samples, sampling_rate_hz, failure_code, failure_message, received_at, updated_at
             FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
             WHERE test_event_id = ?1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(|row| read_state(id, row)).transpose()
    }

    /// The range of each axis, where the recording is converted.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn axis_ranges(&self, id: TestEventId) -> Result<Vec<AxisRange>> {
        let rows = sqlx::query("SELECT axis, lowest, highest FROM axis_ranges WHERE test_event_id = ?1 ORDER BY axis")
            .bind(id.to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(AxisRange {
                    axis: row.try_get("axis")?,
                    lowest: row.try_get("lowest")?,
                    highest: row.try_get("highest")?,
                })
            })
            .collect()
    }
}

impl Transaction {
    /// The answer for an id that is taken, if it is.
    async fn known(&mut self, id: &str, new: &NewRecording) -> Result<Option<Acceptance>> {
        let row = sqlx::query(
            "SELECT test_events.patient_id, digest FROM test_events LEFT JOIN recordings USING (test_event_id)
             WHERE test_event_id = ?1",
        )
        .bind(id)
        .fetch_optional(self.conn())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let digest: Option<&[u8]> = row.try_get("digest")?;
        Ok(match digest {
            _ if row.try_get::<&str, _>("patient_id")? != new.patient.as_str() => Some(Acceptance::Conflicting),
            Some(digest) if digest == new.digest.0 => Some(Acceptance::Replayed),
            Some(_) => Some(Acceptance::Conflicting),
            None => None,
        })
    }

    async fn insert_conversion(&mut self, id: &str, conversion: &Conversion) -> Result<()> {
        let quality = &conversion.quality;
        sqlx::query(
            "INSERT INTO quality_reports (test_event_id, samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s,
                                          jitter_s, non_monotonic, constant_axes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(id)
        .bind(count(quality.samples))
        .bind(quality.duration_seconds)
        .bind(quality.effective_rate_hz)
        .bind(count(quality.gaps))
        .bind(quality.longest_gap_seconds)
        .bind(quality.jitter_seconds)
        .bind(count(quality.non_monotonic))
        .bind(quality.constant_axes.join(","))
        .execute(self.conn())
        .await?;
        let mut rows = sqlx::QueryBuilder::new("INSERT INTO axis_ranges (test_event_id, axis, lowest, highest) ");
        rows.push_values(AXES.into_iter().zip(quality.ranges), |mut row, (axis, (lowest, highest))| {
            row.push_bind(id).push_bind(axis).push_bind(lowest).push_bind(highest);
        });
        rows.build().execute(self.conn()).await?;
        let vector: Vec<u8> = conversion.features.iter().flat_map(|value| value.to_le_bytes()).collect();
        sqlx::query("INSERT INTO features (test_event_id, feature_set, vector) VALUES (?1, ?2, ?3)")
            .bind(id)
            .bind(conversion.feature_set)
            .bind(vector)
            .execute(self.conn())
            .await?;
        Ok(())
    }

    /// Marks a recording failed, unless it has a score.
    pub(super) async fn mark_failed(&mut self, id: TestEventId, failure: &Failure, now: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "UPDATE recordings SET status = 'failed', failure_code = ?1, failure_message = ?2, updated_at = ?3
             WHERE test_event_id = ?4 AND status <> 'scored'",
        )
        .bind(&failure.code)
        .bind(&failure.message)
        .bind(micros(now))
        .bind(id.to_string())
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn read_vector(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

pub(super) fn read_digest(bytes: &[u8]) -> Result<Digest> {
    bytes.try_into().map(Digest).map_err(|_| DatabaseError::Corrupt("digest"))
}

fn read_patient(row: &SqliteRow) -> Result<PatientId> {
    PatientId::new(row.try_get::<String, _>("patient_id")?).map_err(|_| DatabaseError::Corrupt("patient id"))
}

fn read_movement(row: &SqliteRow) -> Result<Movement> {
    Movement::new(row.try_get::<String, _>("movement")?).map_err(|_| DatabaseError::Corrupt("movement"))
}

fn read_recording(row: &SqliteRow) -> Result<RecordingRow> {
    let vector: Option<&[u8]> = row.try_get("vector")?;
    let set: Option<String> = row.try_get("feature_set")?;
    Ok(RecordingRow {
        id: row.try_get::<&str, _>("test_event_id")?.parse().map_err(|_| DatabaseError::Corrupt("test event id"))?,
        patient: read_patient(row)?,
        movement: read_movement(row)?,
        day: Day { year: row.try_get("year")?, month: row.try_get("month")?, day: row.try_get("day")? },
        raw_key: ObjectKey::from_row(row.try_get("raw_key")?),
        digest: read_digest(row.try_get("digest")?)?,
        training_ordinal: row.try_get("training_ordinal")?,
        features: set.zip(vector.map(read_vector)),
    })
}

fn read_state(id: TestEventId, row: &SqliteRow) -> Result<RecordingState> {
    let score = match row.try_get::<Option<f64>, _>("value")? {
        None => None,
        Some(value) => Some(Score {
            value,
            lower: row.try_get("lower")?,
            upper: row.try_get("upper")?,
            model_version: ModelVersion::new(row.try_get::<String, _>("model_version")?)
                .map_err(|_| DatabaseError::Corrupt("model version"))?,
            backend: match row.try_get::<&str, _>("backend")? {
                "local" => "local",
                "sagemaker" => "sagemaker",
                _ => return Err(DatabaseError::Corrupt("scoring backend")),
            },
        }),
    };
    let failure = match row.try_get::<Option<String>, _>("failure_code")? {
        None => None,
        Some(code) => {
            Some(Failure { code, message: row.try_get::<Option<String>, _>("failure_message")?.unwrap_or_default() })
        }
    };
    Ok(RecordingState {
        test_event_id: id,
        patient_id: read_patient(row)?,
        movement: read_movement(row)?,
        status: RecordingStatus::from_name(row.try_get("status")?).ok_or(DatabaseError::Corrupt("status"))?,
        balance_score: row.try_get("balance_score")?,
        score,
        samples: row.try_get("samples")?,
        sampling_rate_hz: row.try_get("sampling_rate_hz")?,
        failure,
        received_at: from_micros(row.try_get("received_at")?)?,
        updated_at: from_micros(row.try_get("updated_at")?)?,
    })
}
