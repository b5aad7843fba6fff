//! Requests and answers of the Open Inference Protocol v2, as bytes: JSON, or JSON followed by raw little-endian tensors (the
//! binary-tensor extension). Whatever the bytes are, reading them neither panics nor takes more memory than a small multiple of
//! them.

mod answer;
mod data;
mod request;

pub use answer::{Encoded, InferAnswer, Output};
pub use data::{Datatype, numbers};
pub use request::{InferRequest, Tensor, TensorData, Wanted};

/// Header that says how many bytes of a body are its JSON.
pub const HEADER_LENGTH: &str = "Inference-Header-Content-Length";
/// Inputs, and outputs, of one request at most.
pub const MOST_TENSORS: usize = 16;
/// Dimensions of one tensor at most.
pub const MOST_DIMENSIONS: usize = 8;

/// Why a request was refused. Names keys and tensors, never what they hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The JSON part is longer than the body.
    #[error("{HEADER_LENGTH} is more than the body has")]
    HeaderLength,
    /// The JSON part is no JSON of a request.
    #[error("the request cannot be read (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A tensor's name, shape, type and data do not fit together.
    #[error("input '{tensor}': {reason}")]
    Tensor {
        /// Which one.
        tensor: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes after the last tensor.
    #[error("{0} bytes follow the last tensor")]
    Trailing(usize),
    /// More than can be.
    #[error("there are more than {MOST_TENSORS} {0}")]
    TooMany(&'static str),
}

#[cfg(test)]
mod tests;
