//! A patient's whole record as one archive.

use crate::harness::{Client, Program, eventually, fresh_id, recording};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use uuid::Uuid;

/// Reads an archive as Python does, checks every file, and prints its files as JSON: text, or the length of what is none.
const READ: &str = r#"
import json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
def shown(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return len(data)
print(json.dumps({name: shown(archive.read(name)) for name in archive.namelist()}))
"#;

/// Validates the resources of an archive's `fhir` folder.
const VALIDATE: &str = r#"
import sys, zipfile
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.device import Device
archive, count = zipfile.ZipFile(sys.argv[1]), 0
for kind in Observation, Patient, Device:
    for line in archive.read(f"fhir/{kind.__name__}.ndjson").decode().splitlines():
        kind.model_validate_json(line)
        count += 1
print(count)
"#;

async fn export(client: &Client, patient: &str, to: &Path) {
    let path = format!("/v1/patients/{patient}/export");
    let answer = client.request(reqwest::Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for (name, value) in [
        ("content-type", "application/zip"),
        ("content-disposition", "attachment; filename=\"record.zip\""),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    std::fs::write(to, answer.bytes().await.unwrap()).unwrap();
}

fn python(program: &Path, script: &str, archive: &Path) -> String {
    let output = Command::new(program).args(["-c", script]).arg(archive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &Value) -> Vec<Value> {
    text.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A patient with a model, a scored recording, and an event without one.
async fn with_a_record(program: &Program) -> (Client, Uuid) {
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    for n in 0..4 {
        let quality = f64::from(n) / 4.0;
        let body = recording("p-1", fresh_id(), quality, Some(20.0 + 60.0 * quality), 400);
        clinic.upload_and_wait(body.to_string()).await;
    }
    let id = fresh_id();
    clinic.upload(recording("p-1", id, 0.5, None, 400).to_string()).await;
    clinic.await_status(&id.to_string(), "scored").await;
    let put = "mutation($id: String!) { putTestResult(test_event_id: $id, patient_id: \"p-1\", test_type: \"walk, \\\"slow\\\"\",
        doctor_score: 55, start_time: \"2026-01-31 13:00:00\", end_time: \"2026-01-31 13:01:00\", notes: \"=1+1\\n\\\"x\\\"\")
        { test_event_id } }";
    clinic.data(put, json!({ "id": fresh_id() })).await;
    clinic.upload_and_wait(recording("p-2", fresh_id(), 0.5, None, 100).to_string()).await;
    (clinic, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_whole_in_one_archive_that_others_read() {
    let program = Program::start_with(&[("training.minimum", "4")]);
    let (clinic, id) = with_a_record(&program).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("record.zip");
    export(&clinic, "p-1", &archive).await;
    let files: Value = serde_json::from_str(&python(Path::new("python3"), READ, &archive)).unwrap();
    let manifest: Value = serde_json::from_str(files["manifest.json"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&manifest["events"], &manifest["more_events"], &manifest["missing"]),
        (&json!(6), &json!(false), &json!([]))
    );
    // All but the manifest itself; five recordings three times, six files of rows, one model.
    assert_eq!(files.as_object().unwrap().len(), manifest["files"].as_array().unwrap().len() + 1);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 5 * 3 + 7);

    let raw = program
        .keys()
        .await
        .into_iter()
        .find(|key| key.starts_with("recording_data/") && key.contains(&id.to_string()));
    let raw = String::from_utf8(program.object(&raw.unwrap()).await).unwrap();
    assert_eq!(files[format!("recordings/{id}.json")], raw);
    assert!(files[format!("recordings/{id}.csv")].as_str().unwrap().starts_with("ts,ax"));
    assert!(files[format!("recordings/{id}.parquet")].as_u64().unwrap() > 1_000);
    assert_eq!(lines(&files["patient.json"])[0]["first_name"], "A");
    let events = lines(&files["events.ndjson"]);
    let scored = events.iter().find(|event| event["test_event_id"] == id.to_string()).unwrap();
    assert_eq!(scored["recording"]["score"]["training_recordings"], 4);
    assert_eq!(scored["recording"]["status"], "scored");
    let trust = &scored["recording"]["score"];
    assert_eq!((&trust["provisional"], &trust["unlike_training"]), (&json!(false), &json!(false)));
    assert!(trust["novelty"].as_f64().is_some_and(|novelty| novelty > 0.0), "{trust}");
    let scores = files["scores.csv"].as_str().unwrap();
    assert!(scores.contains(",\"walk, \"\"slow\"\"\",2026-01-31T13:00:00.000000Z,"), "{scores}");
    assert_eq!(scores.lines().count(), 7);
    assert!(scores.lines().next().unwrap().ends_with(",provisional,unlike_training,novelty"), "{scores}");
    // Nothing of anybody else.
    assert!(!files.to_string().contains("p-2"));

    let resources = lines(&files["fhir/Observation.ndjson"]);
    // Four of clinicians, one computed, one of the event without a recording.
    assert_eq!(resources.len(), 6);
    let identifiers = resources.iter().map(|resource| resource["identifier"][0].to_string());
    assert_eq!(identifiers.collect::<std::collections::BTreeSet<_>>().len(), 6, "each has its own");
    let computed = resources.iter().find(|resource| resource["id"] == id.to_string()).unwrap();
    assert_eq!((&computed["status"], &computed["subject"]["reference"]), (&json!("final"), &json!("Patient/p-1")));
    assert_eq!(computed["valueQuantity"]["code"], "{score}");
    let value = computed["valueQuantity"]["value"].as_f64().unwrap();
    assert!((value - scored["recording"]["score"]["value"].as_f64().unwrap()).abs() < 0.001);
    assert_eq!(computed["component"][2]["code"]["coding"][0]["code"], "novelty");
    let device = &lines(&files["fhir/Device.ndjson"])[0];
    assert_eq!(computed["device"]["reference"], format!("Device/{}", device["id"].as_str().unwrap()));
    let environment = stance_testkit::python::environment("fhir", &["fhir.resources==8.3.0"]).unwrap();
    assert_eq!(python(&environment.join("bin/python"), VALIDATE, &archive).trim(), "8");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_or_changed_is_told_in_the_manifest() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let ids = [fresh_id(), fresh_id()];
    for id in ids {
        clinic.upload_and_wait(recording("p-1", id, 0.5, None, 100).to_string()).await;
    }
    for (key, path) in program.objects() {
        if key.contains(&ids[0].to_string()) && key.ends_with(".csv") {
            std::fs::remove_file(path).unwrap();
        } else if key.contains(&ids[1].to_string()) && key.ends_with(".json") {
            std::fs::write(path, "{}").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("record.zip");
    export(&clinic, "p-1", &archive).await;
    let files: Value = serde_json::from_str(&python(Path::new("python3"), READ, &archive)).unwrap();
    let manifest: Value = serde_json::from_str(files["manifest.json"].as_str().unwrap()).unwrap();
    let mut missing = manifest["missing"].as_array().unwrap().clone();
    missing.sort_by_key(|missing| missing["reason"].to_string());
    let told =
        |id: Uuid, ending: &str, reason: &str| json!({ "path": format!("recordings/{id}.{ending}"), "reason": reason });
    assert_eq!(missing, [told(ids[1], "json", "damaged"), told(ids[0], "csv", "gone")]);
    assert!(files.get(format!("recordings/{}.csv", ids[0])).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_its_place_and_none_has_two() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    program.create_account("own@example.org", "patient", &["--patient-id", "p-1"]);
    let patient = Client::sign_in(program.url(), "own@example.org").await;
    for _ in 0..6 {
        // Noise, so that much comes out of it: more than waits in the sockets between.
        let mut body = recording("p-1", fresh_id(), 0.5, None, 12_000);
        let mut state = 1_u64;
        for axis in ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"] {
            for value in body[axis].as_array_mut().unwrap() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *value = json!((state >> 11) as f64 / (1_u64 << 53) as f64);
            }
        }
        clinic.upload_and_wait(body.to_string()).await;
    }
    let begin = || clinic.request(reqwest::Method::GET, "/v1/patients/p-1/export").send();
    let mut first = begin().await.unwrap().bytes_stream();
    assert!(first.next().await.unwrap().is_ok());
    let refused = begin().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    let other = patient.request(reqwest::Method::GET, "/v1/patients/p-1/export").send().await.unwrap();
    assert_eq!(other.status(), 200, "another account has a place of its own");
    drop(first);
    eventually("the place is free", || async { (begin().await.unwrap().status() == 200).then_some(()) }).await;
}
