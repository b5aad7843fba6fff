//! Recordings.

use super::lists::{EventOf, access_of, check_batch};
use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::TestEventId;
use crate::domain::score::RecordingState;
use crate::storage::database::{AxisRange, RecordingDetails};
use std::collections::{BTreeMap, BTreeSet};

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

/// Where some recordings stand, and what their samples are worth.
pub struct RecordingsOf {
    /// Of which events.
    pub events: Vec<EventOf>,
}

impl Operation for RecordingsOf {
    const NAME: &'static str = "recordings_of";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "recording";
    type Answer = BTreeMap<EventOf, RecordingDetails>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        check_batch(self.events.len())?;
        Ok(access_of(self.events.iter().map(|event| &event.patient)))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients(self.events.iter().map(|event| event.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let details = deps.database.recording_details(&ids(&self.events)).await?;
        let keyed = details.into_iter().map(|details| {
            let patient = details.state.patient_id.clone();
            (EventOf { event: details.state.test_event_id, patient }, details)
        });
        Ok(of_those_asked(&self.events, keyed))
    }
}

/// The ranges of the axes of some recordings, by axis.
pub struct AxisRangesOf {
    /// Of which events.
    pub events: Vec<EventOf>,
}

impl Operation for AxisRangesOf {
    const NAME: &'static str = "axis_ranges_of";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "recording";
    type Answer = BTreeMap<EventOf, Vec<AxisRange>>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        check_batch(self.events.len())?;
        Ok(access_of(self.events.iter().map(|event| &event.patient)))
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients(self.events.iter().map(|event| event.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let mut ranges: BTreeMap<EventOf, Vec<AxisRange>> = BTreeMap::new();
        for (event, patient, range) in deps.database.axis_ranges_of(&ids(&self.events)).await? {
            ranges.entry(EventOf { event, patient }).or_default().push(range);
        }
        Ok(of_those_asked(&self.events, ranges))
    }
}

fn ids(events: &[EventOf]) -> Vec<TestEventId> {
    events.iter().map(|event| event.event).collect()
}

/// Leaves out an event that is another patient's than the one who was asked for.
fn of_those_asked<T>(asked: &[EventOf], found: impl IntoIterator<Item = (EventOf, T)>) -> BTreeMap<EventOf, T> {
    let asked: BTreeSet<&EventOf> = asked.iter().collect();
    found.into_iter().filter(|(event, _)| asked.contains(event)).collect()
}
