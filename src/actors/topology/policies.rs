//! What the configuration says about all actors and about all work.

use crate::actors::supervision::SupervisionPolicy;
use crate::actors::work::WorkPolicy;
use crate::config::{Config, seconds};
use crate::scoring::engine::EngineLimits;
use stance_models::cache::Eviction;
use std::time::Duration;

/// When an actor is taken for dead, and how it is rebuilt.
pub(super) fn supervision(config: &Config) -> SupervisionPolicy {
    let supervision = &config.supervision;
    SupervisionPolicy {
        mailbox: supervision.mailbox,
        ask_timeout: seconds(supervision.ask_timeout_seconds),
        probe_every: Duration::from_millis(supervision.probe_every_ms),
        stuck_after: Duration::from_millis(supervision.stuck_after_ms),
        backoff_first: Duration::from_millis(supervision.backoff_first_ms),
        backoff_cap: Duration::from_millis(supervision.backoff_cap_ms),
        blocking_threads: config.compute.threads,
    }
}

/// How much work is done at once, and what becomes of what fails.
pub(super) fn work(config: &Config) -> WorkPolicy {
    let queue = &config.queue;
    let deadline = seconds(queue.deadline_seconds);
    WorkPolicy {
        at_once: [queue.converts_at_once, config.training.at_once, queue.scores_at_once, queue.deletions_at_once],
        deadline: [deadline, seconds(queue.training_deadline_seconds), deadline, deadline],
        lease: seconds(queue.lease_seconds),
        max_attempts: queue.max_attempts,
        backoff_first: Duration::from_millis(queue.backoff_first_ms),
        backoff_cap: seconds(queue.backoff_cap_seconds),
        longest_rest: seconds(queue.longest_rest_seconds),
    }
}

/// What loaded models may take.
pub(super) fn engine(config: &Config, processors: usize) -> EngineLimits {
    let inference = &config.inference;
    EngineLimits {
        cache_bytes: config.scoring.cache_bytes,
        eviction: Eviction::LeastRecentlyUsed,
        at_once: if inference.at_once == 0 { processors } else { inference.at_once },
        in_hand: inference.in_hand,
        failed_for: Duration::from_millis(inference.failed_load_ms),
        counted: inference.counted_models,
    }
}
