//! Every way to break the rules of the format, each with its status, code and place.

use crate::harness::{Program, document, fresh_id};
use serde_json::{Value, json};

const PATIENT: &str = "patient-1";

struct Case {
    name: &'static str,
    body: Vec<u8>,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
    code: &'static str,
    pointer: Option<&'static str>,
}

/// A rule broken by one value.
fn set(name: &'static str, key: &'static str, value: Value, code: &'static str, pointer: &'static str) -> Case {
    let mut document = document(PATIENT, fresh_id());
    document[key] = value;
    Case { name, body: document.to_string().into(), headers: &[], status: 422, code, pointer: Some(pointer) }
}

/// A rule broken by one sample.
fn sample(
    name: &'static str,
    key: &'static str,
    index: usize,
    value: Value,
    code: &'static str,
    at: &'static str,
) -> Case {
    let mut document = document(PATIENT, fresh_id());
    document[key][index] = value;
    Case { name, body: document.to_string().into(), headers: &[], status: 422, code, pointer: Some(at) }
}

/// A key that is not there.
fn without(key: &'static str, pointer: &'static str) -> Case {
    let mut document = document(PATIENT, fresh_id());
    document.as_object_mut().unwrap().remove(key);
    Case {
        name: key,
        body: document.to_string().into(),
        headers: &[],
        status: 422,
        code: "missing_key",
        pointer: Some(pointer),
    }
}

/// The text of a document, changed.
fn text(
    name: &'static str,
    status: u16,
    code: &'static str,
    at: Option<&'static str>,
    change: impl Fn(String) -> String,
) -> Case {
    let body = change(document(PATIENT, fresh_id()).to_string()).into();
    Case { name, body, headers: &[], status, code, pointer: at }
}

fn bytes(name: &'static str, body: &[u8], code: &'static str) -> Case {
    Case { name, body: body.to_vec(), headers: &[], status: 400, code, pointer: None }
}

fn typed(name: &'static str, headers: &'static [(&'static str, &'static str)], code: &'static str) -> Case {
    let body = document(PATIENT, fresh_id()).to_string().into();
    Case { name, body, headers, status: 415, code, pointer: None }
}

fn cases() -> Vec<Case> {
    let training = |score: Value| {
        let mut document = document(PATIENT, fresh_id());
        document["training"] = json!(true);
        document["clinic_score"] = score;
        document.to_string()
    };
    let scored = |name, score: Value, code| Case {
        name,
        body: training(score).into(),
        headers: &[],
        status: 422,
        code,
        pointer: Some("/clinic_score"),
    };
    let long = "x".repeat(129);
    vec![
        bytes("nothing", b"", "body_empty"),
        bytes("white space", b" \n\t ", "body_empty"),
        bytes("not JSON", b"recording", "json_syntax"),
        bytes("an array", b"[1, 2]", "not_an_object"),
        bytes("a number", b"7", "not_an_object"),
        bytes("null", b"null", "not_an_object"),
        bytes("a string", b"\"{}\"", "not_an_object"),
        bytes("not UTF-8", b"{\"user_id\": \"\xff\xfe\"}", "invalid_utf8"),
        bytes("a byte order mark in UTF-16", b"\xff\xfe{\x00}\x00", "invalid_utf8"),
        bytes("cut short", b"{\"user_id\": \"patient-1\", \"ax\": [1, 2", "json_cut_short"),
        bytes("a trailing comma", b"{\"user_id\": \"patient-1\",}", "json_syntax"),
        bytes("single quotes", b"{'user_id': 'patient-1'}", "json_syntax"),
        text("two documents", 400, "json_syntax", None, |text| text.clone() + &text),
        text("a comma too many in an array", 400, "json_syntax", None, |text| text.replace("\"gx\":[", "\"gx\":[,")),
        text("a number with a leading zero", 400, "json_syntax", None, |text| text.replace("\"gx\":[", "\"gx\":[01,")),
        text("a duplicate key", 422, "duplicate_key", Some("/ax"), |text| text.replacen('{', "{\"ax\":[1],", 1)),
        typed("text", &[("content-type", "text/plain")], "unsupported_media_type"),
        typed("a form", &[("content-type", "multipart/form-data; boundary=x")], "unsupported_media_type"),
        typed("deflate", &[("content-encoding", "deflate")], "unsupported_encoding"),
        typed("two encodings", &[("content-encoding", "gzip, br")], "unsupported_encoding"),
        without("user_id", "/user_id"),
        without("movement", "/movement"),
        without("testID", "/testID"),
        without("training", "/training"),
        without("start_date", "/start_date"),
        without("ts", "/ts"),
        without("ax", "/ax"),
        without("mz", "/mz"),
        set("a null key", "gy", Value::Null, "missing_key", "/gy"),
        set("a number for a string", "user_id", json!(7), "wrong_type", "/user_id"),
        set("a string for a boolean", "training", json!("true"), "wrong_type", "/training"),
        set("an object for an array", "az", json!({}), "wrong_type", "/az"),
        set("a string for an array", "ts", json!("now"), "wrong_type", "/ts"),
        set("an empty id", "user_id", json!(""), "user_id_invalid", "/user_id"),
        set("a slash in an id", "user_id", json!("../../etc/passwd"), "user_id_invalid", "/user_id"),
        set("a control character in an id", "user_id", json!("a\u{0}b"), "user_id_invalid", "/user_id"),
        set("a long id", "user_id", json!(long), "user_id_invalid", "/user_id"),
        set("an empty movement", "movement", json!(""), "movement_invalid", "/movement"),
        set("a slash in a movement", "movement", json!("a/../b"), "movement_invalid", "/movement"),
        set("no UUID", "testID", json!("recording-1"), "test_id_invalid", "/testID"),
        set(
            "a UUID in braces",
            "testID",
            json!("{f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2}"),
            "test_id_invalid",
            "/testID",
        ),
        set("no day", "start_date", json!("yesterday"), "start_date_invalid", "/start_date"),
        set("the thirtieth of February", "start_date", json!("2026-2-30"), "start_date_invalid", "/start_date"),
        set("a day of another order", "start_date", json!("31-1-2026"), "start_date_invalid", "/start_date"),
        set("training without a score", "training", json!(true), "clinic_score_missing", "/clinic_score"),
        scored("a score that is a word", json!("good"), "clinic_score_invalid"),
        scored("a score that is a list", json!([50]), "clinic_score_invalid"),
        scored("a score over 100", json!("100.5"), "clinic_score_out_of_range"),
        scored("a score under 0", json!(-1), "clinic_score_out_of_range"),
        scored("a score that is not a number", json!("NaN"), "clinic_score_out_of_range"),
        set("no samples", "ts", json!([]), "no_samples", "/ts"),
        set("a short axis", "gz", json!([1, 2, 3]), "unequal_lengths", "/gz"),
        set("an empty axis", "mx", json!([]), "unequal_lengths", "/mx"),
        sample("a number for a timestamp", "ts", 3, json!(1_700_000_000), "timestamp_not_a_string", "/ts/3"),
        sample("a word for a timestamp", "ts", 5, json!("noon"), "timestamp_invalid", "/ts/5"),
        sample("the 32nd", "ts", 0, json!("2026-01-32 12:00:00.0 +01:00"), "timestamp_invalid", "/ts/0"),
        sample("a null sample", "ax", 63, Value::Null, "sample_not_a_number", "/ax/63"),
        sample("a string sample", "gy", 0, json!("1.0"), "sample_not_a_number", "/gy/0"),
        sample("a nested sample", "gy", 7, json!([1, 2]), "sample_not_a_number", "/gy/7"),
        sample("true as a sample", "my", 1, json!(true), "sample_not_a_number", "/my/1"),
        text("NaN", 422, "sample_not_finite", Some("/gx/0"), |text| text.replace("\"gx\":[", "\"gx\":[NaN,")),
        text("Infinity", 422, "sample_not_finite", Some("/gx/1"), |text| {
            text.replace("\"gx\":[", "\"gx\":[1,-Infinity,")
        }),
        text("1e999", 422, "sample_not_finite", Some("/mz/0"), |text| text.replace("\"mz\":[", "\"mz\":[1e999,")),
        Case {
            name: "somebody else",
            body: document("nobody-here", fresh_id()).to_string().into(),
            headers: &[],
            status: 404,
            code: "not_found",
            pointer: None,
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_rules_is_refused_with_its_code_and_leaves_nothing() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let documents = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/UPLOADS.md")).unwrap();
    let cases = cases();
    assert!(cases.len() >= 40);
    for case in cases {
        let answer = clinic.upload_with(case.body, case.headers).await;
        let found = (answer.status, answer.code(), answer.pointer());
        assert_eq!(found, (case.status, case.code, case.pointer), "{}: {answer:?}", case.name);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", case.name);
        assert_eq!(answer.body["status"], case.status, "{}", case.name);
        assert!(
            documents.contains(&format!("| {} | `{}` |", case.status, case.code)),
            "{} is not documented",
            case.code
        );
    }
    assert_eq!(program.objects(), [], "an object was left");
    for table in ["SELECT count(*) FROM recordings", "SELECT count(*) FROM test_events", "SELECT count(*) FROM jobs"] {
        assert_eq!(program.count(table).await, 0, "{table}");
    }
}
