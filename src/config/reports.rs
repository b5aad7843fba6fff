//! `reports.*`: the bounds of documents, links and exports.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Reports, links and exports.
    ReportsConfig {
        /// Seconds that a link to a report or a CSV is good for; at most a week.
        link_seconds: u64 = 300,
        /// Reports made at once.
        at_once: usize = 2,
        /// Requests for documents in hand at once; further ones are told to come back.
        requests_at_once: usize = 64,
        /// Seconds that such a request may take.
        deadline_seconds: u64 = 10,
        /// Linked objects sent at once; further ones are told to come back.
        downloads_at_once: usize = 64,
        /// Exports of a patient's record sent at once; further ones are told to come back.
        exports_at_once: usize = 4,
        /// Seconds for which a client may take nothing of what it is sent.
        idle_seconds: u64 = 30,
        /// Seconds that an export or a linked object may take to be sent.
        longest_seconds: u64 = 3_600,
        /// Test events in one export at most.
        export_events: u32 = 20_000,
    }
);
