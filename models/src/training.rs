//! Training: estimators on blocks of features, averaged by how well each predicted the recordings left out of its fit.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::card::{FORMAT_VERSION, ModelCard, PriorSummary, WeightedCandidate, rounded, software};
use crate::ensemble::{left_out_mixture, weights};
use crate::estimators::design::{Design, Fitted};
use crate::estimators::gaussian_process::Intercept;
use crate::estimators::{Candidate, Estimator, Target, own_candidates, remainder_candidates};
use crate::features::{FEATURE_SET, FEATURES, names};
use crate::interval::own_half_width;
use crate::kernel_part::KernelPart;
use crate::model::{Linear, ModelError, SCORE_RANGE, Term, TrainedModel, Unchecked};
use crate::novelty::Envelope;
use crate::prior::Prior;

/// Fewer recordings than this train nothing.
pub const MIN_RECORDINGS: usize = 2;
/// Only this many of the newest recordings are used: a person changes, and time stays bounded.
pub const MAX_RECORDINGS: usize = 200;
/// Fewer recordings than this teach nothing but their mean.
const MIN_TO_FIT: usize = 3;
/// Folds, of the whole of training and of a fit without a closed form for what is left out; each recording alone up to as many.
const FOLDS: usize = 10;
/// Beyond this many recordings training is not repeated in folds: left-out predictions of so many are honest enough, and time is bounded.
const MAX_NESTED: usize = 60;
/// How much is given beforehand to an estimator that does not know the prior, over one that does.
const WITHOUT_PRIOR: f64 = 0.1;
/// Parts of an average that weigh less are left out of the model.
const LEAST_WEIGHT: f64 = 0.005;

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

/// What training may know besides the set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Knowledge<'a> {
    /// What other patients of the care provider have in common; learnt without this patient.
    pub prior: Option<&'a Prior>,
    /// A name for each recording, where some belong together, such as two devices at one execution: those of one name are left out
    /// together.
    pub groups: Option<&'a [String]>,
}

/// Trains a model on a patient's own recordings alone. Same set and parameters, same model, bit for bit.
///
/// # Errors
/// [`TrainError`]; also where the set is inconsistent.
pub fn train(set: &TrainingSet, params: &TrainParams) -> Result<Trained, TrainError> {
    train_with(set, params, &Knowledge::default())
}

/// Trains a model. Same set, parameters and knowledge, same model, bit for bit.
///
/// Every candidate is fitted, and the model is their average, weighted by their errors on what was left out of their fits. Without
/// a prior the whole of that is repeated without each recording (of more than ten: without each of ten folds), and the 90 % interval
/// is the conformal quantile of the errors of these models, which saw nothing of what they predicted. With a prior the patient's
/// own error variance is shrunk towards the common one, and scaled by a quantile that was found on people left out of the prior.
///
/// # Errors
/// [`TrainError`]; also where the set is inconsistent.
pub fn train_with(set: &TrainingSet, params: &TrainParams, knowledge: &Knowledge<'_>) -> Result<Trained, TrainError> {
    check(set, knowledge)?;
    let newest = set.ids.len().saturating_sub(MAX_RECORDINGS);
    let ids: Vec<String> = set.ids.iter().skip(newest).cloned().collect();
    let rows: Vec<&[f64]> = set.features.iter().skip(newest).map(Vec::as_slice).collect();
    let scores: Vec<f64> = set.scores.iter().skip(newest).copied().collect();
    let groups: Option<Vec<&str>> =
        knowledge.groups.map(|groups| groups.iter().skip(newest).map(String::as_str).collect());

    let predicted: Option<Vec<f64>> =
        knowledge.prior.map(|prior| rows.iter().map(|row| prior.slopes().predict(row)).collect());
    let common = knowledge.prior.zip(predicted.as_deref()).map(|(prior, p)| (p, prior.intercept()));
    let units = units(rows.len(), groups.as_deref());
    let members = members(&rows, &scores, &units, common);
    let mixed = average(&members, &scores, &units);
    let nested = knowledge.prior.is_none() && rows.len() <= MAX_NESTED && units.len() > MIN_TO_FIT;
    let (left_out, folds) = if nested {
        (nested_predictions(&rows, &scores, &units), units.len().min(FOLDS))
    } else {
        (mixed.left_out.clone(), units.len())
    };
    let errors: Vec<f64> = left_out.iter().zip(&scores).map(|(p, s)| clip(*p) - s).collect();
    let half_width =
        rounded(knowledge.prior.map_or_else(|| own_half_width(&errors), |prior| prior.half_width(&errors)));
    let (linear, kernels, candidates) = assemble(members, &mixed.weights, knowledge.prior);
    let envelope = Envelope::around(&rows, knowledge.prior.map(Prior::known));

    let feature_names = names();
    let features_used = features_used(&feature_names, &linear, &kernels);
    let card = ModelCard {
        format_version: FORMAT_VERSION,
        feature_set: FEATURE_SET.to_owned(),
        feature_names,
        features_used,
        candidates,
        recordings: ids.len(),
        training_recordings: ids,
        seed: params.seed,
        trained_at: params.trained_at.clone(),
        leave_one_out_error: rounded(mean_absolute(errors.iter().copied())),
        left_out_errors: errors.iter().map(|error| rounded(*error)).collect(),
        baseline_error: rounded(baseline_error(&scores)),
        folds,
        interval_half_width: half_width,
        prior: knowledge.prior.map(PriorSummary::of),
        provisional: false,
        software: software(),
    };
    let model = TrainedModel::try_from(Unchecked { linear, kernels, envelope, half_width })?;
    Ok(Trained { model, card })
}

/// A model and a card for a patient without a scored recording: the prior alone.
///
/// # Errors
/// [`TrainError::Model`] where the prior's numbers make no model.
pub fn provisional(prior: &Prior, params: &TrainParams) -> Result<Trained, TrainError> {
    let model = prior.provisional()?;
    let feature_names = names();
    let card = ModelCard {
        format_version: FORMAT_VERSION,
        feature_set: FEATURE_SET.to_owned(),
        features_used: features_used(&feature_names, model.linear(), &[]),
        feature_names,
        candidates: Vec::new(),
        training_recordings: Vec::new(),
        recordings: 0,
        seed: params.seed,
        trained_at: params.trained_at.clone(),
        leave_one_out_error: 0.0,
        left_out_errors: Vec::new(),
        baseline_error: 0.0,
        folds: 0,
        interval_half_width: model.half_width(),
        prior: Some(PriorSummary::of(prior)),
        provisional: true,
        software: software(),
    };
    Ok(Trained { model, card })
}

fn features_used(names: &[String], linear: &Linear, kernels: &[KernelPart]) -> Vec<String> {
    let in_kernels = |i: usize| kernels.iter().any(|k| k.columns.iter().any(|column| column.index as usize == i));
    let used = |(i, term): (usize, &Term)| term.weight != 0.0 || in_kernels(i);
    let used = linear.terms.iter().enumerate().map(used);
    names.iter().zip(used).filter(|(_, used)| *used).map(|(name, _)| name.clone()).collect()
}

/// A candidate's fit, and what it predicts, on the scale of scores, for each row as if left out.
pub(crate) struct Member {
    candidate: Candidate,
    fitted: Fitted,
    left_out: Vec<f64>,
    /// Share of the average that it has beforehand.
    mass: f64,
}

/// Every candidate that can be fitted. `units`: positions that are left out together; `common`: the prior's predictions, and what is
/// known of what they leave.
pub(crate) fn members(
    rows: &[&[f64]],
    scores: &[f64],
    units: &[Vec<usize>],
    common: Option<(&[f64], Intercept)>,
) -> Vec<Member> {
    let mass = if common.is_some() { WITHOUT_PRIOR } else { 1.0 };
    let own = own_candidates().into_iter().filter_map(|candidate| {
        let (fitted, left_out) = fit(rows, scores, units, candidate, Intercept::Free)?;
        Some(Member { candidate, fitted, left_out, mass })
    });
    let Some((predicted, intercept)) = common else { return own.collect() };
    let remainders: Vec<f64> = scores.iter().zip(predicted).map(|(s, p)| s - p).collect();
    let remainder = remainder_candidates().into_iter().filter_map(|candidate| {
        let (fitted, left_out) = fit(rows, &remainders, units, candidate, intercept)?;
        let left_out = left_out.iter().zip(predicted).map(|(left_out, p)| left_out + p).collect();
        Some(Member { candidate, fitted, left_out, mass: 1.0 })
    });
    own.filter(|_| rows.len() >= MIN_TO_FIT).chain(remainder).collect()
}

/// Fits a candidate to all rows, and says what it predicts for each as if left out.
fn fit(
    rows: &[&[f64]],
    targets: &[f64],
    units: &[Vec<usize>],
    candidate: Candidate,
    intercept: Intercept,
) -> Option<(Fitted, Vec<f64>)> {
    if candidate.estimator != Estimator::Mean && units.len() < MIN_TO_FIT {
        return None;
    }
    let mut fitted = Design::new(rows, targets, candidate.block).fit(candidate.estimator, intercept, units)?;
    if let Some(left_out) = fitted.left_out.take() {
        return left_out.iter().all(|p| p.is_finite()).then_some((fitted, left_out));
    }
    let mut left_out = vec![f64::NAN; rows.len()];
    for out in folds(units) {
        let (in_rows, in_targets) = without(rows, targets, &out);
        let fitted = Design::new(&in_rows, &in_targets, candidate.block).fit(candidate.estimator, intercept, &[])?;
        place(&mut left_out, rows, &out, |row| fitted.predict(row));
    }
    left_out.iter().all(|p| p.is_finite()).then_some((fitted, left_out))
}

/// Predicts what was left out, each into its place.
fn place(into: &mut [f64], rows: &[&[f64]], out: &[usize], predict: impl Fn(&[f64]) -> f64) {
    for i in out {
        if let (Some(slot), Some(row)) = (into.get_mut(*i), rows.get(*i)) {
            *slot = predict(row);
        }
    }
}

/// An average of members.
pub(crate) struct Average {
    /// One a member.
    weights: Vec<f64>,
    /// Prediction for each row as if left out, of the fits and of the weights.
    pub(crate) left_out: Vec<f64>,
}

pub(crate) fn average(members: &[Member], scores: &[f64], units: &[Vec<usize>]) -> Average {
    let left_out: Vec<&[f64]> = members.iter().map(|member| member.left_out.as_slice()).collect();
    let masses: Vec<f64> = members.iter().map(|member| member.mass).collect();
    let raw = weights(&left_out, scores, &masses);
    // Small parts cost memory and say nothing.
    let kept: Vec<f64> = raw.iter().map(|w| if *w < LEAST_WEIGHT { 0.0 } else { *w }).collect();
    let total: f64 = kept.iter().sum();
    Average {
        weights: kept.iter().map(|w| w / total.max(f64::MIN_POSITIVE)).collect(),
        left_out: left_out_mixture(&left_out, scores, &masses, units),
    }
}

/// What models trained without each fold, weights included, predict for it.
fn nested_predictions(rows: &[&[f64]], scores: &[f64], units: &[Vec<usize>]) -> Vec<f64> {
    let mut found = vec![f64::NAN; rows.len()];
    for out in folds(units) {
        let (in_rows, in_scores) = without(rows, scores, &out);
        // Positions move up by as many as were left out before them.
        let moved = |i: &usize| i - out.iter().filter(|o| *o < i).count();
        let kept = units.iter().filter(|unit| unit.iter().all(|i| !out.contains(i)));
        let units: Vec<Vec<usize>> = kept.map(|unit| unit.iter().map(moved).collect()).collect();
        let members = members(&in_rows, &in_scores, &units, None);
        let weights = average(&members, &in_scores, &units).weights;
        place(&mut found, rows, &out, |row| {
            members.iter().zip(&weights).map(|(member, weight)| weight * member.fitted.predict(row)).sum()
        });
    }
    found
}

fn without<'a>(rows: &[&'a [f64]], targets: &[f64], out: &[usize]) -> (Vec<&'a [f64]>, Vec<f64>) {
    let kept = rows.iter().zip(targets).enumerate().filter(|(i, _)| !out.contains(i));
    kept.map(|(_, (row, target))| (*row, *target)).unzip()
}

/// Positions that are left out together: those of one group, or each alone.
pub(crate) fn units(n: usize, groups: Option<&[&str]>) -> Vec<Vec<usize>> {
    let Some(groups) = groups else { return (0..n).map(|i| vec![i]).collect() };
    let mut units: Vec<(&str, Vec<usize>)> = Vec::new();
    for (i, group) in groups.iter().enumerate().take(n) {
        match units.iter_mut().find(|(name, _)| name == group) {
            Some((_, unit)) => unit.push(i),
            None => units.push((group, vec![i])),
        }
    }
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// Units as folds: each, or of many a run of neighbours, often recorded on one day.
fn folds(units: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = units.len();
    if count <= FOLDS {
        return units.to_vec();
    }
    let run = |fold: usize| -> Range<usize> { fold * count / FOLDS..(fold + 1) * count / FOLDS };
    (0..FOLDS).map(|fold| units.get(run(fold)).unwrap_or_default().concat()).collect()
}

/// The average as one linear part, the rest, and who weighs what.
fn assemble(
    members: Vec<Member>,
    weights: &[f64],
    prior: Option<&Prior>,
) -> (Linear, Vec<KernelPart>, Vec<WeightedCandidate>) {
    let mut linear = Linear { intercept: 0.0, terms: vec![Term::default(); FEATURES] };
    let (mut kernels, mut candidates) = (Vec::new(), Vec::new());
    let mut common = 0.0;
    for (Member { candidate, fitted, .. }, weight) in members.into_iter().zip(weights) {
        if *weight <= 0.0 {
            continue;
        }
        common += if candidate.target == Target::Remainder { *weight } else { 0.0 };
        linear.add(&fitted.linear, *weight);
        kernels.extend(fitted.kernel.map(|kernel| kernel.scaled(*weight)));
        candidates.push(WeightedCandidate { candidate, weight: rounded(*weight) });
    }
    if let Some(prior) = prior {
        linear.add(prior.slopes(), common);
    }
    candidates.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    (linear, kernels, candidates)
}

fn clip(score: f64) -> f64 {
    score.clamp(SCORE_RANGE.0, SCORE_RANGE.1)
}

fn mean_absolute(errors: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = errors.fold((0.0, 0.0), |(sum, n), e| (sum + e.abs(), n + 1.0));
    sum / f64::max(n, 1.0)
}

/// Of always predicting the mean of the other recordings.
fn baseline_error(scores: &[f64]) -> f64 {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n.max(1.0);
    mean_absolute(scores.iter().map(|s| (s - mean) * n / (n - 1.0).max(1.0)))
}

fn check(set: &TrainingSet, knowledge: &Knowledge<'_>) -> Result<(), TrainError> {
    let n = set.ids.len();
    if set.features.len() != n || set.scores.len() != n {
        return Err(TrainError::Shape(format!(
            "{n} ids, {} feature vectors, {} scores",
            set.features.len(),
            set.scores.len()
        )));
    }
    if let Some(groups) = knowledge.groups.filter(|groups| groups.len() != n) {
        return Err(TrainError::Shape(format!("{n} ids, {} groups", groups.len())));
    }
    if n < if knowledge.prior.is_some() { 1 } else { MIN_RECORDINGS } {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Experience;

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
        // An honest error is told even where it is worse than the mean's: such a model is not to be promoted.
        assert!(noise.card.leave_one_out_error < 1.2 * noise.card.baseline_error, "{:?}", noise.card);
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
        assert_eq!(two.card.candidates.len(), 1);
        assert_eq!(two.card.candidates[0].candidate.estimator, Estimator::Mean);
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
        assert_eq!(trained.card.folds, 200);
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
    fn few_recordings_lean_on_the_prior_and_many_on_ones_own() {
        // Ten people whose score is their level and 10 a unit of feature 1; somebody whose slope is 20.
        let person = |who: usize, n: usize, slope: f64| {
            let mut set = set(n, false);
            for (i, features) in set.features.iter_mut().enumerate() {
                features.rotate_left((who * 13 + i * 5) % 101);
                features[1] = ((who * 31 + i * 17) as f64 * 0.77).sin();
                set.scores[i] = 50.0 + (who as f64 - 5.0) + slope * features[1] + 0.3 * ((i * 7) as f64).cos();
            }
            set
        };
        let sets: Vec<TrainingSet> = (0..10).map(|who| person(who, 10, 10.0)).collect();
        let experiences: Vec<Experience<'_>> = sets.iter().map(|set| Experience { set, groups: None }).collect();
        let prior = Prior::learn(&experiences).unwrap();
        let slope = |model: &TrainedModel, like: &[f64]| {
            let (mut low, mut high) = (like.to_vec(), like.to_vec());
            (low[1], high[1]) = (-0.5, 0.5);
            model.predict(&high).unwrap().value - model.predict(&low).unwrap().value
        };
        let knowledge = Knowledge { prior: Some(&prior), groups: None };
        let own = person(11, 40, 20.0);
        let take = |n: usize| TrainingSet {
            ids: own.ids[..n].to_vec(),
            features: own.features[..n].to_vec(),
            scores: own.scores[..n].to_vec(),
        };
        let trained = |n| train_with(&take(n), &TrainParams::default(), &knowledge).unwrap();
        let slopes = [2, 6, 40].map(|n| slope(&trained(n).model, &own.features[0]));
        assert!(slopes[0] > 8.0 && slopes[0] < 12.0, "{slopes:?}");
        assert!(slopes[1] > slopes[0] && slopes[2] > slopes[1] && slopes[2] > 15.0, "{slopes:?}");
        // Nobody's recordings at all: provisional, and said to be.
        let nobody = provisional(&prior, &TrainParams::default()).unwrap();
        assert!(nobody.card.provisional && nobody.card.recordings == 0);
        assert!((slope(&nobody.model, &own.features[0]) - 10.0).abs() < 2.0);
        assert!(nobody.card.interval_half_width > trained(6).card.interval_half_width / 4.0);
        assert_eq!(trained(2).card.prior.unwrap().people, 10);
    }

    #[test]
    fn two_people_make_no_prior() {
        let sets = [set(10, true), set(12, true)];
        let experiences: Vec<Experience<'_>> = sets.iter().map(|set| Experience { set, groups: None }).collect();
        assert_eq!(Prior::learn(&experiences), None);
    }

    #[test]
    fn what_belongs_together_is_left_out_together() {
        // Each recording is there twice, and scores are noise: who leaves out one of two learns its score from the other.
        let single = set(12, false);
        let twice = TrainingSet {
            ids: (0..24).map(|i| i.to_string()).collect(),
            features: single.features.iter().flat_map(|f| [f.clone(), f.iter().map(|v| v + 1e-3).collect()]).collect(),
            scores: single.scores.iter().flat_map(|s| [*s, *s]).collect(),
        };
        let groups: Vec<String> = (0..24).map(|i| (i / 2).to_string()).collect();
        let error = |groups: Option<&[String]>| {
            let knowledge = Knowledge { prior: None, groups };
            let card = train_with(&twice, &TrainParams::default(), &knowledge).unwrap().card;
            card.leave_one_out_error / card.baseline_error
        };
        assert!(error(Some(&groups)) > 0.7, "{}", error(Some(&groups)));
        assert!(error(None) < error(Some(&groups)));
    }
}
