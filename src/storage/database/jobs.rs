//! The durable queue: fair between lanes, leased with fencing, retried with a delay, dead with a reason.
//!
//! Fairness is start-time fair queueing: a job's position is one after the last live job of its lane, or the lowest
//! live position where its lane has none. A lane with an hour of work queued is thus served in turn with one that has
//! a single job. (Goyal, Vin, Cheng: Start-time fair queueing, 1996.)

use super::statement::Row;
use super::{Database, DatabaseError, ModelRow, RecordingRow, Result, Transaction, statements};
use crate::domain::ids::TestEventId;
use crate::domain::score::Failure;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// Raw document to Parquet, CSV and rows. The subject is the recording.
    Convert,
    /// A patient's model for a movement. The subject is the training recording that completed the count.
    Train,
    /// A score. The subject is the recording.
    Score,
    /// Removes the objects of what was deleted. The subject is the test event that is gone.
    Delete,
}

impl JobKind {
    /// Every kind, in the order of the pipeline.
    pub const ALL: [Self; 4] = [Self::Convert, Self::Train, Self::Score, Self::Delete];

    /// Its name in the database and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Convert => "convert",
            Self::Train => "train",
            Self::Score => "score",
            Self::Delete => "delete",
        }
    }

    fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(DatabaseError::Corrupt("job kind"))
    }
}

/// The right to finish a job: it ends when the job is leased again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// Which job.
    pub job_id: i64,
    /// Which lease of it.
    pub token: i64,
}

/// A leased job.
#[derive(Debug, Clone, PartialEq)]
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
    /// The recording, where it is there still.
    pub recording: Option<Arc<RecordingRow>>,
    /// Of a score: the newest model of the patient and movement, where there is one.
    pub model: Option<Arc<ModelRow>>,
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

statements! {
    EXTEND = each(
        "UPDATE jobs SET due_at = $1
         WHERE job_id IN (SELECT value FROM json_each($2)) AND state = 'leased' AND fence = (
             SELECT fences.value FROM json_each($2) AS ids JOIN json_each($3) AS fences ON fences.key = ids.key
             WHERE ids.value = jobs.job_id)",
        "UPDATE jobs SET due_at = $1 FROM unnest($2, $3) AS held (job_id, fence)
         WHERE jobs.job_id = held.job_id AND jobs.fence = held.fence AND state = 'leased'",
    );
    RETURN = each(
        "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1, attempts = attempts - 1
         WHERE job_id IN (SELECT value FROM json_each($1)) AND state = 'leased' AND fence = (
             SELECT fences.value FROM json_each($1) AS ids JOIN json_each($2) AS fences ON fences.key = ids.key
             WHERE ids.value = jobs.job_id)",
        "UPDATE jobs SET state = 'ready', owner = NULL, fence = jobs.fence + 1, attempts = attempts - 1
         FROM unnest($1, $2) AS held (job_id, fence)
         WHERE jobs.job_id = held.job_id AND jobs.fence = held.fence AND state = 'leased'",
    );
    ANY_DUE = shared(
        "SELECT coalesce(min(due_at) <= $1, false) AS due FROM jobs WHERE state IN ('delayed', 'leased')",
    );
    /// Another process may be releasing, extending or finishing the same jobs: those are its business. PostgreSQL takes an
    /// array for few, and uses the index, where it takes a subquery for a tenth of the table.
    RELEASE_DUE = each(
        "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1
         WHERE state IN ('delayed', 'leased') AND due_at <= $1",
        "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1
         WHERE job_id = ANY (ARRAY(
             SELECT job_id FROM jobs WHERE state IN ('delayed', 'leased') AND due_at <= $1 FOR UPDATE SKIP LOCKED))",
    );
    RELEASE_ALL = shared(
        "UPDATE jobs SET state = 'ready', owner = NULL, fence = fence + 1
         WHERE state IN ('delayed', 'leased') AND state = 'leased' AND due_at >= $1",
    );
    FAIL = shared(
        "UPDATE jobs SET state = $1, due_at = $2, reason = $3, attempts = attempts - $4, owner = NULL
         WHERE job_id = $5 AND fence = $6 AND state = 'leased'",
    );
    QUEUE_DEPTHS = shared(
        "SELECT kinds.column1 AS kind, states.column1 AS state,
                (SELECT count(*) FROM jobs WHERE kind = kinds.column1 AND state = states.column1) AS jobs,
                (SELECT min(enqueued_at) FROM jobs WHERE kind = kinds.column1 AND state = states.column1) AS oldest
         FROM (VALUES ('convert'), ('train'), ('score'), ('delete')) AS kinds
             CROSS JOIN (VALUES ('ready'), ('delayed'), ('leased'), ('dead')) AS states",
    );
    /// Dead jobs that were given up until $1, at most $2, each at the position that is fair among those that wait now.
    REQUEUE_DEAD = each(
        "UPDATE jobs SET state = 'ready', attempts = 0, fence = fence + 1, due_at = $1, enqueued_at = $1, position = max(
             coalesce((SELECT max(position) + 1 FROM jobs AS mine
                       WHERE kind = dead.kind AND mine.lane = dead.lane AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs AS all_lanes
                       WHERE kind = dead.kind AND state IN ('ready', 'leased')), 0)) + place
         FROM (SELECT job_id, kind, lane, row_number() OVER (PARTITION BY kind, lane ORDER BY job_id) - 1 AS place
               FROM (SELECT job_id, kind, lane FROM jobs WHERE state = 'dead' AND due_at <= $1 ORDER BY job_id LIMIT $2)
               AS oldest) AS dead
         WHERE jobs.job_id = dead.job_id
         RETURNING job_id",
        "UPDATE jobs SET state = 'ready', attempts = 0, fence = fence + 1, due_at = $1, enqueued_at = $1, position = greatest(
             coalesce((SELECT max(position) + 1 FROM jobs AS mine
                       WHERE kind = dead.kind AND mine.lane = dead.lane AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs AS all_lanes
                       WHERE kind = dead.kind AND state IN ('ready', 'leased')), 0)) + place
         FROM (SELECT job_id, kind, lane, row_number() OVER (PARTITION BY kind, lane ORDER BY job_id) - 1 AS place
               FROM (SELECT job_id, kind, lane FROM jobs WHERE state = 'dead' AND due_at <= $1 ORDER BY job_id LIMIT $2
                     FOR UPDATE SKIP LOCKED) AS oldest) AS dead
         WHERE jobs.job_id = dead.job_id
         RETURNING jobs.job_id",
    );
    /// A job for a recording, in the recording's lane, at the position that is fair.
    ENQUEUE = each(
        "INSERT INTO jobs (kind, subject, lane, state, due_at, enqueued_at, position)
         SELECT $1, test_event_id, lane, 'ready', $3, $3, max(
             coalesce((SELECT max(position) + 1 FROM jobs
                       WHERE kind = $1 AND jobs.lane = recordings.lane AND state IN ('ready', 'leased')), 0),
             coalesce((SELECT min(position) FROM jobs WHERE kind = $1 AND state IN ('ready', 'leased')), 0))
         FROM recordings WHERE test_event_id = $2
         ON CONFLICT (kind, subject) DO NOTHING",
        "SELECT enqueue_job($1, test_event_id, lane, $3) IS NULL AS queued FROM recordings WHERE test_event_id = $2",
    );
    FINISH = shared("DELETE FROM jobs WHERE job_id = $1 AND fence = $2 AND state = 'leased'");
    DEAD = shared("SELECT kind, subject, reason FROM jobs WHERE state = 'dead' ORDER BY job_id LIMIT $1");
}

impl Database {
    /// Holds leases on for longer.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn extend_leases(&self, fences: &[Fence], until: DateTime<Utc>) -> Result<()> {
        let (ids, tokens) = columns(fences);
        self.write_redoable(EXTEND).bind(until).bind(&ids[..]).bind(&tokens[..]).execute().await?;
        Ok(())
    }

    /// Makes ready what waited long enough, and what a dead or stuck worker held; says how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_due_jobs(&self, now: DateTime<Utc>) -> Result<u64> {
        if !self.read(ANY_DUE).bind(now).one().await?.get::<bool>("due")? {
            return Ok(0);
        }
        self.write_redoable(RELEASE_DUE).bind(now).execute().await
    }

    /// Makes ready every leased job: for the start of a process that shares its database with no other.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_all_leases(&self) -> Result<u64> {
        self.write_redoable(RELEASE_ALL).bind(DateTime::UNIX_EPOCH).execute().await
    }

    /// Gives leased jobs back unfinished, as if they had not been leased.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn return_jobs(&self, fences: &[Fence]) -> Result<()> {
        let (ids, tokens) = columns(fences);
        self.write_redoable(RETURN).bind(&ids[..]).bind(&tokens[..]).execute().await?;
        Ok(())
    }

    /// Records that a job was not done.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else has it by now.
    pub async fn fail_job(&self, job: &Job, outcome: &Outcome, now: DateTime<Utc>) -> Result<()> {
        let (state, due_at, reason, uncounted) = match outcome {
            Outcome::Retry { at, reason } => ("delayed", *at, reason, 0_i64),
            Outcome::Postponed { at, reason } => ("delayed", *at, reason, 1),
            Outcome::Dead(failure) => ("dead", now, &failure.message, 0),
        };
        let mut transaction = self.begin_redoable().await?;
        let fail = transaction.statement(FAIL).bind(state).bind(due_at).bind(reason).bind(uncounted);
        if fail.bind(job.fence.job_id).bind(job.fence.token).execute().await? != 1 {
            return Err(DatabaseError::Fenced);
        }
        if let Outcome::Dead(failure) = outcome
            && matches!(job.kind, JobKind::Convert | JobKind::Score)
        {
            transaction.mark_failed(job.subject, failure, now).await?;
        }
        transaction.commit().await
    }

    /// How much waits, by kind and state; what is empty is left out.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn queue_depths(&self) -> Result<Vec<QueueDepth>> {
        let mut depths = Vec::new();
        for row in self.read(QUEUE_DEPTHS).all().await? {
            if let Some(oldest) = row.get("oldest")? {
                let kind = JobKind::from_name(&row.get::<String>("kind")?)?;
                depths.push(QueueDepth { kind, state: row.get("state")?, jobs: row.get("jobs")?, oldest });
            }
        }
        Ok(depths)
    }

    /// Makes jobs ready again that were given up until `now`, at most `limit`, as if they had not been tried; says how many.
    /// The recordings that were marked failed by that stand again where they stood before.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn requeue_dead(&self, now: DateTime<Utc>, limit: u32) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let rows = transaction.statement(REQUEUE_DEAD).bind(now).bind(limit).all().await?;
        let ids = rows.iter().map(|row| row.get("job_id")).collect::<Result<Vec<i64>>>()?;
        transaction.clear_failures_of(&ids, now).await?;
        transaction.commit().await?;
        Ok(ids.len() as u64)
    }

    /// Ends a job after which nothing follows.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] when somebody else has it by now.
    pub async fn end_job(&self, fence: Fence) -> Result<()> {
        let ended = self.write_redoable(FINISH).bind(fence.job_id).bind(fence.token).execute().await?;
        if ended == 1 { Ok(()) } else { Err(DatabaseError::Fenced) }
    }

    /// Jobs that were given up, oldest first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn dead_jobs(&self, limit: u32) -> Result<Vec<DeadJob>> {
        let rows = self.read(DEAD).bind(limit).all().await?;
        rows.iter()
            .map(|row| {
                Ok(DeadJob {
                    kind: JobKind::from_name(&row.get::<String>("kind")?)?,
                    subject: row.get::<Uuid>("subject")?.into(),
                    reason: row.get::<Option<String>>("reason")?.unwrap_or_default(),
                })
            })
            .collect()
    }
}

impl Transaction {
    /// Adds a job for a recording; one that is there already stays as it is.
    pub(super) async fn enqueue(&mut self, kind: JobKind, subject: TestEventId, now: DateTime<Utc>) -> Result<()> {
        self.statement(ENQUEUE).bind(kind.name()).bind(Uuid::from(subject)).bind(now).execute().await?;
        Ok(())
    }

    /// Takes a job out of the queue: what else the transaction does counts only if the lease still holds.
    pub(super) async fn finish(&mut self, fence: Fence) -> Result<()> {
        let gone = self.statement(FINISH).bind(fence.job_id).bind(fence.token).execute().await?;
        if gone == 1 { Ok(()) } else { Err(DatabaseError::Fenced) }
    }
}

fn columns(fences: &[Fence]) -> (Vec<i64>, Vec<i64>) {
    fences.iter().map(|fence| (fence.job_id, fence.token)).unzip()
}

/// Without the rows that it is about.
pub(super) fn read_job(row: &Row) -> Result<Job> {
    Ok(Job {
        fence: Fence { job_id: row.get("job_id")?, token: row.get("fence")? },
        kind: JobKind::from_name(&row.get::<String>("kind")?)?,
        subject: row.get::<Uuid>("subject")?.into(),
        lane: row.get("lane")?,
        attempt: row.get("attempts")?,
        enqueued_at: row.get("enqueued_at")?,
        recording: None,
        model: None,
    })
}
