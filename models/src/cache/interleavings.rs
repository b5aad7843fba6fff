//! Random interleavings of load, infer, unload, replace and evict on many threads, with real models: a model's weights say which
//! one it is and of which version, so that each score shows where it came from.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;
use crate::model::{Linear, Term, TrainedModel};

const MODELS: usize = 6;
const BYTES: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Step {
    Infer(usize, u8),
    /// A use that lasts.
    InferSlowly(usize, u8),
    Load(usize),
    Unload(usize),
    Replace(usize),
    /// A load that fills the whole cache with one model that is asked for by nobody else.
    Evict,
}

fn step() -> impl Strategy<Value = Step> {
    let model = 0..MODELS;
    prop_oneof![
        6 => (model.clone(), any::<u8>()).prop_map(|(model, x)| Step::Infer(model, x)),
        2 => (model.clone(), any::<u8>()).prop_map(|(model, x)| Step::InferSlowly(model, x)),
        1 => model.clone().prop_map(Step::Load),
        1 => model.clone().prop_map(Step::Unload),
        2 => model.prop_map(Step::Replace),
        1 => Just(Step::Evict),
    ]
}

/// Where models are kept: each model's newest version, and the one before which no score may be given any more.
struct World {
    cache: ModelCache<usize, TrainedModel, &'static str>,
    kept: [AtomicU64; MODELS],
    replaced: [AtomicU64; MODELS],
    scored: AtomicU64,
}

impl World {
    /// Score = model · 2⁴ + version · 2⁻¹⁰ + feature · 2⁻²⁰, each exact.
    async fn load(&self, model: usize) -> Result<Lease<TrainedModel>, CacheError<&'static str>> {
        let load = async || {
            let version = self.kept[model].load(Ordering::SeqCst);
            tokio::task::yield_now().await;
            let term = Term { weight: 1.0 / f64::from(1 << 20), low: 0.0, high: 255.0 };
            let intercept = model as f64 * 16.0 + version as f64 / 1_024.0;
            let value = TrainedModel::new(Linear { intercept, terms: vec![term] }, 0.0).unwrap();
            Ok(Loaded { value, bytes: 20 + 3 * model })
        };
        self.cache.get_or_load(&model, load).await.map(|(lease, _)| lease)
    }

    /// Who finds no room, or that it was unloaded, asks again some times: how often that is so depends on who runs when.
    async fn infer(&self, model: usize, x: u8, yields: usize) {
        for _ in 0..100 {
            if self.inferred(model, x, yields).await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether a score was given.
    async fn inferred(&self, model: usize, x: u8, yields: usize) -> bool {
        let earliest = self.replaced[model].load(Ordering::SeqCst);
        match self.load(model).await {
            Ok(lease) => {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                let score = lease.predict(&[f64::from(x)]).unwrap().value;
                drop(lease);
                let latest = self.kept[model].load(Ordering::SeqCst);
                let whole = (score * f64::from(1 << 20)) as u64;
                let (of, version, feature) = ((whole >> 24) as usize, (whole >> 10) & 0x3fff, (whole & 0x3ff) as u8);
                assert_eq!((of, feature), (model, x), "score {score}");
                assert!((earliest..=latest).contains(&version), "{version} of {earliest} to {latest}");
                self.scored.fetch_add(1, Ordering::Relaxed);
                true
            }
            // Others are in use, or were unloaded all the time.
            Err(CacheError::NoRoom | CacheError::Unloaded) => false,
            Err(error @ CacheError::Load(_)) => panic!("{error}"),
        }
    }

    async fn step(&self, step: Step) {
        match step {
            Step::Infer(model, x) => self.infer(model, x, 0).await,
            Step::InferSlowly(model, x) => self.infer(model, x, 5).await,
            Step::Load(model) => drop(self.load(model).await),
            Step::Unload(model) => {
                self.cache.unload(&model).await;
            }
            Step::Replace(model) => {
                let version = self.kept[model].fetch_add(1, Ordering::SeqCst) + 1;
                self.cache.unload(&model).await;
                // From here on nobody may be given an earlier one.
                self.replaced[model].fetch_max(version, Ordering::SeqCst);
            }
            Step::Evict => {
                let filler = TrainedModel::new(Linear::default(), 0.0).unwrap();
                let load = || std::future::ready(Ok(Loaded { value: filler.clone(), bytes: BYTES }));
                drop(self.cache.get_or_load(&usize::MAX, load).await);
            }
        }
        let CacheCounters { bytes, .. } = self.cache.counters();
        assert!(bytes <= BYTES, "{bytes} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 0, ..ProptestConfig::default() })]
    #[test]
    fn no_interleaving_gives_a_wrong_score_or_exceeds_the_bound(
        threads in prop::collection::vec(prop::collection::vec(step(), 1..200), 2..9)
    ) {
        let limits = CacheLimits {
            bytes: BYTES,
            eviction: Eviction::LeastRecentlyUsed,
            failed_for: Duration::from_millis(1),
            remembered: 4,
        };
        let world = Arc::new(World {
            cache: ModelCache::new(limits),
            kept: Default::default(),
            replaced: Default::default(),
            scored: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let infers = threads.iter().flatten().filter(|s| matches!(s, Step::Infer(..) | Step::InferSlowly(..))).count();
        runtime.block_on(async {
            let mut running = JoinSet::new();
            for steps in threads {
                let world = Arc::clone(&world);
                running.spawn(async move {
                    for step in steps {
                        world.step(step).await;
                        tokio::task::yield_now().await;
                    }
                });
            }
            while let Some(ended) = running.join_next().await {
                ended.unwrap();
            }
        });
        let scored = world.scored.load(Ordering::Relaxed);
        prop_assert!(scored * 2 >= infers as u64, "{scored} of {infers} were scored");
        prop_assert!(world.cache.0.state().idle(), "a load is left on the list");
        let left: Vec<_> = world.cache.keys();
        runtime.block_on(async {
            for key in left {
                world.cache.unload(&key).await;
            }
        });
        prop_assert_eq!(world.cache.counters().bytes, 0);
    }
}
