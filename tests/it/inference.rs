//! The inference server on `/v2`, asked by Triton's own client and by hand.

use crate::harness::{Client, Program, eventually, fresh_id, recording};
use serde_json::{Value, json};
use std::process::Command;

/// What is installed from PyPI: the client that most speak to such servers with.
const PACKAGE: &str = "tritonclient[http]==2.73.0";
const SCRIPT: &str = include_str!("inference/triton.py");
const PATIENT: &str = "patient-1";
const ADMIN: &str = "admin@example.org";

/// A program with one model.
pub(crate) struct Served {
    pub(crate) program: Program,
    pub(crate) clinic: Client,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Served {
    pub(crate) async fn new(settings: &[(&str, &str)]) -> Self {
        let program = Program::start_with(settings);
        let clinic = program.clinic_with(&[PATIENT]).await;
        for n in 0..10_u32 {
            let quality = f64::from(n) / 10.0;
            let document = recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 300);
            assert_eq!(clinic.upload(document.to_string()).await.status, 202);
        }
        let version =
            eventually("a model", || async { program.texts("SELECT model_version FROM models").await.pop() }).await;
        let name = program.texts("SELECT model_name FROM model_names").await.remove(0);
        assert!(!name.contains(PATIENT) && !version.contains(PATIENT));
        Self { program, clinic, name, version }
    }

    /// The answer to a recording.
    pub(crate) async fn infer(&self, documents: &[String]) -> Value {
        let body = asking(documents);
        let answer = self.clinic.post_json(&format!("/v2/models/{}/infer", self.name), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}

/// What a model is asked of recordings.
pub(crate) fn asking(documents: &[String]) -> Value {
    json!({ "inputs": [{ "name": "recording", "shape": [documents.len()], "datatype": "BYTES", "data": documents }] })
}

/// The numbers of an output.
pub(crate) fn output(answer: &Value, name: &str) -> Vec<f64> {
    let outputs = answer["outputs"].as_array().unwrap();
    let output = outputs.iter().find(|output| output["name"] == name).unwrap();
    output["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tritons_client_does_everything_with_its_defaults() {
    let python = stance_testkit::python::environment("tritonclient", &[PACKAGE]).unwrap().join("bin/python");
    let served = Served::new(&[]).await;
    served.program.create_account(ADMIN, "admin", &[]);
    let admin = Client::sign_in(served.program.url(), ADMIN).await;
    let document = recording(PATIENT, fresh_id(), 0.4, None, 300).to_string();
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).env("URL", served.program.url().trim_start_matches("http://"));
    command.env("TOKEN", &admin.token).env("MODEL", &served.name).env("VERSION", &served.version);
    command.env("RECORDING", &document);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("everything works"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_come_back_in_their_order_and_a_bad_one_is_named() {
    let served = Served::new(&[]).await;
    let documents: Vec<_> =
        [0.9, 0.1, 0.5].map(|quality| recording(PATIENT, fresh_id(), quality, None, 300).to_string()).to_vec();
    let together = output(&served.infer(&documents).await, "score");
    for (document, score) in documents.iter().zip(&together) {
        let alone = output(&served.infer(std::slice::from_ref(document)).await, "score");
        assert_eq!(alone[0].to_bits(), score.to_bits());
    }
    assert!(together[0] > together[2] && together[2] > together[1], "{together:?}");

    let path = format!("/v2/models/{}/infer", served.name);
    let of = |name: &str, datatype: &str, shape: Value, data: Value| json!({ "inputs": [{ "name": name, "shape": shape, "datatype": datatype, "data": data }] });
    let cut = "{\"user_id\":\"patient-1\"";
    for (body, status, code, said) in [
        (of("recording", "BYTES", json!([2]), json!([documents[0], cut])), 422, "input_refused", "row 1: "),
        (of("features", "FP64", json!([1, 3]), json!([1, 2, 3])), 422, "input_refused", "row 0: the model takes"),
        (of("features", "FP64", json!([2, 3]), json!([1, 2, 3])), 422, "invalid_tensor", "not as many"),
        (of("other", "FP64", json!([1]), json!([1])), 422, "invalid_tensor", "one input"),
        (json!({ "inputs": 7 }), 400, "malformed_request", "line 1"),
    ] {
        let answer = served.clinic.post_json(&path, &body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
        assert!(answer.body["error"].as_str().unwrap().contains(said), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_bound_are_told_to_come_back_and_none_gets_anothers_answer() {
    let served = Served::new(&[("inference.in_hand", "4")]).await;
    let width = served.clinic.get(&format!("/v2/models/{}", served.name)).await.body["inputs"][0]["shape"][1].clone();
    let width = width.as_u64().unwrap();
    let documents: Vec<_> =
        (0..24_u32).map(|n| recording(PATIENT, fresh_id(), f64::from(n) / 24.0, None, 2_000).to_string()).collect();
    let path = format!("/v2/models/{}/infer", served.name);
    let ask = async |document: &String| {
        let body = json!({ "id": document[..40], "inputs": [
            { "name": "recording", "shape": [1], "datatype": "BYTES", "data": [document] }] });
        served.clinic.post_json(&path, &body).await
    };
    // On a busy machine they may come one after the other, so that there is a place for each: then they are asked again.
    let (mut answers, mut refused) = (Vec::new(), 0);
    for _ in 0..20 {
        answers = futures_util::future::join_all(documents.iter().map(ask)).await;
        refused = answers.iter().filter(|answer| answer.status == 503).count();
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0 && refused < 24, "{refused} of 24");
    for (document, answer) in documents.iter().zip(&answers) {
        if answer.status == 503 {
            assert!(answer.headers.contains_key("retry-after") && answer.code() == "busy", "{answer:?}");
            continue;
        }
        assert_eq!(answer.body["id"], document[..40]);
        let alone = ask(document).await;
        assert_eq!(alone.body["outputs"], answer.body["outputs"]);
    }
    // A request that may take no time is over before it begins.
    let body = json!({ "parameters": { "timeout": 1 }, "inputs": [
        { "name": "recording", "shape": [1], "datatype": "BYTES", "data": [documents[0]] }] });
    assert_eq!(served.clinic.post_json(&path, &body).await.status, 503);
    let zeros = vec![0.0; usize::try_from(width).unwrap()];
    let body = json!({ "inputs": [{ "name": "features", "shape": [width], "datatype": "FP64", "data": zeros }] });
    assert_eq!(served.clinic.post_json(&path, &body).await.status, 200);
    let metrics = served.clinic.http.get(format!("{}/metrics", served.program.url())).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.ends_with("# EOF\n"));
    let label = format!("{{model=\"{}\",version=\"{}\"}}", served.name, served.version);
    let durations = ["request_duration_us", "compute_input_duration_us", "compute_output_duration_us"];
    for name in ["request_success", "request_failure", "count", "exec_count"].into_iter().chain(durations) {
        assert!(served.program.metric(&format!("nv_inference_{name}{label}")).await > 0.0, "{name}\n{metrics}");
    }
    let pending = format!("nv_inference_pending_request_count{label} 0\n");
    assert!(metrics.contains(&pending) && !metrics.contains(PATIENT), "{metrics}");
    assert!(served.program.metric("stance_model_cache{event=\"bytes\"}").await < 20_000.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_artifact_was_tampered_with_scores_nothing() {
    let served = Served::new(&[]).await;
    let (_, artifact) = served.program.objects().into_iter().find(|(key, _)| key.ends_with(".tar.gz")).unwrap();
    let mut bytes = std::fs::read(&artifact).unwrap();
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    let document = recording(PATIENT, fresh_id(), 0.4, None, 300).to_string();
    let body = json!({ "inputs": [{ "name": "recording", "shape": [1], "datatype": "BYTES", "data": [document] }] });
    let answer = served.clinic.post_json(&format!("/v2/models/{}/infer", served.name), &body).await;
    assert_eq!((answer.status, answer.code()), (409, "model_corrupt"), "{answer:?}");
}
