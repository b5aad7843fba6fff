//! Training: the candidate with the least leave-one-out error, fitted to all recordings.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::card::{FORMAT_VERSION, ModelCard, rounded, software};
use crate::estimators::{Candidate, Design, candidates};
use crate::features::{Block, FEATURE_SET, FEATURES, names};
use crate::model::{Linear, ModelError, SCORE_RANGE, TrainedModel};

/// Fewer recordings than this train nothing.
pub const MIN_RECORDINGS: usize = 2;
/// Only this many of the newest recordings are used: a person changes, and time stays bounded.
pub const MAX_RECORDINGS: usize = 200;
/// Up to this many recordings each is left out alone; beyond, [`FOLDS`] contiguous folds are.
const MAX_LEAVE_ONE_OUT: usize = 40;
/// Contiguous folds beyond [`MAX_LEAVE_ONE_OUT`] recordings.
const FOLDS: usize = 20;
/// A less simple candidate must lower the error by this share to be preferred.
const MARGIN: f64 = 0.05;
/// Share of left-out recordings that the interval must cover.
const COVERAGE: f64 = 0.9;

/// Recordings with a clinician's score, oldest first; one element each in all three.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainingSet {
    /// Test event ids.
    pub ids: Vec<String>,
    /// Feature vectors of [`FEATURES`] numbers.
    pub features: Vec<Vec<f64>>,
    /// Scores, 0 to 100.
    pub scores: Vec<f64>,
}

/// What a training run is told besides its recordings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrainParams {
    /// Kept in the card. No step of today's training draws random numbers; one that does must draw from this.
    pub seed: u64,
    /// Kept in the card: the caller has the clock.
    pub trained_at: Option<String>,
}

/// A model and its card.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The model.
    pub model: TrainedModel,
    /// Its card.
    pub card: ModelCard,
}

/// Why nothing was trained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrainError {
    /// Fewer than [`MIN_RECORDINGS`].
    #[error("{0} scored recordings are too few to train on")]
    TooFew(usize),
    /// Ids, features and scores differ in number, or a feature vector has the wrong length.
    #[error("the training set is not of one shape: {0}")]
    Shape(String),
    /// A feature is not finite, or a score is outside 0 to 100.
    #[error("recording {0} has a feature or score out of range")]
    OutOfRange(String),
    /// The fit itself gave numbers that are not finite.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Trains a model. Same set and parameters, same model, bit for bit.
///
/// Every candidate is refitted, standardisation included, for every fold; the one with the least mean absolute error on left-out
/// recordings wins, a simpler one within 5 % before a less simple one. Up to 40 recordings a fold is one recording; beyond, 20
/// contiguous folds keep the time down (and neighbours, often recorded on one day, together). The 90 % interval is the split-conformal
/// quantile of the absolute left-out errors (Lei et al. 2018, "Distribution-free predictive inference for regression").
///
/// # Errors
/// [`TrainError`]; also where the set is inconsistent.
pub fn train(set: &TrainingSet, params: &TrainParams) -> Result<Trained, TrainError> {
    check(set)?;
    let newest = set.ids.len().saturating_sub(MAX_RECORDINGS);
    let ids: Vec<String> = set.ids.iter().skip(newest).cloned().collect();
    let rows: Vec<&[f64]> = set.features.iter().skip(newest).map(Vec::as_slice).collect();
    let scores: Vec<f64> = set.scores.iter().skip(newest).copied().collect();

    let folds = if rows.len() <= MAX_LEAVE_ONE_OUT { rows.len() } else { FOLDS };
    let mut judged = judge(&rows, &scores, folds);
    let baseline_error = judged.first().map_or(0.0, Judged::error);
    let chosen = judged.swap_remove(choose(&judged));
    let linear = Design::new(&rows, &scores, chosen.candidate.block)
        .fit(chosen.candidate.estimator)
        .ok_or(ModelError::NotFinite)?;
    let half_width = rounded(conformal_quantile(&chosen.errors));

    let feature_names = names();
    let features_used = feature_names
        .iter()
        .zip(&linear.terms)
        .filter(|(_, term)| term.weight != 0.0)
        .map(|(name, _)| name.clone())
        .collect();
    let card = ModelCard {
        format_version: FORMAT_VERSION,
        feature_set: FEATURE_SET.to_owned(),
        feature_names,
        features_used,
        candidate: chosen.candidate,
        recordings: ids.len(),
        training_recordings: ids,
        seed: params.seed,
        trained_at: params.trained_at.clone(),
        leave_one_out_error: rounded(chosen.error()),
        baseline_error: rounded(baseline_error),
        folds,
        interval_half_width: half_width,
        software: software(),
    };
    Ok(Trained { model: TrainedModel::new(linear, half_width)?, card })
}

fn check(set: &TrainingSet) -> Result<(), TrainError> {
    let n = set.ids.len();
    if set.features.len() != n || set.scores.len() != n {
        return Err(TrainError::Shape(format!(
            "{n} ids, {} feature vectors, {} scores",
            set.features.len(),
            set.scores.len()
        )));
    }
    if n < MIN_RECORDINGS {
        return Err(TrainError::TooFew(n));
    }
    for ((id, features), score) in set.ids.iter().zip(&set.features).zip(&set.scores) {
        if features.len() != FEATURES {
            return Err(TrainError::Shape(format!("{} features of {FEATURES} for recording {id}", features.len())));
        }
        if !(SCORE_RANGE.0..=SCORE_RANGE.1).contains(score) || features.iter().any(|v| !v.is_finite()) {
            return Err(TrainError::OutOfRange(id.clone()));
        }
    }
    Ok(())
}

/// A candidate and its absolute errors on left-out recordings.
struct Judged {
    candidate: Candidate,
    errors: Vec<f64>,
    /// Whether it could be fitted in every fold.
    fitted: bool,
}

impl Judged {
    fn error(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len().max(1) as f64
    }
}

/// Every candidate's errors over the folds, in the order of [`candidates`].
fn judge(rows: &[&[f64]], scores: &[f64], folds: usize) -> Vec<Judged> {
    let judge = |candidate| Judged { candidate, errors: Vec::with_capacity(rows.len()), fitted: true };
    let mut judged: Vec<Judged> = candidates().into_iter().map(judge).collect();
    for fold in 0..folds {
        let out = fold * rows.len() / folds..(fold + 1) * rows.len() / folds;
        let is_in = |i: &usize| !out.contains(i);
        let in_rows: Vec<&[f64]> = (0..rows.len()).filter(is_in).filter_map(|i| rows.get(i).copied()).collect();
        let in_scores: Vec<f64> = (0..rows.len()).filter(is_in).filter_map(|i| scores.get(i).copied()).collect();
        for block in [Block::Times, Block::Whole, Block::PerAxis, Block::Both] {
            let design = Design::new(&in_rows, &in_scores, block);
            for judged in judged.iter_mut().filter(|j| j.fitted && j.candidate.block == block) {
                match design.fit(judged.candidate.estimator) {
                    Some(linear) => judged.errors.extend(errors(&linear, rows, scores, out.clone())),
                    None => judged.fitted = false,
                }
            }
        }
    }
    judged
}

fn errors(linear: &Linear, rows: &[&[f64]], scores: &[f64], out: std::ops::Range<usize>) -> impl Iterator<Item = f64> {
    let left_out = rows.iter().zip(scores).skip(out.start).take(out.len());
    left_out.map(|(row, score)| (linear.predict(row).clamp(SCORE_RANGE.0, SCORE_RANGE.1) - score).abs())
}

/// Position of the best candidate; a later (less simple) one must be better by [`MARGIN`].
fn choose(judged: &[Judged]) -> usize {
    let mut best = (0, f64::INFINITY);
    for (i, candidate) in judged.iter().enumerate().filter(|(_, j)| j.fitted) {
        let error = candidate.error();
        if i == 0 || error < best.1 * (1.0 - MARGIN) {
            best = (i, error);
        }
    }
    best.0
}

/// The ⌈(n + 1) · 0.9⌉-th smallest absolute error; the largest where there are too few for that.
fn conformal_quantile(errors: &[f64]) -> f64 {
    let mut sorted = errors.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = ((sorted.len() + 1) as f64 * COVERAGE).ceil() as usize;
    sorted.get(rank.min(sorted.len()).saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimators::Estimator;

    /// Scores follow feature 1 (active time) exactly where `signal`, and nothing otherwise; other features are fixed noise.
    fn set(n: usize, signal: bool) -> TrainingSet {
        let mut state = 7_u64;
        let mut noise = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut set = TrainingSet::default();
        for i in 0..n {
            let mut features: Vec<f64> = (0..FEATURES).map(|_| noise()).collect();
            let score = 50.0 + 40.0 * noise();
            if signal {
                features[1] = score / 10.0;
                features[0] = score / 8.0;
            }
            set.ids.push(format!("recording-{i}"));
            set.features.push(features);
            set.scores.push(score);
        }
        set
    }

    #[test]
    fn signal_is_learnt_and_noise_is_not() {
        let learnt = train(&set(30, true), &TrainParams::default()).unwrap();
        assert!(learnt.card.leave_one_out_error < 0.5 * learnt.card.baseline_error, "{:?}", learnt.card);
        let noise = train(&set(30, false), &TrainParams::default()).unwrap();
        assert!(noise.card.leave_one_out_error <= noise.card.baseline_error);
        assert!(noise.card.leave_one_out_error > 0.7 * noise.card.baseline_error);
    }

    #[test]
    fn training_is_deterministic() {
        let params = TrainParams { seed: 3, trained_at: Some("2025-01-01T00:00:00Z".into()) };
        let (a, b) = (train(&set(12, true), &params).unwrap(), train(&set(12, true), &params).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.card.seed, 3);
    }

    #[test]
    fn two_recordings_or_equal_scores_give_the_mean() {
        let two = train(&set(2, true), &TrainParams::default()).unwrap();
        assert_eq!(two.card.candidate.estimator, Estimator::Mean);
        let mut equal = set(10, false);
        equal.scores = vec![70.0; 10];
        let equal_model = train(&equal, &TrainParams::default()).unwrap().model;
        let prediction = equal_model.predict(&equal.features[0]).unwrap();
        assert_eq!((prediction.lower, prediction.value, prediction.upper), (70.0, 70.0, 70.0));
    }

    #[test]
    fn only_the_newest_recordings_count() {
        let all = set(230, true);
        let trained = train(&all, &TrainParams::default()).unwrap();
        assert_eq!(trained.card.training_recordings, all.ids[30..]);
        assert_eq!(trained.card.folds, FOLDS);
    }

    #[test]
    fn inconsistent_sets_are_refused() {
        assert_eq!(train(&set(1, true), &TrainParams::default()).unwrap_err(), TrainError::TooFew(1));
        let mut bad = set(5, true);
        bad.scores[2] = 100.5;
        assert_eq!(train(&bad, &TrainParams::default()).unwrap_err(), TrainError::OutOfRange("recording-2".into()));
        bad.features[1].pop();
        assert!(matches!(train(&bad, &TrainParams::default()), Err(TrainError::Shape(_))));
        bad.ids.pop();
        assert!(matches!(train(&bad, &TrainParams::default()), Err(TrainError::Shape(_))));
    }

    #[test]
    fn conformal_quantile_takes_the_rank() {
        // ⌈20 · 0.9⌉ = 18th of 19; ⌈11 · 0.9⌉ = 10th of 10; of 5 the largest.
        let upto = |n: i32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(conformal_quantile(&upto(19)), 18.0);
        assert_eq!(conformal_quantile(&upto(10)), 10.0);
        assert_eq!(conformal_quantile(&upto(5)), 5.0);
    }
}
