//! What is answered.

use serde::Serialize;
use std::borrow::Cow;

/// The answer to an inference request. Every output is of type `FP64`.
#[derive(Debug, Clone, PartialEq)]
pub struct InferAnswer<'a> {
    /// The model's name.
    pub model_name: &'a str,
    /// The version that answered.
    pub model_version: &'a str,
    /// The request's.
    pub id: Option<&'a str>,
    /// Whether the model is provisional, where that is known.
    pub provisional: Option<bool>,
    /// In order.
    pub outputs: Vec<Output>,
}

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: Cow<'static, str>,
    /// One number a row.
    pub numbers: Vec<f64>,
    /// Whether it is sent raw.
    pub binary: bool,
}

/// A body, and how many of its bytes are JSON where others follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// Bytes of JSON that it begins with, where raw tensors follow.
    pub json: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<OfModel>,
    outputs: Vec<Described<'a>>,
}

#[derive(Serialize)]
struct OfModel {
    provisional: bool,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: [usize; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f64]>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

impl InferAnswer<'_> {
    /// The body.
    ///
    /// # Errors
    /// Never in practice: every part has a JSON form.
    pub fn encode(&self) -> serde_json::Result<Encoded> {
        let outputs = self.outputs.iter().map(|output| Described {
            name: &output.name,
            datatype: "FP64",
            shape: [output.numbers.len()],
            parameters: output.binary.then_some(Parameters { binary_data_size: 8 * output.numbers.len() }),
            data: (!output.binary).then_some(&output.numbers),
        });
        let document = Document {
            model_name: self.model_name,
            model_version: self.model_version,
            id: self.id,
            parameters: self.provisional.map(|provisional| OfModel { provisional }),
            outputs: outputs.collect(),
        };
        let mut body = serde_json::to_vec(&document)?;
        let json = self.outputs.iter().any(|output| output.binary).then_some(body.len());
        for number in self.outputs.iter().filter(|output| output.binary).flat_map(|output| &output.numbers) {
            body.extend(number.to_le_bytes());
        }
        Ok(Encoded { body, json })
    }
}
