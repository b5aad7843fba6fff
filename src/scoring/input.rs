//! What a model is asked about.

use crate::domain::recording::{Recording, Refusal, parse};
use bytes::Bytes;
use stance_models::features::extract;
use stance_models::recording::{Samples, SamplesError};

/// What is to be scored: one or many.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Feature vectors.
    Features(Vec<Vec<f64>>),
    /// Recordings, as the phone sends them.
    Recordings(Vec<Bytes>),
}

impl Inputs {
    /// How many there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Features(rows) => rows.len(),
            Self::Recordings(rows) => rows.len(),
        }
    }
}

/// Why a recording could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It breaks a rule of the format.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// Its samples make no features.
    #[error(transparent)]
    Samples(#[from] SamplesError),
}

/// The features of a recording: the same by whichever door it came.
///
/// # Errors
/// [`SamplesError`], where its samples are not usable.
pub fn features(recording: &Recording) -> Result<Vec<f64>, SamplesError> {
    let seconds = recording.seconds();
    let samples = Samples::new(&seconds, recording.axes().each_ref().map(Vec::as_slice))?;
    Ok(extract(&samples).into_vec())
}

/// The features of a recording's document.
///
/// # Errors
/// [`RecordingError`].
pub fn features_of_document(document: Bytes) -> Result<Vec<f64>, RecordingError> {
    let recording = parse(document).map_err(RecordingError::Refused)?;
    Ok(features(&recording)?)
}
