//! Whether a caller may: the policy decides, and the database says who is linked to whom.

use super::ServiceError;
use crate::domain::access::{Access, Decision, Role, decide};
use crate::domain::ids::{CareProviderId, PatientId};
use crate::storage::database::Database;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A link that was seen longer ago is looked up anew.
const FRESH: Duration = Duration::from_secs(1);

/// The links of a care provider that a request has seen a moment ago, so that what it reads of the same patients is not
/// looked up for each kind of thing again. Who changes something looks up anew, and what was seen before is forgotten. Filled
/// here alone. Cheap to clone; each request has its own.
#[derive(Debug, Clone, Default)]
pub struct SeenLinks(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    of: Option<CareProviderId>,
    patients: HashMap<PatientId, Instant>,
}

impl SeenLinks {
    /// An answer to what is the care provider's showed that these patients are linked to them. `asked_at` is from before it
    /// was read.
    pub(super) async fn shown(&self, role: &Role, access: &Access, patients: Vec<PatientId>, asked_at: Instant) {
        if let (Role::CareProvider(own), Access::CareProvider(asked)) = (role, access)
            && own == asked
            && !patients.is_empty()
        {
            self.0.lock().await.add(own, patients, asked_at);
        }
    }

    /// Something was changed: links, for all that is known here.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = Seen::default();
    }

    /// Whether they are all linked. Who asks for the same at the same time waits, and is told what was seen.
    async fn hold(
        &self,
        database: &Database,
        own: &CareProviderId,
        patients: &BTreeSet<PatientId>,
    ) -> Result<bool, ServiceError> {
        let mut seen = self.0.lock().await;
        if seen.holds(own, patients) {
            return Ok(true);
        }
        let asked_at = Instant::now();
        let linked = database.are_linked(own, patients.iter()).await?;
        if linked {
            seen.add(own, patients.iter().cloned(), asked_at);
        }
        Ok(linked)
    }
}

impl Seen {
    fn holds(&self, own: &CareProviderId, patients: &BTreeSet<PatientId>) -> bool {
        let fresh = |patient| self.patients.get(patient).is_some_and(|seen: &Instant| seen.elapsed() <= FRESH);
        self.of.as_ref() == Some(own) && patients.iter().all(fresh)
    }

    fn add(&mut self, own: &CareProviderId, patients: impl IntoIterator<Item = PatientId>, at: Instant) {
        if self.of.as_ref() == Some(own) {
            self.patients.retain(|_, seen| seen.elapsed() <= FRESH);
        } else {
            *self = Self { of: Some(own.clone()), patients: HashMap::new() };
        }
        self.patients.extend(patients.into_iter().map(|patient| (patient, at)));
    }
}

/// Lets the role have the access, or says why not. What it may not see is absent, in the same words as what is not there:
/// `subject` names it.
pub(super) async fn authorize(
    database: &Database,
    role: &Role,
    access: &Access,
    links: &SeenLinks,
    subject: &'static str,
) -> Result<(), ServiceError> {
    let allowed = match decide(role, access) {
        Decision::Allowed => true,
        Decision::Forbidden => return Err(ServiceError::Forbidden),
        Decision::Absent => false,
        Decision::AllowedIfLinked => match (role, access) {
            (Role::CareProvider(provider), Access::Patient(patient) | Access::Score(patient)) => {
                links.hold(database, provider, &BTreeSet::from([patient.clone()])).await?
            }
            (Role::CareProvider(provider), Access::Patients(patients)) => {
                links.hold(database, provider, patients).await?
            }
            (Role::Patient(_) | Role::CareProvider(_) | Role::Admin, _) => false,
        },
    };
    if allowed { Ok(()) } else { Err(ServiceError::NotFound(subject)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn links_are_held_for_the_care_provider_and_the_patients_that_were_seen_and_for_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&folder.path().join("rows.db"), 1, 5 * FRESH).await.unwrap();
        let [clinic, other] = ["clinic", "other"].map(|id| CareProviderId::new(id).unwrap());
        let [ann, bob] = ["ann", "bob"].map(|id| PatientId::new(id).unwrap());
        let links = SeenLinks::default();
        let may = async |who: &CareProviderId, patients: &[&PatientId]| {
            let access = Access::Patients(patients.iter().copied().cloned().collect());
            authorize(&database, &Role::CareProvider(who.clone()), &access, &links, "patient").await.is_ok()
        };
        // Nobody is linked in the database: what is allowed is what was seen.
        assert!(!may(&clinic, &[&ann]).await);
        let shown = async |role: &Role, of: &CareProviderId| {
            links.shown(role, &Access::CareProvider(of.clone()), vec![ann.clone()], Instant::now()).await;
        };
        shown(&Role::CareProvider(other.clone()), &clinic).await;
        shown(&Role::Admin, &clinic).await;
        assert!(!may(&clinic, &[&ann]).await && !may(&other, &[&ann]).await, "of what is one's own alone");
        shown(&Role::CareProvider(clinic.clone()), &clinic).await;
        assert!(may(&clinic, &[&ann]).await);
        assert!(!may(&clinic, &[&ann, &bob]).await && !may(&other, &[&ann]).await);
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert!(!may(&clinic, &[&ann]).await, "it is looked up anew");
    }
}
