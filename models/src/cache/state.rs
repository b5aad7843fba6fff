//! What the cache's lock guards.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lru::LruCache;

use super::counters::Counting;
use super::{Account, CacheCounters, CacheLimits, Eviction, Flight, Held, Loaded, ModelCounts};

/// All of it. Every method is a few steps, whatever there is.
#[derive(Debug)]
pub(super) struct State<K: Hash + Eq, V, E> {
    /// Loaded, the least recently used last.
    loaded: LruCache<K, Entry<V>>,
    loading: HashMap<K, Arc<Flight>>,
    failed: LruCache<K, Failure<E>>,
    counts: LruCache<K, Arc<Counting>>,
    totals: CacheCounters,
}

#[derive(Debug)]
struct Entry<V> {
    held: Arc<Held<V>>,
    counts: Arc<Counting>,
}

#[derive(Debug)]
struct Failure<E> {
    error: E,
    until: Instant,
}

/// What a lookup found.
pub(super) enum Found<V, E> {
    There(Arc<Held<V>>),
    Failed(E),
    /// It is loaded by whoever has the turn.
    ToLoad(Arc<Flight>),
}

impl<K: Hash + Eq, V, E> State<K, V, E> {
    pub(super) fn new(remembered: usize) -> Self {
        let remembered = NonZeroUsize::new(remembered).unwrap_or(NonZeroUsize::MIN);
        Self {
            loaded: LruCache::unbounded(),
            loading: HashMap::new(),
            failed: LruCache::new(remembered),
            counts: LruCache::new(remembered),
            totals: CacheCounters::default(),
        }
    }

    /// The last of those who waited for a load takes it off the list.
    pub(super) fn leave(&mut self, key: &K, flight: &Arc<Flight>) {
        let last = flight.seats.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.loading.get(key).is_some_and(|listed| Arc::ptr_eq(listed, flight)) {
            self.loading.remove(key);
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.loaded.contains(key)
    }

    pub(super) fn counters(&self) -> CacheCounters {
        CacheCounters { entries: self.loaded.len(), ..self.totals }
    }

    /// Whether nothing is being loaded.
    #[cfg(test)]
    pub(super) fn idle(&self) -> bool {
        self.loading.is_empty()
    }

    pub(super) fn counts_of(&self, key: &K) -> Option<ModelCounts> {
        self.counts.peek(key).map(|counts| counts.read())
    }
}

impl<K: Hash + Eq + Clone, V, E: Clone> State<K, V, E> {
    /// A loaded model, counted.
    pub(super) fn get(&mut self, key: &K) -> Option<Arc<Held<V>>> {
        if let Some(entry) = self.loaded.get(key) {
            self.totals.hits += 1;
            entry.counts.hits.fetch_add(1, Ordering::Relaxed);
            return Some(Arc::clone(&entry.held));
        }
        self.totals.misses += 1;
        self.count(key, |counts| &counts.misses);
        None
    }

    /// A model, or how it came that there is none.
    pub(super) fn find(&mut self, key: &K, now: Instant) -> Found<V, E> {
        if let Some(held) = self.get(key) {
            return Found::There(held);
        }
        match self.failure(key, now) {
            Some(error) => Found::Failed(error),
            None => {
                let flight = self.loading.entry(key.clone()).or_default();
                flight.seats.fetch_add(1, Ordering::AcqRel);
                Found::ToLoad(Arc::clone(flight))
            }
        }
    }

    /// What came of a load that was waited for; none where nothing did yet. Not counted.
    pub(super) fn look(&mut self, key: &K, now: Instant) -> Option<Result<Arc<Held<V>>, E>> {
        if let Some(entry) = self.loaded.get(key) {
            return Some(Ok(Arc::clone(&entry.held)));
        }
        self.failure(key, now).map(Err)
    }

    fn failure(&mut self, key: &K, now: Instant) -> Option<E> {
        let failure = self.failed.peek(key)?;
        if failure.until > now {
            return Some(failure.error.clone());
        }
        self.failed.pop(key);
        None
    }

    /// Keeps what was loaded, where there is room.
    pub(super) fn admit(
        &mut self,
        key: &K,
        Loaded { value, bytes }: Loaded<V>,
        limits: &CacheLimits,
        account: &Arc<Account>,
    ) -> Option<Arc<Held<V>>> {
        let room = limits.bytes.checked_sub(bytes)?;
        while account.bytes.load(Ordering::Acquire) > room {
            if limits.eviction == Eviction::Never {
                return None;
            }
            self.evict()?;
        }
        account.bytes.fetch_add(bytes, Ordering::AcqRel);
        let held = Arc::new(Held { value, bytes, account: Arc::clone(account) });
        let counts = self.counting(key);
        counts.loads.fetch_add(1, Ordering::Relaxed);
        self.loaded.put(key.clone(), Entry { held: Arc::clone(&held), counts });
        Some(held)
    }

    /// Drops the least recently used model that nobody uses; none where each is in use.
    fn evict(&mut self) -> Option<()> {
        // Nobody can begin to use it meanwhile: that takes the lock.
        let unused = |(_, entry): &(&K, &Entry<V>)| Arc::strong_count(&entry.held) == 1;
        let key = self.loaded.iter().rev().find(unused)?.0.clone();
        let entry = self.loaded.pop(&key)?;
        entry.counts.evictions.fetch_add(1, Ordering::Relaxed);
        self.totals.evictions += 1;
        Some(())
    }

    /// A load failed: remembered until then.
    pub(super) fn failed(&mut self, key: &K, error: E, until: Instant) {
        self.totals.failures += 1;
        self.count(key, |counts| &counts.failures);
        self.failed.put(key.clone(), Failure { error, until });
    }

    /// Forgets a model, its failure, and what is loaded of it just now.
    pub(super) fn remove(&mut self, key: &K) -> Option<Arc<Held<V>>> {
        if let Some(flight) = self.loading.remove(key) {
            flight.overtaken.store(true, Ordering::Release);
        }
        self.failed.pop(key);
        self.loaded.pop(key).map(|entry| entry.held)
    }

    pub(super) fn keys(&self) -> Vec<K> {
        self.loaded.iter().map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn count(&mut self, key: &K, counter: fn(&Counting) -> &AtomicU64) {
        counter(&self.counting(key)).fetch_add(1, Ordering::Relaxed);
    }

    fn counting(&mut self, key: &K) -> Arc<Counting> {
        Arc::clone(self.counts.get_or_insert(key.clone(), Arc::default))
    }
}
