//! Ingest: what arrives becomes a durable raw object and its rows, exactly once, by whichever road and however often.

mod arrival;
mod landed;

pub use arrival::{Arrival, Arrived};
pub use landed::{Landed, Landing};

use super::ServiceError;
use super::auditor::Audit;
use super::compute::Compute;
use super::handover::Handover;
use super::updates::{Update, Updates};
use super::work::Ledger;
use crate::domain::clock::SharedClock;
use crate::domain::ids::TestEventId;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::Recording;
use crate::domain::score::RecordingState;
use crate::storage::database::{Acceptance, Database, DatabaseError, JobKind, NewRecording};
use crate::storage::objects::{Digest, Objects};
use crate::supervised;
use actix::prelude::*;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;

/// The operation of who puts an object into the bucket, in the audit record.
pub const LAND: &str = "land_recording";
/// Longest time without a hint before the row is looked at.
const SILENCE: Duration = Duration::from_secs(2);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// Rows.
    pub database: Database,
    /// Raw objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Notes whose recording came from whom.
    pub audit: Audit,
    /// Threads for parsing.
    pub compute: Compute,
    /// Hands the parsed recording to the converter.
    pub handover: Handover,
    /// Wakes the dispatcher.
    pub ledger: Ledger,
    /// Tells who waits.
    pub updates: Updates,
    /// Bytes of the largest document.
    pub max_bytes: u64,
    /// Arrivals under way at once; further ones are told to come back.
    pub at_once: Arc<Semaphore>,
    /// Test events that are being written: two uploads of one id take turns.
    pub busy: BusyEvents,
}

/// The actor.
#[derive(Debug)]
pub struct Ingest(IngestDeps);

impl Ingest {
    /// A new one.
    #[must_use]
    pub fn new(deps: IngestDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Ingest {
    type Context = Context<Self>;
}

supervised!(Ingest, "ingest");

impl Handler<Arrival> for Ingest {
    type Result = ResponseFuture<Result<Arrived, ServiceError>>;

    fn handle(&mut self, arrival: Arrival, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("ingest");
        let deps = self.0.clone();
        Box::pin(async move {
            let _permit = deps.at_once.clone().try_acquire_owned().map_err(|_| ServiceError::busy("ingest"))?;
            Box::pin(deps.take_in(arrival)).await
        })
    }
}

impl Handler<Landed> for Ingest {
    type Result = ResponseFuture<Result<Landing, ServiceError>>;

    fn handle(&mut self, Landed { raw, by }: Landed, _: &mut Context<Self>) -> Self::Result {
        let deps = self.0.clone();
        Box::pin(async move {
            let _permit = deps.at_once.clone().try_acquire_owned().map_err(|_| ServiceError::busy("ingest"))?;
            deps.take_in_landed(&raw, by).await
        })
    }
}

impl IngestDeps {
    /// Has the rows of a recording made. One that can be processed is handed over before, for the converter may ask for it
    /// as soon as the rows are there, and taken back where there are none.
    async fn record(
        &self,
        new: &NewRecording,
        recording: Option<Arc<Recording>>,
        rows: impl Future<Output = Result<Acceptance, DatabaseError>>,
    ) -> Result<Acceptance, DatabaseError> {
        let processed = recording.is_some();
        if let Some(recording) = recording {
            self.handover.put(new.digest, recording);
        }
        let accepted = rows.await;
        if let Ok(Acceptance::Accepted) = accepted {
            if processed {
                self.ledger.wake(JobKind::Convert);
            }
            self.updates.publish(new.id, !processed);
        } else {
            let _ = self.handover.take(new.id, new.digest);
        }
        accepted
    }
}

/// What is asked of who sends a test event that is being deleted, or was while it was sent.
fn being_deleted() -> ServiceError {
    ServiceError::busy("test event is being deleted")
}

/// The rows of a recording whose raw object is there.
fn describe(recording: &Recording, raw_key: ObjectKey, digest: Digest, bytes: u64, deletions: i64) -> NewRecording {
    let times = recording.timestamps();
    NewRecording {
        id: recording.id(),
        patient: recording.patient().clone(),
        movement: recording.movement().clone(),
        digest,
        raw_key,
        raw_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        day: recording.day(),
        clinic_score: recording.clinic_score(),
        samples: i64::try_from(recording.len()).unwrap_or(i64::MAX),
        taken: (times.first().map_or(0, |t| t.utc_micros), times.last().map_or(0, |t| t.utc_micros)),
        deletions,
    }
}

/// Test events that are being written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BusyEvents(Arc<Mutex<HashSet<TestEventId>>>);

impl BusyEvents {
    fn claim(&self, id: TestEventId) -> Option<Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id).then(|| Turn { events: self.clone(), id })
    }
}

struct Turn {
    events: BusyEvents,
    id: TestEventId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.events.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Waits until a recording is settled, or the time is over; then where it stands. The subscription is older than the
/// recording, so that no hint was missed.
///
/// # Errors
/// When the database cannot tell.
pub async fn await_settled(
    database: &Database,
    mut changes: Receiver<Update>,
    id: TestEventId,
    limit: Duration,
) -> Result<Option<RecordingState>, DatabaseError> {
    let settled = async {
        loop {
            // A hint that was lost by lagging counts as a hint, and so does a long silence: another process's may be lost.
            let of_another = |update: &Update| update.id != id || !update.settled;
            let hinted = async { while matches!(changes.recv().await, Ok(update) if of_another(&update)) {} };
            let _ = tokio::time::timeout(SILENCE, hinted).await;
            let state = database.recording_state(id).await?;
            if state.as_ref().is_none_or(|state| state.status.is_settled()) {
                return Ok(state);
            }
        }
    };
    match tokio::time::timeout(limit, settled).await {
        Ok(state) => state,
        Err(_) => database.recording_state(id).await,
    }
}
