//! A report of a recording of 6,000 samples: nine plots and a front.

#![expect(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use chrono::DateTime;
use criterion::{Criterion, criterion_group, criterion_main};
use stance::documents::report::{Content, render};
use stance::domain::ids::{ModelVersion, Movement, PatientId};
use stance::domain::object_key::ObjectKey;
use stance::domain::recording::{Recording, assess, parse};
use stance::domain::score::{RecordingStatus, Score};
use stance::storage::database::{EventRecord, Patient, QualityReport, Recorded, Scored, TestEvent};
use stance::storage::objects::Digest;
use stance_loadtest::generator::{Exercise, Person};
use std::hint::black_box;

fn record(recording: &Recording) -> EventRecord {
    let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    let patient = PatientId::new(recording.patient().as_str()).unwrap();
    let movement = Movement::new("sit-to-stand").unwrap();
    let quality = assess(recording);
    EventRecord {
        event: TestEvent {
            id: recording.id(),
            patient: patient.clone(),
            test_type: movement.clone(),
            balance_score: Some(71),
            doctor_score: Some(68),
            notes: Some("Uses the left arm at the third rise. ".repeat(20)),
            start_time: Some(at),
            end_time: Some(at),
        },
        recording: Some(Recorded {
            raw_key: ObjectKey::raw(&patient, &movement, recording.day(), false, recording.id()),
            movement,
            day: recording.day(),
            digest: Digest::of(recording.raw()),
            status: RecordingStatus::Scored,
            failure: None,
            clinic_score: None,
            received_at: at,
            updated_at: at,
            quality: Some(QualityReport {
                samples: 6_000,
                duration_seconds: quality.duration_seconds,
                effective_rate_hz: quality.effective_rate_hz,
                gaps: 0,
                longest_gap_seconds: quality.longest_gap_seconds,
                jitter_seconds: quality.jitter_seconds,
                non_monotonic: 0,
                constant_axes: Vec::new(),
            }),
            score: Some(Scored {
                score: Score {
                    provisional: false,
                    unlike_training: false,
                    novelty: Some(0.4),
                    value: 70.9,
                    lower: Some(63.2),
                    upper: Some(78.4),
                    model_version: ModelVersion::new("m-1").unwrap(),
                    backend: "local",
                },
                at,
                model: Some((20, 4.1)),
            }),
        }),
        patient: Patient {
            id: patient,
            email: None,
            first_name: Some("Zofia".into()),
            last_name: Some("Żółkiewska".into()),
            privacy_consent_date: None,
        },
    }
}

fn report(criterion: &mut Criterion) {
    let document = Exercise::sit_to_stand().samples(6_000).record(&Person::from_seed(7), 0.6, 42).to_json();
    let recording = parse(document.into()).unwrap();
    let record = record(&recording);
    let made_at = DateTime::from_timestamp(1_767_225_700, 0).unwrap();
    let mut group = criterion.benchmark_group("report");
    group.bench_function("its content and mark", |bencher| {
        bencher.iter(|| Content::new(black_box(&record), "").mark());
    });
    group.bench_function("pdf of 6,000 samples", |bencher| {
        bencher.iter(|| render(&Content::new(black_box(&record), ""), Some(&recording), made_at).unwrap());
    });
    group.finish();
}

criterion_group!(benches, report);
criterion_main!(benches);
