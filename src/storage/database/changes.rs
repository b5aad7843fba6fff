//! What live updates read: recordings that changed, several at once, and who cares for their patients.

use super::patients::{read_care_provider_id, read_patient_id};
use super::recordings::read_state;
use super::statement::Row;
use super::{Database, Result, statements};
use crate::domain::ids::{CareProviderId, PatientId, TestEventId};
use crate::domain::score::RecordingState;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// A place among the recordings in the order in which they changed. Many change at one time, with one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangePlace {
    /// When it changed.
    pub at: DateTime<Utc>,
    /// Which.
    pub id: TestEventId,
}

impl ChangePlace {
    /// Before everything that changed at that time or later.
    #[must_use]
    pub fn before(at: DateTime<Utc>) -> Self {
        Self { at: at - TimeDelta::microseconds(1), id: Uuid::max().into() }
    }
}

statements! {
    RECORDING_STATES = each(
        "SELECT recordings.test_event_id, recordings.patient_id, movement, status, balance_score, value, lower, upper,
                model_version, backend, provisional, unlike_training, novelty, samples, sampling_rate_hz, failure_code, failure_message, received_at, updated_at
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
         WHERE recordings.test_event_id IN (SELECT value FROM json_each($1))",
        "SELECT recordings.test_event_id, recordings.patient_id, movement, status, balance_score, value, lower, upper,
                model_version, backend, provisional, unlike_training, novelty, samples, sampling_rate_hz, failure_code, failure_message, received_at, updated_at
         FROM recordings JOIN test_events USING (test_event_id) LEFT JOIN scores USING (test_event_id)
         WHERE recordings.test_event_id = ANY ($1)",
    );
    CARE_PROVIDERS_OF = each(
        "SELECT patient_id, care_provider_id FROM patient_care_providers
         WHERE patient_id IN (SELECT value FROM json_each($1))",
        "SELECT patient_id, care_provider_id FROM patient_care_providers WHERE patient_id = ANY ($1)",
    );
    CHANGED_SINCE = shared(
        "SELECT test_event_id, updated_at FROM recordings WHERE (updated_at, test_event_id) > ($1, $2)
         ORDER BY updated_at, test_event_id LIMIT $3",
    );
}

impl Database {
    /// Where these recordings stand, in no order; those that are not there are left out.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn recording_states(&self, ids: &[TestEventId]) -> Result<Vec<RecordingState>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from(*id)).collect();
        let rows = self.read(RECORDING_STATES).bind(ids.as_slice()).all().await?;
        rows.iter().map(|row| read_state(row.get::<Uuid>("test_event_id")?.into(), row)).collect()
    }

    /// Who cares for these patients; a patient without anybody is left out.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn care_providers_of(&self, patients: &[PatientId]) -> Result<HashMap<PatientId, Vec<CareProviderId>>> {
        let patients: Vec<String> = patients.iter().map(|patient| patient.as_str().to_owned()).collect();
        let mut found: HashMap<PatientId, Vec<CareProviderId>> = HashMap::new();
        for row in self.read(CARE_PROVIDERS_OF).bind(patients.as_slice()).all().await? {
            found.entry(read_patient_id(&row)?).or_default().push(read_care_provider_id(&row)?);
        }
        Ok(found)
    }

    /// The recordings that changed behind a place, earliest first, each with its own place; at most so many.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn changed_since(&self, after: ChangePlace, limit: u32) -> Result<Vec<ChangePlace>> {
        let rows = self.read(CHANGED_SINCE).bind(after.at).bind(Uuid::from(after.id)).bind(limit).all().await?;
        let place =
            |row: &Row| Ok(ChangePlace { at: row.get("updated_at")?, id: row.get::<Uuid>("test_event_id")?.into() });
        rows.iter().map(place).collect()
    }
}
