//! Tells whoever waits that a recording's row changed. A hint only: the row is the truth, and whoever missed a hint
//! reads it.

use crate::domain::ids::TestEventId;
use tokio::sync::broadcast;

/// The channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Updates(broadcast::Sender<TestEventId>);

impl Updates {
    /// Holds at most so many hints for a slow listener, who then knows that some were lost.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(broadcast::channel(capacity).0)
    }

    /// The recording's row changed.
    pub fn publish(&self, id: TestEventId) {
        // Nobody listening is no error.
        let _ = self.0.send(id);
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<TestEventId> {
        self.0.subscribe()
    }
}
