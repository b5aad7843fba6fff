//! Training from features: the program's and scikit-learn's, one thread each.

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::json;
use stance_models::features::FEATURES;
use stance_models::training::{TrainParams, TrainingSet, train};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The same candidates, folds and averages in scikit-learn.
const SCRIPT: &str = include_str!("training.py");
/// Patients of which the peer trains: the rest would take it as long again and again.
pub(super) const OF_THE_PEER: usize = 20;

/// Time for all patients (the peer's from [`OF_THE_PEER`] of them), and the mean absolute error of predictions of what was left out
/// of [`OF_THE_PEER`]: who does the same work is as good at it.
pub(super) struct Trained {
    pub(super) ours: Duration,
    pub(super) peers: Duration,
    pub(super) our_error: f64,
    pub(super) peers_error: f64,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    error: f64,
}

/// Trains a model of each patient, here and there.
pub(super) async fn compare(environment: &Path, patients: usize, recordings: usize) -> anyhow::Result<Trained> {
    let mut random = StdRng::seed_from_u64(1);
    let sets: Vec<TrainingSet> = (0..patients).map(|_| set(&mut random, recordings)).collect();
    let some = patients.clamp(1, OF_THE_PEER);
    let begun = Instant::now();
    let mut errors = Vec::with_capacity(patients);
    for set in &sets {
        errors.push(train(set, &TrainParams::default())?.card.leave_one_out_error);
    }
    let ours = begun.elapsed();
    let given: Vec<_> =
        sets.iter().take(some).map(|set| json!({ "features": set.features, "scores": set.scores })).collect();
    let mut child = Command::new(environment.join("bin/python"))
        .args(["-c", SCRIPT])
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(serde_json::to_string(&given)?.as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    let there: Answer = serde_json::from_slice(&output.stdout).context("scikit-learn did not train")?;
    Ok(Trained {
        ours,
        peers: Duration::from_secs_f64(there.seconds * patients as f64 / some as f64),
        our_error: errors.iter().take(some).sum::<f64>() / some as f64,
        peers_error: there.error,
    })
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
