//! When models are trained, and what they do.

use crate::harness::{Backends, Program, eventually, fresh_id, recording};
use futures_util::future::join_all;
use uuid::Uuid;

const PATIENT: &str = "patient-1";

/// Recordings with a clinician's score, each better than the one before.
fn scored(count: u32) -> Vec<serde_json::Value> {
    (0..count)
        .map(|n| {
            let quality = f64::from(n % 10) / 10.0;
            recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 300)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_scored_recordings_at_the_same_moment_train_one_model() {
    ten_at_once_train_one_model(&[Program::start()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_scored_recordings_at_the_same_moment_in_two_processes_train_one_model() {
    let backends = Backends::production().await;
    ten_at_once_train_one_model(&[Program::start_on(&backends, &[]), Program::start_on(&backends, &[])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_scored_recordings_in_two_processes_with_one_folder_train_one_model() {
    let backends = Backends::postgres_and_folder();
    ten_at_once_train_one_model(&[Program::start_on(&backends, &[]), Program::start_on(&backends, &[])]).await;
}

/// Spread over the programs.
async fn ten_at_once_train_one_model(programs: &[Program]) {
    let clinic = programs[0].clinic_with(&[PATIENT]).await;
    let answers = join_all(
        scored(10)
            .into_iter()
            .zip(programs.iter().cycle())
            .map(async |(document, program)| clinic.at(program.url()).upload_and_wait(document.to_string()).await),
    )
    .await;
    assert!(answers.iter().all(|answer| answer.recording_status() == "training"), "{answers:?}");
    one_model_is_trained(&programs[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_scored_recordings_sent_while_the_process_is_killed_train_one_model() {
    for pause_ms in [0, 15, 40, 90] {
        let mut program = Program::start();
        let clinic = program.clinic_with(&[PATIENT]).await;
        let documents = scored(10);
        let uploads = documents.iter().map(|document| {
            let clinic = clinic.clone();
            let body = document.to_string();
            tokio::spawn(async move { clinic.try_upload(body, &[]).await.map(|answer| answer.status) })
        });
        let uploads: Vec<_> = uploads.collect();
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        program.kill();
        join_all(uploads).await;
        program.resume();
        let clinic = clinic.at(program.url());
        for document in &documents {
            let answer = clinic.upload(document.to_string()).await;
            assert!([200, 202].contains(&answer.status), "{answer:?}");
        }
        one_model_is_trained(&program).await;
    }
}

async fn one_model_is_trained(program: &Program) {
    eventually("a model", || async { (program.count("SELECT count(*) FROM models").await > 0).then_some(()) }).await;
    eventually("nothing left to do", || async {
        (program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
    assert_eq!(program.count("SELECT count(*) FROM models").await, 1);
    assert_eq!(program.count("SELECT recordings FROM training_counts").await, 10);
    assert_eq!(program.count("SELECT count(DISTINCT training_ordinal) FROM recordings").await, 10);
    let artifacts = program.keys().await.into_iter().filter(|key| key.ends_with(".tar.gz")).count();
    assert_eq!(artifacts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_is_scored_when_the_first_model_arrives_and_a_new_one_takes_over() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let waiting: Vec<Uuid> = (0..5).map(|_| fresh_id()).collect();
    for id in &waiting {
        let answer = clinic.upload_and_wait(recording(PATIENT, *id, 0.4, None, 300).to_string()).await;
        assert_eq!(answer.recording_status(), "awaiting_model");
        assert_eq!(answer.status, 200);
    }
    for document in scored(10) {
        clinic.upload(document.to_string()).await;
    }
    let mut first_version = String::new();
    for id in &waiting {
        let answer = clinic.await_status(&id.to_string(), "scored").await;
        answer.body["score"]["model_version"].as_str().unwrap().clone_into(&mut first_version);
        let value = answer.body["score"]["value"].as_f64().unwrap();
        assert!((value - 40.0).abs() < 25.0, "quality 0.4 was scored {value}");
    }
    for document in scored(10) {
        clinic.upload(document.to_string()).await;
    }
    eventually("a second model", || async { (program.count("SELECT count(*) FROM models").await == 2).then_some(()) })
        .await;
    let answer = clinic.upload_and_wait(recording(PATIENT, fresh_id(), 0.6, None, 300).to_string()).await;
    assert_eq!(answer.recording_status(), "scored");
    assert_ne!(answer.body["score"]["model_version"].as_str().unwrap(), first_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_care_providers_long_queue_does_not_delay_anothers() {
    let program = Program::start_with(&[("queue.converts_at_once", "1")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    let other = crate::harness::Client::sign_in(program.url(), "other@example.org").await;
    other.adopt("clinic-2", "patient-2").await;
    // The first waits in line without anybody converting it.
    let queue: Vec<_> = (0..120).map(|_| recording(PATIENT, fresh_id(), 0.5, None, 4_000).to_string()).collect();
    let uploads = tokio::spawn({
        let clinic = clinic.clone();
        async move { join_all(queue.into_iter().map(|body| clinic.upload(body))).await }
    });
    eventually("a queue", || async { (program.metric("stance_queue_jobs").await > 20.0).then_some(()) }).await;
    let id = fresh_id();
    let answer = other.upload_and_wait(recording("patient-2", id, 0.5, None, 300).to_string()).await;
    assert_eq!(answer.recording_status(), "awaiting_model");
    let behind = "SELECT count(*) FROM recordings WHERE lane = 'clinic-1' AND status = 'received'";
    let still_waiting = program.count(behind).await;
    uploads.await.unwrap();
    assert!(still_waiting > 5, "the other care provider's recording was converted after {still_waiting} were left");
}
