//! What an invocation carries and what it is answered: JSON in three forms, or CSV.

use crate::scoring::exchange::{self, ExchangeError};
use crate::scoring::input::Inputs;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stance_models::model::Prediction;
use stance_models::tensors::{Encoded, InferAnswer, InferRequest, TensorError, numbers};
use std::fmt::Write;

/// Why a payload was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    /// None of the forms.
    #[error("the body is none of: {{\"instances\": [...]}}, {{\"inputs\": [...]}}, a recording, CSV of features")]
    Form,
    /// An instance that is no row.
    #[error("instance {0} is neither features nor a recording, or not of the kind of the first")]
    Instance(usize),
    /// A line that is no row.
    #[error("line {0} is not numbers")]
    Line(usize),
    /// Tensors that are none.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// Tensors that no model takes.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// How the answer is written.
#[derive(Debug)]
pub(super) enum Form {
    /// `{"predictions": [...]}`.
    Predictions,
    /// Lines.
    Csv,
    /// As the Open Inference Protocol has it.
    Tensors { id: Option<String>, wanted: Vec<(&'static str, bool)> },
}

/// A body and what it is.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) media: &'static str,
    pub(super) body: Vec<u8>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    instances: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Instance<'a> {
    #[serde(borrow)]
    features: Option<&'a RawValue>,
    #[serde(borrow)]
    recording: Option<&'a RawValue>,
}

/// A score as `{"predictions": [...]}` has it.
#[derive(Serialize)]
struct Scored {
    score: f64,
    lower: f64,
    upper: f64,
    novelty: f64,
}

/// Reads a body; what it asks for, and in which form it is answered.
pub(super) fn read(csv: bool, body: &Bytes) -> Result<(Inputs, Form), PayloadError> {
    if csv {
        return Ok((Inputs::Features(lines(body)?), Form::Csv));
    }
    let document: Document<'_> = serde_json::from_slice(body).map_err(|_| PayloadError::Form)?;
    match (document.instances, document.inputs, document.ts) {
        (Some(instances), None, None) => Ok((rows(&instances)?, Form::Predictions)),
        (None, Some(_), None) => {
            let mut request = InferRequest::read(body, None)?;
            let wanted = exchange::wanted(&request)?.into_iter().map(|(name, _)| (name, false)).collect();
            let inputs = exchange::rows(std::mem::take(&mut request.inputs))?;
            Ok((inputs, Form::Tensors { id: request.id, wanted }))
        }
        (None, None, Some(_)) => Ok((Inputs::Recordings(vec![body.clone()]), Form::Predictions)),
        _ => Err(PayloadError::Form),
    }
}

fn rows(instances: &[&RawValue]) -> Result<Inputs, PayloadError> {
    let (mut features, mut recordings) = (Vec::new(), Vec::new());
    for (place, instance) in instances.iter().enumerate() {
        let wrong = || PayloadError::Instance(place);
        if instance.get().starts_with('[') {
            features.push(numbers(instance).map_err(|_| wrong())?);
        } else {
            let instance: Instance<'_> = serde_json::from_str(instance.get()).map_err(|_| wrong())?;
            match (instance.features, instance.recording) {
                (Some(row), None) => features.push(numbers(row).map_err(|_| wrong())?),
                (None, Some(document)) => recordings.push(Bytes::copy_from_slice(document.get().as_bytes())),
                _ => return Err(wrong()),
            }
        }
        if !features.is_empty() && !recordings.is_empty() {
            return Err(wrong());
        }
    }
    Ok(if recordings.is_empty() { Inputs::Features(features) } else { Inputs::Recordings(recordings) })
}

fn lines(body: &[u8]) -> Result<Vec<Vec<f64>>, PayloadError> {
    let text = std::str::from_utf8(body).map_err(|_| PayloadError::Form)?;
    let row = |(place, line): (usize, &str)| {
        let numbers = line.split(',').map(|number| number.trim().parse().map_err(|_| PayloadError::Line(place + 1)));
        numbers.collect()
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
}

/// Writes an answer.
///
/// # Errors
/// Never in practice: every part has a JSON form.
pub(super) fn write(form: &Form, model: &str, predictions: &[Prediction]) -> serde_json::Result<Written> {
    match form {
        Form::Predictions => {
            let scored = predictions.iter().map(|p| Scored {
                score: p.value,
                lower: p.lower,
                upper: p.upper,
                novelty: p.novelty,
            });
            let document = serde_json::json!({ "predictions": scored.collect::<Vec<_>>() });
            Ok(Written { media: "application/json", body: serde_json::to_vec(&document)? })
        }
        Form::Csv => {
            let mut text = String::new();
            for Prediction { value, lower, upper, .. } in predictions {
                let written = writeln!(text, "{value},{lower},{upper}");
                debug_assert!(written.is_ok(), "writing to a string");
            }
            Ok(Written { media: "text/csv", body: text.into_bytes() })
        }
        Form::Tensors { id, wanted } => {
            let outputs = exchange::tensors(predictions, wanted);
            let (model_version, id) = ("1", id.as_deref());
            let answer = InferAnswer { model_name: model, model_version, id, provisional: None, outputs };
            let Encoded { body, .. } = answer.encode()?;
            Ok(Written { media: "application/json", body })
        }
    }
}
