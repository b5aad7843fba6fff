//! Deletion as the dashboard and the phone ask for it: nothing is left, and what was learned is taken back.

use crate::harness::{Backends, Client, Program, eventually, fresh_id, recording};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

const PATIENT: &str = "p-1";

/// A deletion is over soon: it waits for reports and work that were under way.
const QUICK: [(&str, &str); 3] =
    [("reports.deadline_seconds", "1"), ("queue.lease_seconds", "2"), ("queue.tick_ms", "100")];

/// As the dashboard deletes a recording: its raw object, tables and report.
async fn delete_objects(client: &Client, id: Uuid) -> Value {
    let document = "mutation($id: String!) { deleteTestEventFromS3(test_event_id: $id, patient_id: \"p-1\", year: 2026,
        month: 1, day: 31, test_type: \"sit-to-stand\") }";
    client.data(document, json!({ "id": id })).await["deleteTestEventFromS3"].clone()
}

const DELETE: &str = "mutation($id: String!) { deleteTestEventFromDB(test_event_id: $id, patient_id: \"p-1\") }";

async fn delete_event(client: &Client, id: Uuid) -> Value {
    client.data(DELETE, json!({ "id": id })).await["deleteTestEventFromDB"].clone()
}

async fn put_result(client: &Client, id: Uuid) {
    let document = "mutation($id: String!) { putTestResult(test_event_id: $id, patient_id: \"p-1\",
        test_type: \"sit-to-stand\", start_time: \"2026-01-31 11:00:00\", end_time: \"2026-01-31 11:01:00\")
        { test_event_id } }";
    client.data(document, json!({ "id": id })).await;
}

/// Keys of objects that name the event.
async fn keys_of(program: &Program, id: Uuid) -> Vec<String> {
    let id = id.to_string();
    program.keys().await.into_iter().filter(|key| key.contains(&id)).collect()
}

async fn rows(program: &Program) -> i64 {
    let all = "SELECT (SELECT count(*) FROM test_events) + (SELECT count(*) FROM recordings) + (SELECT count(*) FROM axis_ranges)
        + (SELECT count(*) FROM quality_reports) + (SELECT count(*) FROM features) + (SELECT count(*) FROM scores)
        + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM deletion_objects)";
    program.count(all).await
}

async fn nothing_to_do(program: &Program) {
    eventually("nothing left to do", || async {
        (program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_deletes_a_recording_and_its_event_in_a_folder() {
    the_dashboard_deletes(&Backends::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_deletes_a_recording_and_its_event_in_a_bucket() {
    the_dashboard_deletes(&Backends::production().await).await;
}

async fn the_dashboard_deletes(backends: &Arc<Backends>) {
    let program = Program::start_on(backends, &QUICK);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    let body = recording(PATIENT, id, 0.5, None, 100).to_string();
    put_result(&clinic, id).await;
    assert_eq!(clinic.upload_and_wait(body.clone()).await.recording_status(), "awaiting_model");
    assert_eq!(keys_of(&program, id).await.len(), 3);
    let axis = "query($id: String!) { getMeasurementData(test_event_id: $id, patient_id: \"p-1\", year: 2026, month: 1, day: 31,
        test_type: \"sit-to-stand\", measurement: gx) { ts val } }";
    let read = clinic.data(axis, json!({ "id": id })).await;
    assert_eq!(read["getMeasurementData"]["val"].as_array().unwrap().len(), 100);

    assert_eq!(delete_objects(&clinic, id).await, "deleted");
    assert_eq!(keys_of(&program, id).await, Vec::<String>::new());
    assert_eq!(clinic.status(&id.to_string()).await.status, 404);
    assert_eq!(clinic.graphql(axis, json!({ "id": id })).await["errors"][0]["extensions"]["code"], "not_found");
    assert_eq!(program.count("SELECT count(*) FROM test_events").await, 1, "the event stays");
    assert_eq!(delete_event(&clinic, id).await, "deleted");
    for _ in 0..2 {
        assert_eq!(delete_objects(&clinic, id).await, "deleted");
        assert_eq!(delete_event(&clinic, id).await, "deleted");
    }

    // Whoever sends it again wants it, and does not wait until the last report that was under way must be over.
    assert_eq!(clinic.upload(body).await.status, 202);
    assert_eq!(clinic.await_status(&id.to_string(), "awaiting_model").await.status, 200);
    nothing_to_do(&program).await;
    assert_eq!(keys_of(&program, id).await.len(), 3);
    assert_eq!(delete_event(&clinic, id).await, "deleted");
    nothing_to_do(&program).await;
    assert_eq!(rows(&program).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_kept_after_the_deletion_and_never_looked_at_again_is_removed() {
    let settings = [("reports.deadline_seconds", "4"), ("queue.lease_seconds", "2"), ("queue.tick_ms", "100")];
    let mut program = Program::stopped(&settings);
    program.resume_with_failpoints("report-drawn=sleep(1500);report-kept=sleep(600000)");
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    clinic.upload_and_wait(recording(PATIENT, id, 0.5, None, 100).to_string()).await;
    let links = format!(
        "query {{ downloadTestEventDetails(test_event_id: \"{id}\", patient_name: \"\", patient_id: \"{PATIENT}\",
            year: 2026, month: 1, day: 31, test_type: \"sit-to-stand\") {{ pdf_url }} }}"
    );
    let body = json!({ "query": links });
    let asked = tokio::spawn(clinic.request(reqwest::Method::POST, "/graphql").json(&body).send());
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(delete_event(&clinic, id).await, "deleted");
    assert_eq!(keys_of(&program, id).await, Vec::<String>::new());
    eventually("the report is kept", || async { (keys_of(&program, id).await.len() == 1).then_some(()) }).await;
    program.kill();
    asked.abort();
    program.resume();
    eventually("it is removed", || async { keys_of(&program, id).await.is_empty().then_some(()) }).await;
    nothing_to_do(&program).await;
    assert_eq!(rows(&program).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_deletes_the_event_of_an_upload_that_failed() {
    let program = Program::start_with(&QUICK);
    let clinic = program.clinic_with(&[PATIENT]).await;
    program.create_account("own@example.org", "patient", &["--patient-id", PATIENT]);
    let phone = Client::sign_in(program.url(), "own@example.org").await;
    // Refused, never sent, and arrived although the phone does not know.
    let (refused, unsent, arrived) = (fresh_id(), fresh_id(), fresh_id());
    for id in [refused, unsent, arrived] {
        put_result(&phone, id).await;
    }
    assert_eq!(phone.upload("{").await.status, 400);
    assert_eq!(phone.upload(recording(PATIENT, arrived, 0.5, None, 100).to_string()).await.status, 202);
    clinic.await_status(&arrived.to_string(), "awaiting_model").await;
    for id in [refused, unsent, arrived] {
        assert_eq!(delete_event(&phone, id).await, "deleted");
    }
    nothing_to_do(&program).await;
    assert_eq!((rows(&program).await, program.keys().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_were_left_by_a_kill_are_removed_by_the_next_process() {
    let mut program = Program::stopped(&QUICK);
    program.resume_with_failpoints("eraser=sleep(60000)");
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    clinic.upload_and_wait(recording(PATIENT, id, 0.5, None, 100).to_string()).await;
    assert_eq!(delete_event(&clinic, id).await, "being deleted");
    assert_eq!(delete_event(&clinic, id).await, "being deleted", "asked again, it is not over");
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 0);
    assert_eq!(keys_of(&program, id).await.len(), 3, "the rows went first");
    let busy = clinic.upload(recording(PATIENT, id, 0.5, None, 100).to_string()).await;
    assert_eq!((busy.status, busy.headers.contains_key("retry-after")), (503, true), "{busy:?}");
    program.kill();
    program.resume();
    eventually("the objects are gone", || async { keys_of(&program, id).await.is_empty().then_some(()) }).await;
    nothing_to_do(&program).await;
    assert_eq!(rows(&program).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_conversion_under_way_puts_after_the_deletion_is_removed() {
    let settings = [QUICK[0], QUICK[1], QUICK[2], ("queue.deadline_seconds", "5")];
    let mut program = Program::stopped(&settings);
    program.resume_with_failpoints("converter=1*sleep(3000)");
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    assert_eq!(clinic.upload(recording(PATIENT, id, 0.5, None, 100).to_string()).await.status, 202);
    let leased = "SELECT count(*) FROM jobs WHERE kind = 'convert' AND state = 'leased'";
    eventually("it is being converted", || async { (program.count(leased).await == 1).then_some(()) }).await;
    assert_eq!(delete_event(&clinic, id).await, "deleted");
    assert_eq!(keys_of(&program, id).await, Vec::<String>::new());
    eventually("the conversion goes on", || async { (keys_of(&program, id).await.len() == 2).then_some(()) }).await;
    eventually("it is removed again", || async { keys_of(&program, id).await.is_empty().then_some(()) }).await;
    nothing_to_do(&program).await;
    assert_eq!(rows(&program).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_learned_from_a_deleted_recording_is_trained_again_from_the_others() {
    let program = Program::start_on(&Backends::production().await, &QUICK);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let ids: Vec<Uuid> = (0..11).map(|_| fresh_id()).collect();
    let training = |id: Uuid, n: usize| {
        let quality = (n % 10) as f64 / 10.0;
        recording(PATIENT, id, quality, Some(100.0 * quality), 300).to_string()
    };
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(clinic.upload_and_wait(training(*id, n)).await.recording_status(), "training");
    }
    let serving = "SELECT count(*) FROM models WHERE retired_at IS NULL";
    eventually("a model", || async { (program.count(serving).await == 1).then_some(()) }).await;
    let scored = async || {
        let answer = clinic.upload_and_wait(recording(PATIENT, fresh_id(), 0.6, None, 300).to_string()).await;
        assert_eq!(answer.recording_status(), "scored", "{answer:?}");
        answer.body["score"]["model_version"].as_str().unwrap().to_owned()
    };
    let artifacts = async || -> Vec<String> {
        program.keys().await.into_iter().filter(|key| key.starts_with("saved_models/")).collect()
    };
    let first = scored().await;
    assert_eq!(artifacts().await.len(), 1);

    // Ten remain, enough for another.
    assert_eq!(delete_event(&clinic, ids[3]).await, "deleted");
    eventually("it is trained again", || async { (program.count(serving).await == 1).then_some(()) }).await;
    nothing_to_do(&program).await;
    assert_eq!(program.count("SELECT count(*) FROM models").await, 2, "what was is still told");
    assert_eq!(program.count("SELECT training_recordings FROM models WHERE retired_at IS NULL").await, 10);
    assert_eq!(program.count("SELECT recordings FROM training_counts").await, 10);
    let second = scored().await;
    assert_ne!(second, first);
    assert!(artifacts().await.iter().all(|key| key.contains(&second)), "{:?}", artifacts().await);

    // Nine are too few: what comes waits, until there are ten again.
    assert_eq!(delete_event(&clinic, ids[10]).await, "deleted");
    nothing_to_do(&program).await;
    assert_eq!(program.count(serving).await, 0);
    assert_eq!(artifacts().await, Vec::<String>::new());
    let waiting = fresh_id();
    let answer = clinic.upload_and_wait(recording(PATIENT, waiting, 0.6, None, 300).to_string()).await;
    assert_eq!(answer.recording_status(), "awaiting_model");
    clinic.upload_and_wait(training(fresh_id(), 3)).await;
    clinic.await_status(&waiting.to_string(), "scored").await;
    assert_eq!(program.count("SELECT count(DISTINCT training_ordinal) FROM recordings").await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_what_is_deleted_is_left_when_the_process_is_killed_again_and_again() {
    let mut program = Program::start_with(&[
        QUICK[0],
        QUICK[1],
        QUICK[2],
        ("queue.deadline_seconds", "5"),
        ("queue.training_deadline_seconds", "5"),
    ]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let documents: Vec<(Uuid, String)> = (0..80)
        .map(|n| {
            let (id, score) = (fresh_id(), (n % 4 < 2).then_some(f64::from(n)));
            (id, recording(PATIENT, id, f64::from(n % 10) / 10.0, score, 200).to_string())
        })
        .collect();
    let (addresses, _) = tokio::sync::watch::channel(program.url().to_owned());
    // Each is uploaded; every second is deleted at once, by whoever answers.
    let clients = documents.chunks(10).map(|documents| {
        let (clinic, addresses, documents) = (clinic.clone(), addresses.subscribe(), documents.to_vec());
        tokio::spawn(async move {
            for (n, (id, body)) in documents.into_iter().enumerate() {
                loop {
                    let url = addresses.borrow().clone();
                    match clinic.at(&url).try_upload(body.clone(), &[]).await.map(|answer| answer.status) {
                        Ok(200 | 202) => break,
                        _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                    }
                }
                if n % 2 == 1 {
                    continue;
                }
                loop {
                    let url = addresses.borrow().clone();
                    let body = json!({ "query": DELETE, "variables": { "id": id } });
                    let asked = clinic.at(&url).request(reqwest::Method::POST, "/graphql").json(&body).send().await;
                    if let Ok(response) = asked
                        && let Ok(answer) = response.json::<Value>().await
                        && answer["data"]["deleteTestEventFromDB"].is_string()
                    {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for kill in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(150 + kill * 37)).await;
        program.kill();
        program.resume();
        addresses.send_replace(program.url().to_owned());
    }
    for client in clients {
        client.await.unwrap();
    }
    // What was under way at a deletion is looked for once more.
    eventually("nothing left to do", || async {
        (program.count("SELECT count(*) FROM jobs WHERE state <> 'dead'").await == 0).then_some(())
    })
    .await;
    assert_eq!(program.count("SELECT count(*) FROM jobs").await, 0, "a job was given up");
    let kept = documents.chunks(10).flat_map(|documents| documents.iter().skip(1).step_by(2));
    let kept: Vec<String> = kept.map(|(id, _)| id.to_string()).collect();
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, kept.len() as i64);
    let counted = "SELECT count(*) FROM recordings WHERE training_ordinal IS NOT NULL";
    assert_eq!(program.count("SELECT recordings FROM training_counts").await, program.count(counted).await);
    let (models, others): (Vec<_>, Vec<_>) =
        program.keys().await.into_iter().partition(|key| key.starts_with("saved_models/"));
    assert_eq!(models.len() as i64, program.count("SELECT count(*) FROM models WHERE retired_at IS NULL").await);
    for id in &kept {
        assert_eq!(others.iter().filter(|key| key.contains(id)).count(), 3, "{id}");
    }
    assert_eq!(others.len(), 3 * kept.len(), "of what was deleted something is left: {others:#?}");
    assert_eq!(program.count("SELECT count(*) FROM deletion_objects").await, 0);
}
