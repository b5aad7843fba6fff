//! The durable queue: fair between lanes, leased with fencing, retried with a delay, dead with a reason.
//!
//! Fairness is start-time fair queueing: a job's position is one after the last live job of its lane, or the lowest
//! live position where its lane has none. A lane with an hour of work queued is thus served in turn with one that has
//! a single job. (Goyal, Vin, Cheng: Start-time fair queueing, 1996.)

use super::{Database, DatabaseError, Result, Transaction, from_micros, micros};
use crate::domain::ids::TestEventId;
use crate::domain::score::Failure;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// Raw document to Parquet, CSV and rows. The subject is the recording.
    Convert,
    /// A patient's model for a movement. The subject is the training recording that completed the count.
    Train,
    /// A score. The subject is the recording.
    Score,
}

impl JobKind {
    /// Every kind, in the order of the pipeline.
    pub const ALL: [Self; 3] = [Self::Convert, Self::Train, Self::Score];

    /// Its name in the database and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Convert => "convert",
            Self::Train => "train",
            Self::Score => "score",
        }
    }

    fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(DatabaseError::Corrupt("job kind"))
    }
}

/// The right to finish a job: it ends when the job is leased again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Which job.
    pub job_id: i64,
    /// Which lease of it.
    pub token: i64,
}

/// A leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The right to finish it.
    pub fence: Fence,
    /// What to do.
    pub kind: JobKind,
    /// With which recording.
    pub subject: TestEventId,
    /// Whose work it is.
    pub lane: String,
    /// Which attempt this is, from 1.
    pub attempt: i64,
    /// Since when it waits.
    pub enqueued_at: DateTime<Utc>,
}

/// What becomes of a job that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is tried again then.
    Retry {
        /// When.
        at: DateTime<Utc>,
        /// Why it was not done.
        reason: String,
    },
    /// It is tried again then, and this was no attempt of it.
    Postponed {
        /// When.
        at: DateTime<Utc>,
        /// What was away.
        reason: String,
    },
    /// It is never tried again; its recording is marked failed.
    Dead(Failure),
}

/// How much of a kind waits.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDepth {
    /// Of which kind.
    pub kind: JobKind,
    /// In which state: `ready`, `delayed`, `leased` or `dead`.
    pub state: String,
    /// How many.
    pub jobs: i64,
    /// Since when the oldest waits.
    pub oldest: DateTime<Utc>,
}

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// What it was to do.
    pub kind: JobKind,
    /// With which recording.
    pub subject: TestEventId,
    /// Why it was given up.
    pub reason: String,
}

/// Adds a job for a recording, in the recording's lane, at the position that is fair.
const ENQUEUE: &str = "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
    SELECT ?1, test_event_id, lane, 'ready', 0, ?3, max(
        coalesce((SELECT max(position) + 1 FROM jobs
                  WHERE kind = ?1 AND jobs.lane = recordings.lane AND state IN ('ready', 'leased')), 0),
        coalesce((SELECT min(position) FROM jobs WHERE kind = ?1 AND state IN ('ready', 'leased')), 0))
    FROM recordings WHERE test_event_id = ?2
    ON CONFLICT (kind, subject) DO NOTHING";

impl Transaction {
    /// Adds a job for a recording; one that is there already stays as it is.
    pub(super) async fn enqueue(&mut self, kind: JobKind, subject: &str, now: DateTime<Utc>) -> Result<()> {
        sqlx::query(ENQUEUE).bind(kind.name()).bind(subject).bind(micros(now)).execute(self.conn()).await?;
        Ok(())
    }

    /// Takes a job out of the queue: what else the transaction does counts only if the lease still holds.
    pub(super) async fn finish(&mut self, fence: Fence) -> Result<()> {
        let gone = sqlx::query("DELETE FROM jobs WHERE job_id = ?1 AND fence = ?2 AND state = 'leased'")
            .bind(fence.job_id)
            .bind(fence.token)
            .execute(self.conn())
            .await?;
        if gone.rows_affected() == 1 { Ok(()) } else { Err(DatabaseError::Fenced) }
    }
}

impl Database {
    /// Leases up to `limit` jobs of a kind to `owner`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn lease_jobs(&self, kind: JobKind, limit: u32, owner: &str, until: DateTime<Utc>) -> Result<Vec<Job>> {
        let mut transaction = self.begin_redoable().await?;
        let rows = sqlx::query(
            "UPDATE jobs SET state = 'leased', owner = ?1, due_at = ?2, fence = fence + 1, attempts = attempts + 1
             WHERE job_id IN (SELECT job_id FROM jobs WHERE kind = ?3 AND state = 'ready' ORDER BY position, job_id LIMIT ?4)
             RETURNING job_id, fence, kind, subject, lane, attempts, enqueued_at",
        )
        .bind(owner)
        .bind(micros(until))
        .bind(kind.name())
        .bind(limit)
        .fetch_all(transaction.conn())
        .await?;
        transaction.commit().await?;
        rows.iter().map(read_job).collect()
    }

    /// Holds leases on for longer.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn extend_leases(&self, fences: &[Fence], until: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        for fence in fences {
            sqlx::query("UPDATE jobs SET due_at = ?1 WHERE job_id = ?2 AND fence = ?3 AND state = 'leased'")
                .bind(micros(until))
                .bind(fence.job_id)
                .bind(fence.token)
                .execute(transaction.conn())
                .await?;
        }
        transaction.commit().await
    }

    /// Makes ready what waited long enough, and what a dead or stuck worker held; says how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_due_jobs(&self, now: DateTime<Utc>) -> Result<u64> {
        let due = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state IN ('delayed', 'leased') AND due_at <= ?1)";
        if !sqlx::query_scalar::<_, bool>(due).bind(micros(now)).fetch_one(&self.readers).await? {
            return Ok(0);
        }
        let mut transaction = self.begin_redoable().await?;
        let released = sqlx::query(
            "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1 WHERE state IN ('delayed', 'leased') AND due_at <= ?1",
        )
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        transaction.commit().await?;
        Ok(released.rows_affected())
    }

    /// Makes ready every leased job: for the start of a process that shares its database with no other.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_all_leases(&self) -> Result<u64> {
        let mut transaction = self.begin_redoable().await?;
        let released =
            sqlx::query("UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1 WHERE state = 'leased'")
                .execute(transaction.conn())
                .await?;
        transaction.commit().await?;
        Ok(released.rows_affected())
    }

    /// Gives leased jobs back unfinished, as if they had not been leased.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn return_jobs(&self, fences: &[Fence]) -> Result<()> {
        let mut transaction = self.begin_redoable().await?;
        for fence in fences {
            sqlx::query(
                "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1, attempts = attempts - 1
                 WHERE job_id = ?1 AND fence = ?2 AND state = 'leased'",
            )
            .bind(fence.job_id)
            .bind(fence.token)
            .execute(transaction.conn())
            .await?;
        }
        transaction.commit().await
    }

    /// Records that a job was not done.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else has it by now.
    pub async fn fail_job(&self, job: &Job, outcome: &Outcome, now: DateTime<Utc>) -> Result<()> {
        let (state, due_at, reason, uncounted) = match outcome {
            Outcome::Retry { at, reason } => ("delayed", micros(*at), reason, 0),
            Outcome::Postponed { at, reason } => ("delayed", micros(*at), reason, 1),
            Outcome::Dead(failure) => ("dead", 0, &failure.message, 0),
        };
        let mut transaction = self.begin_redoable().await?;
        let updated = sqlx::query(
            "UPDATE jobs SET state = ?1, due_at = ?2, reason = ?3, attempts = attempts - ?4, owner = NULL
             WHERE job_id = ?5 AND fence = ?6 AND state = 'leased'",
        )
        .bind(state)
        .bind(due_at)
        .bind(reason)
        .bind(uncounted)
        .bind(job.fence.job_id)
        .bind(job.fence.token)
        .execute(transaction.conn())
        .await?;
        if updated.rows_affected() != 1 {
            return Err(DatabaseError::Fenced);
        }
        if let Outcome::Dead(failure) = outcome
            && job.kind != JobKind::Train
        {
            transaction.mark_failed(job.subject, failure, now).await?;
        }
        transaction.commit().await
    }

    /// How much waits, by kind and state.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn queue_depths(&self) -> Result<Vec<QueueDepth>> {
        let rows = sqlx::query(
            "SELECT kind, state, count(*) AS jobs, min(enqueued_at) AS oldest FROM jobs GROUP BY kind, state",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(QueueDepth {
                    kind: JobKind::from_name(row.try_get("kind")?)?,
                    state: row.try_get("state")?,
                    jobs: row.try_get("jobs")?,
                    oldest: from_micros(row.try_get("oldest")?)?,
                })
            })
            .collect()
    }

    /// Jobs that were given up, oldest first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn dead_jobs(&self, limit: u32) -> Result<Vec<DeadJob>> {
        let rows = sqlx::query("SELECT kind, subject, reason FROM jobs WHERE state = 'dead' ORDER BY job_id LIMIT ?1")
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DeadJob {
                    kind: JobKind::from_name(row.try_get("kind")?)?,
                    subject: read_subject(row)?,
                    reason: row.try_get::<Option<String>, _>("reason")?.unwrap_or_default(),
                })
            })
            .collect()
    }
}

fn read_job(row: &SqliteRow) -> Result<Job> {
    Ok(Job {
        fence: Fence { job_id: row.try_get("job_id")?, token: row.try_get("fence")? },
        kind: JobKind::from_name(row.try_get("kind")?)?,
        subject: read_subject(row)?,
        lane: row.try_get("lane")?,
        attempt: row.try_get("attempts")?,
        enqueued_at: from_micros(row.try_get("enqueued_at")?)?,
    })
}

fn read_subject(row: &SqliteRow) -> Result<TestEventId> {
    row.try_get::<&str, _>("subject")?.parse().map_err(|_| DatabaseError::Corrupt("job subject"))
}
