//! The wire between processes that share a database: what happened here is told to the others, what they tell is passed
//! on here. Hints only; whoever misses one looks at the next tick.

use super::updates::Updates;
use super::work::Ledger;
use crate::domain::entropy::Entropy;
use crate::storage::database::{Database, Hint, JobKind, MOST_HINTS};
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// Hints that may wait to be told; further ones are dropped.
const OUTBOX: usize = 4_096;
/// Hints are told together that come within this time.
const GATHER: Duration = Duration::from_millis(3);
/// First pause after the database was away; doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Takes what the others should hear. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(mpsc::Sender<Hint>);

impl Outbox {
    /// One, and what comes out of it.
    #[must_use]
    pub fn new() -> (Self, Told) {
        let (sender, receiver) = mpsc::channel(OUTBOX);
        (Self(sender), Told(Arc::new(Mutex::new(receiver))))
    }

    /// Tells the others, unless too much waits already.
    pub fn tell(&self, hint: Hint) {
        let _ = self.0.try_send(hint);
    }
}

/// What is to be told; whoever rebuilds the actor goes on with it.
#[derive(Debug, Clone)]
pub struct Told(Arc<Mutex<mpsc::Receiver<Hint>>>);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct WireDeps {
    /// Carries the hints.
    pub database: Database,
    /// What to tell.
    pub told: Told,
    /// Hears of jobs.
    pub ledger: Ledger,
    /// Hears of recordings.
    pub updates: Updates,
    /// Jitter of pauses.
    pub entropy: Entropy,
    /// The program's own.
    pub runtime: tokio::runtime::Handle,
}

/// The actor.
#[derive(Debug)]
pub struct Wire(WireDeps);

impl Wire {
    /// A new one.
    #[must_use]
    pub fn new(deps: WireDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Wire {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let (hears, tells) = (self.0.clone(), self.0.clone());
        context.spawn(async move { hears.hear().await }.into_actor(self));
        context.spawn(async move { tells.tell().await }.into_actor(self));
    }
}

supervised!(Wire, "wire");

impl WireDeps {
    async fn hear(&self) {
        let mut pause = PAUSE;
        loop {
            fail::fail_point!("wire");
            let error = match self.database.listen().await {
                // Nobody else can be there.
                Ok(None) => return,
                Ok(Some(mut listener)) => loop {
                    match listener.next().await {
                        Ok(Some(hints)) => {
                            pause = PAUSE;
                            hints.into_iter().for_each(|hint| self.pass_on(hint));
                        }
                        Ok(None) => JobKind::ALL.into_iter().for_each(|kind| self.ledger.heard(kind)),
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "other processes cannot be heard for now");
            tokio::time::sleep(self.entropy.jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn pass_on(&self, hint: Hint) {
        match hint {
            Hint::Job(kind) => self.ledger.heard(kind),
            Hint::Recording(id) => self.updates.heard(id),
        }
    }

    async fn tell(&self) {
        let mut told = self.told.0.lock().await;
        let mut hints = Vec::new();
        while told.recv_many(&mut hints, MOST_HINTS).await > 0 {
            if hints.len() < MOST_HINTS {
                tokio::time::sleep(GATHER).await;
                while hints.len() < MOST_HINTS
                    && let Ok(hint) = told.try_recv()
                {
                    hints.push(hint);
                }
            }
            let mut seen = std::collections::HashSet::new();
            hints.retain(|hint| seen.insert(*hint));
            // On the program's own runtime: this actor's may end in the middle of it.
            let (database, gathered) = (self.database.clone(), std::mem::take(&mut hints));
            let sent = self.runtime.spawn(async move { database.notify(&gathered).await }).await;
            if let Ok(Err(error)) = sent {
                tracing::warn!(error = &error as &dyn std::error::Error, "other processes were not told");
            }
        }
    }
}
