//! What two processes that share a database and a bucket know of one another.

use crate::harness::{Backends, CLINIC, Client, PASSWORD, Program, document, eventually, fresh_id, recording};
use serde_json::json;
use std::time::{Duration, Instant};

const PATIENT: &str = "patient-1";

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_one_process_is_told_at_once_what_another_did() {
    let backends = Backends::production().await;
    // Nobody finds work or its end by looking: the first look is long over, the next one too far away.
    let slow = [("queue.tick_ms", "15000"), ("queue.lease_seconds", "60")];
    let patient = [("supervision.stuck_after_ms", "600000"), ("queue.converts_at_once", "1")];
    let mut front = Program::stopped_on(&backends, &[slow, patient].concat());
    // Its converter has its hands full for the rest of the test.
    front.resume_with_failpoints("converter=1*sleep(600000)");
    let clinic = front.clinic_with(&[PATIENT]).await;
    assert_eq!(clinic.upload(document(PATIENT, fresh_id()).to_string()).await.status, 202);
    let in_hand = "stance_stage_in_flight{stage=\"convert\"";
    eventually("it has", || async { (front.metric(in_hand).await > 0.0).then_some(()) }).await;

    let back = Program::start_on(&backends, &slow);
    for n in 0..10_u32 {
        let quality = f64::from(n) / 10.0;
        let body = recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 200).to_string();
        assert_eq!(clinic.upload_and_wait(body).await.recording_status(), "training");
    }
    eventually("a model", || async { (front.count("SELECT count(*) FROM models").await == 1).then_some(()) }).await;
    let begun = Instant::now();
    let answer = clinic.upload_and_wait(recording(PATIENT, fresh_id(), 0.5, None, 200).to_string()).await;
    let took = begun.elapsed();
    assert_eq!(answer.recording_status(), "scored", "{answer:?}");
    assert!(answer.body["score"]["value"].is_number(), "{answer:?}");
    assert!(took < Duration::from_secs(5), "a third of the time between two looks is over: {took:?}");
    let done = "stance_stage_duration_seconds_count{stage=\"score\",outcome=\"done\"}";
    let counts = (front.metric(done).await, back.metric(done).await);
    println!("the score came after {took:?}; scored here and there: {counts:?}");
    let converted = "stance_stage_duration_seconds_count{stage=\"convert\",outcome=\"done\"}";
    assert_eq!((front.metric(converted).await, back.metric(converted).await), (0.0, 11.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_holds_in_every_process_and_ends_in_every_process() {
    let backends = Backends::production().await;
    let (here, there) = (Program::start_on(&backends, &[]), Program::start_on(&backends, &[]));
    let clinic = here.clinic().await;
    let keys = |url: &str| {
        let nobody = Client::anonymous(url);
        async move { nobody.get("/.well-known/jwks.json").await.body }
    };
    assert_eq!(keys(here.url()).await, keys(there.url()).await, "one signing key");
    let query = json!({ "query": "{ getAllAvailableTests { test_type } }" });
    let elsewhere = clinic.at(there.url());
    assert_eq!(elsewhere.post_json("/graphql", &query).await.status, 200, "signed here, read there");
    assert_eq!(clinic.delete("/v1/sessions/current").await.status, 204);
    assert_eq!(elsewhere.post_json("/graphql", &query).await.status, 401, "ended here, refused there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_used_once_among_all_processes() {
    let backends = Backends::production().await;
    let programs = [Program::start_on(&backends, &[]), Program::start_on(&backends, &[])];
    programs[0].create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
    let clients = programs.each_ref().map(|program| Client::anonymous(program.url()));
    let credentials = json!({ "email": CLINIC.0, "password": PASSWORD });
    let first = clients[0].post_json("/v1/sessions", &credentials).await;
    let token = json!({ "refresh_token": first.body["refresh_token"] });
    let second = clients[1].post_json("/v1/sessions/refresh", &token).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(clients[0].post_json("/v1/sessions/refresh", &token).await.status, 401, "used there already");
    let token = json!({ "refresh_token": second.body["refresh_token"] });
    assert_eq!(clients[1].post_json("/v1/sessions/refresh", &token).await.status, 401, "the session ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_a_password_are_counted_over_all_processes() {
    let backends = Backends::production().await;
    let limit = [("auth.max_failures", "4")];
    let programs = [Program::start_on(&backends, &limit), Program::start_on(&backends, &limit)];
    programs[0].create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
    let clients = programs.each_ref().map(|program| Client::anonymous(program.url()));
    let attempt = |password: &str| json!({ "email": CLINIC.0, "password": password });
    for client in clients.iter().cycle().take(4) {
        assert_eq!(client.post_json("/v1/sessions", &attempt("not the password")).await.status, 401);
    }
    for client in &clients {
        assert_eq!(client.post_json("/v1/sessions", &attempt(PASSWORD)).await.status, 429);
    }
}
