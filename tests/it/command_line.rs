//! The command line, as an operator meets it.

use crate::harness::{CLINIC, PASSWORD, Program, fresh_id, recording};

#[test]
fn a_configuration_that_cannot_hold_stops_the_start_with_the_keys_name() {
    for (key, value, expected) in [
        ("http.bind", "nowhere", "http.bind"),
        ("http.colour", "red", "http.colour"),
        ("training.minimum", "0", "training.minimum"),
        ("training.minimum", "many", "training.minimum"),
        ("scoring.backend", "abacus", "scoring.backend"),
        ("scoring.cache_bytes", "0", "scoring.cache_bytes"),
        ("inference.in_hand", "0", "inference.in_hand"),
        ("database.url", "mysql://localhost/x", "database.url"),
        ("database.url", "postgres://u:secret@localhost", "database.url"),
        ("database.connections", "1", "database.connections"),
        ("database.statement_timeout_seconds", "0", "database.statement_timeout_seconds"),
        ("objects.url", "s3://Bucket/prefix", "objects.url"),
        ("objects.url", "gopher://bucket", "objects.url"),
        ("objects.endpoint", "nowhere", "objects.endpoint"),
        ("objects.server_side_encryption", "rot13", "objects.server_side_encryption"),
        ("objects.kms_key_id", "key-1", "objects.kms_key_id"),
        ("objects.max_read_bytes", "1000", "objects.max_read_bytes"),
        ("graphql.max_depth", "65", "graphql.max_depth"),
        ("graphql.only_persisted", "true", "graphql.only_persisted"),
        ("graphql.persisted_documents", "/nowhere.json", "graphql.persisted_documents"),
        ("lake.engine", "presto", "lake.engine"),
        ("lake.athena.database", "", "lake.athena.database"),
        ("lake.compact_grace_seconds", "10", "lake.compact_grace_seconds"),
        ("auth.issuer", "http://id.example.org", "auth.issuer"),
        ("auth.audience", "app", "auth.audience"),
        ("auth.own_accounts", "false", "auth.own_accounts"),
        ("auth.token_use", "refresh", "auth.token_use"),
        ("auth.claims.colour", "red", "auth.claims.colour"),
        ("mail.delivery", "smtp", "mail.server"),
        ("mail.security", "maybe", "mail.security"),
        ("ingest.sqs_url", "https://sqs.example.org/q", "ingest.sqs_url"),
    ] {
        let program = Program::stopped(&[(key, value)]);
        for arguments in [["config", "check"].as_slice(), &["serve"]] {
            let (started, text) = program.run(arguments, "");
            assert!(!started && text.contains(expected), "{key}={value}: {text}");
            assert_eq!(text.trim().lines().count(), 1, "one clear line: {text}");
            assert!(!text.contains("secret"));
        }
    }
}

#[test]
fn the_configuration_is_printed_with_what_the_environment_says() {
    let program = Program::stopped(&[("training.every", "7")]);
    let (well, text) = program.run(&["config", "show"], "");
    assert!(well && text.contains("every = 7") && text.contains("bind = \"127.0.0.1:8080\""), "{text}");
    let (well, text) = program.run(&["--config", "/nowhere.toml", "config", "show"], "");
    assert!(!well && text.contains("/nowhere.toml"), "{text}");
}

#[test]
fn a_password_of_the_database_is_not_printed() {
    for url in ["postgres://u:secret@localhost/x", "postgresql://localhost/x?user=u&password=secret"] {
        let program = Program::stopped(&[("database.url", url)]);
        let (well, text) = program.run(&["config", "show"], "");
        assert!(well && text.contains("localhost/x") && !text.contains("secret"), "{text}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://u:secret@127.0.0.1:{port}/x");
    let program = Program::stopped(&[("database.url", &url), ("database.acquire_timeout_seconds", "1")]);
    let (well, text) = program.run(&["migrate"], "");
    assert!(!well && text.contains("cannot be opened") && text.contains("not available"), "{text}");
    assert!(text.contains(&port.to_string()) && !text.contains("secret"), "{text}");
}

#[test]
fn a_database_is_migrated_once() {
    let server = stance_testkit::Postgres::database();
    let url = server.url();
    for settings in [vec![], vec![("database.url", url.as_str())]] {
        let program = Program::stopped(&settings);
        let (well, text) = program.run(&["migrate"], "");
        assert!(well && text.ends_with("migrations applied, 0 were there\n"), "{text}");
        let (well, text) = program.run(&["migrate"], "");
        assert!(well && text.starts_with("0 migrations applied"), "{text}");
    }
}

#[test]
fn every_command_has_help() {
    let program = Program::stopped(&[]);
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["import", "--help"],
        &["admin", "create-account", "--help"],
        &["admin", "verify-audit", "--help"],
    ] {
        let (well, text) = program.run(command, "");
        assert!(well && text.contains("Usage"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_do_not_share_a_data_folder() {
    let program = Program::start();
    let (started, text) = program.run(&["serve", "--bind", "127.0.0.1:0"], "");
    assert!(!started && text.contains("in use"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_imported_and_can_be_imported_again() {
    let program = Program::start();
    program.create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
    let folder = tempfile::tempdir().unwrap();
    for n in 0..12 {
        let inside = folder.path().join(format!("p-{}", n % 3));
        std::fs::create_dir_all(&inside).unwrap();
        let document = recording(&format!("p-{}", n % 3), fresh_id(), 0.5, None, 100);
        std::fs::write(inside.join(format!("{n}.json")), document.to_string()).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let arguments = ["import", "--url", program.url(), "--email", CLINIC.0, "--create-patients-for", CLINIC.1, path];
    let (well, text) = program.run(&arguments, PASSWORD);
    assert!(well && text.contains("accepted") && text.contains("12"), "{text}");
    let (well, text) = program.run(&arguments, PASSWORD);
    assert!(well && text.contains("there already"), "{text}");
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 12);

    std::fs::write(folder.path().join("broken.json"), "{}").unwrap();
    let (well, text) = program.run(&arguments, PASSWORD);
    assert!(!well && text.contains("broken.json") && text.contains("missing_key"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_given_up_is_tried_again_when_an_operator_says_so() {
    let mut program = Program::stopped(&[("queue.max_attempts", "1"), ("supervision.probe_every_ms", "100")]);
    program.resume();
    let clinic = program.clinic_with(&["p-1"]).await;
    program.kill();
    program.resume_with_failpoints("converter=1*panic");
    let clinic = clinic.at(program.url());
    let id = fresh_id();
    assert_eq!(clinic.upload(recording("p-1", id, 0.5, None, 100).to_string()).await.status, 202);
    let failed = clinic.await_status(&id.to_string(), "failed").await;
    assert_eq!(failed.body["failure"]["code"], "attempts_exhausted");
    let (well, text) = program.run(&["admin", "requeue"], "");
    assert!(well && text.contains('1'), "{text}");
    let again = clinic.await_status(&id.to_string(), "awaiting_model").await;
    assert!(again.body["failure"].is_null(), "{again:?}");
}
