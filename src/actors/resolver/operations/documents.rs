//! Leave to be given documents. They are made and sent by other actors, who are asked with the leave that is got here and
//! cannot be asked without.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::{AccountId, PatientId, TestEventId};
use crate::storage::database::Patient;

/// Leave to read the documents of a test event. Made by [`ReadDocuments`] only.
#[derive(Debug)]
pub struct DocumentsLeave {
    patient: PatientId,
    id: TestEventId,
}

impl DocumentsLeave {
    /// Whose event, and which.
    #[must_use]
    pub fn event(&self) -> (&PatientId, TestEventId) {
        (&self.patient, self.id)
    }
}

/// Asks for leave to read the documents of a test event.
pub struct ReadDocuments {
    /// Whose.
    pub patient: PatientId,
    /// Which.
    pub id: TestEventId,
}

impl Operation for ReadDocuments {
    const NAME: &'static str = "read_documents";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "test event";
    type Answer = DocumentsLeave;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<DocumentsLeave, ServiceError> {
        let event = deps.database.test_event(self.id, &self.patient).await?;
        event.ok_or(ServiceError::NotFound(Self::SUBJECT))?;
        Ok(DocumentsLeave { patient: self.patient, id: self.id })
    }
}

/// Leave to read everything that is kept of a patient. Made by [`ReadRecord`] only.
pub struct RecordLeave {
    patient: Patient,
    account: AccountId,
}

impl RecordLeave {
    /// Who has it.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Whose record.
    #[must_use]
    pub fn into_patient(self) -> Patient {
        self.patient
    }
}

/// Asks for leave to read everything that is kept of a patient.
pub struct ReadRecord {
    /// Whose.
    pub patient: PatientId,
}

impl Operation for ReadRecord {
    const NAME: &'static str = "read_record";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = RecordLeave;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, caller: &Caller) -> Result<RecordLeave, ServiceError> {
        let patient = deps.database.patient(&self.patient).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))?;
        Ok(RecordLeave { patient, account: caller.account })
    }
}
