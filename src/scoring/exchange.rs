//! What a model takes and gives, as tensors of the Open Inference Protocol.

use super::input::Inputs;
use bytes::Bytes;
use serde::Serialize;
use stance_models::features::FEATURES;
use stance_models::model::Prediction;
use stance_models::tensors::{InferRequest, Output, Tensor, TensorData};
use std::borrow::Cow;

/// The input of feature vectors.
pub const FEATURES_INPUT: &str = "features";
/// The input of whole recordings.
pub const RECORDING_INPUT: &str = "recording";
/// One of the numbers of a prediction.
type Reading = fn(&Prediction) -> f64;
/// What every model gives, one number a row.
const OUTPUTS: [(&str, Reading); 4] =
    [("score", |p| p.value), ("lower", |p| p.lower), ("upper", |p| p.upper), ("novelty", |p| p.novelty)];
/// What makes the models.
pub const PLATFORM: &str = "stance";

/// A tensor that a model takes or gives; -1 is any size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<i64>,
}

/// What every model takes: one of these.
#[must_use]
pub fn inputs() -> [Described; 2] {
    let width = i64::try_from(FEATURES).unwrap_or(-1);
    [
        Described { name: FEATURES_INPUT, datatype: "FP64", shape: vec![-1, width] },
        Described { name: RECORDING_INPUT, datatype: "BYTES", shape: vec![-1] },
    ]
}

/// What every model gives: the score with its 90 % interval, and how unlike training the row is.
#[must_use]
pub fn outputs() -> [Described; 4] {
    OUTPUTS.map(|(name, _)| Described { name, datatype: "FP64", shape: vec![-1] })
}

/// Why a request cannot be put to a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Not one input of the two.
    #[error("there must be one input: 'features' (numbers) or 'recording' (BYTES)")]
    Inputs,
    /// A shape that is no rows.
    #[error("input '{0}': its shape must be rows")]
    Shape(&'static str),
    /// An output that no model gives.
    #[error("there is no such output; there are score, lower, upper and novelty")]
    Output,
}

/// The rows of a request.
///
/// # Errors
/// [`ExchangeError`].
pub fn rows(inputs: Vec<Tensor>) -> Result<Inputs, ExchangeError> {
    let [input] = <[Tensor; 1]>::try_from(inputs).map_err(|_| ExchangeError::Inputs)?;
    match (input.name.as_str(), input.data) {
        (FEATURES_INPUT, TensorData::Numbers(numbers)) => {
            // One row may come without the dimension of rows.
            let width = match input.shape.as_slice() {
                [width] | [_, width] if *width > 0 => *width,
                _ => return Err(ExchangeError::Shape(FEATURES_INPUT)),
            };
            Ok(Inputs::Features(numbers.chunks_exact(width).map(<[f64]>::to_vec).collect()))
        }
        (RECORDING_INPUT, TensorData::Texts(texts)) => match input.shape.as_slice() {
            [_] | [_, 1] => Ok(Inputs::Recordings(texts.into_iter().map(Bytes::from).collect())),
            _ => Err(ExchangeError::Shape(RECORDING_INPUT)),
        },
        _ => Err(ExchangeError::Inputs),
    }
}

/// Which outputs a request wants, and whether raw.
///
/// # Errors
/// [`ExchangeError::Output`], where one is none.
pub fn wanted(request: &InferRequest) -> Result<Vec<(&'static str, bool)>, ExchangeError> {
    if request.outputs.is_empty() {
        return Ok(OUTPUTS.map(|(name, _)| (name, request.binary_outputs)).to_vec());
    }
    let known = |name: &str| OUTPUTS.into_iter().find(|(known, _)| *known == name).map(|(known, _)| known);
    let wanted = request.outputs.iter().map(|output| {
        let name = known(&output.name).ok_or(ExchangeError::Output)?;
        Ok((name, output.binary.unwrap_or(request.binary_outputs)))
    });
    wanted.collect()
}

/// The outputs that are wanted.
#[must_use]
pub fn tensors(predictions: &[Prediction], wanted: &[(&'static str, bool)]) -> Vec<Output> {
    let output = |(name, binary): &(&'static str, bool)| {
        let (_, reading) = OUTPUTS.into_iter().find(|(known, _)| known == name)?;
        let numbers = predictions.iter().map(reading).collect();
        Some(Output { name: Cow::Borrowed(name), numbers, binary: *binary })
    };
    wanted.iter().filter_map(output).collect()
}
