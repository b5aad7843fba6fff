//! The eraser: removes the objects of what was deleted. Their keys are rows until they are gone, so that none is left that
//! nobody knows of, whatever is killed in between.

use super::updates::Updates;
use super::work::{Assignment, JobError};
use crate::domain::clock::SharedClock;
use crate::storage::database::{Database, Job};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct EraserDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Tells who waits.
    pub updates: Updates,
}

/// The actor.
#[derive(Debug)]
pub struct Eraser(EraserDeps);

impl Eraser {
    /// A new one.
    #[must_use]
    pub fn new(deps: EraserDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Eraser {
    type Context = Context<Self>;
}

supervised!(Eraser, "eraser");

impl Handler<Assignment> for Eraser {
    type Result = ();

    fn handle(&mut self, assignment: Assignment, context: &mut Context<Self>) {
        fail::fail_point!("eraser");
        let deps = self.0.clone();
        context.spawn(
            async move { assignment.perform(|job| async move { deps.erase(&job).await }).await }.into_actor(self),
        );
    }
}

impl EraserDeps {
    async fn erase(&self, job: &Job) -> Result<(), JobError> {
        let Some(deletion) = self.database.pending_deletion(job.subject).await? else {
            return Ok(self.database.end_job(job.fence).await?);
        };
        self.objects.delete_all(&deletion.keys).await?;
        let now = self.clock.now();
        if deletion.sweep_at > now {
            // A conversion or a training that was under way may put its objects after this.
            self.database.postpone_sweep(job.fence, job.subject, deletion.sweep_at).await?;
        } else if let Some(report) = deletion.report.filter(|_| deletion.report_sweep_at > now) {
            // So may a report: but nothing else does, and whoever wants may send the recording again.
            let at = deletion.report_sweep_at;
            self.database.postpone_report_sweep(job.fence, job.subject, &report, at).await?;
        } else {
            self.database.finish_deletion(job.fence, job.subject).await?;
        }
        self.updates.publish(job.subject, true);
        Ok(())
    }
}
