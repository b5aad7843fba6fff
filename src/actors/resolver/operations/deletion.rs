//! Deletion of a recording, or of a whole test event.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::{PatientId, TestEventId};
use crate::storage::database::{Deleted, DeletionRequest, Grace, JobKind};
use chrono::TimeDelta;
use std::time::Duration;

/// Longest wait for the objects to be gone.
const WAIT: Duration = Duration::from_secs(5);
/// Longest time for which work that was under way is reckoned with.
const LONGEST_GRACE: TimeDelta = TimeDelta::days(7);
/// Longest time without a hint before the row is looked at.
const SILENCE: Duration = Duration::from_millis(500);

/// Deletes a patient's recording or test event; what is not there, or not theirs, is deleted already.
pub struct DeleteTestEvent {
    /// Which.
    pub id: TestEventId,
    /// Whose.
    pub patient: PatientId,
    /// What of it.
    pub what: Deleted,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// Rows and objects are gone.
    Gone,
    /// The rows are gone; the objects are being removed.
    UnderWay,
}

impl Operation for DeleteTestEvent {
    const NAME: &'static str = "delete_test_event";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "patient";
    type Answer = Erased;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Erased, ServiceError> {
        let policy = deps.ledger.policy();
        let grace = |deadline: Duration| {
            let grace = TimeDelta::from_std(deadline.saturating_add(policy.lease));
            grace.unwrap_or(LONGEST_GRACE).min(LONGEST_GRACE)
        };
        let request = DeletionRequest {
            id: self.id,
            patient: self.patient,
            what: self.what,
            rule: deps.rule,
            grace: Grace {
                conversion: grace(policy.deadline(JobKind::Convert)),
                training: grace(policy.deadline(JobKind::Train)),
                report: grace(deps.report_deadline),
            },
        };
        let mut changes = deps.updates.subscribe();
        if deps.database.delete_event(&request, deps.clock.now()).await? {
            deps.updates.publish(self.id, true);
            [JobKind::Delete, JobKind::Train].into_iter().for_each(|kind| deps.ledger.wake(kind));
        } else if deps.database.patient(&request.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        let swept = async {
            while !deps.database.is_swept(self.id, &request.patient).await? {
                // A hint that was lost by lagging counts as a hint.
                let hinted = async { while matches!(changes.recv().await, Ok(update) if update.id != self.id) {} };
                let _ = tokio::time::timeout(SILENCE, hinted).await;
            }
            Ok(Erased::Gone)
        };
        tokio::time::timeout(WAIT.min(deps.deadline / 2), swept).await.unwrap_or(Ok(Erased::UnderWay))
    }
}
