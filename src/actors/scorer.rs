//! The scorer pool: a fixed number of scorers, each with a model cache of its own. A model always goes to the same
//! scorer, so it is loaded once however many ask, and needs no lock.

use super::compute::unmetered;
use super::metrics::Metrics;
use super::supervision::Handle;
use super::updates::Updates;
use super::work::{Assignment, JobError};
use crate::domain::clock::SharedClock;
use crate::domain::ids::ModelVersion;
use crate::domain::score::Score;
use crate::scoring::Backend;
use crate::storage::database::{AfterScoring, Database, Job, ModelRow};
use crate::storage::objects::{ObjectError, Objects};
use crate::supervised;
use actix::prelude::*;
use stance_models::artifact;
use stance_models::cache::ModelCache;
use stance_models::features::FEATURE_SET;
use stance_models::model::TrainedModel;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// What the actors work with.
#[derive(Debug, Clone)]
pub struct ScorerDeps {
    /// Rows.
    pub database: Database,
    /// Artifacts.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Runs the model.
    pub backend: Backend,
    /// Tells who waits.
    pub updates: Updates,
    /// Counts what the cache does.
    pub metrics: Metrics,
    /// Bytes of models that one scorer keeps.
    pub cache_bytes: usize,
}

/// The actor: one of the pool.
#[derive(Debug)]
pub struct Scorer {
    desk: Desk,
}

/// What a scorer has at hand. Cheap to clone.
#[derive(Debug, Clone)]
struct Desk {
    deps: ScorerDeps,
    cache: Arc<Mutex<ModelCache<ModelVersion, TrainedModel>>>,
    /// Held while a model is loaded: who else asks for it waits, and finds it in the cache.
    loading: Arc<tokio::sync::Mutex<()>>,
}

impl Scorer {
    /// A new one with an empty cache.
    #[must_use]
    pub fn new(deps: ScorerDeps) -> Self {
        let cache = Arc::new(Mutex::new(ModelCache::new(deps.cache_bytes)));
        Self { desk: Desk { deps, cache, loading: Arc::default() } }
    }
}

impl Actor for Scorer {
    type Context = Context<Self>;
}

supervised!(Scorer, "scorer");

/// A recording to score with the model that it came with.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Scoring(Assignment);

impl Handler<Scoring> for Scorer {
    type Result = ();

    fn handle(&mut self, Scoring(assignment): Scoring, context: &mut Context<Self>) {
        fail::fail_point!("scorer");
        let desk = self.desk.clone();
        let work = assignment.perform(|job| async move { desk.score(&job).await });
        context.spawn(work.into_actor(self));
    }
}

impl Desk {
    async fn score(&self, job: &Job) -> Result<(), JobError> {
        let recording = job.recording.as_ref();
        let recording = recording.ok_or_else(|| JobError::dead("recording_gone", "the recording was deleted"))?;
        let row = job.model.as_ref().ok_or(JobError::Retry("no model"))?;
        let model = self.model(row).await?;
        let features = match &recording.features {
            Some((set, features)) if set == FEATURE_SET => features,
            _ => return Err(JobError::dead("feature_set_changed", "the recording was converted by another version")),
        };
        let prediction = self.deps.backend.predict(&model, features);
        let prediction = prediction.map_err(|error| JobError::dead("model_unusable", &error.to_string()))?;
        let score = Score {
            value: prediction.value,
            lower: Some(prediction.lower),
            upper: Some(prediction.upper),
            model_version: row.version.clone(),
            backend: self.deps.backend.name(),
        };
        match self.deps.database.finish_scoring(job.fence, recording.id, &score, self.deps.clock.now()).await? {
            AfterScoring::Scored => {}
            AfterScoring::ModelRetired => return Err(JobError::Retry("model retired")),
        }
        self.deps.updates.publish(recording.id, true);
        Ok(())
    }

    async fn model(&self, row: &ModelRow) -> Result<Arc<TrainedModel>, JobError> {
        if let Some(model) = self.cached(row) {
            self.deps.metrics.model_cache("hits", 1);
            return Ok(model);
        }
        let _turn = self.loading.lock().await;
        if let Some(model) = self.cached(row) {
            self.deps.metrics.model_cache("hits", 1);
            return Ok(model);
        }
        self.deps.metrics.model_cache("misses", 1);
        let bytes = self.deps.objects.get(&row.artifact_key, Some(row.artifact_digest)).await;
        let bytes = bytes.map_err(|error| match error {
            ObjectError::Corrupt => {
                JobError::dead("model_corrupt", "the model's artifact is not the one that was kept")
            }
            ObjectError::Exists
            | ObjectError::NotFound
            | ObjectError::TooLarge
            | ObjectError::NoSpace
            | ObjectError::Unavailable(_)
            | ObjectError::Refused(_)
            | ObjectError::Io(_) => error.into(),
        })?;
        let loaded = unmetered(move || {
            artifact::unpack(&bytes).map_err(|error| JobError::dead("model_unusable", &error.to_string()))
        });
        let (model, _) = loaded.await??;
        let model = Arc::new(model);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cache.counters();
        cache.insert(row.version.clone(), model.clone(), model.size_bytes());
        let after = cache.counters();
        self.deps.metrics.model_cache("bytes", difference(before.bytes, after.bytes));
        self.deps.metrics.model_cache("models", difference(before.entries, after.entries));
        self.deps
            .metrics
            .model_cache("evictions", i64::try_from(after.evictions - before.evictions).unwrap_or(i64::MAX));
        Ok(model)
    }

    fn cached(&self, row: &ModelRow) -> Option<Arc<TrainedModel>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&row.version)
    }
}

fn difference(before: usize, after: usize) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
}

impl Drop for Scorer {
    fn drop(&mut self) {
        let cache = self.desk.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.desk.deps.metrics.model_cache("bytes", difference(cache.counters().bytes, 0));
        self.desk.deps.metrics.model_cache("models", difference(cache.counters().entries, 0));
    }
}

/// All scorers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScorerPool(Arc<[Handle<Scorer>]>);

impl ScorerPool {
    /// A pool of at least one.
    #[must_use]
    pub fn new(scorers: Vec<Handle<Scorer>>) -> Self {
        Self(scorers.into())
    }

    /// Gives the work to its model's scorer. How much is on its way is bounded by the ledger.
    pub(super) fn give(&self, assignment: Assignment) {
        let mut hasher = DefaultHasher::new();
        assignment.job().and_then(|job| job.model.as_ref()).map(|model| &model.version).hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % self.0.len().max(1) as u64).unwrap_or_default();
        if let Some(scorer) = self.0.get(place) {
            // A dropped assignment is given back by the ledger.
            let _ = scorer.tell(Scoring(assignment));
        }
    }
}
