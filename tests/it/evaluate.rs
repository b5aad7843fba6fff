//! `stance evaluate`, on files that are made for it.

use crate::harness::{Program, fresh_id, recording};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// Four people of six recordings, whose true scores stand in the manifest only; two recordings a group.
fn clinic(folder: &Path) {
    let mut manifest = "testID,user_id,true_score,group,device,remark\n".to_owned();
    for person in 0..4 {
        for n in 0..6 {
            let (id, quality) = (fresh_id(), f64::from(n) / 6.0 + 0.03 * f64::from(person));
            let document = recording(&format!("patient-{person}"), id, quality, None, 400);
            std::fs::write(folder.join(format!("{id}.json")), document.to_string()).unwrap();
            writeln!(manifest, "{id},patient-{person},{:.1},{person}-{},phone,of no matter", 90.0 * quality, n / 2)
                .unwrap();
        }
    }
    std::fs::write(folder.join("manifest.csv"), manifest).unwrap();
}

#[test]
fn a_folder_of_recordings_is_evaluated_as_a_table_as_json_and_as_a_plot() {
    let (program, folder) = (Program::stopped(&[]), tempfile::tempdir().unwrap());
    clinic(folder.path());
    let path = folder.path().to_str().unwrap();
    let plot = folder.path().join("plot.svg");
    let plot_argument = ["--plot", plot.to_str().unwrap()];
    let (well, text) = program.run(&["evaluate", path, plot_argument[0], plot_argument[1]], "");
    assert!(well, "{text}");
    for expected in
        ["24 recordings of 4 people", "900 features with ridge", "length alone", "the person's mean", "covered"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let drawn = std::fs::read_to_string(&plot).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.matches("<circle").count() == 24, "{}", drawn.len());

    let (well, text) = program.run(&["evaluate", path, "--json", plot_argument[0], plot_argument[1]], "");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert!(well && found["evaluations"].as_array().unwrap().len() == 1);
    let outcomes = found["evaluations"][0]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 6);
    assert!(outcomes.iter().all(|outcome| outcome["predictions"].as_array().unwrap().len() == 24));
    assert_eq!(outcomes[0]["method"], "with_prior");
    assert!(outcomes[0]["coverage"].as_f64().is_some() && outcomes[3]["coverage"].is_null());
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    let (program, folder) = (Program::stopped(&[]), tempfile::tempdir().unwrap());
    let refused = |arguments: &[&str], expected: &str| {
        let path = folder.path().to_str().unwrap();
        let plot = folder.path().join("plot.svg");
        let mut all = vec!["evaluate", path, "--plot", plot.to_str().unwrap()];
        all.extend(arguments);
        let (well, text) = program.run(&all, "");
        assert!(!well && text.contains(expected), "{expected}: {text}");
        assert_eq!(text.trim().lines().count(), 1, "one clear line: {text}");
    };
    refused(&[], "there is no .json file");
    refused(&["/nowhere"], "/nowhere is not there");
    let id = fresh_id();
    let file = folder.path().join("one.json");
    std::fs::write(&file, recording("patient-1", id, 0.5, None, 50).to_string()).unwrap();
    refused(&[], "no recording has a score");
    std::fs::write(&file, recording("patient-1", id, 0.5, Some(40.0), 50).to_string()).unwrap();
    refused(&[], "nothing to evaluate");
    refused(&["--device", "watch"], "--device");
    let manifest = folder.path().join("manifest.csv");
    std::fs::write(&manifest, format!("testID,true_score\n{id},140\n")).unwrap();
    refused(&[], "row 2: the score 140 is not within 0 to 100");
    std::fs::write(&manifest, format!("testID,true_score\n{id},40\n{id},40\n")).unwrap();
    refused(&[], "is there twice");
    std::fs::write(&manifest, "testID,remark\na,b\n").unwrap();
    refused(&[], "true_score");
    std::fs::write(&manifest, format!("testID,true_score\n{},40\n", fresh_id())).unwrap();
    refused(&[], "not in the paths");
    std::fs::write(&manifest, format!("testID,true_score\n{id},40\n")).unwrap();
    std::fs::write(folder.path().join("two.json"), "{\"user_id\": 7}").unwrap();
    refused(&[], "two.json: ");
}
