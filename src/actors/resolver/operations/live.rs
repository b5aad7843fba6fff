//! Live updates.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError};
use crate::actors::watches::Scope;
use crate::domain::audit::Entry;
use crate::domain::ids::{PatientId, TestEventId};
use crate::domain::score::RecordingState;

/// Begins to watch recordings: whether the caller may, and whether there is whose they are.
pub struct BeginWatch {
    /// Which recordings.
    pub scope: Scope,
}

impl Operation for BeginWatch {
    const NAME: &'static str = "begin_watch";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient or care provider";
    type Answer = ();

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(self.scope.access())
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<(), ServiceError> {
        let there = match &self.scope {
            Scope::Patient(patient) => deps.database.patient(patient).await?.is_some(),
            Scope::CareProvider(care_provider) => deps.database.care_provider(care_provider).await?.is_some(),
        };
        if there { Ok(()) } else { Err(ServiceError::NotFound(Self::SUBJECT)) }
    }
}

/// Where a watched recording stands now; `None` where it is no longer one of those that are watched.
pub struct WatchedRecording {
    /// Which recordings are watched.
    pub scope: Scope,
    /// Which of them.
    pub id: TestEventId,
}

impl Operation for WatchedRecording {
    const NAME: &'static str = "watched_recording";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient or care provider";
    type Answer = Option<RecordingState>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(self.scope.access())
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.test_event(Some(self.id))
    }

    fn covered(answer: &Option<RecordingState>) -> Vec<PatientId> {
        answer.iter().map(|state| state.patient_id.clone()).collect()
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Option<RecordingState>, ServiceError> {
        let Some(state) = deps.database.recording_state(self.id).await? else { return Ok(None) };
        let watched = match &self.scope {
            Scope::Patient(patient) => state.patient_id == *patient,
            Scope::CareProvider(care_provider) => deps.database.is_linked(care_provider, &state.patient_id).await?,
        };
        Ok(watched.then_some(state))
    }
}
