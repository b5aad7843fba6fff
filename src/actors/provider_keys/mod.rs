//! Provider keys: keeps the public keys of the identity provider at hand.
//!
//! They are read at the start and every so often, and once more when a token names a key that is not among them, but never
//! sooner than the shortest interval after the last look and never again soon for a name that was looked for in vain: whoever
//! makes up names does not make this program ask. One look at a time; who needs it waits for it. A provider that is away
//! leaves the last keys trusted for as long as the configuration says, also through a start: they are kept as a row.

mod fetch;
mod key_set;

pub use fetch::KeySource;
pub use key_set::{ALGORITHMS, KeySet, LONGEST_KEY_ID, ProviderKey};

use super::ServiceError;
use super::metrics::Metrics;
use crate::config::{AuthConfig, seconds};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::storage::database::Database;
use crate::supervised;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

/// First pause after the provider did not answer; doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Askers that wait for a look at once; further ones are told to come back.
const MOST_WAITING: usize = 64;
/// Names of keys that are remembered as unknown.
const MOST_UNKNOWN: usize = 1_024;

/// The keys that were read last. Cheap to clone; outlives the actor, so that one that dies while the provider is away takes
/// nothing with it.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    max_age: TimeDelta,
    read: Arc<RwLock<Option<Read>>>,
}

#[derive(Debug, Clone)]
struct Read {
    keys: Arc<KeySet>,
    at: DateTime<Utc>,
}

impl TrustedKeys {
    /// None yet; what is read is trusted for so long.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self { max_age: TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX), read: Arc::default() }
    }

    /// The key of that id.
    #[must_use]
    pub fn key(&self, id: &str, now: DateTime<Utc>) -> Option<Arc<ProviderKey>> {
        self.current(now)?.get(id)
    }

    fn current(&self, now: DateTime<Utc>) -> Option<Arc<KeySet>> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        (now - read.at <= self.max_age).then_some(read.keys)
    }

    /// Takes those keys, unless newer ones are there.
    fn take(&self, keys: KeySet, at: DateTime<Utc>) {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if read.as_ref().is_none_or(|known| known.at <= at) {
            *read = Some(Read { keys: Arc::new(keys), at });
        }
    }
}

/// Asks for a key that is not among the trusted ones; none where the provider has none of that id.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Arc<ProviderKey>>, ServiceError>")]
pub struct FindKey {
    /// The key's id, of at most [`LONGEST_KEY_ID`] bytes.
    pub id: String,
}

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct ProviderKeysDeps {
    /// Whom to ask.
    pub source: KeySource,
    /// The keys that were read last.
    pub trusted: TrustedKeys,
    /// Where they are kept for the next start.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// Jitter of pauses.
    pub entropy: Entropy,
    /// Counts looks.
    pub metrics: Metrics,
    /// Between two looks.
    pub refresh: Duration,
    /// At least between two looks.
    pub min_interval: Duration,
}

impl ProviderKeysDeps {
    /// For the provider of the configuration, where it names one.
    #[must_use]
    pub fn new(
        config: &AuthConfig,
        database: Database,
        clock: SharedClock,
        entropy: Entropy,
        metrics: Metrics,
    ) -> Option<Self> {
        Some(Self {
            database,
            source: KeySource::new(config)?,
            trusted: TrustedKeys::new(seconds(config.jwks_max_age_seconds)),
            clock,
            entropy,
            metrics,
            refresh: seconds(config.jwks_refresh_seconds),
            min_interval: seconds(config.jwks_min_interval_seconds),
        })
    }
}

/// The actor.
#[derive(Debug)]
pub struct ProviderKeys {
    keeper: Keeper,
    waiting: Arc<Semaphore>,
}

impl ProviderKeys {
    /// A new one.
    #[must_use]
    pub fn new(deps: ProviderKeysDeps) -> Self {
        Self { keeper: Keeper { deps, looks: Arc::default() }, waiting: Arc::new(Semaphore::new(MOST_WAITING)) }
    }
}

impl Actor for ProviderKeys {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let keeper = self.keeper.clone();
        context.spawn(async move { keeper.run().await }.into_actor(self));
    }
}

supervised!(ProviderKeys, "provider_keys");

impl Handler<FindKey> for ProviderKeys {
    type Result = ResponseFuture<Result<Option<Arc<ProviderKey>>, ServiceError>>;

    fn handle(&mut self, message: FindKey, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("provider_keys");
        let (keeper, waiting) = (self.keeper.clone(), self.waiting.clone().try_acquire_owned());
        Box::pin(async move {
            let _place = waiting.map_err(|_| ServiceError::busy("looks for a provider's key"))?;
            keeper.find(&message.id).await
        })
    }
}

/// The work behind the actor.
#[derive(Debug, Clone)]
struct Keeper {
    deps: ProviderKeysDeps,
    /// Held while the provider is asked.
    looks: Arc<Mutex<Looks>>,
}

/// What became of looks at the provider.
#[derive(Debug, Default)]
struct Looks {
    last: Option<Instant>,
    last_failed: bool,
    /// When each of these was looked for in vain.
    unknown: HashMap<String, Instant>,
}

impl Keeper {
    /// Looks every so often, for as long as the program runs.
    async fn run(&self) {
        self.recall().await;
        let mut failures = 0;
        loop {
            let failed = self.look(&mut *self.looks.lock().await).await;
            failures = if failed { failures + 1 } else { 0 };
            let pause = match failures {
                0 => self.deps.refresh,
                _ => self.deps.entropy.backoff(PAUSE, LONGEST_PAUSE.min(self.deps.refresh), failures),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes the keys that were kept before this start: the provider may be away now.
    async fn recall(&self) {
        match self.deps.database.provider_keys(self.deps.source.issuer()).await {
            Ok(Some((document, at))) => {
                if let Ok(keys) = KeySet::read(&document) {
                    self.deps.trusted.take(keys, at);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the identity provider's last keys could not be looked up"),
        }
    }

    async fn find(&self, id: &str) -> Result<Option<Arc<ProviderKey>>, ServiceError> {
        let mut looks = self.looks.lock().await;
        if let Some(key) = self.deps.trusted.key(id, self.deps.clock.now()) {
            return Ok(Some(key));
        }
        if looks.is_unknown(id, self.deps.refresh) {
            return Ok(None);
        }
        let looked_just_now = looks.last.is_some_and(|last| last.elapsed() < self.deps.min_interval);
        if !looked_just_now {
            self.look(&mut looks).await;
        }
        if looks.last_failed {
            return Err(ServiceError::busy("the identity provider is away"));
        }
        let found = self.deps.trusted.key(id, self.deps.clock.now());
        if found.is_none() && !looked_just_now {
            looks.remember_unknown(id);
        }
        Ok(found)
    }

    /// Asks the provider; whether that failed.
    async fn look(&self, looks: &mut Looks) -> bool {
        let answer = self.deps.source.fetch().await;
        looks.last = Some(Instant::now());
        looks.last_failed = answer.is_err();
        match answer {
            Ok((keys, document)) => {
                tracing::debug!(keys = keys.len(), "the identity provider's keys were read");
                let now = self.deps.clock.now();
                self.deps.trusted.take(keys, now);
                self.deps.metrics.provider_looked_at("read");
                let kept = self.deps.database.put_provider_keys(self.deps.source.issuer(), &document, now).await;
                if let Err(error) = kept {
                    tracing::warn!(%error, "the identity provider's keys could not be kept for the next start");
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the identity provider's keys cannot be read for now");
                self.deps.metrics.provider_looked_at("failed");
            }
        }
        looks.last_failed
    }
}

impl Looks {
    fn is_unknown(&self, id: &str, memory: Duration) -> bool {
        self.unknown.get(id).is_some_and(|looked| looked.elapsed() < memory)
    }

    fn remember_unknown(&mut self, id: &str) {
        if self.unknown.len() >= MOST_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(id.to_owned(), Instant::now());
    }
}
