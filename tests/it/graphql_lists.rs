//! Lists, averages, models and recordings, as the dashboard asks for them.

use crate::harness::{Backends, CLINIC, Client, Program, fresh_id, recording};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A patient with a model of ten recordings and three scores, a week apart; a patient with nothing.
async fn clinic(backends: &Arc<Backends>) -> (Program, Client) {
    let program = Program::start_on(backends, &[]);
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    let scored = (0..10_u32).map(|n| {
        let quality = f64::from(n) / 10.0;
        clinic.upload_and_wait(recording("p-1", fresh_id(), quality, Some(100.0 * quality), 300).to_string())
    });
    assert!(join_all(scored).await.iter().all(|answer| answer.recording_status() == "training"));
    for (day, quality) in [("02-02", 0.3), ("02-09", 0.5), ("02-16", 0.7)] {
        let id = fresh_id();
        let next = recording("p-1", id, quality, None, 300).to_string();
        assert_eq!(clinic.upload(next).await.status, 202);
        clinic.await_status(&id.to_string(), "scored").await;
        let put = "mutation($id: String!, $t: String!) { putTestResult(test_event_id: $id, patient_id: \"p-1\",
            test_type: \"sit-to-stand\", start_time: $t, end_time: $t, notes: \"walks Well\") { test_event_id } }";
        clinic.data(put, json!({ "id": id, "t": format!("2026-{day} 12:00:00") })).await;
    }
    (program, clinic)
}

async fn a_dashboard_is_filled(backends: &Arc<Backends>) {
    let (program, clinic) = clinic(backends).await;
    let list = "{ listPatients(search: \"P-\") { total more_than_total has_next nodes {
        patient_id event_count trend latest_score { balance_score movement time test_event_id } } } }";
    let page = clinic.data(list, Value::Null).await["listPatients"].clone();
    assert_eq!(
        (&page["total"], &page["more_than_total"], &page["has_next"]),
        (&json!(2), &json!(false), &json!(false))
    );
    let (first, second) = (&page["nodes"][0], &page["nodes"][1]);
    assert_eq!((&first["patient_id"], &first["event_count"]), (&json!("p-1"), &json!(13)));
    assert!(first["trend"].as_f64().unwrap() > 0.0, "{first}");
    assert_eq!(first["latest_score"]["time"], "2026-02-16T12:00:00Z");
    assert_eq!(*second, json!({ "patient_id": "p-2", "event_count": 0, "trend": null, "latest_score": null }));

    let list = "query($a: String) { listTestEvents(patient_id: \"p-1\", status: \"scored\", search: \"WELL\", first: 2, after: $a) {
        total has_next end_cursor nodes { start_time balance_score patient { patient_id first_name }
            recording { status samples sampling_rate_hz failure { code } received_at updated_at
                score { value lower upper model_version backend }
                quality { samples duration_seconds effective_rate_hz gaps longest_gap_seconds jitter_seconds non_monotonic constant_axes }
                ranges { axis lowest highest } } } } }";
    let page = clinic.data(list, Value::Null).await["listTestEvents"].clone();
    assert_eq!((&page["total"], &page["has_next"]), (&json!(3), &json!(true)));
    let event = &page["nodes"][0];
    assert_eq!(event["start_time"], "2026-02-16T12:00:00Z");
    assert_eq!(event["patient"], json!({ "patient_id": "p-1", "first_name": "A" }));
    let scored = &event["recording"];
    assert_eq!(
        (&scored["status"], &scored["samples"], &scored["failure"]),
        (&json!("scored"), &json!(300), &Value::Null)
    );
    assert_eq!(scored["score"]["value"].as_f64().unwrap().round() as i64, event["balance_score"].as_i64().unwrap());
    assert_eq!(scored["score"]["backend"], "local");
    assert_eq!((&scored["quality"]["samples"], &scored["quality"]["gaps"]), (&json!(300), &json!(0)));
    let axes: Vec<_> =
        scored["ranges"].as_array().unwrap().iter().map(|range| range["axis"].as_str().unwrap()).collect();
    assert_eq!(axes, ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"]);
    assert!(scored["ranges"][0]["lowest"].as_f64() < scored["ranges"][0]["highest"].as_f64());
    let rest = clinic.data(list, json!({ "a": page["end_cursor"] })).await["listTestEvents"].clone();
    assert_eq!(rest["nodes"].as_array().unwrap().len(), 1);
    assert_eq!((&rest["nodes"][0]["start_time"], &rest["has_next"]), (&json!("2026-02-02T12:00:00Z"), &json!(false)));
    let wrong = clinic
        .graphql("query($a: String) { listPatients(after: $a) { total } }", json!({ "a": page["end_cursor"] }))
        .await;
    assert_eq!(wrong["errors"][0]["extensions"]["code"], "invalid_cursor");

    let models = "{ listModels(patient_id: \"p-1\", movement: \"sit-to-stand\") {
        model_version movement training_recordings feature_set leave_one_out_error card created_at serves } }";
    let models = clinic.data(models, Value::Null).await["listModels"].clone();
    assert_eq!((models.as_array().unwrap().len(), &models[0]["serves"]), (1, &json!(true)));
    assert_eq!(models[0]["model_version"], scored["score"]["model_version"]);
    let card: Value = serde_json::from_str(models[0]["card"].as_str().unwrap()).unwrap();
    assert_eq!(card["leave_one_out_error"], models[0]["leave_one_out_error"]);

    let averages = "{ weeks: getScoreAverages(patient_id: \"p-1\", period: week, from_time: \"2026-02-01 00:00:00\",
          to_time: \"2026-03-01 00:00:00\") { movement start mean scores change }
        months: getScoreAverages(patient_id: \"p-1\", period: month, from_time: \"2026-02-01 00:00:00\",
          to_time: \"2026-03-01 00:00:00\") { start mean scores change } }";
    let averages = clinic.data(averages, Value::Null).await;
    let weeks = averages["weeks"].as_array().unwrap();
    let starts: Vec<_> = weeks.iter().map(|week| week["start"].as_str().unwrap()).collect();
    assert_eq!(starts, ["2026-02-02", "2026-02-09", "2026-02-16"]);
    let (first, second) = (weeks[0]["mean"].as_f64().unwrap(), weeks[1]["mean"].as_f64().unwrap());
    assert_eq!((&weeks[0]["change"], weeks[1]["change"].as_f64()), (&Value::Null, Some(second - first)));
    assert_eq!((&averages["months"][0]["start"], &averages["months"][0]["scores"]), (&json!("2026-02-01"), &json!(3)));
    drop(program);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_is_filled_from_sqlite() {
    a_dashboard_is_filled(&Backends::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_is_filled_from_postgres() {
    a_dashboard_is_filled(&Backends::postgres_and_folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_each_caller_their_patients_alone() {
    let program = Program::start();
    let clinic = program.clinic_with(&["a-1", "a-2"]).await;
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    program.create_account("admin@example.org", "admin", &[]);
    program.create_account("a-1@example.org", "patient", &["--patient-id", "a-1"]);
    let other = Client::sign_in(program.url(), "other@example.org").await;
    let admin = Client::sign_in(program.url(), "admin@example.org").await;
    let patient = Client::sign_in(program.url(), "a-1@example.org").await;
    other.adopt("clinic-2", "b-1").await;
    let list = async |who: &Client, arguments: &str| -> Value {
        let document = format!("{{ listPatients{arguments} {{ nodes {{ patient_id event_count }} }} }}");
        let answer = who.graphql(&document, Value::Null).await;
        match answer["errors"][0]["extensions"]["code"].as_str() {
            Some(code) => json!(code),
            None => {
                let nodes = answer["data"]["listPatients"]["nodes"].as_array().unwrap().clone();
                nodes.into_iter().map(|node| node["patient_id"].clone()).collect()
            }
        }
    };
    assert_eq!(list(&clinic, "").await, json!(["a-1", "a-2"]));
    assert_eq!(list(&other, "").await, json!(["b-1"]));
    assert_eq!(list(&other, "(search: \"a-\")").await, json!([]));
    assert_eq!(list(&other, "(care_provider_id: \"clinic-1\")").await, "not_found");
    assert_eq!(list(&patient, "").await, "forbidden");
    assert_eq!(list(&patient, "(care_provider_id: \"clinic-1\")").await, "forbidden");
    assert_eq!(list(&admin, "").await, json!(["a-1", "a-2", "b-1"]));
    assert_eq!(list(&admin, "(care_provider_id: \"clinic-2\")").await, json!(["b-1"]));
    assert_eq!(list(&admin, "(search: \"b\")").await, json!(["b-1"]));

    // The fields of other objects are asked for at once, and each for one's own patients.
    let own = "{ getPatientById(patient_id: \"a-1\") { event_count trend latest_score { time } } }";
    assert_eq!(patient.data(own, Value::Null).await["getPatientById"]["event_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_long_list_is_walked_once() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let names: Vec<String> = (0..120).map(|n| format!("w-{n:03}")).collect();
    join_all(names.iter().map(|name| clinic.adopt(CLINIC.1, name))).await;
    let list =
        "query($a: String) { listPatients(first: 50, after: $a) { total has_next end_cursor nodes { patient_id } } }";
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = clinic.data(list, json!({ "a": after })).await["listPatients"].clone();
        assert_eq!(page["total"], 120);
        found.extend(
            page["nodes"].as_array().unwrap().iter().map(|node| node["patient_id"].as_str().unwrap().to_owned()),
        );
        after = page["end_cursor"].clone();
        if page["has_next"] == false {
            break;
        }
    }
    assert_eq!(found.len(), 120);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
}
