//! Care providers and their patients.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::ids::{CareProviderId, PatientId};
use crate::storage::database::{CareProvider, DatabaseError, Patient, PatientLink};

/// Patients that one answer lists at most.
const MOST_PATIENTS: u32 = 10_000;

/// A care provider's profile.
pub struct CareProviderById {
    /// Which.
    pub care_provider: CareProviderId,
}

impl Operation for CareProviderById {
    const NAME: &'static str = "care_provider_by_id";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "care provider";
    type Answer = CareProvider;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::CareProvider(self.care_provider.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<CareProvider, ServiceError> {
        deps.database.care_provider(&self.care_provider).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

/// Makes a care provider.
pub struct CreateCareProvider {
    /// The care provider.
    pub care_provider: CareProvider,
}

impl Operation for CreateCareProvider {
    const NAME: &'static str = "create_care_provider";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "care provider";
    type Answer = CareProvider;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::CreateCareProvider)
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.care_provider(Some(self.care_provider.id.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<CareProvider, ServiceError> {
        check_length("email", self.care_provider.email.as_deref(), 254)?;
        match deps.database.create_care_provider(&self.care_provider, deps.clock.now()).await {
            Ok(()) => Ok(self.care_provider),
            Err(DatabaseError::Duplicate(_)) => Err(ServiceError::Conflict {
                code: "care_provider_id_taken",
                detail: "there is a care provider with this care_provider_id".into(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// The patients whom a care provider cares for.
pub struct PatientsOfCareProvider {
    /// Which care provider.
    pub care_provider: CareProviderId,
}

impl Operation for PatientsOfCareProvider {
    const NAME: &'static str = "patients_of_care_provider";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "care provider";
    type Answer = Vec<Patient>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::CareProvider(self.care_provider.clone()))
    }

    fn covered(patients: &Vec<Patient>) -> Vec<PatientId> {
        patients.iter().map(|patient| patient.id.clone()).collect()
    }

    fn linked(patients: &Vec<Patient>) -> Vec<PatientId> {
        Self::covered(patients)
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Vec<Patient>, ServiceError> {
        if deps.database.care_provider(&self.care_provider).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(deps.database.patients_of(&self.care_provider, MOST_PATIENTS).await?)
    }
}

/// Links a care provider to a patient. A care provider may link themselves to any patient there is.
pub struct LinkPatient {
    /// Who cares for whom.
    pub link: PatientLink,
}

impl Operation for LinkPatient {
    const NAME: &'static str = "link_patient";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "care provider";
    type Answer = PatientLink;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::CareProvider(self.link.care_provider.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients([self.link.patient.clone()])
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<PatientLink, ServiceError> {
        if deps.database.care_provider(&self.link.care_provider).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        match deps.database.link_patient(&self.link, deps.clock.now()).await {
            Ok(()) => Ok(self.link),
            Err(DatabaseError::MissingReference(_)) => Err(ServiceError::NotFound("patient")),
            Err(error) => Err(error.into()),
        }
    }
}
