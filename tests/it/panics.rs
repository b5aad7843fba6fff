//! A panic in each actor in turn, and a handler of each that hangs.

use crate::harness::{Program, eventually, fresh_id, recording};
use serde_json::json;

/// What befalls an actor once, and what supervision calls it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Panics,
    /// For longer than an actor may be silent.
    Hangs,
}

impl Fate {
    fn action(self) -> &'static str {
        match self {
            Self::Panics => "panic",
            Self::Hangs => "sleep(2500)",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Panics => "died",
            Self::Hangs => "stuck",
        }
    }
}

/// Trains a model and scores with it, whatever befalls an actor once on the way.
async fn survives(actor: &str, fate: Fate) {
    let mut program = Program::stopped(&[
        ("queue.backoff_first_ms", "50"),
        ("supervision.probe_every_ms", "100"),
        ("supervision.stuck_after_ms", "1000"),
    ]);
    program.resume();
    let clinic = program.clinic_with(&["p-1"]).await;
    program.kill();
    program.resume_with_failpoints(&format!("{actor}=1*{}", fate.action()));
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
    let counter = format!("stance_actor_restarts_total{{actor=\"{actor}\",cause=\"{}\"}}", fate.cause());
    let restarts = program.metric(&counter).await;
    assert!((restarts - 1.0).abs() < 0.1, "{actor} was restarted {restarts} times");
    assert_eq!(program.count("SELECT count(*) FROM scores").await, 1);
    assert_eq!(program.count("SELECT count(*) FROM models").await, 1);
}

macro_rules! each {
    ($($panics:ident, $hangs:ident: $actor:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $panics() {
            survives($actor, Fate::Panics).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $hangs() {
            survives($actor, Fate::Hangs).await;
        })*
    };
}

each! {
    a_panic_in_session_auth_is_survived, session_auth_may_hang: "session_auth";
    a_panic_in_the_resolver_is_survived, the_resolver_may_hang: "resolver";
    a_panic_in_ingest_is_survived, ingest_may_hang: "ingest";
    a_panic_in_the_dispatcher_is_survived, the_dispatcher_may_hang: "dispatcher";
    a_panic_in_the_converter_is_survived, the_converter_may_hang: "converter";
    a_panic_in_a_trainer_is_survived, a_trainer_may_hang: "trainer";
    a_panic_in_a_scorer_is_survived, a_scorer_may_hang: "scorer";
}
