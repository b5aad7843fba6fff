//! A raw object that was put straight into the bucket becomes rows, by the same rules as an upload. It was acknowledged
//! by the bucket: what breaks the rules is kept, and marked failed with its reason.

use super::{IngestDeps, being_deleted, describe};
use crate::actors::ServiceError;
use crate::domain::audit::Entry;
use crate::domain::bucket_event::RawKey;
use crate::domain::recording::{Day, Recording, Refusal, parse};
use crate::domain::score::Failure;
use crate::storage::database::{Acceptance, NewRecording};
use crate::storage::objects::{Digest, ObjectError};
use actix::Message;
use bytes::Bytes;
use chrono::Datelike;
use std::sync::Arc;

/// An object that landed in the bucket.
#[derive(Debug, Message)]
#[rtype(result = "Result<Landing, ServiceError>")]
pub struct Landed {
    /// Its key.
    pub raw: RawKey,
    /// Who has it taken in, for the audit record.
    pub by: Entry,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// It is a new recording.
    Accepted,
    /// There is a recording of that id already.
    Known,
    /// It breaks the rules: a recording that is marked failed.
    Failed,
    /// It is not there any more.
    Gone,
}

impl IngestDeps {
    pub(super) async fn take_in_landed(&self, raw: &RawKey, by: Entry) -> Result<Landing, ServiceError> {
        let _turn = self.busy.claim(raw.id).ok_or_else(|| ServiceError::busy("same test event"))?;
        self.land(raw, by).await
    }

    /// The work, for who has the turn.
    pub(super) async fn land(&self, raw: &RawKey, by: Entry) -> Result<Landing, ServiceError> {
        let id = raw.id;
        let claim = self.database.claim(id).await?;
        if claim.digest.is_some() {
            return Ok(Landing::Known);
        }
        if claim.being_deleted {
            return Err(being_deleted());
        }
        let deletions = claim.deletions;
        let bytes = match self.objects.get(raw.key(), None).await {
            Ok(bytes) => Some(bytes),
            Err(ObjectError::TooLarge) => None,
            Err(ObjectError::NotFound) => return Ok(Landing::Gone),
            Err(error) => return Err(error.into()),
        };
        let limit = self.max_bytes;
        let (read, digest, size) = match bytes {
            Some(bytes) => {
                self.compute
                    .run(move || {
                        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
                        (read(bytes, limit), digest, size)
                    })
                    .await?
            }
            // Its bytes are never read.
            None => (Err(Refusal::too_large(limit)), Digest([0; 32]), 0),
        };
        let (new, recording, failure) = match read.and_then(|recording| agrees(&recording, raw).map(|()| recording)) {
            Ok(recording) => {
                let recording = Arc::new(recording);
                let new = describe(&recording, raw.key().clone(), digest, size, deletions);
                (new, Some(recording), None)
            }
            Err(refusal) => {
                let failure = Failure { code: refusal.code.to_owned(), message: refusal.detail };
                (self.unread(raw, digest, size, deletions), None, Some(failure))
            }
        };
        self.audit.record(by.patients([raw.patient.clone()]).test_event(Some(id))).await?;
        let rows = self.database.accept_landed(&new, failure.as_ref(), self.clock.now());
        Ok(match self.record(&new, recording, rows).await? {
            Acceptance::Accepted if failure.is_some() => Landing::Failed,
            Acceptance::Accepted => Landing::Accepted,
            Acceptance::Replayed | Acceptance::Conflicting => Landing::Known,
            Acceptance::Deleted => return Err(being_deleted()),
        })
    }

    /// A recording of which only the key is known.
    fn unread(&self, raw: &RawKey, digest: Digest, size: u64, deletions: i64) -> NewRecording {
        let now = self.clock.now();
        let today = Day { year: now.year(), month: now.month(), day: now.day() };
        NewRecording {
            id: raw.id,
            patient: raw.patient.clone(),
            movement: raw.movement.clone(),
            digest,
            raw_key: raw.key().clone(),
            raw_bytes: i64::try_from(size).unwrap_or(i64::MAX),
            day: raw.day.unwrap_or(today),
            clinic_score: None,
            samples: 0,
            taken: (now.timestamp_micros(), now.timestamp_micros()),
            deletions,
        }
    }
}

fn read(bytes: Bytes, limit: u64) -> Result<Recording, Refusal> {
    if bytes.len() as u64 > limit { Err(Refusal::too_large(limit)) } else { parse(bytes) }
}

/// A document must be what its key says: a phone may not put one patient's recording under another's name.
fn agrees(recording: &Recording, raw: &RawKey) -> Result<(), Refusal> {
    let differs = |key| Err(Refusal::key("key_differs", key, format!("'{key}' is not what the object's key says")));
    match () {
        () if *recording.patient() != raw.patient => differs("user_id"),
        () if *recording.movement() != raw.movement => differs("movement"),
        () if recording.id() != raw.id => differs("testID"),
        () if recording.clinic_score().is_some() != raw.is_training() => differs("training"),
        () => Ok(()),
    }
}
