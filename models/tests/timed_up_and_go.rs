//! How well models predict real recordings of people whose other recordings they were trained on.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that reports its measurements")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stance_models::features::extract_with;
use stance_models::recording::{AXES, Samples};
use stance_models::signal::SignalPlans;
use stance_models::training::{TrainParams, TrainingSet, train};

/// A row of the manifest.
struct Row {
    id: String,
    person: String,
    training: bool,
    score: f64,
    device: String,
}

#[test]
fn models_predict_held_out_executions_better_than_the_mean() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/timed_up_and_go");
    if !data.exists() {
        println!("SKIPPED, NOTHING MEASURED: {} is absent", data.display());
        return;
    }
    let mixed = evaluate(&data, |_| true);
    let phone = evaluate(&data, |row| row.device == "sp");
    println!("mixed devices: {mixed:?}\nphone only: {phone:?}");
    assert!(mixed.model < MIXED_LIMIT * mixed.mean, "{mixed:?}");
    assert!(phone.model < PHONE_LIMIT * phone.mean, "{phone:?}");
}

/// The model's error must stay below this share of the error of predicting each person's training mean: 0.61 was reached with
/// phone and watch recordings in one model, 0.43 with the phone's alone.
const MIXED_LIMIT: f64 = 0.7;
/// As [`MIXED_LIMIT`].
const PHONE_LIMIT: f64 = 0.55;

/// Mean absolute errors in score points, averaged over people.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Report {
    model: f64,
    mean: f64,
    recordings: usize,
    covered: f64,
    mean_width: f64,
}

/// Features and true score of a held-out recording.
type Scored = (Vec<f64>, f64);

fn evaluate(data: &Path, wanted: impl Fn(&Row) -> bool) -> Report {
    let mut people: BTreeMap<String, (TrainingSet, Vec<Scored>)> = BTreeMap::new();
    let mut plans = SignalPlans::new();
    for row in manifest(data).into_iter().filter(wanted) {
        let features = features(&mut plans, &data.join(&row.person).join(format!("{}.json", row.id)));
        let (set, held_out) = people.entry(row.person).or_default();
        if row.training {
            set.ids.push(row.id);
            set.features.push(features);
            set.scores.push(row.score);
        } else {
            held_out.push((features, row.score));
        }
    }
    let (mut model_errors, mut mean_errors) = (Vec::new(), Vec::new());
    let (mut covered, mut widths, mut recordings) = (0, 0.0, 0);
    for (person, (set, held_out)) in &people {
        let trained = train(set, &TrainParams::default()).unwrap();
        let mean = average(&set.scores);
        let predictions: Vec<_> =
            held_out.iter().map(|(x, score)| (trained.model.predict(x).unwrap(), *score)).collect();
        let error = average(&predictions.iter().map(|(p, score)| (p.value - score).abs()).collect::<Vec<_>>());
        let baseline = average(&held_out.iter().map(|(_, score)| (mean - score).abs()).collect::<Vec<_>>());
        let c = &trained.card;
        println!(
            "{person}: model {error:.2} mean {baseline:.2}; left out {:.2} mean {:.2}; {:?} {:?}",
            c.leave_one_out_error, c.baseline_error, c.candidate.block, c.candidate.estimator
        );
        covered += predictions.iter().filter(|(p, score)| (p.lower..=p.upper).contains(score)).count();
        widths += predictions.iter().map(|(p, _)| p.upper - p.lower).sum::<f64>();
        recordings += predictions.len();
        model_errors.push(error);
        mean_errors.push(baseline);
    }
    Report {
        model: average(&model_errors),
        mean: average(&mean_errors),
        recordings,
        covered: covered as f64 / recordings as f64,
        mean_width: widths / recordings as f64,
    }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn manifest(data: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(data.join("manifest.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let (id, person, training) = (column("testID"), column("user_id"), column("training"));
    let (score, device) = (column("true_score"), column("device"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            Row {
                id: cells[id].to_owned(),
                person: cells[person].to_owned(),
                training: cells[training] == "1",
                score: cells[score].parse().unwrap(),
                device: cells[device].to_owned(),
            }
        })
        .collect()
}

fn features(plans: &mut SignalPlans, file: &PathBuf) -> Vec<f64> {
    let recording: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let times: Vec<f64> =
        recording["ts"].as_array().unwrap().iter().map(|t| second_of_day(t.as_str().unwrap())).collect();
    let seconds: Vec<f64> = times.iter().map(|t| t - times[0]).collect();
    let numbers = |axis| recording[axis].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<f64>>();
    let axes = AXES.map(numbers);
    let borrowed = std::array::from_fn(|i| axes[i].as_slice());
    extract_with(plans, &Samples::new(&seconds, borrowed).unwrap()).into_vec()
}

/// `2022-07-11 10:10:26.602000 +00:00`; none of these recordings spans midnight.
fn second_of_day(timestamp: &str) -> f64 {
    let time: Vec<f64> = timestamp[11..26].split(':').map(|part| part.parse().unwrap()).collect();
    time[0] * 3600.0 + time[1] * 60.0 + time[2]
}
