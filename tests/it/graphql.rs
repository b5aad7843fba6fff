//! GraphQL, written as the clients that exist write it.

use crate::harness::{CLINIC, Client, Program, fresh_id, recording};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_care_provider_makes_finds_and_reads_a_patient() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let made = clinic
        .data(
            "mutation { createPatient(patient_id: \"p-1\", email: \"p@example.org\", first_name: \"Ann\", last_name: \"Lee\")
               { patient_id email first_name last_name privacy_consent_date } }",
            Value::Null,
        )
        .await;
    let ann = json!({ "patient_id": "p-1", "email": "p@example.org", "first_name": "Ann", "last_name": "Lee",
                      "privacy_consent_date": null });
    assert_eq!(made["createPatient"], ann);
    let linked = clinic
        .data(
            "mutation { addPatientToCareProvider(care_provider_id: \"clinic-1\", patient_id: \"p-1\")
               { patient_id care_provider_id } }",
            Value::Null,
        )
        .await;
    assert_eq!(linked["addPatientToCareProvider"], json!({ "patient_id": "p-1", "care_provider_id": CLINIC.1 }));
    // A variable that the document does not declare.
    let query = "query Q { getPatientsForCareprovider(care_provider_id: \"clinic-1\") { patient_id first_name } }";
    let found = clinic.data(query, json!({ "patient_id": "p-1" })).await;
    assert_eq!(found["getPatientsForCareprovider"], json!([{ "patient_id": "p-1", "first_name": "Ann" }]));
    let consent =
        "mutation { recordConsentDate(patient_id: \"p-1\", date: \"2023-03-09 01:02:03\") { privacy_consent_date } }";
    let consent = clinic.data(consent, Value::Null).await;
    assert!(consent["recordConsentDate"]["privacy_consent_date"].as_str().unwrap().starts_with("2023-03-09"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_come_bare() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let response = reqwest::Client::new()
        .post(format!("{}/graphql", program.url()))
        .header("authorization", &clinic.token)
        .json(&json!({ "query": "{ getAllAvailableTests { test_type instructions duration_in_seconds } }" }))
        .send()
        .await
        .unwrap();
    let answer: Value = response.json().await.unwrap();
    let test = json!({ "test_type": "sit-to-stand", "instructions": null, "duration_in_seconds": 60 });
    assert_eq!(answer["data"]["getAllAvailableTests"], json!([test]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_come_before_its_recording_or_after() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let put = "mutation($id: String!, $doctor: Int) { putTestResult(test_event_id: $id, patient_id: \"p-1\",
        test_type: \"sit-to-stand\", doctor_score: $doctor, start_time: \"2026-01-31 13:02:03-07\",
        end_time: \"2026-01-31 13:03:03-07\", notes: \"walks well\") { test_event_id patient_id test_type doctor_score notes } }";
    let before = fresh_id();
    clinic.data(put, json!({ "id": before, "doctor": 70 })).await;
    assert_eq!(clinic.upload(recording("p-1", before, 0.5, Some(70.0), 100).to_string()).await.status, 202);
    let after = fresh_id();
    assert_eq!(clinic.upload(recording("p-1", after, 0.5, None, 100).to_string()).await.status, 202);
    clinic.data(put, json!({ "id": after, "doctor": null })).await;

    let read = "query($id: String!) { getTestEventById(test_event_id: $id, patient_id: \"p-1\")
        { test_event_id patient_id test_type balance_score doctor_score notes start_time end_time } }";
    for (id, doctor) in [(before, json!(70)), (after, Value::Null)] {
        let event = clinic.data(read, json!({ "id": id })).await["getTestEventById"].clone();
        assert_eq!((&event["doctor_score"], &event["notes"]), (&doctor, &json!("walks well")));
        assert!(event["start_time"].is_string() && event["end_time"].is_string());
    }
    let list = "{ getTestEvents(patient_id: \"p-1\", test_type: \"sit-to-stand\", sort: desc, count: 1,
        from_time: \"2020-01-01 00:00:00\") { test_event_id } }";
    assert_eq!(clinic.data(list, Value::Null).await["getTestEvents"].as_array().unwrap().len(), 1);
    let none = "{ getTestEvents(patient_id: \"p-1\", to_time: \"2020-01-01 00:00:00+00\") { test_event_id } }";
    assert_eq!(clinic.data(none, Value::Null).await["getTestEvents"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_a_code_and_nothing_of_the_inside() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let answer = clinic.graphql("{ getPatientById(patient_id: \"nobody\") { patient_id } }", Value::Null).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "not_found", "{answer}");
    let answer = clinic.graphql("{ getAllAvailableTests { nonsense } }", Value::Null).await;
    assert!(answer["errors"][0]["message"].is_string(), "{answer}");
    let text = answer.to_string();
    assert!(!text.to_lowercase().contains("select ") && !text.contains("/src/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_page_is_there_and_can_be_switched_off() {
    let program = Program::start();
    assert_eq!(Client::anonymous(program.url()).get("/graphiql").await.status, 200);
    let program = Program::start_with(&[("http.query_page", "false")]);
    assert_eq!(Client::anonymous(program.url()).get("/graphiql").await.status, 404);
}
