//! What is asked.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::{from_json, from_raw};
use super::{Datatype, MOST_DIMENSIONS, MOST_TENSORS, TensorError};

/// An inference request.
#[derive(Debug, Clone, PartialEq)]
pub struct InferRequest {
    /// Given back with the answer.
    pub id: Option<String>,
    /// How long it may take, microseconds, where the client says so.
    pub timeout_us: Option<u64>,
    /// Lower is more urgent, from 1; 0 and absent are the server's choice.
    pub priority: u64,
    /// The tensors.
    pub inputs: Vec<Tensor>,
    /// The outputs wanted; all where none is named.
    pub outputs: Vec<Wanted>,
    /// Whether outputs are raw where they do not say.
    pub binary_outputs: bool,
}

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its dimensions, whose product is the number of its elements.
    pub shape: Vec<usize>,
    /// Its elements, row by row.
    pub data: TensorData,
}

/// Elements of a tensor, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// Of every type but `BYTES`.
    Numbers(Vec<f64>),
    /// Of type `BYTES`.
    Texts(Vec<Vec<u8>>),
}

/// An output that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether raw; where it does not say, as the request says.
    pub binary: Option<bool>,
}

#[derive(Deserialize)]
struct Document<'a> {
    id: Option<String>,
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: Vec<Input<'a>>,
    outputs: Option<Vec<NamedOutput>>,
}

/// Parameters that are heeded; others are not read.
#[derive(Deserialize, Default)]
struct Parameters {
    binary_data_output: Option<bool>,
    binary_data_size: Option<u64>,
    binary_data: Option<bool>,
    timeout: Option<u64>,
    priority: Option<u64>,
}

#[derive(Deserialize)]
struct Input<'a> {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    parameters: Option<Parameters>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NamedOutput {
    name: String,
    parameters: Option<Parameters>,
}

impl InferRequest {
    /// Reads a body, of which the first `json` bytes are JSON, or all.
    ///
    /// # Errors
    /// [`TensorError`] says what was refused.
    pub fn read(body: &[u8], json: Option<usize>) -> Result<Self, TensorError> {
        let (json, mut raw) = body.split_at_checked(json.unwrap_or(body.len())).ok_or(TensorError::HeaderLength)?;
        let document: Document<'_> = serde_json::from_slice(json)
            .map_err(|error| TensorError::Json { line: error.line(), column: error.column() })?;
        if document.inputs.len() > MOST_TENSORS {
            return Err(TensorError::TooMany("inputs"));
        }
        let outputs = document.outputs.unwrap_or_default();
        if outputs.len() > MOST_TENSORS {
            return Err(TensorError::TooMany("outputs"));
        }
        let mut inputs = Vec::with_capacity(document.inputs.len());
        for input in document.inputs {
            let (tensor, rest) = input.read(raw)?;
            inputs.push(tensor);
            raw = rest;
        }
        if !raw.is_empty() {
            return Err(TensorError::Trailing(raw.len()));
        }
        let parameters = document.parameters.unwrap_or_default();
        let wanted = |NamedOutput { name, parameters }| Wanted { name, binary: parameters.and_then(|p| p.binary_data) };
        Ok(Self {
            id: document.id,
            timeout_us: parameters.timeout.filter(|timeout| *timeout > 0),
            priority: parameters.priority.unwrap_or(0),
            inputs,
            outputs: outputs.into_iter().map(wanted).collect(),
            binary_outputs: parameters.binary_data_output.unwrap_or(false),
        })
    }
}

impl Input<'_> {
    /// The tensor, and the raw bytes that are left for others.
    fn read(self, raw: &[u8]) -> Result<(Tensor, &[u8]), TensorError> {
        let Self { name, shape, datatype, parameters, data } = self;
        let (read, rest) = match Self::elements(&datatype, &shape, parameters.unwrap_or_default(), data, raw) {
            Ok(read) => read,
            Err(reason) => return Err(TensorError::Tensor { tensor: name.chars().take(64).collect(), reason }),
        };
        let (datatype, shape, data) = read;
        Ok((Tensor { name, datatype, shape, data }, rest))
    }

    #[expect(clippy::type_complexity, reason = "its caller takes it apart at once")]
    fn elements<'r>(
        datatype: &str,
        shape: &[u64],
        parameters: Parameters,
        data: Option<&RawValue>,
        raw: &'r [u8],
    ) -> Result<((Datatype, Vec<usize>, TensorData), &'r [u8]), &'static str> {
        const SHAPE: &str = "its shape is none";
        let datatype = Datatype::of(datatype).ok_or("its datatype is not known here")?;
        if shape.len() > MOST_DIMENSIONS {
            return Err("it has too many dimensions");
        }
        let shape: Vec<usize> =
            shape.iter().map(|size| usize::try_from(*size).map_err(|_| SHAPE)).collect::<Result<_, _>>()?;
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size)).ok_or(SHAPE)?;
        let (data, rest) = match (parameters.binary_data_size, data) {
            (Some(_), Some(_)) => return Err("it has both 'data' and 'binary_data_size'"),
            (None, None) => return Err("it has no data"),
            (None, Some(data)) => (from_json(datatype, data.get())?, raw),
            (Some(size), None) => {
                let size = usize::try_from(size).map_err(|_| SHAPE)?;
                let (own, rest) = raw.split_at_checked(size).ok_or("its bytes are not all there")?;
                (from_raw(datatype, own)?, rest)
            }
        };
        let found = match &data {
            TensorData::Numbers(numbers) => numbers.len(),
            TensorData::Texts(texts) => texts.len(),
        };
        if found != count {
            return Err("its data are not as many as its shape says");
        }
        Ok(((datatype, shape, data), rest))
    }
}
