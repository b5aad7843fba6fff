//! Live updates: subscriptions over `graphql-transport-ws`, by graphql-ws; and the protocol's rules, by hand.

mod protocol;
mod slow_readers;

use crate::harness::{Backends, CLINIC, Client, Program, Subscriber, eventually, fresh_id, recording};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATIENT: &str = "patient-1";
const FOR_CLINIC: &str = "subscription($c: String!) { recordingUpdatedForCareprovider(care_provider_id: $c) {
    test_event_id patient_id status } }";
/// Nothing comes for so long: it does not come.
const QUIET: Duration = Duration::from_millis(700);

/// A recording that waits for no clinician.
fn upload(patient: &str, id: uuid::Uuid) -> String {
    recording(patient, id, 0.5, None, 200).to_string()
}

/// Uploads what makes the patient's first model.
async fn train(clinic: &Client, program: &Program) {
    for n in 0..10_u32 {
        let quality = f64::from(n) / 10.0;
        let body = recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 200).to_string();
        assert_eq!(clinic.upload_and_wait(body).await.recording_status(), "training");
    }
    eventually("a model", || async { (program.count("SELECT count(*) FROM models").await == 1).then_some(()) }).await;
}

/// Waits until so many subscriptions are live.
async fn live(program: &Program, subscriptions: f64) {
    let name = "stance_live_subscriptions";
    eventually("they are live", || async { (program.metric(name).await == subscriptions).then_some(()) }).await;
}

/// Uploads a recording and gives its score as the subscriber is told it, and how long after the upload began.
async fn score(clinic: &Client, subscriber: &mut Subscriber) -> (Value, Duration) {
    let id = fresh_id();
    let begun = Instant::now();
    assert_eq!(clinic.upload(upload(PATIENT, id)).await.status, 202);
    let told = subscriber.until_status(&id.to_string(), "scored").await;
    (told, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_reaches_who_watches_within_a_second_of_the_upload() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    train(&clinic, &program).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch(PATIENT);
    live(&program, 1.0).await;
    let (told, took) = score(&clinic, &mut subscriber).await;
    println!("{took:?} after the upload: {told}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let known = clinic.status(told["test_event_id"].as_str().unwrap()).await.body;
    for key in ["patient_id", "movement", "balance_score", "score", "failure"] {
        assert_eq!(told[key], known[key], "{key}");
    }
    assert!(told["score"]["lower"].is_number() && told["balance_score"].is_number());
    assert_eq!(program.metric("stance_live_connections").await, 1.0);
    drop(subscriber);
    live(&program, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reaches_who_watches_at_another_process_too() {
    let backends = Backends::postgres_and_folder();
    // It is told, not found: it would look when the test is over.
    let (here, there) =
        (Program::start_on(&backends, &[]), Program::start_on(&backends, &[("live.look_ms", "600000")]));
    let clinic = here.clinic_with(&[PATIENT]).await;
    train(&clinic, &here).await;
    let mut subscriber = Subscriber::of(&clinic.at(there.url())).connected().await;
    subscriber.watch(PATIENT);
    live(&there, 1.0).await;
    for _ in 0..3 {
        let (_, took) = score(&clinic, &mut subscriber).await;
        println!("{took:?} after the upload");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_that_is_set_by_hand_is_told() {
    let program = Program::start_with(&[("live.look_ms", "600000")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let id = fresh_id();
    clinic.upload_and_wait(upload(PATIENT, id)).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch(PATIENT);
    live(&program, 1.0).await;
    let score = "mutation($id: String!) { putBalanceScore(test_event_id: $id, balance_score: 61) { balance_score } }";
    clinic.data(score, json!({ "id": id })).await;
    let told = subscriber.until_status(&id.to_string(), "awaiting_model").await;
    assert_eq!(told["balance_score"], 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_hint_was_lost_is_found() {
    let backends = Backends::postgres_and_folder();
    let mut there = Program::stopped_on(&backends, &[("live.look_ms", "300")]);
    // It hears nothing of what others tell.
    there.resume_with_failpoints("wire=sleep(600000)");
    let here = Program::start_on(&backends, &[]);
    let clinic = here.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic.at(there.url())).connected().await;
    subscriber.watch(PATIENT);
    live(&there, 1.0).await;
    let id = fresh_id();
    assert_eq!(clinic.upload(upload(PATIENT, id)).await.status, 202);
    subscriber.until_status(&id.to_string(), "awaiting_model").await;
    // So is a score that is set by hand.
    let score = "mutation($id: String!) { putBalanceScore(test_event_id: $id, balance_score: 61) { balance_score } }";
    clinic.data(score, json!({ "id": id })).await;
    let told = subscriber.until_status(&id.to_string(), "awaiting_model").await;
    assert_eq!(told["balance_score"], 61, "{told}");
}

/// What a care provider is told of a patient for the first time waits for the audit record.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_linked_when_the_record_is_written_at_last_hears_nothing() {
    let mut program = Program::stopped(&[]);
    program.resume_with_failpoints("auditor=sleep(1500)");
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.subscribe("all", FOR_CLINIC, &json!({ "c": CLINIC.1 }));
    live(&program, 1.0).await;
    // The beginning is on the record, too.
    let begun = "SELECT count(*) FROM audit_records WHERE operation = 'begin_watch'";
    eventually("it has begun", || async { (program.count(begun).await == 1).then_some(()) }).await;
    let uploaded = clinic.upload(upload(PATIENT, fresh_id()));
    let unlinked = async {
        let name = "stance_live_changes_total{outcome=\"fresh\"}";
        eventually("it is to be told", || async { (program.metric(name).await >= 1.0).then_some(()) }).await;
        program.change("DELETE FROM patient_care_providers").await;
    };
    let (uploaded, ()) = tokio::join!(uploaded, unlinked);
    assert_eq!(uploaded.status, 202);
    assert_eq!(subscriber.next_within(5 * QUIET).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcer_that_dies_is_rebuilt_and_tells_what_it_missed() {
    let mut program = Program::stopped(&[]);
    program.resume_with_failpoints("announcer=5*off->3*panic->off");
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch(PATIENT);
    live(&program, 1.0).await;
    for _ in 0..4 {
        let id = fresh_id();
        assert_eq!(clinic.upload(upload(PATIENT, id)).await.status, 202);
        subscriber.until_status(&id.to_string(), "awaiting_model").await;
    }
    assert!(program.metric("stance_actor_restarts_total{actor=\"announcer\"").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_care_provider_hears_of_all_their_patients_and_nobody_of_others() {
    let program = Program::start();
    let clinic = program.clinic_with(&["ann", "bob"]).await;
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    let other = Client::sign_in(program.url(), "other@example.org").await;
    other.adopt("clinic-2", "cid").await;
    program.create_account("ann@example.org", "patient", &["--patient-id", "ann"]);
    let ann = Client::sign_in(program.url(), "ann@example.org").await;

    let mut clinic_hears = Subscriber::of(&clinic).connected().await;
    clinic_hears.subscribe("all", FOR_CLINIC, &json!({ "c": CLINIC.1 }));
    let mut ann_hears = Subscriber::of(&ann).connected().await;
    ann_hears.watch("ann");
    live(&program, 2.0).await;
    // What one may not see is answered as what is not there.
    let mut answers = Vec::new();
    for patient in ["bob", "cid", "nobody"] {
        ann_hears.watch(patient);
        let answer = ann_hears.next().await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "not_found", "{answer}");
        answers.push(answer["errors"][0]["message"].clone());
        assert_eq!(ann_hears.next().await["event"], "complete");
    }
    for patient in ["cid", "nobody"] {
        clinic_hears.watch(patient);
        let answer = clinic_hears.next().await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "not_found", "{answer}");
        answers.push(answer["errors"][0]["message"].clone());
        assert_eq!(clinic_hears.next().await["event"], "complete");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for (hears, provider, code) in
        [(&mut ann_hears, CLINIC.1, "forbidden"), (&mut clinic_hears, "clinic-2", "not_found")]
    {
        hears.subscribe("others", FOR_CLINIC, &json!({ "c": provider }));
        let answer = hears.next().await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
        assert_eq!(hears.next().await["event"], "complete");
    }

    let ids = ["ann", "bob", "cid"].map(|_| fresh_id());
    for (client, patient, id) in [(&clinic, "ann", ids[0]), (&clinic, "bob", ids[1]), (&other, "cid", ids[2])] {
        assert_eq!(client.upload_and_wait(upload(patient, id)).await.recording_status(), "awaiting_model");
    }
    for id in &ids[..2] {
        clinic_hears.until_status(&id.to_string(), "awaiting_model").await;
    }
    ann_hears.until_status(&ids[0].to_string(), "awaiting_model").await;
    assert_eq!(clinic_hears.next_within(QUIET).await, None);
    assert_eq!(ann_hears.next_within(QUIET).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_longer_linked_hears_no_more() {
    let program = Program::start();
    let clinic = program.clinic_with(&["ann", "bob"]).await;
    program.create_account("ann@example.org", "patient", &["--patient-id", "ann"]);
    let ann = Client::sign_in(program.url(), "ann@example.org").await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch("ann");
    subscriber.subscribe("all", FOR_CLINIC, &json!({ "c": CLINIC.1 }));
    live(&program, 2.0).await;
    program.change("DELETE FROM patient_care_providers WHERE patient_id = 'ann'").await;
    assert_eq!(ann.upload_and_wait(upload("ann", fresh_id())).await.recording_status(), "awaiting_model");
    let ended = subscriber.next().await;
    assert_eq!((&ended["name"], &ended["errors"][0]["extensions"]["code"]), (&json!("ann"), &json!("not_found")));
    assert_eq!(subscriber.next().await["event"], "complete");
    // The other goes on, without her.
    let id = fresh_id();
    assert_eq!(clinic.upload(upload("bob", id)).await.status, 202);
    let first = subscriber.next().await["data"]["recordingUpdatedForCareprovider"].clone();
    assert_eq!((&first["patient_id"], &first["test_event_id"]), (&json!("bob"), &json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_connection_from_either_place_and_in_either_form() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let (bare, bearer) = (clinic.token.as_str(), format!("Bearer {}", clinic.token));
    for (payload, headers) in [
        (Some(bare), json!({})),
        (Some(bearer.as_str()), json!({})),
        (None, json!({ "Authorization": bare })),
        (None, json!({ "Authorization": bearer })),
        // What the first message says goes before what the request said.
        (Some(bare), json!({ "Authorization": "Bearer nonsense" })),
    ] {
        let mut subscriber = Subscriber::start(program.url(), payload, &headers, 0).connected().await;
        subscriber.watch(PATIENT);
        live(&program, 1.0).await;
        drop(subscriber);
        live(&program, 0.0).await;
    }
    for (payload, headers, code) in [
        (None, json!({}), 4401),
        (Some("nonsense"), json!({}), 4403),
        (None, json!({ "Authorization": "Bearer nonsense" }), 4403),
        (Some("nonsense"), json!({ "Authorization": bare }), 4403),
    ] {
        let mut subscriber = Subscriber::start(program.url(), payload, &headers, 0);
        let closed = subscriber.next().await;
        assert_eq!((&closed["event"], &closed["code"]), (&json!("closed"), &json!(code)), "{payload:?} {headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lasts_as_long_as_its_token_and_its_session() {
    let program = Program::start_with(&[("auth.access_token_seconds", "8"), ("live.recheck_seconds", "2")]);
    let begun = Instant::now();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch(PATIENT);
    let closed = subscriber.until("closed").await;
    assert_eq!((&closed["code"], &closed["reason"]), (&json!(4403), &json!("the token has expired")), "{closed}");
    assert!(begun.elapsed() > Duration::from_secs(6) && begun.elapsed() < Duration::from_secs(20));
    live(&program, 0.0).await;

    let program = Program::start_with(&[("live.recheck_seconds", "1")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    subscriber.watch(PATIENT);
    live(&program, 1.0).await;
    assert_eq!(clinic.delete("/v1/sessions/current").await.status, 204);
    let closed = subscriber.until("closed").await;
    assert_eq!((&closed["code"], &closed["reason"]), (&json!(4403), &json!("the session has ended")), "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_is_closed_for_a_restart_before_the_program_ends() {
    let backends = Backends::postgres_and_folder();
    let mut program = Program::start_on(&backends, &[]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscribers = Vec::new();
    for _ in 0..3 {
        subscribers.push(Subscriber::start(program.url(), Some(&clinic.token), &json!({}), 0).connected().await);
    }
    for subscriber in &mut subscribers {
        subscriber.watch(PATIENT);
    }
    live(&program, 3.0).await;
    let (well, took) = program.terminate();
    assert!(well && took < Duration::from_secs(5), "{took:?}");
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.until("closed").await["code"], 1012);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_single_subscription_is_refused_and_the_connection_stays() {
    let program = Program::start_with(&[("live.max_subscriptions", "2")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut subscriber = Subscriber::of(&clinic).connected().await;
    let field = "recordingUpdated(patient_id: \"patient-1\") { status }";
    for (query, code) in [
        ("{ getAllAvailableTests { test_type } }".to_owned(), "subscriptions_only"),
        ("mutation { addTestType(test_type: \"x\") { test_type } }".to_owned(), "subscriptions_only"),
        (format!("subscription {{ a: {field} b: {field} }}"), "one_subscription_field"),
        (format!("subscription {}", "{ a ".repeat(200)), "too_deep"),
        ("subscription { nothing }".to_owned(), "invalid_document"),
        ("subscription { recordingUpdated { status } }".to_owned(), "invalid_document"),
        ("nonsense".to_owned(), "invalid_document"),
    ] {
        subscriber.subscribe("x", &query, &json!({}));
        let answer = subscriber.next().await;
        assert_eq!(answer["event"], "error", "{query}: {answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}: {answer}");
    }
    subscriber.watch(PATIENT);
    subscriber.subscribe("again", &format!("subscription {{ {field} }}"), &json!({}));
    live(&program, 2.0).await;
    subscriber.subscribe("third", &format!("subscription {{ {field} }}"), &json!({}));
    assert_eq!(subscriber.next().await["name"], "third");
    subscriber.order(&json!({ "order": "dispose", "name": "again" }));
    subscriber.until("complete").await;
    live(&program, 1.0).await;
    subscriber.subscribe("third", &format!("subscription {{ {field} }}"), &json!({}));
    live(&program, 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_sign_of_life_is_closed() {
    let program = Program::start_with(&[("live.ping_seconds", "1")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut lives = Subscriber::of(&clinic).connected().await;
    let mut dead = Subscriber::of(&clinic).connected().await;
    for subscriber in [&mut lives, &mut dead] {
        subscriber.watch(PATIENT);
    }
    live(&program, 2.0).await;
    dead.order(&json!({ "order": "pause" }));
    live(&program, 1.0).await;
    let id = fresh_id();
    assert_eq!(clinic.upload(upload(PATIENT, id)).await.status, 202);
    lives.until_status(&id.to_string(), "awaiting_model").await;
}
