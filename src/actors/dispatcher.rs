//! The dispatcher: takes jobs out of the durable queue as fast as there are free hands, and gives each to its worker.
//! It is woken when work arrives or a hand is free; the tick is for what becomes due by time.

use super::converter::Converter;
use super::eraser::Eraser;
use super::scorer::ScorerPool;
use super::supervision::Handle;
use super::trainer::Trainers;
use super::work::{Assignment, Ledger};
use crate::domain::clock::SharedClock;
use crate::storage::database::{Database, JobKind};
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct DispatcherDeps {
    /// The queue.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// What is held.
    pub ledger: Ledger,
    /// Who converts.
    pub converter: Handle<Converter>,
    /// Who train.
    pub trainers: Trainers,
    /// Who score.
    pub scorers: ScorerPool,
    /// Who deletes.
    pub eraser: Handle<Eraser>,
    /// This process, in leases.
    pub owner: Arc<str>,
    /// How often to look for what became due.
    pub tick: Duration,
    /// Set when the program drains: nothing new is taken.
    pub draining: Arc<AtomicBool>,
}

/// The actor.
#[derive(Debug)]
pub struct Dispatcher(DispatcherDeps);

impl Dispatcher {
    /// A new one.
    #[must_use]
    pub fn new(deps: DispatcherDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.run().await }.into_actor(self));
    }
}

supervised!(Dispatcher, "dispatcher");

impl DispatcherDeps {
    async fn run(&self) {
        let mut next_tick = tokio::time::Instant::now();
        loop {
            fail::fail_point!("dispatcher");
            if next_tick <= tokio::time::Instant::now() {
                self.tick().await;
                next_tick = tokio::time::Instant::now() + self.tick;
            }
            self.ledger.settle().await;
            if !self.draining.load(Ordering::Relaxed) {
                for kind in JobKind::ALL {
                    self.hand_out(kind).await;
                }
            }
            tokio::select! {
                () = self.ledger.changed() => {}
                () = tokio::time::sleep_until(next_tick) => {}
            }
        }
    }

    /// Holds on to what is under way, and releases what is due.
    async fn tick(&self) {
        let now = self.clock.now();
        let until = now + self.ledger.policy().lease;
        let living = self.ledger.living();
        let extended = if living.is_empty() { Ok(()) } else { self.database.extend_leases(&living, until).await };
        if let Err(error) = extended {
            tracing::warn!(error = &error as &dyn std::error::Error, "leases could not be extended");
        }
        if let Err(error) = self.database.release_due_jobs(now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "due jobs could not be released");
        }
        // What was released, and what another process put there.
        JobKind::ALL.into_iter().for_each(|kind| self.ledger.heard(kind));
    }

    async fn hand_out(&self, kind: JobKind) {
        let wanted = self.ledger.wanted(kind);
        if wanted == 0 {
            return;
        }
        let until = self.clock.now() + self.ledger.policy().lease;
        let limit = u32::try_from(wanted).unwrap_or(u32::MAX);
        let jobs = match self.database.lease_jobs(kind, limit, &self.owner, until).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "jobs could not be leased");
                return;
            }
        };
        if jobs.len() == wanted {
            self.ledger.heard(kind);
        }
        for job in jobs {
            let assignment = self.ledger.assign(job);
            if let Err(assignment) = self.give(kind, assignment) {
                assignment.give_back().await;
            }
        }
    }

    /// An assignment comes back when the worker has no room for it.
    fn give(&self, kind: JobKind, assignment: Assignment) -> Result<(), Assignment> {
        match kind {
            JobKind::Convert => {
                // A dropped assignment is given back by the ledger.
                let _ = self.converter.tell(assignment);
                Ok(())
            }
            JobKind::Train => self.trainers.give(assignment),
            JobKind::Score => {
                self.scorers.give(assignment);
                Ok(())
            }
            JobKind::Delete => {
                let _ = self.eraser.tell(assignment);
                Ok(())
            }
        }
    }
}
