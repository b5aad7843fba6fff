//! What lists have in common.

use super::{Access, ServiceError};
use crate::domain::ids::{PatientId, TestEventId};
use crate::storage::database::Page;
use std::collections::BTreeSet;

/// Entries up to which a list is counted.
pub const MOST_COUNTED: u32 = 10_000;
/// Patients or events that one batch asks for at most.
pub const MOST_IN_BATCH: usize = 1_000;

/// Whether a list is counted beside its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Up to [`MOST_COUNTED`].
    Counted,
    /// Not at all.
    NotAsked,
}

impl Total {
    /// Entries to count at most: one more than is told, to know that there are more.
    pub(super) fn bound(self) -> u32 {
        match self {
            Self::Counted => MOST_COUNTED + 1,
            Self::NotAsked => 0,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether there are more behind them.
    pub has_next: bool,
    /// Entries of the whole list, or [`MOST_COUNTED`] where there are more; 0 where it was not asked.
    pub total: u32,
    /// Whether there are more than [`MOST_COUNTED`].
    pub more_than_total: bool,
}

impl<T> Listed<T> {
    /// A page of at most `limit` entries, of which one more was read.
    pub(super) fn of(page: Page<T>, limit: u32) -> Self {
        let Page { mut entries, total } = page;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_next = entries.len() > limit;
        entries.truncate(limit);
        Self { entries, has_next, total: total.min(MOST_COUNTED), more_than_total: total > MOST_COUNTED }
    }
}

/// A test event and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventOf {
    /// The event.
    pub event: TestEventId,
    /// Whose it is.
    pub patient: PatientId,
}

/// What a batch needs: every patient that it touches.
pub(super) fn access_of<'p>(patients: impl IntoIterator<Item = &'p PatientId>) -> Access {
    Access::Patients(patients.into_iter().cloned().collect::<BTreeSet<_>>())
}

/// Refuses a batch that is too large. Who gathers batches keeps to the bound.
pub(super) fn check_batch(length: usize) -> Result<(), ServiceError> {
    if length > MOST_IN_BATCH {
        return Err(ServiceError::Invalid {
            code: "batch_too_large",
            detail: format!("at most {MOST_IN_BATCH} may be asked for at once"),
        });
    }
    Ok(())
}
