//! Everything that is kept of a patient, as one archive. Rows are read event by event, objects piece by piece: what is in
//! memory at once is a piece, the ids of the events, and a line of the manifest for each file.

use super::CourierDeps;
use super::archive::{Archive, ArchiveError, FileEntry, Packing};
use super::body::{Body, Outlet, body};
use super::linked::{PIECE, piece};
use crate::actors::account_turns::AccountTurn;
use crate::documents::{fhir, record};
use crate::domain::ids::TestEventId;
use crate::domain::object_key::ObjectKey;
use crate::storage::database::{CardRow, DatabaseError, EventRecord, Patient};
use crate::storage::objects::{Digest, ObjectError};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

/// Models of a patient in one archive at most.
const MOST_MODELS: u32 = 10_000;
/// Bytes of lines that are gathered before they are compressed.
const GATHERED: usize = 64 << 10;

/// Begins to send the patient's record. The place and the turn are taken until it is sent.
pub(super) fn send(deps: &CourierDeps, patient: Patient, place: (OwnedSemaphorePermit, AccountTurn)) -> Body {
    let (outlet, body) = body(deps.patience);
    let deps = deps.clone();
    actix::spawn(async move {
        let (_place, turn) = place;
        let longest = deps.longest;
        match tokio::time::timeout(longest, write(&deps, &patient, turn, outlet)).await {
            Ok(Ok(())) => {}
            Ok(Err(RecordError::Archive(ArchiveError::NotTaken))) => {
                tracing::info!("an export was not taken to its end")
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an export was broken off");
            }
            Err(_) => tracing::warn!("an export took too long"),
        }
    });
    body
}

#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error("the archive could not be written")]
    Archive(#[from] ArchiveError),
    #[error("rows could not be read")]
    Rows(#[from] DatabaseError),
}

/// What is in the archive, and what is not.
#[derive(Debug, Serialize)]
struct Manifest {
    format: &'static str,
    made_at: String,
    patient_id: String,
    /// Events of which the archive tells.
    events: usize,
    /// Whether there are more than an archive may hold.
    more_events: bool,
    files: Vec<FileEntry>,
    missing: Vec<Missing>,
}

/// A file that should be in the archive.
#[derive(Debug, Serialize)]
struct Missing {
    path: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// It was deleted, or never made.
    Gone,
    /// The store did not give it to its end; what the archive has of it is a beginning.
    Unreadable,
    /// Its bytes are not those that were kept.
    Damaged,
}

async fn write(deps: &CourierDeps, patient: &Patient, turn: AccountTurn, outlet: Outlet) -> Result<(), RecordError> {
    let made_at = deps.clock.now();
    let mut events = deps.database.events_of_patient(&patient.id, deps.most_events.saturating_add(1)).await?;
    let most = usize::try_from(deps.most_events).unwrap_or(usize::MAX);
    let more_events = events.len() > most;
    events.truncate(most);
    let cards = deps.database.cards_of_patient(&patient.id, MOST_MODELS).await?;
    let manifest = Manifest {
        format: "stance-record-1",
        made_at: shown(made_at),
        patient_id: patient.id.to_string(),
        events: events.len(),
        more_events,
        files: Vec::new(),
        missing: Vec::new(),
    };
    let mut writer = Writer { deps, patient, archive: Archive::new(outlet, deps.compute.clone(), made_at), manifest };
    writer.document("patient.json", &record::patient(patient)).await?;
    writer.models(&cards).await?;
    writer.lines("events.ndjson", &events, "", record::event).await?;
    writer.lines("scores.csv", &events, record::SCORES_HEADER, record::scores).await?;
    writer.document("fhir/Patient.ndjson", &fhir::patient(patient)).await?;
    writer.lines("fhir/Observation.ndjson", &events, "", fhir::observations).await?;
    for id in &events {
        writer.objects(*id).await?;
    }
    let manifest = serde_json::to_value(&writer.manifest).unwrap_or_default();
    writer.document("manifest.json", &manifest).await?;
    // Who sees the end may ask again at once.
    drop(turn);
    Ok(writer.archive.finish().await?)
}

struct Writer<'a> {
    deps: &'a CourierDeps,
    patient: &'a Patient,
    archive: Archive,
    manifest: Manifest,
}

impl Writer<'_> {
    /// A file with one JSON document, on one line.
    async fn document(&mut self, path: &str, document: &Value) -> Result<(), RecordError> {
        self.file(path, format!("{document}\n").into()).await
    }

    async fn models(&mut self, cards: &[CardRow]) -> Result<(), RecordError> {
        let mut devices = String::new();
        for card in cards {
            let path = format!("models/{}.json", fhir::id(card.version.as_str()));
            self.file(&path, Bytes::from(card.card.clone())).await?;
            devices.push_str(&format!("{}\n", fhir::device(card)));
        }
        self.file("fhir/Device.ndjson", devices.into()).await
    }

    /// A file that is made of every event's rows.
    async fn lines(
        &mut self,
        path: &str,
        events: &[TestEventId],
        header: &str,
        line: impl Fn(&EventRecord) -> String,
    ) -> Result<(), RecordError> {
        let mut file = self.archive.open(path.to_owned(), Packing::Deflated)?;
        let mut gathered = header.to_owned();
        for id in events {
            // An event that was deleted since has no line.
            let Some(record) = self.deps.database.event_record(*id, &self.patient.id).await? else { continue };
            gathered.push_str(&line(&record));
            if gathered.len() >= GATHERED {
                self.archive.write(&mut file, std::mem::take(&mut gathered).into()).await?;
            }
        }
        self.archive.write(&mut file, gathered.into()).await?;
        self.manifest.files.push(Archive::entry(file));
        Ok(())
    }

    /// What is in the object store of an event.
    async fn objects(&mut self, id: TestEventId) -> Result<(), RecordError> {
        let path = |ending: &str| format!("recordings/{id}.{ending}");
        let Some(record) = self.deps.database.event_record(id, &self.patient.id).await? else {
            self.manifest.missing.push(Missing { path: path("json"), reason: Reason::Gone });
            return Ok(());
        };
        let Some(recorded) = record.recording else { return Ok(()) };
        let of = &self.patient.id;
        let csv = ObjectKey::csv(of, &recorded.movement, recorded.day, id);
        let parquet = ObjectKey::parquet(of, &recorded.movement, recorded.day, id);
        self.object(path("json"), &recorded.raw_key, Packing::Deflated, Some(recorded.digest)).await?;
        if recorded.quality.is_some() {
            self.object(path("csv"), &csv, Packing::Deflated, None).await?;
            self.object(path("parquet"), &parquet, Packing::Stored, None).await?;
        }
        Ok(())
    }

    /// A file that is an object; one that cannot be had is noted in the manifest.
    async fn object(
        &mut self,
        path: String,
        key: &ObjectKey,
        packing: Packing,
        digest: Option<Digest>,
    ) -> Result<(), RecordError> {
        let mut bytes = match self.deps.objects.get_range(key, piece(0)).await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.manifest.missing.push(Missing { path, reason: reason(&error) });
                return Ok(());
            }
        };
        let mut file = self.archive.open(path.clone(), packing)?;
        let mut from = 0;
        loop {
            let length = bytes.len() as u64;
            from += length;
            self.archive.write(&mut file, bytes).await?;
            if length < PIECE {
                break;
            }
            bytes = match self.deps.objects.get_range(key, piece(from)).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(%error, "an object could not be read to its end");
                    self.manifest.missing.push(Missing { path: path.clone(), reason: Reason::Unreadable });
                    break;
                }
            };
        }
        if digest.is_some_and(|digest| digest != file.digest())
            && self.manifest.missing.last().is_none_or(|last| last.path != path)
        {
            self.manifest.missing.push(Missing { path, reason: Reason::Damaged });
        }
        self.manifest.files.push(Archive::entry(file));
        Ok(())
    }

    /// A file of bytes that are at hand.
    async fn file(&mut self, path: &str, bytes: Bytes) -> Result<(), RecordError> {
        let mut file = self.archive.open(path.to_owned(), Packing::Deflated)?;
        self.archive.write(&mut file, bytes).await?;
        self.manifest.files.push(Archive::entry(file));
        Ok(())
    }
}

fn reason(error: &ObjectError) -> Reason {
    match error {
        ObjectError::NotFound => Reason::Gone,
        ObjectError::Exists
        | ObjectError::Corrupt
        | ObjectError::TooLarge
        | ObjectError::NoSpace
        | ObjectError::Unavailable(_)
        | ObjectError::Refused(_)
        | ObjectError::Io(_) => {
            tracing::warn!(%error, "an object could not be read");
            Reason::Unreadable
        }
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
