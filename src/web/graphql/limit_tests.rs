//! The bounds of documents: each just kept and just broken.

use super::limits::{Measure, measure};
use super::refusal::Refusal;
use super::schema::schema;
use super::tests::Bench;
use crate::config::GraphqlConfig;
use juniper::parser::parse_document_source;
use juniper::{DefaultScalarValue, Variables};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn measured(document: &str, variables: Value) -> Result<Measure, Refusal> {
    let schema = schema();
    let parsed = parse_document_source::<DefaultScalarValue>(document, &schema.schema).unwrap();
    measure(&parsed, &schema.schema, None, &Variables::deserialize(variables).unwrap())
}

fn cost(document: &str, variables: Value) -> u64 {
    measured(document, variables).unwrap().cost
}

fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

#[actix_web::test]
async fn each_bound_holds_what_reaches_it_and_refuses_what_goes_over() {
    let usual = GraphqlConfig::default();
    let tests = "{ getAllAvailableTests { test_type } }";
    for (bounds, within, over, expected) in [
        (
            GraphqlConfig { max_document_bytes: 38, ..usual.clone() },
            tests.to_owned(),
            format!("{tests} "),
            "document_too_long",
        ),
        (
            GraphqlConfig { max_tokens: 6, ..usual.clone() },
            tests.to_owned(),
            "{ getAllAvailableTests { test_type instructions } }".into(),
            "too_many_tokens",
        ),
        (
            GraphqlConfig { max_depth: 2, ..usual.clone() },
            tests.to_owned(),
            "{ ... { getAllAvailableTests { test_type } } }".into(),
            "too_deep",
        ),
        (
            GraphqlConfig { max_depth: 3, ..usual.clone() },
            "{ ...F } fragment F on Query { getAllAvailableTests { test_type } }".into(),
            "{ ...F } fragment F on Query { ...G } fragment G on Query { getAllAvailableTests { test_type } }".into(),
            "too_deep",
        ),
        (
            GraphqlConfig { max_fields: 2, ..usual.clone() },
            tests.to_owned(),
            "{ getAllAvailableTests { ...F ...F } } fragment F on Test { test_type }".into(),
            "too_many_fields",
        ),
        (
            GraphqlConfig { max_root_fields: 1, ..usual.clone() },
            tests.to_owned(),
            format!("{{ ...F ...F }} fragment F on Query {tests}"),
            "too_many_root_fields",
        ),
        (
            GraphqlConfig { max_aliases: 1, ..usual.clone() },
            "{ a: __typename }".into(),
            "{ a: __typename getAllAvailableTests { b: test_type } }".into(),
            "too_many_aliases",
        ),
        (
            GraphqlConfig { max_directives: 1, ..usual.clone() },
            "{ __typename @skip(if: false) }".into(),
            "{ __typename @skip(if: false) @include(if: true) }".into(),
            "too_many_directives",
        ),
        (
            GraphqlConfig { max_cost: 100, ..usual.clone() },
            tests.to_owned(),
            format!("{{ __typename ...F a: getAllAvailableTests {{ test_type }} }} fragment F on Query {tests}"),
            "too_costly",
        ),
    ] {
        let bench = Bench::with(bounds).await;
        let answer = bench.ask(&within, json!({})).await;
        assert_eq!(code(&answer), None, "{within}: {answer}");
        let answer = bench.ask(&over, json!({})).await;
        assert_eq!(code(&answer), Some(expected), "{over}: {answer}");
        assert!(answer.get("data").is_none(), "{answer}");
    }
}

#[actix_web::test]
async fn a_page_has_a_bound() {
    let bench = Bench::with(GraphqlConfig { max_page: 5, ..GraphqlConfig::default() }).await;
    let list = "query($n: Int) { listPatients(first: $n) { total nodes { patient_id } } }";
    for (first, expected) in [
        (json!(null), None),
        (json!(1), None),
        (json!(5), None),
        (json!(6), Some("page_too_large")),
        (json!(0), Some("invalid_argument")),
        (json!(-1), Some("invalid_argument")),
    ] {
        let answer = bench.ask(list, json!({ "n": first })).await;
        assert_eq!(code(&answer), expected, "{first}: {answer}");
    }
}

#[test]
fn an_object_costs_one_and_a_size_multiplies_what_is_below_it() {
    let list = "query($n: Int = 30, $s: Boolean = false) { listPatients(first: $n) { total nodes { patient_id
        latest_score @skip(if: $s) { time } } } }";
    for (document, variables, expected) in [
        // The page, and for each patient the patient and the score.
        (list, json!({}), 1 + 30 * 2),
        (list, json!({ "n": 10 }), 1 + 10 * 2),
        (list, json!({ "n": 10, "s": true }), 1 + 10),
        // Where there is no size: the usual page.
        ("{ listPatients { nodes { patient_id } } }", json!({}), 1 + 50),
        ("{ listPatients { nodes { ...F } } } fragment F on Patient { latest_score { time } }", json!({}), 1 + 50 * 2),
        (
            "{ getTestEvents(patient_id: \"p\") { recording { score { value } ranges { axis } } } }",
            json!({}),
            10_000 * (1 + 1 + 1 + 10),
        ),
        ("{ getTestEvents(patient_id: \"p\") { notes } }", json!({}), 10_000),
        ("{ getTestEvents(patient_id: \"p\", count: 10) { notes } }", json!({}), 10),
        ("{ getAllPatients { patient_id } }", json!({}), 5_000),
        (
            "{ getPatientsForCareprovider(care_provider_id: \"c\") { latest_score { time } assigned_tests { test_type } } }",
            json!({}),
            5_000 * (1 + 1 + 10),
        ),
        ("{ getScoreAverages(patient_id: \"p\", period: week) { mean } }", json!({}), 1_000),
        ("{ listModels(patient_id: \"p\") { card } }", json!({}), 200),
        ("{ getAllAvailableTests { test_type } }", json!({}), 100),
        ("mutation { createPatient(patient_id: \"p\") { patient_id } }", json!({}), 10 + 1),
        ("{ __typename }", json!({}), 0),
        ("{ __schema { types { fields { args { name } } } } }", json!({}), 100),
        ("{ listPatients(first: 2147483647) { nodes { patient_id } } }", json!({}), 1 + 2_147_483_647),
    ] {
        assert_eq!(cost(document, variables.clone()), expected, "{document} {variables}");
    }
}

/// As many samples as an answer could hold would be gigabytes; what clients ask for at once is not refused.
#[test]
fn the_largest_answers_cost_what_they_weigh_and_known_clients_stay_within_the_budget() {
    let axis = |axis: &str| {
        format!(
            "{axis}: getMeasurementData(test_event_id: \"e\", test_type: \"t\", measurement: {axis}, patient_id: \"p\",
             year: 2026, month: 1, day: 31) {{ ts val }} "
        )
    };
    let axes: String = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"].map(axis).concat();
    let samples: String = (0..20).map(|n| axis("ay").replace("ay:", &format!("a{n}:"))).collect();
    let event = "getTestEventById(test_event_id: \"e\", patient_id: \"p\") { notes }";
    let everybody = "getAllPatients { patient_id email first_name last_name privacy_consent_date }
        getPatientsForCareprovider(care_provider_id: \"c\") { patient_id email }
        getCareproviderById(care_provider_id: \"c\") { email }";
    let lists: String = (0..5).map(|n| format!("a{n}: getAllPatients {{ patient_id }} ")).collect();
    let events: String = (0..3).map(|n| format!("a{n}: getTestEvents(patient_id: \"p\") {{ notes }} ")).collect();
    let bounds = GraphqlConfig::default();
    for (root_fields, allowed) in [
        (format!("{axes} {event}"), true),
        (everybody.to_owned(), true),
        (format!("getTestEvents(patient_id: \"p\") {{ notes }} {everybody}").replace("getCare", "b: getCare"), false),
        ("getTestEvents(patient_id: \"p\") { notes balance_score }".to_owned(), true),
        (samples, false),
        (lists, false),
        (events, false),
    ] {
        let refused = measured(&format!("{{ {root_fields} }}"), json!({})).unwrap().check(&bounds);
        assert_eq!(refused.is_ok(), allowed, "{root_fields}");
    }
}

#[test]
fn what_is_skipped_or_not_included_counts_for_nothing_but_its_directive() {
    let list = "listPatients(first: 10) { nodes { patient_id } }";
    for (document, variables, counts) in [
        ("{ listPatients(first: 10) @skip(if: true) { nodes { patient_id } } }".to_owned(), json!({}), false),
        (
            "query($w: Boolean!) { ...F @include(if: $w) } fragment F on Query { LIST }".replace("LIST", list),
            json!({ "w": false }),
            false,
        ),
        (
            "query($w: Boolean!) { ...F @include(if: $w) } fragment F on Query { LIST }".replace("LIST", list),
            json!({ "w": true }),
            true,
        ),
        ("query($w: Boolean!) { ... @skip(if: $w) { LIST } }".replace("LIST", list), json!({ "w": true }), false),
        // Of a variable that nobody gives it is not known: it counts.
        ("query($w: Boolean!) { ... @skip(if: $w) { LIST } }".replace("LIST", list), json!({}), true),
    ] {
        let measured = measured(&document, variables.clone()).unwrap();
        let expected = if counts { (1, 11) } else { (0, 0) };
        assert_eq!((measured.root_fields, measured.cost), expected, "{document} {variables}");
        assert_eq!(measured.directives, 1);
    }
}

#[test]
fn of_several_operations_the_chosen_one_counts() {
    let schema = schema();
    let document = "query A { __typename } query B { getAllAvailableTests { test_type } }";
    let parsed = parse_document_source::<DefaultScalarValue>(document, &schema.schema).unwrap();
    let cost = |name| measure(&parsed, &schema.schema, Some(name), &Variables::new()).unwrap().cost;
    assert_eq!((cost("A"), cost("B"), cost("C")), (0, 100, 0));
}

#[actix_web::test]
async fn fragments_that_spread_themselves_or_double_are_refused_at_once() {
    let doubling = |leaf: &str, levels: usize| -> String {
        let mut document = "{ ...F0 ...F0 }".to_owned();
        for level in 0..levels {
            let next = level + 1;
            document += &format!(" fragment F{level} on Query {{ ...F{next} ...F{next} }}");
        }
        document + &format!(" fragment F{levels} on Query {{ {leaf} }}")
    };
    let everyone = (0..12).map(|n| {
        let spreads: Vec<_> = (0..12).map(|m| format!("...F{m}")).collect();
        format!("fragment F{n} on Query {{ {} }} ", spreads.join(" "))
    });
    let bench = Bench::new().await;
    for (document, expected) in [
        ("{ ...A } fragment A on Query { ...A }".to_owned(), "fragment_cycle"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".into(), "fragment_cycle"),
        ("{ ...F0 } ".to_owned() + &everyone.collect::<String>(), "fragment_cycle"),
        (doubling("__typename", 20), "too_many_fields"),
        (doubling("...Nowhere", 20), "invalid_document"),
        (doubling("__typename", 60), "too_deep"),
    ] {
        let begun = Instant::now();
        let answer = bench.ask(&document, json!({})).await;
        assert_eq!(code(&answer), Some(expected), "{document}: {answer}");
        assert!(begun.elapsed() < Duration::from_millis(250), "{:?}: {document}", begun.elapsed());
    }
}

#[actix_web::test]
async fn nesting_that_would_overflow_the_stack_is_refused() {
    let bench = Bench::new().await;
    for document in
        ["{a".repeat(9_000), format!("{{a(x:{}", "[".repeat(50_000)), format!("{{a(x:{}", "{a:".repeat(2_000))]
    {
        let answer = bench.ask(&document, json!({})).await;
        assert!(matches!(code(&answer), Some("too_deep" | "too_many_tokens")), "{answer}");
    }
}

#[actix_web::test]
async fn where_the_schema_cannot_be_asked_for_a_type_still_has_its_name() {
    let bench = Bench::with(GraphqlConfig { introspection: false, ..GraphqlConfig::default() }).await;
    for document in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"Patient\") { name } }",
        "{ ...F } fragment F on Query { a: __schema { types { name } } }",
    ] {
        let answer = bench.ask(document, json!({})).await;
        assert_eq!(code(&answer), Some("introspection_disabled"), "{answer}");
    }
    let answer = bench.ask("{ __typename getAllAvailableTests { __typename } }", json!({})).await;
    assert_eq!(answer["data"]["getAllAvailableTests"][0]["__typename"], "Test", "{answer}");
    assert_eq!(answer["data"]["__typename"], "Query");
}

#[actix_web::test]
async fn every_error_of_a_document_has_a_code() {
    let bench = Bench::new().await;
    for (document, variables, expected) in [
        ("{", json!({}), "invalid_document"),
        ("", json!({}), "invalid_document"),
        ("{ a(x: \"\\q\") }", json!({}), "invalid_document"),
        ("{ nothing }", json!({}), "invalid_document"),
        ("query($n: Int!) { listPatients(first: $n) { total } }", json!({}), "invalid_document"),
        ("query($n: Int) { listPatients(first: $n) { total } }", json!({ "n": "many" }), "invalid_document"),
        ("query A { __typename } query B { __typename }", json!({}), "unknown_operation"),
        ("subscription { nothing }", json!({}), "invalid_document"),
        ("subscription { recordingUpdated(patient_id: \"p\") { status } }", json!({}), "wrong_transport"),
        ("{ listPatients(after: \"x\") { total } }", json!({}), "invalid_cursor"),
        (
            "{ getScoreAverages(patient_id: \"p\", period: week, from_time: \"2020-01-01 00:00:00\", to_time: \"2019-01-01 00:00:00\") { mean } }",
            json!({}),
            "window_out_of_range",
        ),
        ("{ listTestEvents(patient_id: \"nobody\") { total } }", json!({}), "not_found"),
        ("{ listModels(patient_id: \"nobody\") { card } }", json!({}), "not_found"),
        ("{ getScoreAverages(patient_id: \"nobody\", period: month) { mean } }", json!({}), "not_found"),
        ("{ listPatients(care_provider_id: \"nobody\") { total } }", json!({}), "not_found"),
    ] {
        let answer = bench.ask(document, variables).await;
        assert_eq!(code(&answer), Some(expected), "{document}: {answer}");
        for error in answer["errors"].as_array().unwrap() {
            assert!(error["extensions"]["code"].is_string() && error["message"].is_string(), "{answer}");
        }
    }
}
