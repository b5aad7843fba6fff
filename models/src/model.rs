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

/// A linear predictor over raw features. Every estimator of this crate ends as one: standardisation is folded into the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedModel {
    intercept: f64,
    weights: Vec<f64>,
    half_width: f64,
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
    /// A model from its numbers: score at zero features, one weight a feature (score per unit of the feature), half the width of
    /// the 90 % interval.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a number is not finite or the half width is negative.
    pub fn new(intercept: f64, weights: Vec<f64>, half_width: f64) -> Result<Self, ModelError> {
        let finite = intercept.is_finite() && half_width.is_finite() && weights.iter().all(|w| w.is_finite());
        if finite && half_width >= 0.0 { Ok(Self { intercept, weights, half_width }) } else { Err(ModelError::NotFinite) }
    }

    /// The score of a recording with these features, clipped to 0 to 100.
    ///
    /// # Errors
    /// [`ModelError`] where the features are of another length or not finite.
    pub fn predict(&self, features: &[f64]) -> Result<Prediction, ModelError> {
        if features.len() != self.weights.len() {
            return Err(ModelError::Length { expected: self.weights.len(), found: features.len() });
        }
        let value = self.intercept + self.weights.iter().zip(features).map(|(w, x)| w * x).sum::<f64>();
        if !value.is_finite() {
            return Err(ModelError::NotFinite);
        }
        let clip = |score: f64| score.clamp(SCORE_RANGE.0, SCORE_RANGE.1);
        let value = clip(value);
        Ok(Prediction { value, lower: clip(value - self.half_width), upper: clip(value + self.half_width) })
    }

    /// Score at zero features.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// One weight a feature.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Half the width of the 90 % interval, in score points.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        self.half_width
    }

    /// Memory that the model holds, in bytes; what a cache should count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.weights.capacity() * size_of::<f64>()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn predictions_and_intervals_stay_on_the_scale() {
        let model = TrainedModel::new(50.0, vec![10.0], 8.0).unwrap();
        assert_eq!(model.predict(&[1.0]).unwrap(), Prediction { value: 60.0, lower: 52.0, upper: 68.0 });
        assert_eq!(model.predict(&[4.5]).unwrap(), Prediction { value: 95.0, lower: 87.0, upper: 100.0 });
        assert_eq!(model.predict(&[-99.0]).unwrap(), Prediction { value: 0.0, lower: 0.0, upper: 8.0 });
    }

    #[test]
    fn wrong_features_are_refused() {
        let model = TrainedModel::new(50.0, vec![10.0], 8.0).unwrap();
        assert_eq!(model.predict(&[]).unwrap_err(), ModelError::Length { expected: 1, found: 0 });
        assert_eq!(model.predict(&[f64::NAN]).unwrap_err(), ModelError::NotFinite);
        assert_eq!(TrainedModel::new(f64::NAN, vec![], 1.0).unwrap_err(), ModelError::NotFinite);
        assert_eq!(TrainedModel::new(0.0, vec![], -1.0).unwrap_err(), ModelError::NotFinite);
    }
}
