//! The card of a model, as JSON and as a page.

use crate::harness::{Answer, Client, Program, eventually, fresh_id, recording};
use reqwest::Method;
use serde_json::json;

/// A clinic with a patient's model, and the model's version.
async fn trained(program: &Program) -> (Client, String) {
    let clinic = program.clinic_with(&["p-1"]).await;
    for n in 0..10_u32 {
        let quality = f64::from(n) / 10.0;
        let scored = recording("p-1", fresh_id(), quality, Some(100.0 * quality), 300);
        clinic.upload(scored.to_string()).await;
    }
    let version = eventually("a model", || async { program.texts("SELECT model_version FROM models").await.pop() });
    let version = version.await;
    (clinic, version)
}

async fn asked(client: &Client, path: &str, accept: Option<&str>) -> Answer {
    let request = client.request(Method::GET, path);
    Answer::of(match accept {
        Some(accept) => request.header("accept", accept),
        None => request,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_card_is_found_and_read_by_a_program_and_by_a_person() {
    let program = Program::start();
    let (clinic, version) = trained(&program).await;
    let models = clinic.data("{ listModels(patient_id: \"p-1\") { model_version card card_path } }", json!({})).await;
    let model = &models["listModels"][0];
    let path = model["card_path"].as_str().unwrap();
    assert_eq!(path, format!("/v1/models/{version}/card"));

    for accept in [None, Some("*/*"), Some("application/json"), Some("image/png, application/json;q=0.5")] {
        let answer = asked(&clinic, path, accept).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_bytes()), (200, &b"application/json"[..]));
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body = &answer.body;
        assert_eq!(
            (&body["model_version"], &body["movement"], &body["serves"]),
            (&json!(version), &json!("sit-to-stand"), &json!(true))
        );
        let kept: serde_json::Value = serde_json::from_str(model["card"].as_str().unwrap()).unwrap();
        assert_eq!((&body["card"], &body["card"]["recordings"]), (&kept, &json!(10)));
    }
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let named = format!("{path}?format=html");
    for (path, accept) in [(path, Some(browser)), (path, Some("text/*")), (&*named, Some("application/json"))] {
        let answer = asked(&clinic, path, accept).await;
        assert_eq!(
            (answer.status, answer.headers["content-type"].to_str().unwrap()),
            (200, "text/html; charset=utf-8")
        );
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("script"), "{policy}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["vary"], "accept");
        let page = answer.body.as_str().unwrap();
        for said in
            ["Sit to stand", &version, "p-1", "10 recordings of this patient", "Nine of ten scores lie within", "<svg"]
        {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
    let json = asked(&clinic, &format!("{path}?format=json"), Some(browser)).await;
    assert_eq!(json.body["card"]["recordings"], 10);
    for (path, accept, status, code) in [
        (path.to_owned(), Some("image/png"), 406, "not_acceptable"),
        (format!("{path}?format=pdf"), None, 422, "invalid_body"),
        (format!("{path}?colour=red"), None, 400, "invalid_query"),
        ("/v1/models/ghost/card".to_owned(), None, 404, "not_found"),
        (format!("/v1/models/{}/card", "v".repeat(65)), None, 404, "not_found"),
        ("/v1/models/a%2Fb/card".to_owned(), None, 404, "not_found"),
    ] {
        let answer = asked(&clinic, &path, accept).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{path}");
    }
}
