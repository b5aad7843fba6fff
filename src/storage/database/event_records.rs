//! Everything that is known of a patient's test event, in one row: what a report shows and an export holds.

use super::patients::read_patient;
use super::recordings::{read_digest, read_movement, read_score};
use super::statement::Row;
use super::test_events::read_event;
use super::{Database, DatabaseError, Patient, Result, TestEvent, statements};
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use crate::domain::score::{Failure, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A test event with all that was made of it.
pub struct EventRecord {
    /// The event.
    pub event: TestEvent,
    /// Whose it is.
    pub patient: Patient,
    /// Its recording, where one came.
    pub recording: Option<Recorded>,
}

/// A recording and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The movement.
    pub movement: Movement,
    /// The local day.
    pub day: Day,
    /// Where the raw object is.
    pub raw_key: ObjectKey,
    /// Digest of the raw object.
    pub digest: Digest,
    /// Where it stands.
    pub status: RecordingStatus,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The clinician's score that came with it, 0 to 100.
    pub clinic_score: Option<f64>,
    /// When it was acknowledged.
    pub received_at: DateTime<Utc>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
    /// Its quality, once converted: then there are a CSV and a Parquet file of it, too.
    pub quality: Option<QualityReport>,
    /// Its score.
    pub score: Option<Scored>,
}

/// What was found when the recording was converted.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityReport {
    /// Number of samples.
    pub samples: i64,
    /// From the first to the last timestamp, seconds.
    pub duration_seconds: f64,
    /// Intervals by duration, hertz; `None` where no time passes.
    pub effective_rate_hz: Option<f64>,
    /// Intervals over three times the median one.
    pub gaps: i64,
    /// The longest interval, seconds.
    pub longest_gap_seconds: f64,
    /// Standard deviation of the intervals, seconds.
    pub jitter_seconds: f64,
    /// Timestamps that are not later than the one before.
    pub non_monotonic: i64,
    /// Axes on which every sample is the same.
    pub constant_axes: Vec<String>,
}

/// A score, and the model that gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The score.
    pub score: Score,
    /// When it was given.
    pub at: DateTime<Utc>,
    /// Recordings that the model was trained from, and its leave-one-out mean absolute error in points of the score;
    /// `None` where the model is gone.
    pub model: Option<(i64, f64)>,
}

/// A model of a patient, with its card.
#[derive(Debug, Clone, PartialEq)]
pub struct CardRow {
    /// Its version.
    pub version: ModelVersion,
    /// The card, JSON.
    pub card: String,
    /// When a recording that it learned from was deleted: it scores none since then.
    pub retired_at: Option<DateTime<Utc>>,
}

statements! {
    EVENT_RECORD = shared(
        "SELECT test_events.test_event_id, test_events.patient_id, test_type, balance_score, doctor_score, notes, start_time,
                end_time, email, first_name, last_name, privacy_consent_date,
                recordings.movement, year, month, day, raw_key, digest, status, failure_code, failure_message, clinic_score,
                received_at, updated_at,
                quality_reports.samples, duration_seconds, effective_rate_hz, gaps, longest_gap_s, jitter_s, non_monotonic,
                constant_axes, value, lower, upper, scores.model_version, backend, provisional, unlike_training, novelty, scored_at, training_recordings,
                leave_one_out_error
         FROM test_events
             JOIN patients ON patients.patient_id = test_events.patient_id
             LEFT JOIN recordings ON recordings.test_event_id = test_events.test_event_id
             LEFT JOIN quality_reports ON quality_reports.test_event_id = test_events.test_event_id
             LEFT JOIN scores ON scores.test_event_id = test_events.test_event_id
             LEFT JOIN models ON models.model_version = scores.model_version
         WHERE test_events.test_event_id = $1 AND test_events.patient_id = $2",
    );
    EVENTS_OF_PATIENT = shared(
        "SELECT test_event_id FROM test_events WHERE patient_id = $1
         ORDER BY start_time NULLS FIRST, test_event_id LIMIT $2",
    );
    CARDS_OF_PATIENT = shared(
        "SELECT model_version, card, retired_at FROM models WHERE patient_id = $1 ORDER BY movement, training_recordings LIMIT $2",
    );
}

impl Database {
    /// Everything that is known of the patient's test event with that id.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn event_record(&self, id: TestEventId, patient: &PatientId) -> Result<Option<EventRecord>> {
        let row = self.read(EVENT_RECORD).bind(Uuid::from(id)).bind(patient.as_str()).optional().await?;
        row.as_ref().map(read_record).transpose()
    }

    /// The ids of the patient's test events in the order in which they began, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn events_of_patient(&self, patient: &PatientId, limit: u32) -> Result<Vec<TestEventId>> {
        let rows = self.read(EVENTS_OF_PATIENT).bind(patient.as_str()).bind(limit).all().await?;
        rows.iter().map(|row| Ok(row.get::<Uuid>("test_event_id")?.into())).collect()
    }

    /// The cards of the patient's models, oldest first for each movement, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn cards_of_patient(&self, patient: &PatientId, limit: u32) -> Result<Vec<CardRow>> {
        let rows = self.read(CARDS_OF_PATIENT).bind(patient.as_str()).bind(limit).all().await?;
        rows.iter()
            .map(|row| {
                let version = ModelVersion::new(row.get::<String>("model_version")?);
                let version = version.map_err(|_| DatabaseError::Corrupt("model version"))?;
                Ok(CardRow { version, card: row.get("card")?, retired_at: row.get("retired_at")? })
            })
            .collect()
    }
}

fn read_record(row: &Row) -> Result<EventRecord> {
    Ok(EventRecord { event: read_event(row)?, patient: read_patient(row)?, recording: read_recorded(row)? })
}

fn read_recorded(row: &Row) -> Result<Option<Recorded>> {
    let Some(status) = row.get::<Option<String>>("status")? else { return Ok(None) };
    let failure = match row.get("failure_code")? {
        None => None,
        Some(code) => {
            Some(Failure { code, message: row.get::<Option<String>>("failure_message")?.unwrap_or_default() })
        }
    };
    Ok(Some(Recorded {
        movement: read_movement(row)?,
        day: Day { year: row.get("year")?, month: row.get("month")?, day: row.get("day")? },
        raw_key: ObjectKey::from_row(row.get("raw_key")?),
        digest: read_digest(row.get("digest")?)?,
        status: RecordingStatus::from_name(&status).ok_or(DatabaseError::Corrupt("status"))?,
        failure,
        clinic_score: row.get("clinic_score")?,
        received_at: row.get("received_at")?,
        updated_at: row.get("updated_at")?,
        quality: read_quality(row)?,
        score: read_scored(row)?,
    }))
}

pub(super) fn read_quality(row: &Row) -> Result<Option<QualityReport>> {
    let Some(duration_seconds) = row.get("duration_seconds")? else { return Ok(None) };
    let constant: String = row.get("constant_axes")?;
    Ok(Some(QualityReport {
        samples: row.get("samples")?,
        duration_seconds,
        effective_rate_hz: row.get("effective_rate_hz")?,
        gaps: row.get("gaps")?,
        longest_gap_seconds: row.get("longest_gap_s")?,
        jitter_seconds: row.get("jitter_s")?,
        non_monotonic: row.get("non_monotonic")?,
        constant_axes: constant.split(',').filter(|axis| !axis.is_empty()).map(str::to_owned).collect(),
    }))
}

fn read_scored(row: &Row) -> Result<Option<Scored>> {
    let Some(score) = read_score(row)? else { return Ok(None) };
    let (recordings, error): (Option<i64>, Option<f64>) =
        (row.get("training_recordings")?, row.get("leave_one_out_error")?);
    Ok(Some(Scored { score, at: row.get("scored_at")?, model: recordings.zip(error) }))
}
