//! The scorer pool: a fixed number of scorers, who score what waits in the queue. Models are the engine's, which has one cache for
//! all who score.

use super::compute::Compute;
use super::metrics::{Metrics, ScoreSigns};
use super::supervision::Handle;
use super::updates::Updates;
use super::work::{Assignment, JobError};
use crate::domain::clock::SharedClock;
use crate::domain::score::Score;
use crate::scoring::Backend;
use crate::scoring::engine::{Engine, EngineError, LoadError};
use crate::scoring::input::features_of_document;
use crate::storage::database::{AfterScoring, Database, Job, RecordingRow};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
use stance_models::features::FEATURE_SET;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the actors work with.
#[derive(Debug, Clone)]
pub struct ScorerDeps {
    /// Rows.
    pub database: Database,
    /// Artifacts.
    pub objects: Objects,
    /// Threads for the numbers.
    pub compute: Compute,
    /// Time.
    pub clock: SharedClock,
    /// Who runs the models.
    pub backend: Backend,
    /// Loads and runs them in this process.
    pub engine: Engine,
    /// Tells who waits.
    pub updates: Updates,
    /// What tells of drift.
    pub metrics: Metrics,
}

/// The actor: one of the pool.
#[derive(Debug)]
pub struct Scorer(ScorerDeps);

impl Scorer {
    /// A new one.
    #[must_use]
    pub fn new(deps: ScorerDeps) -> Self {
        Self(deps)
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
        let deps = self.0.clone();
        let work = assignment.perform(|job| async move { deps.score(&job).await });
        context.spawn(work.into_actor(self));
    }
}

impl ScorerDeps {
    async fn score(&self, job: &Job) -> Result<(), JobError> {
        let recording = job.recording.as_ref();
        let recording = recording.ok_or_else(|| JobError::dead("recording_gone", "the recording was deleted"))?;
        let row = job.model.as_ref().ok_or(JobError::Retry("no model"))?;
        let features = match &recording.features {
            Some((set, features)) if set == FEATURE_SET => Cow::Borrowed(features),
            _ => Cow::Owned(self.features_anew(recording).await?),
        };
        let fetch = async || Ok(self.objects.get(&row.artifact_key, Some(row.artifact_digest)).await?);
        let prediction = self.engine.score(&row.version.as_str().into(), &features, fetch).await?;
        let score = Score {
            value: prediction.value,
            lower: Some(prediction.lower),
            upper: Some(prediction.upper),
            provisional: row.provisional,
            unlike_training: prediction.is_unlike_training(),
            // None lies at no distance: the model does not know where its recordings lie.
            novelty: (prediction.novelty > 0.0).then_some(prediction.novelty),
            model_version: row.version.clone(),
            backend: self.backend.name(),
        };
        match self.database.finish_scoring(job.fence, recording.id, &score, self.clock.now()).await? {
            AfterScoring::Scored => self.metrics.score_given(&ScoreSigns {
                novelty: score.novelty,
                unlike_training: score.unlike_training,
                provisional: score.provisional,
                outside_training_range: row
                    .score_range
                    .is_some_and(|(lowest, highest)| score.value < lowest || score.value > highest),
            }),
            AfterScoring::ModelRetired => return Err(JobError::Retry("model retired")),
        }
        self.updates.publish(recording.id, true);
        Ok(())
    }

    /// Features of today's set, for a recording that was converted before there was one.
    async fn features_anew(&self, recording: &RecordingRow) -> Result<Vec<f64>, JobError> {
        let raw = self.objects.get(&recording.raw_key, Some(recording.digest)).await?;
        let features = self.compute.run(move || features_of_document(raw)).await?;
        let features = features.map_err(|error| JobError::dead("unusable_samples", &error.to_string()))?;
        self.database.replace_features(recording.id, FEATURE_SET, &features).await?;
        self.metrics.features_renewed();
        Ok(features)
    }
}

impl From<EngineError> for JobError {
    fn from(error: EngineError) -> Self {
        let unusable = |error: &dyn std::fmt::Display| Self::dead("model_unusable", &error.to_string());
        match error {
            EngineError::Load(LoadError::Corrupt) => {
                Self::dead("model_corrupt", "the model's artifact is not the one that was kept")
            }
            EngineError::Load(LoadError::Refused(reason)) => unusable(&reason),
            // While processes are upgraded one after the other, another one can.
            EngineError::Load(LoadError::Newer) => Self::Retry("a model of a newer program"),
            EngineError::Load(LoadError::Missing) => Self::Retry("an object is not there"),
            EngineError::Load(LoadError::Away(what)) => Self::Away(what),
            EngineError::Load(LoadError::Failed(what)) => Self::Retry(what),
            EngineError::Row { error, .. } => unusable(&error),
            EngineError::Recording { error, .. } => unusable(&error),
            EngineError::NoRoom => Self::Retry("models in use leave no room"),
            EngineError::Busy | EngineError::TooSlow | EngineError::NotLoaded | EngineError::NotDone => {
                Self::Retry("the model was not run")
            }
        }
    }
}

/// All scorers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScorerPool {
    scorers: Arc<[Handle<Scorer>]>,
    next: Arc<AtomicUsize>,
}

impl ScorerPool {
    /// A pool of at least one.
    #[must_use]
    pub fn new(scorers: Vec<Handle<Scorer>>) -> Self {
        Self { scorers: scorers.into(), next: Arc::default() }
    }

    /// Gives the work to the next scorer. How much is on its way is bounded by the ledger.
    pub(super) fn give(&self, assignment: Assignment) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.scorers.len().max(1);
        if let Some(scorer) = self.scorers.get(place) {
            // A dropped assignment is given back by the ledger.
            let _ = scorer.tell(Scoring(assignment));
        }
    }
}
