use super::*;
use crate::domain::access::{Caller, Role};
use crate::domain::clock::SystemClock;
use crate::domain::ids::{AccountId, PatientId, SessionId};

pub(crate) fn policy() -> AuditPolicy {
    AuditPolicy {
        waiting: 64,
        at_once: 16,
        longest_wait: Duration::from_secs(5),
        unknown_every: Duration::from_secs(60),
        unknown_apart: 8,
    }
}

/// Writes into the database as long as the runtime lives, without an actor.
pub(crate) fn writing_to(database: &Database) -> Audit {
    let (audit, deps) = stopped(database, policy());
    tokio::spawn(async move { deps.write_entries().await });
    audit
}

fn stopped(database: &Database, policy: AuditPolicy) -> (Audit, AuditorDeps) {
    let (audit, entries) = Audit::new(&policy, Arc::new(SystemClock));
    let deps = AuditorDeps {
        database: database.clone(),
        entries,
        audit: audit.clone(),
        policy,
        metrics: Metrics::new(),
        runtime: tokio::runtime::Handle::current(),
    };
    (audit, deps)
}

async fn database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&folder.path().join("rows.db"), 2, Duration::from_secs(5)).await.unwrap();
    (folder, database)
}

fn entry(operation: &'static str) -> Entry {
    let role = Role::Patient(PatientId::new("p-1").unwrap());
    let (account, session) = (AccountId::from(uuid::Uuid::nil()), SessionId::from(uuid::Uuid::nil()));
    Entry::by(&Caller { account, session, role, origin: Origin::default() }, operation)
}

#[tokio::test]
async fn what_comes_while_one_is_written_is_written_together() {
    let (_folder, database) = database().await;
    let (audit, deps) = stopped(&database, policy());
    let askers: Vec<_> = (0..40)
        .map(|_| {
            let audit = audit.clone();
            tokio::spawn(async move { audit.record(entry("read")).await })
        })
        .collect();
    while audit.waiting.capacity() > 64 - 40 {
        tokio::task::yield_now().await;
    }
    let before = database.statements();
    tokio::spawn(async move { deps.write_entries().await });
    for asker in askers {
        asker.await.unwrap().unwrap();
    }
    // Sixteen at once: three transactions of five statements.
    assert_eq!(database.statements() - before, 15);
    assert_eq!(database.audit_bounds().await.unwrap().last, 40);
}

#[tokio::test]
async fn who_finds_the_queue_full_or_no_writer_is_told_to_come_back() {
    let (_folder, database) = database().await;
    let (audit, deps) =
        stopped(&database, AuditPolicy { waiting: 1, longest_wait: Duration::from_millis(50), ..policy() });
    let first = audit.record(entry("read")).await;
    assert!(matches!(first, Err(ServiceError::Busy { reason: "audit record", .. })), "{first:?}");
    let second = audit.record(entry("read")).await;
    assert!(matches!(second, Err(ServiceError::Busy { reason: "audit record", .. })), "{second:?}");
    // The first is still there, and is written when there is a writer.
    tokio::spawn(async move { deps.write_entries().await });
    while database.audit_bounds().await.unwrap().last != 1 {
        tokio::task::yield_now().await;
    }
    audit.record(entry("read")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_answered_where_the_record_cannot_be_written() {
    let (_folder, database) = database().await;
    let audit = writing_to(&database);
    database.close().await;
    let answer = audit.record(entry("read")).await;
    assert!(matches!(answer, Err(ServiceError::Busy { .. })), "{answer:?}");
    let denied = audit.failed(entry("read"), ServiceError::Forbidden).await;
    assert!(matches!(denied, ServiceError::Busy { .. }), "a denial, too: {denied:?}");
}

#[tokio::test]
async fn who_has_no_account_adds_one_row_however_often_they_ask() {
    let (_folder, database) = database().await;
    let audit = writing_to(&database);
    let origin = Origin { address: Some([10, 0, 0, 1].into()), request_id: None };
    (0..1_000).for_each(|_| audit.unknown("authenticate", &origin));
    audit.write_unknown().await;
    audit.write_unknown().await;
    let rows = database.audit_from(0, i64::MAX, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    let record = &rows[0].record;
    let said = (&*record.role, &*record.result, record.address.as_deref(), record.detail.as_deref());
    assert_eq!(said, ("nobody", "refused", Some("10.0.0.1"), Some("1000 requests")));
}
