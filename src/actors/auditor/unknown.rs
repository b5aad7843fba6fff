//! Requests of somebody unknown, counted by what was asked for and from where.

use crate::domain::network::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is counted apart: an operation, and the network of an address or all those together for which there was no room.
pub(super) type Key = (&'static str, Option<IpAddr>);

/// The counts since they were last taken.
#[derive(Debug)]
pub(super) struct Unknown {
    /// Networks that are counted apart.
    apart: usize,
    counts: Mutex<HashMap<Key, u64>>,
}

impl Unknown {
    pub(super) fn new(apart: usize) -> Self {
        Self { apart, counts: Mutex::default() }
    }

    /// Counts so many.
    pub(super) fn count(&self, operation: &'static str, address: Option<IpAddr>, more: u64) {
        let mut counts = self.counts();
        let key = (operation, address.map(network));
        let key = if counts.len() < self.apart || counts.contains_key(&key) { key } else { (operation, None) };
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(more);
    }

    /// Takes the counts, and begins anew.
    pub(super) fn take(&self) -> Vec<(Key, u64)> {
        std::mem::take(&mut *self.counts()).into_iter().collect()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Key, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_the_bound_are_counted_together() {
        let unknown = Unknown::new(3);
        for n in 0..100 {
            for _ in 0..2 {
                unknown.count("authenticate", Some(IpAddr::from([10, 0, 0, n])), 1);
            }
        }
        let mut counts = unknown.take();
        counts.sort();
        let of = |n| Some(IpAddr::from([10, 0, 0, n]));
        let key = |address| ("authenticate", address);
        assert_eq!(counts, [(key(None), 194), (key(of(0)), 2), (key(of(1)), 2), (key(of(2)), 2)]);
        assert_eq!(unknown.take(), []);
    }

    #[test]
    fn who_has_a_whole_ipv6_network_is_counted_as_one() {
        let unknown = Unknown::new(3);
        for n in 0..100_u16 {
            unknown.count("authenticate", Some(IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, n])), 1);
        }
        let network = IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, 0]);
        assert_eq!(unknown.take(), [(("authenticate", Some(network)), 100)]);
    }
}
