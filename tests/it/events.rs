//! Recordings that phones put straight into the bucket, of which a queue tells.

use crate::harness::{Backends, CLINIC, Client, Program, document, eventually, fresh_id, recording};
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use stance_testkit::faults::Mode;
use std::sync::Arc;
use uuid::Uuid;

/// As the app's sign-in makes them.
const PATIENT: &str = "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa";
const MOVEMENT: &str = "sit to stand: slow";

/// Where a phone puts it.
fn key_of(document: &Value) -> String {
    let text = |name: &str| document[name].as_str().unwrap();
    let place = if document["training"] == true { "training" } else { "year=2026/month=1/day=31" };
    format!(
        "recording_data/patientID={}/movement={}/{place}/test_event_id={}.json",
        text("user_id"),
        text("movement"),
        text("testID")
    )
}

async fn put(backends: &Backends, document: &Value) {
    backends.bucket().put(&backends.key(&key_of(document)), document.to_string()).await;
}

/// What a bucket tells of an object.
fn told_of(bucket: &str, key: &str) -> String {
    let key: String =
        reqwest::Url::parse_with_params("http://x/", [("", key)]).unwrap().query().unwrap()[1..].to_owned();
    json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": 1 } } }] })
    .to_string()
}

/// Everything that was told is dealt with, and `given_up` messages were given up.
async fn all_is_heard(backends: &Backends, given_up: u64) {
    eventually("the queue is empty", || async { (backends.queue().depths().await == (0, given_up)).then_some(()) })
        .await;
}

async fn nothing_left_to_do(program: &Program) {
    eventually("nothing left to do", || async {
        (program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
}

async fn two_programs() -> (Arc<Backends>, [Program; 2]) {
    let backends = Backends::production_with_queue(10).await;
    let programs = [Program::start_on(&backends, &[]), Program::start_on(&backends, &[])];
    (backends, programs)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_phones_put_into_the_bucket_is_learned_from_and_scored() {
    let (backends, [program, _other]) = two_programs().await;
    let recording = |quality: f64, score: Option<f64>| {
        let mut document = recording(PATIENT, fresh_id(), quality, score, 200);
        document["movement"] = json!(MOVEMENT);
        document
    };
    let early = recording(0.4, None);
    put(&backends, &early).await;
    let scored: Vec<_> = (0..10).map(|n| recording(f64::from(n) / 10.0, Some(f64::from(n) * 10.0))).collect();
    join_all(scored.iter().map(|document| put(&backends, document))).await;
    eventually("a model", || async { (program.count("SELECT count(*) FROM models").await == 1).then_some(()) }).await;
    let late = recording(0.8, None);
    put(&backends, &late).await;

    // Whom nobody announced is there, for the care provider who adds them.
    let clinic = program.clinic().await;
    let link = "mutation($p: String!, $c: String!) {
        addPatientToCareProvider(care_provider_id: $c, patient_id: $p) { patient_id } }";
    eventually("the patient is there", || async {
        let linked = clinic.graphql(link, json!({ "p": PATIENT, "c": CLINIC.1 })).await;
        linked["errors"].is_null().then_some(())
    })
    .await;
    for (document, expected) in [(&early, 40.0), (&late, 80.0)] {
        let answer = clinic.await_status(document["testID"].as_str().unwrap(), "scored").await;
        let value = answer.body["score"]["value"].as_f64().unwrap();
        assert!((value - expected).abs() < 25.0, "{expected} was scored {value}");
    }
    for document in &scored {
        assert_eq!(clinic.status(document["testID"].as_str().unwrap()).await.recording_status(), "training");
    }
    all_is_heard(&backends, 0).await;
    nothing_left_to_do(&program).await;
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 12);
    assert_eq!(program.keys().await.len(), 3 * 12 + 1, "raw, CSV and Parquet each, and the model");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_first_and_however_often_it_is_one_recording() {
    let seed = 20_261_125;
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let (backends, programs) = two_programs().await;
    let clinic = programs[0].clinic_with(&["p-1"]).await;
    let documents = || (0..5).map(|_| document("p-1", fresh_id())).collect::<Vec<_>>();
    let (event_first, row_first, both) = (documents(), documents(), documents());
    let all: Vec<&Value> = event_first.iter().chain(&row_first).chain(&both).collect();

    for document in &row_first {
        put_test_result(&clinic, document).await;
    }
    // Each is told three times: by the bucket, and twice by hand, before and after and in between.
    let mut told: Vec<_> = all.iter().chain(&all).map(|document| backends.key(&key_of(document))).collect();
    told.shuffle(&mut chance);
    let tell = told.iter().map(|key| told_of(backends.bucket().name(), key));
    let tell = async { join_all(tell.map(async |text| backends.queue().send(&text).await)).await };
    let puts = join_all(all.iter().map(|document| put(&backends, document)));
    let uploads = join_all(both.iter().zip(programs.iter().cycle()).map(async |(document, program)| {
        let clinic = clinic.at(program.url());
        eventually("it is acknowledged", || async {
            let answer = clinic.upload(document.to_string()).await;
            assert!([200, 202, 503].contains(&answer.status), "{answer:?}");
            (answer.status != 503).then_some(())
        })
        .await;
    }));
    tokio::join!(tell, puts, uploads);
    for document in &event_first {
        let id = document["testID"].as_str().unwrap();
        clinic.await_status(id, "awaiting_model").await;
        put_test_result(&clinic, document).await;
    }
    for document in &all {
        clinic.await_status(document["testID"].as_str().unwrap(), "awaiting_model").await;
    }
    all_is_heard(&backends, 0).await;
    nothing_left_to_do(&programs[0]).await;
    assert_eq!(programs[0].count("SELECT count(*) FROM recordings").await, 15);
    assert_eq!(programs[0].count("SELECT count(*) FROM test_events").await, 15);
    let doctors = "SELECT count(*) FROM test_events WHERE doctor_score = 77";
    assert_eq!(programs[0].count(doctors).await, 10, "what the clinic entered stays");
    assert_eq!(programs[0].keys().await.len(), 3 * 15, "raw, CSV and Parquet each");
    for document in &all {
        assert_eq!(programs[0].object(&key_of(document)).await, document.to_string().as_bytes());
    }
    // A message of an object that was not there yet tells of nothing, and the bucket's own comes later.
    let mut heard = 0.0;
    for program in &programs {
        for outcome in ["accepted", "known", "gone"] {
            heard += program.metric(&format!("stance_bucket_events_total{{outcome=\"{outcome}\"}}")).await;
        }
        assert_eq!(program.metric("stance_bucket_events_total{outcome=\"failed\"}").await, 0.0);
    }
    assert!(heard >= 45.0, "{heard} of 45 messages were read");
}

async fn put_test_result(clinic: &Client, document: &Value) {
    let put = "mutation($id: String!) { putTestResult(test_event_id: $id, patient_id: \"p-1\",
        test_type: \"sit-to-stand\", doctor_score: 77, start_time: \"2026-01-31 13:02:03-07\",
        end_time: \"2026-01-31 13:03:03-07\", notes: \"walks well\") { test_event_id } }";
    clinic.data(put, json!({ "id": document["testID"] })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_rules_is_marked_failed_and_what_is_foreign_is_left_alone() {
    let backends = Backends::production_with_queue(2).await;
    let program = Program::start_on(&backends, &[]);
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    let queue = backends.queue();

    let mut broken = document("p-1", fresh_id());
    broken["ay"].as_array_mut().unwrap().pop();
    let no_json = document("p-1", fresh_id());
    let (of_another, moved) = (document("p-2", fresh_id()), document("p-1", fresh_id()));
    put(&backends, &broken).await;
    let key_under = |patient: &str, document: &Value| {
        let mut named = document.clone();
        named["user_id"] = json!(patient);
        backends.key(&key_of(&named))
    };
    backends.bucket().put(&key_under("p-1", &no_json), "{\"user_id\": \"p-1\"").await;
    backends.bucket().put(&key_under("p-1", &of_another), of_another.to_string()).await;
    // A recording without a score where training recordings are kept.
    let mut training = moved.clone();
    training["training"] = json!(true);
    backends.bucket().put(&backends.key(&key_of(&training)), moved.to_string()).await;

    let code = async |document: &Value| {
        let answer = clinic.await_status(document["testID"].as_str().unwrap(), "failed").await;
        (answer.body["patient_id"].clone(), answer.body["failure"]["code"].as_str().unwrap().to_owned())
    };
    let by_http = async |document: String| clinic.upload(document).await.code().to_owned();
    let expected = [
        (&broken, by_http(broken.to_string()).await),
        (&no_json, by_http("{\"user_id\": \"p-1\"".to_owned()).await),
        (&of_another, "key_differs".to_owned()),
        (&moved, "key_differs".to_owned()),
    ];
    for (document, expected) in expected {
        assert!(!expected.is_empty());
        assert_eq!(code(document).await, (json!("p-1"), expected));
    }
    assert_eq!(program.keys().await.len(), 4, "they are kept, and nothing was made of them");

    // Foreign: five, and the bucket's own test beside ours.
    let good = document("p-1", Uuid::nil());
    backends.bucket().put(&backends.key("recording_data/notes.txt"), "x").await;
    backends.bucket().put(&backends.key("csv_data/a b.csv"), "x").await;
    backends.bucket().put("elsewhere", "x").await;
    queue.send(&told_of("another-bucket", &backends.key(&key_of(&good)))).await;
    queue.send(&told_of(backends.bucket().name(), &key_of(&good))).await;
    queue.send(&told_of(backends.bucket().name(), &backends.key(&key_of(&good)))).await;
    queue
        .send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-31T12:00:00.000Z","Bucket":"b"}"#)
        .await;
    queue.send("no notification at all").await;
    all_is_heard(&backends, 1).await;
    let heard =
        async |outcome: &str| program.metric(&format!("stance_bucket_events_total{{outcome=\"{outcome}\"}}")).await;
    assert_eq!(heard("failed").await, 4.0);
    assert_eq!(heard("foreign").await, 5.0);
    assert_eq!(heard("gone").await, 1.0, "of what is not there");
    assert!(heard("test").await >= 1.0);
    assert_eq!(heard("unreadable").await, 2.0, "twice, and then it was given up");
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 4);
    assert_eq!(program.count("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_said_and_nobody_heard_it_says_again() {
    let (backends, programs) = two_programs().await;
    programs[0].clinic_with(&["p-1"]).await;
    let road = &backends.roads().queue;
    let put_some = async || {
        let documents: Vec<_> = (0..8).map(|_| document("p-1", fresh_id())).collect();
        join_all(documents.iter().map(|document| put(&backends, document))).await;
    };
    // Messages are handed out, and deletions done, and neither is known.
    road.set(Mode::lose_answers_to(&["POST"]));
    put_some().await;
    eventually("answers are lost", || async { (road.faults() > 6).then_some(()) }).await;
    road.set(Mode::Refuse);
    put_some().await;
    let failed = "stance_bucket_events_total{outcome=\"queue_failed\"}";
    eventually("the queue is missed", || async {
        (programs[0].metric(failed).await + programs[1].metric(failed).await > 0.0).then_some(())
    })
    .await;
    road.set(Mode::Pass);
    all_is_heard(&backends, 0).await;
    nothing_left_to_do(&programs[0]).await;
    let done = "SELECT count(*) FROM recordings WHERE status = 'awaiting_model'";
    assert_eq!(programs[0].count(done).await, 16);
    assert_eq!(programs[0].keys().await.len(), 3 * 16);
}
