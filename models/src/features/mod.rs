//! The feature vector of a recording, computed at its true sampling rate.
//!
//! Four parts, because no single one wins on every movement (docs/MODELS.md): twelve numbers about the movement as a whole, sixteen
//! about its course, and nine band powers of each of four signals, none of which depends on how the phone was held; and twelve
//! numbers for each of the nine axes, which do. Estimators see a [`Block`] of them. Every feature is finite for every valid recording.

mod course;
mod motion;
mod per_axis;
mod spectra;
mod whole;

use self::motion::Motion;
use crate::recording::Samples;
use crate::signal::SignalPlans;

/// Name and version of the feature set. A model is only ever used with the set that it was trained on, or with a later one that begins
/// with it; any change of a number below needs a new version.
pub const FEATURE_SET: &str = "stance-motion-2";

/// The set before, whose numbers are the first of today's.
pub const FORMER_SET: &str = "stance-motion-1";

/// Number of features in the set.
pub const FEATURES: usize = FORMER_FEATURES + course::NAMES.len() + spectra::FEATURES;

/// Number of features in [`FORMER_SET`].
pub const FORMER_FEATURES: usize = whole::NAMES.len() + per_axis::FEATURES;

/// Where the course of the movement ends and its spectra begin.
const SPECTRA: usize = FORMER_FEATURES + course::NAMES.len();

/// Values are clamped here, so that absurd but finite samples give finite sums later on.
const LIMIT: f64 = 1e9;

/// A named part of the feature vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Five measures of how long it took: enough where a movement is timed, and little to overfit.
    Times,
    /// The twelve features of the movement as a whole; models of the former set were trained on them.
    Whole,
    /// The movement as a whole and its course.
    Movement,
    /// [`Block::Movement`] and the spectra seen from the ground: everything that does not depend on how the phone was held.
    OrientationFree,
    /// Mean, log SD, log range and nine log band powers of each of nine axes.
    PerAxis,
    /// All of the former set.
    Both,
    /// Everything.
    All,
}

impl Block {
    /// Every block.
    pub const ALL: [Self; 7] =
        [Self::Times, Self::Whole, Self::Movement, Self::OrientationFree, Self::PerAxis, Self::Both, Self::All];

    /// Positions of the block in the feature vector, ascending.
    pub fn columns(self) -> impl Iterator<Item = usize> {
        let whole = whole::NAMES.len();
        let (first, second) = match self {
            Self::Times => (0..2, FORMER_FEATURES..FORMER_FEATURES + 3),
            Self::Whole => (0..whole, 0..0),
            Self::Movement => (0..whole, FORMER_FEATURES..SPECTRA),
            Self::OrientationFree => (0..whole, FORMER_FEATURES..FEATURES),
            Self::PerAxis => (whole..FORMER_FEATURES, 0..0),
            Self::Both => (0..FORMER_FEATURES, 0..0),
            Self::All => (0..FEATURES, 0..0),
        };
        first.chain(second)
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
    let own = |names: &'static [&'static str]| names.iter().map(|name| (*name).to_owned());
    own(&whole::NAMES).chain(per_axis::names()).chain(own(&course::NAMES)).chain(spectra::names()).collect()
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
    let fs = samples.sampling_rate();
    let motion = Motion::new(samples, fs);
    values.extend(whole::features(plans, samples, &motion, fs));
    per_axis::features(plans, samples, &mut values);
    values.extend(course::features(samples, &motion, fs));
    spectra::features(plans, &motion, fs, &mut values);
    for value in &mut values {
        *value = if value.is_finite() { value.clamp(-LIMIT, LIMIT) } else { 0.0 };
    }
    FeatureVector(values)
}

/// Vectors of today's and of the former set, each with the name of its set, as vectors of one set: today's. Where one is of the former,
/// what that lacks is zero in all, and so is constant and dropped by whoever trains on them. `None` where one is of another set or of
/// another length than its set has.
#[must_use]
pub fn of_one_set<'a>(vectors: impl Iterator<Item = (&'a str, &'a [f64])> + Clone) -> Option<Vec<Vec<f64>>> {
    let length = |set: &str| match set {
        FEATURE_SET => Some(FEATURES),
        FORMER_SET => Some(FORMER_FEATURES),
        _ => None,
    };
    let shortest = vectors.clone().map(|(set, _)| length(set)).try_fold(FEATURES, |least, n| Some(least.min(n?)))?;
    vectors
        .map(|(set, vector)| {
            if Some(vector.len()) != length(set) {
                return None;
            }
            let mut vector = vector.get(..shortest)?.to_vec();
            vector.resize(FEATURES, 0.0);
            Some(vector)
        })
        .collect()
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
        assert_eq!((FORMER_FEATURES, FEATURES), (12 + 108, 12 + 108 + 16 + 36));
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), FEATURES);
        let mut parts: Vec<usize> = Block::OrientationFree.columns().chain(Block::PerAxis.columns()).collect();
        parts.sort_unstable();
        assert!(parts.into_iter().eq(Block::All.columns()));
        let times: Vec<&str> = Block::Times.columns().map(|i| names[i].as_str()).collect();
        assert_eq!(times, ["duration", "active_time", "active_time_acceleration", "active_time_low", "posture_time"]);
    }

    #[test]
    fn vectors_of_two_sets_become_those_of_one() {
        let (today, former) = (vec![2.0; FEATURES], vec![3.0; FORMER_FEATURES]);
        let all_of_today = of_one_set([(FEATURE_SET, today.as_slice())].into_iter()).unwrap();
        assert_eq!(all_of_today, std::slice::from_ref(&today));
        let mixed = of_one_set([(FEATURE_SET, today.as_slice()), (FORMER_SET, &former)].into_iter()).unwrap();
        for (vector, value) in mixed.iter().zip([2.0, 3.0]) {
            assert_eq!(vector.len(), FEATURES);
            assert!(vector[..FORMER_FEATURES].iter().all(|v| *v == value));
            assert!(vector[FORMER_FEATURES..].iter().all(|v| *v == 0.0));
        }
        assert_eq!(of_one_set([(FEATURE_SET, former.as_slice())].into_iter()), None);
        assert_eq!(of_one_set([("other-1", former.as_slice())].into_iter()), None);
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
    fn what_is_free_of_orientation_does_not_see_how_the_phone_was_held() {
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
            {
                let features = extract(&samples);
                Block::OrientationFree.columns().map(|i| features.as_slice()[i]).collect::<Vec<f64>>()
            }
        };
        for (a, b) in turn([0, 1, 2, 3, 4, 5, 6, 7, 8]).iter().zip(turn([1, 2, 0, 4, 5, 3, 6, 7, 8])) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
