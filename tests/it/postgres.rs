//! The program with its rows in PostgreSQL.

use crate::harness::{Program, eventually, fresh_id, recording};
use futures_util::future::join_all;
use stance_testkit::Postgres;
use std::time::Duration;

const PATIENT: &str = "patient-1";

#[tokio::test(flavor = "multi_thread")]
async fn ten_scored_recordings_train_one_model_that_scores_the_next_in_postgres() {
    let server = Postgres::database();
    let program = Program::start_with(&[("database.url", &server.url())]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let waiting = recording(PATIENT, fresh_id(), 0.5, None, 300);
    assert_eq!(clinic.upload(waiting.to_string()).await.status, 202);
    let scored = (0..10_u32).map(|n| {
        let quality = f64::from(n) / 10.0;
        clinic.upload_and_wait(recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 300).to_string())
    });
    let answers = join_all(scored).await;
    assert!(answers.iter().all(|answer| answer.recording_status() == "training"), "{answers:?}");
    clinic.await_status(waiting["testID"].as_str().unwrap(), "scored").await;
    let next = recording(PATIENT, fresh_id(), 0.7, None, 300).to_string();
    assert_eq!(clinic.upload_and_wait(next.clone()).await.recording_status(), "scored");
    assert_eq!(clinic.upload(next).await.status, 200, "replayed");
    assert_eq!(server.psql("SELECT count(*) FROM models"), "1");
    assert_eq!(server.psql("SELECT recordings FROM training_counts"), "10");
    assert_eq!(server.psql("SELECT count(*) FROM jobs"), "0");
    assert!(program.metric("stance_database_statements_total").await > 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_killed_process_is_done_by_the_next_within_its_lease() {
    let server = Postgres::database();
    let mut program = Program::start_with(&[("database.url", &server.url()), ("queue.lease_seconds", "3")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let uploads = (0..10).map(|_| clinic.upload(recording(PATIENT, fresh_id(), 0.5, Some(50.0), 3_000).to_string()));
    assert!(join_all(uploads).await.iter().all(|answer| answer.status == 202));
    program.kill();
    program.resume();
    eventually("one model and nothing left to do", || async {
        (server.psql("SELECT count(*) FROM models") == "1" && server.psql("SELECT count(*) FROM jobs") == "0")
            .then_some(())
    })
    .await;
    assert_eq!(server.psql("SELECT count(DISTINCT training_ordinal) FROM recordings"), "10");
}

/// Connections are one pool's, whichever actor opened them: one that hangs must not take others' along.
#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_hangs_holds_up_nobody_who_uses_a_connection_that_it_opened() {
    let server = Postgres::database();
    let quick = [("supervision.stuck_after_ms", "500"), ("supervision.probe_every_ms", "100")];
    let mut program = Program::stopped(&[&quick[..], &[("database.url", &server.url())]].concat());
    program.resume();
    let clinic = program.clinic_with(&[PATIENT]).await;
    program.kill();
    // Long after the others shall be done.
    program.resume_with_failpoints("converter=32*off->1*sleep(40000)->off");
    let clinic = clinic.at(program.url());
    let upload = || clinic.upload_and_wait(recording(PATIENT, fresh_id(), 0.5, None, 300).to_string());
    let converted = join_all((0..32).map(|_| upload())).await;
    assert!(converted.iter().all(|answer| answer.recording_status() == "awaiting_model"), "{converted:?}");
    let hangs = recording(PATIENT, fresh_id(), 0.5, None, 300);
    assert_eq!(clinic.upload(hangs.to_string()).await.status, 202);
    let counter = "stance_actor_restarts_total{actor=\"converter\",cause=\"stuck\"}";
    eventually("it is rebuilt", || async { (program.metric(counter).await > 0.0).then_some(()) }).await;
    let others = join_all((0..32).map(|_| upload()));
    let others = tokio::time::timeout(Duration::from_secs(20), others).await;
    let others = others.unwrap_or_else(|_| panic!("they wait for the one that hangs"));
    assert!(others.iter().all(|answer| answer.recording_status() == "awaiting_model"), "{others:?}");
}
