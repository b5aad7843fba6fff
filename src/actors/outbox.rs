//! What other processes should hear, on its way to the wire.

use crate::storage::database::Hint;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// Hints that may wait to be told; further ones are dropped.
const MOST: usize = 4_096;

/// Takes what the others should hear. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox(mpsc::Sender<Hint>);

impl Outbox {
    /// One, and what comes out of it.
    #[must_use]
    pub fn new() -> (Self, Told) {
        let (sender, receiver) = mpsc::channel(MOST);
        (Self(sender), Told(Arc::new(Mutex::new(receiver))))
    }

    /// Tells the others, unless too much waits already.
    pub fn tell(&self, hint: Hint) {
        let _ = self.0.try_send(hint);
    }
}

/// What is to be told; who is built anew goes on with it.
#[derive(Debug, Clone)]
pub struct Told(Arc<Mutex<mpsc::Receiver<Hint>>>);

impl Told {
    /// Waits for a hint and for those that follow within the time, at most so many, each once; `None` when no more come.
    pub(super) async fn gather(&self, most: usize, within: Duration) -> Option<Vec<Hint>> {
        let mut told = self.0.lock().await;
        let mut hints = Vec::new();
        if told.recv_many(&mut hints, most).await == 0 {
            return None;
        }
        if hints.len() < most {
            tokio::time::sleep(within).await;
            while hints.len() < most
                && let Ok(hint) = told.try_recv()
            {
                hints.push(hint);
            }
        }
        let mut seen = HashSet::new();
        hints.retain(|hint| seen.insert(*hint));
        Some(hints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::database::JobKind;

    #[tokio::test]
    async fn hints_are_told_together_and_once() {
        let (outbox, told) = Outbox::new();
        for kind in [JobKind::Score, JobKind::Convert, JobKind::Score, JobKind::Train] {
            outbox.tell(Hint::Job(kind));
        }
        let [score, convert, train] = [JobKind::Score, JobKind::Convert, JobKind::Train].map(Hint::Job);
        assert_eq!(told.gather(10, Duration::ZERO).await, Some(vec![score, convert, train]));
        drop(outbox);
        assert_eq!(told.gather(10, Duration::ZERO).await, None);
    }

    #[test]
    fn what_nobody_takes_is_dropped_at_a_bound() {
        let (outbox, told) = Outbox::new();
        (0..2 * MOST).for_each(|_| outbox.tell(Hint::Job(JobKind::Score)));
        assert_eq!(told.0.blocking_lock().len(), MOST);
    }
}
