//! The feature vector of a recording, computed at its true sampling rate.
//!
//! Two blocks, because no single one wins on every movement (see `shared/data/README.md`):
//! [`Block::Whole`], twelve numbers about the movement as a whole that do not depend on how the phone was held, and
//! [`Block::PerAxis`], twelve numbers for each of the nine axes. Every feature is finite for every valid recording.

mod motion;
mod per_axis;
mod whole;

use std::ops::Range;

use crate::recording::Samples;
use crate::signal::SignalPlans;

/// Name and version of the feature set. A model is only ever used with the set that it was trained on; any change of a number
/// below needs a new version.
pub const FEATURE_SET: &str = "stance-motion-1";

/// Number of features in the set.
pub const FEATURES: usize = whole::NAMES.len() + per_axis::FEATURES;

/// Values are clamped here, so that absurd but finite samples give finite sums later on.
const LIMIT: f64 = 1e9;

/// A named part of the feature vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Duration and active time, the first two of the whole movement: enough where a movement is timed, and little to overfit.
    Times,
    /// Twelve orientation-free features of the movement as a whole.
    Whole,
    /// Mean, log SD, log range and nine log band powers of each of nine axes.
    PerAxis,
    /// Both blocks.
    Both,
}

impl Block {
    /// Positions of the block in the feature vector.
    #[must_use]
    pub fn columns(self) -> Range<usize> {
        match self {
            Self::Times => 0..2,
            Self::Whole => 0..whole::NAMES.len(),
            Self::PerAxis => whole::NAMES.len()..FEATURES,
            Self::Both => 0..FEATURES,
        }
    }
}

/// Features of one recording: [`FEATURES`] finite numbers in the order of [`names`].
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureVector(Vec<f64>);

impl FeatureVector {
    /// The numbers, in the order of [`names`].
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The numbers, in the order of [`names`].
    #[must_use]
    pub fn into_vec(self) -> Vec<f64> {
        self.0
    }
}

/// Names of the features, in order.
#[must_use]
pub fn names() -> Vec<String> {
    whole::NAMES.iter().map(|name| (*name).to_owned()).chain(per_axis::names()).collect()
}

/// The features of a recording. Makes its own workspace; see [`extract_with`] for many recordings.
#[must_use]
pub fn extract(samples: &Samples<'_>) -> FeatureVector {
    extract_with(&mut SignalPlans::new(), samples)
}

/// The features of a recording, with FFT plans that are kept from call to call. The result does not depend on earlier calls.
#[must_use]
pub fn extract_with(plans: &mut SignalPlans, samples: &Samples<'_>) -> FeatureVector {
    let mut values = Vec::with_capacity(FEATURES);
    values.extend(whole::features(plans, samples));
    per_axis::features(plans, samples, &mut values);
    for value in &mut values {
        *value = if value.is_finite() { value.clamp(-LIMIT, LIMIT) } else { 0.0 };
    }
    FeatureVector(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(seconds: &[f64], axes: &[Vec<f64>]) {
        let axes: Vec<&[f64]> = axes.iter().map(Vec::as_slice).collect();
        let samples = Samples::new(seconds, axes.try_into().unwrap()).unwrap();
        let found = extract(&samples);
        assert_eq!(found.as_slice().len(), FEATURES);
        assert!(found.as_slice().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn names_and_blocks_cover_the_vector() {
        let names = names();
        assert_eq!(names.len(), FEATURES);
        assert_eq!(FEATURES, 12 + 108);
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), FEATURES);
        assert_eq!(Block::Whole.columns().end, Block::PerAxis.columns().start);
    }

    #[test]
    fn degenerate_recordings_have_finite_features() {
        for n in [1, 2, 3, 5, 20, 100, 700] {
            let repeated = vec![0.0; n];
            let even: Vec<f64> = (0..n).map(|i| i as f64 * 0.01).collect();
            for seconds in [repeated, even] {
                for value in [0.0, 9.81, 1e300, -1e-300] {
                    check(&seconds, &vec![vec![value; n]; 9]);
                }
                let swing: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { f64::MAX } else { f64::MIN }).collect();
                check(&seconds, &vec![swing; 9]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_recording_has_finite_features(
            rows in prop::collection::vec((prop::num::f64::NORMAL, -50.0..50.0, -50.0..50.0), 1..400)
        ) {
            let seconds: Vec<f64> = rows.iter().map(|r| r.2).collect();
            let wild: Vec<f64> = rows.iter().map(|r| r.0).collect();
            let tame: Vec<f64> = rows.iter().map(|r| r.1).collect();
            check(&seconds, &[tame.clone(), wild.clone(), tame.clone(), tame.clone(), tame.clone(), wild, tame.clone(), tame.clone(), tame]);
        }
    }

    #[test]
    fn whole_block_does_not_see_how_the_phone_was_held() {
        let n = 1200;
        let seconds: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.01).collect();
        let wave = |a: f64, f: f64, p: f64| -> Vec<f64> { seconds.iter().map(|t| a * (t * f + p).sin()).collect() };
        let up: Vec<f64> = wave(2.0, 12.0, 0.0).iter().map(|v| v + 9.81).collect();
        let axes = vec![
            wave(1.0, 6.0, 0.3),
            wave(0.5, 3.0, 0.1),
            up,
            wave(0.4, 5.0, 0.0),
            wave(0.2, 7.0, 0.4),
            wave(1.0, 2.0, 1.0),
        ];
        let turn = |order: [usize; 9]| -> Vec<f64> {
            let mut all = axes.clone();
            all.extend([vec![0.0; n as usize], vec![0.0; n as usize], vec![0.0; n as usize]]);
            let turned: Vec<&[f64]> = order.iter().map(|i| all[*i].as_slice()).collect();
            let samples = Samples::new(&seconds, turned.try_into().unwrap()).unwrap();
            extract(&samples).as_slice()[Block::Whole.columns()].to_vec()
        };
        for (a, b) in turn([0, 1, 2, 3, 4, 5, 6, 7, 8]).iter().zip(turn([1, 2, 0, 4, 5, 3, 6, 7, 8])) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
