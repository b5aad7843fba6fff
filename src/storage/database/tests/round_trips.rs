//! How often the life of a recording waits for PostgreSQL, and how that is looked up there.

use super::plans::{FILL, GROWING};
use super::*;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::{Entry, Origin};
use crate::domain::ids::{AccountId, CareProviderId, SessionId};

/// A clinic that is signed in and cares for `p-1`.
struct Clinic {
    id: CareProviderId,
    account: AccountId,
    session: SessionId,
}

impl Clinic {
    async fn signed_in(database: &Database) -> Self {
        let id = CareProviderId::new("c-1").unwrap();
        let (account, session) = (AccountId::from(uuid::Uuid::from_u128(1)), SessionId::from(uuid::Uuid::from_u128(2)));
        let new = NewAccount {
            id: account,
            email: "c@example.org".into(),
            password_hash: String::new(),
            role: Role::CareProvider(id.clone()),
            first_name: None,
            last_name: None,
            confirmation: Confirmation::Vouched,
        };
        database.create_account(&new, now()).await.unwrap();
        let new = NewSession {
            id: session,
            account,
            password_hash: "",
            refresh_hash: &[1; 32],
            address_hash: &[2; 32],
            expires_at: later(60),
        };
        database.create_session(new, 10, now()).await.unwrap();
        let link = PatientLink { care_provider: id.clone(), patient: PatientId::new("p-1").unwrap() };
        database.link_patient(&link, now()).await.unwrap();
        Self { id, account, session }
    }

    /// What is asked for an upload: whose token it is, whether they care for the patient, to note it in the audit record
    /// (alone or with others), whether the id is taken, and to accept the recording.
    async fn uploads(&self, database: &Database, new: &NewRecording) {
        assert!(database.live_session(self.session, now()).await.unwrap().is_some());
        assert!(database.is_linked(&self.id, &new.patient).await.unwrap());
        let role = Role::CareProvider(self.id.clone());
        let caller = Caller { account: self.account, session: self.session, role, origin: Origin::default() };
        let entry = Entry::by(&caller, "upload_recording").patients([new.patient.clone()]);
        database.append_audit(&entry.into_records(now())).await.unwrap();
        assert_eq!(database.claim(new.id).await.unwrap(), Claim::default());
        assert_eq!(database.accept_recording(new, now()).await.unwrap(), Acceptance::Accepted);
    }
}

#[tokio::test]
async fn a_recording_takes_one_statement_a_step() {
    let here = Here::postgres().await;
    let database = &here.database;
    let clinic = Clinic::signed_in(database).await;

    for n in 1..=2 {
        let before = database.statements();
        clinic.uploads(database, &new(n, "p-1", Some(50.0))).await;
        assert_eq!(database.statements() - before, 5, "an upload");
        convert_next(database).await;
        assert_eq!(database.statements() - before, 7, "a training recording: and lease, conversion");
    }
    let before = database.statements();
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    database.finish_training(training.fence, &model("v", "p-1", 2), now()).await.unwrap();
    assert_eq!(database.statements() - before, 2, "a training, but for its recordings: lease, model");

    let before = database.statements();
    clinic.uploads(database, &new(3, "p-1", None)).await;
    assert_eq!(convert_next(database).await, AfterConversion::ScoreQueued);
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    database
        .finish_scoring(job.fence, job.subject, &score(71.5, None, &job.model.as_ref().unwrap().version), now())
        .await
        .unwrap();
    assert_eq!(database.statements() - before, 9, "a scored recording: an upload, two leases, conversion, score");
}

#[tokio::test]
async fn no_step_scans_a_table_that_grows_in_postgres() {
    let here = Here::postgres().await;
    let server = here.server.as_ref().unwrap();
    server.psql(FILL);
    here.database.close().await;
    let before = scans(server);

    let database = here.another().await;
    let leased = |n: u128| {
        let fence = server.psql(&format!(
            "UPDATE jobs SET state = 'leased', fence = 1
             WHERE kind IN ('convert', 'train', 'score') AND subject = '{}' RETURNING job_id",
            uuid::Uuid::from_u128(n)
        ));
        Fence { job_id: fence.parse().unwrap(), token: 1 }
    };
    for n in 1..=2 {
        database.accept_landed(&new(n, "stranger", Some(50.0)), None, now()).await.unwrap();
        database.finish_conversion(leased(n), id(n), &conversion(), RULE, now()).await.unwrap();
    }
    database.accept_recording(&new(3, "stranger", None), now()).await.unwrap();
    assert_eq!(database.accept_recording(&new(3, "stranger", None), now()).await.unwrap(), Acceptance::Replayed);
    let after = database.finish_conversion(leased(3), id(3), &conversion(), RULE, now()).await.unwrap();
    assert_eq!(after, AfterConversion::AwaitsModel);
    assert_eq!(database.finish_training(leased(2), &model("v", "stranger", 2), now()).await.unwrap(), Some(1));
    let newest = ModelVersion::new("v").unwrap();
    database.finish_scoring(leased(3), id(3), &score(71.5, None, &newest), now()).await.unwrap();
    assert_eq!(lease(&database, JobKind::Score, 10).await.len(), 10);
    database.close().await;

    assert_eq!(scans(server), before);
}

/// Times that tables that grow were read from one end to the other, once every connection has told.
fn scans(server: &Postgres) -> Vec<String> {
    let others = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while server.psql(others) != "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let scans = server.psql("SELECT relname, seq_scan FROM pg_stat_user_tables ORDER BY relname");
    let of_growing = |line: &&str| line.split_once('|').is_some_and(|(table, _)| GROWING.contains(&table));
    scans.lines().filter(of_growing).map(str::to_owned).collect()
}
