//! The bucket watch: hears from a queue which objects phones put straight into the bucket, and has ingest take them in. A
//! message is deleted when what it tells of is durable in rows, hidden for longer while that is under way, and left to be
//! delivered again when it could not be done.

use super::ServiceError;
use super::ingest::{Ingest, LAND, Landed, Landing};
use super::metrics::Metrics;
use super::supervision::Handle;
use crate::domain::audit::Entry;
use crate::domain::bucket_event::{BucketEvent, PutObject, RawKey};
use crate::domain::entropy::Entropy;
use crate::storage::notifications::{MOST, Notification, NotificationError, Notifications};
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long one request waits for a message: the longest that the service allows.
const WAIT: Duration = Duration::from_secs(20);
/// First pause after the queue failed; doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// First time for which a message that could not be done is hidden; doubles with each delivery up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST_AGAIN: Duration = Duration::from_secs(120);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct BucketWatchDeps {
    /// The queue.
    pub notifications: Notifications,
    /// Takes objects in.
    pub ingest: Handle<Ingest>,
    /// The bucket that is this program's.
    pub bucket: String,
    /// What its keys begin with, a slash at the end; empty for none.
    pub prefix: String,
    /// Counts what messages told.
    pub metrics: Metrics,
    /// Jitter of pauses.
    pub entropy: Entropy,
    /// Messages in hand at once.
    pub at_once: usize,
    /// How long a message in hand is hidden from others; extended while it takes longer.
    pub hidden: Duration,
    /// Set when the program drains: nothing new is taken.
    pub draining: Arc<AtomicBool>,
}

/// The actor.
#[derive(Debug)]
pub struct BucketWatch(BucketWatchDeps);

impl BucketWatch {
    /// A new one.
    #[must_use]
    pub fn new(deps: BucketWatchDeps) -> Self {
        Self(deps)
    }
}

impl Actor for BucketWatch {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.run().await }.into_actor(self));
    }
}

supervised!(BucketWatch, "bucket_watch");

impl BucketWatchDeps {
    async fn run(&self) {
        let hands = Arc::new(Semaphore::new(self.at_once));
        let mut failures = 0;
        let dead_after = loop {
            match self.notifications.deliveries_until_dead().await {
                Ok(deliveries) => break deliveries,
                Err(error) => self.failed(&error, &mut failures).await,
            }
        };
        if dead_after.is_none() {
            tracing::warn!("the queue has no dead-letter queue: a message that cannot be read is deleted");
        }
        failures = 0;
        while !self.draining.load(Ordering::Relaxed) {
            fail::fail_point!("bucket_watch");
            let mut free = match hands.clone().acquire_owned().await {
                Ok(first) => vec![first],
                Err(_) => return,
            };
            free.extend(std::iter::from_fn(|| hands.clone().try_acquire_owned().ok()).take(MOST - 1));
            match self.notifications.receive(free.len(), WAIT, self.hidden).await {
                Ok(notifications) => {
                    failures = 0;
                    for (notification, hand) in notifications.into_iter().zip(free) {
                        actix::spawn(self.clone().take(notification, dead_after, hand));
                    }
                }
                Err(error) => self.failed(&error, &mut failures).await,
            }
        }
    }

    async fn failed(&self, error: &NotificationError, failures: &mut u32) {
        match error {
            NotificationError::Refused(_) => tracing::error!(%error, "the bucket's events cannot be heard"),
            NotificationError::Unavailable(_) => tracing::warn!(%error, "the bucket's events cannot be heard for now"),
        }
        self.metrics.bucket_event("queue_failed");
        *failures = failures.saturating_add(1);
        tokio::time::sleep(self.entropy.backoff(PAUSE, LONGEST_PAUSE, *failures)).await;
    }

    /// Handles a message, hidden for as long as that takes.
    async fn take(self, notification: Notification, dead_after: Option<u32>, _hand: OwnedSemaphorePermit) {
        let done = self.handle(&notification.body, dead_after);
        tokio::pin!(done);
        let done = loop {
            tokio::select! {
                done = &mut done => break done,
                () = tokio::time::sleep(self.hidden / 2) => {
                    if let Err(error) = self.notifications.hide(&notification, self.hidden).await {
                        tracing::warn!(%error, "a message could not be hidden for longer");
                    }
                }
            }
        };
        let settled = match done {
            Ok(()) => self.notifications.delete(&notification).await,
            Err(reason) => {
                self.metrics.bucket_event("retried");
                let last = dead_after.is_some_and(|last| notification.deliveries >= last);
                tracing::warn!(reason, deliveries = notification.deliveries, last, "a message is left in the queue");
                let again = self.entropy.backoff(AGAIN, LONGEST_AGAIN, notification.deliveries);
                self.notifications.hide(&notification, again.max(AGAIN)).await
            }
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "a message could not be settled; it is delivered again");
        }
    }

    /// Whether the message is done with; why not, otherwise.
    async fn handle(&self, body: &str, dead_after: Option<u32>) -> Result<(), &'static str> {
        let objects = match BucketEvent::read(body) {
            Ok(BucketEvent::Put(objects)) => objects,
            Ok(BucketEvent::Test) => {
                self.metrics.bucket_event("test");
                return Ok(());
            }
            Err(_) => {
                self.metrics.bucket_event("unreadable");
                // Where there is a queue for such messages, this one goes there in the end.
                return if dead_after.is_some() { Err("it cannot be read") } else { Ok(()) };
            }
        };
        for object in objects {
            let Some(raw) = self.raw_key(&object) else {
                self.metrics.bucket_event("foreign");
                continue;
            };
            match self
                .ingest
                .ask(Landed { raw, by: Entry::by_bucket(LAND) })
                .await
                .map_err(ServiceError::from)
                .and_then(|landing| landing)
            {
                Ok(landing) => self.metrics.bucket_event(match landing {
                    Landing::Accepted => "accepted",
                    Landing::Known => "known",
                    Landing::Failed => "failed",
                    Landing::Gone => "gone",
                }),
                Err(ServiceError::Busy { reason, .. }) => return Err(reason),
                Err(ServiceError::NoSpace) => return Err("no space is left"),
                Err(error) => {
                    tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "an object was not taken in");
                    return Err("internal error");
                }
            }
        }
        Ok(())
    }

    /// The raw key of a recording in this program's bucket.
    fn raw_key(&self, object: &PutObject) -> Option<RawKey> {
        let key = object.key.strip_prefix(&self.prefix).filter(|_| object.bucket == self.bucket)?;
        RawKey::read(key)
    }
}
