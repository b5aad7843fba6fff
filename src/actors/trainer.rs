//! A trainer for each care provider: made when there is something to train, gone when it was idle for a while. How many
//! there are at once is bounded, and so is how many trainings run at once; the queue lets care providers take turns.

mod lesson;

use super::compute::Compute;
use super::metrics::Metrics;
use super::supervision::{Handle, SupervisionPolicy, Supervisor};
use super::updates::Updates;
use super::work::{Assignment, Ledger};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::storage::database::{Database, TrainingRule};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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
    /// What was judged of models.
    pub metrics: Metrics,
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
