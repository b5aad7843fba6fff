use super::*;
use serde_json::{Value, json};

fn document() -> Value {
    json!({
        "user_id": "us-west-2:1ec6", "movement": "sit-to-stand", "testID": "f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2",
        "training": true, "clinic_score": "71.5", "start_date": "2023-4-25",
        "ts": ["2023-04-25 16:13:43.028684 -07:00", "2023-04-25 16:13:43.039467 -07:00"],
        "ax": [-0.4387, 1e-3], "ay": [6, 7], "az": [1, 2], "gx": [1, 2], "gy": [1, 2], "gz": [1, 2],
        "mx": [1, 2], "my": [1, 2], "mz": [1, 2.5], "unknown": {"kept": [1, [2]]}
    })
}

fn refused(text: &str) -> (String, Option<String>) {
    let refusal = parse(Bytes::copy_from_slice(text.as_bytes())).unwrap_err();
    (refusal.code.to_owned(), refusal.pointer)
}

#[test]
fn a_document_becomes_a_recording_and_keeps_its_texts() {
    let recording = parse(document().to_string().into()).unwrap();
    assert_eq!(recording.clinic_score(), Some(71.5));
    assert_eq!(recording.day(), Day { year: 2023, month: 4, day: 25 });
    assert_eq!(recording.axes()[0], [-0.4387, 1e-3]);
    let texts = recording.texts().map(|column| column.collect::<Vec<_>>());
    assert_eq!(texts[0][1], "\"2023-04-25 16:13:43.039467 -07:00\"");
    assert_eq!(texts[9], ["1", "2.5"]);
}

#[test]
fn numbers_are_read_to_the_bit() {
    // Shortest texts of doubles whose neighbours a reader that rounds twice would give.
    for text in ["0.00011638013529500001", "-0.025853261351585388", "9007199254740993", "2.2250738585072011e-308"] {
        let mut document = document().to_string();
        document = document.replace("[-0.4387,0.001]", &format!("[{text} , {text}]"));
        let recording = parse(document.into()).unwrap();
        assert_eq!(recording.axes()[0][1].to_bits(), text.parse::<f64>().unwrap().to_bits());
    }
}

#[test]
fn literals_that_are_no_json_are_named_with_their_sample() {
    let text = document().to_string();
    for literal in ["NaN", "Infinity", "-Infinity"] {
        let at = |index: &str| ("sample_not_finite".to_owned(), Some(format!("/az/{index}")));
        assert_eq!(refused(&text.replace("\"az\":[1,2]", &format!("\"az\":[{literal},2]"))), at("0"));
        assert_eq!(refused(&text.replace("\"az\":[1,2]", &format!("\"az\": [1, {literal}]"))), at("1"));
    }
    assert_eq!(
        refused(&text.replace("\"az\":[1,2]", "\"az\":[1,1e999]")),
        ("sample_not_finite".into(), Some("/az/1".into()))
    );
}

#[test]
fn timestamps_with_escapes_are_understood() {
    let text = document().to_string().replace("-07:00", "\\u002d07:00");
    let recording = parse(text.into()).unwrap();
    let first = recording.texts()[0].clone().next().unwrap().to_owned();
    assert_eq!(first, "\"2023-04-25 16:13:43.028684 -07:00\"");
    assert_eq!(recording.timestamps()[0].offset_minutes, Some(-420));
}
