//! What is in a bucket already, taken in by `stance import`.

use crate::harness::{Backends, Program, eventually, recording, within};
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const SEED: u64 = 20_261_126;
const OBJECTS: usize = 2_500;
/// Longest wait for as many, on a machine that is busy.
const LONG: Duration = Duration::from_secs(300);
const PATIENTS: [&str; 10] = ["p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6", "p-7", "p-8", "p-9"];
/// What is the same whichever way recordings came: of each its state, and of each patient what they are counted and
/// trained from. Which recordings come first, and so which a model is made from, is chance.
const STATE: [&str; 4] = [
    "SELECT test_event_id, patient_id, movement, encode(digest, 'hex'), raw_key, raw_bytes, year, month, day, clinic_score,
        status, samples, sampling_rate_hz, failure_code FROM recordings ORDER BY 1",
    "SELECT test_event_id, patient_id, test_type, doctor_score, start_time, end_time, balance_score IS NULL FROM test_events ORDER BY 1",
    "SELECT patient_id, movement, recordings FROM training_counts ORDER BY 1",
    "SELECT patient_id, movement, training_recordings FROM models WHERE verdict <> 'provisional' ORDER BY 1, 3",
];

/// Of ten patients, each of whom has 25 training recordings.
fn documents() -> Vec<Value> {
    println!("seed {SEED}");
    let mut chance = StdRng::seed_from_u64(SEED);
    (0..OBJECTS)
        .map(|n| {
            let id = uuid::Builder::from_random_bytes(chance.random()).into_uuid();
            let quality = f64::from(chance.random_range(0..100_u8)) / 100.0;
            let score = (n / PATIENTS.len()).is_multiple_of(10).then_some(100.0 * quality);
            recording(PATIENTS[n % PATIENTS.len()], id, quality, score, 40)
        })
        .collect()
}

fn key_of(document: &Value) -> String {
    let place = if document["training"] == true { "training" } else { "year=2026/month=1/day=31" };
    let text = |name: &str| document[name].as_str().unwrap();
    format!(
        "recording_data/patientID={}/movement={}/{place}/test_event_id={}.json",
        text("user_id"),
        text("movement"),
        text("testID")
    )
}

async fn state(backends: &Backends, program: &Program) -> (Vec<String>, Vec<String>) {
    within(LONG, "nothing left to do", || async {
        (program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
    let rows = STATE.iter().map(|sql| backends.postgres().psql(sql)).collect();
    // Models are named by chance.
    let keys = program.keys().await.into_iter().filter(|key| !key.ends_with(".tar.gz")).collect();
    (rows, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_taken_in_to_the_state_of_the_same_recordings_sent_over_http() {
    let documents = documents();
    let (sent, found) = tokio::join!(sent_over_http(&documents), found_in_the_bucket(&documents));
    for (sent, found) in sent.0.iter().zip(&found.0) {
        let differs = sent.lines().zip(found.lines()).find(|(sent, found)| sent != found);
        assert!(sent == found, "{differs:?}");
    }
    assert!(sent.1 == found.1, "{} and {} objects", sent.1.len(), found.1.len());
    assert_eq!(sent.1.len(), 3 * OBJECTS);
}

async fn sent_over_http(documents: &[Value]) -> (Vec<String>, Vec<String>) {
    let backends = Backends::postgres_and_folder();
    let program = Program::start_on(&backends, &[]);
    let clinic = program.clinic_with(&PATIENTS).await;
    stream::iter(documents)
        .for_each_concurrent(16, async |document| {
            eventually("it is acknowledged", || async {
                let answer = clinic.upload(document.to_string()).await;
                assert!([200, 202, 503].contains(&answer.status), "{answer:?}");
                (answer.status != 503).then_some(())
            })
            .await;
        })
        .await;
    state(&backends, &program).await
}

async fn found_in_the_bucket(documents: &[Value]) -> (Vec<String>, Vec<String>) {
    let backends = Backends::production().await;
    let program = Program::start_on(&backends, &[]);
    let clinic = program.clinic_with(&PATIENTS).await;
    drop(clinic);
    stream::iter(documents)
        .for_each_concurrent(16, async |document| {
            backends.bucket().put(&backends.key(&key_of(document)), document.to_string()).await;
        })
        .await;
    // Stopped in the middle, and again from the beginning, beside the running program.
    let program = Arc::new(program);
    let mut first = program.command(&["import", &backends.bucket_url()]).spawn().unwrap();
    let some = "SELECT count(*) FROM recordings";
    eventually("some are in", || async { (program.count(some).await > 300).then_some(()) }).await;
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(program.count(some).await < OBJECTS as i64, "it was not stopped in the middle");
    let again = program.clone();
    let url = backends.bucket_url();
    let (well, text) = tokio::task::spawn_blocking(move || again.run(&["import", &url], "")).await.unwrap();
    assert!(well && text.contains("there already"), "{text}");
    state(&backends, &program).await
}
