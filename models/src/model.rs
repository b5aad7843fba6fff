//! A trained model and its predictions.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Scores lie here; predictions and their intervals are clipped to it.
pub const SCORE_RANGE: (f64, f64) = (0.0, 100.0);

/// Why a model could not be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModelError {
    /// The feature vector has another length than the weights.
    #[error("the model takes {expected} features, not {found}")]
    Length {
        /// Number of weights.
        expected: usize,
        /// Number of features given.
        found: usize,
    },
    /// A number is NaN or infinite, or an interval is negative.
    #[error("a model and its features hold finite numbers only")]
    NotFinite,
}

/// One feature's part in a score: `weight · clamp(feature, low, high)`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Term {
    /// Score per unit of the feature.
    pub weight: f64,
    /// Least value of the feature that is followed.
    pub low: f64,
    /// Greatest value of the feature that is followed.
    pub high: f64,
}

/// Score = intercept + Σ terms, over raw features. Every estimator of this crate ends as one: standardisation is folded into the
/// weights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Linear {
    /// Score where every feature is zero and within its limits.
    pub intercept: f64,
    /// One term a feature; a feature that is not used has weight 0.
    pub terms: Vec<Term>,
}

impl Linear {
    /// The score of a recording, not clipped.
    pub(crate) fn predict(&self, features: &[f64]) -> f64 {
        // `max` and `min` rather than `clamp`, which panics where limits are the wrong way round.
        let part = |(term, x): (&Term, &f64)| term.weight * x.max(term.low).min(term.high);
        self.intercept + self.terms.iter().zip(features).map(part).sum::<f64>()
    }

    pub(crate) fn is_finite(&self) -> bool {
        let sound = |t: &Term| t.weight.is_finite() && t.low.is_finite() && t.high.is_finite() && t.low <= t.high;
        self.intercept.is_finite() && self.terms.iter().all(sound)
    }
}

/// A fitted predictor and its 90 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct TrainedModel {
    linear: Linear,
    half_width: f64,
}

/// What is read before it is checked.
#[derive(Serialize, Deserialize)]
struct Unchecked {
    linear: Linear,
    half_width: f64,
}

impl TryFrom<Unchecked> for TrainedModel {
    type Error = ModelError;

    fn try_from(read: Unchecked) -> Result<Self, ModelError> {
        Self::new(read.linear, read.half_width)
    }
}

impl From<TrainedModel> for Unchecked {
    fn from(TrainedModel { linear, half_width }: TrainedModel) -> Self {
        Self { linear, half_width }
    }
}

/// A score with its 90 % interval, all within 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Predicted score.
    pub value: f64,
    /// Lower end of the 90 % interval.
    pub lower: f64,
    /// Upper end of the 90 % interval.
    pub upper: f64,
}

impl TrainedModel {
    /// A model from its predictor and half the width of its 90 % interval, in score points.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a number is not finite, limits are the wrong way round or the half width is negative.
    pub fn new(linear: Linear, half_width: f64) -> Result<Self, ModelError> {
        let sound = linear.is_finite() && half_width.is_finite() && half_width >= 0.0;
        if sound { Ok(Self { linear, half_width }) } else { Err(ModelError::NotFinite) }
    }

    /// The score of a recording with these features, clipped to 0 to 100.
    ///
    /// # Errors
    /// [`ModelError`] where the features are of another length or not finite.
    pub fn predict(&self, features: &[f64]) -> Result<Prediction, ModelError> {
        let expected = self.linear.terms.len();
        if features.len() != expected {
            return Err(ModelError::Length { expected, found: features.len() });
        }
        let value = self.linear.predict(features);
        if !value.is_finite() || features.iter().any(|x| !x.is_finite()) {
            return Err(ModelError::NotFinite);
        }
        let clip = |score: f64| score.clamp(SCORE_RANGE.0, SCORE_RANGE.1);
        let value = clip(value);
        Ok(Prediction { value, lower: clip(value - self.half_width), upper: clip(value + self.half_width) })
    }

    /// The predictor.
    #[must_use]
    pub fn linear(&self) -> &Linear {
        &self.linear
    }

    /// Half the width of the 90 % interval, in score points.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        self.half_width
    }

    /// Memory that the model holds, in bytes; what a cache should count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.linear.terms.capacity() * size_of::<Term>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(weight: f64) -> Result<TrainedModel, ModelError> {
        TrainedModel::new(Linear { intercept: 50.0, terms: vec![Term { weight, low: -9.0, high: 9.0 }] }, 8.0)
    }

    #[test]
    fn predictions_and_intervals_stay_on_the_scale() {
        let model = model(10.0).unwrap();
        assert_eq!(model.predict(&[1.0]).unwrap(), Prediction { value: 60.0, lower: 52.0, upper: 68.0 });
        assert_eq!(model.predict(&[4.5]).unwrap(), Prediction { value: 95.0, lower: 87.0, upper: 100.0 });
        assert_eq!(model.predict(&[-99.0]).unwrap(), Prediction { value: 0.0, lower: 0.0, upper: 8.0 });
    }

    #[test]
    fn features_are_followed_to_their_limits() {
        assert_eq!(model(1.0).unwrap().predict(&[1e9]).unwrap().value, 59.0);
        assert_eq!(model(1.0).unwrap().predict(&[-1e9]).unwrap().value, 41.0);
    }

    #[test]
    fn wrong_features_and_numbers_are_refused() {
        assert_eq!(model(10.0).unwrap().predict(&[]).unwrap_err(), ModelError::Length { expected: 1, found: 0 });
        assert_eq!(model(10.0).unwrap().predict(&[f64::NAN]).unwrap_err(), ModelError::NotFinite);
        assert_eq!(model(f64::NAN).unwrap_err(), ModelError::NotFinite);
        let crossed = Linear { intercept: 1.0, terms: vec![Term { weight: 1.0, low: 2.0, high: 1.0 }] };
        assert_eq!(TrainedModel::new(crossed, 1.0).unwrap_err(), ModelError::NotFinite);
        assert_eq!(TrainedModel::new(Linear::default(), -1.0).unwrap_err(), ModelError::NotFinite);
    }

    #[test]
    fn what_serde_reads_is_checked() {
        let json = serde_json::to_string(&model(10.0).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<TrainedModel>(&json).unwrap(), model(10.0).unwrap());
        assert!(serde_json::from_str::<TrainedModel>(&json.replace("8.0", "-8.0")).is_err());
    }
}
