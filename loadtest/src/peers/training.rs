//! Training from features: the program's and scikit-learn's, one thread each.

use super::mlserver::SCRIPT;
use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use stance_models::features::FEATURES;
use stance_models::training::{TrainParams, TrainingSet, train};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Patients of which the peer trains: the rest would take it as long again and again.
const OF_THE_PEER: usize = 10;

/// How long it takes for all patients: ours measured, the peer's from [`OF_THE_PEER`] of them.
pub(super) async fn compare(
    environment: &Path,
    patients: usize,
    recordings: usize,
) -> anyhow::Result<(Duration, Duration)> {
    let mut random = StdRng::seed_from_u64(1);
    let sets: Vec<TrainingSet> = (0..patients).map(|_| set(&mut random, recordings)).collect();
    let begun = Instant::now();
    for set in &sets {
        train(set, &TrainParams::default())?;
    }
    let ours = begun.elapsed();
    let some: Vec<_> =
        sets.iter().take(OF_THE_PEER).map(|set| json!({ "features": set.features, "scores": set.scores })).collect();
    let mut child = Command::new(environment.join("bin/python"))
        .args(["-c", SCRIPT, "train"])
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(serde_json::to_string(&some)?.as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("scikit-learn did not train")?;
    let seconds = answer.get("seconds").and_then(Value::as_f64).context("scikit-learn told no time")?;
    Ok((ours, Duration::from_secs_f64(seconds * patients as f64 / some.len().max(1) as f64)))
}

/// Scores that follow the first features, and noise.
fn set(random: &mut StdRng, recordings: usize) -> TrainingSet {
    let mut set = TrainingSet::default();
    for number in 0..recordings {
        let score = random.random_range(20.0..90.0);
        let mut features: Vec<f64> = (0..FEATURES).map(|_| random.random_range(-1.0..1.0)).collect();
        for feature in features.iter_mut().take(2) {
            *feature += score / 10.0;
        }
        set.ids.push(number.to_string());
        set.features.push(features);
        set.scores.push(score);
    }
    set
}
