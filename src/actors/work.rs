//! Leased work: what a worker holds while it does a job, and the ledger of all that is held.
//!
//! An [`Assignment`] that is dropped before it is settled, because its actor died, is given back at once. One whose
//! time is over is struck off the ledger: its lease ends, the job is leased anew, and the fence refuses a late result.
//! What could not be recorded, because the database is away, stays on the ledger until it can.

use super::metrics::Metrics;
use super::outbox::Outbox;
use super::updates::Updates;
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::domain::score::Failure;
use crate::storage::database::{Database, DatabaseError, Fence, Hint, Job, JobKind, Outcome};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Why a job was not done.
#[derive(Debug)]
pub enum JobError {
    /// It may go better next time; the cause is for the log and holds nothing of a person.
    Retry(&'static str),
    /// Something that every job needs is away: the database, the object store, room on the disk. Says nothing of this job,
    /// and is no attempt of it.
    Away(&'static str),
    /// It never will.
    Dead(Failure),
    /// Somebody else has it by now.
    Fenced,
}

impl JobError {
    /// It never will go better.
    #[must_use]
    pub fn dead(code: &str, message: &str) -> Self {
        Self::Dead(Failure { code: code.to_owned(), message: message.to_owned() })
    }
}

impl From<DatabaseError> for JobError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Fenced => Self::Fenced,
            DatabaseError::Unavailable(_) => Self::Away("database not available"),
            DatabaseError::Full(_) => Self::Away("database disk full"),
            DatabaseError::Corrupt(what) => Self::Retry(what),
            DatabaseError::Duplicate(_)
            | DatabaseError::MissingReference(_)
            | DatabaseError::Migration(_)
            | DatabaseError::Statement(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a statement of a job failed");
                Self::Retry("statement failed")
            }
        }
    }
}

impl From<super::compute::ComputeError> for JobError {
    fn from(error: super::compute::ComputeError) -> Self {
        match error {
            super::compute::ComputeError::Panicked => Self::Retry("panicked"),
            super::compute::ComputeError::Stopping => Self::Away("stopping"),
        }
    }
}

/// Bounds of work.
#[derive(Debug, Clone)]
pub struct WorkPolicy {
    /// How many jobs of each kind at once, in the order of [`JobKind::ALL`].
    pub at_once: [usize; 4],
    /// How long a job of each kind may take.
    pub deadline: [Duration; 4],
    /// How long a lease holds without being extended.
    pub lease: Duration,
    /// Attempts before a job is given up.
    pub max_attempts: i64,
    /// Delay after the first failure; doubles with each.
    pub backoff_first: Duration,
    /// Longest delay.
    pub backoff_cap: Duration,
    /// Longest rest of a kind while something that it needs is away.
    pub longest_rest: Duration,
}

fn index(kind: JobKind) -> usize {
    match kind {
        JobKind::Convert => 0,
        JobKind::Train => 1,
        JobKind::Score => 2,
        JobKind::Delete => 3,
    }
}

impl WorkPolicy {
    /// How long a job of that kind may take.
    #[must_use]
    pub fn deadline(&self, kind: JobKind) -> Duration {
        self.deadline.get(index(kind)).copied().unwrap_or(Duration::from_secs(60))
    }

    fn at_once(&self, kind: JobKind) -> usize {
        self.at_once.get(index(kind)).copied().unwrap_or(1)
    }
}

/// All that is held. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: WorkPolicy,
    database: Database,
    clock: SharedClock,
    entropy: Entropy,
    metrics: Metrics,
    updates: Updates,
    elsewhere: Option<Outbox>,
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    jobs: HashMap<Fence, (JobKind, Instant)>,
    /// What is not recorded yet, and why it was not done.
    unsettled: Vec<(Job, JobError)>,
    /// Kinds of which there may be a job ready.
    due: HashSet<JobKind>,
    /// Kinds that rest because something that they need is away.
    resting: HashMap<JobKind, Rest>,
}

/// Until when, and how often in a row.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    times: u32,
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new(
        policy: WorkPolicy,
        database: Database,
        clock: SharedClock,
        entropy: Entropy,
        metrics: Metrics,
        updates: Updates,
        elsewhere: Option<Outbox>,
    ) -> Self {
        let (held, changed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { policy, database, clock, entropy, metrics, updates, elsewhere, held, changed }))
    }

    /// The bounds.
    #[must_use]
    pub fn policy(&self) -> &WorkPolicy {
        &self.0.policy
    }

    /// How many jobs of a kind to ask the queue for: as many as there are free hands, when some may be ready. Whoever asks
    /// and gets that many says so by [`Ledger::wake`], for there may be more.
    pub(super) fn wanted(&self, kind: JobKind) -> usize {
        let mut held = self.held();
        match self.free(&held, kind) {
            0 => 0,
            free => usize::from(held.due.remove(&kind)) * free,
        }
    }

    /// How many hands are free for a kind; none while it rests.
    fn free(&self, held: &Held, kind: JobKind) -> usize {
        if held.resting.get(&kind).is_some_and(|rest| rest.until > Instant::now()) {
            return 0;
        }
        let busy = held.jobs.values().filter(|(held, _)| *held == kind).count();
        self.0.policy.at_once(kind).saturating_sub(busy)
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held().jobs.is_empty()
    }

    /// Waits until something is given back, or new work may be there.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// A job of that kind may be ready: this process put it there. Others hear of it where no hand is free here.
    pub fn wake(&self, kind: JobKind) {
        let free = self.free(&self.held(), kind);
        if free == 0
            && let Some(outbox) = &self.0.elsewhere
        {
            outbox.tell(Hint::Job(kind));
        }
        self.heard(kind);
    }

    /// A job of that kind may be ready.
    pub(super) fn heard(&self, kind: JobKind) {
        self.held().due.insert(kind);
        self.0.changed.notify_one();
    }

    /// Takes a leased job.
    #[must_use]
    pub fn assign(&self, job: Job) -> Assignment {
        let until = Instant::now() + self.0.policy.deadline(job.kind) + self.0.policy.lease;
        self.held().jobs.insert(job.fence, (job.kind, until));
        self.0.metrics.in_flight(job.kind.name(), 1);
        Assignment { job: Some(job), ledger: self.clone(), begun: Instant::now() }
    }

    /// Leases to extend; what is over its time is struck off.
    pub(super) fn living(&self) -> Vec<Fence> {
        let now = Instant::now();
        let mut held = self.held();
        held.jobs.retain(|fence, (kind, until)| {
            let living = *until > now;
            if !living {
                tracing::error!(kind = kind.name(), job = fence.job_id, "a job is over its time and was struck off");
                self.0.metrics.in_flight(kind.name(), -1);
                self.0.metrics.stage(kind.name(), "overdue", self.0.policy.deadline(*kind));
            }
            living
        });
        held.jobs.keys().copied().collect()
    }

    /// Records what is not recorded yet, as far as the database can.
    pub(super) async fn settle(&self) {
        let unsettled = std::mem::take(&mut self.held().unsettled);
        for (job, error) in unsettled {
            self.fail(job, error).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, job: &Job) {
        if self.held().jobs.remove(&job.fence).is_some() {
            self.0.metrics.in_flight(job.kind.name(), -1);
        }
        // A hand is free, for what is known to wait.
        if self.held().due.contains(&job.kind) {
            self.0.changed.notify_one();
        }
    }

    /// Records that a job was not done and lets go of it; what cannot be recorded now stays held.
    async fn fail(&self, job: Job, error: JobError) {
        let Inner { policy, database, clock, entropy, .. } = &*self.0;
        let outcome = match &error {
            JobError::Fenced => return self.release(&job),
            JobError::Dead(failure) => Outcome::Dead(failure.clone()),
            JobError::Away(reason) => {
                Outcome::Postponed { at: clock.now() + self.rest(job.kind), reason: (*reason).to_owned() }
            }
            JobError::Retry(reason) if job.attempt >= policy.max_attempts => Outcome::Dead(Failure {
                code: "attempts_exhausted".into(),
                message: format!("given up after {} attempts: {reason}", job.attempt),
            }),
            JobError::Retry(reason) => {
                let failures = u32::try_from(job.attempt).unwrap_or(u32::MAX);
                let pause = entropy.backoff(policy.backoff_first, policy.backoff_cap, failures);
                Outcome::Retry { at: clock.now() + pause, reason: (*reason).to_owned() }
            }
        };
        tracing::warn!(kind = job.kind.name(), test_event = %job.subject, attempt = job.attempt, ?outcome, "a job was not done");
        match database.fail_job(&job, &outcome, clock.now()).await {
            Ok(()) | Err(DatabaseError::Fenced) => {}
            Err(failed) => {
                tracing::warn!(error = &failed as &dyn std::error::Error, "a failure could not be recorded");
                self.held().unsettled.push((job, error));
                return;
            }
        }
        self.0.updates.publish(job.subject, true);
        self.release(&job);
    }

    /// Lets a kind rest, longer each time that it comes from a rest; for how long.
    fn rest(&self, kind: JobKind) -> Duration {
        let (now, policy) = (Instant::now(), &self.0.policy);
        let mut held = self.held();
        let rest = held.resting.entry(kind).or_insert(Rest { until: now, times: 0 });
        if rest.until <= now {
            rest.times = rest.times.saturating_add(1);
            rest.until = now + self.0.entropy.backoff(policy.backoff_first, policy.longest_rest, rest.times);
        }
        rest.until.saturating_duration_since(now)
    }

    /// What a kind needs is there.
    fn rested(&self, kind: JobKind) {
        self.held().resting.remove(&kind);
    }
}

/// A job in the hands of a worker.
#[derive(Debug)]
pub struct Assignment {
    job: Option<Job>,
    ledger: Ledger,
    begun: Instant,
}

impl Assignment {
    /// Does the job within its time and settles it.
    pub async fn perform<F>(mut self, work: impl FnOnce(Job) -> F)
    where
        F: Future<Output = Result<(), JobError>>,
    {
        let Some(job) = self.job.clone() else { return };
        let policy = self.ledger.policy();
        let result = if job.attempt > policy.max_attempts {
            Err(JobError::dead("attempts_exhausted", "given up: the process stopped in the middle of every attempt"))
        } else {
            tokio::time::timeout(policy.deadline(job.kind), work(job.clone()))
                .await
                .unwrap_or(Err(JobError::Retry("took too long")))
        };
        let outcome = match &result {
            Ok(()) => "done",
            Err(JobError::Retry(_)) => "retry",
            Err(JobError::Away(_)) => "away",
            Err(JobError::Dead(_)) => "dead",
            Err(JobError::Fenced) => "fenced",
        };
        self.ledger.0.metrics.stage(job.kind.name(), outcome, self.begun.elapsed());
        match result {
            Ok(()) => {
                self.job = None;
                self.ledger.rested(job.kind);
                self.ledger.release(&job);
            }
            Err(error) => {
                // Dropped from here on, it is struck off when its time is over.
                self.job = None;
                self.ledger.fail(job, error).await;
            }
        }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Gives the job back without having tried it.
    pub async fn give_back(mut self) {
        let Some(job) = self.job.take() else { return };
        if let Err(error) = self.ledger.0.database.return_jobs(&[job.fence]).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a job could not be given back");
        }
        let mut held = self.ledger.held();
        held.due.insert(job.kind);
        if held.jobs.remove(&job.fence).is_some() {
            self.ledger.0.metrics.in_flight(job.kind.name(), -1);
        }
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.ledger.held().unsettled.push((job, JobError::Retry("its actor died")));
            self.ledger.0.changed.notify_one();
        }
    }
}
