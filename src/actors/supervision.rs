//! Supervision: what actix does not do.
//!
//! A panic in a handler takes the actor's task with it, and nothing brings it back. Here an actor is made from a
//! factory, on a thread of its own; it is asked every so often whether it still answers; one that is dead or stuck is
//! replaced, after a pause that doubles up to a cap. What it held in memory is gone, as it must be: rows bring the work
//! back.

use super::metrics::Metrics;
use crate::domain::entropy::Entropy;
use actix::dev::ToEnvelope;
use actix::prelude::*;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bounds of supervision.
#[derive(Debug, Clone)]
pub struct SupervisionPolicy {
    /// Messages that may wait at one actor.
    pub mailbox: usize,
    /// How long an asker waits for an answer.
    pub ask_timeout: Duration,
    /// How often an actor is asked whether it lives.
    pub probe_every: Duration,
    /// How long it may take to say so before it counts as stuck.
    pub stuck_after: Duration,
    /// Pause before the first rebuild; doubles with each that follows soon.
    pub backoff_first: Duration,
    /// Longest pause before a rebuild.
    pub backoff_cap: Duration,
    /// Threads on which one actor's work may block at once; further work waits for one.
    pub blocking_threads: usize,
}

/// Why an actor gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Its mailbox is full.
    #[error("the actor's mailbox is full")]
    Full,
    /// It died, and is being rebuilt.
    #[error("the actor is being rebuilt")]
    Gone,
    /// No answer in time.
    #[error("the actor did not answer in time")]
    TimedOut,
}

impl From<AskError> for super::ServiceError {
    fn from(error: AskError) -> Self {
        Self::busy(match error {
            AskError::Full => "mailbox full",
            AskError::Gone => "actor being rebuilt",
            AskError::TimedOut => "actor too slow",
        })
    }
}

/// Asks an actor whether it lives.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Probe;

/// Asks an actor to stop after what it has in hand.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// An actor that can be supervised.
pub trait SupervisedActor: Actor<Context = Context<Self>> + Handler<Probe> + Handler<Stop> {
    /// Its name in metrics and log lines.
    const NAME: &'static str;
}

/// Gives an actor the handlers of [`SupervisedActor`] that hold for all of them.
#[macro_export]
macro_rules! supervised {
    ($actor:ty, $name:literal) => {
        impl actix::Handler<$crate::actors::supervision::Probe> for $actor {
            type Result = ();
            fn handle(&mut self, _: $crate::actors::supervision::Probe, _: &mut Self::Context) {}
        }
        impl actix::Handler<$crate::actors::supervision::Stop> for $actor {
            type Result = ();
            fn handle(&mut self, _: $crate::actors::supervision::Stop, context: &mut Self::Context) {
                actix::ActorContext::stop(context);
            }
        }
        impl $crate::actors::supervision::SupervisedActor for $actor {
            const NAME: &'static str = $name;
        }
    };
}

/// Speaks to an actor across its rebuilds. Cheap to clone.
pub struct Handle<A: Actor> {
    shared: Arc<Shared<A>>,
}

struct Shared<A: Actor> {
    current: RwLock<Addr<A>>,
    ask_timeout: Duration,
    died: Notify,
    generation: AtomicU64,
}

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<A: Actor> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

impl<A: SupervisedActor> Handle<A> {
    /// Sends and waits for the answer, within the policy's time.
    ///
    /// # Errors
    /// [`AskError`], and then it is not known whether the message was handled.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, AskError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.ask_within(self.shared.ask_timeout, message).await
    }

    /// Asks for what may be refused: that nobody answered is told as one more refusal.
    ///
    /// # Errors
    /// What the actor answers, or what becomes of [`AskError`].
    pub async fn ask_for<M, T, E>(&self, message: M) -> Result<T, E>
    where
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<AskError> + Send + 'static,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.ask(message).await?
    }

    /// [`Handle::ask`] with a time of one's own.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask_within<M>(&self, limit: Duration, message: M) -> Result<M::Result, AskError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        match tokio::time::timeout(limit, self.address().send(message)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(MailboxError::Closed)) => {
                self.shared.died.notify_one();
                Err(AskError::Gone)
            }
            Ok(Err(MailboxError::Timeout)) | Err(_) => Err(AskError::TimedOut),
        }
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`AskError::Full`] or [`AskError::Gone`]; then the message was not taken.
    pub fn tell<M>(&self, message: M) -> Result<(), AskError>
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.address().try_send(message).map_err(|error| match error {
            SendError::Full(_) => AskError::Full,
            SendError::Closed(_) => {
                self.shared.died.notify_one();
                AskError::Gone
            }
        })
    }

    fn address(&self) -> Addr<A> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<A: Actor> Handle<A> {
    /// How often it was built.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Relaxed)
    }
}

/// Watches one actor for as long as the program runs.
#[derive(Debug)]
pub struct Supervisor {
    name: &'static str,
    watch: tokio::task::JoinHandle<bool>,
    stop: Arc<Notify>,
    alive: Alive,
}

/// Whether an actor answered when it was last asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alive {
    /// The actor's name.
    pub name: &'static str,
    answered: Arc<AtomicBool>,
}

impl Alive {
    /// Whether it did.
    #[must_use]
    pub fn get(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Supervisor {
    /// Builds an actor on a thread of its own and watches it. `factory` makes it anew each time.
    pub fn start<A: SupervisedActor>(
        policy: &SupervisionPolicy,
        metrics: &Metrics,
        entropy: &Entropy,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> (Handle<A>, Self) {
        let factory: Arc<dyn Fn() -> A + Send + Sync> = Arc::new(factory);
        let (arbiter, address) = build(policy, &factory);
        let shared = Arc::new(Shared {
            current: RwLock::new(address),
            ask_timeout: policy.ask_timeout,
            died: Notify::new(),
            generation: AtomicU64::new(1),
        });
        let stop = Arc::new(Notify::new());
        let alive = Alive { name: A::NAME, answered: Arc::new(AtomicBool::new(true)) };
        metrics.actor_started(A::NAME);
        let watcher = Watcher {
            shared: shared.clone(),
            policy: policy.clone(),
            metrics: metrics.clone(),
            entropy: entropy.clone(),
            factory,
            arbiter,
            alive: alive.clone(),
        };
        let watch = tokio::spawn(watcher.run(stop.clone()));
        (Handle { shared }, Self { name: A::NAME, watch, stop, alive })
    }

    /// The actor's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the actor answered when it was last asked.
    #[must_use]
    pub fn alive(&self) -> Alive {
        self.alive.clone()
    }

    /// Stops the actor after what it has in hand; false when it did not within `limit`.
    pub async fn stop(self, limit: Duration) -> bool {
        self.stop.notify_one();
        matches!(tokio::time::timeout(limit, self.watch).await, Ok(Ok(true)))
    }
}

fn build<A: SupervisedActor>(
    policy: &SupervisionPolicy,
    factory: &Arc<dyn Fn() -> A + Send + Sync>,
) -> (Arbiter, Addr<A>) {
    let threads = policy.blocking_threads;
    let arbiter = Arbiter::with_tokio_rt(move || runtime(threads));
    let (factory, mailbox) = (factory.clone(), policy.mailbox);
    let address = A::start_in_arbiter(&arbiter.handle(), move |context| {
        context.set_mailbox_capacity(mailbox);
        factory()
    });
    (arbiter, address)
}

/// What an actor runs on: one thread, and a bounded number beside it for what blocks.
#[expect(clippy::expect_used, reason = "without threads there is no program; actix does the same")]
fn runtime(blocking_threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(blocking_threads).build().expect("the runtime of an actor is made")
}

/// Ends the thread of an actor that was replaced. One that is stuck cannot be killed; it stops if it ever comes back. What
/// it does for others who still wait is finished first: a future must not be dropped with its thread's runtime, for it
/// gives its database connection back through that.
async fn retire<A: SupervisedActor>(arbiter: Arbiter, address: Addr<A>, grace: Duration) {
    let _ = address.send(Stop).await;
    tokio::time::sleep(grace).await;
    arbiter.stop();
}

struct Watcher<A: SupervisedActor> {
    shared: Arc<Shared<A>>,
    policy: SupervisionPolicy,
    metrics: Metrics,
    entropy: Entropy,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    arbiter: Arbiter,
    alive: Alive,
}

impl<A: SupervisedActor> Watcher<A> {
    /// Returns whether the actor stopped when it was told to.
    async fn run(mut self, stop: Arc<Notify>) -> bool {
        let mut failures = 0;
        let mut built_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.notified() => return self.stop().await,
                () = self.shared.died.notified() => {}
                () = tokio::time::sleep(self.policy.probe_every) => {}
            }
            let address = self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone();
            let cause = match tokio::time::timeout(self.policy.stuck_after, address.send(Probe)).await {
                Ok(Ok(())) => {
                    self.alive.answered.store(true, Ordering::Relaxed);
                    continue;
                }
                Ok(Err(_)) => "died",
                Err(_) => "stuck",
            };
            self.alive.answered.store(false, Ordering::Relaxed);
            if built_at.elapsed() > self.policy.backoff_cap * 2 {
                failures = 0;
            }
            failures += 1;
            let pause = self.entropy.backoff(self.policy.backoff_first, self.policy.backoff_cap, failures);
            tracing::error!(actor = A::NAME, cause, pause_ms = pause.as_millis(), "actor is rebuilt");
            tokio::select! {
                () = stop.notified() => return false,
                () = tokio::time::sleep(pause) => {}
            }
            self.rebuild(cause);
            built_at = Instant::now();
        }
    }

    fn rebuild(&mut self, cause: &'static str) {
        let (arbiter, address) = build(&self.policy, &self.factory);
        let arbiter = std::mem::replace(&mut self.arbiter, arbiter);
        let address =
            std::mem::replace(&mut *self.shared.current.write().unwrap_or_else(PoisonError::into_inner), address);
        tokio::spawn(retire(arbiter, address, self.policy.ask_timeout));
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
        self.alive.answered.store(true, Ordering::Relaxed);
        self.metrics.actor_restarted(A::NAME, cause);
    }

    async fn stop(self) -> bool {
        let address = self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stopped = address.send(Stop).await.is_ok();
        self.arbiter.stop();
        stopped && tokio::task::spawn_blocking(|| self.arbiter.join()).await.is_ok_and(|ended| ended.is_ok())
    }
}
