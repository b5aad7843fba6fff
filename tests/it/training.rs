//! When models are trained, and what they do.

use crate::harness::{Backends, Program, eventually, fresh_id, recording};
use crate::inference::{asking, output};
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

/// Three other patients of the clinic, with four scored recordings each, each with a level of their own.
async fn others_who_teach(clinic: &crate::harness::Client) {
    let mut uploads = Vec::new();
    for (who, level) in [("other-1", 0.0), ("other-2", 8.0), ("other-3", -6.0)] {
        clinic.adopt("clinic-1", who).await;
        for n in 0..4 {
            let quality = 0.2 + 0.2 * f64::from(n);
            let document = recording(who, fresh_id(), quality, Some(100.0 * quality + level), 300);
            uploads.push(clinic.upload_and_wait(document.to_string()));
        }
    }
    let answers = join_all(uploads).await;
    assert!(answers.iter().all(|answer| answer.recording_status() == "training"), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisional_score_gives_way_to_that_of_a_model_of_ones_own() {
    provisional_gives_way(&Program::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisional_score_gives_way_to_that_of_a_model_of_ones_own_in_production() {
    let backends = Backends::production().await;
    provisional_gives_way(&Program::start_on(&backends, &[])).await;
}

async fn provisional_gives_way(program: &Program) {
    let clinic = program.clinic_with(&[PATIENT]).await;
    others_who_teach(&clinic).await;
    // Nobody of another care provider is taught by them.
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    let elsewhere = crate::harness::Client::sign_in(program.url(), "other@example.org").await;
    elsewhere.adopt("clinic-2", "patient-2").await;
    let stranger = elsewhere.upload_and_wait(recording("patient-2", fresh_id(), 0.5, None, 300).to_string()).await;
    assert_eq!(stranger.recording_status(), "awaiting_model");

    let id = fresh_id();
    clinic.upload(recording(PATIENT, id, 0.6, None, 300).to_string()).await;
    let scored_so = clinic.await_status(&id.to_string(), "scored").await;
    let score = &scored_so.body["score"];
    assert_eq!(score["provisional"], true, "{score}");
    assert!((score["value"].as_f64().unwrap() - 60.0).abs() < 30.0, "{score}");
    assert!(scored_so.body["balance_score"].is_null(), "{}", scored_so.body);
    // Who asks the model itself is told so, too.
    let name = "SELECT model_name FROM model_names WHERE patient_id = 'patient-1'";
    let path = format!("/v2/models/{}/infer", program.texts(name).await.remove(0));
    let asked = asking(&[recording(PATIENT, id, 0.6, None, 300).to_string()]);
    let answer = clinic.post_json(&path, &asked).await.body;
    assert_eq!(
        (&answer["parameters"]["provisional"], &output(&answer, "score")[0].into()),
        (&true.into(), &score["value"])
    );

    for document in scored(10) {
        clinic.upload(document.to_string()).await;
    }
    eventually("a score of a model of one's own", || async {
        let answer = clinic.status(&id.to_string()).await;
        (answer.body["score"]["provisional"] == false && answer.body["balance_score"].is_number()).then_some(())
    })
    .await;
    let answer = clinic.post_json(&path, &asked).await.body;
    assert_eq!(answer["parameters"]["provisional"], false);
    // Three people teach, and ten recordings are one's own: what is said is about right.
    assert!((output(&answer, "score")[0] - 60.0).abs() < 20.0, "{answer}");
    assert_eq!(program.count("SELECT count(*) FROM scores").await, 1);
    let sources = "SELECT count(*) FROM model_sources JOIN models USING (model_version) WHERE verdict = 'serves'";
    assert_eq!(program.count(sources).await, 3);
    assert_eq!(program.count("SELECT count(*) FROM models WHERE patient_id = 'patient-2'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_taught_by_a_recording_that_is_deleted_is_taught_anew_without_it() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    others_who_teach(&clinic).await;
    for document in scored(10) {
        clinic.upload(document.to_string()).await;
    }
    eventually("a model", || async { (program.count("SELECT count(*) FROM models").await == 1).then_some(()) }).await;
    let before = program.texts("SELECT artifact_key FROM models").await.remove(0);
    let taught = "SELECT test_event_id FROM recordings WHERE patient_id = 'other-1' ORDER BY training_ordinal LIMIT 1";
    let taught = program.texts(taught).await.remove(0);
    let delete = format!("mutation {{ deleteTestEventFromDB(test_event_id: \"{taught}\", patient_id: \"other-1\") }}");
    clinic.data(&delete, serde_json::json!({})).await;
    eventually("another model in its place", || async {
        let served = "SELECT count(*) FROM models WHERE retired_at IS NULL AND outdated_at IS NULL";
        (program.count(served).await == 1 && program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
    assert_eq!(program.count("SELECT count(*) FROM models WHERE retired_at IS NOT NULL").await, 1);
    let artifacts: Vec<_> = program.keys().await.into_iter().filter(|key| key.ends_with(".tar.gz")).collect();
    assert!(artifacts.len() == 1 && artifacts[0] != before, "{artifacts:?}, not {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pins_a_model_and_takes_it_back() {
    let program = Program::start_on(&Backends::postgres_and_folder(), &[]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    for document in scored(20) {
        clinic.upload_and_wait(document.to_string()).await;
    }
    eventually("two models", || async { (program.count("SELECT count(*) FROM models").await == 2).then_some(()) })
        .await;
    let versions = program.texts("SELECT model_version FROM models ORDER BY last_ordinal").await;
    let scored_by = async || {
        let answer = clinic.upload_and_wait(recording(PATIENT, fresh_id(), 0.6, None, 300).to_string()).await;
        answer.body["score"]["model_version"].as_str().map(str::to_owned)
    };
    let admin = |command: &str, version: &str| {
        let (done, text) = program.run(&["admin", command, version], "");
        assert!(done, "{text}");
    };
    admin("pin-model", &versions[0]);
    assert_eq!(scored_by().await.as_ref(), Some(&versions[0]));
    admin("unpin-model", &versions[0]);
    admin("withdraw-model", &versions[1]);
    assert_eq!(scored_by().await.as_ref(), Some(&versions[0]));
    admin("withdraw-model", &versions[0]);
    assert_eq!(scored_by().await, None);
    admin("pin-model", &versions[1]);
    assert_eq!(scored_by().await.as_ref(), Some(&versions[1]));
    eventually("what waited is scored", || async {
        (program.count("SELECT count(*) FROM scores").await == 4).then_some(())
    })
    .await;
    let rows = "SELECT count(*) FROM audit_records WHERE operation LIKE 'admin %-model'";
    assert_eq!(program.count(rows).await, 5);
}
