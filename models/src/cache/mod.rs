//! The cache of loaded models: bounded in bytes, the least recently used that nobody uses goes first.
//!
//! - A [`Lease`] keeps a model in memory and its bytes counted until it is dropped: what is in use is not evicted, and what was
//!   unloaded counts until its last user is done. The bytes of all that live never exceed the bound.
//! - However many ask for a model that is not there, one of them loads it, and the others wait. Whoever loads may be cancelled:
//!   the next who waits takes over.
//! - A load that failed is remembered for a while, and told to who asks meanwhile.
//! - A load that was under way when its key was unloaded or replaced gives nothing to anybody; it is done again.
//! - A lookup is one step in a hash table and one in a list, however many models are known or loaded.

mod counters;
mod state;

pub use counters::{CacheCounters, ModelCounts};

use std::hash::Hash;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use state::{Found, State};
use tokio::sync::Notify;

/// How often a load that was overtaken by an unload is begun again for one asker.
const MOST_RESTARTS: usize = 8;

/// What happens where a model has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The least recently used that nobody uses make room.
    LeastRecentlyUsed,
    /// Nothing does: somebody else decides what is loaded.
    Never,
}

/// Bounds of a cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Bytes of all models that live.
    pub bytes: usize,
    /// What happens where a model has no room.
    pub eviction: Eviction,
    /// How long a failed load is remembered.
    pub failed_for: Duration,
    /// Models whose failures and counters are remembered at most, each.
    pub remembered: usize,
}

/// A loaded model and its size, in bytes, as the cache shall count it.
#[derive(Debug)]
pub struct Loaded<V> {
    /// The model.
    pub value: V,
    /// Its size.
    pub bytes: usize,
}

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError<E> {
    /// It could not be loaded, now or a moment ago.
    #[error("{0}")]
    Load(E),
    /// It is larger than what is left beside models in use, or than the whole cache.
    #[error("there is no room for the model")]
    NoRoom,
    /// It was unloaded again and again while it was loaded.
    #[error("the model was unloaded while it was loaded")]
    Unloaded,
}

/// Whether something was there to be unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unloaded {
    /// It was loaded, and its memory is free.
    WasLoaded,
    /// It was not.
    WasNot,
}

/// Who loaded a model that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was there, or somebody else loaded it meanwhile.
    There,
    /// The one who asked.
    LoadedNow,
}

/// A model in use. It stays in memory, and counted, until this is dropped.
#[derive(Debug)]
pub struct Lease<V>(Arc<Held<V>>);

impl<V> Deref for Lease<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0.value
    }
}

/// A model that lives.
#[derive(Debug)]
struct Held<V> {
    value: V,
    bytes: usize,
    account: Arc<Account>,
}

impl<V> Drop for Held<V> {
    fn drop(&mut self) {
        self.account.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.account.freed.notify_waiters();
    }
}

/// Bytes of all models that live. Grows under the lock only.
#[derive(Debug, Default)]
struct Account {
    bytes: AtomicUsize,
    freed: Notify,
}

/// A load under way.
#[derive(Debug, Default)]
struct Flight {
    /// Held by who loads.
    turn: tokio::sync::Mutex<()>,
    /// Those who load or wait; changed under the cache's lock.
    seats: AtomicUsize,
    /// The key was unloaded since this began.
    overtaken: AtomicBool,
}

/// The cache. Cheap to clone.
#[derive(Debug)]
pub struct ModelCache<K: Hash + Eq, V, E>(Arc<Inner<K, V, E>>);

impl<K: Hash + Eq, V, E> Clone for ModelCache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<K: Hash + Eq, V, E> {
    limits: CacheLimits,
    account: Arc<Account>,
    state: Mutex<State<K, V, E>>,
}

impl<K: Hash + Eq, V, E> Inner<K, V, E> {
    fn state(&self) -> MutexGuard<'_, State<K, V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V, E: Clone> ModelCache<K, V, E> {
    /// An empty one.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        let state = Mutex::new(State::new(limits.remembered));
        Self(Arc::new(Inner { limits, account: Arc::default(), state }))
    }

    /// A model that is loaded; it becomes the most recently used. Counted as a hit or a miss.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Lease<V>> {
        self.0.state().get(key).map(Lease)
    }

    /// A model, loaded where it is not there, by one of all who ask. `load` may be called more than once: when what it gave was
    /// overtaken by an unload.
    ///
    /// # Errors
    /// [`CacheError`].
    pub async fn get_or_load<F>(&self, key: &K, load: impl Fn() -> F) -> Result<(Lease<V>, Source), CacheError<E>>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        for _ in 0..MOST_RESTARTS {
            let flight = match self.0.state().find(key, Instant::now()) {
                Found::There(held) => return Ok((Lease(held), Source::There)),
                Found::Failed(error) => return Err(CacheError::Load(error)),
                Found::ToLoad(flight) => Seat { cache: self, key, flight },
            };
            let _turn = flight.flight.turn.lock().await;
            // Whoever had the turn before may have loaded it.
            match self.0.state().look(key, Instant::now()) {
                Some(Ok(held)) => return Ok((Lease(held), Source::There)),
                Some(Err(error)) => return Err(CacheError::Load(error)),
                None if flight.flight.overtaken.load(Ordering::Acquire) => continue,
                None => {}
            }
            let loaded = load().await;
            let mut state = self.0.state();
            if flight.flight.overtaken.load(Ordering::Acquire) {
                continue;
            }
            return match loaded {
                Ok(loaded) => {
                    let Some(held) = state.admit(key, loaded, &self.0.limits, &self.0.account) else {
                        state.count(key, |counts| &counts.refused);
                        return Err(CacheError::NoRoom);
                    };
                    Ok((Lease(held), Source::LoadedNow))
                }
                Err(error) => {
                    state.failed(key, error.clone(), Instant::now() + self.0.limits.failed_for);
                    Err(CacheError::Load(error))
                }
            };
        }
        Err(CacheError::Unloaded)
    }

    /// Unloads a model: who asks from now on does not get it. When this returns nobody uses it any more, and its memory is
    /// free. A failure is forgotten, a load under way is overtaken.
    pub async fn unload(&self, key: &K) -> Unloaded {
        let Some(held) = self.0.state().remove(key) else { return Unloaded::WasNot };
        let left = Arc::downgrade(&held);
        drop(held);
        loop {
            let freed = self.0.account.freed.notified();
            if left.strong_count() == 0 {
                return Unloaded::WasLoaded;
            }
            freed.await;
        }
    }

    /// Whether a model is loaded; no use of it.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.0.state().contains(key)
    }

    /// The keys of all that are loaded, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.0.state().keys()
    }

    /// Counters since the cache was made, and what it holds now.
    #[must_use]
    pub fn counters(&self) -> CacheCounters {
        let bytes = self.0.account.bytes.load(Ordering::Acquire);
        CacheCounters { bytes, ..self.0.state().counters() }
    }

    /// Counters of one model, where it is remembered.
    #[must_use]
    pub fn counts_of(&self, key: &K) -> Option<ModelCounts> {
        self.0.state().counts_of(key)
    }

    /// Bytes that all models may have.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.limits.bytes
    }
}

/// A place among those who wait for a load. The last to leave takes the load off the list.
struct Seat<'a, K: Hash + Eq, V, E> {
    cache: &'a ModelCache<K, V, E>,
    key: &'a K,
    flight: Arc<Flight>,
}

impl<K: Hash + Eq, V, E> Drop for Seat<'_, K, V, E> {
    fn drop(&mut self) {
        self.cache.0.state().leave(self.key, &self.flight);
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
