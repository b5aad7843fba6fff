//! The contract of the clients that exist: a document for every operation, written as they write it (inline literals, a
//! `patient_id` variable that no document declares, their forms of times, a bare token), as each role, compared with what is
//! kept in `tests/it/contract/`.
//!
//! Where an answer changes on purpose: `RENEW=1 cargo nextest run contract`, and look at the difference.

use crate::harness::{Client, Program};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

/// The patient that everything is about, named as Amazon Cognito names people.
const OWN: &str = "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa";
/// A test event with a recording.
const RECORDED: &str = "7a96f43b-53d5-45e6-9bd4-5318036dae55";
/// One without.
const NOTED: &str = "2b7c9d1e-6a55-4f0e-8a53-0d4f3b1c2a90";

/// What a client sends, in this order, each in a document of its own.
const REQUESTS: [(&str, &str); 26] = [
    (
        "getAllPatients",
        "query MyQuery { getAllPatients { email first_name last_name patient_id privacy_consent_date } }",
    ),
    (
        "getCareproviderById",
        r#"query MyQuery { getCareproviderById(care_provider_id: "clinic-1") { care_provider_id email } }"#,
    ),
    (
        "getPatientsForCareprovider",
        r#"query MyQuery { getPatientsForCareprovider(care_provider_id: "clinic-1") { patient_id first_name last_name email privacy_consent_date } }"#,
    ),
    (
        "getPatientById",
        r#"query MyQuery { getPatientById(patient_id: "OWN") { email first_name last_name patient_id privacy_consent_date } }"#,
    ),
    (
        "createPatient",
        r#"mutation MyMutation { createPatient(patient_id: "us-west-2:new", email: "new@example.org", first_name: "New", last_name: "Person") { patient_id email first_name last_name privacy_consent_date } }"#,
    ),
    (
        "createCareProvider",
        r#"mutation MyMutation { createCareProvider(care_provider_id: "clinic-3", email: "three@example.org") { care_provider_id email } }"#,
    ),
    (
        "addPatientToCareProvider",
        r#"mutation MyMutation { addPatientToCareProvider(care_provider_id: "clinic-1", patient_id: "OWN") { care_provider_id patient_id } }"#,
    ),
    (
        "recordConsentDate",
        r#"mutation MyMutation { recordConsentDate(date: "2023-03-09 13:02:03-07", patient_id: "OWN") { patient_id privacy_consent_date } }"#,
    ),
    ("getAllAvailableTests", "query MyQuery { getAllAvailableTests { duration_in_seconds instructions test_type } }"),
    (
        "addTestType",
        r#"mutation MyMutation { addTestType(test_type: "timed-up-and-go", instructions: "Stand up, walk, turn, sit down.", duration_in_seconds: 30) { test_type instructions duration_in_seconds } }"#,
    ),
    (
        "assignTestToPatient",
        r#"mutation MyMutation { assignTestToPatient(patient_id: "OWN", test_type: "sit-to-stand") { patient_id test_type } }"#,
    ),
    (
        "getPatientAssignedTests",
        r#"query MyQuery { getPatientAssignedTests(patient_id: "OWN") { test_type instructions duration_in_seconds } }"#,
    ),
    (
        "removeTestFromPatient",
        r#"mutation MyMutation { removeTestFromPatient(patient_id: "OWN", test_type: "sit-to-stand") }"#,
    ),
    (
        "putTestResult",
        r#"mutation MyMutation { putTestResult(test_event_id: "NOTED", patient_id: "OWN", test_type: "sit-to-stand", doctor_score: 80, start_time: "2023-03-09 13:02:03+00", end_time: "2023-03-09 13:03:03+00", notes: "walks well") { test_event_id patient_id test_type balance_score doctor_score notes start_time end_time } }"#,
    ),
    (
        "putBalanceScore",
        r#"mutation MyMutation { putBalanceScore(test_event_id: "NOTED", balance_score: 71) { test_event_id balance_score } }"#,
    ),
    (
        "getTestEventById",
        r#"query MyQuery { getTestEventById(patient_id: "OWN", test_event_id: "NOTED") { test_event_id patient_id test_type balance_score doctor_score notes start_time end_time } }"#,
    ),
    (
        "getTestEvents",
        r#"query MyQuery { getTestEvents(patient_id: "OWN", test_type: "sit-to-stand", from_time: "2023-03-09 01:02:03", to_time: "2023-04-26T00:00:00Z", sort: desc, count: 10) { test_event_id test_type balance_score doctor_score notes start_time end_time } }"#,
    ),
    (
        "getScoreStatsOverTime",
        r#"query MyQuery { getScoreStatsOverTime(patient_id: "OWN", from_time: "2023-03-01 00:00:00", to_time: "2023-05-01 00:00:00", stat: avg) }"#,
    ),
    (
        "getScoreStatsOverTime, range of a movement",
        r#"query MyQuery { getScoreStatsOverTime(patient_id: "OWN", from_time: "2023-03-01 00:00:00-07", to_time: "2023-05-01 00:00:00-07", stat: range, movement: "sit-to-stand") }"#,
    ),
    (
        "getScoreStatsOverTime, none",
        r#"query MyQuery { getScoreStatsOverTime(patient_id: "OWN", from_time: "2020-03-01 00:00:00", to_time: "2020-05-01 00:00:00", stat: avg) }"#,
    ),
    (
        "getMeasurementRange",
        r#"query MyQuery { getMeasurementRange(measurement: ay, patient_id: "OWN") { day max min month movement year } }"#,
    ),
    (
        "getMeasurementData",
        r#"query MyQuery { getMeasurementData(day: 25, measurement: ay, month: 4, patient_id: "OWN", test_event_id: "RECORDED", test_type: "sit-to-stand", year: 2023) { ts val } }"#,
    ),
    (
        "downloadTestEventDetails",
        r#"query MyQuery { downloadTestEventDetails(day: 25, month: 4, patient_id: "OWN", patient_name: "Ann Lee", test_event_id: "RECORDED", test_type: "sit-to-stand", year: 2023) { pdf_url raw_url } }"#,
    ),
    (
        "deleteTestEventFromS3",
        r#"mutation MyMutation { deleteTestEventFromS3(test_event_id: "RECORDED", patient_id: "OWN", year: 2023, month: 4, day: 25, test_type: "sit-to-stand") }"#,
    ),
    (
        "deleteTestEventFromDB",
        r#"mutation MyMutation { deleteTestEventFromDB(test_event_id: "RECORDED", patient_id: "OWN") }"#,
    ),
    (
        "getTestEvents, afterwards",
        r#"query MyQuery { getTestEvents(patient_id: "OWN") { test_event_id balance_score } }"#,
    ),
];

#[derive(Debug, Clone, Copy)]
enum Role {
    OwnPatient,
    OtherPatient,
    LinkedClinic,
    OtherClinic,
    Admin,
    Nobody,
}

impl Role {
    fn file(self) -> &'static str {
        match self {
            Self::OwnPatient => "own_patient",
            Self::OtherPatient => "other_patient",
            Self::LinkedClinic => "linked_clinic",
            Self::OtherClinic => "other_clinic",
            Self::Admin => "admin",
            Self::Nobody => "nobody",
        }
    }

    async fn signed_in(self, program: &Program, clinic: &Client) -> Client {
        let account = match self {
            Self::LinkedClinic => return clinic.clone(),
            Self::Nobody => return Client::anonymous(program.url()),
            Self::OwnPatient => ("patient", vec!["--patient-id", OWN]),
            Self::OtherPatient => ("patient", vec!["--patient-id", "us-west-2:other"]),
            Self::OtherClinic => ("care-provider", vec!["--care-provider-id", "clinic-2"]),
            Self::Admin => ("admin", Vec::new()),
        };
        program.create_account("somebody@example.org", account.0, &account.1);
        Client::sign_in(program.url(), "somebody@example.org").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_patient_is_answered_by_the_contract() {
    is_answered_as_kept(Role::OwnPatient).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_patient_is_answered_by_the_contract() {
    is_answered_as_kept(Role::OtherPatient).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn their_care_provider_is_answered_by_the_contract() {
    is_answered_as_kept(Role::LinkedClinic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_care_provider_is_answered_by_the_contract() {
    is_answered_as_kept(Role::OtherClinic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_answered_by_the_contract() {
    is_answered_as_kept(Role::Admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_by_the_contract() {
    is_answered_as_kept(Role::Nobody).await;
}

async fn is_answered_as_kept(role: Role) {
    let program = Program::start();
    let clinic = program.clinic().await;
    let made = format!(
        r#"mutation {{ createPatient(patient_id: "{OWN}", email: "ann@example.org", first_name: "Ann", last_name: "Lee") {{ patient_id }} }}"#
    );
    clinic.data(&made, Value::Null).await;
    clinic.adopt("clinic-1", "us-west-2:own-too").await;
    let link = format!(
        r#"mutation {{ addPatientToCareProvider(care_provider_id: "clinic-1", patient_id: "{OWN}") {{ patient_id }} }}"#
    );
    clinic.data(&link, Value::Null).await;
    let uploaded = clinic.upload_and_wait(recording().to_string()).await;
    assert_eq!(uploaded.recording_status(), "awaiting_model", "{uploaded:?}");
    let score = format!(
        r#"mutation {{ putBalanceScore(test_event_id: "{RECORDED}", balance_score: 60) {{ test_event_id }} }}"#
    );
    clinic.data(&score, Value::Null).await;

    let caller = role.signed_in(&program, &clinic).await;
    let mut answers = String::new();
    for (name, document) in REQUESTS {
        let document = document.replace("OWN", OWN).replace("RECORDED", RECORDED).replace("NOTED", NOTED);
        let (status, answer) = ask(&caller, &document).await;
        let answer = without_tokens(&serde_json::to_string_pretty(&answer).unwrap(), program.url());
        writeln!(answers, "# {name}: {status}\n{answer}").unwrap();
    }
    compare(role.file(), &answers);
}

/// The answer without what is another each time: where the program listens, and what a link's token holds besides its kind.
fn without_tokens(answer: &str, url: &str) -> String {
    let mut parts = answer.split("/v1/objects/");
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        let (token, after) = part.split_once('"').unwrap();
        write!(shown, "/v1/objects/{}.TOKEN\"{after}", token.split('.').next().unwrap()).unwrap();
    }
    shown.replace(url, "http://SERVER")
}

/// As the clients do: a bare token, and variables that the document does not declare.
async fn ask(caller: &Client, document: &str) -> (u16, Value) {
    let body = json!({ "query": document, "variables": { "patient_id": OWN }, "operationName": null });
    let request =
        caller.http.post(format!("{}/graphql", caller.url)).header("authorization", &caller.token).json(&body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Compares with what is kept, or keeps it where that is asked for.
fn compare(file: &str, answers: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/contract").join(format!("{file}.txt"));
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(&path, answers).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(answers.lines()).position(|(kept, now)| kept != now);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(answers.lines().count()));
    assert!(kept == answers, "{} differs from line {}:\n{answers}", path.display(), line + 1);
}

/// Sixteen samples whose values are the same on every machine.
fn recording() -> Value {
    let ts: Vec<_> = (0..16).map(|i| format!("2023-04-25 12:04:52.{:06} -07:00", 228_840 + i * 10_000)).collect();
    let axis =
        |n: u32| -> Vec<f64> { (0..16_u32).map(|i| f64::from((i * i * (n + 3)) % 17) * 0.25 - f64::from(n)).collect() };
    json!({
        "user_id": OWN, "movement": "sit-to-stand", "testID": RECORDED, "training": false, "start_date": "2023-4-25",
        "ts": ts, "ax": axis(0), "ay": axis(1), "az": axis(2), "gx": axis(3), "gy": axis(4), "gz": axis(5),
        "mx": axis(6), "my": axis(7), "mz": axis(8),
    })
}
