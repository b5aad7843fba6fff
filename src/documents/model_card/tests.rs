use super::*;
use crate::domain::ids::{ModelVersion, Movement};
use crate::domain::verdict::Verdict;
use serde_json::{Value, json};

/// A card of a model that learned from six recordings, and from others'.
fn card() -> Value {
    let part = |block: &str, estimator: Value, target: &str, weight: f64| json!({ "block": block, "estimator": estimator, "target": target, "weight": weight });
    json!({
        "format_version": 3, "feature_set": "stance-motion-2",
        "feature_names": stance_models::features::names(),
        "features_used": ["duration", "active_time", "step_period", "ax_mean", "ax_log_sd", "az_mean",
                          "vertical_log_power_0.2_0.5_hz"],
        "candidates": [
            part("times", json!({ "name": "mean" }), "remainder", 0.36),
            part("times", json!({ "name": "ridge", "strength": 0.03 }), "score", 0.004),
            part("movement", json!({ "name": "gaussian_process", "kernel": "linear" }), "score", 0.5),
            part("per_axis", json!({ "name": "gaussian_process", "kernel": "squared_exponential" }), "remainder", 0.136),
        ],
        "training_recordings": ["a", "b", "c", "d", "e", "f"], "recordings": 6, "seed": 7,
        "trained_at": "2026-01-31T12:00:00Z", "leave_one_out_error": 3.217,
        "left_out_errors": [1.0, -2.5, 4.0, -8.25, 0.5, 3.0], "baseline_error": 6.7, "folds": 6,
        "interval_half_width": 9.84, "prior": { "people": 12, "recordings": 140 }, "provisional": false,
        "software": { "linfa-pls": "0.8.1", "stance-models": "0.1.0" },
    })
}

fn model(movement: &str, card: &Value) -> KnownModel {
    KnownModel {
        version: ModelVersion::new("v6-7a96f43b53d545e6").unwrap(),
        movement: Movement::new(movement).unwrap(),
        training_recordings: 6,
        feature_set: "stance-motion-2".into(),
        leave_one_out_error: 3.217,
        card: card.to_string(),
        created_at: at(1_769_860_800),
        retired_at: None,
        verdict: Verdict::Serves,
        pinned: false,
        outdated_at: None,
        serves: true,
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn patient() -> PatientId {
    PatientId::new("p-1").unwrap()
}

fn drawn(model: &KnownModel) -> String {
    page(&patient(), model, at(1_770_000_000)).unwrap()
}

/// What of a page is read: a line for each piece of text, without style and image.
fn read(page: &str) -> String {
    let (mut text, mut rest) = (String::new(), page);
    while let Some((before, tag)) = rest.split_once('<') {
        if !before.trim().is_empty() {
            text.push_str(before.trim());
            text.push('\n');
        }
        let hidden = ["style", "svg"].into_iter().find(|name| tag.starts_with(name));
        rest = match hidden {
            Some(name) => tag.split_once(&format!("</{name}")).unwrap().1,
            None => tag,
        };
        rest = rest.split_once('>').unwrap().1;
    }
    text
}

/// Where the page changes on purpose: `RENEW=1 cargo test the_page_in_the_repository`, and look at the difference.
#[test]
fn the_page_in_the_repository_is_the_one_that_is_drawn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/documents/model_card/page.txt");
    let drawn = read(&drawn(&model("sit-to-stand", &card())));
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == drawn, "{path} is not what is drawn:\n{drawn}");
}

#[test]
fn a_screen_reader_finds_its_way() {
    let page = drawn(&model("sit-to-stand", &card()));
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.contains("<title>Model card: Sit to stand, version v6-7a96f43b53d545e6</title>"));
    assert_eq!((page.matches("<h1>").count(), page.matches("<main>").count()), (1, 1));
    let count = |text: &str| page.matches(text).count();
    assert_eq!(count("<section aria-labelledby"), count("<h2 id="));
    assert_eq!(count("<table>"), count("<caption>"));
    assert!(count("scope=\"col\"") == 10 && count("<th>") == 0, "every header says what it heads");
    assert!(page.contains("role=\"img\" aria-label="));
}

#[test]
fn what_is_not_ours_is_escaped_and_nothing_is_run_or_loaded() {
    let mut card = card();
    card["software"] = json!({ "<script>alert(1)</script>": "\"'&" });
    card["feature_names"] = json!(["<b>"]);
    card["features_used"] = json!(["<b>"]);
    let page = drawn(&model("<img onerror=x>", &card));
    for tag in ["<script", "<img", "<b>", "<link", "src=", "href=", " style=", "onerror=x>"] {
        assert!(!page.contains(tag), "{tag}: {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn what_is_said_follows_the_card() {
    let said = |change: fn(&mut KnownModel, &mut Value)| {
        let (mut card, mut model) = (card(), model("gait", &Value::Null));
        change(&mut model, &mut card);
        model.card = card.to_string();
        read(&drawn(&model))
    };
    let alone = said(|_, card| card["prior"] = Value::Null);
    assert!(alone.contains("None: it learned from this patient alone"), "{alone}");
    let provisional = said(|_, card| {
        for (key, value) in [
            ("provisional", json!(true)),
            ("recordings", json!(0)),
            ("folds", json!(0)),
            ("candidates", json!([])),
            ("left_out_errors", json!([])),
        ] {
            card[key] = value;
        }
    });
    for expected in [
        "Scores are provisional",
        "No recording of this patient",
        "100 % of the model begins with what 140 recordings of 12 other patients",
        "This was so of other patients",
        "How far scores of this patient are off is not known",
        "A score is what the recordings of other patients have in common",
    ] {
        assert!(provisional.contains(expected), "{expected}: {provisional}");
    }
    let worse = said(|_, card| card["baseline_error"] = json!(3.0));
    assert!(worse.contains("would be off by 3.0 points: the model is no better."), "{worse}");
    let folds = said(|_, card| {
        card["recordings"] = json!(40);
        card["folds"] = json!(10);
    });
    assert!(folds.contains("In 10 rounds recordings were left out") && !folds.contains("few"), "{folds}");
}

#[test]
fn whether_it_is_in_use_and_why_not_is_said() {
    let said = |change: fn(&mut KnownModel)| {
        let mut model = model("gait", &card());
        change(&mut model);
        read(&drawn(&model))
    };
    let gone = |model: &mut KnownModel| (model.serves, model.retired_at) = (false, Some(at(1_770_000_000)));
    for (read, expected) in [
        (said(|_| ()), "In use: it scores the recordings of this movement that arrive now."),
        (said(|model| model.pinned = true), "In use: an operator has it score"),
        (said(|model| model.verdict = Verdict::Provisional), "In use, provisionally"),
        (said(|model| model.outdated_at = Some(at(1_770_000_000))), "it is being trained anew."),
        (said(|model| model.serves = false), "Not in use: another version"),
        (
            said(|model| (model.serves, model.verdict) = (false, Verdict::NoBetterThanMean)),
            "Not in use: on recordings that",
        ),
        (said(|model| (model.serves, model.verdict) = (false, Verdict::WorseThanCurrent)), "Not in use: on the same"),
        (
            said(|model| (model.serves, model.verdict) = (false, Verdict::Withdrawn)),
            "Not in use: an operator took it back.",
        ),
        (said(gone), "Retired on 2 February 2026: a recording that it learned from was deleted."),
    ] {
        assert!(read.contains(expected), "{expected}: {read}");
    }
    let mut superseded = model("gait", &card());
    gone(&mut superseded);
    superseded.verdict = Verdict::Provisional;
    assert!(
        read(&drawn(&superseded)).contains("a model that learned from the patient's own recordings took its place.")
    );
}

#[test]
fn a_card_of_the_former_format_is_read() {
    let mut card = card();
    let former = card.as_object_mut().unwrap();
    former.remove("candidates");
    for absent in ["left_out_errors", "prior", "provisional"] {
        former.remove(absent);
    }
    former.insert("candidate".into(), json!({ "block": "whole", "estimator": { "name": "ridge", "strength": 1.0 } }));
    let page = drawn(&model("gait", &card));
    assert!(!page.contains("<svg") && read(&page).contains("Ridge regression"), "{page}");
}

#[test]
fn the_document_has_the_card_as_it_is_kept() {
    let kept = model("gait", &json!({ "later": [1.5], "more": null }));
    let document: Value = serde_json::from_str(&json(&patient(), &kept).unwrap()).unwrap();
    let expected = json!({
        "model_version": "v6-7a96f43b53d545e6", "patient_id": "p-1", "movement": "gait",
        "created_at": "2026-01-31T12:00:00.000000Z", "retired_at": null, "outdated_at": null,
        "verdict": "serves", "pinned": false, "serves": true,
        "card": { "later": [1.5], "more": null },
    });
    assert_eq!(document, expected);
    assert!(page(&patient(), &kept, kept.created_at).is_err());
}
