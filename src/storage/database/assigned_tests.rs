//! Which tests a patient is to do.

use super::test_events::{TestType, read_test_types};
use super::{Database, Result, statements};
use crate::domain::ids::{Movement, PatientId};
use chrono::{DateTime, Utc};

statements! {
    /// No row when there is no such type.
    ASSIGN = shared(
        "INSERT INTO assigned_tests (patient_id, test_type, assigned_at)
         SELECT $1, test_type, $3 FROM test_types WHERE test_type = $2
         ON CONFLICT (patient_id, test_type) DO UPDATE SET assigned_at = assigned_tests.assigned_at
         RETURNING test_type",
    );
    UNASSIGN = shared("DELETE FROM assigned_tests WHERE patient_id = $1 AND test_type = $2");
    ASSIGNED = shared(
        "SELECT test_type, instructions, duration_in_seconds FROM assigned_tests JOIN test_types USING (test_type)
         WHERE patient_id = $1 ORDER BY test_type LIMIT $2",
    );
}

impl Database {
    /// Has a patient do a test; assigned twice is assigned once. Whether there is such a test.
    ///
    /// # Errors
    /// [`DatabaseError::MissingReference`](super::DatabaseError::MissingReference) when there is no such patient.
    pub async fn assign_test(&self, patient: &PatientId, test_type: &Movement, now: DateTime<Utc>) -> Result<bool> {
        let assign = self.write(ASSIGN).bind(patient.as_str()).bind(test_type.as_str()).bind(now);
        Ok(assign.optional().await?.is_some())
    }

    /// Takes a test from a patient; whether they had it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn unassign_test(&self, patient: &PatientId, test_type: &Movement) -> Result<bool> {
        let removed = self.write(UNASSIGN).bind(patient.as_str()).bind(test_type.as_str()).execute().await?;
        Ok(removed > 0)
    }

    /// The tests that a patient is to do, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn assigned_tests(&self, patient: &PatientId, limit: u32) -> Result<Vec<TestType>> {
        read_test_types(&self.read(ASSIGNED).bind(patient.as_str()).bind(limit).all().await?)
    }
}
