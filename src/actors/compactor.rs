//! The compactor: has the lake compacted when it is time. Of all processes one does it at a time.

use crate::storage::lake::compaction::{Compacted, Compaction, When};
use crate::supervised;
use actix::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often it looks whether it is time.
const LOOK: Duration = Duration::from_secs(15);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct CompactorDeps {
    /// The work.
    pub compaction: Compaction,
}

/// The actor.
#[derive(Debug)]
pub struct Compactor(CompactorDeps);

impl Compactor {
    /// A new one.
    #[must_use]
    pub fn new(deps: CompactorDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Compactor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.run().await }.into_actor(self));
    }
}

supervised!(Compactor, "compactor");

impl CompactorDeps {
    async fn run(&self) {
        let every = self.compaction.rule.every.and_then(|every| every.to_std().ok()).unwrap_or(LOOK);
        while !self.compaction.ends.load(Ordering::Relaxed) {
            match self.compaction.run(When::Due).await {
                Ok(None) => {}
                Ok(Some(done)) => {
                    let Compacted { recordings, files, removed, failed, .. } = done;
                    tracing::info!(recordings, files, removed, failed, "the lake was compacted");
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the lake could not be compacted")
                }
            }
            tokio::time::sleep(LOOK.min(every)).await;
        }
    }
}
