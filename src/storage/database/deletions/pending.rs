//! Deletions whose objects may be there still.

use super::super::jobs::Fence;
use super::super::patients::read_patient_id;
use super::super::{Database, DatabaseError, Result, statements};
use crate::domain::ids::{PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A deletion whose objects may be there still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDeletion {
    /// The objects.
    pub keys: Vec<ObjectKey>,
    /// They must be removed once more then, for work under way may make them anew until then.
    pub sweep_at: DateTime<Utc>,
    /// The event's report, where it is among them.
    pub report: Option<ObjectKey>,
    /// It must be removed once more then.
    pub report_sweep_at: DateTime<Utc>,
}

statements! {
    PENDING_DELETION = shared(
        "SELECT patient_id, sweep_at, report_sweep_at, object_key
         FROM deletions LEFT JOIN deletion_objects USING (test_event_id)
         WHERE test_event_id = $1 AND (pending OR object_key IS NOT NULL) ORDER BY object_key",
    );
    POSTPONE_SWEEP = shared(
        "UPDATE jobs SET state = 'delayed', due_at = $1, owner = NULL, attempts = attempts - 1
         WHERE job_id = $2 AND fence = $3 AND state = 'leased'",
    );
    FORGET_OTHER_OBJECTS = shared("DELETE FROM deletion_objects WHERE test_event_id = $1 AND object_key <> $2");
    FREE_EVENT = shared("UPDATE deletions SET pending = false, swept = true WHERE test_event_id = $1");
    SWEPT = shared("UPDATE deletions SET swept = true WHERE test_event_id = $1");
    FORGET_OBJECTS = shared("DELETE FROM deletion_objects WHERE test_event_id = $1");
    END_DELETION = shared(
        "UPDATE deletions SET patient_id = NULL, pending = false, swept = true WHERE test_event_id = $1",
    );
    IS_SWEPT = shared("SELECT swept FROM deletions WHERE test_event_id = $1 AND patient_id = $2");
}

impl Database {
    /// The objects of a deletion that is not over.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn pending_deletion(&self, id: TestEventId) -> Result<Option<PendingDeletion>> {
        let rows = self.read(PENDING_DELETION).bind(Uuid::from(id)).all().await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (sweep_at, report_sweep_at) = (first.get("sweep_at")?, first.get("report_sweep_at")?);
        let report = match first.get::<Option<String>>("patient_id")? {
            Some(_) => Some(ObjectKey::pdf(&read_patient_id(first)?, id)),
            None => None,
        };
        let keys = rows.iter().filter_map(|row| row.get::<Option<String>>("object_key").transpose());
        let keys = keys.map(|key| key.map(ObjectKey::from_row)).collect::<Result<Vec<_>>>()?;
        let report = report.filter(|report| keys.contains(report));
        Ok(Some(PendingDeletion { keys, sweep_at, report, report_sweep_at }))
    }

    /// Notes that every object was removed, and that they are to be removed once more then.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over.
    pub async fn postpone_sweep(&self, fence: Fence, id: TestEventId, sweep_at: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        let postpone = transaction.statement(POSTPONE_SWEEP).bind(sweep_at).bind(fence.job_id).bind(fence.token);
        if postpone.execute().await? != 1 {
            return Err(DatabaseError::Fenced);
        }
        transaction.statement(SWEPT).bind(Uuid::from(id)).execute().await?;
        transaction.commit().await
    }

    /// Notes that every object was removed, and that the report alone is to be removed once more then. The event's id is free
    /// from now on: a report that is removed although it is of another recording under that id is made anew when it is
    /// asked for.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over.
    pub async fn postpone_report_sweep(
        &self,
        fence: Fence,
        id: TestEventId,
        report: &ObjectKey,
        sweep_at: DateTime<Utc>,
    ) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        let postpone = transaction.statement(POSTPONE_SWEEP).bind(sweep_at).bind(fence.job_id).bind(fence.token);
        if postpone.execute().await? != 1 {
            return Err(DatabaseError::Fenced);
        }
        transaction.statement(FORGET_OTHER_OBJECTS).bind(Uuid::from(id)).bind(report.as_str()).execute().await?;
        transaction.statement(FREE_EVENT).bind(Uuid::from(id)).execute().await?;
        transaction.commit().await
    }

    /// Ends a deletion: every object is removed.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when the lease is over; then nothing was written.
    pub async fn finish_deletion(&self, fence: Fence, id: TestEventId) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        transaction.finish(fence).await?;
        transaction.statement(FORGET_OBJECTS).bind(Uuid::from(id)).execute().await?;
        transaction.statement(END_DELETION).bind(Uuid::from(id)).execute().await?;
        transaction.commit().await
    }

    /// Whether all objects of the patient's deleted event were removed, at least once.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn is_swept(&self, id: TestEventId, patient: &PatientId) -> Result<bool> {
        let row = self.read(IS_SWEPT).bind(Uuid::from(id)).bind(patient.as_str()).optional().await?;
        row.map_or(Ok(true), |row| row.get("swept"))
    }
}
