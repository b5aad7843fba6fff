//! `queue.*`: the durable queue.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// The durable queue.
    QueueConfig {
        /// Seconds that a lease holds without being extended.
        lease_seconds: u64 = 30,
        /// Attempts before a job is given up.
        max_attempts: i64 = 10,
        /// Milliseconds before the second attempt; doubles with each.
        backoff_first_ms: u64 = 500,
        /// Longest delay, seconds.
        backoff_cap_seconds: u64 = 300,
        /// Longest rest of a step while the database, the object store or room on the disk is away, seconds.
        longest_rest_seconds: u64 = 10,
        /// Milliseconds between looks for what became due.
        tick_ms: u64 = 500,
        /// Conversions at once.
        converts_at_once: usize = 4,
        /// Scorings at once.
        scores_at_once: usize = 32,
        /// Deleted test events whose objects are removed at once.
        deletions_at_once: usize = 4,
        /// Seconds that a conversion or a scoring may take.
        deadline_seconds: u64 = 60,
        /// Seconds that a training may take.
        training_deadline_seconds: u64 = 600,
    }
);
