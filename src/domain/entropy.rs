//! The one source of randomness. Code that needs it takes an [`Entropy`], so that a test can seed it.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// A cryptographically strong generator, shared between threads.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// Seeded by the operating system.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system for randomness")]
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same values for the same seed: for tests.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A duration between half of `base` and all of it.
    #[must_use]
    pub fn jitter(&self, base: Duration) -> Duration {
        base.mul_f64(self.lock().random_range(0.5..=1.0))
    }

    /// The pause before the next try after so many failures, from 1: jittered, doubling from `first` to `longest`.
    #[must_use]
    pub fn backoff(&self, first: Duration, longest: Duration, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.jitter(first.saturating_mul(doubled).min(longest))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StdRng> {
        // A generator has no state that a panic could leave half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        let entropy = Entropy::from_seed(1);
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failures, most) in [(0, 100), (1, 100), (2, 200), (4, 800), (5, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
            let (pause, most) = (entropy.backoff(first, longest, failures), Duration::from_millis(most));
            assert!(pause >= most / 2 && pause <= most, "{failures}: {pause:?}");
        }
    }
}
