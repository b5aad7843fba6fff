//! schemathesis, an independent tester of interfaces, against the HTTP surface and against the GraphQL schema: as every role it
//! sends what fits the description and what does not, and finds no fault of the server and no answer that is not described.

use crate::harness::{CLINIC, Client, Program, fresh_id, recording};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// What is installed from PyPI.
const PACKAGE: &str = "schemathesis==4.32.5";
const HOOKS: &str = include_str!("schemathesis/hooks.py");
/// Seconds for each role; `STANCE_SCHEMATHESIS_SECONDS` names others.
const SECONDS: &str = "12";
const ADMIN: &str = "admin@example.org";
const ANN: &str = "ann@example.org";
/// What answers over HTTP are held to. That a document which fits its schema is taken is not among it: what is refused with
/// 422 rests on rules that a schema cannot say.
const HTTP_CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance,ignored_auth,problems_are_problems";

/// A program with something to be found in it, and the tester.
struct Bench {
    program: Program,
    known: String,
    tester: PathBuf,
    hooks: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let tester = stance_testkit::python::environment("schemathesis", &[PACKAGE]).unwrap().join("bin/schemathesis");
        // Wrong passwords are tried at will.
        let many = [("auth.max_failures", "1000000"), ("auth.max_failures_per_address", "1000000")];
        let program = Program::start_with(&[many[0], many[1], ("auth.max_sign_ups_per_address", "50")]);
        let clinic = program.clinic_with(&["ann", "bob"]).await;
        program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
        Client::sign_in(program.url(), "other@example.org").await.adopt("clinic-2", "cid").await;
        program.create_account(ANN, "patient", &["--patient-id", "ann"]);
        program.create_account(ADMIN, "admin", &[]);
        let events = [fresh_id(), fresh_id()];
        for (patient, id) in [("ann", events[0]), ("bob", events[1])] {
            let body = recording(patient, id, 0.5, Some(50.0), 100).to_string();
            assert_eq!(clinic.upload_and_wait(body).await.recording_status(), "training");
        }
        let known = json!({
            "patient_id": ["ann", "bob", "cid"], "care_provider_id": [CLINIC.1, "clinic-2"],
            "test_event_id": events, "test_id": events, "test_type": ["sit-to-stand"],
            "from_time": ["2020-01-01 00:00:00"], "to_time": ["2030-01-01 00:00:00+00"], "date": ["2026-01-31"],
            "start_time": ["2026-01-31 13:02:03-07"], "end_time": ["2026-01-31 13:03:03-07"],
            "user_id": ["ann"], "movement": ["sit-to-stand"],
        });
        let hooks = tempfile::tempdir().unwrap();
        std::fs::write(hooks.path().join("hooks.py"), HOOKS).unwrap();
        Self { program, known: known.to_string(), tester, hooks }
    }

    /// Runs the tester as somebody.
    async fn run(&self, email: &str, path: &str, arguments: &[&str]) {
        let token = Client::sign_in(self.program.url(), email).await.token;
        let seconds = std::env::var("STANCE_SCHEMATHESIS_SECONDS").unwrap_or_else(|_| SECONDS.to_owned());
        let mut command = Command::new(&self.tester);
        command
            .args(["run", &format!("{}{path}", self.program.url()), "--no-color", "--max-time", &seconds])
            .args(["--header", &format!("Authorization: Bearer {token}"), "--workers", "1"])
            .args(["--request-timeout", "40", "--suppress-health-check", "all", "--generation-database", "none"])
            .args(["--continue-on-failure", "--warnings", "off"])
            .args(arguments)
            .env("SCHEMATHESIS_HOOKS", "hooks.py")
            .env("KNOWN", &self.known)
            .current_dir(self.hooks.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("as {email}: {}", text.lines().filter(|line| line.contains("generated")).collect::<String>());
        assert!(output.status.success() && text.contains("generated"), "as {email}:\n{text}");
        assert_eq!(Client::anonymous(self.program.url()).get("/readyz").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_surface_answers_as_it_is_described() {
    let bench = Bench::new().await;
    // What ends the run's own session, or makes another account of it, has a short run of its own.
    let checks = ["--checks", HTTP_CHECKS];
    let apart = ["sign_out", "end_session", "set_role", "change_password"];
    let listed = |option| apart.iter().flat_map(move |id| [option, *id]);
    for email in [ANN, CLINIC.0, ADMIN] {
        let most: Vec<_> = checks.into_iter().chain(listed("--exclude-operation-id")).collect();
        bench.run(email, "/openapi.json", &most).await;
    }
    for email in [ANN, ADMIN] {
        let rest = checks.into_iter().chain(["--max-time", "5"]).chain(listed("--include-operation-id"));
        bench.run(email, "/openapi.json", &rest.collect::<Vec<_>>()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_that_fits_the_schema_is_answered_without_a_fault() {
    let bench = Bench::new().await;
    for email in [ANN, CLINIC.0, ADMIN] {
        bench.run(email, "/graphql", &["--checks", "graphql_answers"]).await;
    }
}
