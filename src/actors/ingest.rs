//! Ingest: an upload whose body has arrived becomes a durable raw object and its rows, or is refused with nothing left.

use super::ServiceError;
use super::authorization::authorize;
use super::compute::Compute;
use super::handover::Handover;
use super::updates::Updates;
use super::work::Ledger;
use crate::domain::access::{Access, Caller, Role};
use crate::domain::clock::SharedClock;
use crate::domain::ids::TestEventId;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Recording, parse};
use crate::domain::score::RecordingState;
use crate::storage::database::{Acceptance, Database, DatabaseError, JobKind, NewRecording};
use crate::storage::objects::{ObjectError, Objects, Staged};
use crate::supervised;
use actix::prelude::*;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A body that has arrived.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arrived, ServiceError>")]
pub struct Arrival {
    /// Who sent it.
    pub caller: Caller,
    /// The decoded body.
    pub staged: Staged,
}

/// An acknowledged recording.
#[derive(Debug)]
pub struct Arrived {
    /// Where it stands.
    pub state: RecordingState,
    /// Whether it was there already.
    pub replayed: bool,
}

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct IngestDeps {
    /// Rows.
    pub database: Database,
    /// Raw objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Threads for parsing.
    pub compute: Compute,
    /// Hands the parsed recording to the converter.
    pub handover: Handover,
    /// Wakes the dispatcher.
    pub ledger: Ledger,
    /// Tells who waits.
    pub updates: Updates,
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
            deps.take_in(arrival).await
        })
    }
}

impl IngestDeps {
    async fn take_in(&self, Arrival { caller, staged }: Arrival) -> Result<Arrived, ServiceError> {
        // The disk syncs the body while a processor reads it; a refused one is synced in vain, which is rare.
        let syncing = staged.sync();
        let (staged, recording) = self
            .compute
            .run(move || {
                let recording = parse(staged.read()?)?;
                Ok::<_, ServiceError>((staged, Arc::new(recording)))
            })
            .await??;
        let patient = recording.patient();
        authorize(&self.database, &caller.role, &Access::Patient(patient.clone()), "patient").await?;
        // Who is linked is there.
        if !matches!(caller.role, Role::CareProvider(_)) && self.database.patient(patient).await?.is_none() {
            return Err(ServiceError::NotFound("patient"));
        }
        let _turn = self.busy.claim(recording.id()).ok_or_else(|| ServiceError::busy("same test event"))?;
        syncing.done().await?;

        let id = recording.id();
        let new = describe(&recording, &staged);
        let known = self.database.recording(id).await?;
        let acceptance = match known {
            Some(known) if known.patient == new.patient && known.digest == new.digest => Acceptance::Replayed,
            Some(_) => Acceptance::Conflicting,
            None => {
                self.keep(staged, &new).await?;
                // Before the rows: the converter may ask for it as soon as they are there.
                self.handover.put(recording);
                let accepted = self.database.accept_recording(&new, self.clock.now()).await;
                if !matches!(accepted, Ok(Acceptance::Accepted)) {
                    let _ = self.handover.take(id);
                }
                match accepted {
                    Err(DatabaseError::MissingReference(_)) => return Err(ServiceError::NotFound("patient")),
                    other => other?,
                }
            }
        };
        match acceptance {
            Acceptance::Accepted => {
                self.ledger.wake(JobKind::Convert);
                self.updates.publish(id);
            }
            Acceptance::Replayed => {}
            Acceptance::Conflicting => {
                return Err(ServiceError::Conflict {
                    code: "test_id_taken",
                    detail: "there is a test event with this testID and other content".into(),
                });
            }
        }
        let state = self.database.recording_state(id).await?.ok_or(ServiceError::NotFound("recording"))?;
        Ok(Arrived { state, replayed: acceptance == Acceptance::Replayed })
    }

    /// Gives the body its key. An object without a row is what a process left that was killed between the two: the same
    /// bytes are kept, others replaced, for nobody was told that they are safe.
    async fn keep(&self, staged: Staged, new: &NewRecording) -> Result<(), ServiceError> {
        let key = &new.raw_key;
        match self.objects.keep(&staged, key).await {
            Err(ObjectError::Exists) => match self.objects.get(key, Some(new.digest)).await {
                Ok(_) => Ok(()),
                Err(ObjectError::Corrupt | ObjectError::NotFound | ObjectError::TooLarge) => {
                    self.objects.delete(key).await?;
                    Ok(self.objects.keep(&staged, key).await?)
                }
                Err(
                    error @ (ObjectError::Exists
                    | ObjectError::NoSpace
                    | ObjectError::Unavailable(_)
                    | ObjectError::Refused(_)
                    | ObjectError::Io(_)),
                ) => Err(error.into()),
            },
            kept => Ok(kept?),
        }
    }
}

fn describe(recording: &Recording, staged: &Staged) -> NewRecording {
    let (patient, movement, day) = (recording.patient(), recording.movement(), recording.day());
    let training = recording.clinic_score().is_some();
    let times = recording.timestamps();
    NewRecording {
        id: recording.id(),
        patient: patient.clone(),
        movement: movement.clone(),
        digest: staged.digest(),
        raw_key: ObjectKey::raw(patient, movement, day, training, recording.id()),
        raw_bytes: i64::try_from(staged.len()).unwrap_or(i64::MAX),
        day,
        clinic_score: recording.clinic_score(),
        samples: i64::try_from(recording.len()).unwrap_or(i64::MAX),
        taken: (times.first().map_or(0, |t| t.utc_micros), times.last().map_or(0, |t| t.utc_micros)),
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

/// Waits until a recording is settled, or the time is over; then where it stands.
///
/// # Errors
/// When the database cannot tell.
pub async fn await_settled(
    database: &Database,
    updates: &Updates,
    id: TestEventId,
    limit: Duration,
) -> Result<Option<RecordingState>, DatabaseError> {
    let mut changes = updates.subscribe();
    let settled = async {
        loop {
            let state = database.recording_state(id).await?;
            if state.as_ref().is_none_or(|state| state.status.is_settled()) {
                return Ok(state);
            }
            // A hint that was lost by lagging counts as a hint.
            while matches!(changes.recv().await, Ok(changed) if changed != id) {}
        }
    };
    match tokio::time::timeout(limit, settled).await {
        Ok(state) => state,
        Err(_) => database.recording_state(id).await,
    }
}
