//! What holds for every database that the program runs on.

use super::*;
use crate::domain::ids::ModelVersion;
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Day, Quality};
use crate::domain::score::{Failure, RecordingStatus, Score};
use crate::storage::objects::Digest;
use chrono::TimeDelta;

const RULE: TrainingRule = TrainingRule { minimum: 2, every: 2 };

async fn database() -> (Database, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("stance.db"), 2, Duration::from_secs(5)).await.unwrap();
    for patient in ["p-1", "p-2"] {
        let patient = Patient {
            id: PatientId::new(patient).unwrap(),
            email: None,
            first_name: None,
            last_name: None,
            privacy_consent_date: None,
        };
        database.create_patient(&patient, now()).await.unwrap();
    }
    (database, folder)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn id(n: u128) -> TestEventId {
    uuid::Uuid::from_u128(n).into()
}

fn new(n: u128, patient: &str, clinic_score: Option<f64>) -> NewRecording {
    let (patient, movement) = (PatientId::new(patient).unwrap(), Movement::new("sit-to-stand").unwrap());
    let day = Day { year: 2026, month: 1, day: 31 };
    NewRecording {
        id: id(n),
        raw_key: ObjectKey::raw(&patient, &movement, day, clinic_score.is_some(), id(n)),
        patient,
        movement,
        digest: Digest::of(&n.to_le_bytes()),
        raw_bytes: 100,
        day,
        clinic_score,
        samples: 10,
        taken: (0, 1_000_000),
    }
}

fn conversion() -> Conversion {
    let quality = Quality {
        samples: 10,
        duration_seconds: 1.0,
        effective_rate_hz: Some(9.0),
        gaps: 0,
        longest_gap_seconds: 0.1,
        jitter_seconds: 0.01,
        non_monotonic: 0,
        constant_axes: vec!["mx"],
        ranges: [(-1.0, 1.0); 9],
    };
    Conversion { quality, feature_set: "set-1", features: vec![1.5, -2.5] }
}

async fn lease(database: &Database, kind: JobKind, limit: u32) -> Vec<Job> {
    database.lease_jobs(kind, limit, "here", later(30)).await.unwrap()
}

async fn convert_next(database: &Database) -> AfterConversion {
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.finish_conversion(job.fence, job.subject, &conversion(), RULE, now()).await.unwrap()
}

#[tokio::test]
async fn a_recording_is_accepted_once() {
    let (database, _folder) = database().await;
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.accept_recording(&new(1, "p-1", None), now()).await.unwrap(), Acceptance::Replayed);
    let other = NewRecording { digest: Digest::of(b"other"), ..new(1, "p-1", None) };
    assert_eq!(database.accept_recording(&other, now()).await.unwrap(), Acceptance::Conflicting);
    assert_eq!(database.accept_recording(&new(1, "p-2", None), now()).await.unwrap(), Acceptance::Conflicting);
    let nobody = database.accept_recording(&new(2, "nobody", None), now()).await;
    assert!(matches!(nobody, Err(DatabaseError::MissingReference(_))), "{nobody:?}");
    assert_eq!(lease(&database, JobKind::Convert, 10).await.len(), 1);
}

#[tokio::test]
async fn a_result_under_an_old_lease_is_refused_whole() {
    let (database, _folder) = database().await;
    database.accept_recording(&new(1, "p-1", Some(50.0)), now()).await.unwrap();
    let slow = lease(&database, JobKind::Convert, 1).await.remove(0);
    assert_eq!(database.release_due_jobs(later(29)).await.unwrap(), 0);
    assert_eq!(database.release_due_jobs(later(31)).await.unwrap(), 1);
    let quick = lease(&database, JobKind::Convert, 1).await.remove(0);
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

#[tokio::test]
async fn a_lease_that_is_extended_holds() {
    let (database, _folder) = database().await;
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let job = lease(&database, JobKind::Convert, 1).await.remove(0);
    database.extend_leases(&[job.fence], later(60)).await.unwrap();
    assert_eq!(database.release_due_jobs(later(45)).await.unwrap(), 0);
    assert_eq!(database.release_all_leases().await.unwrap(), 1);
    assert_eq!(lease(&database, JobKind::Convert, 1).await[0].attempt, 2);
}

#[tokio::test]
async fn lanes_take_turns() {
    let (database, _folder) = database().await;
    for n in 0..50 {
        database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }
    let under_way = lease(&database, JobKind::Convert, 5).await;
    assert_eq!(under_way.len(), 5);
    for n in 100..103 {
        database.accept_recording(&new(n, "p-2", None), now()).await.unwrap();
    }
    let next: Vec<_> = lease(&database, JobKind::Convert, 8).await.into_iter().map(|job| job.lane).collect();
    assert_eq!(next.iter().filter(|lane| *lane == "p-2").count(), 3, "{next:?}");
}

#[tokio::test]
async fn a_count_that_is_complete_starts_one_training_and_its_model_the_backlog() {
    let (database, _folder) = database().await;
    database.accept_recording(&new(9, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(&database).await, AfterConversion::AwaitsModel);
    let mut after = Vec::new();
    for n in 1..=4 {
        database.accept_recording(&new(n, "p-1", Some(10.0 * n as f64)), now()).await.unwrap();
        after.push(convert_next(&database).await);
    }
    use AfterConversion::{Counted, TrainingQueued};
    assert_eq!(after, [Counted, TrainingQueued, Counted, TrainingQueued]);

    let trainings = lease(&database, JobKind::Train, 10).await;
    assert_eq!(trainings.iter().map(|job| job.subject).collect::<Vec<_>>(), [id(2), id(4)]);
    let (patient, movement) = (PatientId::new("p-1").unwrap(), Movement::new("sit-to-stand").unwrap());
    let set = database.training_recordings(&patient, &movement, 4, 3).await.unwrap();
    assert_eq!(set.iter().map(|recording| recording.score).collect::<Vec<_>>(), [20.0, 30.0, 40.0]);
    assert_eq!(set[0].features, [1.5, -2.5]);

    let version = ModelVersion::new("v2").unwrap();
    let model = NewModel {
        artifact_key: ObjectKey::model(&movement, &patient, &version),
        version: version.clone(),
        patient: patient.clone(),
        movement: movement.clone(),
        training_recordings: 2,
        artifact_digest: Digest::of(b"model"),
        feature_set: "set-1".into(),
        leave_one_out_error: 3.0,
        card: "{}".into(),
    };
    assert_eq!(database.finish_training(trainings[0].fence, &model, now()).await.unwrap(), 1);
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!(state.status, RecordingStatus::Converted);
    let score = Score { value: 71.5, lower: Some(60.0), upper: Some(80.0), model_version: version, backend: "local" };
    let job = lease(&database, JobKind::Score, 1).await.remove(0);
    database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap();
    let state = database.recording_state(id(9)).await.unwrap().unwrap();
    assert_eq!((state.status, state.balance_score, state.score), (RecordingStatus::Scored, Some(72), Some(score)));

    database.accept_recording(&new(10, "p-1", None), now()).await.unwrap();
    assert_eq!(convert_next(&database).await, AfterConversion::ScoreQueued);
}

#[tokio::test]
async fn a_postponed_job_has_not_been_tried() {
    let (database, _folder) = database().await;
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    for round in 0..30 {
        let job = lease(&database, JobKind::Convert, 1).await.remove(0);
        assert_eq!(job.attempt, 1);
        let outcome = Outcome::Postponed { at: later(round), reason: "away".into() };
        database.fail_job(&job, &outcome, now()).await.unwrap();
        assert_eq!(database.release_due_jobs(later(round)).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_job_that_is_given_up_marks_its_recording_and_keeps_its_reason() {
    let (database, _folder) = database().await;
    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let job = lease(&database, JobKind::Convert, 1).await.remove(0);
    database.fail_job(&job, &Outcome::Retry { at: later(5), reason: "first".into() }, now()).await.unwrap();
    assert_eq!(lease(&database, JobKind::Convert, 1).await, []);
    database.release_due_jobs(later(6)).await.unwrap();
    let job = lease(&database, JobKind::Convert, 1).await.remove(0);
    let failure = Failure { code: "broken".into(), message: "cannot be read".into() };
    database.fail_job(&job, &Outcome::Dead(failure.clone()), now()).await.unwrap();
    let state = database.recording_state(id(1)).await.unwrap().unwrap();
    assert_eq!((state.status, state.failure), (RecordingStatus::Failed, Some(failure)));
    let dead = database.dead_jobs(10).await.unwrap();
    assert_eq!((dead.len(), dead[0].subject, dead[0].reason.as_str()), (1, id(1), "cannot be read"));
    assert_eq!(database.queue_depths().await.unwrap()[0].state, "dead");
}
