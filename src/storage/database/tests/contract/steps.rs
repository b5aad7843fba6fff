//! Acceptance, conversion, training and score.

use super::*;

pub(super) async fn a_recording_is_accepted_once(database: &Database) {
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.recording_state(id(1)).await.unwrap(), Some(new(1, "p-1", None).accepted(now())));
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Replayed);
    let other = NewRecording { digest: Digest::of(b"other"), ..new(1, "p-1", None) };
    assert_eq!(database.accept_recording(&other, now()).await.unwrap(), Acceptance::Conflicting);
    assert_eq!(database.accept_recording(&new(1, "p-2", None), now()).await.unwrap(), Acceptance::Conflicting);
    let nobody = database.accept_recording(&new(2, "nobody", None), now()).await;
    assert!(matches!(nobody, Err(DatabaseError::MissingReference(_))), "{nobody:?}");
    assert_eq!(lease(database, JobKind::Convert, 10).await.len(), 1);
}

pub(super) async fn a_recording_that_landed_makes_its_patient_and_keeps_its_failure(database: &Database) {
    assert_eq!(database.claim(id(1)).await.unwrap(), Claim::default());
    let landed = new(1, "stranger", None);
    assert_eq!(database.accept_landed(&landed, None, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_landed(&landed, None, now()).await.unwrap(), Acceptance::Replayed);
    assert_eq!(database.accept_recording(&landed, now()).await.unwrap(), Acceptance::Replayed);
    let claim = Claim { patient: Some(landed.patient.clone()), digest: Some(landed.digest), ..Claim::default() };
    assert_eq!(database.claim(id(1)).await.unwrap(), claim);
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

pub(super) async fn a_result_under_an_old_lease_is_refused_whole(database: &Database) {
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

pub(super) async fn a_count_that_is_complete_starts_one_training_and_its_model_the_backlog(database: &Database) {
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
    assert_eq!(trainings[1].recording.as_ref().and_then(|recording| recording.training_ordinal), Some(4));
    assert_eq!(trainings[1].model, None);
    let (patient, movement) = (PatientId::new("p-1").unwrap(), Movement::new("sit-to-stand").unwrap());
    let found = database.training_recordings(&patient, &movement, 4, 3).await.unwrap();
    assert_eq!((found.count, found.generation), (4, 0));
    let set = found.newest;
    assert_eq!(set.iter().map(|recording| recording.score).collect::<Vec<_>>(), [20.0, 30.0, 40.0]);
    assert_eq!(set[0].features, [1.5, -2.5]);

    let model = model("v2", "p-1", 2);
    let version = model.version.clone();
    assert_eq!(database.finish_training(trainings[0].fence, &model, now()).await.unwrap(), Some(1));
    let newer = self::model("v4", "p-1", 4);
    assert_eq!(database.finish_training(trainings[1].fence, &newer, now()).await.unwrap(), Some(0));
    let ranges = database.axis_ranges(id(9)).await.unwrap();
    assert_eq!((ranges.len(), &ranges[0].axis[..], ranges[0].lowest, ranges[0].highest), (9, "ax", -1.0, 1.0));
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!(state.status, RecordingStatus::Converted);
    let score = Score { unlike_training: true, ..score(71.5, Some((60.0, 80.0)), &version) };
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    assert_eq!(job.recording.as_deref(), database.recording(id(9)).await.unwrap().as_ref());
    let newest = job.model.as_deref().map(|row| (&row.version, &row.artifact_key, row.artifact_digest));
    assert_eq!(newest, Some((&newer.version, &newer.artifact_key, newer.artifact_digest)));
    database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap();
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!((state.status, state.balance_score, state.score), (RecordingStatus::Scored, Some(72), Some(score)));

    database.accept_recording(&new(10, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(database).await, AfterConversion::ScoreQueued);
}

pub(super) async fn a_backlog_is_scored_in_its_order(database: &Database) {
    for n in 0..6 {
        database.accept_recording(&new(n, "p-1", None), later(i64::try_from(n).unwrap())).await.unwrap();
        assert_eq!(convert_next(database).await, AfterConversion::AwaitsModel);
    }
    for n in 10..12 {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(training.fence, &model("v", "p-1", 2), now()).await.unwrap(), Some(6));
    let order: Vec<_> = lease(database, JobKind::Score, 10).await.into_iter().map(|job| job.subject).collect();
    assert_eq!(order[0], id(0));
    assert_eq!(order.len(), 6);
    assert_eq!(database.queue_depths().await.unwrap().len(), 1, "all of one kind are leased");
}

pub(super) async fn what_is_dropped_uncommitted_did_not_happen_and_statements_are_counted(database: &Database) {
    let failure = Failure { code: "refused".into(), message: "there are no samples".into() };
    database.accept_landed(&new(1, "p-1", None), Some(&failure), now()).await.unwrap();
    let other = Failure { code: "other".into(), ..failure.clone() };
    let mut transaction = database.begin().await.unwrap();
    transaction.mark_failed(id(1), &other, now()).await.unwrap();
    drop(transaction);
    assert_eq!(database.recording_state(id(1)).await.unwrap().unwrap().failure, Some(failure));
    let before = database.statements();
    let mut transaction = database.begin_redoable().await.unwrap();
    transaction.mark_failed(id(1), &other, now()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.statements() - before, 3, "begin, one, commit");
    assert!(database.migrated().applied > 0);
}
