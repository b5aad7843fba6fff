//! Who is in the demo clinic, and what they did.

use super::CARE_PROVIDER;
use crate::client::{Client, Uploaded};
use crate::generator::{Exercise, GeneratedRecording, Person};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Recordings of each patient that no clinician scored.
const UNSCORED: u64 = 3;
/// Uploads at once: phones, not a flood.
const AT_ONCE: usize = 4;
/// Longest wait for the last score.
const SCORES: Duration = Duration::from_secs(120);

/// A patient and the course of the recovery: quality at the first recording and at the last.
struct DemoPatient {
    id: &'static str,
    name: (&'static str, &'static str),
    seed: u64,
    course: (f64, f64),
}

const PATIENTS: [DemoPatient; 5] = [
    DemoPatient { id: "demo-patient-1", name: ("Alma", "Reyes"), seed: 11, course: (0.30, 0.95) },
    DemoPatient { id: "demo-patient-2", name: ("Bruno", "Keller"), seed: 22, course: (0.45, 0.80) },
    DemoPatient { id: "demo-patient-3", name: ("Chidi", "Okafor"), seed: 33, course: (0.70, 0.48) },
    DemoPatient { id: "demo-patient-4", name: ("Dana", "Lindqvist"), seed: 44, course: (0.55, 0.72) },
    DemoPatient { id: "demo-patient-5", name: ("Emil", "Novak"), seed: 55, course: (0.40, 0.15) },
];

/// Makes what is not there yet, and waits until every recording is scored or learned from.
pub(super) async fn fill(client: &Client, scored: u64, samples: usize) -> anyhow::Result<()> {
    for patient in &PATIENTS {
        client.adopt(CARE_PROVIDER, patient.id, patient.name.0, patient.name.1).await?;
    }
    let today = today();
    let wanted: Vec<_> = PATIENTS
        .iter()
        .flat_map(|patient| (0..scored + UNSCORED).map(move |visit| Visit { patient, visit, scored }))
        .collect();
    let mut missing = Vec::new();
    for visit in wanted {
        let recording = visit.recording(600, today);
        if client.status(&recording.test_event_id().to_string()).await.is_err() {
            missing.push(visit);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let style = "{msg} {bar:40} {pos}/{len}";
    let bar = ProgressBar::new(missing.len() as u64).with_style(ProgressStyle::with_template(style)?);
    bar.set_message("Recording the demo clinic");
    let ids: Vec<String> = stream::iter(missing)
        .map(|visit| {
            let bar = bar.clone();
            async move {
                let made = tokio::task::spawn_blocking(move || {
                    let recording = visit.recording(samples, today);
                    (recording.test_event_id().to_string(), recording.to_json())
                });
                let (id, document) = made.await?;
                upload(client, &document).await?;
                bar.inc(1);
                Ok::<_, anyhow::Error>(id)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    bar.finish();
    let bar = ProgressBar::new(ids.len() as u64).with_style(ProgressStyle::with_template(style)?);
    bar.set_message("Learning and scoring     ");
    let deadline = Instant::now() + SCORES;
    for id in ids {
        loop {
            let state = client.status(&id).await?;
            anyhow::ensure!(state.status != "failed", "a recording of the demo failed: {id}");
            if state.is_final() {
                break;
            }
            anyhow::ensure!(Instant::now() < deadline, "not every recording was scored within {SCORES:?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(())
}

/// One of a patient's recordings.
#[derive(Clone, Copy)]
struct Visit {
    patient: &'static DemoPatient,
    visit: u64,
    scored: u64,
}

impl Visit {
    /// The recording; every fourth day, the last one today. Its id depends on the patient and the visit alone.
    fn recording(&self, samples: usize, today: DateTime<Utc>) -> GeneratedRecording {
        let visits = self.scored + UNSCORED;
        // A recovery levels off: what is recorded now is much like what the clinician has scored lately.
        let along = (1.6 * self.visit as f64 / (visits - 1).max(1) as f64).min(1.0);
        let (first, last) = self.patient.course;
        // Good days and bad days.
        let day = 0.07 * (2.4 * self.visit as f64 + self.patient.seed as f64).sin();
        let quality = first + (last - first) * along + day;
        let recording = Exercise::sit_to_stand().samples(samples).record(
            &Person::from_seed(self.patient.seed),
            quality,
            1_000 + self.visit,
        );
        let days = 4 * (visits - 1 - self.visit);
        let begun = today - TimeDelta::days(i64::try_from(days).unwrap_or_default());
        let begun = begun.with_timezone(recording.started().offset());
        let recording = recording.of_patient(self.patient.id).begun(begun);
        if self.visit < self.scored { recording.scored_by_clinician() } else { recording }
    }
}

/// Now, to the hour.
#[expect(clippy::disallowed_methods, reason = "the demo's recordings are of these weeks; nothing else depends on it")]
fn today() -> DateTime<Utc> {
    let now = Utc::now();
    now.with_minute(0).and_then(|now| now.with_second(0)).and_then(|now| now.with_nanosecond(0)).unwrap_or(now)
}

async fn upload(client: &Client, document: &str) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(100);
    for _ in 0..8 {
        match client.upload(document.to_owned(), None).await.context("a recording was refused")? {
            Uploaded::Accepted(_) => return Ok(()),
            Uploaded::Busy => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    anyhow::bail!("the server stayed busy")
}
