//! Costs of the parts of scoring and training: `cargo bench -p stance-models`.
#![expect(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "macros of criterion; a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use stance_models::artifact::{pack, unpack};
use stance_models::features::{FEATURES, extract_with};
use stance_models::prior::{Experience, Prior};
use stance_models::recording::Samples;
use stance_models::signal::SignalPlans;
use stance_models::training::{Knowledge, TrainParams, TrainingSet, train, train_with};

/// A minute at 100 Hz.
const SAMPLES: usize = 6000;

fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    })
}

fn training_set(n: usize) -> TrainingSet {
    let mut noise = noise(5);
    let scores: Vec<f64> = (0..n).map(|i| 40.0 + (i % 17) as f64 * 2.5).collect();
    let row = |score: &f64| (0..FEATURES).map(|j| noise.next().unwrap() + score / (10.0 + j as f64)).collect();
    TrainingSet { ids: (0..n).map(|i| i.to_string()).collect(), features: scores.iter().map(row).collect(), scores }
}

fn parts(c: &mut Criterion) {
    let seconds: Vec<f64> = (0..SAMPLES).map(|i| i as f64 / 100.0).collect();
    let axes: Vec<Vec<f64>> = (1..10)
        .map(|axis| seconds.iter().zip(noise(axis)).map(|(t, e)| 5.0 * (t * 11.0).sin() + e).collect())
        .collect();
    let borrowed: Vec<&[f64]> = axes.iter().map(Vec::as_slice).collect();
    let samples = Samples::new(&seconds, borrowed.try_into().unwrap()).unwrap();
    let mut plans = SignalPlans::new();

    c.bench_function("spectrogram_extremes 9x6000", |b| {
        b.iter(|| samples.axes().map(|axis| plans.spectrogram_extremes(black_box(axis))));
    });
    let mut plans = SignalPlans::new();
    c.bench_function("extract 9x6000", |b| b.iter(|| extract_with(&mut plans, black_box(&samples))));
    for n in [5, 10, 30, 60, 100, 200] {
        let set = training_set(n);
        c.bench_function(&format!("train {n}"), |b| b.iter(|| train(black_box(&set), &TrainParams::default())));
    }
    let sets: Vec<TrainingSet> = (8..18).map(training_set).collect();
    let experiences: Vec<Experience<'_>> = sets.iter().map(|set| Experience { set, groups: None }).collect();
    c.bench_function("learn a prior of 10 people", |b| b.iter(|| Prior::learn(black_box(&experiences))));
    let many: Vec<TrainingSet> = (0..60).map(|_| training_set(30)).collect();
    let many: Vec<Experience<'_>> = many.iter().map(|set| Experience { set, groups: None }).collect();
    c.bench_function("learn a prior of 60 people of 30", |b| b.iter(|| Prior::learn(black_box(&many))));
    let prior = Prior::learn(&experiences).unwrap();
    let knowledge = Knowledge { prior: Some(&prior), groups: None };
    for n in [3, 10, 30] {
        let set = training_set(n);
        c.bench_function(&format!("train {n} with a prior"), |b| {
            b.iter(|| train_with(black_box(&set), &TrainParams::default(), &knowledge));
        });
    }
    let trained = train(&training_set(30), &TrainParams::default()).unwrap();
    println!("a model of 30 recordings: {} bytes", trained.model.size_bytes());
    let features = training_set(1).features.remove(0);
    c.bench_function("predict", |b| b.iter(|| trained.model.predict(black_box(&features))));
    let packed = pack(&trained.model, &trained.card).unwrap();
    c.bench_function("unpack", |b| b.iter(|| unpack(black_box(&packed))));
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = parts }
criterion_main!(benches);
