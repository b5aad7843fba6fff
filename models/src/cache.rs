//! A least-recently-used cache bounded in bytes.
//!
//! Values are shared: eviction drops the cache's own reference only, so a value in use lives until its last user is done.

use std::hash::Hash;
use std::sync::Arc;

use lru::LruCache;

/// What a cache has seen and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheCounters {
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Values dropped to make room; removals do not count.
    pub evictions: u64,
    /// Bytes held now, as told on insertion.
    pub bytes: usize,
    /// Values held now.
    pub entries: usize,
}

/// Keeps the most recently used values whose sizes sum to at most a number of bytes. Lookups and removals are O(1), insertions
/// O(1) amortised. Not synchronised: its owner locks it, or is an actor.
#[derive(Debug)]
pub struct ModelCache<K: Hash + Eq, V> {
    entries: LruCache<K, SizedValue<V>>,
    capacity: usize,
    counters: CacheCounters,
}

#[derive(Debug)]
struct SizedValue<V> {
    value: Arc<V>,
    bytes: usize,
}

impl<K: Hash + Eq, V> ModelCache<K, V> {
    /// An empty cache for `capacity` bytes; with 0 it keeps nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: LruCache::unbounded(), capacity, counters: CacheCounters::default() }
    }

    /// The value of a key, which becomes the most recently used. Counted as hit or miss.
    pub fn get(&mut self, key: &K) -> Option<Arc<V>> {
        let found = self.entries.get(key).map(|entry| Arc::clone(&entry.value));
        if found.is_some() {
            self.counters.hits += 1;
        } else {
            self.counters.misses += 1;
        }
        found
    }

    /// Keeps a value of `bytes` bytes, in place of any other of that key, and evicts the least recently used until all fit. A value
    /// larger than the whole cache is not kept and evicts nothing else. Returns whether it was kept.
    pub fn insert(&mut self, key: K, value: Arc<V>, bytes: usize) -> bool {
        self.remove(&key);
        if bytes > self.capacity {
            return false;
        }
        while self.counters.bytes > self.capacity - bytes {
            let Some((_, evicted)) = self.entries.pop_lru() else { break };
            self.counters.bytes -= evicted.bytes;
            self.counters.evictions += 1;
        }
        self.counters.bytes += bytes;
        self.entries.put(key, SizedValue { value, bytes });
        true
    }

    /// Forgets a key and gives its value.
    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        let removed = self.entries.pop(key)?;
        self.counters.bytes -= removed.bytes;
        Some(removed.value)
    }

    /// Counters since the cache was made, and what it holds now.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        CacheCounters { entries: self.entries.len(), ..self.counters }
    }

    /// Bytes that the cache may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_least_recently_used_goes_first_and_lives_while_used() {
        let mut cache = ModelCache::new(100);
        cache.insert("a", Arc::new(1), 40);
        cache.insert("b", Arc::new(2), 40);
        let in_use = cache.get(&"b").unwrap();
        cache.get(&"a").unwrap();
        cache.insert("c", Arc::new(3), 40);
        assert!(cache.get(&"b").is_none());
        assert_eq!(*in_use, 2);
        assert_eq!(Arc::strong_count(&in_use), 1);
        assert_eq!(cache.counters(), CacheCounters { hits: 2, misses: 1, evictions: 1, bytes: 80, entries: 2 });
    }

    #[test]
    fn a_value_larger_than_the_cache_evicts_nothing() {
        let mut cache = ModelCache::new(100);
        cache.insert(1, Arc::new("small"), 10);
        assert!(!cache.insert(2, Arc::new("large"), 101));
        assert!(cache.get(&1).is_some());
        // Replacing a key by something that cannot be kept must not leave the old value behind.
        assert!(!cache.insert(1, Arc::new("large"), 101));
        assert!(cache.get(&1).is_none());
        assert_eq!(cache.counters().bytes, 0);
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_what_is_held(steps in prop::collection::vec((0..8_u8, 0..60_usize, 0..3_u8), 0..200)) {
            let mut cache = ModelCache::new(100);
            for (key, bytes, what) in steps {
                match what {
                    0 => { cache.insert(key, Arc::new(bytes), bytes); }
                    1 => { cache.remove(&key); }
                    _ => { cache.get(&key); }
                }
                let held: usize = cache.entries.iter().map(|(_, e)| e.bytes).sum();
                prop_assert_eq!(cache.counters().bytes, held);
                prop_assert!(held <= 100);
            }
        }
    }
}
