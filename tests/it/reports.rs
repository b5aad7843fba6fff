//! Reports, and links to them and to recordings.

use crate::harness::{Backends, Client, Program, fresh_id, recording, shared_data};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// As the dashboard writes it.
fn links_of(id: Uuid, patient: &str) -> String {
    format!(
        "query {{ downloadTestEventDetails(test_event_id: \"{id}\", patient_name: \"Ann Lee\", patient_id: \"{patient}\",
            year: 2026, month: 1, day: 31, test_type: \"sit-to-stand\") {{ pdf_url raw_url }} }}"
    )
}

async fn links(client: &Client, id: Uuid) -> (String, String) {
    let data = client.data(&links_of(id, "p-1"), json!({ "patient_id": "p-1" })).await;
    let link = |name: &str| data["downloadTestEventDetails"][name].as_str().unwrap().to_owned();
    (link("pdf_url"), link("raw_url"))
}

async fn notes(client: &Client, id: Uuid, notes: &str) {
    let put = "mutation($id: String!, $notes: String) { putTestResult(test_event_id: $id, patient_id: \"p-1\",
        test_type: \"sit-to-stand\", start_time: \"2026-01-31 11:00:00\", end_time: \"2026-01-31 11:01:00\", notes: $notes)
        { test_event_id } }";
    client.data(put, json!({ "id": id, "notes": notes })).await;
}

/// The text of a PDF, each word after one space.
fn text_of(pdf: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pdf).unwrap();
    let output = Command::new("pdftotext").arg(file.path()).arg("-").output();
    let output =
        output.unwrap_or_else(|error| panic!("pdftotext is needed (Debian: apt-get install poppler-utils): {error}"));
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn bytes(link: &str) -> Vec<u8> {
    let answer = reqwest::get(link).await.unwrap();
    assert_eq!(answer.status(), 200, "{link}");
    answer.bytes().await.unwrap().to_vec()
}

async fn uploaded(client: &Client) -> Uuid {
    let id = fresh_id();
    let answer = client.upload_and_wait(recording("p-1", id, 0.5, None, 3_000).to_string()).await;
    assert_eq!(answer.recording_status(), "awaiting_model", "{answer:?}");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_does_not_lead_to_what_another_patient_sends_under_the_same_id() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1", "p-2"]).await;
    let id = uploaded(&clinic).await;
    let (pdf, csv) = links(&clinic, id).await;
    bytes(&csv).await;
    let delete = format!("mutation {{ deleteTestEventFromDB(test_event_id: \"{id}\", patient_id: \"p-1\") }}");
    assert_eq!(clinic.data(&delete, json!({})).await["deleteTestEventFromDB"], "deleted");
    let other = recording("p-2", id, 0.5, None, 3_000).to_string();
    assert_eq!(clinic.upload_and_wait(other).await.recording_status(), "awaiting_model");
    let data = clinic.data(&links_of(id, "p-2"), json!({})).await;
    for name in ["pdf_url", "raw_url"] {
        bytes(data["downloadTestEventDetails"][name].as_str().unwrap()).await;
    }
    for old in [pdf, csv] {
        assert_eq!(reqwest::get(&old).await.unwrap().status(), 404, "{old}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_whoever_has_it_to_one_document() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    let (pdf, csv) = links(&clinic, id).await;
    let own = program.url();
    assert!(pdf.starts_with(&format!("{own}/v1/objects/")) && csv.starts_with(&format!("{own}/v1/objects/")), "{pdf}");
    for (link, kind, disposition) in [
        (&pdf, "application/pdf", format!("inline; filename=\"test_event_{id}.pdf\"")),
        (&csv, "text/csv; charset=utf-8", format!("attachment; filename=\"test_event_{id}.csv\"")),
    ] {
        let answer = reqwest::get(link).await.unwrap();
        assert_eq!(answer.status(), 200);
        for (name, value) in [
            ("content-type", kind),
            ("content-disposition", &*disposition),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value, "{name}");
        }
    }
    let day =
        format!("user_id=p-1/movement=sit-to-stand/year=2026/month=1/day=31/test_event_id={id}/test_event_{id}.csv");
    assert_eq!(bytes(&csv).await, program.object(&format!("csv_data/patient_tests/{day}")).await);
    let report = bytes(&pdf).await;
    assert_eq!(report, program.object(&format!("pdf_reports/user_id=p-1/test_event_{id}.pdf")).await);
    let text = text_of(&report);
    for said in
        ["A", "Sit to stand", "31 January 2026", "3 000 samples", "Recorded signals", "no model of this patient"]
    {
        assert!(text.replace('\u{2009}', " ").contains(said), "{said}: {text}");
    }
    // The patient has a first name in their row: what a client says is not shown.
    assert!(!text.contains("Ann Lee"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_link_or_one_that_is_over_leads_nowhere() {
    let program = Program::start_with(&[("reports.link_seconds", "2")]);
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    let (pdf, csv) = links(&clinic, id).await;
    let nobody = Client::anonymous(program.url());
    let token = csv.rsplit('/').next().unwrap();
    let absent = nobody.get("/v1/objects/nonsense").await;
    assert_eq!((absent.status, absent.code()), (404, "not_found"));
    let forged = [
        token.replacen("csv", "pdf", 1),
        token.replacen(&id.to_string(), &fresh_id().to_string(), 1),
        token.get(..token.len() - 1).unwrap().to_owned(),
        format!("..%2f{token}"),
        "..%2f..%2fstance.db".to_owned(),
        "csv_data%2Fpatient_tests".to_owned(),
        "a".repeat(5_000),
    ];
    for token in forged {
        let answer = nobody.get(&format!("/v1/objects/{token}")).await;
        assert_eq!((answer.status, &answer.body), (404, &absent.body), "{token}");
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for link in [pdf, csv] {
        let path = link.strip_prefix(program.url()).unwrap().to_owned();
        assert_eq!((nobody.get(&path).await.status, nobody.get(&path).await.body), (404, absent.body.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_a_request_names_is_in_no_link() {
    let program = Program::start_with(&[("http.public_url", "https://stance.example.org/")]);
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    let request = clinic.request(reqwest::Method::POST, "/graphql").header("host", "evil.example.org");
    let request = request.header("x-forwarded-host", "evil.example.org").json(&json!({ "query": links_of(id, "p-1") }));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let link = answer["data"]["downloadTestEventDetails"]["pdf_url"].as_str().unwrap();
    assert!(link.starts_with("https://stance.example.org/v1/objects/pdf."), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_kept_until_it_would_say_something_else() {
    is_kept_until_it_would_say_something_else(&Backends::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_a_bucket_is_kept_until_it_would_say_something_else() {
    is_kept_until_it_would_say_something_else(&Backends::production().await).await;
}

async fn is_kept_until_it_would_say_something_else(backends: &Arc<Backends>) {
    let program = Program::start_on(backends, &[]);
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    let (pdf, csv) = links(&clinic, id).await;
    assert!(bytes(&csv).await.starts_with(b"ts,ax,ay,az,gx,gy,gz,mx,my,mz\n"));
    assert_eq!(reqwest::get(&pdf).await.unwrap().headers()["content-type"], "application/pdf");
    let first = bytes(&pdf).await;
    // A report that is made anew has another time in it.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(bytes(&links(&clinic, id).await.0).await == first, "it was made anew");
    notes(&clinic, id, "Holds the rail.").await;
    let second = bytes(&links(&clinic, id).await.0).await;
    assert!(second != first && text_of(&second).contains("Holds the rail."));
    assert!(!text_of(&first).contains("Holds the rail."));
    let reports: Vec<_> = program.keys().await.into_iter().filter(|key| key.starts_with("pdf_reports/")).collect();
    assert_eq!(reports, [format!("pdf_reports/user_id=p-1/test_event_{id}.pdf")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_check_each_others_links() {
    let backends = Backends::postgres_and_folder();
    let (one, other) = (Program::start_on(&backends, &[]), Program::start_on(&backends, &[]));
    let clinic = one.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    for link in <[String; 2]>::from(links(&clinic, id).await) {
        let path = link.strip_prefix(one.url()).unwrap();
        assert!(bytes(&format!("{}{path}", other.url())).await == bytes(&link).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_for_one_report_get_the_same() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = uploaded(&clinic).await;
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let clinic = clinic.clone();
            tokio::spawn(async move { bytes(&links(&clinic, id).await.0).await })
        })
        .collect();
    let mut reports = Vec::new();
    for asked in asked {
        reports.push(asked.await.unwrap());
    }
    reports.dedup();
    assert_eq!(reports.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_recording_has_a_report_and_no_csv() {
    let program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let id = fresh_id();
    notes(&clinic, id, "Did not want to stand up.").await;
    let answer = clinic.data(&links_of(id, "p-1"), Value::Null).await["downloadTestEventDetails"].clone();
    assert_eq!(answer["raw_url"], Value::Null);
    let text = text_of(&bytes(answer["pdf_url"].as_str().unwrap()).await);
    assert!(text.contains("Did not want to stand up.") && text.contains("no recording has arrived"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_own_recordings_become_reports() {
    let Some(data) = shared_data() else { return };
    let program = Program::start();
    let patient = "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa";
    let clinic = program.clinic_with(&[patient]).await;
    let id: Uuid = "b645d217-f1f8-4798-bf1f-eb83d92cd7c3".parse().unwrap();
    clinic.upload_and_wait(std::fs::read(data.join(format!("app_sit_to_stand/{id}.json"))).unwrap()).await;
    let answer = clinic.data(&links_of(id, patient), Value::Null).await["downloadTestEventDetails"].clone();
    let csv = bytes(answer["raw_url"].as_str().unwrap()).await;
    assert!(csv.iter().filter(|byte| **byte == b'\n').count() > 100);
    let text = text_of(&bytes(answer["pdf_url"].as_str().unwrap()).await);
    assert!(text.contains("25 April 2023") && text.contains("Recorded signals"), "{text}");
}
