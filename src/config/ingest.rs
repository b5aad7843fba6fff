//! `ingest.*`: how recordings arrive.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Arrival other than by HTTP.
    IngestConfig {
        /// Queue that tells of objects put into the bucket.
        sqs_url: Option<String> = None,
        /// Address of the queue's server, where that is not Amazon's.
        sqs_endpoint: Option<String> = None,
        /// Messages of the queue in hand at once.
        sqs_at_once: usize = 16,
        /// Seconds for which a message in hand is hidden from others; extended while it takes longer.
        sqs_hidden_seconds: u64 = 60,
        /// Bodies that are read and kept at once; further ones are told to come back.
        at_once: usize = 128,
        /// Bytes of parsed recordings kept for the converter.
        handover_bytes: usize = 64 << 20,
    }
);
