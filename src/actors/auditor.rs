//! The auditor writes the audit record: what has come while it wrote goes into the next statement together, so that many
//! requests wait for the disk once.
//!
//! Nothing that is audited is answered before its entry is durable. Where it cannot be written the request is refused.

mod unknown;

use super::ServiceError;
use super::metrics::Metrics;
use crate::domain::audit::{Entry, Mark, Origin, Outcome, Record};
use crate::domain::clock::SharedClock;
use crate::storage::database::{Database, DatabaseError};
use crate::supervised;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use unknown::Unknown;

/// How often the end of the chain is said in the log, whose lines are kept elsewhere.
const MARK_EVERY: TimeDelta = TimeDelta::hours(1);

/// Bounds of the audit record.
#[derive(Debug, Clone)]
pub struct AuditPolicy {
    /// Entries that may wait to be written; further requests are told to come back.
    pub waiting: usize,
    /// Entries that are written in one statement.
    pub at_once: usize,
    /// How long a request waits for its entry.
    pub longest_wait: Duration,
    /// How often requests without a token are written, counted.
    pub unknown_every: Duration,
    /// Addresses that are counted apart in that time.
    pub unknown_apart: usize,
}

/// Takes what is to be noted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    waiting: mpsc::Sender<Waiting>,
    unknown: Arc<Unknown>,
    clock: SharedClock,
    longest_wait: Duration,
}

/// An entry, and who waits for it.
#[derive(Debug)]
struct Waiting {
    records: Vec<Record>,
    written: oneshot::Sender<Written>,
}

/// Why an entry was not written.
#[derive(Debug, Clone, Copy)]
enum NotWritten {
    NoSpace,
    Away,
}

type Written = Result<(), NotWritten>;

/// What waits; who is built anew goes on with it.
#[derive(Debug, Clone)]
pub struct Entries(Arc<Mutex<mpsc::Receiver<Waiting>>>);

impl Audit {
    /// One, and what is to be written.
    #[must_use]
    pub fn new(policy: &AuditPolicy, clock: SharedClock) -> (Self, Entries) {
        let (waiting, entries) = mpsc::channel(policy.waiting);
        let unknown = Arc::new(Unknown::new(policy.unknown_apart));
        (Self { waiting, unknown, clock, longest_wait: policy.longest_wait }, Entries(Arc::new(Mutex::new(entries))))
    }

    /// Notes it; when this returns the entry is durable.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] or [`ServiceError::NoSpace`] when it was not written: then nothing of what it is about may be
    /// answered. In rare cases it was written nonetheless.
    pub async fn record(&self, entry: Entry) -> Result<(), ServiceError> {
        self.write(entry.into_records(self.clock.now())).await
    }

    /// Notes that it came to this error; the error, or that it could not be noted. Who is told to come back learned nothing:
    /// that is not noted, for what is away or full may be what would take the note.
    pub async fn failed(&self, entry: Entry, error: ServiceError) -> ServiceError {
        let entry = match &error {
            ServiceError::NotFound(_) => entry.outcome(Outcome::Absent),
            ServiceError::Forbidden => entry.outcome(Outcome::Forbidden),
            ServiceError::Unauthenticated
            | ServiceError::WrongCredentials
            | ServiceError::EmailNotConfirmed
            | ServiceError::SecondFactorRequired
            | ServiceError::WrongSecondFactor
            | ServiceError::ClaimsRefused(_)
            | ServiceError::OwnAccountsOff
            | ServiceError::TooManyAttempts { .. } => entry.outcome(Outcome::Refused).detail(error.code()),
            ServiceError::Conflict { .. }
            | ServiceError::Invalid { .. }
            | ServiceError::Refused(_)
            | ServiceError::Internal(_) => entry.outcome(Outcome::Failed).detail(error.code()),
            ServiceError::Busy { .. } | ServiceError::NoSpace => return error,
        };
        match self.record(entry).await {
            Ok(()) => error,
            Err(not_noted) => not_noted,
        }
    }

    /// What became of something that may have been noted as allowed; where it failed, that is noted as [`Audit::failed`] does.
    ///
    /// # Errors
    /// That of `done`, or that it could not be noted.
    pub async fn or_failed<T>(&self, entry: &Entry, done: Result<T, ServiceError>) -> Result<T, ServiceError> {
        match done {
            Ok(done) => Ok(done),
            Err(error) => Err(self.failed(entry.clone(), error).await),
        }
    }

    /// Counts a request of somebody unknown, such as one without a token that holds. Counts are written every so often:
    /// who needs no account cannot make the record grow by more than a bound.
    pub fn unknown(&self, operation: &'static str, origin: &Origin) {
        self.unknown.count(operation, origin.address, 1);
    }

    /// Writes the counts of requests of somebody unknown.
    pub async fn write_unknown(&self) {
        let counts = self.unknown.take();
        if counts.is_empty() {
            return;
        }
        let now = self.clock.now();
        let records = counts.iter().flat_map(|((operation, address), count)| {
            let origin = Origin { address: *address, request_id: None };
            Entry::by_nobody(origin, operation).detail(format!("{count} requests")).into_records(now)
        });
        if self.write(records.collect()).await.is_err() {
            for ((operation, address), count) in counts {
                self.unknown.count(operation, address, count);
            }
        }
    }

    async fn write(&self, records: Vec<Record>) -> Result<(), ServiceError> {
        let (written, answer) = oneshot::channel();
        self.waiting.try_send(Waiting { records, written }).map_err(|_| ServiceError::busy("audit record"))?;
        match tokio::time::timeout(self.longest_wait, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(NotWritten::NoSpace))) => Err(ServiceError::NoSpace),
            Ok(Ok(Err(NotWritten::Away)) | Err(_)) | Err(_) => Err(ServiceError::busy("audit record")),
        }
    }
}

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct AuditorDeps {
    /// Rows.
    pub database: Database,
    /// What is to be written.
    pub entries: Entries,
    /// Has the counts of requests of somebody unknown.
    pub audit: Audit,
    /// Bounds.
    pub policy: AuditPolicy,
    /// Metrics.
    pub metrics: Metrics,
    /// The program's own: this actor's may end in the middle of a statement.
    pub runtime: tokio::runtime::Handle,
}

/// The actor.
#[derive(Debug)]
pub struct Auditor(AuditorDeps);

impl Auditor {
    /// A new one.
    #[must_use]
    pub fn new(deps: AuditorDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Auditor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.write_entries().await }.into_actor(self));
        context.run_interval(self.0.policy.unknown_every, |actor, _| {
            let audit = actor.0.audit.clone();
            actix::spawn(async move { audit.write_unknown().await });
        });
    }
}

supervised!(Auditor, "auditor");

impl AuditorDeps {
    /// Writes what comes, until nobody is left from whom it could.
    pub(super) async fn write_entries(&self) {
        let mut said: Option<DateTime<Utc>> = None;
        loop {
            let mut batch = Vec::new();
            if self.entries.0.lock().await.recv_many(&mut batch, self.policy.at_once).await == 0 {
                return;
            }
            fail::fail_point!("auditor");
            let (records, waiting): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|Waiting { records, written }| (records, written)).unzip();
            let written = self.append(records.into_iter().flatten().collect()).await;
            for asker in waiting {
                // Who does not wait any more was told that it was not written.
                let _ = asker.send(written.map(|_| ()));
            }
            let now = self.audit.clock.now();
            if let Ok(mark) = written
                && said.is_none_or(|said| now - said >= MARK_EVERY)
            {
                tracing::info!(%mark, "the audit record ends here");
                said = Some(now);
            }
        }
    }

    async fn append(&self, records: Vec<Record>) -> Result<Mark, NotWritten> {
        let (database, count) = (self.database.clone(), records.len());
        let appended = self.runtime.spawn(async move { database.append_audit(&records).await }).await;
        let error = match appended {
            Ok(Ok(mark)) => {
                self.metrics.audited(count, "written");
                return Ok(mark);
            }
            Ok(Err(error)) => error,
            // The program stops.
            Err(_) => return Err(NotWritten::Away),
        };
        self.metrics.audited(count, "refused");
        match error {
            DatabaseError::Full(_) => Err(NotWritten::NoSpace),
            DatabaseError::Unavailable(_) => Err(NotWritten::Away),
            DatabaseError::Duplicate(_)
            | DatabaseError::MissingReference(_)
            | DatabaseError::Fenced
            | DatabaseError::Corrupt(_)
            | DatabaseError::Migration(_)
            | DatabaseError::Statement(_) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "the audit record is not written");
                Err(NotWritten::Away)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
