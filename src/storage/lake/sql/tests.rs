//! What a reader sees, and what a query costs at most, on the folder and on moto. (s3s-fs keeps an object's metadata in a file
//! whose name is too long for the keys of Parquet files.)

mod fixture;
mod results;

use super::*;
use crate::storage::objects::tests::stores::{self, Store};
pub(in crate::storage::lake) use fixture::{Lake, SAMPLES, id, patient};
use serde_json::json;
use std::time::Instant as StdInstant;

/// The result as CSV without its header, and what it cost.
async fn ask(engine: &DataFusion, scope: &LakeScope, sql: &str) -> Result<(String, Cost), QueryError> {
    let mut answer = engine.query(sql.to_owned(), scope.clone(), Allowed::Select).await?;
    let mut encoder = Encoder::new(Format::Csv, &answer.schema, Bounds::of_a_file(answer.most_bytes))?;
    let mut text = Vec::new();
    while let Some(batch) = answer.next().await? {
        text.extend(encoder.rows(batch)?);
    }
    text.extend(encoder.end()?);
    let text = String::from_utf8(text).unwrap();
    Ok((text.split_once('\n').map_or("", |(_, rows)| rows).to_owned(), answer.cost()))
}

pub(in crate::storage::lake) async fn rows(engine: &DataFusion, sql: &str) -> String {
    ask(engine, &LakeScope::Everyone, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).0
}

/// Two patients, two movements, three months.
async fn small(store: Store) -> Lake {
    let lake = Lake::on(store).await;
    for (n, who, movement, month, day) in [
        (1, "p-1", "sit-to-stand", 1, 5),
        (2, "p-1", "sit-to-stand", 1, 6),
        (3, "p-1", "sit-to-stand", 2, 5),
        (4, "p-1", "gait", 3, 5),
        (5, "us-west-2:p 2%", "sit-to-stand", 1, 5),
    ] {
        lake.add(n, who, movement, month, day).await;
    }
    lake
}

async fn the_range_of_an_axis_by_day_and_all_that_is_known_of_a_sample(store: Store) {
    let lake = small(store).await;
    let engine = lake.engine();
    let range = "SELECT month, day, min(ax), max(ay), count(*) FROM samples WHERE patient_id = 'p-1' AND movement = 'sit-to-stand'
                 GROUP BY year, month, day ORDER BY 1, 2";
    assert_eq!(rows(&engine, range).await, "1,5,1.0,49.0,50\n1,6,2.0,49.0,50\n2,5,3.0,49.0,50\n");
    let one = rows(&engine, "SELECT * FROM samples WHERE ax = 5 AND ay = 7").await;
    let expected = "us-west-2:p 2%,sit-to-stand,2026,1,5,00000000-0000-0000-0000-000000000005,2026-01-05T11:00:00.070Z,\
                    5.0,7.0,7.0,5.0,5.0,5.0,5.0,5.0,5.0,60\n";
    assert_eq!(one, expected);
    let joined = "SELECT r.status, r.samples, count(*) FROM recordings r JOIN samples s USING (test_event_id)
                  WHERE s.patient_id = 'p-1' AND r.month = 3 GROUP BY 1, 2";
    assert_eq!(rows(&engine, joined).await, "awaiting_model,50,50\n");
    assert_eq!(rows(&engine, "SELECT count(*) FROM samples").await, "250\n");
}

async fn files_that_conditions_leave_out_are_not_read(store: Store) {
    let lake = small(store).await;
    let engine = lake.engine();
    let everyone = LakeScope::Everyone;
    let (_, all) = ask(&engine, &everyone, "SELECT sum(ax) FROM samples").await.unwrap();
    assert_eq!(all.files, 5);
    for (condition, files) in [
        ("patient_id = 'p-1'", 4),
        ("patient_id IN ('p-1', 'nobody')", 4),
        ("movement = 'gait'", 1),
        ("year = 2026 AND month = 1", 3),
        ("year * 100 + month >= 202602", 2),
        ("month = 1 AND day > 5 AND patient_id LIKE 'p%'", 1),
        ("test_event_id = '00000000-0000-0000-0000-000000000003'", 1),
        ("patient_id = 'nobody'", 0),
        ("year < 2026", 0),
        ("test_event_id = 'no id'", 0),
    ] {
        let (_, cost) =
            ask(&engine, &everyone, &format!("SELECT sum(ax) FROM samples WHERE {condition}")).await.unwrap();
        assert_eq!(cost.files, files, "{condition}");
        assert!(cost.bytes * 5 <= all.bytes * (files + 1), "{condition}: {} of {}", cost.bytes, all.bytes);
    }
    let (_, columns) = ask(&engine, &everyone, "SELECT * FROM samples").await.unwrap();
    assert!(all.bytes <= columns.bytes, "{} of {}", all.bytes, columns.bytes);
}

stores::on_each_store! {
    the_range_of_an_axis_by_day_and_all_that_is_known_of_a_sample
    files_that_conditions_leave_out_are_not_read
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_written_widens_what_a_care_provider_sees() {
    let lake = small(stores::folder()).await;
    let (scope, nobody) = (lake.link("clinic-1", &["p-1"]).await, lake.link("clinic-2", &[]).await);
    let engine = lake.engine();
    for sql in [
        "SELECT patient_id FROM samples",
        "SELECT patient_id FROM recordings",
        "SELECT patient_id FROM samples WHERE patient_id = 'us-west-2:p 2%' OR true",
        "SELECT patient_id FROM samples WHERE patient_id IN ('us-west-2:p 2%', 'p-1')",
        "SELECT patient_id FROM samples WHERE test_event_id = '00000000-0000-0000-0000-000000000005'",
        "SELECT patient_id FROM recordings WHERE test_event_id = '00000000-0000-0000-0000-000000000005' OR 1 = 1",
        "WITH s AS (SELECT * FROM samples) SELECT patient_id FROM s",
        "WITH samples AS (SELECT * FROM samples) SELECT patient_id FROM samples",
        "SELECT patient_id FROM (SELECT * FROM samples AS a) AS b",
        "SELECT b.patient_id FROM samples a FULL JOIN samples b ON a.ts = b.ts AND a.ay = b.ay",
        "SELECT patient_id FROM samples UNION ALL SELECT patient_id FROM recordings",
        "SELECT patient_id FROM samples EXCEPT SELECT 'x'",
        "SELECT (SELECT max(patient_id) FROM samples)",
        "SELECT patient_id FROM samples s WHERE EXISTS (SELECT 1 FROM samples t WHERE t.patient_id <> s.patient_id) OR true",
        "SELECT first_value(patient_id) OVER (ORDER BY patient_id DESC) FROM samples",
        "SELECT patient_id FROM datafusion.public.samples",
        "SELECT patient_id FROM samples -- WHERE nothing\n",
        "TABLE samples",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM pg_catalog.pg_tables",
        "SELECT * FROM \"parquet_data/patient_tests\"",
        "SELECT * FROM 'lake://objects/parquet_data'",
        "SELECT input_file_name() FROM samples",
        "CREATE VIEW v AS SELECT * FROM samples; SELECT * FROM v",
        "SELECT patient_id FROM samples LIMIT 1; SELECT 1",
    ] {
        match ask(&engine, &scope, sql).await {
            Ok((rows, _)) => assert!(!rows.contains("us-west"), "{sql}: {rows}"),
            Err(QueryError::Refused(_)) => {}
            Err(error) => panic!("{sql}: {error:?}"),
        }
        if let Ok((rows, _)) = ask(&engine, &nobody, sql).await {
            assert!(rows.trim().trim_matches('"').is_empty(), "{sql}: {rows}");
        }
    }
    assert_eq!(ask(&engine, &scope, "SELECT count(*) FROM samples").await.unwrap().0, "200\n");
    assert_eq!(ask(&engine, &nobody, "SELECT count(*) FROM samples").await.unwrap().0, "0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reading_is_done() {
    let lake = small(stores::folder()).await;
    let engine = lake.engine();
    for sql in [
        "",
        "nonsense",
        "SELECT",
        "DROP TABLE samples",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        "INSERT INTO samples SELECT * FROM samples",
        "DELETE FROM samples",
        "UPDATE recordings SET score = 100",
        "TRUNCATE samples",
        "COPY samples TO '/tmp/stolen.csv'",
        "COPY (SELECT 1) TO 's3://elsewhere/x'",
        "SELECT * INTO t FROM samples",
        "SET datafusion.execution.target_partitions = 1000",
        "RESET datafusion.execution.target_partitions",
        "SHOW TABLES",
        "SHOW ALL",
        "DESCRIBE samples",
        "EXPLAIN SELECT 1",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "SELECT $1",
        "SELECT * FROM generate_series(1, 10)",
        "SELECT * FROM range(1, 10)",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM samples",
        "SELECT nofunction(ax) FROM samples",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
    ] {
        let refused = ask(&engine, &LakeScope::Everyone, sql).await;
        assert!(matches!(refused, Err(QueryError::Refused(_))), "{sql}: {refused:?}");
    }
    let explained = engine.query("EXPLAIN ANALYZE SELECT 1".to_owned(), LakeScope::Everyone, Allowed::Explain).await;
    assert!(explained.is_ok(), "the operator may: {explained:?}");
    let not_even = "EXPLAIN DROP TABLE samples".to_owned();
    assert!(engine.query(not_even, LakeScope::Everyone, Allowed::Explain).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_meant_to_do_harm_ends_with_an_error_and_harms_nobody() {
    let lake = small(stores::folder()).await;
    let engine = lake.engine_within(|limits| limits.deadline = Duration::from_secs(4));
    let nested = |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    let ctes: String =
        (1..40).map(|n| format!(", c{n} AS (SELECT * FROM c{0} UNION ALL SELECT * FROM c{0})", n - 1)).collect();
    let subqueries = format!("SELECT * FROM {}samples{}", "(SELECT * FROM ".repeat(200), ")".repeat(200));
    let cross = |times: usize| format!("SELECT count(*) FROM samples {}", ", samples ".repeat(times));
    let texts = [
        format!("SELECT {}", nested("(", ")", 3_000)),
        format!("SELECT {}", nested("abs(", ")", 1_500)),
        format!("SELECT {} 1", "NOT ".repeat(2_000)),
        format!("SELECT {}1", "- ".repeat(3_000)),
        format!("SELECT CASE WHEN true THEN {} END", nested("CASE WHEN true THEN ", " END", 200)),
        subqueries,
        format!("WITH c0 AS (SELECT 1 AS a){ctes} SELECT count(*) FROM c39"),
        format!("SELECT '{}'", "x".repeat(20_000)),
        "SELECT repeat('x', 1000000000)".to_owned(),
        "SELECT lpad('x', 1000000000, 'y')".to_owned(),
        "SELECT concat(a, a) FROM (SELECT 'x' AS a)".to_owned(),
        "SELECT a || a FROM (SELECT 'x' AS a)".to_owned(),
        "SELECT array_agg(ax) FROM samples".to_owned(),
        "SELECT string_agg(patient_id, ',') FROM samples".to_owned(),
        "SELECT generate_series(1, 10000000000)".to_owned(),
        "SELECT count(*) FROM generate_series(1, 10000000000)".to_owned(),
        "SELECT unnest(range(1, 10000000000))".to_owned(),
        cross(9),
        cross(40),
        "SELECT a.ts FROM samples a, samples b, samples c, samples d ORDER BY b.ax + c.ax".to_owned(),
        "SELECT sum(a.ax) OVER (ORDER BY d.ax ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
         FROM samples a, samples b, samples c, samples d".to_owned(),
        "SELECT count(DISTINCT a.ax + 1e3 * b.ay + 1e6 * c.ay + 1e9 * d.ay) FROM samples a, samples b, samples c, samples d".to_owned(),
        "SELECT count(*) FROM samples a, samples b, samples c, samples d
         WHERE regexp_like(a.patient_id, '(((x+x+)+)+)+y') OR b.ax + c.ax + d.ax < 0".to_owned(),
        "SELECT regexp_like(patient_id, '((((a{1,100}){1,100}){1,100}){1,100}){1,100}') FROM samples".to_owned(),
        "SELECT 1 / 0".to_owned(),
        "SELECT CAST('x' AS INT)".to_owned(),
        "SELECT * FROM samples a, samples b".to_owned(),
    ];
    for sql in texts {
        let shown: String = sql.chars().take(80).collect();
        let begun = StdInstant::now();
        let error = ask(&engine, &LakeScope::Everyone, &sql).await;
        let error = error.map(|(rows, _)| rows.len()).expect_err(&shown);
        assert!(!matches!(error, QueryError::Internal(_) | QueryError::Busy), "{shown}: {error:?}");
        assert!(error.to_string().len() < 500, "{shown}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{shown}: {:?}", begun.elapsed());
    }
    assert_eq!(rows(&engine, "SELECT count(*) FROM samples").await, "250\n");
    // This one takes its time, but no stack.
    let longest = ask(&engine, &LakeScope::Everyone, &format!("SELECT {}", vec!["1"; 3_000].join("+"))).await;
    assert!(matches!(longest, Ok(_) | Err(QueryError::TooSlow | QueryError::Refused(_))), "{longest:?}");
    // What is deep and may be is answered.
    let long = vec!["1"; 300].join("+");
    assert_eq!(rows(&engine, &format!("SELECT {long}")).await, "300\n");
    let conditions = vec!["ax = 1"; 500].join(" OR ");
    assert_eq!(rows(&engine, &format!("SELECT count(*) FROM samples WHERE {conditions}")).await, "50\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_is_told_by_its_name() {
    let lake = small(stores::folder()).await;
    let everyone = LakeScope::Everyone;
    let all = "SELECT * FROM samples";
    let few_rows = lake.engine_within(|limits| limits.rows = 249);
    assert!(matches!(ask(&few_rows, &everyone, all).await, Err(QueryError::Rows(249))));
    let few_bytes = lake.engine_within(|limits| limits.bytes = 1_000);
    assert!(matches!(ask(&few_bytes, &everyone, all).await, Err(QueryError::Bytes(1_000))));
    let few_files = lake.engine_within(|limits| limits.files = 4);
    assert!(matches!(ask(&few_files, &everyone, all).await, Err(QueryError::Files(4))));
    assert!(matches!(ask(&few_files, &everyone, "SELECT * FROM recordings").await, Err(QueryError::Files(4))));
    assert!(ask(&few_files, &everyone, "SELECT * FROM samples WHERE patient_id = 'p-1'").await.is_ok());
    let little = lake.engine_within(|limits| limits.memory_bytes = 1 << 20);
    let sorted = "SELECT a.ts FROM samples a, samples b ORDER BY a.ax + b.ay, a.ts, b.ts";
    assert!(matches!(ask(&little, &everyone, sorted).await, Err(QueryError::Memory)));
    for window in [
        "sum(b.ax) OVER ()",
        "sum(b.ax) OVER (ORDER BY b.ay ROWS BETWEEN 10000000 PRECEDING AND CURRENT ROW)",
        "lead(b.ax, 10000000) OVER (ORDER BY b.ay)",
    ] {
        let gathered = format!("SELECT count(w) FROM (SELECT {window} AS w FROM samples a, samples b, samples c)");
        let gathered = ask(&little, &everyone, &gathered).await;
        assert!(matches!(gathered, Err(QueryError::Memory | QueryError::Refused(_))), "{window}: {gathered:?}");
    }
    let moving = "SELECT count(w) FROM (SELECT avg(ay) OVER (PARTITION BY test_event_id ORDER BY ts
                  ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS w FROM samples)";
    assert_eq!(rows(&lake.engine(), moving).await, "250\n");

    let one_at_once = lake.engine_within(|limits| limits.at_once = 1);
    let under_way = one_at_once.query(all.to_owned(), everyone.clone(), Allowed::Select).await.unwrap();
    assert!(matches!(ask(&one_at_once, &everyone, "SELECT 1").await, Err(QueryError::Busy)));
    drop(under_way);
    let begun = StdInstant::now();
    while ask(&one_at_once, &everyone, "SELECT 1").await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "what nobody waits for is stopped");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let impatient = lake.engine_within(|limits| limits.deadline = Duration::from_millis(300));
    let mut slow = impatient.query(all.to_owned(), everyone.clone(), Allowed::Select).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let mut end = slow.next().await;
    while let Ok(Some(_)) = end {
        end = slow.next().await;
    }
    let ended = matches!(end, Ok(None) | Err(_));
    assert!(ended);
    assert!(ask(&impatient, &everyone, "SELECT 1").await.is_ok(), "its place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_written_in_each_format() {
    let lake = small(stores::folder()).await;
    let engine = lake.engine();
    let sql = "SELECT patient_id AS who, count(*) AS n, max(ax) AS \"a,b\", NULL AS nothing FROM samples GROUP BY 1 ORDER BY 1";
    let write = async |format, sql: &str| {
        let mut answer = engine.query(sql.to_owned(), LakeScope::Everyone, Allowed::Select).await.unwrap();
        let mut encoder = Encoder::new(format, &answer.schema, Bounds::of_a_file(answer.most_bytes)).unwrap();
        let mut bytes = Vec::new();
        while let Some(batch) = answer.next().await.unwrap() {
            bytes.extend(encoder.rows(batch).unwrap());
        }
        bytes.extend(encoder.end().unwrap());
        bytes
    };
    let text = async |format, sql: &str| String::from_utf8(write(format, sql).await).unwrap();
    assert_eq!(text(Format::Csv, sql).await, "who,n,\"a,b\",nothing\np-1,200,4.0,\nus-west-2:p 2%,50,5.0,\n");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text(Format::Json, sql).await).unwrap(),
        json!([{ "who": "p-1", "n": 200, "a,b": 4.0, "nothing": null }, { "who": "us-west-2:p 2%", "n": 50, "a,b": 5.0, "nothing": null }])
    );
    let table = text(Format::Table, sql).await;
    assert!(table.contains("| p-1            | 200 | 4.0 |"), "{table}");
    let arrow =
        arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(write(Format::Arrow, sql).await), None).unwrap();
    assert_eq!(arrow.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    let none = "SELECT patient_id FROM samples WHERE patient_id = 'nobody'";
    assert_eq!(text(Format::Csv, none).await, "patient_id\n");
    assert_eq!(text(Format::Json, none).await, "[]\n");
    assert!(text(Format::Table, none).await.contains("patient_id"));
}
