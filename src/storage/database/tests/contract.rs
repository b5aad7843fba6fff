//! The contract: every function here holds on a fresh database of either kind.

use super::*;
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, SessionId};
use crate::domain::score::{Failure, Score};

macro_rules! contract {
    ($($name:ident,)+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Here::sqlite().await.database).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Here::postgres().await.database).await;
            })+
        }

        /// Runs all of it, for who wants to have seen every statement.
        pub(super) async fn run_everything() {
            $($name(&Here::sqlite().await.database).await;)+
        }
    };
}

contract! {
    a_recording_is_accepted_once,
    a_recording_that_landed_makes_its_patient_and_keeps_its_failure,
    a_placeholder_is_filled_in_once,
    a_result_under_an_old_lease_is_refused_whole,
    a_lease_that_is_extended_holds,
    lanes_take_turns,
    a_count_that_is_complete_starts_one_training_and_its_model_the_backlog,
    a_postponed_job_has_not_been_tried,
    a_job_that_is_given_up_marks_its_recording_and_keeps_its_reason,
    jobs_that_were_given_up_are_requeued_and_their_recordings_too,
    a_backlog_is_scored_in_its_order,
    jobs_that_are_given_back_are_leased_again_at_the_same_attempt,
    an_account_has_one_address_and_its_patient,
    a_refresh_token_holds_once_and_used_again_ends_its_session,
    the_first_signing_key_stays,
    attempts_to_sign_in_are_counted_in_their_window,
    patients_are_listed_by_name_to_who_cares_for_them,
    test_events_are_changed_by_their_patient_and_listed_in_time,
    test_types_are_listed_by_name,
    what_is_dropped_uncommitted_did_not_happen_and_statements_are_counted,
}

async fn a_recording_is_accepted_once(database: &Database) {
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Replayed);
    let other = NewRecording { digest: Digest::of(b"other"), ..new(1, "p-1", None) };
    assert_eq!(database.accept_recording(&other, now()).await.unwrap(), Acceptance::Conflicting);
    assert_eq!(database.accept_recording(&new(1, "p-2", None), now()).await.unwrap(), Acceptance::Conflicting);
    let nobody = database.accept_recording(&new(2, "nobody", None), now()).await;
    assert!(matches!(nobody, Err(DatabaseError::MissingReference(_))), "{nobody:?}");
    assert_eq!(lease(database, JobKind::Convert, 10).await.len(), 1);
}

async fn a_recording_that_landed_makes_its_patient_and_keeps_its_failure(database: &Database) {
    assert_eq!(database.test_event_owner(id(1)).await.unwrap(), None);
    let landed = new(1, "stranger", None);
    assert_eq!(database.accept_landed(&landed, None, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_landed(&landed, None, now()).await.unwrap(), Acceptance::Replayed);
    assert_eq!(database.accept_recording(&landed, now()).await.unwrap(), Acceptance::Replayed);
    assert_eq!(database.test_event_owner(id(1)).await.unwrap(), Some(landed.patient.clone()));
    assert_eq!(lease(database, JobKind::Convert, 10).await.len(), 1);

    let failure = Failure { code: "no_samples".into(), message: "there are no samples".into() };
    let broken = new(2, "p-1", Some(50.0));
    assert_eq!(database.accept_landed(&broken, Some(&failure), now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_landed(&broken, None, now()).await.unwrap(), Acceptance::Replayed);
    assert_eq!(lease(database, JobKind::Convert, 10).await, []);
    let state = database.recording_state(id(2)).await.unwrap().unwrap();
    assert_eq!((state.status, state.failure), (RecordingStatus::Failed, Some(failure)));
    let event = database.test_event(id(2), &broken.patient).await.unwrap().unwrap();
    assert_eq!((event.start_time, event.doctor_score), (None, None));

    let taken = new(2, "nobody", None);
    assert_eq!(database.accept_landed(&taken, None, now()).await.unwrap(), Acceptance::Conflicting);
    assert!(database.patient(&taken.patient).await.unwrap().is_none(), "nothing was written");
    let other = NewRecording { digest: Digest::of(b"other"), ..broken };
    assert_eq!(database.accept_landed(&other, None, now()).await.unwrap(), Acceptance::Conflicting);
    let event = database.test_event(id(2), &other.patient).await.unwrap().unwrap();
    assert_eq!(event.doctor_score, None, "nothing was written");
}

async fn a_placeholder_is_filled_in_once(database: &Database) {
    for (n, who) in [(1, "a"), (2, "b")] {
        database.accept_landed(&new(n, who, None), None, now()).await.unwrap();
    }
    let known = Patient { first_name: Some("Ann".into()), ..patient("a") };
    database.create_patient(&known, now()).await.unwrap();
    assert!(database.patient(&known.id).await.unwrap().unwrap() == known);
    let twice = database.create_patient(&known, now()).await;
    assert!(matches!(twice, Err(DatabaseError::Duplicate(_))), "{twice:?}");
    database.accept_landed(&new(3, "a", None), None, now()).await.unwrap();
    assert!(database.create_patient(&patient("a"), now()).await.is_err(), "it stays filled in");

    let role = Role::Patient(PatientId::new("b").unwrap());
    let (email, first_name) = ("b@example.org".to_owned(), Some("Bob".to_owned()));
    let account = NewAccount {
        id: AccountId::from(id_of(1)),
        email: email.clone(),
        password_hash: String::new(),
        role,
        first_name: first_name.clone(),
        last_name: None,
    };
    database.create_account(&account, now()).await.unwrap();
    let filled = database.patient(&PatientId::new("b").unwrap()).await.unwrap().unwrap();
    assert!(filled == Patient { email: Some(email), first_name, ..patient("b") });
    assert!(database.create_patient(&patient("b"), now()).await.is_err());
}

async fn a_result_under_an_old_lease_is_refused_whole(database: &Database) {
    database.accept_recording(&new(1, "p-1", Some(50.0)), now()).await.unwrap();
    let slow = lease(database, JobKind::Convert, 1).await.remove(0);
    assert_eq!(database.release_due_jobs(later(29)).await.unwrap(), 0);
    assert_eq!(database.release_due_jobs(later(31)).await.unwrap(), 1);
    let quick = lease(database, JobKind::Convert, 1).await.remove(0);
    assert_eq!((quick.attempt, quick.subject), (2, slow.subject));

    let late = database.finish_conversion(slow.fence, slow.subject, &conversion(), RULE, now()).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)));
    assert_eq!(database.recording(id(1)).await.unwrap().unwrap().training_ordinal, None);
    let retry = Outcome::Retry { at: later(1), reason: "late".into() };
    assert!(matches!(database.fail_job(&slow, &retry, now()).await, Err(DatabaseError::Fenced)));

    database.finish_conversion(quick.fence, quick.subject, &conversion(), RULE, now()).await.unwrap();
    assert_eq!(database.recording(id(1)).await.unwrap().unwrap().training_ordinal, Some(1));
    let again = database.finish_conversion(quick.fence, quick.subject, &conversion(), RULE, now()).await;
    assert!(matches!(again, Err(DatabaseError::Fenced)), "counted once");
}

async fn a_lease_that_is_extended_holds(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.extend_leases(&[job.fence], later(60)).await.unwrap();
    assert_eq!(database.release_due_jobs(later(45)).await.unwrap(), 0);
    assert_eq!(database.release_all_leases().await.unwrap(), 1);
    assert_eq!(lease(database, JobKind::Convert, 1).await[0].attempt, 2);
}

async fn lanes_take_turns(database: &Database) {
    for n in 0..50 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }
    let under_way = lease(database, JobKind::Convert, 5).await;
    assert_eq!(under_way.len(), 5);
    for n in 100..103 {
        database.accept_recording(&new(n, "p-2", None), now()).await.unwrap();
    }
    let next: Vec<_> = lease(database, JobKind::Convert, 8).await.into_iter().map(|job| job.lane).collect();
    assert_eq!(next.iter().filter(|lane| *lane == "p-2").count(), 3, "{next:?}");
}

async fn a_count_that_is_complete_starts_one_training_and_its_model_the_backlog(database: &Database) {
    database.accept_recording(&new(9, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::AwaitsModel);
    let mut after = Vec::new();
    for n in 1..=4 {
        database.accept_recording(&new(n, "p-1", Some(10.0 * n as f64)), now()).await.unwrap();
        after.push(convert_next(database).await);
    }
    use AfterConversion::{Counted, TrainingQueued};
    assert_eq!(after, [Counted, TrainingQueued, Counted, TrainingQueued]);

    let trainings = lease(database, JobKind::Train, 10).await;
    assert_eq!(trainings.iter().map(|job| job.subject).collect::<Vec<_>>(), [id(2), id(4)]);
    let (patient, movement) = (PatientId::new("p-1").unwrap(), Movement::new("sit-to-stand").unwrap());
    let set = database.training_recordings(&patient, &movement, 4, 3).await.unwrap();
    assert_eq!(set.iter().map(|recording| recording.score).collect::<Vec<_>>(), [20.0, 30.0, 40.0]);
    assert_eq!(set[0].features, [1.5, -2.5]);

    let model = model("v2", "p-1", 2);
    let version = model.version.clone();
    assert!(database.newest_model(&patient, &movement).await.unwrap().is_none());
    assert_eq!(database.finish_training(trainings[0].fence, &model, now()).await.unwrap(), 1);
    assert_eq!(database.newest_model(&patient, &movement).await.unwrap().unwrap().version, version);
    let ranges = database.axis_ranges(id(9)).await.unwrap();
    assert_eq!((ranges.len(), &ranges[0].axis[..], ranges[0].lowest, ranges[0].highest), (9, "ax", -1.0, 1.0));
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!(state.status, RecordingStatus::Converted);
    let score = Score { value: 71.5, lower: Some(60.0), upper: Some(80.0), model_version: version, backend: "local" };
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap();
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!((state.status, state.balance_score, state.score), (RecordingStatus::Scored, Some(72), Some(score)));

    database.accept_recording(&new(10, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::ScoreQueued);
}

async fn a_postponed_job_has_not_been_tried(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    for round in 0..30 {
        let job = lease(database, JobKind::Convert, 1).await.remove(0);
        assert_eq!(job.attempt, 1);
        let outcome = Outcome::Postponed { at: later(round), reason: "away".into() };
        database.fail_job(&job, &outcome, now()).await.unwrap();
        assert_eq!(database.release_due_jobs(later(round)).await.unwrap(), 1);
    }
}

async fn a_job_that_is_given_up_marks_its_recording_and_keeps_its_reason(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.fail_job(&job, &Outcome::Retry { at: later(5), reason: "first".into() }, now()).await.unwrap();
    assert_eq!(lease(database, JobKind::Convert, 1).await, []);
    database.release_due_jobs(later(6)).await.unwrap();
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    let failure = Failure { code: "broken".into(), message: "cannot be read".into() };
    database.fail_job(&job, &Outcome::Dead(failure.clone()), now()).await.unwrap();
    let state = database.recording_state(id(1)).await.unwrap().unwrap();
    assert_eq!((state.status, state.failure), (RecordingStatus::Failed, Some(failure)));
    let dead = database.dead_jobs(10).await.unwrap();
    assert_eq!((dead.len(), dead[0].subject, dead[0].reason.as_str()), (1, id(1), "cannot be read"));
    assert_eq!(database.queue_depths().await.unwrap()[0].state, "dead");
}

async fn jobs_that_were_given_up_are_requeued_and_their_recordings_too(database: &Database) {
    let give_up = async |job: &Job, message: &str| {
        let failure = Failure { code: "broken".into(), message: message.into() };
        database.fail_job(job, &Outcome::Dead(failure), now()).await.unwrap();
    };
    let stands = async |n| database.recording_state(id(n)).await.unwrap().unwrap();
    for n in 1..=2 {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    database.finish_training(training.fence, &model("v", "p-1", 2), now()).await.unwrap();
    database.accept_recording(&new(3, "p-1", None), now()).await.unwrap();
    convert_next(database).await;
    give_up(&lease(database, JobKind::Score, 1).await[0], "no score").await;
    for n in 4..=5 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
        give_up(&lease(database, JobKind::Convert, 1).await[0], "no table").await;
    }
    let landed = Failure { code: "refused".into(), message: "there are no samples".into() };
    database.accept_landed(&new(6, "p-1", None), Some(&landed), now()).await.unwrap();
    // Under way: what is requeued comes after it.
    for n in 7..=8 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }

    assert_eq!(database.requeue_dead(later(-1), 10).await.unwrap(), 0, "given up after that");
    assert_eq!(database.requeue_dead(now(), 2).await.unwrap(), 2);
    assert_eq!(database.requeue_dead(now(), 10).await.unwrap(), 1);
    assert_eq!(database.requeue_dead(now(), 10).await.unwrap(), 0);
    assert_eq!(database.dead_jobs(10).await.unwrap(), []);
    let (scored, converted) = (stands(3).await, stands(4).await);
    assert_eq!((scored.status, scored.failure), (RecordingStatus::Converted, None));
    assert_eq!((converted.status, converted.failure), (RecordingStatus::Received, None));
    assert_eq!((stands(6).await.status, stands(6).await.failure), (RecordingStatus::Failed, Some(landed)));
    let again: Vec<_> = lease(database, JobKind::Convert, 10).await;
    let mut order: Vec<_> = again.iter().map(|job| (job.subject, job.attempt)).collect();
    order.sort_unstable();
    assert_eq!(order, [(id(4), 1), (id(5), 1), (id(7), 1), (id(8), 1)]);
    assert_eq!(lease(database, JobKind::Score, 10).await[0].subject, id(3));
}

async fn a_backlog_is_scored_in_its_order(database: &Database) {
    for n in 0..6 {
        database.accept_recording(&new(n, "p-1", None), later(i64::try_from(n).unwrap())).await.unwrap();
        assert_eq!(convert_next(database).await, AfterConversion::AwaitsModel);
    }
    for n in 10..12 {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(training.fence, &model("v", "p-1", 2), now()).await.unwrap(), 6);
    let order: Vec<_> = lease(database, JobKind::Score, 10).await.into_iter().map(|job| job.subject).collect();
    assert_eq!(order[0], id(0));
    assert_eq!(order.len(), 6);
    assert_eq!(database.queue_depths().await.unwrap().len(), 1, "all of one kind are leased");
}

async fn jobs_that_are_given_back_are_leased_again_at_the_same_attempt(database: &Database) {
    for n in 0..2 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }
    let jobs = lease(database, JobKind::Convert, 2).await;
    let stale = Fence { token: jobs[1].fence.token + 1, ..jobs[1].fence };
    database.return_jobs(&[jobs[0].fence, stale]).await.unwrap();
    let again = lease(database, JobKind::Convert, 2).await;
    assert_eq!(again.iter().map(|job| (job.subject, job.attempt)).collect::<Vec<_>>(), [(jobs[0].subject, 1)]);
}

async fn an_account_has_one_address_and_its_patient(database: &Database) {
    let new = |email: &str, role| NewAccount {
        id: AccountId::from(uuid::Uuid::from_u128(email.len() as u128)),
        email: email.into(),
        password_hash: "$argon2id$".into(),
        role,
        first_name: Some("Ann".into()),
        last_name: None,
    };
    let ann = new("Ann@example.org", Role::Patient(PatientId::new("ann").unwrap()));
    database.create_account(&ann, now()).await.unwrap();
    let again = database.create_account(&NewAccount { id: AccountId::from(id_of(7)), ..ann.clone() }, now()).await;
    assert!(matches!(again, Err(DatabaseError::Duplicate(_))), "{again:?}");
    let clinic = new("c@example.org", Role::CareProvider(CareProviderId::new("c-1").unwrap()));
    database.create_account(&clinic, now()).await.unwrap();
    let found = database.account_by_email("ann@EXAMPLE.org").await.unwrap().unwrap();
    assert!(found.id == ann.id && found.role == ann.role && found.email == "ann@example.org");
    assert!(database.account(clinic.id).await.unwrap().unwrap().role == clinic.role);
    assert!(database.account(AccountId::from(id_of(99))).await.unwrap().is_none());
    assert_eq!(
        database.patient(&PatientId::new("ann").unwrap()).await.unwrap().unwrap().first_name,
        Some("Ann".into())
    );
}

async fn a_refresh_token_holds_once_and_used_again_ends_its_session(database: &Database) {
    let account = AccountId::from(id_of(1));
    let new = NewAccount {
        id: account,
        email: "c@example.org".into(),
        password_hash: String::new(),
        role: Role::Admin,
        first_name: None,
        last_name: None,
    };
    database.create_account(&new, now()).await.unwrap();
    let session = SessionId::from(id_of(2));
    database.create_session(session, account, &[1; 32], now(), later(60)).await.unwrap();
    let rotate = async |old: u8, new: u8| {
        database.rotate_refresh_token(&[old; 32], &[new; 32], later(1), later(90)).await.unwrap()
    };
    assert!(matches!(rotate(1, 2).await, Refreshed::Rotated(row) if row.id == session && row.account == account));
    assert!(database.live_session(session, later(80)).await.unwrap().is_some());
    assert!(rotate(9, 3).await == Refreshed::Unknown);
    for n in 2..6 {
        assert!(matches!(rotate(n, n + 1).await, Refreshed::Rotated(_)));
    }
    assert!(rotate(1, 3).await == Refreshed::Reused, "several rotations ago");
    assert!(database.live_session(session, later(2)).await.unwrap().is_none());
    assert!(rotate(6, 7).await == Refreshed::Unknown, "it is revoked");

    let other = SessionId::from(id_of(3));
    database.create_session(other, account, &[7; 32], now(), later(60)).await.unwrap();
    assert!(database.revoke_session(other, now()).await.unwrap());
    assert!(!database.revoke_session(other, now()).await.unwrap());
    assert_eq!(database.delete_ended_sessions(later(60), now()).await.unwrap(), 1);
    assert_eq!(database.delete_ended_sessions(later(90), now()).await.unwrap(), 1);
}

async fn the_first_signing_key_stays(database: &Database) {
    let first = database.signing_keys_or("a", b"one", now()).await.unwrap();
    assert_eq!(first, [("a".to_owned(), b"one".to_vec())]);
    assert_eq!(database.signing_keys_or("b", b"two", later(1)).await.unwrap(), first);
    assert_eq!(database.signing_keys().await.unwrap(), first);
}

async fn attempts_to_sign_in_are_counted_in_their_window(database: &Database) {
    let (address, account) = ([1; 32], [2; 32]);
    let bounds = [(address, 3), (account, 2)];
    let claim = async |at, since| database.claim_sign_in(&bounds, at, since).await.unwrap();
    let ever = DateTime::<Utc>::MIN_UTC;
    assert_eq!(claim(now(), ever).await, None);
    assert_eq!(claim(later(1), ever).await, None);
    assert_eq!(claim(later(2), ever).await, Some(now()), "the account's bound");
    database.release_sign_in(&[address], Some(&account)).await.unwrap();
    assert_eq!(claim(later(3), ever).await, None, "the account starts anew");
    assert_eq!(claim(later(4), ever).await, None, "what was refused was not counted");
    assert_eq!(claim(later(5), ever).await, Some(now()), "the address's bound");
    assert_eq!(claim(later(1_000), later(900)).await, None, "a new window");
    assert_eq!(database.delete_ended_sessions(now(), later(1_000)).await.unwrap(), 2);
}

async fn patients_are_listed_by_name_to_who_cares_for_them(database: &Database) {
    let clinic = CareProviderId::new("c-1").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    assert!(database.care_provider(&clinic).await.unwrap().is_some());
    let twice = database.create_patient(&patient("p-1"), now()).await;
    assert!(matches!(twice, Err(DatabaseError::Duplicate(_))), "{twice:?}");
    for (id, last, first) in [("x", Some("a"), None), ("y", Some("Z"), Some("B")), ("z", Some("Z"), None)] {
        let named = Patient { last_name: last.map(Into::into), first_name: first.map(Into::into), ..patient(id) };
        database.create_patient(&named, now()).await.unwrap();
    }
    for id in ["x", "y", "z", "p-1", "p-1"] {
        let link = PatientLink { care_provider: clinic.clone(), patient: PatientId::new(id).unwrap() };
        database.link_patient(&link, now()).await.unwrap();
    }
    let nobody = PatientLink { care_provider: clinic.clone(), patient: PatientId::new("nobody").unwrap() };
    let linked = database.link_patient(&nobody, now()).await;
    assert!(matches!(linked, Err(DatabaseError::MissingReference(_))), "{linked:?}");
    let listed = database.patients_of(&clinic, 10).await.unwrap();
    assert_eq!(listed.iter().map(|patient| patient.id.as_str()).collect::<Vec<_>>(), ["p-1", "z", "y", "x"]);
    assert_eq!(database.patients_of(&clinic, 2).await.unwrap().len(), 2);
    let (known, other) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    assert!(database.is_linked(&clinic, &known).await.unwrap() && !database.is_linked(&clinic, &other).await.unwrap());
    assert_eq!(database.first_care_provider(&known).await.unwrap(), Some(clinic));
    assert_eq!(database.first_care_provider(&other).await.unwrap(), None);
    let consented = database.record_consent(&known, "2026-02-01").await.unwrap().unwrap();
    assert_eq!(consented.privacy_consent_date.as_deref(), Some("2026-02-01"));
    assert!(database.record_consent(&PatientId::new("nobody").unwrap(), "x").await.unwrap().is_none());
}

async fn test_events_are_changed_by_their_patient_and_listed_in_time(database: &Database) {
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    let result = |n: u128, seconds| TestResult {
        id: id(n),
        patient: ann.clone(),
        test_type: Movement::new("sit-to-stand").unwrap(),
        doctor_score: Some(40),
        notes: Some("nul \0 inside".into()),
        start_time: later(seconds),
        end_time: later(seconds + 10),
    };
    for (n, seconds) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
        assert!(database.put_test_result(&result(n, seconds), now()).await.unwrap().is_some());
    }
    let changed = TestResult { doctor_score: None, notes: None, ..result(1, 5) };
    let changed = database.put_test_result(&changed, now()).await.unwrap().unwrap();
    assert_eq!((changed.doctor_score, changed.start_time), (Some(40), Some(later(5))));
    assert!(changed.notes.is_some_and(|notes| notes.starts_with("nul ")));
    assert!(
        database.put_test_result(&TestResult { patient: bob.clone(), ..result(1, 1) }, now()).await.unwrap().is_none()
    );
    assert!(database.test_event(id(1), &ann).await.unwrap().is_some());
    assert!(database.test_event(id(1), &bob).await.unwrap().is_none());

    let list = async |filter: TestEventFilter| -> Vec<TestEventId> {
        database.test_events(&ann, &filter).await.unwrap().into_iter().map(|event| event.id).collect()
    };
    let all = TestEventFilter { limit: 10, ..TestEventFilter::default() };
    assert_eq!(list(all.clone()).await, [id(1), id(2), id(3), id(4)]);
    assert_eq!(list(TestEventFilter { latest_first: true, limit: 3, ..all.clone() }).await, [id(4), id(3), id(2)]);
    let some = TestEventFilter { from: Some(later(10)), to: Some(later(19)), ..all.clone() };
    assert_eq!(list(some).await, [id(2)]);
    let other = TestEventFilter { test_type: Some(Movement::new("gait").unwrap()), ..all };
    assert_eq!(list(other).await, []);

    // A recording that comes for the event fills in what it lacks.
    let upload = new(1, "p-1", Some(90.0));
    assert_eq!(database.accept_recording(&upload, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.test_event(id(1), &ann).await.unwrap().unwrap().doctor_score, Some(40));
}

async fn test_types_are_listed_by_name(database: &Database) {
    let gait = |seconds| TestType {
        name: Movement::new("gait").unwrap(),
        instructions: Some("walk".into()),
        duration_in_seconds: seconds,
    };
    database.put_test_type(&gait(Some(10))).await.unwrap();
    database.put_test_type(&gait(None)).await.unwrap();
    let types = database.test_types(10).await.unwrap();
    assert_eq!(types[0], gait(None));
    assert_eq!((types.len(), types[1].name.as_str(), types[1].duration_in_seconds), (2, "sit-to-stand", Some(60)));
    database.ping().await.unwrap();
}

async fn what_is_dropped_uncommitted_did_not_happen_and_statements_are_counted(database: &Database) {
    let (patient, movement) = (PatientId::new("p-1").unwrap(), Movement::new("sit-to-stand").unwrap());
    let mut transaction = database.begin().await.unwrap();
    transaction.lock_training_count(&patient, &movement).await.unwrap();
    drop(transaction);
    let before = database.statements();
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    assert_eq!(database.statements() - before, 5, "begin, event, recording, job, commit");
    let mut transaction = database.begin_redoable().await.unwrap();
    transaction.lock_training_count(&patient, &movement).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(database.migrated().applied > 0);
}

fn id_of(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}
