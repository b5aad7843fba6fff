//! Reporter: the report of a test event as PDF, made when it is first asked for and kept until it would say something
//! else; and the links to it and to the recording.

use super::ServiceError;
use super::compute::Compute;
use super::links::{Link, Links};
use super::resolver::DocumentsLeave;
use crate::documents::report::{Content, render};
use crate::domain::clock::SharedClock;
use crate::domain::ids::{PatientId, TestEventId};
use crate::domain::link::Linked;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Recording, parse};
use crate::storage::database::{Database, EventRecord, Recorded};
use crate::storage::objects::{ObjectError, Objects};
use crate::supervised;
use actix::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What is absent where an event was deleted meanwhile.
const SUBJECT: &str = "test event";

/// Reports that are made for one request at most, where the event changes while they are.
const ROUNDS: u32 = 3;

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct ReporterDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Threads for drawing.
    pub compute: Compute,
    /// Makes links.
    pub links: Links,
    /// Requests that are in hand at once, those that wait for another's report among them.
    pub requests: Arc<Semaphore>,
    /// Reports that are made at once.
    pub at_once: Arc<Semaphore>,
    /// How long a request may take.
    pub deadline: Duration,
    /// Reports that are being made.
    pub under_way: UnderWay,
}

/// The actor.
#[derive(Debug)]
pub struct Reporter(ReporterDeps);

impl Reporter {
    /// A new one.
    #[must_use]
    pub fn new(deps: ReporterDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Reporter {
    type Context = Context<Self>;
}

supervised!(Reporter, "reporter");

/// Asks for links to the documents of a test event.
#[derive(Debug)]
pub struct LinkDocuments {
    /// Of which event, for somebody who may read it.
    pub leave: DocumentsLeave,
    /// The patient's name, for a report of a patient whose row has none.
    pub patient_name: String,
}

/// The links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentLinks {
    /// To the report, PDF.
    pub report: Link,
    /// To the recording as CSV, where there is one.
    pub csv: Option<Link>,
}

impl Message for LinkDocuments {
    type Result = Result<DocumentLinks, ServiceError>;
}

impl Handler<LinkDocuments> for Reporter {
    type Result = ResponseFuture<Result<DocumentLinks, ServiceError>>;

    fn handle(&mut self, ask: LinkDocuments, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("reporter");
        let deps = self.0.clone();
        Box::pin(async move {
            let _place = deps.requests.clone().try_acquire_owned().map_err(|_| ServiceError::busy("reports"))?;
            match tokio::time::timeout(deps.deadline, deps.documents(ask)).await {
                Ok(links) => links,
                Err(_) => {
                    tracing::warn!("a report took too long");
                    Err(ServiceError::busy("report too slow"))
                }
            }
        })
    }
}

impl ReporterDeps {
    async fn documents(&self, ask: LinkDocuments) -> Result<DocumentLinks, ServiceError> {
        let LinkDocuments { leave, patient_name } = ask;
        let (patient, id) = leave.event();
        let key = ObjectKey::pdf(patient, id);
        // Of several requests for one event the first makes its report, and the others find it.
        let turn = self.under_way.turn_of(id);
        let _turn = turn.lock().await;
        let record = self.reported(patient, id, &patient_name, &key).await?;
        let csv = match record.recording.filter(|recorded| recorded.quality.is_some()) {
            None => None,
            Some(recorded) => {
                let key = ObjectKey::csv(patient, &recorded.movement, recorded.day, id);
                Some(self.links.link(Linked::Csv, (patient, id), &key).await?)
            }
        };
        Ok(DocumentLinks { report: self.links.link(Linked::Report, (patient, id), &key).await?, csv })
    }

    /// The event, of which the PDF under that key tells. Read again after the PDF was made: what changed meanwhile is told of,
    /// too, and an event that was deleted leaves nothing behind. Where this does not come so far, the deletion itself looks for
    /// the PDF once more, after the deadline of reports.
    async fn reported(
        &self,
        patient: &PatientId,
        id: TestEventId,
        named: &str,
        key: &ObjectKey,
    ) -> Result<EventRecord, ServiceError> {
        let mut made = None;
        for _ in 0..ROUNDS {
            let Some(record) = self.database.event_record(id, patient).await? else {
                if made.is_some() {
                    self.objects.delete(key).await?;
                }
                return Err(ServiceError::NotFound(SUBJECT));
            };
            let content = Content::new(&record, named);
            let mark = content.mark();
            if made.as_ref() == Some(&mark) || self.is_kept(key, &mark).await? {
                return Ok(record);
            }
            self.make(&record, content, key).await?;
            made = Some(mark);
        }
        Err(ServiceError::busy("an event that changes all the time"))
    }

    /// Whether the PDF that is kept says what it should.
    async fn is_kept(&self, key: &ObjectKey, mark: &str) -> Result<bool, ServiceError> {
        match self.objects.get(key, None).await {
            Ok(pdf) => Ok(memchr::memmem::find(&pdf, mark.as_bytes()).is_some()),
            Err(ObjectError::NotFound | ObjectError::Corrupt | ObjectError::TooLarge) => Ok(false),
            Err(
                error @ (ObjectError::Exists
                | ObjectError::NoSpace
                | ObjectError::Unavailable(_)
                | ObjectError::Refused(_)
                | ObjectError::Io(_)),
            ) => Err(error.into()),
        }
    }

    async fn make(&self, record: &EventRecord, content: Content, key: &ObjectKey) -> Result<(), ServiceError> {
        let _permit = self.at_once.acquire().await.map_err(|_| ServiceError::busy("stopping"))?;
        let recording = match record.recording.as_ref().filter(|_| content.has_signals()) {
            None => None,
            Some(recorded) => self.recording(recorded).await?,
        };
        // A report that lacks what should be there is not the one that is asked for: it is made anew next time.
        let content = if recording.is_none() && content.has_signals() { content.without_signals() } else { content };
        let made_at = self.clock.now();
        let drawn = self.compute.run(move || render(&content, recording.as_deref(), made_at)).await?;
        let pdf = drawn.map_err(|error| ServiceError::Internal(error.into()))?;
        fail::fail_point!("report-drawn");
        self.objects.put(key, pdf.into()).await?;
        fail::fail_point!("report-kept");
        Ok(())
    }

    /// The recording; none where its object is gone or is not what was kept.
    async fn recording(&self, recorded: &Recorded) -> Result<Option<Arc<Recording>>, ServiceError> {
        let raw = match self.objects.get(&recorded.raw_key, Some(recorded.digest)).await {
            Err(error @ (ObjectError::NotFound | ObjectError::Corrupt | ObjectError::TooLarge)) => {
                tracing::warn!(%error, "a report is made without its recording");
                return Ok(None);
            }
            raw => raw?,
        };
        Ok(self.compute.run(move || parse(raw)).await?.ok().map(Arc::new))
    }
}

/// Reports that are being made, an event each. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<TestEventId, Weak<tokio::sync::Mutex<()>>>>>);

impl UnderWay {
    /// What who makes the event's report holds. It is forgotten when nobody has it any more.
    fn turn_of(&self, id: TestEventId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(id, Arc::downgrade(&turn));
        turn
    }
}
