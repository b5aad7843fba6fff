//! `uploads.*`: what an upload may take.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Uploads over HTTP.
    UploadsConfig {
        /// Largest body, decoded, bytes.
        max_bytes: u64 = 64 << 20,
        /// Uploads whose body arrives at once; further ones are told to come back.
        max_open: usize = 4_096,
        /// Uploads of one account whose body arrives at once.
        max_open_per_account: usize = 1_024,
        /// Seconds that a body may take to arrive.
        longest_seconds: u64 = 900,
        /// Seconds without a byte after which an upload is given up.
        idle_timeout_seconds: u64 = 30,
    }
);
