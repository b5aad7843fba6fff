//! Rows, in a SQLite file (one writer and a pool of readers, write-ahead mode) or in PostgreSQL.
//!
//! A subject a file; each has its statements and runs them on [`Database`] or in a [`Transaction`]. The steps of a recording
//! are in `steps`, which does them on SQLite and on PostgreSQL in different ways. What is committed is
//! on disk, but for steps that the queue does again.
//!
//! PostgreSQL runs the transactions of all processes at once, each statement on what is committed when it begins (READ
//! COMMITTED). What must not happen twice rests on a unique key, a row lock or a fence, never on what was read before.

mod accounts;
mod assigned_tests;
mod attempts;
mod audit;
mod changes;
mod compaction;
mod deletions;
mod error;
mod event_records;
mod hints;
mod jobs;
mod lake;
mod mails;
mod measurements;
mod model_names;
mod models;
mod open;
mod page;
mod patient_lists;
mod patients;
mod provider_keys;
mod recordings;
mod second_factors;
mod secrets;
mod serving;
mod sessions;
mod statement;
mod steps;
mod test_event_lists;
mod test_events;

pub use accounts::{Account, Confirmation, NewAccount, RoleChange};
pub use audit::{AuditBounds, AuditFilter, AuditPlace};
pub use changes::ChangePlace;
pub use compaction::{CompactionLease, CompactionTime, LakePartition, LiveFile, NewFile, ToCompact};
pub use deletions::{Deleted, DeletionRequest, Grace, PendingDeletion};
pub use error::{DatabaseError, Result};
pub use event_records::{CardRow, EventRecord, QualityReport, Recorded, Scored};
pub use hints::{Hint, Listener, MOST as MOST_HINTS};
pub use jobs::{DeadJob, Fence, Job, JobKind, Outcome, QueueDepth};
pub use lake::{CompactedFile, LakePart, LakeRecording, LakeWindow};
pub use mails::{DueMail, NewMail, NewPassword, Purpose};
pub use measurements::{DayRange, ScoreStats, Window};
pub use model_names::{ListedModel, NamedModel};
pub use models::{KnownModel, ModelRow, ModelSource, NewModel, TrainingRecording, TrainingRecordings};
pub use open::{Migrated, PostgresOptions};
pub use page::Page;
pub use patient_lists::{PatientListFilter, PatientPlace, PatientSummary, TimedScore};
pub use patients::{CareProvider, Patient, PatientLink};
pub use recordings::{AxisRange, RecordingDetails, RecordingRow};
pub use second_factors::SecondFactor;
pub use serving::{Decided, Decision};
pub use sessions::{NewSession, OpenSession, Refreshed, Rotation, SessionRow};
pub use steps::{Acceptance, AfterConversion, AfterScoring, Conversion, NewRecording, TrainingRule};
pub use test_event_lists::{ScoreAverage, TestEventListFilter, TestEventPlace, TimeOrder};
pub use test_events::{Claim, TestEvent, TestEventFilter, TestResult, TestType};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use statement::{Place, Sql, Statement, statements};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

/// SQLite's pragma for what must survive a power failure.
const FULL: &str = "PRAGMA synchronous = FULL";
/// SQLite's pragma for what may be done again.
const NORMAL: &str = "PRAGMA synchronous = NORMAL";

statements! {
    PING = shared("SELECT 1 AS answer");
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    backend: Backend,
    statements: Arc<AtomicU64>,
    migrated: Migrated,
}

#[derive(Debug, Clone)]
enum Backend {
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    Postgres(Pools),
}

/// Connections to PostgreSQL. Steps have their own, which do not wait for the disk at a commit: requests do not wait for
/// steps.
#[derive(Debug, Clone)]
struct Pools {
    requests: PgPool,
    steps: PgPool,
    /// Where connections are driven. One that an actor's thread drove would stand still when that actor hangs, and
    /// everybody with it who takes it from the pool.
    home: Handle,
}

impl Pools {
    async fn begin(&self, pool: &PgPool) -> Result<Begun> {
        Ok(Begun::Postgres(self.clone(), self.at_home(pool.begin()).await?))
    }

    /// Runs what may open a connection or give one back.
    fn at_home<F: Future>(&self, work: F) -> TokioContext<F> {
        TokioContext::new(work, self.home.clone())
    }
}

impl Database {
    /// Starts a transaction that may write. On SQLite one at a time, the others wait their turn.
    ///
    /// # Errors
    /// When no turn or connection comes within the acquire timeout.
    pub async fn begin(&self) -> Result<Transaction> {
        self.count();
        let begun = match &self.backend {
            Backend::Sqlite { writer, .. } => {
                Begun::Sqlite(writer.begin_with("PRAGMA synchronous = FULL; BEGIN IMMEDIATE").await?)
            }
            Backend::Postgres(pools) => pools.begin(&pools.requests).await?,
        };
        Ok(Transaction { begun, statements: self.statements.clone() })
    }

    /// [`Database::begin`] for a step of a job. Once committed it survives the death of the process; a power failure may
    /// undo it with all that came after, and then the job, acknowledged before by a durable transaction, does it again.
    async fn begin_redoable(&self) -> Result<Transaction> {
        self.count();
        let begun = match &self.backend {
            Backend::Sqlite { writer, .. } => {
                Begun::Sqlite(writer.begin_with("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE").await?)
            }
            Backend::Postgres(pools) => pools.begin(&pools.steps).await?,
        };
        Ok(Transaction { begun, statements: self.statements.clone() })
    }

    /// A statement that reads.
    fn read(&self, sql: Sql) -> Statement<'_> {
        let place = match &self.backend {
            Backend::Sqlite { readers, .. } => Place::SqliteReader(readers),
            Backend::Postgres(pools) => Place::PostgresPool(pools, &pools.requests),
        };
        Statement::new(sql, place, &self.statements)
    }

    /// A statement that is a transaction by itself, as durable as [`Database::begin`]'s.
    fn write(&self, sql: Sql) -> Statement<'_> {
        let place = match &self.backend {
            Backend::Sqlite { writer, .. } => Place::SqliteWriter(writer, FULL),
            Backend::Postgres(pools) => Place::PostgresPool(pools, &pools.requests),
        };
        Statement::new(sql, place, &self.statements)
    }

    /// A statement that is a transaction by itself, as durable as [`Database::begin_redoable`]'s.
    fn write_redoable(&self, sql: Sql) -> Statement<'_> {
        let place = match &self.backend {
            Backend::Sqlite { writer, .. } => Place::SqliteWriter(writer, NORMAL),
            Backend::Postgres(pools) => Place::PostgresPool(pools, &pools.steps),
        };
        Statement::new(sql, place, &self.statements)
    }

    /// Whether a statement can be answered.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn ping(&self) -> Result<()> {
        self.read(PING).one().await?;
        Ok(())
    }

    /// Whether other processes may work on it, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match &self.backend {
            Backend::Sqlite { .. } => false,
            Backend::Postgres(_) => true,
        }
    }

    /// Statements that were sent since it was opened, beginnings and ends of transactions included: round trips, where the
    /// database is a server.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// What opening it had to migrate.
    #[must_use]
    pub fn migrated(&self) -> Migrated {
        self.migrated
    }

    /// Waits for the statements under way and closes every connection.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Backend::Postgres(pools) => {
                pools.requests.close().await;
                pools.steps.close().await;
            }
        }
    }

    fn count(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

/// Several statements that happen together or not at all. Dropped without [`Transaction::commit`], they did not happen.
#[derive(Debug)]
pub struct Transaction {
    begun: Begun,
    statements: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Begun {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(Pools, sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Transaction {
    /// Makes it happen; when this returns it is as durable as the transaction was begun.
    ///
    /// # Errors
    /// When the database cannot; then nothing happened, or (with a lost connection) it is not known.
    pub async fn commit(self) -> Result<()> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        match self.begun {
            Begun::Sqlite(begun) => begun.commit().await?,
            Begun::Postgres(pools, begun) => pools.at_home(begun.commit()).await?,
        }
        Ok(())
    }

    /// A statement of it.
    fn statement(&mut self, sql: Sql) -> Statement<'_> {
        let place = match &mut self.begun {
            Begun::Sqlite(begun) => Place::Sqlite(begun),
            Begun::Postgres(_, begun) => Place::Postgres(begun),
        };
        Statement::new(sql, place, &self.statements)
    }
}

/// A kept time of a recording's samples, microseconds since 1970 UTC.
fn from_micros(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or(DatabaseError::Corrupt("time"))
}

#[cfg(test)]
mod tests;
