//! `supervision.*`: when an actor is rebuilt.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Supervision of actors.
    SupervisionConfig {
        /// Messages that may wait at one actor.
        mailbox: usize = 1_024,
        /// Seconds that an asker waits for an answer.
        ask_timeout_seconds: u64 = 30,
        /// Milliseconds between probes.
        probe_every_ms: u64 = 1_000,
        /// Milliseconds after which an actor that does not answer a probe is rebuilt.
        stuck_after_ms: u64 = 5_000,
        /// Milliseconds before the first rebuild; doubles with each that follows soon.
        backoff_first_ms: u64 = 50,
        /// Longest pause before a rebuild, milliseconds.
        backoff_cap_ms: u64 = 5_000,
    }
);
