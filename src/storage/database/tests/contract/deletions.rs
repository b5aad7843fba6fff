//! Deletion, and what it takes back.

use super::*;
use crate::domain::ids::ModelVersion;

const GRACE: Grace =
    Grace { conversion: TimeDelta::seconds(90), training: TimeDelta::seconds(600), report: TimeDelta::seconds(40) };

fn sit_to_stand() -> Movement {
    Movement::new("sit-to-stand").unwrap()
}

fn request(n: u128, what: Deleted) -> DeletionRequest {
    DeletionRequest { id: id(n), patient: PatientId::new("p-1").unwrap(), what, rule: RULE, grace: GRACE }
}

/// Deletes the event, and has its objects removed.
async fn delete(database: &Database, n: u128) -> Vec<String> {
    assert!(database.delete_event(&request(n, Deleted::Event), now()).await.unwrap());
    let keys = keys(database, n).await;
    let job = lease(database, JobKind::Delete, 1).await.remove(0);
    assert_eq!((job.subject, job.recording.as_ref()), (id(n), None));
    database.finish_deletion(job.fence, id(n)).await.unwrap();
    keys
}

async fn keys(database: &Database, n: u128) -> Vec<String> {
    let pending = database.pending_deletion(id(n)).await.unwrap().unwrap();
    pending.keys.into_iter().map(|key| key.to_string()).collect()
}

/// A training recording, converted.
async fn train(database: &Database, n: u128) -> AfterConversion {
    database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
    convert_next(database).await
}

pub(super) async fn what_is_deleted_has_no_row_and_its_objects_are_named_until_they_are_removed(database: &Database) {
    let recording = new(1, "p-1", None);
    database.accept_recording(&recording, now()).await.unwrap();
    convert_next(database).await;
    assert!(database.is_swept(id(1), &PatientId::new("p-1").unwrap()).await.unwrap());
    assert!(database.delete_event(&request(1, Deleted::Event), now()).await.unwrap());
    assert!(database.recording(id(1)).await.unwrap().is_none());
    assert!(database.test_event(id(1), &recording.patient).await.unwrap().is_none());
    assert_eq!(database.axis_ranges(id(1)).await.unwrap(), []);
    let (csv, parquet) = (ObjectKey::csv, ObjectKey::parquet);
    let mut expected = vec![
        recording.raw_key.to_string(),
        csv(&recording.patient, &recording.movement, recording.day, id(1)).to_string(),
        parquet(&recording.patient, &recording.movement, recording.day, id(1)).to_string(),
        format!("pdf_reports/user_id=p-1/test_event_{}.pdf", id(1)),
    ];
    expected.sort();
    assert_eq!(keys(database, 1).await, expected);
    assert!(!database.is_swept(id(1), &PatientId::new("p-1").unwrap()).await.unwrap());
    let claim = Claim { deletions: 1, being_deleted: true, ..Claim::default() };
    assert_eq!(database.claim(id(1)).await.unwrap(), claim);
    let again = NewRecording { deletions: 1, ..recording.clone() };
    assert_eq!(database.accept_recording(&again, now()).await.unwrap(), Acceptance::Deleted);

    let job = lease(database, JobKind::Delete, 1).await.remove(0);
    database.finish_deletion(job.fence, id(1)).await.unwrap();
    let twice = database.finish_deletion(job.fence, id(1)).await;
    assert!(matches!(twice, Err(DatabaseError::Fenced)), "{twice:?}");
    assert_eq!(database.pending_deletion(id(1)).await.unwrap(), None);
    assert!(database.is_swept(id(1), &PatientId::new("p-1").unwrap()).await.unwrap());
    assert!(!database.delete_event(&request(1, Deleted::Event), now()).await.unwrap(), "it is gone");

    // It was sent before the deletion: its raw object may be gone.
    assert_eq!(database.accept_recording(&recording, now()).await.unwrap(), Acceptance::Deleted);
    assert_eq!(database.accept_landed(&recording, None, now()).await.unwrap(), Acceptance::Deleted);
    assert_eq!(database.claim(id(1)).await.unwrap(), Claim { being_deleted: false, ..claim });
    assert_eq!(database.accept_recording(&again, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_recording(&again, now()).await.unwrap(), Acceptance::Replayed);
}

pub(super) async fn a_recording_is_deleted_without_its_event_and_not_by_another(database: &Database) {
    for n in 1..=2 {
        train(database, n).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    let model = model("v2", "p-1", 2);
    database.finish_training(training.fence, &model, now()).await.unwrap();
    database.accept_recording(&new(3, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::ScoreQueued);
    let score = score(70.0, None, &model.version);
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap();

    let what = Deleted::Recording(sit_to_stand(), Day { year: 2020, month: 1, day: 1 });
    let other = DeletionRequest { patient: PatientId::new("p-2").unwrap(), ..request(3, what.clone()) };
    assert!(!database.delete_event(&other, now()).await.unwrap());
    assert!(database.recording(id(3)).await.unwrap().is_some());
    assert!(database.delete_event(&request(3, what), now()).await.unwrap());
    assert!(database.recording(id(3)).await.unwrap().is_none());
    let event = database.test_event(id(3), &PatientId::new("p-1").unwrap()).await.unwrap().unwrap();
    assert_eq!((event.balance_score, event.start_time.is_some()), (None, true));
    assert!(keys(database, 3).await.iter().all(|key| !key.contains("year=2020")), "the row knows the day");
    let job = lease(database, JobKind::Delete, 1).await.remove(0);
    database.finish_deletion(job.fence, id(3)).await.unwrap();
    delete(database, 3).await;
    assert_eq!(database.claim(id(3)).await.unwrap().deletions, 2);
}

pub(super) async fn the_raw_object_of_an_upload_that_was_cut_short_is_looked_for(database: &Database) {
    let result = TestResult {
        id: id(1),
        patient: PatientId::new("p-1").unwrap(),
        test_type: sit_to_stand(),
        doctor_score: None,
        notes: None,
        start_time: now(),
        end_time: later(10),
    };
    database.put_test_result(&result, now()).await.unwrap();
    let named = Deleted::Recording(Movement::new("walk").unwrap(), Day { year: 2025, month: 6, day: 7 });
    assert!(database.delete_event(&request(1, named), now()).await.unwrap());
    let keys = keys(database, 1).await;
    let raw = |movement: &str, day: &str| {
        format!("recording_data/patientID=p-1/movement={movement}/{day}/test_event_id={}.json", id(1))
    };
    for (movement, day) in [
        ("sit-to-stand", "year=2025/month=12/day=30"),
        ("sit-to-stand", "year=2026/month=1/day=1"),
        ("sit-to-stand", "year=2026/month=1/day=3"),
        ("sit-to-stand", "training"),
        ("walk", "year=2025/month=6/day=7"),
        ("walk", "training"),
    ] {
        assert!(keys.contains(&raw(movement, day)), "{movement} {day}: {keys:#?}");
    }
}

pub(super) async fn what_a_conversion_under_way_makes_is_removed_once_more(database: &Database) {
    database.accept_recording(&new(1, "p-1", Some(50.0)), now()).await.unwrap();
    let conversion_job = lease(database, JobKind::Convert, 1).await.remove(0);
    assert!(database.delete_event(&request(1, Deleted::Event), now()).await.unwrap());
    let late = database.finish_conversion(conversion_job.fence, id(1), &conversion(), RULE, now()).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)), "{late:?}");
    let sweep_at = database.pending_deletion(id(1)).await.unwrap().unwrap().sweep_at;
    assert_eq!(sweep_at, now() + GRACE.conversion);
    let first = lease(database, JobKind::Delete, 1).await.remove(0);
    database.postpone_sweep(first.fence, id(1), sweep_at).await.unwrap();
    let twice = database.postpone_sweep(first.fence, id(1), sweep_at).await;
    assert!(matches!(twice, Err(DatabaseError::Fenced)), "{twice:?}");
    assert!(database.is_swept(id(1), &PatientId::new("p-1").unwrap()).await.unwrap());
    assert!(database.claim(id(1)).await.unwrap().being_deleted);
    assert_eq!(database.release_due_jobs(later(89)).await.unwrap(), 0);
    assert_eq!(database.release_due_jobs(later(90)).await.unwrap(), 1);
    let second = lease(database, JobKind::Delete, 1).await.remove(0);
    assert_eq!(second.attempt, 1, "the first was none");
    database.finish_deletion(second.fence, id(1)).await.unwrap();
    // Nothing was counted, and a job that is made now is none that the late worker holds.
    database.accept_recording(&NewRecording { deletions: 1, ..new(1, "p-1", Some(50.0)) }, now()).await.unwrap();
    let late = database.finish_conversion(conversion_job.fence, id(1), &conversion(), RULE, now()).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)), "{late:?}");
    assert_eq!(convert_next(database).await, AfterConversion::Counted);
    assert_eq!(database.recording(id(1)).await.unwrap().unwrap().training_ordinal, Some(1));
}

pub(super) async fn a_job_that_outlived_its_lease_may_still_make_objects(database: &Database) {
    let sweep_at = async |n| database.pending_deletion(id(n)).await.unwrap().unwrap().sweep_at;
    // Whoever held it was struck off, or failed, or stopped in the middle: its last object may be on its way.
    for n in 1..=4 {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        let job = lease(database, JobKind::Convert, 1).await.remove(0);
        match n {
            1 => assert_eq!(database.release_due_jobs(later(100_000)).await.unwrap(), 1),
            2 => {
                let retry = Outcome::Retry { at: later(1_000), reason: "took too long".into() };
                database.fail_job(&job, &retry, now()).await.unwrap();
            }
            3 => {
                let failure = Failure { code: "attempts_exhausted".into(), message: "given up".into() };
                database.fail_job(&job, &Outcome::Dead(failure), now()).await.unwrap();
            }
            _ => assert_eq!(database.release_all_leases().await.unwrap(), 1),
        }
        assert!(database.delete_event(&request(n, Deleted::Event), now()).await.unwrap());
        assert_eq!(sweep_at(n).await, now() + GRACE.conversion, "{n}");
    }
    database.accept_recording(&new(5, "p-1", Some(50.0)), now()).await.unwrap();
    assert!(database.delete_event(&request(5, Deleted::Event), now()).await.unwrap());
    assert_eq!(sweep_at(5).await, now(), "nobody ever began");
    // A training, too, of which another recording than the deleted one is the subject.
    for n in 6..=9 {
        train(database, n).await;
    }
    let held = lease(database, JobKind::Train, 10).await;
    assert_eq!(held.len(), 2);
    assert_eq!(database.release_due_jobs(later(100_000)).await.unwrap(), 2);
    assert!(database.delete_event(&request(6, Deleted::Event), now()).await.unwrap());
    assert_eq!(sweep_at(6).await, now() + GRACE.training);
}

pub(super) async fn a_report_that_was_under_way_is_looked_for_once_more_while_the_id_is_free(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    convert_next(database).await;
    assert!(database.delete_event(&request(1, Deleted::Event), now()).await.unwrap());
    let pending = database.pending_deletion(id(1)).await.unwrap().unwrap();
    let report = ObjectKey::pdf(&PatientId::new("p-1").unwrap(), id(1));
    assert_eq!((pending.sweep_at, pending.report_sweep_at), (now(), now() + GRACE.report));
    assert_eq!(pending.report, Some(report.clone()));
    let first = lease(database, JobKind::Delete, 1).await.remove(0);
    database.postpone_report_sweep(first.fence, id(1), &report, pending.report_sweep_at).await.unwrap();
    let twice = database.postpone_report_sweep(first.fence, id(1), &report, pending.report_sweep_at).await;
    assert!(matches!(twice, Err(DatabaseError::Fenced)), "{twice:?}");
    assert!(database.is_swept(id(1), &PatientId::new("p-1").unwrap()).await.unwrap());

    // Whoever wants it sends it again: the report of the old one is all that is removed then.
    let again = NewRecording { deletions: 1, ..new(1, "p-1", None) };
    assert!(!database.claim(id(1)).await.unwrap().being_deleted);
    assert_eq!(database.accept_recording(&again, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(keys(database, 1).await, [report.to_string()]);
    assert_eq!(database.release_due_jobs(later(39)).await.unwrap(), 0);
    assert_eq!(database.release_due_jobs(later(40)).await.unwrap(), 1);
    let second = lease(database, JobKind::Delete, 1).await.remove(0);
    // That cannot be done: the new recording has nothing to do with it.
    let failure = Failure { code: "attempts_exhausted".into(), message: "given up".into() };
    database.fail_job(&second, &Outcome::Dead(failure), now()).await.unwrap();
    assert_eq!(database.recording_state(id(1)).await.unwrap().unwrap().status, RecordingStatus::Received);
    assert_eq!(database.requeue_dead(later(50), 10).await.unwrap(), 1);
    let second = lease(database, JobKind::Delete, 1).await.remove(0);
    database.finish_deletion(second.fence, id(1)).await.unwrap();
    assert_eq!(database.pending_deletion(id(1)).await.unwrap(), None);
    assert!(database.recording(id(1)).await.unwrap().is_some());
}

pub(super) async fn a_model_that_was_retired_meanwhile_scores_no_more(database: &Database) {
    for n in 1..=4 {
        train(database, n).await;
        if n % 2 == 0 {
            let job = lease(database, JobKind::Train, 1).await.remove(0);
            let model = NewModel { last_ordinal: n as i64, ..model(if n == 2 { "v2" } else { "v4" }, "p-1", n as i64) };
            database.finish_training(job.fence, &model, now()).await.unwrap().unwrap();
        }
    }
    database.accept_recording(&new(9, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::ScoreQueued);
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    let score = |version: &str| score(70.0, None, &ModelVersion::new(version).unwrap());
    assert!(database.delete_event(&request(4, Deleted::Event), now()).await.unwrap());
    let after = database.finish_scoring(job.fence, id(9), &score("v4"), now()).await.unwrap();
    assert_eq!(after, AfterScoring::ModelRetired);
    let state = async || database.recording_state(id(9)).await.unwrap().unwrap().status;
    assert_eq!(state().await, RecordingStatus::Converted);
    // Who has the job has it still, and gives the score of the model that serves.
    assert_eq!(database.finish_scoring(job.fence, id(9), &score("v2"), now()).await.unwrap(), AfterScoring::Scored);
    assert_eq!(state().await, RecordingStatus::Scored);
    let twice = database.finish_scoring(job.fence, id(9), &score("v2"), now()).await;
    assert!(matches!(twice, Err(DatabaseError::Fenced)), "{twice:?}");
}

pub(super) async fn a_deletion_that_is_asked_for_again_begins_anew(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let what = Deleted::Recording(sit_to_stand(), Day { year: 2026, month: 1, day: 31 });
    assert!(database.delete_event(&request(1, what), now()).await.unwrap());
    let before = keys(database, 1).await;
    let held = lease(database, JobKind::Delete, 1).await.remove(0);
    assert!(database.delete_event(&request(1, Deleted::Event), now()).await.unwrap());
    let finished = database.finish_deletion(held.fence, id(1)).await;
    assert!(matches!(finished, Err(DatabaseError::Fenced)), "it did not know of every object: {finished:?}");
    let after = keys(database, 1).await;
    assert!(after.len() > before.len() && before.iter().all(|key| after.contains(key)));
    let job = lease(database, JobKind::Delete, 1).await.remove(0);
    database.end_job(job.fence).await.unwrap();
    assert!(matches!(database.end_job(job.fence).await, Err(DatabaseError::Fenced)));
}

pub(super) async fn a_deleted_training_recording_is_unlearned(database: &Database) {
    let (patient, movement) = (PatientId::new("p-1").unwrap(), sit_to_stand());
    let learn = async |version: &str, expected: (u128, i64, i64), at: (i64, i64)| {
        let job = lease(database, JobKind::Train, 10).await.remove(0);
        let last = job.recording.as_ref().unwrap().training_ordinal.unwrap();
        let found = database.training_recordings(&patient, &movement, last, 200).await.unwrap();
        assert_eq!((job.subject, found.count, found.generation), (id(expected.0), expected.1, expected.2));
        assert_eq!((found.newest[0].ordinal, last), at);
        let model = NewModel {
            first_ordinal: at.0,
            last_ordinal: last,
            generation: found.generation,
            ..model(version, "p-1", found.count)
        };
        database.finish_training(job.fence, &model, now()).await.unwrap()
    };
    let serving = async || {
        let job = lease(database, JobKind::Score, 10).await.remove(0);
        database.return_jobs(&[job.fence]).await.unwrap();
        job.model.as_ref().map(|model| model.version.to_string())
    };
    use AfterConversion::{Counted, ScoreQueued, TrainingQueued};
    for (n, after) in [(1, Counted), (2, TrainingQueued)] {
        assert_eq!(train(database, n).await, after);
    }
    assert_eq!(learn("v2", (2, 2, 0), (1, 2)).await, Some(0));
    for (n, after) in [(3, Counted), (4, TrainingQueued)] {
        assert_eq!(train(database, n).await, after);
    }
    assert_eq!(learn("v4", (4, 4, 0), (1, 4)).await, Some(0));
    database.accept_recording(&new(9, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, ScoreQueued);
    assert_eq!(serving().await.as_deref(), Some("v4"));

    // One that the newest model learned from, and the one before did not.
    let artifact = model("v4", "p-1", 4).artifact_key.to_string();
    assert!(delete(database, 3).await.contains(&artifact));
    assert_eq!(serving().await.as_deref(), Some("v2"));
    assert_eq!(learn("v4-1", (4, 3, 1), (1, 4)).await, Some(0));
    assert_eq!(serving().await.as_deref(), Some("v4-1"));

    // The one that completes a count, before its training.
    assert_eq!(train(database, 5).await, TrainingQueued);
    let begun = lease(database, JobKind::Train, 1).await.remove(0);
    database.return_jobs(&[begun.fence]).await.unwrap();
    let begun = ModelVersion::of_training(5, id(5), begun.fence.job_id, begun.fence.token);
    let begun = ObjectKey::model(&movement, &patient, &begun).to_string();
    assert!(delete(database, 5).await.contains(&begun));
    assert_eq!(lease(database, JobKind::Train, 10).await, [], "what remains is learned");

    delete(database, 4).await;
    assert_eq!(serving().await.as_deref(), Some("v2"));
    assert_eq!(lease(database, JobKind::Train, 10).await, []);

    // Too few remain: nothing serves, and what waited for a score waits for a model.
    let under_way = lease(database, JobKind::Score, 10).await.remove(0);
    delete(database, 1).await;
    let state = async || database.recording_state(id(9)).await.unwrap().unwrap().status;
    assert_eq!(state().await, RecordingStatus::AwaitingModel);
    assert_eq!(lease(database, JobKind::Score, 10).await, []);
    let version = ModelVersion::new("v2").unwrap();
    let score = score(70.0, None, &version);
    let late = database.finish_scoring(under_way.fence, id(9), &score, now()).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)), "{late:?}");
    assert_eq!(lease(database, JobKind::Train, 10).await, []);
    database.accept_recording(&new(10, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::AwaitsModel);

    // Enough again: its ordinal is nobody's.
    assert_eq!(train(database, 6).await, TrainingQueued);
    assert_eq!(learn("v6", (6, 2, 4), (2, 6)).await, Some(2));
    assert_eq!(state().await, RecordingStatus::Converted);
    assert_eq!(serving().await.as_deref(), Some("v6"));
}

pub(super) async fn a_training_that_learned_from_what_was_deleted_is_refused(database: &Database) {
    for n in 1..=4 {
        train(database, n).await;
    }
    let mut jobs = lease(database, JobKind::Train, 10).await;
    assert_eq!(jobs.iter().map(|job| job.subject).collect::<Vec<_>>(), [id(2), id(4)]);
    let fences = [jobs[0].fence, jobs[1].fence];
    let held = jobs.remove(1);
    assert!(database.delete_event(&request(3, Deleted::Event), now()).await.unwrap());
    let pending = database.pending_deletion(id(3)).await.unwrap().unwrap();
    assert_eq!(pending.sweep_at, now() + GRACE.training, "it may have put its artifact");
    for (n, ordinal, fence) in [(2, 2, fences[0]), (4, 4, fences[1])] {
        let version = ModelVersion::of_training(ordinal, id(n), fence.job_id, fence.token);
        let key = ObjectKey::model(&sit_to_stand(), &PatientId::new("p-1").unwrap(), &version);
        assert!(pending.keys.contains(&key), "{key}");
    }
    assert_eq!(database.finish_training(held.fence, &model("v4", "p-1", 4), now()).await.unwrap(), None);
    let anew = NewModel { last_ordinal: 4, generation: 1, ..model("v4-1", "p-1", 3) };
    assert_eq!(database.finish_training(held.fence, &anew, now()).await.unwrap(), Some(0));
}
