//! The bounds of GraphQL requests, as configured, and documents that are known beforehand.

use crate::harness::Program;
use serde_json::{Value, json};
use std::process::Command;

/// The SHA-256 digest, by a program that is not ours.
fn sha256(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

const TESTS: &str = "{ getAllAvailableTests { test_type } }";

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_what_the_configuration_says() {
    let program = Program::start_with(&[
        ("graphql.max_depth", "2"),
        ("graphql.max_cost", "150"),
        ("graphql.max_batch", "2"),
        ("graphql.max_body_bytes", "1000"),
        ("graphql.introspection", "false"),
    ]);
    let clinic = program.clinic().await;
    for (document, expected) in [
        (TESTS.to_owned(), None),
        ("{ getTestEvents(patient_id: \"p\", count: 1) { recording { status } } }".into(), Some("too_deep")),
        ("{ getTestEvents(patient_id: \"p\", count: 151) { notes } }".into(), Some("too_costly")),
        ("{ __schema { description } }".into(), Some("introspection_disabled")),
    ] {
        let answer = clinic.graphql(&document, Value::Null).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"].as_str(), expected, "{document}: {answer}");
    }
    let one = json!({ "query": TESTS });
    let alone = clinic.post_json("/graphql", &json!([one])).await;
    assert_eq!(alone.body[0]["data"]["getAllAvailableTests"][0]["test_type"], "sit-to-stand", "{alone:?}");
    // Together they cost too much: the first is run, the second is not.
    let two = clinic.post_json("/graphql", &json!([one, one])).await;
    assert!(
        two.body[0]["errors"].is_null() && two.body[1]["errors"][0]["extensions"]["code"] == "too_costly",
        "{two:?}"
    );
    for batch in [json!([one, one, one]), json!([])] {
        let refused = clinic.post_json("/graphql", &batch).await;
        assert_eq!((refused.status, refused.code()), (422, "batch_too_large"));
    }
    let long = clinic.post_json("/graphql", &json!({ "query": " ".repeat(1_000) })).await;
    assert_eq!(long.status, 413);
    let broken = clinic.post_json("/graphql", &json!([one, 7])).await;
    assert_eq!((broken.status, broken.code()), (422, "invalid_body"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_known_beforehand_is_run_by_its_digest() {
    let digest = sha256(TESTS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("documents.json");
    std::fs::write(&file, json!({ &digest: TESTS }).to_string()).unwrap();
    let settings = [("graphql.persisted_documents", file.to_str().unwrap()), ("graphql.only_persisted", "true")];
    let program = Program::start_with(&settings);
    let clinic = program.clinic().await;
    let by_extension =
        |digest: &str| json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": digest } } });
    for request in [
        json!({ "documentId": digest }),
        json!({ "documentId": format!("sha256:{digest}") }),
        by_extension(&digest),
        json!({ "query": TESTS }),
        json!({ "query": TESTS, "documentId": digest }),
    ] {
        let answer = clinic.post_json("/graphql", &request).await;
        assert_eq!(
            answer.body["data"]["getAllAvailableTests"][0]["test_type"], "sit-to-stand",
            "{request}: {answer:?}"
        );
    }
    let unknown = clinic.post_json("/graphql", &by_extension(&"0".repeat(64))).await;
    let error = &unknown.body["errors"][0];
    assert_eq!(
        (&error["message"], &error["extensions"]["code"]),
        (&json!("PersistedQueryNotFound"), &json!("persisted_document_not_found"))
    );
    let other = clinic.graphql("{ __typename }", Value::Null).await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "document_not_persisted");

    std::fs::write(&file, json!({ "00": TESTS }).to_string()).unwrap();
    let (started, text) = Program::stopped(&settings).run(&["serve"], "");
    assert!(!started && text.contains("graphql.persisted_documents") && text.trim().lines().count() == 1, "{text}");
}
