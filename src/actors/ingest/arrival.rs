//! An upload whose body has arrived becomes a durable raw object and its rows, or is refused with nothing left.

use super::{IngestDeps, LAND, being_deleted, describe};
use crate::actors::ServiceError;
use crate::actors::authorization::{SeenLinks, authorize};
use crate::domain::access::{Access, Caller, Role};
use crate::domain::audit::Entry;
use crate::domain::bucket_event::RawKey;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Recording, parse};
use crate::domain::score::RecordingState;
use crate::storage::database::{Acceptance, Claim, DatabaseError, NewRecording};
use crate::storage::objects::{ObjectError, Staged};
use actix::Message;
use chrono::{DateTime, Utc};
use std::sync::Arc;

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

/// What is at a body's key.
enum Kept {
    /// The body: it was put there now.
    Made,
    /// The same bytes: a process that was killed, or the phone itself, put them there.
    Same,
    /// Other bytes.
    Other,
}

impl IngestDeps {
    pub(super) async fn take_in(&self, Arrival { caller, staged }: Arrival) -> Result<Arrived, ServiceError> {
        // The disk syncs the body while a processor reads it; a refused one is synced in vain, which is rare.
        let syncing = staged.sync();
        let (staged, recording) = self
            .compute
            .run(move || {
                let recording = parse(staged.read()?)?;
                Ok::<_, ServiceError>((staged, Arc::new(recording)))
            })
            .await??;
        let access = Access::Patient(recording.patient().clone());
        let entry = Entry::by(&caller, "upload_recording").about(&access).test_event(Some(recording.id()));
        if let Err(error) = self.admit(&caller.role, &access).await {
            return Err(self.audit.failed(entry, error).await);
        }
        let _turn = self.busy.claim(recording.id()).ok_or_else(|| ServiceError::busy("same test event"))?;
        // The disk takes the body while the database takes the entry.
        let (synced, noted) = tokio::join!(syncing.done(), self.audit.record(entry.clone()));
        noted?;
        let made = match synced {
            Ok(()) => self.make(&staged, recording).await,
            Err(error) => Err(error.into()),
        };
        match made {
            Ok(arrived) => Ok(arrived),
            Err(error) => Err(self.audit.failed(entry, error).await),
        }
    }

    /// Whether the role may send recordings of that patient, and there is one.
    async fn admit(&self, role: &Role, access: &Access) -> Result<(), ServiceError> {
        authorize(&self.database, role, access, &SeenLinks::default(), "patient").await?;
        match access.patient() {
            // Who is linked is there.
            Some(patient) if !matches!(role, Role::CareProvider(_)) => {
                self.database.patient(patient).await?.map(drop).ok_or(ServiceError::NotFound("patient"))
            }
            _ => Ok(()),
        }
    }

    /// Makes the object and its rows, where they are not there yet.
    async fn make(&self, staged: &Staged, recording: Arc<Recording>) -> Result<Arrived, ServiceError> {
        let (id, patient) = (recording.id(), recording.patient());
        let training = recording.clinic_score().is_some();
        let raw_key = ObjectKey::raw(patient, recording.movement(), recording.day(), training, id);
        let claim = self.database.claim(id).await?;
        let new = describe(&recording, raw_key, staged.digest(), staged.len(), claim.deletions);
        let now = self.clock.now();
        let acceptance = match claim {
            Claim { patient: Some(patient), .. } if patient != new.patient => Acceptance::Conflicting,
            Claim { digest: Some(digest), .. } if digest == new.digest => Acceptance::Replayed,
            Claim { digest: Some(_), .. } => Acceptance::Conflicting,
            Claim { being_deleted: true, .. } => Acceptance::Deleted,
            Claim { .. } => self.accept(staged, recording, &new, now).await?,
        };
        if acceptance == Acceptance::Deleted {
            return Err(being_deleted());
        }
        if acceptance == Acceptance::Conflicting {
            return Err(ServiceError::Conflict {
                code: "test_id_taken",
                detail: "there is a test event with this testID and other content".into(),
            });
        }
        let replayed = acceptance == Acceptance::Replayed;
        let state = if replayed {
            self.database.recording_state(id).await?.ok_or(ServiceError::NotFound("recording"))?
        } else {
            new.accepted(now)
        };
        Ok(Arrived { state, replayed })
    }

    /// A body whose id has no recording yet.
    async fn accept(
        &self,
        staged: &Staged,
        recording: Arc<Recording>,
        new: &NewRecording,
        now: DateTime<Utc>,
    ) -> Result<Acceptance, ServiceError> {
        let kept = self.keep(staged, new).await?;
        if let Kept::Other = kept {
            // What is durable is never replaced: it came first, and becomes the recording.
            if let Some(raw) = RawKey::read(new.raw_key.as_str()) {
                self.land(&raw, Entry::by_bucket(LAND)).await?;
            }
            return Ok(Acceptance::Conflicting);
        }
        let rows = self.database.accept_recording(new, now);
        let acceptance = match self.record(new, Some(recording), rows).await {
            Err(DatabaseError::MissingReference(_)) => return Err(ServiceError::NotFound("patient")),
            other => other?,
        };
        if let (Acceptance::Conflicting | Acceptance::Deleted, Kept::Made) = (acceptance, kept) {
            // The id is taken, under another key or by another's event, or the event was deleted: no row names this object.
            self.objects.delete(&new.raw_key).await?;
        }
        Ok(acceptance)
    }

    /// Gives the body its key.
    async fn keep(&self, staged: &Staged, new: &NewRecording) -> Result<Kept, ServiceError> {
        match self.objects.keep(staged, &new.raw_key).await {
            Ok(()) => Ok(Kept::Made),
            Err(ObjectError::Exists) => match self.objects.get(&new.raw_key, Some(new.digest)).await {
                Ok(_) => Ok(Kept::Same),
                Err(ObjectError::Corrupt | ObjectError::TooLarge) => Ok(Kept::Other),
                // Deleted in between.
                Err(ObjectError::NotFound) => Err(ServiceError::busy("same object")),
                Err(
                    error @ (ObjectError::Exists
                    | ObjectError::NoSpace
                    | ObjectError::Unavailable(_)
                    | ObjectError::Refused(_)
                    | ObjectError::Io(_)),
                ) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}
