//! `audit.*`: how the audit record is written.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// The audit record.
    AuditConfig {
        /// Entries that may wait to be written; further requests are told to come back.
        waiting: usize = 4_096,
        /// Entries that are written in one statement.
        at_once: usize = 512,
        /// Seconds that a request waits for its entry.
        longest_wait_seconds: u64 = 5,
        /// Seconds between two writes of the counts of requests without a token that holds.
        unknown_every_seconds: u64 = 60,
        /// Addresses whose requests of that kind are counted apart in that time; those of all others are counted together.
        unknown_apart: usize = 64,
    }
);
