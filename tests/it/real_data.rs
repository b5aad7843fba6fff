//! The main job on real recordings.

use crate::harness::{Backends, Program, eventually, shared_data};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use uuid::Uuid;

/// The model's mean absolute error must be at most this share of that of always predicting the person's mean.
const MARGIN: f64 = 0.75;

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_recordings_become_the_csv_that_the_cloud_made_of_them() {
    let Some(data) = shared_data() else { return };
    let program = Program::start();
    let patient = "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa";
    let clinic = program.clinic_with(&[patient]).await;
    for id in ["b645d217-f1f8-4798-bf1f-eb83d92cd7c3", "f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2"] {
        let file = |ending: &str| fs::read(data.join(format!("app_sit_to_stand/{id}.{ending}"))).unwrap();
        let answer = clinic.upload_and_wait(file("json")).await;
        assert_eq!(answer.recording_status(), "awaiting_model", "{answer:?}");

        let key = format!(
            "csv_data/patient_tests/user_id={patient}/movement=sit-to-stand/year=2023/month=4/day=25/test_event_id={id}/test_event_{id}.csv"
        );
        let made = fs::read(program.folder().join("objects").join(key)).unwrap();
        let (made, expected) = (table(&made), table(&file("csv")));
        assert_eq!(made.len(), expected.len());
        for (made, expected) in made.iter().zip(&expected) {
            assert_eq!(made.0, expected.0, "timestamps as text");
            assert_eq!(made.1, expected.1, "numbers to the bit");
        }
    }
}

/// Each row: its timestamp as text and its numbers as bits.
fn table(bytes: &[u8]) -> Vec<(String, Vec<u64>)> {
    let mut reader = csv::Reader::from_reader(bytes);
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), "ts,ax,ay,az,gx,gy,gz,mx,my,mz");
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let numbers = row.iter().skip(1).map(|number| number.parse::<f64>().unwrap().to_bits()).collect();
            (row[0].to_owned(), numbers)
        })
        .collect()
}

struct Row {
    id: Uuid,
    patient: String,
    training: bool,
    score: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clinician_did_not_score_is_scored_better_than_by_the_persons_mean() {
    are_scored_better_than_by_the_persons_mean(&[Program::start_with(&EARLY)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_score_what_a_clinician_did_not_better_than_by_the_persons_mean() {
    let backends = Backends::production().await;
    let programs = [Program::start_on(&backends, &EARLY), Program::start_on(&backends, &EARLY)];
    are_scored_better_than_by_the_persons_mean(&programs).await;
    for program in &programs {
        let converted = program.metric("stance_stage_duration_seconds_count{stage=\"convert\",outcome=\"done\"}").await;
        assert!(converted > 10.0, "a process converted {converted} recordings");
    }
}

/// One of the twelve people has eight training recordings, fewer than the default asks for.
const EARLY: [(&str, &str); 2] = [("training.minimum", "8"), ("training.every", "2")];

/// Uploads are spread over the programs.
async fn are_scored_better_than_by_the_persons_mean(programs: &[Program]) {
    let Some(data) = shared_data() else { return };
    let rows = manifest(&fs::read_to_string(data.join("timed_up_and_go/manifest.csv")).unwrap());
    let patients: BTreeSet<_> = rows.iter().map(|row| row.patient.as_str()).collect();
    let program = &programs[0];
    let clinic = program.clinic_with(&patients.iter().copied().collect::<Vec<_>>()).await;

    let upload = async |training: bool| {
        stream::iter(rows.iter().filter(|row| row.training == training).zip(programs.iter().cycle()))
            .for_each_concurrent(8, async |(row, program)| {
                let file = data.join(format!("timed_up_and_go/{}/{}.json", row.patient, row.id));
                let answer = clinic.at(program.url()).upload(fs::read(file).unwrap()).await;
                assert_eq!(answer.status, 202, "{answer:?}");
            })
            .await;
    };
    upload(true).await;
    eventually("everything is learned from", || async {
        (program.count("SELECT count(*) FROM jobs").await == 0).then_some(())
    })
    .await;
    upload(false).await;

    let mut means: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.training) {
        let mean = means.entry(&row.patient).or_default();
        *mean = (mean.0 + row.score, mean.1 + 1.0);
    }
    let (mut model, mut baseline, mut scored) = (0.0, 0.0, 0.0);
    for row in rows.iter().filter(|row| !row.training) {
        let answer = clinic.await_status(&row.id.to_string(), "scored").await;
        let value = answer.body["score"]["value"].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&value));
        // Where a person's own model is no better than their mean, the others' experience answers, and the event keeps none.
        let kept = if answer.body["score"]["provisional"] == true { None } else { Some(value.round()) };
        assert_eq!(answer.body["balance_score"].as_f64(), kept, "{}", answer.body);
        let (sum, count) = means[row.patient.as_str()];
        model += (value - row.score).abs();
        baseline += (sum / count - row.score).abs();
        scored += 1.0;
    }
    println!(
        "mean absolute error over {scored} recordings: {:.2}, by the person's mean {:.2}",
        model / scored,
        baseline / scored
    );
    assert!(scored > 40.0);
    assert!(model <= MARGIN * baseline, "{model} is not at most {MARGIN} of {baseline}");
}

fn manifest(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            Row {
                id: row[0].parse().unwrap(),
                patient: row[1].to_owned(),
                training: &row[3] == "1",
                score: row[4].parse().unwrap(),
            }
        })
        .collect()
}
