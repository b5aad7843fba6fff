//! `compute.*`: what work may take of the processors.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Processors.
    ComputeConfig {
        /// Threads for parsing, signal code and training at once; 0 is one more than there are processors.
        at_once: usize = 0,
        /// Threads beside each actor's own for that and for waiting on the disk.
        threads: usize = 16,
    }
);
