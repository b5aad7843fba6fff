//! What is learned from.

/// Recordings with a clinician's score, oldest first; one element each in all three.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrainingSet {
    /// Test event ids.
    pub ids: Vec<String>,
    /// Feature vectors of [`crate::features::FEATURES`] numbers.
    pub features: Vec<Vec<f64>>,
    /// Scores, 0 to 100.
    pub scores: Vec<f64>,
}
