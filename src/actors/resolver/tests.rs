use super::*;
use crate::actors::auditor::tests::writing_to;
use crate::actors::metrics::Metrics;
use crate::actors::work::WorkPolicy;
use crate::domain::access::Role;
use crate::domain::audit::Origin;
use crate::domain::clock::SystemClock;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{AccountId, CareProviderId, PatientId, SessionId};
use crate::storage::database::{Patient, PatientLink};
use crate::storage::objects::Folder;
use std::path::Path;

/// What operations work with on an empty database, where nobody does the jobs.
pub(crate) async fn deps(folder: &Path) -> ResolverDeps {
    let second = Duration::from_secs(1);
    let database = Database::open_sqlite(&folder.join("rows.db"), 2, 5 * second).await.unwrap();
    let (clock, entropy): (SharedClock, _) = (Arc::new(SystemClock), Entropy::from_seed(1));
    let updates = Updates::new(16, None);
    let policy = WorkPolicy {
        at_once: [1; 4],
        deadline: [second; 4],
        lease: second,
        max_attempts: 1,
        backoff_first: second,
        backoff_cap: second,
        longest_rest: second,
    };
    let objects = Folder::open(&folder.join("objects"), 1 << 20, &entropy).unwrap();
    let ledger = Ledger::new(policy, database.clone(), clock.clone(), entropy, Metrics::new(), updates.clone(), None);
    let audit = writing_to(&database);
    ResolverDeps {
        database,
        objects: Objects::Folder(objects),
        clock,
        audit,
        ledger,
        updates,
        rule: TrainingRule { minimum: 10, every: 10, from_others: false },
        at_once: Arc::new(Semaphore::new(8)),
        deadline: 5 * second,
        report_deadline: second,
    }
}

fn caller(role: Role) -> Caller {
    let (account, session) = (AccountId::from(uuid::Uuid::nil()), SessionId::from(uuid::Uuid::nil()));
    Caller { account, session, role, origin: Origin::default() }
}

fn patient_id(id: &str) -> PatientId {
    PatientId::new(id).unwrap()
}

async fn run<O: Operation>(deps: &ResolverDeps, role: &Role, operation: O) -> Result<O::Answer, ServiceError> {
    perform(deps, &caller(role.clone()), &SeenLinks::default(), operation).await
}

#[tokio::test]
async fn what_a_caller_may_not_see_is_told_like_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let deps = deps(folder.path()).await;
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

#[tokio::test]
async fn what_is_changed_is_noted_before_and_its_failure_after_and_what_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let deps = deps(folder.path()).await;
    let patient = || Patient {
        id: patient_id("p-1"),
        email: None,
        first_name: None,
        last_name: None,
        privacy_consent_date: None,
    };
    run(&deps, &Role::Admin, CreatePatient { patient: patient() }).await.ok().unwrap();
    assert!(run(&deps, &Role::Admin, CreatePatient { patient: patient() }).await.is_err());
    run(&deps, &Role::Admin, PatientById { patient: patient_id("p-1") }).await.ok().unwrap();
    assert!(run(&deps, &Role::Admin, PatientById { patient: patient_id("p-2") }).await.is_err());
    let rows = deps.database.audit_from(0, i64::MAX, 10).await.unwrap();
    let noted: Vec<_> = rows
        .iter()
        .map(|kept| &kept.record)
        .map(|record| (&*record.operation, &*record.result, record.detail.as_deref(), &*record.patients[0]))
        .collect();
    let expected = [
        ("create_patient", "allowed", None, "p-1"),
        ("create_patient", "allowed", None, "p-1"),
        ("create_patient", "failed", Some("patient_id_taken"), "p-1"),
        ("patient_by_id", "allowed", None, "p-1"),
        ("patient_by_id", "absent", None, "p-2"),
    ];
    assert_eq!(noted, expected);
}
