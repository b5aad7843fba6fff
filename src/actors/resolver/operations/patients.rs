//! Patients.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::access::Role;
use crate::domain::ids::PatientId;
use crate::storage::database::{DatabaseError, Patient};

/// Patients that the directory lists at most.
const MOST_PATIENTS: u32 = 10_000;

/// A patient's profile.
pub struct PatientById {
    /// Which.
    pub patient: PatientId,
}

impl Operation for PatientById {
    const NAME: &'static str = "patient_by_id";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Patient;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Patient, ServiceError> {
        deps.database.patient(&self.patient).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

/// The directory that a care provider picks from when adding a patient: everybody's id and name. E-mail address and consent
/// are told of those whom they care for already; to an admin, of all.
pub struct PatientDirectory;

impl Operation for PatientDirectory {
    const NAME: &'static str = "patient_directory";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<Patient>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::ReadDirectory)
    }

    fn covered(answer: &Vec<Patient>) -> Vec<PatientId> {
        answer.iter().map(|patient| patient.id.clone()).collect()
    }

    async fn run(self, deps: &ResolverDeps, caller: &Caller) -> Result<Vec<Patient>, ServiceError> {
        let reader = match &caller.role {
            Role::CareProvider(care_provider) => Some(care_provider),
            Role::Admin => None,
            Role::Patient(_) => return Err(ServiceError::Forbidden),
        };
        Ok(deps.database.directory(reader, MOST_PATIENTS).await?)
    }
}

/// Makes a patient. A care provider who makes one is not linked to them by that.
pub struct CreatePatient {
    /// The patient, without a consent date.
    pub patient: Patient,
}

impl Operation for CreatePatient {
    const NAME: &'static str = "create_patient";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = Patient;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::CreatePatient)
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients([self.patient.id.clone()])
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Patient, ServiceError> {
        check_length("email", self.patient.email.as_deref(), 254)?;
        check_length("first_name", self.patient.first_name.as_deref(), 200)?;
        check_length("last_name", self.patient.last_name.as_deref(), 200)?;
        match deps.database.create_patient(&self.patient, deps.clock.now()).await {
            Ok(()) => Ok(self.patient),
            Err(DatabaseError::Duplicate(_)) => Err(ServiceError::Conflict {
                code: "patient_id_taken",
                detail: "there is a patient with this patient_id".into(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Notes when a patient consented to the use of their data.
pub struct RecordConsent {
    /// Who consented.
    pub patient: PatientId,
    /// When, as it is shown.
    pub date: String,
}

impl Operation for RecordConsent {
    const NAME: &'static str = "record_consent";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = Patient;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Patient, ServiceError> {
        deps.database.record_consent(&self.patient, &self.date).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}
