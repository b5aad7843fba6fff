//! A panic in each actor in turn.

use crate::harness::{Program, eventually, fresh_id, recording};
use serde_json::json;

/// Trains a model and scores with it, whatever breaks once on the way.
async fn survives(actor: &str) {
    let mut program = Program::stopped(&[("queue.backoff_first_ms", "50"), ("supervision.probe_every_ms", "100")]);
    program.resume();
    let clinic = program.clinic_with(&["p-1"]).await;
    program.kill();
    program.resume_with_failpoints(&format!("{actor}=1*panic"));
    let clinic = clinic.at(program.url());

    let mut ids = Vec::new();
    for n in 0..11_u32 {
        let (id, quality) = (fresh_id(), f64::from(n) / 10.0);
        let body = recording("p-1", id, quality, (n < 10).then_some(100.0 * quality), 200).to_string();
        eventually("it is acknowledged", || async {
            let answer = clinic.try_upload(body.clone(), &[]).await;
            answer.is_ok_and(|answer| [200, 202].contains(&answer.status)).then_some(())
        })
        .await;
        ids.push(id.to_string());
    }
    eventually("the last is scored", || async {
        let answer = clinic.try_upload("{}", &[]).await.is_ok();
        let status = clinic.status(ids.last().unwrap()).await;
        (answer && status.recording_status() == "scored").then_some(())
    })
    .await;
    let query = "{ getAllAvailableTests { test_type } }";
    eventually("GraphQL answers", || async {
        let answer = clinic.graphql(query, json!({})).await;
        (answer["data"]["getAllAvailableTests"][0]["test_type"] == "sit-to-stand").then_some(())
    })
    .await;
    let restarts = program.metric(&format!("stance_actor_restarts_total{{actor=\"{actor}\"")).await;
    assert!((restarts - 1.0).abs() < 0.1, "{actor} was restarted {restarts} times");
    assert_eq!(program.count("SELECT count(*) FROM scores").await, 1);
    assert_eq!(program.count("SELECT count(*) FROM models").await, 1);
}

macro_rules! each {
    ($($test:ident: $actor:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            survives($actor).await;
        })*
    };
}

each! {
    a_panic_in_session_auth_is_survived: "session_auth",
    a_panic_in_the_resolver_is_survived: "resolver",
    a_panic_in_ingest_is_survived: "ingest",
    a_panic_in_the_dispatcher_is_survived: "dispatcher",
    a_panic_in_the_converter_is_survived: "converter",
    a_panic_in_a_trainer_is_survived: "trainer",
    a_panic_in_a_scorer_is_survived: "scorer",
}
