use super::*;
use crate::actors::auditor::tests::writing_to;
use crate::domain::access::Role;
use crate::domain::audit::Origin;
use crate::domain::clock::SystemClock;
use crate::domain::ids::{AccountId, CareProviderId, PatientId, SessionId};
use crate::storage::database::{Patient, PatientLink};

async fn deps() -> (tempfile::TempDir, ResolverDeps) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&folder.path().join("rows.db"), 2, Duration::from_secs(5)).await.unwrap();
    let audit = writing_to(&database);
    (folder, ResolverDeps::new(database, Arc::new(SystemClock), audit, 8, Duration::from_secs(5)))
}

fn caller(role: Role) -> Caller {
    let (account, session) = (AccountId::from(uuid::Uuid::nil()), SessionId::from(uuid::Uuid::nil()));
    Caller { account, session, role, origin: Origin::default() }
}

fn patient_id(id: &str) -> PatientId {
    PatientId::new(id).unwrap()
}

async fn run<O: Operation>(deps: &ResolverDeps, role: &Role, operation: O) -> Result<O::Answer, ServiceError> {
    perform(deps, &caller(role.clone()), operation).await
}

#[tokio::test]
async fn what_a_caller_may_not_see_is_told_like_what_is_not_there() {
    let (_folder, deps) = deps().await;
    let clinic = CareProviderId::new("clinic").unwrap();
    let provider = Role::CareProvider(clinic.clone());
    let care_provider = crate::storage::database::CareProvider { id: clinic.clone(), email: None };
    run(&deps, &Role::Admin, CreateCareProvider { care_provider }).await.ok().unwrap();
    let patient =
        Patient { id: patient_id("there"), email: None, first_name: None, last_name: None, privacy_consent_date: None };
    run(&deps, &provider, CreatePatient { patient }).await.ok().unwrap();

    let mut answers = Vec::new();
    for role in [&provider, &Role::Patient(patient_id("else"))] {
        for id in ["there", "nowhere"] {
            let answer = run(&deps, role, PatientById { patient: patient_id(id) }).await;
            answers.push(format!("{:?}", answer.err().unwrap()));
        }
    }
    let nowhere = run(&deps, &Role::Admin, PatientById { patient: patient_id("nowhere") }).await;
    answers.push(format!("{:?}", nowhere.err().unwrap()));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");

    let link = PatientLink { care_provider: clinic, patient: patient_id("there") };
    run(&deps, &provider, LinkPatient { link }).await.unwrap();
    assert!(run(&deps, &provider, PatientById { patient: patient_id("there") }).await.is_ok());
}
