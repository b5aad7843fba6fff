//! Recordings of movement tests, made from the mechanics of the movement.
//!
//! A phone is strapped to the chest, upright, its screen outwards: `x` points to the wearer's left, `y` up along the
//! trunk, `z` out of the chest. A [`Person`] has a style that stays; a
//! quality, 0 to 1, says how well this performance went, and drives both the movement and the clinician's score.
//!
//! ```
//! use stance_loadtest::generator::{Exercise, Person};
//!
//! let recording = Exercise::sit_to_stand().samples(3_000).record(&Person::from_seed(7), 0.6, 42);
//! assert_eq!(recording.len(), 3_000);
//! assert!(recording.to_json().starts_with('{'));
//! ```

mod document;
mod noise;
mod person;
mod sensors;
mod sit_to_stand;
mod track;

pub use document::GeneratedRecording;
pub use person::Person;

use chrono::{DateTime, FixedOffset};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

/// A movement test, and how long it is recorded.
#[derive(Debug, Clone)]
pub struct Exercise {
    samples: usize,
}

impl Exercise {
    /// Rising from a chair and sitting down again, over and over: one minute near 100 Hz.
    #[must_use]
    pub fn sit_to_stand() -> Self {
        Self { samples: 6_000 }
    }

    /// Length in samples, at least 1.
    #[must_use]
    pub fn samples(self, samples: usize) -> Self {
        Self { samples: samples.max(1) }
    }

    /// One performance. `quality` is clipped to 0 (barely manages) .. 1 (without effort); the same arguments give the
    /// same recording.
    #[must_use]
    pub fn record(&self, person: &Person, quality: f64, seed: u64) -> GeneratedRecording {
        let quality = quality.clamp(0.0, 1.0);
        let mut random = StdRng::seed_from_u64(seed ^ person.seed().rotate_left(32));
        let id = uuid::Builder::from_random_bytes(rand::Rng::random(&mut random)).into_uuid();
        let clock = sensors::sample_clock(&mut random, self.samples, person.sampling_rate);
        let motion = sit_to_stand::perform(&mut random, person, quality, &clock.truth);
        let axes = sensors::measure(&mut random, person, &motion);
        GeneratedRecording {
            test_event_id: id,
            patient: person.patient_id(),
            movement: "sit-to-stand",
            begun: a_morning(person, &mut random),
            seconds: clock.stamped,
            axes,
            score: clinician_score(&mut random, quality),
            training: false,
        }
    }
}

/// What a clinician would say, 0 to 100: the quality, with a hand's unsteadiness of about two points.
fn clinician_score(random: &mut StdRng, quality: f64) -> u8 {
    let unsteady = Normal::new(0.0, 2.0).map_or(0.0, |normal| normal.sample(random));
    (5.0 + 90.0 * quality + unsteady).round().clamp(0.0, 100.0) as u8
}

/// Some morning, in the zone where the person lives.
fn a_morning(person: &Person, random: &mut StdRng) -> DateTime<FixedOffset> {
    let midnight =
        DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_484 + i64::from(rand::Rng::random_range(random, 0..28)));
    let morning = midnight
        + chrono::TimeDelta::microseconds(rand::Rng::random_range(random, 8 * 3_600_000_000..12 * 3_600_000_000));
    let zone = person.zone();
    let local = morning.naive_utc();
    local.and_local_timezone(zone).single().unwrap_or_else(|| morning.with_timezone(&zone))
}

#[cfg(test)]
mod tests;
