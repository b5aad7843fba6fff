//! The model card: what a model is made of and how good it was found to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::estimators::Candidate;

/// Version of the artifact's format, card and model together.
pub const FORMAT_VERSION: u32 = 3;
/// The version of models on [`crate::features::FORMER_SET`], the oldest that is read still.
pub const OLDEST_VERSION: u32 = 1;

/// Crates whose version decides what a training run gives.
const SOFTWARE: [(&str, &str); 3] =
    [("stance-models", env!("CARGO_PKG_VERSION")), ("linfa-linalg", "0.2.1"), ("realfft", "3.5.1")];

/// Provenance and quality of one trained model. Errors are mean absolute errors in score points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Feature set that the model was trained on and must be used with.
    pub feature_set: String,
    /// Names of the features, one a weight, in order.
    pub feature_names: Vec<String>,
    /// Names of the features with a weight other than zero.
    pub features_used: Vec<String>,
    /// Blocks, estimators and hyper-parameters that the model is the average of, by weight. Format 1 had one, as `candidate`.
    #[serde(alias = "candidate", deserialize_with = "one_or_many")]
    pub candidates: Vec<WeightedCandidate>,
    /// Training recordings, oldest first.
    pub training_recordings: Vec<String>,
    /// Number of training recordings.
    pub recordings: usize,
    /// Seed that the training run was given.
    pub seed: u64,
    /// When the model was trained, as the caller says it; RFC 3339.
    pub trained_at: Option<String>,
    /// Error on recordings left out of the fits and of their weights.
    pub leave_one_out_error: f64,
    /// Error on each training recording when it was left out, in their order; predicted less true.
    #[serde(default)]
    pub left_out_errors: Vec<f64>,
    /// The same error of always predicting the mean of the other recordings.
    pub baseline_error: f64,
    /// Number of folds behind the two errors; equals `recordings` where each was left out alone.
    pub folds: usize,
    /// Half the width of the 90 % interval, in score points.
    pub interval_half_width: f64,
    /// What the model knows from other patients of the care provider, where it does.
    #[serde(default)]
    pub prior: Option<PriorSummary>,
    /// Whether it was made without a scored recording of the patient's own.
    #[serde(default)]
    pub provisional: bool,
    /// Versions of the crates that trained it.
    pub software: BTreeMap<String, String>,
}

/// A candidate and its share of the average, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightedCandidate {
    /// The candidate.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Its share.
    #[serde(default = "whole")]
    pub weight: f64,
}

fn whole() -> f64 {
    1.0
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<WeightedCandidate>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<WeightedCandidate>),
        One(WeightedCandidate),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => vec![one],
    })
}

/// What a prior was learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorSummary {
    /// Number of people.
    pub people: usize,
    /// Number of their recordings.
    pub recordings: usize,
}

/// Names and versions of the crates at work.
pub(crate) fn software() -> BTreeMap<String, String> {
    SOFTWARE.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

/// To six decimals, so that a number and its JSON are the same.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_versions_are_those_of_the_lock_file() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        for (name, version) in SOFTWARE {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "{entry} is not what Cargo.lock says");
        }
    }
}
