//! The one place where models are loaded and run, behind every door: the scorer pool, `/v2`, and the container.

use super::Backend;
use super::input::{Inputs, RecordingError, features_of_document};
use super::statistics::{Label, Statistics, Timings};
use super::turns::{Turn, Turns, Urgency};
use crate::domain::clock::SharedClock;
use crate::storage::objects::ObjectError;
use bytes::Bytes;
use stance_models::artifact::{self, ArtifactError};
use stance_models::cache::{
    CacheCounters, CacheError, CacheLimits, Eviction, Lease, Loaded, ModelCache, Source, Unloaded,
};
use stance_models::card::FORMAT_VERSION;
use stance_models::model::{ModelError, Prediction, TrainedModel};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the cache itself needs for a model besides the model, bytes: keys, list, counters.
const OVERHEAD: usize = 512;

/// Bounds of an engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Bytes of loaded models.
    pub cache_bytes: usize,
    /// What happens where a model has no room.
    pub eviction: Eviction,
    /// Models that are loaded or run at once.
    pub at_once: usize,
    /// Requests in hand at once; further ones are told to come back.
    pub in_hand: usize,
    /// How long a failed load is remembered.
    pub failed_for: Duration,
    /// Models that are counted apart.
    pub counted: usize,
}

/// Why a model could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its artifact is not the one that was kept.
    #[error("the model's artifact is not the one that was kept")]
    Corrupt,
    /// Its artifact was refused, for this reason.
    #[error("the model's artifact was refused: {0}")]
    Refused(String),
    /// Its artifact is of a later format than this program reads.
    #[error("the model was made by a newer program")]
    Newer,
    /// Its artifact is not there.
    #[error("the model's artifact is not there")]
    Missing,
    /// What keeps the artifacts is away.
    #[error("the model's artifact cannot be read now")]
    Away(&'static str),
    /// Anything else.
    #[error("the model could not be loaded")]
    Failed(&'static str),
}

impl LoadError {
    fn of_artifact(error: ArtifactError) -> Self {
        if let ArtifactError::FormatVersion { found } = error
            && found > FORMAT_VERSION
        {
            return Self::Newer;
        }
        Self::Refused(error.to_string())
    }
}

impl From<ObjectError> for LoadError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Corrupt => Self::Corrupt,
            ObjectError::NotFound => Self::Missing,
            ObjectError::TooLarge => Self::Refused("it is larger than a model can be".to_owned()),
            ObjectError::Unavailable(_) => Self::Away("the object store is away"),
            ObjectError::NoSpace => Self::Away("no space is left"),
            ObjectError::Refused(_) => Self::Failed("the object store refused"),
            ObjectError::Exists | ObjectError::Io(_) => Self::Failed("the object store failed"),
        }
    }
}

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// As many requests are in hand as may be.
    #[error("as many requests are in hand as may be")]
    Busy,
    /// It took longer than it may.
    #[error("the request took longer than it may")]
    TooSlow,
    /// The model could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Models in use leave no room for it.
    #[error("there is no room for the model")]
    NoRoom,
    /// It is not loaded, and nobody may load it but who decides that.
    #[error("the model is not loaded")]
    NotLoaded,
    /// A row does not fit the model.
    #[error("row {row}: {error}")]
    Row {
        /// Which, from 0.
        row: usize,
        /// What is wrong.
        error: ModelError,
    },
    /// A recording was refused.
    #[error("row {row}: {error}")]
    Recording {
        /// Which, from 0.
        row: usize,
        /// What is wrong.
        error: RecordingError,
    },
    /// The work panicked or the program is stopping.
    #[error("the work was not done")]
    NotDone,
}

impl From<CacheError<LoadError>> for EngineError {
    fn from(error: CacheError<LoadError>) -> Self {
        match error {
            CacheError::Load(error) => Self::Load(error),
            CacheError::NoRoom => Self::NoRoom,
            CacheError::Unloaded => Self::Load(LoadError::Failed("the model was unloaded while it was loaded")),
        }
    }
}

/// The engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: ModelCache<Arc<str>, TrainedModel, LoadError>,
    turns: Turns,
    in_hand: Arc<Semaphore>,
    statistics: Statistics,
    clock: SharedClock,
}

/// A place among the requests in hand.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// A request of a door.
#[derive(Debug)]
pub struct Request {
    /// Its place among those in hand.
    pub place: Place,
    /// The model as clients name it, for statistics.
    pub label: Label,
    /// What is to be scored.
    pub inputs: Inputs,
    /// What is done first.
    pub urgency: Urgency,
    /// When it is over.
    pub deadline: Instant,
}

impl Engine {
    /// One without a model.
    #[must_use]
    pub fn new(limits: &EngineLimits, clock: SharedClock) -> Self {
        let cache = ModelCache::new(CacheLimits {
            bytes: limits.cache_bytes,
            eviction: limits.eviction,
            failed_for: limits.failed_for,
            remembered: limits.counted,
        });
        Self(Arc::new(Inner {
            cache,
            turns: Turns::new(limits.at_once),
            in_hand: Arc::new(Semaphore::new(limits.in_hand)),
            statistics: Statistics::new(limits.counted),
            clock,
        }))
    }

    /// A place for a request of a door.
    ///
    /// # Errors
    /// [`EngineError::Busy`], where all are taken.
    pub fn admit(&self) -> Result<Place, EngineError> {
        self.0.in_hand.clone().try_acquire_owned().map(Place).map_err(|_| EngineError::Busy)
    }

    /// Answers a request of a door: one prediction a row, in order. `fetch` gives the artifact, where the model is not in
    /// memory. Dropped, it ends: what waits goes, and what is under way stops at the next row.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn answer<F>(
        &self,
        key: &Arc<str>,
        request: Request,
        fetch: impl Fn() -> F,
    ) -> Result<Vec<Prediction>, EngineError>
    where
        F: Future<Output = Result<Bytes, LoadError>>,
    {
        let urgency = request.urgency;
        self.answered(request, self.leased(key, urgency, fetch)).await
    }

    /// [`Engine::answer`] by a model that is loaded.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn answer_if_loaded(&self, key: &Arc<str>, request: Request) -> Result<Vec<Prediction>, EngineError> {
        let model = self.0.cache.get(key).ok_or(EngineError::NotLoaded);
        self.answered(request, async { Ok((model?, None)) }).await
    }

    async fn answered(
        &self,
        request: Request,
        model: impl Future<Output = Result<(Lease<TrainedModel>, Option<Duration>), EngineError>>,
    ) -> Result<Vec<Prediction>, EngineError> {
        let Request { place: _place, label, inputs, urgency, deadline } = request;
        let (begun, rows) = (Instant::now(), inputs.rows());
        let mut timings = Timings::default();
        let scored = async {
            let (model, load) = model.await?;
            timings.load = load;
            self.run(model, &label, inputs, urgency, &mut timings).await
        };
        let scored = tokio::time::timeout_at(deadline, scored).await.unwrap_or(Err(EngineError::TooSlow));
        match &scored {
            Ok(_) => {
                let now = self.0.clock.now().timestamp_millis();
                let now = u64::try_from(now).unwrap_or_default();
                self.0.statistics.answered(&label, rows, begun.elapsed(), timings, now);
            }
            Err(_) => self.0.statistics.failed(&label, begun.elapsed()),
        }
        scored
    }

    /// Scores one feature vector of a backlog, which somebody else bounds.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn score<F>(
        &self,
        key: &Arc<str>,
        features: &[f64],
        fetch: impl Fn() -> F,
    ) -> Result<Prediction, EngineError>
    where
        F: Future<Output = Result<Bytes, LoadError>>,
    {
        let (model, _) = self.leased(key, Urgency::Backlog, fetch).await?;
        let _turn = self.0.turns.take(Urgency::Backlog).await;
        Backend::Local.predict(&model, features).map_err(|error| EngineError::Row { row: 0, error })
    }

    /// Loads a model, where it is not loaded; who did.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn load<F>(&self, key: &Arc<str>, fetch: impl Fn() -> F) -> Result<Source, EngineError>
    where
        F: Future<Output = Result<Bytes, LoadError>>,
    {
        let loaded = self.0.cache.get_or_load(key, || self.unpacked(Urgency::Interactive, fetch())).await;
        Ok(loaded.map(|(_, source)| source)?)
    }

    /// Unloads a model; when this returns nobody uses it any more.
    pub async fn unload(&self, key: &Arc<str>) -> Unloaded {
        self.0.cache.unload(key).await
    }

    /// Whether a model is in memory.
    #[must_use]
    pub fn is_loaded(&self, key: &Arc<str>) -> bool {
        self.0.cache.contains(key)
    }

    /// The keys of all that are in memory, in no order.
    #[must_use]
    pub fn loaded(&self) -> Vec<Arc<str>> {
        self.0.cache.keys()
    }

    /// What the cache has seen and holds.
    #[must_use]
    pub fn cache(&self) -> CacheCounters {
        self.0.cache.counters()
    }

    /// What became of requests.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.0.statistics
    }

    /// A model, and how long it took to load where it was.
    async fn leased<F>(
        &self,
        key: &Arc<str>,
        urgency: Urgency,
        fetch: impl Fn() -> F,
    ) -> Result<(Lease<TrainedModel>, Option<Duration>), EngineError>
    where
        F: Future<Output = Result<Bytes, LoadError>>,
    {
        let begun = Instant::now();
        let (model, source) = self.0.cache.get_or_load(key, || self.unpacked(urgency, fetch())).await?;
        Ok((model, (source == Source::LoadedNow).then(|| begun.elapsed())))
    }

    /// Fetches an artifact and reads it, in a turn of its own: who waits for it holds none.
    async fn unpacked(
        &self,
        urgency: Urgency,
        fetched: impl Future<Output = Result<Bytes, LoadError>>,
    ) -> Result<Loaded<TrainedModel>, LoadError> {
        let bytes = fetched.await?;
        let turn = self.0.turns.take(urgency).await;
        let unpacked = blocking(turn, move || artifact::unpack(&bytes)).await;
        let (value, _) =
            unpacked.map_err(|_| LoadError::Failed("the work was not done"))?.map_err(LoadError::of_artifact)?;
        let bytes = value.size_bytes() + OVERHEAD;
        Ok(Loaded { value, bytes })
    }

    async fn run(
        &self,
        model: Lease<TrainedModel>,
        label: &Label,
        inputs: Inputs,
        urgency: Urgency,
        timings: &mut Timings,
    ) -> Result<Vec<Prediction>, EngineError> {
        let begun = Instant::now();
        let turn = self.turn(label, urgency).await;
        timings.queue = begun.elapsed();
        let (_turn, features) = match inputs {
            Inputs::Features(features) => (turn, features),
            Inputs::Recordings(documents) => {
                let begun = Instant::now();
                let gone = CancellationToken::new();
                let _guard = gone.clone().drop_guard();
                let features = blocking(turn, move || featured(documents, &gone)).await??;
                timings.input = begun.elapsed();
                (self.turn(label, urgency).await, features)
            }
        };
        let begun = Instant::now();
        let predict = |(row, features): (usize, &Vec<f64>)| {
            Backend::Local.predict(&model, features).map_err(|error| EngineError::Row { row, error })
        };
        let predictions = features.iter().enumerate().map(predict).collect();
        timings.infer = begun.elapsed();
        predictions
    }

    /// A turn for a request; while it waits, it is counted as waiting.
    async fn turn(&self, label: &Label, urgency: Urgency) -> Turn {
        if let Some(turn) = self.0.turns.take_free() {
            return turn;
        }
        let _waiting = self.0.statistics.waits(label);
        self.0.turns.take(urgency).await
    }
}

/// The features of each; none where nobody waits for them any more.
fn featured(documents: Vec<Bytes>, gone: &CancellationToken) -> Result<Vec<Vec<f64>>, EngineError> {
    let features = |(row, document)| {
        if gone.is_cancelled() {
            return Err(EngineError::NotDone);
        }
        features_of_document(document).map_err(|error| EngineError::Recording { row, error })
    };
    documents.into_iter().enumerate().map(features).collect()
}

/// Runs work on a thread where it may take its time. The turn is the work's own: it ends with it, also when nobody waits.
async fn blocking<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| EngineError::NotDone)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
