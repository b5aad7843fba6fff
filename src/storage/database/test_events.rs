//! Test events and the types of tests there are.

use super::patients::read_patient_id;
use super::recordings::read_digest;
use super::statement::Row;
use super::{Database, DatabaseError, Result, statements};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::storage::objects::Digest;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A test event.
#[derive(Clone, PartialEq, Eq)]
pub struct TestEvent {
    /// Which.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which type.
    pub test_type: Movement,
    /// The computed score, 0 to 100.
    pub balance_score: Option<i32>,
    /// The clinician's score, 0 to 100.
    pub doctor_score: Option<i32>,
    /// Notes of the patient or clinician.
    pub notes: Option<String>,
    /// When it began.
    pub start_time: Option<DateTime<Utc>>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
}

/// Who has a test event's id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// Whose event it is, where there is one.
    pub patient: Option<PatientId>,
    /// Digest of its recording, where there is one.
    pub digest: Option<Digest>,
    /// How often an event of that id was deleted.
    pub deletions: i64,
    /// Whether objects of a deleted one may be there still.
    pub being_deleted: bool,
}

/// What a client reports of a test event.
#[derive(Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Which.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// Of which type.
    pub test_type: Movement,
    /// The clinician's score, 0 to 100; one that is there stays where this is absent.
    pub doctor_score: Option<i32>,
    /// Notes; those that are there stay where this is absent.
    pub notes: Option<String>,
    /// When it began.
    pub start_time: DateTime<Utc>,
    /// When it ended.
    pub end_time: DateTime<Utc>,
}

/// Which test events, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestEventFilter {
    /// Only of this type.
    pub test_type: Option<Movement>,
    /// Only those that began then or later.
    pub from: Option<DateTime<Utc>>,
    /// Only those that began then or earlier.
    pub to: Option<DateTime<Utc>>,
    /// Latest first instead of earliest first.
    pub latest_first: bool,
    /// At most so many.
    pub limit: u32,
}

/// A type of test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestType {
    /// Its name.
    pub name: Movement,
    /// What the patient is told.
    pub instructions: Option<String>,
    /// How long it takes.
    pub duration_in_seconds: Option<i32>,
}

statements! {
    PUT_TEST_RESULT = shared(
        "INSERT INTO test_events (test_event_id, patient_id, test_type, doctor_score, notes, start_time, end_time, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (test_event_id) DO UPDATE SET test_type = excluded.test_type,
             doctor_score = coalesce(excluded.doctor_score, test_events.doctor_score),
             notes = coalesce(excluded.notes, test_events.notes),
             start_time = excluded.start_time, end_time = excluded.end_time
         WHERE test_events.patient_id = excluded.patient_id
         RETURNING test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time",
    );
    TEST_EVENT = shared(
        "SELECT test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time
         FROM test_events WHERE test_event_id = $1 AND patient_id = $2",
    );
    EVENT_PATIENT = shared("SELECT patient_id FROM test_events WHERE test_event_id = $1");
    RESCORED = shared("UPDATE recordings SET updated_at = $1 WHERE test_event_id = $2 AND patient_id = $3");
    PUT_BALANCE_SCORE = shared(
        "UPDATE test_events SET balance_score = $1 WHERE test_event_id = $2 AND patient_id = $3
         RETURNING test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time",
    );
    CLAIM = shared(
        "SELECT test_events.patient_id, digest, times, pending
         FROM (SELECT $1 AS test_event_id) AS asked
             LEFT JOIN test_events ON test_events.test_event_id = asked.test_event_id
             LEFT JOIN recordings ON recordings.test_event_id = asked.test_event_id
             LEFT JOIN deletions ON deletions.test_event_id = asked.test_event_id",
    );
    LATEST_TEST_EVENTS = shared(
        "SELECT test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time
         FROM test_events
         WHERE patient_id = $1 AND ($2 IS NULL OR test_type = $2) AND ($3 IS NULL OR start_time >= $3)
               AND ($4 IS NULL OR start_time <= $4)
         ORDER BY start_time DESC NULLS LAST, test_event_id DESC LIMIT $5",
    );
    EARLIEST_TEST_EVENTS = shared(
        "SELECT test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time
         FROM test_events
         WHERE patient_id = $1 AND ($2 IS NULL OR test_type = $2) AND ($3 IS NULL OR start_time >= $3)
               AND ($4 IS NULL OR start_time <= $4)
         ORDER BY start_time NULLS FIRST, test_event_id LIMIT $5",
    );
    PUT_TEST_TYPE = shared(
        "INSERT INTO test_types (test_type, instructions, duration_in_seconds) VALUES ($1, $2, $3)
         ON CONFLICT (test_type) DO UPDATE SET instructions = excluded.instructions,
             duration_in_seconds = excluded.duration_in_seconds",
    );
    TEST_TYPES = shared("SELECT test_type, instructions, duration_in_seconds FROM test_types ORDER BY test_type LIMIT $1");
}

impl Database {
    /// Makes the test event or changes it; a computed score stays. `None` when the id is another patient's event: then
    /// nothing was written.
    ///
    /// # Errors
    /// [`DatabaseError::MissingReference`] when there is no such patient.
    pub async fn put_test_result(&self, result: &TestResult, now: DateTime<Utc>) -> Result<Option<TestEvent>> {
        let row = self
            .write(PUT_TEST_RESULT)
            .bind(Uuid::from(result.id))
            .bind(result.patient.as_str())
            .bind(result.test_type.as_str())
            .bind(result.doctor_score)
            .bind(&result.notes)
            .bind(result.start_time)
            .bind(result.end_time)
            .bind(now)
            .optional()
            .await?;
        row.as_ref().map(read_event).transpose()
    }

    /// The patient's test event with that id.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn test_event(&self, id: TestEventId, patient: &PatientId) -> Result<Option<TestEvent>> {
        let row = self.read(TEST_EVENT).bind(Uuid::from(id)).bind(patient.as_str()).optional().await?;
        row.as_ref().map(read_event).transpose()
    }

    /// Whose test event it is.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn event_patient(&self, id: TestEventId) -> Result<Option<PatientId>> {
        let row = self.read(EVENT_PATIENT).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(read_patient_id).transpose()
    }

    /// Sets the computed score of the patient's test event by hand: its recording, where there is one, has changed then.
    /// `None` when they have no such event.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn put_balance_score(
        &self,
        id: TestEventId,
        patient: &PatientId,
        score: i32,
        now: DateTime<Utc>,
    ) -> Result<Option<TestEvent>> {
        let mut transaction = self.begin().await?;
        // The recording's row first, as whoever finishes a scoring locks them.
        let changed = transaction.statement(RESCORED).bind(now).bind(Uuid::from(id)).bind(patient.as_str());
        changed.execute().await?;
        let put = transaction.statement(PUT_BALANCE_SCORE).bind(score).bind(Uuid::from(id)).bind(patient.as_str());
        let event = put.optional().await?.as_ref().map(read_event).transpose()?;
        transaction.commit().await?;
        Ok(event)
    }

    /// Who has a test event's id, and with which recording.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn claim(&self, id: TestEventId) -> Result<Claim> {
        let row = self.read(CLAIM).bind(Uuid::from(id)).one().await?;
        let digest: Option<Vec<u8>> = row.get("digest")?;
        let patient: Option<String> = row.get("patient_id")?;
        Ok(Claim {
            patient: patient.map(|_| read_patient_id(&row)).transpose()?,
            digest: digest.map(read_digest).transpose()?,
            deletions: row.get::<Option<i64>>("times")?.unwrap_or_default(),
            being_deleted: row.get::<Option<bool>>("pending")?.unwrap_or_default(),
        })
    }

    /// The patient's test events, ordered by when they began.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn test_events(&self, patient: &PatientId, filter: &TestEventFilter) -> Result<Vec<TestEvent>> {
        let rows = self
            .read(if filter.latest_first { LATEST_TEST_EVENTS } else { EARLIEST_TEST_EVENTS })
            .bind(patient.as_str())
            .bind(filter.test_type.as_ref().map(Movement::as_str))
            .bind(filter.from)
            .bind(filter.to)
            .bind(filter.limit)
            .all()
            .await?;
        rows.iter().map(read_event).collect()
    }

    /// Adds a type of test, or changes the one with that name.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn put_test_type(&self, test_type: &TestType) -> Result<()> {
        let put = self.write(PUT_TEST_TYPE).bind(test_type.name.as_str()).bind(&test_type.instructions);
        put.bind(test_type.duration_in_seconds).execute().await?;
        Ok(())
    }

    /// The types of tests, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn test_types(&self, limit: u32) -> Result<Vec<TestType>> {
        read_test_types(&self.read(TEST_TYPES).bind(limit).all().await?)
    }
}

pub(super) fn read_test_types(rows: &[Row]) -> Result<Vec<TestType>> {
    rows.iter().map(read_known_test).collect()
}

pub(super) fn read_known_test(row: &Row) -> Result<TestType> {
    Ok(TestType {
        name: read_test_type(row)?,
        instructions: row.get("instructions")?,
        duration_in_seconds: row.get("duration_in_seconds")?,
    })
}

fn read_test_type(row: &Row) -> Result<Movement> {
    Movement::new(row.get::<String>("test_type")?).map_err(|_| DatabaseError::Corrupt("test type"))
}

pub(super) fn read_event(row: &Row) -> Result<TestEvent> {
    Ok(TestEvent {
        id: row.get::<Uuid>("test_event_id")?.into(),
        patient: read_patient_id(row)?,
        test_type: read_test_type(row)?,
        balance_score: row.get("balance_score")?,
        doctor_score: row.get("doctor_score")?,
        notes: row.get("notes")?,
        start_time: row.get("start_time")?,
        end_time: row.get("end_time")?,
    })
}
