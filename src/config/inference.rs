//! `inference.*`: the inference server on `/v2`. The bytes of loaded models are `scoring.cache_bytes`.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// The inference server.
    InferenceConfig {
        /// Models that are loaded or run at once; 0 is one for each processor.
        at_once: usize = 0,
        /// Requests in hand at once; further ones are told to come back.
        in_hand: usize = 128,
        /// Milliseconds that a request may take; a client may ask for less.
        deadline_ms: u64 = 10_000,
        /// Bytes of a request's body at most.
        max_body_bytes: usize = 16 << 20,
        /// Feature vectors and recordings in one request at most.
        max_rows: usize = 10_000,
        /// Milliseconds that a failed load is remembered.
        failed_load_ms: u64 = 1_000,
        /// Models that metrics and statistics count apart; those not asked for longest are added up as one.
        counted_models: usize = 1_000,
    }
);
