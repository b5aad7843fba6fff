use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;

type Cache = ModelCache<&'static str, u32, &'static str>;

fn cache(bytes: usize) -> Cache {
    cache_with(bytes, Eviction::LeastRecentlyUsed)
}

fn cache_with(bytes: usize, eviction: Eviction) -> Cache {
    ModelCache::new(CacheLimits { bytes, eviction, failed_for: Duration::from_millis(100), remembered: 16 })
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn load(cache: &Cache, key: &'static str, bytes: usize) -> Result<Lease<u32>, CacheError<&'static str>> {
    let loaded = cache.get_or_load(&key, async || Ok(Loaded { value: key.len() as u32, bytes })).await;
    loaded.map(|(lease, _)| lease)
}

#[tokio::test]
async fn the_least_recently_used_goes_first_and_none_in_use_goes() {
    let cache = cache(100);
    drop(load(&cache, "a", 40).await.unwrap());
    let in_use = load(&cache, "bb", 40).await.unwrap();
    drop(cache.get(&"a").unwrap());
    // The least recently used is in use.
    drop(load(&cache, "ccc", 40).await.unwrap());
    assert_eq!((cache.contains(&"a"), cache.contains(&"bb"), cache.contains(&"ccc")), (false, true, true));
    assert_eq!(*in_use, 2);
    let other = cache.get(&"ccc").unwrap();
    assert_eq!(load(&cache, "d", 40).await.unwrap_err(), CacheError::NoRoom, "each is in use");
    drop((in_use, other));
    drop(load(&cache, "d", 100).await.unwrap());
    let CacheCounters { evictions, bytes, entries, .. } = cache.counters();
    assert_eq!((evictions, bytes, entries), (3, 100, 1));
    let a = cache.counts_of(&"a").unwrap();
    assert_eq!(a, ModelCounts { hits: 1, misses: 1, loads: 1, evictions: 1, ..ModelCounts::default() });
    assert_eq!(cache.counts_of(&"d").unwrap().refused, 1);
}

#[tokio::test]
async fn what_is_larger_than_the_cache_evicts_nothing() {
    let cache = cache(100);
    drop(load(&cache, "small", 10).await.unwrap());
    assert_eq!(load(&cache, "large", 101).await.unwrap_err(), CacheError::NoRoom);
    assert!(cache.contains(&"small"));
}

#[tokio::test]
async fn where_nothing_is_evicted_the_next_has_no_room() {
    let cache = cache_with(100, Eviction::Never);
    drop(load(&cache, "a", 60).await.unwrap());
    assert_eq!(load(&cache, "b", 60).await.unwrap_err(), CacheError::NoRoom);
    assert_eq!(cache.unload(&"a").await, Unloaded::WasLoaded);
    drop(load(&cache, "b", 60).await.unwrap());
}

#[tokio::test]
async fn a_thousand_who_ask_at_once_load_once() {
    let (cache, loads) = (cache(100), AtomicUsize::new(0));
    let ask = async || {
        let load = async || {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(Loaded { value: 7, bytes: 1 })
        };
        let (lease, source) = cache.get_or_load(&"a", load).await.unwrap();
        assert_eq!(*lease, 7);
        source
    };
    let sources = futures_util::future::join_all((0..1_000).map(|_| ask())).await;
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert_eq!(sources.iter().filter(|source| **source == Source::LoadedNow).count(), 1);
}

#[tokio::test]
async fn a_failed_load_is_told_to_all_who_wait_and_remembered_for_a_while() {
    let (cache, loads) = (cache(100), AtomicUsize::new(0));
    let ask = async || {
        let load = async || {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err("broken")
        };
        cache.get_or_load(&"a", load).await.unwrap_err()
    };
    let errors = futures_util::future::join_all((0..10).map(|_| ask())).await;
    assert!(errors.iter().all(|error| *error == CacheError::Load("broken")), "{errors:?}");
    assert_eq!(ask().await, CacheError::Load("broken"));
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_millis(150)).await;
    ask().await;
    assert_eq!(loads.load(Ordering::Relaxed), 2);
    // Unloading forgets it at once.
    assert_eq!(cache.unload(&"a").await, Unloaded::WasNot);
    drop(load(&cache, "a", 1).await.unwrap());
}

#[tokio::test]
async fn who_is_cancelled_while_loading_is_succeeded_by_the_next() {
    let cache = cache(100);
    let never = cache.get_or_load(&"a", std::future::pending);
    let mut never = Box::pin(never);
    assert!(poll_once(&mut never).is_pending());
    let mut next = Box::pin(load(&cache, "a", 1));
    assert!(poll_once(&mut next).is_pending());
    drop(never);
    assert_eq!(*next.await.unwrap(), 1);
    assert!(cache.0.state().look(&"b", Instant::now()).is_none());
}

#[tokio::test]
async fn unloading_waits_for_who_uses_it_and_overtakes_who_loads_it() {
    let cache = cache(100);
    let in_use = load(&cache, "a", 60).await.unwrap();
    let mut unload = Box::pin(cache.unload(&"a"));
    assert!(poll_once(&mut unload).is_pending());
    assert!(cache.get(&"a").is_none());
    assert_eq!(cache.counters().bytes, 60, "counted until nobody uses it");
    drop(in_use);
    assert_eq!(unload.await, Unloaded::WasLoaded);
    assert_eq!(cache.counters().bytes, 0);

    let versions = AtomicUsize::new(0);
    let loading = cache.get_or_load(&"a", async || {
        let value = versions.fetch_add(1, Ordering::Relaxed) as u32;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Loaded { value, bytes: 1 })
    });
    let mut loading = Box::pin(loading);
    assert!(poll_once(&mut loading).is_pending());
    assert_eq!(cache.unload(&"a").await, Unloaded::WasNot);
    assert_eq!(*loading.await.unwrap().0, 1, "what was read before the unload serves nobody");
}
