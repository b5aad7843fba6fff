//! Rows. One writer and a pool of readers over one SQLite file in write-ahead mode.
//!
//! A subject a file; each adds its statements to [`Database`] (reads) or takes a [`Transaction`] (writes). What is
//! committed is on disk: `synchronous = FULL`.

mod accounts;
mod jobs;
mod models;
mod patients;
mod recordings;
mod sessions;
mod test_events;

pub use accounts::{Account, NewAccount};
pub use jobs::{DeadJob, Fence, Job, JobKind, Outcome, QueueDepth};
pub use models::{ModelRow, NewModel, TrainingRecording};
pub use patients::{CareProvider, Patient, PatientLink};
pub use recordings::{Acceptance, AfterConversion, AxisRange, Conversion, NewRecording, RecordingRow, TrainingRule};
pub use sessions::{Refreshed, SessionRow};
pub use test_events::{TestEvent, TestEventFilter, TestResult, TestType};

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a statement did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database could not be reached in time, or every connection is busy.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// No space is left, or a quota is used up.
    #[error("the database's disk is full")]
    Full(#[source] sqlx::Error),
    /// A row with that key is there already.
    #[error("a row with that key is there already")]
    Duplicate(#[source] sqlx::Error),
    /// A row that another refers to is not there.
    #[error("a row that this one refers to is not there")]
    MissingReference(#[source] sqlx::Error),
    /// The lease under which this was done is over; nothing was written.
    #[error("the lease under which this was done is over")]
    Fenced,
    /// A row holds something that this version does not understand.
    #[error("a row holds an unexpected value: {0}")]
    Corrupt(&'static str),
    /// The migrations could not be applied.
    #[error("the database could not be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Anything else.
    #[error("a statement failed")]
    Statement(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        const SQLITE_FULL: &str = "13";
        if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_)) {
            return Self::Unavailable(error);
        }
        match error.as_database_error() {
            Some(cause) if cause.is_unique_violation() => Self::Duplicate(error),
            Some(cause) if cause.is_foreign_key_violation() => Self::MissingReference(error),
            Some(cause) if cause.code().as_deref() == Some(SQLITE_FULL) => Self::Full(error),
            _ => Self::Statement(error),
        }
    }
}

/// A statement's answer.
pub type Result<T> = std::result::Result<T, DatabaseError>;

/// Several statements that happen together or not at all. Dropped without [`Transaction::commit`], they did not happen.
#[derive(Debug)]
pub struct Transaction(sqlx::Transaction<'static, sqlx::Sqlite>);

impl Transaction {
    /// Makes it happen; when this returns it is as durable as the transaction was begun.
    ///
    /// # Errors
    /// When the database cannot; then nothing happened, or (with a lost connection) it is not known.
    pub async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }

    /// The connection, for statements.
    fn conn(&mut self) -> &mut sqlx::SqliteConnection {
        &mut self.0
    }
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Database {
    /// Opens the file, makes it where it is absent, and applies missing migrations.
    ///
    /// # Errors
    /// When the file cannot be opened or migrated.
    pub async fn open(path: &Path, readers: u32, acquire_timeout: Duration) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(acquire_timeout)
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864");
        let pool = || SqlitePoolOptions::new().acquire_timeout(acquire_timeout).test_before_acquire(false);
        let writer = pool().min_connections(1).max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await?;
        let readers = pool()
            .min_connections(1)
            .max_connections(readers)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self { readers, writer })
    }

    /// Starts a transaction that may write; one at a time, the others wait their turn.
    ///
    /// # Errors
    /// When no turn comes within the acquire timeout.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction(self.writer.begin_with("PRAGMA synchronous = FULL; BEGIN IMMEDIATE").await?))
    }

    /// [`Database::begin`] for a step of a job. Once committed it survives the death of the process; a power failure may
    /// undo it with all that came after, and then the job, acknowledged before by a durable transaction, does it again.
    async fn begin_redoable(&self) -> Result<Transaction> {
        Ok(Transaction(self.writer.begin_with("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE").await?))
    }

    /// Whether a statement can be answered.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    /// Waits for the statements under way and closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The file that a `sqlite://` URL names.
#[must_use]
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    url.strip_prefix("sqlite://").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A time as it is kept: microseconds since 1970-01-01 UTC.
fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// A kept time.
fn from_micros(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or(DatabaseError::Corrupt("time"))
}

#[cfg(test)]
mod tests;
