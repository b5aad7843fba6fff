//! A trainer for each care provider: made when there is something to train, gone when it was idle for a while. How many
//! there are at once is bounded, and so is how many trainings run at once; the queue lets care providers take turns.

use super::compute::Compute;
use super::metrics::Metrics;
use super::supervision::{Handle, SupervisionPolicy, Supervisor};
use super::updates::Updates;
use super::work::{Assignment, JobError, Ledger};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{ModelName, ModelVersion};
use crate::domain::object_key::ObjectKey;
use crate::storage::database::{Database, Job, JobKind, NewModel, TrainingRule};
use crate::storage::objects::{Digest, Objects};
use crate::supervised;
use actix::prelude::*;
use chrono::SecondsFormat;
use stance_models::artifact;
use stance_models::features::{FEATURE_SET, of_one_set};
use stance_models::training::{TrainParams, Trained, TrainingSet, train};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Training recordings that a model is made from at most: the newest.
const NEWEST: u32 = 200;

/// What the actors work with.
#[derive(Debug, Clone)]
pub struct TrainerDeps {
    /// Rows.
    pub database: Database,
    /// Artifacts.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Threads for the numbers.
    pub compute: Compute,
    /// Woken when a backlog is queued for scoring.
    pub ledger: Ledger,
    /// Tells who waits.
    pub updates: Updates,
    /// Randomness, for models' names.
    pub entropy: Entropy,
    /// From how many recordings on.
    pub rule: TrainingRule,
}

/// The actor: one care provider's.
#[derive(Debug)]
pub struct Trainer(TrainerDeps);

impl Actor for Trainer {
    type Context = Context<Self>;
}

supervised!(Trainer, "trainer");

/// A training, and the sign that its trainer is at it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Training {
    assignment: Assignment,
    busy: Arc<()>,
}

impl Handler<Training> for Trainer {
    type Result = ();

    fn handle(&mut self, Training { assignment, busy }: Training, context: &mut Context<Self>) {
        fail::fail_point!("trainer");
        let deps = self.0.clone();
        let work = async move {
            assignment.perform(|job| async move { deps.train(&job).await }).await;
            drop(busy);
        };
        context.spawn(work.into_actor(self));
    }
}

impl TrainerDeps {
    async fn train(&self, job: &Job) -> Result<(), JobError> {
        let gone = || JobError::dead("recording_gone", "the recording that completed the count was deleted");
        let row = job.recording.clone().ok_or_else(gone)?;
        let last = row.training_ordinal.ok_or_else(gone)?;
        let found = self.database.training_recordings(&row.patient, &row.movement, last, NEWEST).await?;
        if found.count < self.rule.minimum {
            // Some were deleted; the one that makes them enough again queues another training.
            return Ok(self.database.end_job(job.fence).await?);
        }
        let (recordings, generation) = (&found.newest, found.generation);
        let vectors = recordings.iter().map(|r| (r.feature_set.as_str(), r.features.as_slice()));
        let set = TrainingSet {
            ids: recordings.iter().map(|recording| recording.id.to_string()).collect(),
            // Recordings that were converted before the set grew are as good as ever, for what it held then.
            features: of_one_set(vectors).ok_or_else(|| {
                JobError::dead("feature_set_changed", "the recordings were converted by another version")
            })?,
            scores: recordings.iter().map(|recording| recording.score).collect(),
        };
        // The same training asked for twice is the same seed, and so the same model.
        let seed = u64::try_from(job.fence.job_id).unwrap_or_default();
        let version = ModelVersion::of_training(row.id, last, generation);
        // The time at which it was asked for: whoever trains it again, after a lease that ended, makes the same bytes, and so
        // does no harm to an artifact whose digest is a row by now.
        let trained_at = Some(job.enqueued_at.to_rfc3339_opts(SecondsFormat::Secs, true));
        let (artifact, card) = self
            .compute
            .run(move || {
                let Trained { model, card } = train(&set, &TrainParams { seed, trained_at })
                    .map_err(|error| JobError::dead("training_failed", &error.to_string()))?;
                let packed =
                    artifact::pack(&model, &card).map_err(|_| JobError::Retry("artifact could not be packed"))?;
                Ok::<_, JobError>((packed, card))
            })
            .await??;
        let model = NewModel {
            artifact_key: ObjectKey::model(&row.movement, &row.patient, &version),
            version,
            patient: row.patient.clone(),
            movement: row.movement.clone(),
            training_recordings: found.count,
            first_ordinal: recordings.first().map_or(last, |first| first.ordinal),
            last_ordinal: last,
            generation,
            artifact_digest: Digest::of(&artifact),
            feature_set: FEATURE_SET.to_owned(),
            leave_one_out_error: card.leave_one_out_error,
            card: serde_json::to_string(&card).map_err(|_| JobError::Retry("model card could not be written"))?,
        };
        self.objects.put(&model.artifact_key, artifact.into()).await?;
        let name = ModelName::from(self.entropy.uuid());
        self.database.name_model(&name, &model.patient, &model.movement).await?;
        let Some(queued) = self.database.finish_training(job.fence, &model, self.clock.now()).await? else {
            // What deletes removes it, too, but later.
            self.objects.delete(&model.artifact_key).await?;
            return Err(JobError::Retry("a recording that it learned from was deleted"));
        };
        tracing::info!(model = %model.version, recordings = found.count, queued, "a model was trained");
        self.ledger.wake(JobKind::Score);
        self.updates.publish(job.subject, true);
        Ok(())
    }
}

/// All trainers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trainers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: TrainerDeps,
    policy: SupervisionPolicy,
    metrics: Metrics,
    entropy: Entropy,
    at_once: usize,
    idle_after: Duration,
    /// Where trainers are watched: not where they are asked for, which is an actor's thread and may end before them.
    runtime: tokio::runtime::Handle,
    trainers: Mutex<HashMap<String, Desk>>,
}

#[derive(Debug)]
struct Desk {
    handle: Handle<Trainer>,
    supervisor: Supervisor,
    used: Instant,
    /// Shared with every training under way.
    busy: Arc<()>,
}

impl Desk {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.busy) == 1
    }
}

impl Trainers {
    /// None yet; at most `at_once` live at a time, each until it was idle for `idle_after`. To be called on the program's
    /// own runtime, which watches them.
    #[must_use]
    pub fn new(
        deps: TrainerDeps,
        policy: SupervisionPolicy,
        metrics: Metrics,
        entropy: Entropy,
        at_once: usize,
        idle_after: Duration,
    ) -> Self {
        let (runtime, trainers) = (tokio::runtime::Handle::current(), Mutex::default());
        Self(Arc::new(Inner { deps, policy, metrics, entropy, at_once, idle_after, runtime, trainers }))
    }

    /// Gives a training to the trainer of its care provider, who is made if there is none. The assignment comes back
    /// when there are as many trainers as there may be and each is busy.
    pub(super) fn give(&self, assignment: Assignment) -> Result<(), Assignment> {
        let Some(lane) = assignment.job().map(|job| job.lane.clone()) else { return Ok(()) };
        let _runtime = self.0.runtime.enter();
        let mut trainers = self.0.trainers.lock().unwrap_or_else(PoisonError::into_inner);
        self.retire(&mut trainers, &lane);
        if trainers.len() >= self.0.at_once && !trainers.contains_key(&lane) {
            return Err(assignment);
        }
        let desk = trainers.entry(lane).or_insert_with(|| {
            let Inner { deps, policy, metrics, entropy, .. } = &*self.0;
            let deps = deps.clone();
            let (handle, supervisor) = Supervisor::start(policy, metrics, entropy, move || Trainer(deps.clone()));
            Desk { handle, supervisor, used: Instant::now(), busy: Arc::default() }
        });
        desk.used = Instant::now();
        // A dropped assignment is given back by the ledger.
        let _ = desk.handle.tell(Training { assignment, busy: desk.busy.clone() });
        Ok(())
    }

    /// Stops who was idle for long, and the longest idle one where room is needed.
    fn retire(&self, trainers: &mut HashMap<String, Desk>, wanted: &str) {
        let crowded = trainers.len() >= self.0.at_once && !trainers.contains_key(wanted);
        let mut idle: Vec<_> = trainers
            .iter()
            .filter(|(lane, desk)| desk.is_idle() && lane.as_str() != wanted)
            .map(|(lane, desk)| (desk.used.elapsed(), lane.clone()))
            .collect();
        idle.sort();
        let longest = idle.len().saturating_sub(1);
        for (place, (elapsed, lane)) in idle.into_iter().enumerate() {
            if (elapsed > self.0.idle_after || (crowded && place == longest))
                && let Some(desk) = trainers.remove(&lane)
            {
                self.0.metrics.actor_stopped(desk.supervisor.name());
                tokio::spawn(desk.supervisor.stop(Duration::from_secs(5)));
            }
        }
    }

    /// Stops all of them; the names of those that did not.
    pub(super) async fn stop(&self, limit: Duration) -> Vec<&'static str> {
        let desks: Vec<_> = self.0.trainers.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let mut left = Vec::new();
        for (_, desk) in desks {
            let name = desk.supervisor.name();
            if !desk.supervisor.stop(limit).await {
                left.push(name);
            }
            self.0.metrics.actor_stopped(name);
        }
        left
    }
}
