//! The parts of the pipeline on one recording of 6,000 samples, beside the floor: the same bytes through serde_json into
//! plain vectors, an FFT, zstd and one sync.

#![expect(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use stance::domain::entropy::Entropy;
use stance::domain::object_key::ObjectKey;
use stance::domain::recording::{Axis, TimestampWriter, assess, parse};
use stance::storage::lake::{open_axis, to_csv, to_parquet};
use stance::storage::objects::{Folder, Objects};
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

/// One axis of a recording that lies in a folder, to the texts and numbers of an answer; beside it the same by reading the whole
/// file.
fn axis(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir_in(".").unwrap();
    let objects = Objects::Folder(Folder::open(folder.path(), 1 << 26, &Entropy::from_seed(1)).unwrap());
    let recording = parse(document()).unwrap();
    let key = ObjectKey::parquet(recording.patient(), recording.movement(), recording.day(), recording.id());
    runtime.block_on(objects.put(&key, to_parquet(&recording).unwrap().into())).unwrap();
    let mut group = criterion.benchmark_group("one axis of 6,000 samples");
    group.bench_function("read", |bencher| {
        bencher.iter(|| runtime.block_on(open_axis(&objects, &key, Axis::Ay, 10_000)).unwrap().read().unwrap());
    });
    group.bench_function("read and told", |bencher| {
        bencher.iter(|| {
            let samples = runtime.block_on(open_axis(&objects, &key, Axis::Ay, 10_000)).unwrap().read().unwrap();
            let mut writer = TimestampWriter::default();
            let told: Vec<_> = samples.times.iter().map(|time| writer.write(*time).unwrap()).collect();
            (told, samples.values)
        });
    });
    group.bench_function("whole file", |bencher| {
        bencher.iter(|| {
            let bytes = runtime.block_on(objects.get(&key, None)).unwrap();
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(6_000).build().unwrap();
            reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, parts, axis, floor);
criterion_main!(benches);
