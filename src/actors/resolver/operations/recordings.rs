//! Recordings.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::TestEventId;
use crate::domain::score::RecordingState;

/// Where a recording stands.
pub struct RecordingStatus {
    /// Its test event.
    pub test_event_id: TestEventId,
}

impl RecordingStatus {
    async fn state(&self, deps: &ResolverDeps) -> Result<RecordingState, ServiceError> {
        deps.database.recording_state(self.test_event_id).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

impl Operation for RecordingStatus {
    const NAME: &'static str = "recording_status";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "recording";
    type Answer = RecordingState;

    /// The row says whose it is.
    async fn access(&self, deps: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.state(deps).await?.patient_id))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.test_event_id))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<RecordingState, ServiceError> {
        self.state(deps).await
    }
}
