//! The documents of the Open Inference Protocol.

#![expect(dead_code, reason = "they are described, never made")]

use utoipa::ToSchema;

/// What the inference server is.
#[derive(ToSchema)]
pub(super) struct InferenceServer {
    name: String,
    version: String,
    extensions: Vec<String>,
}

/// That the inference server is alive.
#[derive(ToSchema)]
pub(super) struct Live {
    live: bool,
}

/// That the inference server is able to serve.
#[derive(ToSchema)]
pub(super) struct ServerReady {
    ready: bool,
}

/// That a model may be asked.
#[derive(ToSchema)]
pub(super) struct ModelReady {
    name: String,
    ready: bool,
}

/// What a model takes and gives.
#[derive(ToSchema)]
pub(super) struct ModelMetadata {
    name: String,
    /// The newest first.
    versions: Vec<String>,
    platform: String,
    /// One of these.
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

/// A tensor that a model takes or gives.
#[derive(ToSchema)]
pub(super) struct TensorMetadata {
    name: String,
    datatype: String,
    /// -1 is any size.
    shape: Vec<i64>,
}

/// What a model is asked.
#[derive(ToSchema)]
pub(super) struct InferRequest {
    id: Option<String>,
    parameters: Option<InferParameters>,
    /// `features` (numbers, `[rows, features]`) or `recording` (`BYTES`, `[rows]`, each a recording's JSON).
    inputs: Vec<InputTensor>,
    outputs: Option<Vec<WantedOutput>>,
}

/// How a request is done.
#[derive(ToSchema)]
pub(super) struct InferParameters {
    /// Whether outputs are raw.
    binary_data_output: Option<bool>,
    /// Microseconds that it may take.
    timeout: Option<u64>,
    /// From 2 on: what waits for an answer goes first.
    priority: Option<u64>,
}

/// An input.
#[derive(ToSchema)]
pub(super) struct InputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    parameters: Option<InputParameters>,
    /// Flat or nested, row by row.
    #[schema(value_type = Option<Vec<Value>>)]
    data: Option<Vec<f64>>,
}

/// Where an input is.
#[derive(ToSchema)]
pub(super) struct InputParameters {
    /// Bytes after the JSON, in the place of `data`.
    binary_data_size: Option<u64>,
}

/// An output that is wanted.
#[derive(ToSchema)]
pub(super) struct WantedOutput {
    /// `score`, `lower`, `upper` or `novelty`.
    name: String,
    parameters: Option<OutputParameters>,
}

/// How an output is sent.
#[derive(ToSchema)]
pub(super) struct OutputParameters {
    /// Whether raw.
    binary_data: Option<bool>,
}

/// What a model answered.
#[derive(ToSchema)]
pub(super) struct InferAnswer {
    model_name: String,
    model_version: String,
    id: Option<String>,
    parameters: ModelParameters,
    outputs: Vec<OutputTensor>,
}

/// What there is to say of the model besides.
#[derive(ToSchema)]
pub(super) struct ModelParameters {
    /// Whether it stands in until there is a good one of the patient's own recordings.
    provisional: bool,
}

/// An output.
#[derive(ToSchema)]
pub(super) struct OutputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    data: Option<Vec<f64>>,
}

/// Which models are listed.
#[derive(ToSchema)]
pub(super) struct ModelIndexRequest {
    /// Only what may be asked.
    ready: Option<bool>,
    /// The last name of the page before.
    after: Option<String>,
    /// Models in the page; 1,000 unless named, and at most.
    limit: Option<u32>,
}

/// Versions of models, by name.
#[derive(ToSchema)]
pub(super) struct ModelIndex(Vec<ModelIndexEntry>);

/// A version of a model.
#[derive(ToSchema)]
pub(super) struct ModelIndexEntry {
    name: String,
    version: String,
    /// `READY` or `UNAVAILABLE`.
    state: String,
    reason: String,
}

/// Nothing that is heeded.
#[derive(ToSchema)]
pub(super) struct LoadRequest {}

/// What became of requests.
#[derive(ToSchema)]
pub(super) struct ModelStatistics {
    model_stats: Vec<VersionStatistics>,
}

/// What became of a version's requests.
#[derive(ToSchema)]
pub(super) struct VersionStatistics {
    name: String,
    version: String,
    /// Milliseconds since 1970.
    last_inference: u64,
    inference_count: u64,
    execution_count: u64,
    inference_stats: InferStatistics,
    batch_stats: Vec<BatchStatistics>,
}

/// How often, and nanoseconds in all.
#[derive(ToSchema)]
pub(super) struct Statistic {
    count: u64,
    ns: u64,
}

/// By what was done.
#[derive(ToSchema)]
pub(super) struct InferStatistics {
    success: Statistic,
    fail: Statistic,
    queue: Statistic,
    compute_input: Statistic,
    compute_infer: Statistic,
    compute_output: Statistic,
    /// The model was in memory.
    cache_hit: Statistic,
    /// It was loaded first.
    cache_miss: Statistic,
}

/// By rows of one execution.
#[derive(ToSchema)]
pub(super) struct BatchStatistics {
    batch_size: u64,
    compute_input: Statistic,
    compute_infer: Statistic,
    compute_output: Statistic,
}
