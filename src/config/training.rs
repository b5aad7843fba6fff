//! `training.*`: when a patient gets a model.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Training.
    TrainingConfig {
        /// Scored recordings for the first model.
        minimum: i64 = 10,
        /// Scored recordings for each next.
        every: i64 = 10,
        /// Whether a patient's models learn from the care provider's other patients, too, and who has none gets a provisional one.
        from_others: bool = true,
        /// Trainings at once.
        at_once: usize = 2,
        /// Trainers, one a care provider, that live at once.
        max_trainers: usize = 16,
        /// Seconds after which an idle trainer is stopped.
        idle_seconds: u64 = 60,
    }
);
