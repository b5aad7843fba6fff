//! Places for what lasts: uploads whose body arrives, open WebSockets. So many in all, and so many of one account, that no
//! account takes them all.

use crate::actors::ServiceError;
use crate::actors::metrics::Metrics;
use crate::domain::ids::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All places. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    most: usize,
    most_of_one: usize,
    metrics: Metrics,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<AccountId, usize>,
}

/// What the places are for.
#[derive(Debug)]
struct Kind {
    all_taken: &'static str,
    all_of_one_taken: &'static str,
    gauge: fn(&Metrics, i64),
}

impl Places {
    /// For uploads; none is taken yet.
    #[must_use]
    pub fn for_uploads(most: usize, most_of_one: usize, metrics: Metrics) -> Self {
        let kind = Kind {
            all_taken: "uploads open",
            all_of_one_taken: "uploads open of one account",
            gauge: Metrics::uploads_open,
        };
        Self(Arc::new(Inner { kind, most, most_of_one, metrics, taken: Mutex::default() }))
    }

    /// For WebSockets of known accounts; none is taken yet.
    #[must_use]
    pub fn for_live_connections(most: usize, most_of_one: usize, metrics: Metrics) -> Self {
        let kind = Kind {
            all_taken: "live connections",
            all_of_one_taken: "live connections of one account",
            gauge: Metrics::live_connections,
        };
        Self(Arc::new(Inner { kind, most, most_of_one, metrics, taken: Mutex::default() }))
    }

    /// Takes a place for the account, until what it gives is dropped.
    pub(super) fn take(&self, account: AccountId) -> Result<Place, ServiceError> {
        let mut taken = self.0.taken();
        if taken.all >= self.0.most {
            return Err(ServiceError::busy(self.0.kind.all_taken));
        }
        let of_one = taken.of.entry(account).or_default();
        if *of_one >= self.0.most_of_one {
            return Err(ServiceError::busy(self.0.kind.all_of_one_taken));
        }
        *of_one += 1;
        taken.all += 1;
        (self.0.kind.gauge)(&self.0.metrics, 1);
        Ok(Place { places: self.0.clone(), account })
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Inner>,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_one) = taken.of.get_mut(&self.account) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.of.remove(&self.account);
            }
        }
        (self.places.kind.gauge)(&self.places.metrics, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_takes_every_place() {
        let places = Places::for_uploads(3, 2, Metrics::new());
        let [one, other] = [1, 2].map(|n| AccountId::from(uuid::Uuid::from_u128(n)));
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(matches!(places.take(one), Err(ServiceError::Busy { reason: "uploads open of one account", .. })));
        let _third = places.take(other).unwrap();
        assert!(matches!(places.take(other), Err(ServiceError::Busy { reason: "uploads open", .. })));
        drop(first);
        let _again = places.take(one).unwrap();
    }
}
