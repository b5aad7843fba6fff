//! A trained model and its predictions.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kernel_part::KernelPart;
use crate::novelty::{Envelope, UNLIKE};

/// Scores lie here; predictions and their intervals are clipped to it.
pub const SCORE_RANGE: (f64, f64) = (0.0, 100.0);

/// Within [`SCORE_RANGE`].
pub(crate) fn clip(score: f64) -> f64 {
    score.clamp(SCORE_RANGE.0, SCORE_RANGE.1)
}

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

/// Score = intercept + Σ terms, over raw features. Whatever is linear and fitted to the same rows ends as one, averaged:
/// standardisation is folded into the weights.
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
        self.intercept + self.terms.iter().zip(features).map(|(term, x)| term.part(*x)).sum::<f64>()
    }

    /// Adds a term to that of the same feature, in that share. Terms that are added were fitted to the same rows, and so have the same
    /// limits.
    pub(crate) fn add_term(&mut self, index: usize, other: Term, share: f64) {
        if let Some(term) = self.terms.get_mut(index) {
            *term = Term { weight: term.weight + share * other.weight, ..other };
        }
    }

    /// The same in that share.
    pub(crate) fn scaled(&self, share: f64) -> Self {
        let scaled = |term: &Term| Term { weight: share * term.weight, ..*term };
        Self { intercept: share * self.intercept, terms: self.terms.iter().map(scaled).collect() }
    }

    fn heap_bytes(&self) -> usize {
        self.terms.capacity() * size_of::<Term>()
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.intercept.is_finite() && self.terms.iter().all(Term::is_sound)
    }
}

impl Term {
    /// What it adds to a score.
    pub(crate) fn part(&self, feature: f64) -> f64 {
        // `max` and `min` rather than `clamp`, which panics where limits are the wrong way round.
        self.weight * feature.max(self.low).min(self.high)
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.weight.is_finite() && self.low.is_finite() && self.high.is_finite() && self.low <= self.high
    }
}

/// A fitted predictor, its 90 % interval and where its training recordings lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct TrainedModel {
    linear: Linear,
    common: Option<Linear>,
    kernels: Vec<KernelPart>,
    envelope: Option<Envelope>,
    half_width: f64,
}

/// The parts of a model, not checked yet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Unchecked {
    /// What is linear in the patient's own part: features are followed as far as the patient's recordings reach, and a bit beyond. Of a
    /// model without any, all that there is.
    pub linear: Linear,
    /// What the prior gives to a patient with recordings, in its share; none where that is nothing: features are followed as far as the recordings of other patients reach, and a bit beyond.
    #[serde(default)]
    pub common: Option<Linear>,
    /// What is not linear.
    #[serde(default)]
    pub kernels: Vec<KernelPart>,
    /// Where the training recordings lie, where that is known.
    #[serde(default)]
    pub envelope: Option<Envelope>,
    /// Half the width of the 90 % interval, in score points.
    pub half_width: f64,
}

impl TryFrom<Unchecked> for TrainedModel {
    type Error = ModelError;

    fn try_from(read: Unchecked) -> Result<Self, ModelError> {
        let Unchecked { linear, common, kernels, envelope, half_width } = read;
        let features = linear.terms.len();
        let sound = linear.is_finite()
            && common.as_ref().is_none_or(|common| common.is_finite() && common.terms.len() == features)
            && half_width.is_finite()
            && half_width >= 0.0
            && kernels.iter().all(|kernel| kernel.is_sound() && kernel.last_feature() < features)
            && envelope.as_ref().is_none_or(|envelope| envelope.is_sound() && envelope.means.len() == features);
        if sound { Ok(Self { linear, common, kernels, envelope, half_width }) } else { Err(ModelError::NotFinite) }
    }
}

impl From<TrainedModel> for Unchecked {
    fn from(TrainedModel { linear, common, kernels, envelope, half_width }: TrainedModel) -> Self {
        Self { linear, common, kernels, envelope, half_width }
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
    /// How far the recording lies from the training recordings, over how far these lie from one another; 0 where that is not known.
    pub novelty: f64,
}

impl Prediction {
    /// Whether the recording is unlike anything in training: its score is not to be trusted, and its interval is wide.
    #[must_use]
    pub fn is_unlike_training(&self) -> bool {
        self.novelty > UNLIKE
    }
}

impl TrainedModel {
    /// A linear model from its predictor and half the width of its 90 % interval, in score points.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a number is not finite, limits are the wrong way round or the half width is negative.
    pub fn new(linear: Linear, half_width: f64) -> Result<Self, ModelError> {
        Unchecked { linear, half_width, ..Unchecked::default() }.try_into()
    }

    /// The score of a recording with these features, clipped to 0 to 100. The interval widens with a recording's novelty.
    ///
    /// # Errors
    /// [`ModelError`] where the features are of another length or not finite.
    pub fn predict(&self, features: &[f64]) -> Result<Prediction, ModelError> {
        let expected = self.linear.terms.len();
        if features.len() != expected {
            return Err(ModelError::Length { expected, found: features.len() });
        }
        let bumps: f64 = self.kernels.iter().map(|kernel| kernel.predict(features)).sum();
        let common = self.common.as_ref().map_or(0.0, |common| common.predict(features));
        let value = self.linear.predict(features) + common + bumps;
        if !value.is_finite() || features.iter().any(|x| !x.is_finite()) {
            return Err(ModelError::NotFinite);
        }
        let value = clip(value);
        let novelty = self.envelope.as_ref().map_or(0.0, |envelope| envelope.novelty(features));
        let half_width = self.half_width * if novelty > UNLIKE { novelty } else { 1.0 };
        Ok(Prediction { value, lower: clip(value - half_width), upper: clip(value + half_width), novelty })
    }

    /// What is linear in its own part.
    #[must_use]
    pub fn linear(&self) -> &Linear {
        &self.linear
    }

    /// What the prior gives beside it, where it gives something.
    #[must_use]
    pub fn common(&self) -> Option<&Linear> {
        self.common.as_ref()
    }

    /// What is not.
    #[must_use]
    pub fn kernels(&self) -> &[KernelPart] {
        &self.kernels
    }

    /// Where its training recordings lie, where that is known.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    /// Half the width of the 90 % interval, in score points.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        self.half_width
    }

    /// Memory that the model holds, in bytes; what a cache should count.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + [Some(&self.linear), self.common.as_ref()].into_iter().flatten().map(Linear::heap_bytes).sum::<usize>()
            + self.kernels.capacity() * size_of::<KernelPart>()
            + self.kernels.iter().map(KernelPart::heap_bytes).sum::<usize>()
            + self.envelope.as_ref().map_or(0, Envelope::heap_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(weight: f64) -> Result<TrainedModel, ModelError> {
        TrainedModel::new(Linear { intercept: 50.0, terms: vec![Term { weight, low: -9.0, high: 9.0 }] }, 8.0)
    }

    fn told(value: f64, lower: f64, upper: f64) -> Prediction {
        Prediction { value, lower, upper, novelty: 0.0 }
    }

    #[test]
    fn an_interval_widens_for_what_is_unlike_training() {
        let envelope = Envelope { means: vec![0.0], deviations: vec![1.0], typical: 1.0 };
        let linear = Linear { intercept: 50.0, terms: vec![Term { weight: 1.0, low: -9.0, high: 9.0 }] };
        let parts = Unchecked { linear, envelope: Some(envelope), half_width: 8.0, ..Unchecked::default() };
        let model = TrainedModel::try_from(parts).unwrap();
        let like = model.predict(&[1.0]).unwrap();
        assert_eq!((like.lower, like.upper, like.is_unlike_training()), (43.0, 59.0, false));
        let unlike = model.predict(&[3.0]).unwrap();
        assert_eq!((unlike.lower, unlike.upper, unlike.is_unlike_training()), (29.0, 77.0, true));
    }

    #[test]
    fn predictions_and_intervals_stay_on_the_scale() {
        let model = model(10.0).unwrap();
        assert_eq!(model.predict(&[1.0]).unwrap(), told(60.0, 52.0, 68.0));
        assert_eq!(model.predict(&[4.5]).unwrap(), told(95.0, 87.0, 100.0));
        assert_eq!(model.predict(&[-99.0]).unwrap(), told(0.0, 0.0, 8.0));
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
