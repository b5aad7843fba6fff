//! What of a result is bounded, and what ends it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_bounded_as_it_is_written() {
    let lake = small(stores::folder()).await;
    let engine = lake.engine_within(|limits| limits.bytes = 4 << 20);
    let encode = async |format: Format, sql: &str| {
        let mut encoded = engine.query(sql.to_owned(), LakeScope::Everyone, Allowed::Select).await?.encode(format)?;
        let mut bytes = Vec::new();
        while let Some(piece) = encoded.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, QueryError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let table = encode(Format::Table, "SELECT 1 AS a UNION ALL SELECT 1").await.unwrap();
    assert_eq!(table, "+---+\n| a |\n+---+\n| 1 |\n| 1 |\n+---+\n");
    let many = "SELECT a.day FROM samples a, samples b";
    assert!(matches!(encode(Format::Table, many).await, Err(QueryError::Table)));
    assert_eq!(encode(Format::Csv, many).await.unwrap().lines().count(), 62_501);
    let columns: Vec<String> = (0..60).map(|n| format!("a.day AS c{n}")).collect();
    let wide = format!("SELECT {} FROM samples a, samples b LIMIT 4000", columns.join(", "));
    assert!(matches!(encode(Format::Table, &wide).await, Err(QueryError::Table)));
    assert_eq!(encode(Format::Csv, &wide).await.unwrap().lines().count(), 4_001);
    // Small in memory: what is written of it is not.
    let long = format!("SELECT a.day AS \"{}\" FROM samples a, samples b LIMIT 4000", "n".repeat(3_000));
    for format in [Format::Table, Format::Json] {
        let refused = encode(format, &long).await;
        assert!(matches!(refused, Err(QueryError::Bytes(_))), "{format:?} {refused:?}");
    }
    for format in [Format::Csv, Format::Arrow] {
        assert!(encode(format, &long).await.unwrap().len() < 100_000, "{format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_takes_holds_its_place_until_its_deadline() {
    let lake = small(stores::folder()).await;
    let engine = lake.engine_within(|limits| {
        limits.at_once = 1;
        limits.deadline = Duration::from_secs(2);
    });
    let ask = async |sql: &str| engine.query(sql.to_owned(), LakeScope::Everyone, Allowed::Select).await;
    let answer = ask("SELECT a.ts, a.ay FROM samples a, samples b").await.unwrap();
    let mut left = answer.encode(Format::Csv).unwrap();
    assert!(matches!(ask("SELECT 1").await, Err(QueryError::Busy)));
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(ask("SELECT 1").await.is_ok());
    let mut last = Ok(None);
    for _ in 0..20 {
        last = left.next().await;
        if last.is_err() {
            break;
        }
    }
    assert!(matches!(last, Err(QueryError::TooSlow)), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_deleted_under_a_query_ends_it_as_one_to_be_asked_again() {
    let lake = Lake::on(stores::folder()).await;
    for n in 1..=30 {
        lake.add(n, "p-1", "sit-to-stand", 1, n as u32).await;
    }
    let engine = lake.engine_within(|limits| limits.threads = 1);
    let mut answer =
        engine.query("SELECT ay FROM samples".to_owned(), LakeScope::Everyone, Allowed::Select).await.unwrap();
    for n in 1..=30 {
        lake.delete(n, "p-1").await;
    }
    let error = loop {
        match answer.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it read what is gone"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, QueryError::Changed), "{error:?}");
    assert!(matches!(crate::actors::ServiceError::from(error), crate::actors::ServiceError::Busy { .. }));
}
