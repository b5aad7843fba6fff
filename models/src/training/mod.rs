//! Training: estimators on blocks of features, averaged by how well each predicted the recordings left out of its fit.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::card::{FORMAT_VERSION, ModelCard, rounded, software};
use crate::features::{FEATURE_SET, FEATURES, names};
use crate::interval::own_half_width;
use crate::members::{
    Assembled, FOLDS, MIN_TO_FIT, Nested, assemble, average, errors, folds, members, nested, place, units,
};
use crate::model::{Linear, ModelError, SCORE_RANGE, TrainedModel, Unchecked};
use crate::novelty::Envelope;
use crate::prior::Prior;
pub use crate::training_set::TrainingSet;

/// Fewer recordings than this train nothing.
pub const MIN_RECORDINGS: usize = 2;
/// Only this many of the newest recordings are used: a person changes, and time stays bounded.
pub const MAX_RECORDINGS: usize = 200;
/// Beyond this many recordings training is not repeated in folds: left-out predictions of so many are honest enough, and time is bounded.
const MAX_NESTED: usize = 60;

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
/// Every candidate is fitted, and the model is their average, weighted by their errors on what was left out of their fits. The whole
/// of that is repeated without each recording (of more than ten: without each of ten folds), and the errors that the card tells are
/// those of these models, which saw nothing of what they predicted. Without a prior the 90 % interval is the conformal quantile of
/// these errors. With a prior it is the root of the patient's own error variance, that of the fits, shrunk towards the common one and
/// scaled by a quantile that was found on people left out of the prior.
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

    let slopes = knowledge.prior.map(Prior::slopes);
    let predicted: Option<Vec<f64>> = slopes.map(|slopes| rows.iter().map(|row| slopes.predict(row)).collect());
    let common = knowledge.prior.zip(predicted.as_deref()).map(|(prior, p)| (p, prior.intercept()));
    let units = units(rows.len(), groups.as_deref());
    let members = members(&rows, &scores, &units, common);
    let mixed = average(&members, &scores, &units);
    let errors_of_fits = errors(&mixed.left_out, &scores);
    let (errors, number_of_folds) = if rows.len() <= MAX_NESTED && units.len() > MIN_TO_FIT {
        let mut predictions = vec![f64::NAN; rows.len()];
        for Nested { out, predicted, .. } in nested(&rows, &scores, &units, common, folds(&units)) {
            place(&mut predictions, &out, &predicted);
        }
        (errors(&predictions, &scores), units.len().min(FOLDS))
    } else {
        (errors_of_fits.clone(), units.len())
    };
    let shrunk = |prior: &Prior| prior.half_width(&errors_of_fits, &errors);
    let half_width = rounded(knowledge.prior.map_or_else(|| own_half_width(&errors), shrunk));
    let Assembled { linear, kernels, candidates, of_prior } = assemble(members, &mixed.weights);
    let common = slopes.filter(|_| of_prior > 0.0).map(|slopes| slopes.scaled(of_prior));
    let envelope = Envelope::around(&rows, knowledge.prior.map(Prior::known));

    let feature_names = names();
    let model = TrainedModel::try_from(Unchecked { linear, common, kernels, envelope, half_width })?;
    let features_used = features_used(&feature_names, &model);
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
        folds: number_of_folds,
        interval_half_width: half_width,
        prior: knowledge.prior.map(Prior::summary),
        provisional: false,
        software: software(),
    };
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
        features_used: features_used(&feature_names, &model),
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
        prior: Some(prior.summary()),
        provisional: true,
        software: software(),
    };
    Ok(Trained { model, card })
}

fn features_used(names: &[String], model: &TrainedModel) -> Vec<String> {
    let has_weight = |linear: &Linear, i: usize| linear.terms.get(i).is_some_and(|term| term.weight != 0.0);
    let used = |i: usize| {
        has_weight(model.linear(), i)
            || model.common().is_some_and(|common| has_weight(common, i))
            || model.kernels().iter().any(|k| k.columns.iter().any(|column| column.index as usize == i))
    };
    names.iter().enumerate().filter(|(i, _)| used(*i)).map(|(_, name)| name.clone()).collect()
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
mod tests;
