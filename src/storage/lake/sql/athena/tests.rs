//! What is sent to Athena, and what is made of its answers: moto takes queries and answers with what it was told.

use super::*;
use crate::storage::lake::sql::tests::Lake;
use crate::storage::objects::tests::stores;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, visit_relations};
use serde_json::{Value as Json, json};
use stance_testkit::faults::{Mode, Proxy};
use std::net::SocketAddr;
use std::ops::ControlFlow;

fn settings() -> AthenaSettings {
    AthenaSettings {
        database: "stance".to_owned(),
        table: "samples".to_owned(),
        workgroup: None,
        output: Some("s3://results/athena/".to_owned()),
        endpoint: None,
        region: Some("eu-west-3".to_owned()),
    }
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        deadline: Duration::from_secs(20),
        rows: 10,
        bytes: 1 << 20,
        files: 100,
        at_once: 2,
        threads: 1,
    }
}

async fn two_patients() -> Lake {
    let lake = Lake::on(stores::folder()).await;
    lake.add(1, "p-1", "sit-to-stand", 1, 5).await;
    lake.add(2, "o'b", "sit-to-stand", 1, 5).await;
    lake
}

async fn sent(lake: &Lake, scope: &LakeScope, sql: &str) -> Result<String, QueryError> {
    let reader = Reader {
        database: lake.database.clone(),
        objects: lake.objects.clone(),
        scope: scope.clone(),
        most: 100,
        counts: Arc::default(),
    };
    restricted(&reader, &limits(), &settings(), sql).await.map(|(text, _)| text)
}

/// A text as Athena's lexer takes it apart, by the grammar of its documentation: what stands outside of quotes, and each text
/// and each name in quotes. A doubled quote is one; a backslash is a letter like any other.
fn as_athena_reads(sql: &str) -> (String, Vec<String>, Vec<String>) {
    let (mut outside, mut texts, mut names) = (String::new(), Vec::new(), Vec::new());
    let mut letters = sql.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\'' && letter != '"' {
            outside.push(letter);
            continue;
        }
        let mut inside = String::new();
        loop {
            match letters.next().expect("a quote that is closed") {
                end if end == letter && letters.next_if_eq(&letter).is_none() => break,
                inner => inside.push(inner),
            }
        }
        if letter == '"' { names.push(inside) } else { texts.push(inside) }
    }
    (outside, texts, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_or_a_name_that_a_reader_writes_stays_one() {
    const EVIL: &str = "x\\') OR (1=1) --";
    let lake = two_patients().await;
    lake.add(3, EVIL, "sit-to-stand", 1, 5).await;
    let scope = lake.link("clinic-1", &["o'b", EVIL]).await;
    for (written, meant) in [
        (r"x\'' UNION ALL SELECT ax FROM stance.samples --", r"x\' UNION ALL SELECT ax FROM stance.samples --"),
        ("''''", "''"),
        (r"\''''\''", r"\''\'"),
        (r"\", r"\"),
        ("a''''b''c", "a''b'c"),
        ("''", "'"),
        ("$$''$$ /* '' -- ", "$$'$$ /* ' -- "),
    ] {
        for sql in [
            format!("SELECT ax FROM samples WHERE movement = '{written}'"),
            format!("SELECT ax, '{written}' AS note FROM samples WHERE movement LIKE '%{written}%'"),
            format!("SELECT max(CASE WHEN movement IN ('a', '{written}') THEN ax END) AS most FROM samples"),
        ] {
            let text = sent(&lake, &scope, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let (outside, texts, names) = as_athena_reads(&text);
            assert!(texts.iter().any(|text| text.contains(meant)), "{sql}: {texts:?}");
            assert!(texts.contains(&EVIL.to_owned()) && texts.contains(&"o'b".to_owned()), "{texts:?}");
            assert_eq!(names.iter().filter(|name| *name == "stance").count(), 1, "{sql}: {names:?}");
            for word in ["stance", "UNION", "--", "/*", "1=1", "1 = 1"] {
                assert!(!outside.contains(word), "{sql}: {outside}");
            }
        }
    }
    for name in [r#"a\"" FROM stance.samples --"#, r#"a"" FROM stance.samples --"#, r"a\", r#""""#] {
        for sql in [
            format!("SELECT ax AS \"{name}\" FROM samples"),
            format!("SELECT s.\"{name}\" FROM (SELECT ax AS \"{name}\" FROM samples) AS s"),
            format!("SELECT \"{name}\".ax FROM samples AS \"{name}\""),
            format!("WITH \"{name}\" AS (SELECT * FROM samples) SELECT ax FROM \"{name}\""),
        ] {
            let refused = sent(&lake, &scope, &sql).await;
            assert!(
                matches!(&refused, Err(QueryError::Refused(reason)) if reason.contains("backslash")),
                "{sql}: {refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_researchers_ask_can_be_written_for_athena() {
    let lake = two_patients().await;
    for sql in [
        "SELECT year, month, day, min(ay), max(ay) FROM samples WHERE patient_id = 'p-1' AND movement = 'sit-to-stand' GROUP BY 1, 2, 3",
        "SELECT ts, ay - lag(ay) OVER (PARTITION BY test_event_id ORDER BY ts) AS step FROM samples WHERE ax > -1.5",
        "SELECT date_trunc('hour', ts) AS hour, stddev(az) AS d FROM samples WHERE ts >= '2026-01-01T00:00:00Z' GROUP BY 1 ORDER BY 1 LIMIT 5",
        "SELECT count(*) FROM samples WHERE year BETWEEN 2025 AND 2026 AND movement LIKE 'sit%' AND NOT (ax IS NULL OR ay < 0)",
        "SELECT a.ax, b.ay FROM samples a JOIN samples b USING (test_event_id, ts) WHERE a.patient_id IN ('p-1', 'o''b')",
        "SELECT CAST(ax AS int) AS n, CASE WHEN ay > 1e3 THEN 'high' ELSE 'low' END AS level FROM samples UNION ALL SELECT 1, 'x'",
        "SELECT ax FROM samples WHERE ts > TIMESTAMP '2026-01-01 00:00:00' - INTERVAL '1 day'",
        "SELECT DISTINCT EXTRACT(year FROM ts) AS y FROM samples",
        "SELECT ax FROM samples WHERE ax > (SELECT avg(ax) FROM samples)",
    ] {
        let text = sent(&lake, &LakeScope::Everyone, sql).await;
        assert!(text.is_ok(), "{sql}: {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_reads_nothing_but_the_readers_patients() {
    let lake = two_patients().await;
    let scope = lake.link("clinic-1", &["o'b"]).await;
    let all = sent(&lake, &LakeScope::Everyone, "SELECT movement, max(ax) FROM samples WHERE ay > 1 GROUP BY movement")
        .await
        .unwrap();
    assert!(all.starts_with("WITH samples AS (SELECT patient_id, "), "{all}");
    assert!(all.contains("FROM \"stance\".\"samples\" WHERE patient_id IN ('o''b', 'p-1'))"), "{all}");
    let named = sent(&lake, &LakeScope::Everyone, "SELECT ax FROM samples WHERE patient_id = 'p-1'").await.unwrap();
    assert!(named.contains("patient_id IN ('p-1'))"), "{named}");
    for sql in [
        "SELECT ax FROM samples",
        "SELECT ax FROM samples WHERE patient_id = 'p-1' OR true",
        "SELECT ax FROM samples WHERE patient_id IN ('p-1', 'o''b') -- '",
        "WITH samples AS (SELECT * FROM samples) SELECT ax FROM samples",
        "SELECT s.ax FROM (SELECT * FROM samples) AS s UNION ALL SELECT ay FROM samples",
        "SELECT ax FROM samples WHERE movement = 'x'') SELECT * FROM \"stance\".\"samples\" --'",
        "SELECT a.ax AS \"x\"\", y FROM stance.samples --\" FROM samples a JOIN samples b USING (test_event_id)",
        "SELECT ax FROM samples WHERE ax > (SELECT avg(ax) FROM samples)",
    ] {
        let text = match sent(&lake, &scope, sql).await {
            Ok(text) => text,
            Err(QueryError::Refused(_)) => continue,
            Err(error) => panic!("{sql}: {error:?}"),
        };
        assert!(text.contains("patient_id IN ('o''b'))"), "{sql}: {text}");
        // Read as Athena does, it names the table once: in our expression.
        let statement = DFParser::parse_sql(&text).unwrap().pop_front().unwrap();
        let Statement::Statement(statement) = statement else { panic!("{text}") };
        let mut names = Vec::new();
        let _ = visit_relations(&*statement, |name: &ObjectName| {
            names.push(name.to_string().replace('"', ""));
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(names.iter().filter(|name| *name == "stance.samples").count(), 1, "{sql}: {text}");
        assert!(names.iter().all(|name| name == "stance.samples" || name == "samples"), "{sql}: {text}");
    }
    for sql in [
        "SELECT * FROM stance.samples",
        "SELECT * FROM public.samples",
        "SELECT * FROM recordings",
        "DROP TABLE samples",
        "SELECT 1; SELECT 2",
        "SELECT * FROM samples, information_schema.tables",
    ] {
        let refused = sent(&lake, &scope, sql).await;
        assert!(matches!(refused, Err(QueryError::Refused(_))), "{sql}: {refused:?}");
    }
    let none = lake.link("clinic-2", &[]).await;
    assert!(sent(&lake, &none, "SELECT ax FROM samples").await.unwrap().contains("WHERE 1 = 0)"));
}

/// Athena at that address.
async fn athena(lake: &Lake, address: SocketAddr, change: impl FnOnce(&mut Limits)) -> Athena {
    let mut limits = limits();
    change(&mut limits);
    let settings = AthenaSettings { endpoint: Some(format!("http://{address}")), ..settings() };
    let credentials = crate::storage::aws::Credentials::new("test-access-key", "test-secret-key", None, None, "test");
    Athena::connect_as(
        settings,
        lake.database.clone(),
        lake.objects.clone(),
        limits,
        Entropy::from_seed(1),
        Some(credentials),
    )
    .await
    .unwrap()
}

/// What moto answers to the next query.
async fn prepare(address: SocketAddr, columns: &[&str], rows: &[Vec<Option<&str>>]) {
    let data = |texts: &mut dyn Iterator<Item = Option<&str>>| -> Json {
        let data: Vec<Json> =
            texts.map(|text| text.map_or(json!({}), |text| json!({ "VarCharValue": text }))).collect();
        json!({ "Data": data })
    };
    let mut all = vec![data(&mut columns.iter().copied().map(Some))];
    all.extend(rows.iter().map(|row| data(&mut row.iter().copied())));
    let columns: Vec<Json> = columns.iter().map(|name| json!({ "Name": name, "Type": "varchar" })).collect();
    let results = json!({ "region": "eu-west-3", "results": [{ "rows": all, "column_info": columns }] });
    let url = format!("http://{address}/moto-api/static/athena/query-results");
    reqwest::Client::new().post(url).json(&results).send().await.unwrap().error_for_status().unwrap();
}

async fn all(athena: &Athena, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let mut answer = athena.query(sql.to_owned(), LakeScope::Everyone).await?;
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await? {
        batches.push(batch);
    }
    Ok(batches)
}

/// One test: moto hands out what is prepared to whoever asks next.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_started_awaited_read_and_its_faults_are_told() {
    let lake = two_patients().await;
    let shared = tokio::task::spawn_blocking(|| stance_testkit::s3::moto().unwrap()).await.unwrap();
    let moto: SocketAddr = shared.state().parse().unwrap();
    let sql = "SELECT patient_id, ts, max(ax) AS most, count(*) AS n FROM samples GROUP BY patient_id, ts";
    let columns = ["patient_id", "ts", "most", "n"];
    let row = vec![Some("p-1"), Some("2026-01-05 11:00:00.070000 UTC"), Some("1.5"), Some("50")];
    let here = athena(&lake, moto, |_| {}).await;

    prepare(moto, &columns, &[row.clone(), vec![Some("o'b"), None, None, Some("0")]]).await;
    let batches = all(&here, sql).await.unwrap();
    let table = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    assert!(table.contains("| p-1        | 2026-01-05T11:00:00.070Z | 1.5  | 50 |"), "{table}");
    assert!(table.contains("| o'b        |                          |      | 0  |"), "{table}");
    assert!(matches!(all(&here, "SELECT nothing FROM samples").await, Err(QueryError::Refused(_))));

    prepare(moto, &columns, &vec![row.clone(); 11]).await;
    assert!(matches!(all(&here, sql).await, Err(QueryError::Rows(10))));
    prepare(moto, &columns, &[vec![Some("p-1"), None, Some("no number"), Some("0")]]).await;
    assert!(matches!(all(&here, sql).await, Err(QueryError::Internal(_))));

    // The way to Athena is disturbed.
    let road = Proxy::http(moto).await.unwrap();
    let there = athena(&lake, road.address(), |limits| limits.deadline = Duration::from_secs(6)).await;
    for mode in [Mode::Refuse, Mode::Status(500), Mode::Status(503), Mode::TruncateBody] {
        road.set(mode.clone());
        let failed = all(&there, sql).await;
        assert!(matches!(failed, Err(QueryError::Away(_) | QueryError::TooSlow)), "{mode:?}: {failed:?}");
    }
    road.set(Mode::Delay(Duration::from_millis(300)));
    prepare(moto, &columns, std::slice::from_ref(&row)).await;
    assert_eq!(all(&there, sql).await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);

    // A query that does not end is stopped at Athena, when its time is over and when nobody waits for it.
    let transition = |progression: Json| {
        let body = json!({ "model_name": "athena::execution", "transition": progression });
        let url = format!("http://{moto}/moto-api/state-manager/set-transition");
        async move { reqwest::Client::new().post(url).json(&body).send().await.unwrap().error_for_status().unwrap() }
    };
    transition(json!({ "progression": "manual", "times": 1_000 })).await;
    let impatient = athena(&lake, moto, |limits| limits.deadline = Duration::from_secs(1)).await;
    assert!(matches!(all(&impatient, sql).await, Err(QueryError::TooSlow)));
    let left = here.query(sql.to_owned(), LakeScope::Everyone).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(left);
    let begun = std::time::Instant::now();
    loop {
        let mut cancelled = 0;
        for id in here.0.client.list_query_executions().send().await.unwrap().query_execution_ids() {
            let query = here.0.client.get_query_execution().query_execution_id(id).send().await.unwrap();
            let state = query.query_execution.unwrap().status.unwrap().state;
            cancelled += usize::from(state == Some(QueryExecutionState::Cancelled));
        }
        if cancelled == 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{cancelled} were stopped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    transition(json!({ "progression": "immediate" })).await;
}
