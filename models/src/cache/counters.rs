//! What a cache has seen, in all and of each model.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache has seen and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounters {
    /// Lookups that found a model.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Models dropped to make room; unloads do not count.
    pub evictions: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Bytes of all models that live, those in use after they were unloaded among them.
    pub bytes: usize,
    /// Models loaded.
    pub entries: usize,
}

/// What the cache has seen of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelCounts {
    /// Lookups that found it.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Times that it was loaded.
    pub loads: u64,
    /// Loads that failed.
    pub failures: u64,
    /// Loads for which there was no room.
    pub refused: u64,
    /// Times that it made room for others.
    pub evictions: u64,
}

/// Counters of one model, shared by who remembers it.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evictions: AtomicU64,
}

impl Counting {
    pub(super) fn read(&self) -> ModelCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ModelCounts {
            hits: of(&self.hits),
            misses: of(&self.misses),
            loads: of(&self.loads),
            failures: of(&self.failures),
            refused: of(&self.refused),
            evictions: of(&self.evictions),
        }
    }
}
