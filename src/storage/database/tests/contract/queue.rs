//! Leases, turns, failures.

use super::*;

pub(super) async fn a_lease_that_is_extended_holds(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.extend_leases(&[job.fence], later(60)).await.unwrap();
    assert_eq!(database.release_due_jobs(later(45)).await.unwrap(), 0);
    assert_eq!(database.release_all_leases().await.unwrap(), 1);
    assert_eq!(lease(database, JobKind::Convert, 1).await[0].attempt, 2);
}

pub(super) async fn lanes_take_turns(database: &Database) {
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

pub(super) async fn a_postponed_job_has_not_been_tried(database: &Database) {
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    for round in 0..30 {
        let job = lease(database, JobKind::Convert, 1).await.remove(0);
        assert_eq!(job.attempt, 1);
        let outcome = Outcome::Postponed { at: later(round), reason: "away".into() };
        database.fail_job(&job, &outcome, now()).await.unwrap();
        assert_eq!(database.release_due_jobs(later(round)).await.unwrap(), 1);
    }
}

pub(super) async fn a_job_that_is_given_up_marks_its_recording_and_keeps_its_reason(database: &Database) {
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

pub(super) async fn jobs_that_were_given_up_are_requeued_and_their_recordings_too(database: &Database) {
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

pub(super) async fn jobs_that_are_given_back_are_leased_again_at_the_same_attempt(database: &Database) {
    for n in 0..2 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }
    let jobs = lease(database, JobKind::Convert, 2).await;
    let stale = Fence { token: jobs[1].fence.token + 1, ..jobs[1].fence };
    database.return_jobs(&[jobs[0].fence, stale]).await.unwrap();
    let again = lease(database, JobKind::Convert, 2).await;
    assert_eq!(again.iter().map(|job| (job.subject, job.attempt)).collect::<Vec<_>>(), [(jobs[0].subject, 1)]);
}

pub(super) async fn hints_reach_who_listens(database: &Database) {
    let listener = database.listen("here").await.unwrap();
    assert_eq!(listener.is_some(), database.is_shared());
    let hints = vec![Hint::Job(JobKind::Score), Hint::Recording(id(7)), Hint::Job(JobKind::Convert)];
    // What one tells oneself is not heard.
    database.notify("here", &[Hint::Job(JobKind::Train)]).await.unwrap();
    database.notify("there", &hints).await.unwrap();
    if let Some(mut listener) = listener {
        let heard = tokio::time::timeout(Duration::from_secs(10), listener.next()).await.unwrap();
        assert_eq!(heard.unwrap(), Some(hints));
    }
}
