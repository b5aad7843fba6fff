//! What the lake is asked by: whose patients a reader may see, which files hold their samples, and what is known of their
//! recordings.
//!
//! Lists of ids go in as JSON. A page of patients is one statement, and every file of a patient comes from one statement: a
//! compaction that commits in between leaves out nothing and shows nothing twice.

use super::patients::read_patient_id;
use super::recordings::read_movement;
use super::statement::Row;
use super::{Database, DatabaseError, Result, statements};
use crate::domain::access::LakeScope;
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Day;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which files are asked for: those of the months from `from_month` to `to_month`, counted as twelve times the year plus the
/// month.
#[derive(Debug, Clone)]
pub struct LakeWindow {
    /// Only of this movement.
    pub movement: Option<Movement>,
    /// The first month.
    pub from_month: i64,
    /// The last month.
    pub to_month: i64,
}

/// A file that holds samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakePart {
    /// One recording's own file.
    Recording {
        /// Whose.
        patient: PatientId,
        /// Of which movement.
        movement: Movement,
        /// The local day.
        day: Day,
        /// Which.
        id: TestEventId,
    },
    /// A compacted file.
    Compacted(CompactedFile),
}

/// A compacted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactedFile {
    /// Where it is.
    pub key: ObjectKey,
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// Of which year of the recordings' local days.
    pub year: i32,
    /// Of which month, 1 to 12.
    pub month: u32,
    /// Its length.
    pub bytes: u64,
    /// How many samples are in it.
    pub samples: u64,
    /// First and last time of its samples, microseconds since 1970 UTC.
    pub taken: (i64, i64),
    /// The recordings in it that are there still; none where all are.
    pub remaining: Option<Vec<TestEventId>>,
}

/// What is known of a recording beside its samples.
#[derive(Debug, Clone)]
pub struct LakeRecording {
    /// Which.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// The local day.
    pub day: Day,
    /// Where it stands.
    pub status: String,
    /// The clinician's score of a training recording, 0 to 100.
    pub clinic_score: Option<f64>,
    /// The computed score, 0 to 100.
    pub score: Option<f64>,
    /// Lower end of its interval.
    pub score_lower: Option<f64>,
    /// Upper end of its interval.
    pub score_upper: Option<f64>,
    /// The model that it came from.
    pub model_version: Option<String>,
    /// When the event began.
    pub start_time: Option<DateTime<Utc>>,
    /// How many samples.
    pub samples: i64,
    /// How long, seconds; once converted.
    pub duration_seconds: Option<f64>,
    /// Samples a second; once converted, and where time passes in it.
    pub sampling_rate_hz: Option<f64>,
    /// Intervals over three times the median; once converted.
    pub gaps: Option<i64>,
}

statements! {
    PATIENTS_AFTER = shared("SELECT patient_id FROM patients WHERE patient_id > $1 ORDER BY patient_id LIMIT $2");
    LINKED_PATIENTS_AFTER = shared(
        "SELECT patient_id FROM patient_care_providers WHERE care_provider_id = $1 AND patient_id > $2
         ORDER BY patient_id LIMIT $3",
    );
    LINKED_AMONG = each(
        "SELECT patient_id FROM json_each($2) AS asked JOIN patient_care_providers ON patient_id = asked.value
         WHERE care_provider_id = $1 ORDER BY patient_id",
        "SELECT patient_id FROM json_array_elements_text($2::text::json) AS asked (value)
             JOIN patient_care_providers ON patient_id = asked.value
         WHERE care_provider_id = $1 ORDER BY patient_id",
    );
    /// Own files of what is in no compacted one, and the compacted ones. PostgreSQL takes an array for few, and uses the index.
    LAKE_PARTS = each(
        "SELECT recordings.patient_id, movement, year, month, day, test_event_id, NULL AS object_key, NULL AS bytes,
                NULL AS samples, NULL AS first_ts, NULL AS last_ts, NULL AS remaining
         FROM json_each($1) AS asked JOIN recordings ON recordings.patient_id = asked.value
             JOIN quality_reports USING (test_event_id)
         WHERE lake_file IS NULL AND ($2 IS NULL OR movement = $2) AND 12 * year + month BETWEEN $3 AND $4
         UNION ALL
         SELECT patient_id, movement, year, month, NULL, NULL, object_key, bytes, samples, first_ts, last_ts,
                CASE WHEN gone > 0 THEN coalesce((SELECT group_concat(test_event_id) FROM recordings WHERE lake_file = object_key), '')
                END
         FROM json_each($1) AS asked JOIN lake_files ON patient_id = asked.value
         WHERE state = 'live' AND ($2 IS NULL OR movement = $2) AND 12 * year + month BETWEEN $3 AND $4
         LIMIT $5",
        "SELECT recordings.patient_id, movement, year, month, day, test_event_id, NULL AS object_key, NULL AS bytes,
                NULL AS samples, NULL AS first_ts, NULL AS last_ts, NULL AS remaining
         FROM recordings JOIN quality_reports USING (test_event_id)
         WHERE recordings.patient_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json))) AND lake_file IS NULL AND ($2 IS NULL OR movement = $2) AND 12 * year + month BETWEEN $3 AND $4
         UNION ALL
         SELECT patient_id, movement, year, month, NULL, NULL, object_key, bytes, samples, first_ts, last_ts,
                CASE WHEN gone > 0 THEN coalesce(
                    (SELECT string_agg(test_event_id::text, ',') FROM recordings WHERE lake_file = object_key), '') END
         FROM lake_files
         WHERE patient_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json))) AND state = 'live' AND ($2 IS NULL OR movement = $2) AND 12 * year + month BETWEEN $3 AND $4
         LIMIT $5",
    );
    LAKE_RECORDINGS = each(
        "SELECT recordings.test_event_id, recordings.patient_id, movement, year, month, day, status, clinic_score, scores.value, lower,
                upper, model_version, start_time, recordings.samples, duration_seconds, sampling_rate_hz, gaps
         FROM json_each($1) AS asked JOIN test_events ON test_events.patient_id = asked.value
             JOIN recordings USING (test_event_id) LEFT JOIN scores USING (test_event_id)
             LEFT JOIN quality_reports USING (test_event_id)
         LIMIT $2",
        "SELECT recordings.test_event_id, recordings.patient_id, movement, year, month, day, status, clinic_score, scores.value, lower,
                upper, model_version, start_time, recordings.samples, duration_seconds, sampling_rate_hz, gaps
         FROM test_events JOIN recordings USING (test_event_id) LEFT JOIN scores USING (test_event_id)
             LEFT JOIN quality_reports USING (test_event_id)
         WHERE test_events.patient_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)))
         LIMIT $2",
    );
    PATIENTS_OF_EVENTS = each(
        "SELECT DISTINCT patient_id FROM json_each($1) AS asked JOIN recordings ON test_event_id = asked.value",
        "SELECT DISTINCT patient_id FROM recordings
         WHERE test_event_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)::uuid))",
    );
}

impl Database {
    /// The patients that a reader of the lake may see and whose ids come after `after`, in the order of their ids, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_patients(&self, scope: &LakeScope, after: &str, limit: u32) -> Result<Vec<PatientId>> {
        let rows = match scope {
            LakeScope::Everyone => self.read(PATIENTS_AFTER).bind(after).bind(limit).all().await?,
            LakeScope::PatientsOf(provider) => {
                self.read(LINKED_PATIENTS_AFTER).bind(provider.as_str()).bind(after).bind(limit).all().await?
            }
        };
        rows.iter().map(read_patient_id).collect()
    }

    /// Those of the patients that a reader of the lake may see.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_patients_among(&self, scope: &LakeScope, asked: Vec<PatientId>) -> Result<Vec<PatientId>> {
        match scope {
            LakeScope::Everyone => Ok(asked),
            LakeScope::PatientsOf(provider) => {
                let read = self.read(LINKED_AMONG).bind(provider.as_str());
                let rows = read.bind(json(asked.iter().map(PatientId::as_str)).as_str()).all().await?;
                rows.iter().map(read_patient_id).collect()
            }
        }
    }

    /// Whose these recordings are.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patients_of_recordings(&self, events: &[TestEventId]) -> Result<Vec<PatientId>> {
        let ids = json(events.iter().map(ToString::to_string));
        let rows = self.read(PATIENTS_OF_EVENTS).bind(ids.as_str()).all().await?;
        rows.iter().map(read_patient_id).collect()
    }

    /// Every file that holds samples of these patients within the window, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_parts(&self, patients: &[PatientId], window: &LakeWindow, limit: u32) -> Result<Vec<LakePart>> {
        let read = self.read(LAKE_PARTS).bind(json(patients.iter().map(PatientId::as_str)).as_str());
        let read = read.bind(window.movement.as_ref().map(Movement::as_str));
        let rows = read.bind(window.from_month).bind(window.to_month).bind(limit).all().await?;
        rows.iter().map(read_part).collect()
    }

    /// What is known of these patients' recordings, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn lake_recordings(&self, patients: &[PatientId], limit: u32) -> Result<Vec<LakeRecording>> {
        let ids = json(patients.iter().map(PatientId::as_str));
        let rows = self.read(LAKE_RECORDINGS).bind(ids.as_str()).bind(limit).all().await?;
        rows.iter().map(read_lake_recording).collect()
    }
}

/// A list of texts, as the statements take it.
pub(super) fn json(texts: impl Iterator<Item = impl Into<String>>) -> String {
    serde_json::Value::from_iter(texts.map(Into::into)).to_string()
}

fn read_part(row: &Row) -> Result<LakePart> {
    let (patient, movement) = (read_patient_id(row)?, read_movement(row)?);
    let Some(key) = row.get::<Option<String>>("object_key")? else {
        let day = Day { year: row.get("year")?, month: row.get("month")?, day: row.get("day")? };
        return Ok(LakePart::Recording { patient, movement, day, id: row.get::<Uuid>("test_event_id")?.into() });
    };
    let remaining: Option<String> = row.get("remaining")?;
    let remaining = remaining.map(|ids| {
        let ids = ids.split(',').filter(|id| !id.is_empty());
        ids.map(|id| id.parse().map_err(|_| DatabaseError::Corrupt("test event id"))).collect::<Result<Vec<_>>>()
    });
    Ok(LakePart::Compacted(CompactedFile {
        key: ObjectKey::from_row(key),
        patient,
        movement,
        year: row.get("year")?,
        month: row.get("month")?,
        bytes: read_count(row, "bytes")?,
        samples: read_count(row, "samples")?,
        taken: (
            row.get::<Option<i64>>("first_ts")?.unwrap_or(i64::MIN),
            row.get::<Option<i64>>("last_ts")?.unwrap_or(i64::MAX),
        ),
        remaining: remaining.transpose()?,
    }))
}

pub(super) fn read_count(row: &Row, column: &'static str) -> Result<u64> {
    row.get::<i64>(column)?.try_into().map_err(|_| DatabaseError::Corrupt(column))
}

fn read_lake_recording(row: &Row) -> Result<LakeRecording> {
    Ok(LakeRecording {
        id: row.get::<Uuid>("test_event_id")?.into(),
        patient: read_patient_id(row)?,
        movement: read_movement(row)?,
        day: Day { year: row.get("year")?, month: row.get("month")?, day: row.get("day")? },
        status: row.get("status")?,
        clinic_score: row.get("clinic_score")?,
        score: row.get("value")?,
        score_lower: row.get("lower")?,
        score_upper: row.get("upper")?,
        model_version: row.get("model_version")?,
        start_time: row.get("start_time")?,
        samples: row.get("samples")?,
        duration_seconds: row.get("duration_seconds")?,
        sampling_rate_hz: row.get("sampling_rate_hz")?,
        gaps: row.get("gaps")?,
    })
}
