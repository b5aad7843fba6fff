//! SQL over the lake: on the command line, and over HTTP by every role.

use crate::harness::{Answer, Backends, Client, Program, eventually, fresh_id, recording};
use serde_json::{Value, json};
use std::sync::Arc;

/// A clinic with two patients and one patient of another clinic, each with two recordings.
struct Lake {
    program: Program,
    clinic: Client,
    other: Client,
    admin: Client,
}

impl Lake {
    async fn on(backends: &Arc<Backends>, settings: &[(&str, &str)]) -> Self {
        let program = Program::start_on(backends, settings);
        let clinic = program.clinic_with(&["ann", "bob"]).await;
        program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
        program.create_account("admin@example.org", "admin", &[]);
        let other = Client::sign_in(program.url(), "other@example.org").await;
        let admin = Client::sign_in(program.url(), "admin@example.org").await;
        other.adopt("clinic-2", "zoe").await;
        let lake = Self { program, clinic, other, admin };
        for (client, patient) in [(&lake.clinic, "ann"), (&lake.clinic, "bob"), (&lake.other, "zoe")] {
            for _ in 0..2 {
                lake.upload(client, recording(patient, fresh_id(), 0.5, None, 64)).await;
            }
        }
        lake
    }

    async fn upload(&self, client: &Client, document: Value) -> String {
        let id = document["testID"].as_str().unwrap().to_owned();
        assert_eq!(client.upload(document.to_string()).await.status, 202);
        client.await_status(&id, "awaiting_model").await;
        id
    }
}

/// Runs a command to its end: whether it did well, and what it said on standard output and error.
fn command(program: &Program, arguments: &[&str]) -> (bool, String, String) {
    let output = program.command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

async fn ask(client: &Client, sql: &str) -> Answer {
    client.post_json("/v1/query", &json!({ "sql": sql })).await
}

const WHO: &str = "SELECT patient_id, count(*) AS n FROM samples GROUP BY patient_id ORDER BY patient_id";

async fn each_role_sees_what_is_theirs(backends: Arc<Backends>) {
    let lake = Lake::on(&backends, &[]).await;
    let (ann, bob, zoe) = (
        json!({ "patient_id": "ann", "n": 128 }),
        json!({ "patient_id": "bob", "n": 128 }),
        json!({ "patient_id": "zoe", "n": 128 }),
    );
    assert_eq!(ask(&lake.clinic, WHO).await.body, json!([ann, bob]));
    assert_eq!(ask(&lake.other, WHO).await.body, json!([zoe]));
    assert_eq!(ask(&lake.admin, WHO).await.body, json!([ann, bob, zoe]));
    let widened = "SELECT count(*) AS n FROM samples WHERE patient_id = 'zoe' OR true UNION ALL SELECT count(*) FROM recordings ORDER BY 1 DESC";
    assert_eq!(ask(&lake.clinic, widened).await.body, json!([{ "n": 256 }, { "n": 4 }]));

    let noted = "SELECT count(*) FROM audit_records WHERE operation = 'query_lake'";
    assert_eq!(lake.program.count(noted).await, 4);

    lake.program.create_account("ann@example.org", "patient", &["--patient-id", "ann"]);
    let patient = Client::sign_in(lake.program.url(), "ann@example.org").await;
    let answer = ask(&patient, WHO).await;
    assert_eq!((answer.status, answer.code()), (403, "forbidden"));
    assert_eq!(ask(&Client::anonymous(lake.program.url()), WHO).await.status, 401);

    // Who is linked later sees it at once.
    let link =
        "mutation { addPatientToCareProvider(care_provider_id: \"clinic-2\", patient_id: \"ann\") { patient_id } }";
    lake.other.data(link, json!({})).await;
    assert_eq!(ask(&lake.other, WHO).await.body, json!([ann, zoe]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_what_is_theirs_on_a_folder() {
    each_role_sees_what_is_theirs(Backends::embedded()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_what_is_theirs_on_postgres_and_a_bucket() {
    each_role_sees_what_is_theirs(Backends::production().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_format_that_is_asked_for_or_says_what_is_wrong() {
    let lake = Lake::on(&Backends::embedded(), &[("lake.max_rows", "300"), ("lake.deadline_seconds", "5")]).await;
    let one = "SELECT 1 AS a";
    for (accept, kind, body) in [
        ("application/json", "application/json", "[{\"a\":1}]\n"),
        ("*/*", "application/json", "[{\"a\":1}]\n"),
        ("text/csv", "text/csv; charset=utf-8", "a\n1\n"),
        ("image/png, text/plain;q=0.5", "text/plain; charset=utf-8", "+---+\n| a |\n+---+\n| 1 |\n+---+\n"),
    ] {
        let request = lake.clinic.request(reqwest::Method::POST, "/v1/query").header("accept", accept);
        let response = request.json(&json!({ "sql": one })).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], kind);
        assert_eq!(response.text().await.unwrap(), body, "{accept}");
    }
    let arrow = lake.clinic.request(reqwest::Method::POST, "/v1/query").json(&json!({ "sql": one, "format": "arrow" }));
    assert!(arrow.send().await.unwrap().bytes().await.unwrap().starts_with(&[0xff; 4]));
    let refused = |status: u16, code: &'static str| (status, code.to_owned());
    for (body, expected) in [
        (json!({ "sql": "DROP TABLE samples" }), refused(422, "query_refused")),
        (json!({ "sql": "SELECT nothing FROM samples" }), refused(422, "query_refused")),
        (json!({ "sql": "EXPLAIN SELECT * FROM samples" }), refused(422, "query_refused")),
        (json!({ "sql": "SELECT 1 / 0" }), refused(422, "query_failed")),
        (json!({ "sql": "SELECT a.* FROM samples a, samples b" }), refused(422, "result_too_large")),
        (
            json!({ "sql": "SELECT count(*) FROM samples a, samples b, samples c, samples d, samples e" }),
            refused(422, "query_too_slow"),
        ),
        (json!({ "sql": 1 }), refused(422, "invalid_body")),
        (json!({ "sql": one, "format": "xml" }), refused(422, "invalid_body")),
    ] {
        let answer = lake.clinic.post_json("/v1/query", &body).await;
        assert_eq!((answer.status, answer.code().to_owned()), expected, "{body} {answer:?}");
        assert!(!answer.body.to_string().contains("parquet_data"), "{answer:?}");
    }
    let request = lake.clinic.request(reqwest::Method::POST, "/v1/query").header("accept", "image/png");
    assert_eq!(request.json(&json!({ "sql": one })).send().await.unwrap().status(), 406);
    assert_eq!(ask(&lake.clinic, one).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_the_lake_beside_a_running_server() {
    for backends in [Backends::embedded(), Backends::production().await] {
        let lake = Lake::on(&backends, &[]).await;
        let (done, out, summary) = command(&lake.program, &["query", WHO, "--format", "csv"]);
        assert!(done, "{summary}");
        assert_eq!(out, "patient_id,n\nann,128\nbob,128\nzoe,128\n");
        assert!(summary.contains("3 rows from 6 files"), "{summary}");
        let explain = "EXPLAIN SELECT ax FROM samples WHERE patient_id = 'ann'";
        let (_, explained, _) = command(&lake.program, &["query", explain]);
        assert!(explained.contains("user_id=ann") && !explained.contains("user_id=bob"), "{explained}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        let to_file = ["--format", "json", "--output", file.to_str().unwrap()];
        let (done, ..) =
            command(&lake.program, &[&["query", "SELECT count(*) AS n FROM samples"], &to_file[..]].concat());
        assert!(done);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[{\"n\":384}]\n");
        for (arguments, reason) in [
            (&["query", "DELETE FROM samples"][..], "stance: only SELECT is run\n"),
            (&["query", "SELECT * FROM samples", "--max-rows", "10"], "more than 10 rows"),
            (&["query", "SELECT 1", "--format", "xml"], "none of table, csv, json and arrow"),
        ] {
            let (done, _, refused) = command(&lake.program, arguments);
            assert!(!done && refused.contains(reason), "{refused}");
        }
        let (done, said, _) = command(&lake.program, &["compact"]);
        assert_eq!(
            (done, said.as_str()),
            (true, "6 recordings were compacted into 3 files; 0 old files were removed\n")
        );
        let (_, out, summary) = command(&lake.program, &["query", WHO, "--format", "csv"]);
        assert_eq!(out, "patient_id,n\nann,128\nbob,128\nzoe,128\n");
        assert!(summary.contains("3 rows from 3 files"), "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_is_killed_leaves_nothing_out_and_is_done_by_the_next_process() {
    let settings = [("lake.compact_every_seconds", "1"), ("lake.compact_recordings", "1")];
    let mut lake = Lake::on(&Backends::embedded(), &settings).await;
    eventually("the lake is compacted", || async {
        (lake.program.count("SELECT count(*) FROM recordings WHERE lake_file IS NULL").await == 0).then_some(())
    })
    .await;
    let all = json!([{ "n": 384 }]);
    let count = "SELECT count(*) AS n FROM samples";
    assert_eq!(ask(&lake.admin, count).await.body, all);
    lake.program.kill();
    lake.program.resume_with_failpoints("compaction=sleep(600000)");
    let clinic = lake.clinic.at(lake.program.url());
    let id = fresh_id().to_string();
    assert_eq!(clinic.upload(recording("ann", id.parse().unwrap(), 0.5, None, 64).to_string()).await.status, 202);
    clinic.await_status(&id, "awaiting_model").await;
    eventually("a file is made", || async {
        (lake.program.count("SELECT count(*) FROM lake_files WHERE state = 'making'").await > 0).then_some(())
    })
    .await;
    let all = json!([{ "n": 448 }]);
    assert_eq!(ask(&lake.admin.at(lake.program.url()), count).await.body, all, "while it is under way");
    lake.program.kill();
    lake.program.resume();
    assert_eq!(ask(&lake.admin.at(lake.program.url()), count).await.body, all, "after it died");
    eventually("the lake is compacted again", || async {
        (lake.program.count("SELECT count(*) FROM recordings WHERE lake_file IS NULL").await == 0).then_some(())
    })
    .await;
    assert_eq!(ask(&lake.admin.at(lake.program.url()), count).await.body, all);
    assert_eq!(lake.program.count("SELECT count(*) FROM lake_files WHERE state = 'live'").await, 3);
}
