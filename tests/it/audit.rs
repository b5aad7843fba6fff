//! The audit record: what is on it, what is found when it was tampered with, and what happens where it cannot be written.

use crate::harness::{Backends, CLINIC, Client, PASSWORD, Program, document, eventually, fresh_id};
use serde_json::{Value, json};
use std::sync::Arc;

const RECORDS: &str = "SELECT count(*) FROM audit_records";

/// Runs `stance admin verify-audit`: whether the record is whole, and what was said.
fn verify(program: &Program, more: &[&str]) -> (bool, String) {
    program.run(&[&["admin", "verify-audit"], more].concat(), "")
}

/// The place at which a whole record ends.
fn mark(program: &Program) -> String {
    let (whole, text) = verify(program, &[]);
    assert!(whole, "{text}");
    text.trim().rsplit(' ').next().unwrap().to_owned()
}

async fn every_tampering_is_named(
    backends: Arc<Backends>,
    without_triggers: &str,
    no_time: &str,
    also_refused: &[&str],
) {
    let program = Program::start_on(&backends, &[]);
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    let noted = mark(&program);
    for patient in ["p-1", "p-2", "p-3"] {
        clinic
            .graphql("query($p: String!) { getPatientById(patient_id: $p) { email } }", json!({ "p": patient }))
            .await;
    }
    let last = program.count(RECORDS).await;
    assert_eq!(mark(&program).split(':').next(), Some(&*last.to_string()));

    for refused in [
        "UPDATE audit_records SET result = 'absent' WHERE position = 3",
        "DELETE FROM audit_records WHERE position = 3",
        "UPDATE audit_patients SET patient_id = 'p-9'",
        "DELETE FROM audit_patients",
        "UPDATE audit_head SET position = position - 1",
        "DELETE FROM audit_head",
    ]
    .iter()
    .chain(also_refused)
    {
        let error = program.tamper(refused).await.unwrap_err().to_string();
        assert!(error.contains("the audit record"), "{refused}: {error}");
    }
    program.tamper(without_triggers).await.unwrap();
    program.tamper("CREATE TABLE saved AS SELECT * FROM audit_records").await.unwrap();
    program.tamper("CREATE TABLE saved_head AS SELECT * FROM audit_head").await.unwrap();
    let (before, end) = (last - 1, last + 1);
    let shift = "UPDATE audit_records SET position = -position - 1 WHERE position >= 4;
                 UPDATE audit_records SET position = -position WHERE position < 0;";
    let copy = |to: &str| {
        format!(
            "INSERT INTO audit_records SELECT {to}, at, role, account_id, acting_as, operation, patients, test_event_id,
                 care_provider_id, address, request_id, result, detail, link FROM audit_records WHERE position = 1"
        )
    };
    for (sql, found) in [
        (
            "UPDATE audit_records SET result = 'absent' WHERE position = 3".to_owned(),
            vec!["position 3: the record was changed"],
        ),
        (
            "UPDATE audit_records SET patients = 'none' WHERE position = 3".to_owned(),
            vec!["position 3: the record was changed"],
        ),
        (
            "UPDATE audit_records SET address = NULL, detail = address WHERE position = 3".to_owned(),
            vec!["position 3: "],
        ),
        (
            "UPDATE audit_records SET at = (SELECT at FROM audit_records WHERE position = 1) WHERE position = 5"
                .to_owned(),
            vec!["position 5: "],
        ),
        ("DELETE FROM audit_records WHERE position = 4".to_owned(), vec!["position 4: the record is missing"]),
        (
            "DELETE FROM audit_records WHERE position IN (1, 2)".to_owned(),
            vec!["positions 1 to 2: the records are missing"],
        ),
        ("UPDATE audit_records SET at = ODD WHERE position = 6".to_owned(), vec!["position 6: the record was changed"]),
        (
            "UPDATE audit_records SET position = -2 WHERE position = 2;
             UPDATE audit_records SET position = 2 WHERE position = 5;
             UPDATE audit_records SET position = 5 WHERE position = -2"
                .to_owned(),
            vec!["position 2: the record was changed", "position 5: the record was changed"],
        ),
        (format!("DELETE FROM audit_records WHERE position >= {before}"), vec!["the end of the record is missing"]),
        (copy(&end.to_string()), vec!["the head does not know"]),
        (format!("{shift} {}", copy("4")), vec!["position 4: the record was changed"]),
    ] {
        let sql = sql.replace("ODD", no_time);
        program.tamper(&sql).await.unwrap();
        let (whole, text) = verify(&program, &[]);
        assert!(!whole, "{sql}");
        for expected in found {
            assert!(text.contains(expected), "{sql}: {text}");
        }
        restore(&program).await;
        assert!(verify(&program, &["--expect", &noted]).0, "{sql}: it was put back");
    }

    // Who sets the head back as well leaves a whole, shorter record: what was noted down elsewhere shows it.
    let noted = mark(&program);
    let cut = format!(
        "DELETE FROM audit_records WHERE position >= {last};
         UPDATE audit_head SET position = {before}, link = (SELECT link FROM audit_records WHERE position = {before})"
    );
    program.tamper(&cut).await.unwrap();
    assert!(verify(&program, &[]).0);
    let (whole, text) = verify(&program, &["--expect", &noted]);
    assert!(
        !whole && text.contains(&format!("position {last}: the record is not the one that was noted down")),
        "{text}"
    );
    restore(&program).await;
    assert!(verify(&program, &["--expect", &noted]).0);
    let (whole, text) = verify(&program, &["--expect", "nonsense"]);
    assert!(!whole && text.contains("POSITION:HASH"), "{text}");
}

async fn restore(program: &Program) {
    let restore = "DELETE FROM audit_records; INSERT INTO audit_records SELECT * FROM saved;
                   DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved_head";
    program.tamper(restore).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_with_the_record_is_named_in_sqlite() {
    let triggers =
        "DROP TRIGGER audit_records_stay; DROP TRIGGER audit_records_are_kept; DROP TRIGGER audit_head_only_grows;
                    DROP TRIGGER audit_head_is_kept";
    // What no other database has.
    let replaced = [
        "REPLACE INTO audit_records SELECT position, at, role, account_id, acting_as, operation, patients, test_event_id,
             care_provider_id, address, request_id, 'absent', detail, link FROM audit_records WHERE position = 3",
        "INSERT OR REPLACE INTO audit_head SELECT chain, position - 1, link, pruned_position, pruned_link FROM audit_head",
        "UPDATE OR REPLACE audit_records SET position = 3 WHERE position = 4",
    ];
    every_tampering_is_named(Backends::embedded(), triggers, "9223372036854775807", &replaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tampering_with_the_record_is_named_in_postgres() {
    let triggers = "ALTER TABLE audit_records DISABLE TRIGGER USER; ALTER TABLE audit_head DISABLE TRIGGER USER";
    every_tampering_is_named(Backends::postgres_and_folder(), triggers, "'9999-12-31'", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_record_cannot_be_written_nothing_is_read_and_nothing_changes() {
    let program = Program::start_with(&[("audit.longest_wait_seconds", "2")]);
    let clinic = program.clinic_with(&["p-1"]).await;
    let body = document("p-1", fresh_id()).to_string();
    let read = "{ getPatientById(patient_id: \"p-1\") { patient_id } }";
    let change = "mutation { recordConsentDate(patient_id: \"p-1\", date: \"2026-01-31\") { patient_id } }";
    let denied = "{ getPatientById(patient_id: \"p-2\") { patient_id } }";
    program.tamper("ALTER TABLE audit_head RENAME TO away").await.unwrap();
    for query in [read, change, denied] {
        let answer = clinic.graphql(query, Value::Null).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "busy", "{answer}");
        assert!(!answer.to_string().contains("p-1"), "{answer}");
    }
    let answer = clinic.upload(body.clone()).await;
    assert_eq!((answer.status, answer.code()), (503, "busy"), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 0);
    let consents = "SELECT count(*) FROM patients WHERE privacy_consent_date IS NOT NULL";
    assert_eq!(program.count(consents).await, 0);

    program.tamper("ALTER TABLE away RENAME TO audit_head").await.unwrap();
    clinic.data(read, Value::Null).await;
    clinic.data(change, Value::Null).await;
    assert_eq!(clinic.upload(body).await.status, 202);
    mark(&program);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_that_dies_or_hangs_is_rebuilt_and_requests_are_told_to_come_back() {
    let quick = [("supervision.stuck_after_ms", "500"), ("supervision.probe_every_ms", "100")];
    let mut program = Program::stopped(&[&quick[..], &[("audit.longest_wait_seconds", "1")]].concat());
    program.resume();
    let clinic = program.clinic_with(&["p-1"]).await;
    for (failpoint, cause) in [("auditor=1*panic->off", "died"), ("auditor=1*sleep(30000)->off", "stuck")] {
        program.kill();
        program.resume_with_failpoints(failpoint);
        let clinic = clinic.at(program.url());
        let read = || clinic.graphql("{ getPatientById(patient_id: \"p-1\") { patient_id } }", Value::Null);
        let answer = read().await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "busy", "{cause}: {answer}");
        eventually("it is rebuilt", || async { read().await["errors"].is_null().then_some(()) }).await;
        let counter = format!("stance_actor_restarts_total{{actor=\"auditor\",cause=\"{cause}\"}}");
        assert!(program.metric(&counter).await > 0.0);
    }
    mark(&program);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_of_which_one_is_killed_again_and_again_write_one_chain() {
    let backends = Backends::postgres_and_folder();
    let mut programs = [Program::start_on(&backends, &[]), Program::start_on(&backends, &[])];
    let clinic = programs[0].clinic_with(&["p-1"]).await;
    for _ in 0..5 {
        let readers: Vec<_> = (0..16)
            .map(|n| {
                let clinic = clinic.at(programs[n % 2].url());
                tokio::spawn(async move {
                    let read = json!({ "query": "{ getPatientById(patient_id: \"p-1\") { patient_id } }" });
                    let mut answered = 0;
                    for _ in 0..40 {
                        let request = clinic.request(reqwest::Method::POST, "/graphql").json(&read).send().await;
                        let Ok(response) = request else { return answered };
                        let Ok(answer) = response.json::<Value>().await else { return answered };
                        answered += i64::from(answer["errors"].is_null());
                    }
                    answered
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        programs[1].kill();
        let before = programs[0].count("SELECT count(*) FROM audit_records WHERE operation = 'patient_by_id'").await;
        let mut answered = 0;
        for reader in readers {
            answered += reader.await.unwrap();
        }
        assert!(before > 0);
        let noted = programs[0].count("SELECT count(*) FROM audit_records WHERE operation = 'patient_by_id'").await;
        assert!(noted >= answered, "{answered} answers left, {noted} are on the record");
        mark(&programs[0]);
        programs[1].resume();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_who_looked_at_their_data_and_an_admin_pages_through_all_of_it() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    program.create_account("ann@example.org", "patient", &["--patient-id", "p-1"]);
    program.create_account("stranger@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    program.create_account("admin@example.org", "admin", &[]);
    let sign_in = async |email: &str| Client::sign_in(program.url(), email).await;
    let (ann, stranger, admin) =
        (sign_in("ann@example.org").await, sign_in("stranger@example.org").await, sign_in("admin@example.org").await);
    clinic.data("{ getPatientsForCareprovider(care_provider_id: \"clinic-1\") { patient_id } }", Value::Null).await;
    stranger.graphql("{ getPatientById(patient_id: \"p-1\") { patient_id } }", Value::Null).await;
    clinic.data("{ getPatientById(patient_id: \"p-2\") { patient_id } }", Value::Null).await;

    let mine = "{ accessesToPatient(patient_id: \"p-1\") { accesses { role acting_as operation result } next } }";
    let mine = &ann.data(mine, Value::Null).await["accessesToPatient"];
    let accesses = mine["accesses"].as_array().unwrap();
    let access = |role: &str, acting_as: Option<&str>, operation: &str, result: &str| json!({ "role": role, "acting_as": acting_as, "operation": operation, "result": result });
    assert_eq!(
        accesses[..3],
        [
            access("care_provider", Some("clinic-2"), "patient_by_id", "absent"),
            access("care_provider", Some("clinic-1"), "patients_of_care_provider", "allowed"),
            access("operator", None, "admin create-account", "allowed"),
        ],
    );

    let page =
        "query($a: String) { auditRecords(first: 4, after: $a) { records { position patient_ids operation } next } }";
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let answer = admin.data(page, json!({ "a": after })).await["auditRecords"].clone();
        all.extend(answer["records"].as_array().unwrap().iter().map(|record| record["position"].clone()));
        after = answer["next"].clone();
        if after.is_null() {
            break;
        }
    }
    let positions: Vec<i64> = all.iter().map(|position| position.as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(positions, (1..=positions[0]).rev().collect::<Vec<_>>(), "each once, the latest first");
    assert!(program.count("SELECT count(*) FROM audit_records WHERE operation = 'audit_records'").await > 1);

    let (well, text) = program.run(&["admin", "audit", "--patient-id", "p-2", "--limit", "3"], "");
    assert!(well && text.contains("patient_by_id") && text.contains("operator"), "{text}");
    let names = "SELECT count(*) FROM audit_records WHERE detail LIKE '%@%' OR patients LIKE '%@%'";
    assert_eq!(program.count(names).await, 0, "ids only");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_with_a_stolen_token_is_on_the_record() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let wrong = json!({ "password": "wrong password!" });
    let change = json!({ "password": "wrong password!", "new_password": "a different battery" });
    let changed = clinic.request(reqwest::Method::PUT, "/v1/accounts/current/password").json(&change).send().await;
    assert_eq!(changed.unwrap().status(), 401);
    assert_eq!(clinic.post_json("/v1/accounts/current/totp", &wrong).await.status, 401);
    let remove = json!({ "password": "wrong password!", "totp": "000000" });
    assert_eq!(clinic.post_json("/v1/accounts/current/totp/remove", &remove).await.status, 401);
    assert_eq!(clinic.post_json("/v1/accounts/current/totp", &json!({ "password": PASSWORD })).await.status, 200);
    let confirm = clinic.post_json("/v1/accounts/current/totp/confirm", &json!({ "totp": "12345" })).await;
    assert_eq!(confirm.status, 401);
    assert_eq!(clinic.delete(&format!("/v1/sessions/{}", fresh_id())).await.status, 404);

    let tokens = clinic.post_json("/v1/sessions", &json!({ "email": CLINIC.0, "password": PASSWORD })).await;
    let refresh = json!({ "refresh_token": tokens.body["refresh_token"] });
    assert_eq!(clinic.post_json("/v1/sessions/refresh", &refresh).await.status, 200);
    assert_eq!(clinic.post_json("/v1/sessions/refresh", &refresh).await.status, 401);

    let noted = "SELECT operation || ' ' || result || ' ' || coalesce(detail, '') FROM audit_records
                 WHERE account_id IS NOT NULL AND address IS NOT NULL AND operation <> 'sign_in' ORDER BY position";
    assert_eq!(
        program.texts(noted).await,
        [
            "change_password refused wrong_credentials",
            "enrol_second_factor refused wrong_credentials",
            "remove_second_factor refused wrong_credentials",
            "enrol_second_factor allowed ",
            "confirm_second_factor refused wrong_second_factor",
            "end_session absent ",
            "refresh_session refused refresh_token_reused",
        ]
    );
    mark(&program);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_cannot_be_made_are_counted_and_have_no_row_each() {
    let program = Program::start_with(&[("audit.unknown_every_seconds", "1")]);
    let nobody = Client::anonymous(program.url());
    let sign_up = async |email: &str, password: &str| {
        nobody.post_json("/v1/accounts", &json!({ "email": email, "password": password })).await.status
    };
    assert_eq!(sign_up("ann@example.org", PASSWORD).await, 201);
    assert_eq!(sign_up("ann@example.org", PASSWORD).await, 409);
    assert_eq!(sign_up("no address", PASSWORD).await, 422);
    assert_eq!(sign_up("bob@example.org", "password1234").await, 422);
    let count = "SELECT count(*) FROM audit_records WHERE operation = 'sign_up' AND result = 'refused'";
    eventually("they are counted", async || (program.count(count).await > 0).then_some(())).await;
    let noted = "SELECT result || ' ' || coalesce(detail, '') FROM audit_records WHERE operation = 'sign_up'
                 AND result <> 'refused'";
    assert_eq!(program.texts(noted).await, ["allowed role patient"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_takes_away_is_noted_and_the_rest_is_whole() {
    let program = Program::start();
    program.clinic_with(&["p-1", "p-2"]).await;
    let old = mark(&program);
    let count = program.count(RECORDS).await;
    let (well, text) = program.run(&["admin", "prune-audit", "--before", "2020-01-01T00:00:00Z"], "");
    assert!(well && text.starts_with("0 records"), "{text}");
    let (well, text) = program.run(&["admin", "prune-audit", "--before", "2100-01-01T00:00:00Z"], "");
    assert!(well && text.starts_with(&format!("{count} records")), "{text}");
    assert_eq!(program.count(RECORDS).await, 1, "that it was done");
    mark(&program);
    assert!(verify(&program, &["--expect", &old]).0, "what was noted is where the rest begins");
    // A beginning that was moved by hand is none of retention's.
    let moved = "UPDATE audit_head SET pruned_position = position, pruned_link = link;
                 DELETE FROM audit_records WHERE position <= (SELECT pruned_position FROM audit_head)";
    program.tamper(moved).await.unwrap();
    let (whole, text) = verify(&program, &[]);
    assert!(!whole && text.contains("no record says that retention took them away"), "{text}");
}

/// The document's own program, which shares nothing with this one, comes to the same end and finds the same fault.
#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_document_verifies_the_record_without_the_program() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1", "us-west-2:ö\" 1"]).await;
    clinic.data("{ getPatientsForCareprovider(care_provider_id: \"clinic-1\") { patient_id } }", Value::Null).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/AUDIT.md")).unwrap();
    let script = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let follow = || {
        let mut python = std::process::Command::new("python3");
        let output = python.args(["-c", script]).arg(program.folder().join("stance.db")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said.trim().to_owned())
    };
    assert_eq!(follow(), (true, mark(&program)));
    let changed = "DROP TRIGGER audit_records_stay; UPDATE audit_records SET patients = '[]' WHERE position = 5";
    program.tamper(changed).await.unwrap();
    assert_eq!(follow(), (false, "position 5: not what was written".to_owned()));
}
