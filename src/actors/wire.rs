//! The wire between processes that share a database: what happened here is told to the others, what they tell is passed
//! on here. Hints only; whoever misses one looks at the next tick.

use super::outbox::Told;
use super::updates::Updates;
use super::work::Ledger;
use crate::domain::entropy::Entropy;
use crate::storage::database::{Database, Hint, JobKind, MOST_HINTS};
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Hints are told together that come within this time.
const GATHER: Duration = Duration::from_millis(3);
/// First pause after the database was away; doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
    /// This process, by a name that no other has.
    pub process: Arc<str>,
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
        let mut failures = 0;
        loop {
            fail::fail_point!("wire");
            let error = match self.database.listen(&self.process).await {
                // Nobody else can be there.
                Ok(None) => return,
                Ok(Some(mut listener)) => loop {
                    match listener.next().await {
                        Ok(Some(hints)) => {
                            failures = 0;
                            hints.into_iter().for_each(|hint| self.pass_on(hint));
                        }
                        Ok(None) => JobKind::ALL.into_iter().for_each(|kind| self.ledger.heard(kind)),
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "other processes cannot be heard for now");
            failures += 1;
            tokio::time::sleep(self.entropy.backoff(PAUSE, LONGEST_PAUSE, failures)).await;
        }
    }

    fn pass_on(&self, hint: Hint) {
        match hint {
            Hint::Job(kind) => self.ledger.heard(kind),
            Hint::Recording(id) => self.updates.heard(id),
        }
    }

    async fn tell(&self) {
        while let Some(hints) = self.told.gather(MOST_HINTS, GATHER).await {
            // On the program's own runtime: this actor's may end in the middle of it.
            let (database, process) = (self.database.clone(), self.process.clone());
            let sent = self.runtime.spawn(async move { database.notify(&process, &hints).await }).await;
            if let Ok(Err(error)) = sent {
                tracing::warn!(error = &error as &dyn std::error::Error, "other processes were not told");
            }
        }
    }
}
