//! The audit record.

use super::*;
use crate::domain::access::Caller;
use crate::domain::audit::{Entry, Fault, Mark, Origin, Outcome, Verifier};

fn caller(account: u128, role: Role) -> Caller {
    let origin = Origin { address: Some([10, 0, 0, 1].into()), request_id: Some("request-1".into()) };
    Caller { account: AccountId::from(id_of(account)), session: SessionId::from(id_of(9)), role, origin }
}

fn patient_id(text: &str) -> PatientId {
    PatientId::new(text).unwrap()
}

/// What is wrong with the record.
async fn faults(database: &Database) -> Vec<Fault> {
    let bounds = database.audit_bounds().await.unwrap();
    let mut verifier = Verifier::new(bounds.pruned, Vec::new());
    let (mut faults, mut after) = (Vec::new(), bounds.pruned.position);
    loop {
        let page = database.audit_from(after, bounds.last, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.mark.position;
        page.iter().for_each(|kept| verifier.next(kept, &mut faults));
    }
    verifier.end(bounds.head, &mut faults);
    faults
}

pub(super) async fn the_audit_record_is_one_chain_and_is_found_by_patient_account_and_time(database: &Database) {
    assert_eq!(database.audit_bounds().await.unwrap().head, Mark::FIRST);
    let clinic = caller(1, Role::CareProvider(CareProviderId::new("c-1").unwrap()));
    // Micros, quotation marks and letters beyond ASCII come back as they were written.
    let at = now() + TimeDelta::nanoseconds(1_234_567);
    let odd = patient_id("p-\"ö\" 1");
    let read = Entry::by(&clinic, "read").patients([patient_id("p-1"), odd.clone(), patient_id("p-1")]);
    let read = read.test_event(Some(id(7))).care_provider(Some(CareProviderId::new("c-2").unwrap()));
    let first: Vec<_> = read.into_records(at);
    let denied = Entry::by(&caller(2, Role::Patient(patient_id("p-2"))), "read").patients([patient_id("p-1")]);
    let denied = denied.outcome(Outcome::Absent).detail("because").into_records(later(1));
    let nobody = Entry::by_nobody(Origin::default(), "authenticate").into_records(later(2));
    database.append_audit(&first).await.unwrap();
    let head = database.append_audit(&[denied.clone(), nobody.clone()].concat()).await.unwrap();
    let bounds = database.audit_bounds().await.unwrap();
    assert_eq!((head.position, bounds.head, bounds.last, bounds.pruned), (3, head, 3, Mark::FIRST));
    assert_eq!(faults(database).await, []);

    let find = async |filter: AuditFilter| {
        let rows = database.audit_records(&AuditFilter { limit: 10, ..filter }).await.unwrap();
        rows.into_iter().map(|kept| kept.record).collect::<Vec<_>>()
    };
    let [first, denied, nobody] = [first, denied, nobody].map(|mut records| records.remove(0));
    let all = find(AuditFilter::default()).await;
    assert_eq!(all, [nobody.clone(), denied.clone(), first.clone()]);
    assert_eq!((first.at - now()).num_microseconds(), Some(1_234));
    assert_eq!(find(AuditFilter { from: Some(later(1)), ..Default::default() }).await, [nobody, denied.clone()]);
    let of = |patient| AuditFilter { patient: Some(patient), ..Default::default() };
    assert_eq!(find(of(patient_id("p-1"))).await, [denied.clone(), first.clone()]);
    assert_eq!(find(of(odd)).await, std::slice::from_ref(&first));
    assert_eq!(find(of(patient_id("p-2"))).await, [], "who asked is not whom it is about");
    let account = Some(AccountId::from(id_of(2)));
    assert_eq!(find(AuditFilter { account, ..Default::default() }).await, std::slice::from_ref(&denied));
    assert_eq!(find(AuditFilter { account, ..of(patient_id("p-1")) }).await, std::slice::from_ref(&denied));
    let before = Some(AuditPlace { at: denied.at, position: 2 });
    assert_eq!(find(AuditFilter { before, ..Default::default() }).await, [first]);
}

pub(super) async fn what_retention_takes_away_leaves_a_chain_that_begins_later(database: &Database) {
    assert_eq!(database.last_audit_before(later(100)).await.unwrap(), None);
    for n in 0..6 {
        let entry = Entry::by_bucket("land").patients([patient_id("p-1"), patient_id("p-2")]);
        database.append_audit(&entry.into_records(later(n))).await.unwrap();
    }
    assert_eq!(database.prune_audit(10).await.unwrap(), 0);
    let last = database.last_audit_before(later(4)).await.unwrap().unwrap();
    assert_eq!(last.position, 4);
    database.mark_audit_pruned(last).await.unwrap();
    assert_eq!(faults(database).await, [Fault::NotPruned(4)], "nobody noted it");
    let note = Entry::by_operator(None, crate::domain::audit::PRUNE).detail(last.to_string());
    database.append_audit(&note.into_records(later(6))).await.unwrap();
    assert_eq!(faults(database).await, [], "what is not deleted yet is not looked at");
    assert_eq!(database.prune_audit(3).await.unwrap(), 3);
    assert_eq!(database.prune_audit(3).await.unwrap(), 1);
    assert_eq!(database.prune_audit(3).await.unwrap(), 0);
    assert_eq!(faults(database).await, []);
    let filter = AuditFilter { patient: Some(patient_id("p-2")), limit: 10, ..Default::default() };
    assert_eq!(database.audit_records(&filter).await.unwrap().len(), 2);
    assert_eq!(database.last_audit_before(later(4)).await.unwrap(), None);
}

pub(super) async fn a_wrong_clock_takes_no_recent_row_away(database: &Database) {
    // The fourth is by a clock that is behind, the sixth by one that is ahead.
    for at in [0, 1, 10, 2, 11, 99, 12, 13] {
        database.append_audit(&Entry::by_bucket("land").into_records(later(at))).await.unwrap();
    }
    let last = async |at| database.last_audit_before(later(at)).await.unwrap().map(|mark| mark.position);
    assert_eq!(last(0).await, None);
    assert_eq!(last(3).await, Some(2), "the third is recent");
    assert_eq!(last(11).await, Some(4));
    assert_eq!(last(50).await, Some(5), "what comes after a row from then on stays with it");
    assert_eq!(last(100).await, Some(8));
    database.mark_audit_pruned(database.last_audit_before(later(3)).await.unwrap().unwrap()).await.unwrap();
    assert_eq!(database.prune_audit(10).await.unwrap(), 2);
    assert_eq!(last(3).await, None);
    assert_eq!(last(11).await, Some(4));
}
