//! The parts of the pipeline on one recording of 6,000 samples, beside the floor: the same bytes through serde_json into
//! plain vectors, an FFT, zstd and one sync.

#![expect(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use stance::domain::recording::{assess, parse};
use stance::storage::lake::{to_csv, to_parquet};
use stance_loadtest::generator::{Exercise, Person};
use stance_models::features::extract;
use stance_models::recording::Samples;
use std::hint::black_box;
use std::io::Write;

fn document() -> bytes::Bytes {
    Exercise::sit_to_stand().samples(6_000).record(&Person::from_seed(7), 0.6, 42).to_json().into()
}

fn parts(criterion: &mut Criterion) {
    let document = document();
    let recording = parse(document.clone()).unwrap();
    let mut group = criterion.benchmark_group("recording of 6,000 samples");
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| parse(black_box(document.clone())).unwrap()));
    group.bench_function("digest", |bencher| bencher.iter(|| blake3::hash(black_box(&document))));
    group.bench_function("csv", |bencher| bencher.iter(|| to_csv(black_box(&recording))));
    group.bench_function("parquet", |bencher| bencher.iter(|| to_parquet(black_box(&recording)).unwrap()));
    group.bench_function("quality", |bencher| bencher.iter(|| assess(black_box(&recording))));
    group.bench_function("features", |bencher| {
        bencher.iter(|| {
            let seconds = recording.seconds();
            extract(&Samples::new(&seconds, recording.axes().each_ref().map(Vec::as_slice)).unwrap())
        });
    });
    group.finish();
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read only to be timed")]
struct Plain<'a> {
    #[serde(borrow)]
    ts: Vec<&'a str>,
    ax: Vec<f64>,
    ay: Vec<f64>,
    az: Vec<f64>,
    gx: Vec<f64>,
    gy: Vec<f64>,
    gz: Vec<f64>,
    mx: Vec<f64>,
    my: Vec<f64>,
    mz: Vec<f64>,
}

fn floor(criterion: &mut Criterion) {
    let document = document();
    let recording = parse(document.clone()).unwrap();
    let text = std::str::from_utf8(&document).unwrap();
    let parquet = to_parquet(&recording).unwrap();
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| serde_json::from_str::<Plain<'_>>(black_box(text)).unwrap());
    });
    group.bench_function("fft of nine axes", |bencher| {
        let mut plans = stance_models::signal::SignalPlans::new();
        bencher.iter(|| {
            for axis in recording.axes() {
                black_box(plans.welch_psd(axis, 100.0, 256));
            }
        });
    });
    let doubles: Vec<u8> = recording.axes().iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    group.bench_function("zstd of the doubles", |bencher| {
        bencher.iter(|| zstd::bulk::compress(black_box(&doubles), 1).unwrap())
    });
    let folder = tempfile::tempdir_in(".").unwrap();
    group.bench_function("write and sync", |bencher| {
        bencher.iter(|| {
            let mut file = std::fs::File::create(folder.path().join("floor")).unwrap();
            file.write_all(&parquet).unwrap();
            file.sync_data().unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, parts, floor);
criterion_main!(benches);
