//! Whether a new version is to serve in place of the current one.

use serde::{Deserialize, Serialize};

use crate::card::ModelCard;
use crate::model::TrainedModel;
use crate::training::TrainingSet;

/// Recordings that the current model has not learnt from, below which nothing is said of the two on the same recordings.
pub const MIN_COMPARED: usize = 3;

/// What is to become of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It serves.
    Serves,
    /// It is kept and shown: it predicts no better than the mean score.
    NoBetterThanMean {
        /// Its error.
        error: f64,
        /// The mean's.
        mean: f64,
    },
    /// It is kept and shown: on the recordings that the current one had not learnt from, left out of the new one, it is worse.
    WorseThanCurrent {
        /// Its error.
        error: f64,
        /// The current one's.
        current: f64,
    },
}

/// Judges a new version by its card, its training set and the current model. Both are judged on the same recordings, which neither has
/// seen: those that came after the current one was trained, each left out of the new one.
#[must_use]
pub fn judge(card: &ModelCard, set: &TrainingSet, current: Option<(&TrainedModel, &ModelCard)>) -> Verdict {
    if card.leave_one_out_error >= card.baseline_error {
        return Verdict::NoBetterThanMean { error: card.leave_one_out_error, mean: card.baseline_error };
    }
    let Some((model, of)) = current else { return Verdict::Serves };
    let compared: Vec<(f64, f64)> = card
        .training_recordings
        .iter()
        .zip(&card.left_out_errors)
        .filter(|(id, _)| !of.training_recordings.contains(id))
        .filter_map(|(id, error)| {
            let place = set.ids.iter().position(|known| known == id)?;
            let predicted = model.predict(set.features.get(place)?).ok()?;
            Some((error.abs(), (predicted.value - set.scores.get(place)?).abs()))
        })
        .collect();
    if compared.len() < MIN_COMPARED {
        return Verdict::Serves;
    }
    let n = compared.len() as f64;
    let (error, current) =
        compared.iter().fold((0.0, 0.0), |(a, b), (error, current)| (a + error / n, b + current / n));
    if error <= current { Verdict::Serves } else { Verdict::WorseThanCurrent { error, current } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FEATURES;
    use crate::model::{Linear, Term};
    use crate::training::{TrainParams, train};

    /// Scores follow five times of which `noise` says how well.
    fn set(n: usize, noise: f64) -> TrainingSet {
        let mut set = TrainingSet::default();
        for i in 0..n {
            let wave = |j: usize| ((i * 37 + j * 101) as f64 * 0.71).sin();
            let mut features: Vec<f64> = (0..FEATURES).map(wave).collect();
            let score = 50.0 + 20.0 * wave(7777);
            for j in [0, 1, 120, 121, 122] {
                features[j] = score / 10.0 + noise * wave(j + 5000);
            }
            set.ids.push(i.to_string());
            set.features.push(features);
            set.scores.push(score);
        }
        set
    }

    fn part(set: &TrainingSet, n: usize) -> TrainingSet {
        TrainingSet {
            ids: set.ids[..n].to_vec(),
            features: set.features[..n].to_vec(),
            scores: set.scores[..n].to_vec(),
        }
    }

    #[test]
    fn a_model_that_learnt_more_serves() {
        let set = set(20, 0.1);
        let params = TrainParams::default();
        let (before, after) = (train(&part(&set, 6), &params).unwrap(), train(&set, &params).unwrap());
        assert_eq!(judge(&after.card, &set, Some((&before.model, &before.card))), Verdict::Serves);
        assert_eq!(judge(&after.card, &set, None), Verdict::Serves);
    }

    #[test]
    fn a_model_that_is_worse_on_the_same_recordings_does_not() {
        let set = set(20, 0.3);
        let params = TrainParams::default();
        let (before, after) = (train(&part(&set, 10), &params).unwrap(), train(&set, &params).unwrap());
        // One that knows each score: of no recording is the new one better.
        let mut oracle = Linear { intercept: 0.0, terms: vec![Term::default(); FEATURES] };
        let mut told = set.clone();
        oracle.terms[5] = Term { weight: 1.0, low: 0.0, high: 100.0 };
        for (features, score) in told.features.iter_mut().zip(&told.scores) {
            features[5] = *score;
        }
        let oracle = TrainedModel::new(oracle, 1.0).unwrap();
        let verdict = judge(&after.card, &told, Some((&oracle, &before.card)));
        assert!(matches!(verdict, Verdict::WorseThanCurrent { current: 0.0, .. }), "{verdict:?}");
    }

    #[test]
    fn a_model_no_better_than_the_mean_does_not() {
        let set = set(12, 0.1);
        let trained = train(&set, &TrainParams::default()).unwrap();
        let card = ModelCard { leave_one_out_error: 7.0, baseline_error: 7.0, ..trained.card };
        assert_eq!(judge(&card, &set, None), Verdict::NoBetterThanMean { error: 7.0, mean: 7.0 });
    }
}
