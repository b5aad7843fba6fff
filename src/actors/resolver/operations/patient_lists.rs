//! Lists of patients, and what a list shows of each.

use super::lists::{Listed, MOST_COUNTED, Total, access_of, check_batch};
use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::averages::trend;
use crate::domain::ids::PatientId;
use crate::storage::database::{self, Patient, PatientListFilter, PatientPlace, TimedScore};
use std::collections::BTreeMap;

/// Scores that a trend is taken from at most.
const MOST_SCORES: u32 = 10;

/// A page of a care provider's patients, or of all of them.
pub struct PatientList {
    /// Which patients.
    pub filter: PatientListFilter,
    /// Behind which of them the page begins.
    pub after: PatientPlace,
    /// Patients on the page at most.
    pub limit: u32,
    /// Whether the list is counted.
    pub total: Total,
}

impl Operation for PatientList {
    const NAME: &'static str = "patient_list";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "care provider";
    type Answer = Listed<(Patient, PatientPlace)>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(match &self.filter.care_provider {
            Some(care_provider) => Access::CareProvider(care_provider.clone()),
            None => Access::AllPatients,
        })
    }

    fn covered(listed: &Self::Answer) -> Vec<PatientId> {
        listed.entries.iter().map(|(patient, _)| patient.id.clone()).collect()
    }

    fn linked(listed: &Self::Answer) -> Vec<PatientId> {
        Self::covered(listed)
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        check_length("search", self.filter.search.as_deref(), 254)?;
        let Self { filter, after, limit, total } = self;
        let page = deps.database.patient_page(&filter, &after, limit.saturating_add(1), total.bound()).await?;
        if let (true, Some(care_provider)) = (page.entries.is_empty(), &filter.care_provider)
            && deps.database.care_provider(care_provider).await?.is_none()
        {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(Listed::of(page, limit))
    }
}

/// The profiles of some patients.
pub struct PatientsById {
    /// Which.
    pub patients: Vec<PatientId>,
}

impl Operation for PatientsById {
    const NAME: &'static str = "patients_by_id";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = BTreeMap<PatientId, Patient>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        check_batch(self.patients.len())?;
        Ok(access_of(&self.patients))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients(self.patients.iter().cloned())
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let patients = deps.database.patients_by_id(&self.patients).await?;
        Ok(patients.into_iter().map(|patient| (patient.id.clone(), patient)).collect())
    }
}

/// What a list shows of a patient beside the profile.
#[derive(Debug, Clone, PartialEq)]
pub struct PatientSummary {
    /// Test events, or [`MOST_COUNTED`] where there are more.
    pub events: u32,
    /// The latest computed score.
    pub latest: Option<TimedScore>,
    /// The trend of the latest scores of that movement, points a week.
    pub trend: Option<f64>,
}

impl From<database::PatientSummary> for PatientSummary {
    fn from(summary: database::PatientSummary) -> Self {
        let scores: Vec<_> = summary.scores.iter().map(|score| (score.time, f64::from(score.score))).collect();
        let latest = summary.scores.into_iter().next();
        Self { events: summary.events.min(MOST_COUNTED), latest, trend: trend(&scores) }
    }
}

/// What a list shows of some patients.
pub struct PatientSummaries {
    /// Which.
    pub patients: Vec<PatientId>,
}

impl Operation for PatientSummaries {
    const NAME: &'static str = "patient_summaries";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = BTreeMap<PatientId, PatientSummary>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        check_batch(self.patients.len())?;
        Ok(access_of(&self.patients))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients(self.patients.iter().cloned())
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let summaries = deps.database.patient_summaries(&self.patients, MOST_COUNTED, MOST_SCORES).await?;
        Ok(summaries.into_iter().map(|(patient, summary)| (patient, summary.into())).collect())
    }
}
