//! What an upload is answered.

use crate::harness::{Program, document, fresh_id};

const PATIENT: &str = "patient-1";

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_acknowledged_with_its_status_document() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    let answer = clinic.upload(document(PATIENT, id).to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.headers["location"], format!("/v1/recordings/{id}"));
    assert_eq!(answer.body["test_event_id"], id.to_string());
    assert_eq!(answer.body["patient_id"], PATIENT);
    assert_eq!(answer.body["movement"], "sit-to-stand");
    assert_eq!(answer.body["samples"], 64);
    for absent in ["balance_score", "score", "failure"] {
        assert!(answer.body[absent].is_null() && answer.body.as_object().unwrap().contains_key(absent));
    }
    let settled = clinic.await_status(&id.to_string(), "awaiting_model").await;
    let rate = settled.body["sampling_rate_hz"].as_f64().unwrap();
    assert!((rate - 100.0).abs() < 0.5, "{rate}");
    assert!(settled.body["updated_at"].as_str() >= settled.body["received_at"].as_str());
    let raw = format!(
        "recording_data/patientID={PATIENT}/movement=sit-to-stand/year=2026/month=1/day=31/test_event_id={id}.json"
    );
    assert!(program.objects().iter().any(|(key, _)| *key == raw), "{:?}", program.objects());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_the_same_recording_and_other_bytes_a_conflict() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT, "patient-2"]).await;
    let id = fresh_id();
    let first = document(PATIENT, id);
    assert_eq!(clinic.upload(first.to_string()).await.status, 202);
    clinic.await_status(&id.to_string(), "awaiting_model").await;
    let again = clinic.upload(first.to_string()).await;
    assert_eq!((again.status, again.recording_status()), (200, "awaiting_model"));

    let mut other = first.clone();
    other["ax"][0] = serde_json::json!(0.25);
    let answer = clinic.upload(other.to_string()).await;
    assert_eq!((answer.status, answer.code()), (409, "test_id_taken"));
    let answer = clinic.upload(document("patient-2", id).to_string()).await;
    assert_eq!((answer.status, answer.code()), (409, "test_id_taken"));
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 1);
    let raw = program.objects().into_iter().find(|(key, _)| key.starts_with("recording_data")).unwrap().1;
    assert_eq!(std::fs::read_to_string(raw).unwrap(), first.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_uploads_of_one_recording_at_once_are_one_recording() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let body = document(PATIENT, fresh_id()).to_string();
    let answers = futures_util::future::join_all((0..20).map(|_| clinic.upload(body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    assert!(answers.iter().all(|answer| [200, 202, 503].contains(&answer.status)));
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_raw_object_rots_is_kept_and_marked_failed() {
    // Nothing is handed over in memory, and nothing is converted before the object was changed.
    let settings = [("ingest.handover_bytes", "0"), ("queue.lease_seconds", "2"), ("queue.tick_ms", "100")];
    let mut program = Program::stopped(&settings);
    program.resume();
    let clinic = program.clinic_with(&[PATIENT]).await;
    program.kill();
    // The first conversion panics; the object is changed before the next attempt.
    program.resume_with_failpoints("converter=1*panic");
    let clinic = clinic.at(program.url());
    let id = fresh_id();
    assert_eq!(clinic.upload(document(PATIENT, id).to_string()).await.status, 202);
    let (_, raw) = program.objects().into_iter().find(|(key, _)| key.starts_with("recording_data")).unwrap();
    let text = std::fs::read_to_string(&raw).unwrap();
    std::fs::write(&raw, text.replace("sit-to-stand", "sit-to-stane")).unwrap();
    let failed = clinic.await_status(&id.to_string(), "failed").await;
    assert_eq!(failed.body["failure"]["code"], "raw_object_corrupt");
    assert!(raw.exists(), "what was acknowledged is kept");
    assert!(program.objects().iter().all(|(key, _)| !key.ends_with(".csv") && !key.ends_with(".parquet")));
}
