//! Tells whoever waits that a recording's row changed. A hint only: the row is the truth, and whoever missed a hint
//! reads it.

use super::wire::Outbox;
use crate::domain::ids::TestEventId;
use crate::storage::database::Hint;
use tokio::sync::broadcast;

/// The channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Updates {
    here: broadcast::Sender<TestEventId>,
    elsewhere: Option<Outbox>,
}

impl Updates {
    /// Holds at most so many hints for a slow listener, who then knows that some were lost. Other processes, if there are
    /// any, hear through the outbox.
    #[must_use]
    pub fn new(capacity: usize, elsewhere: Option<Outbox>) -> Self {
        Self { here: broadcast::channel(capacity).0, elsewhere }
    }

    /// The recording's row was changed by this process.
    pub fn publish(&self, id: TestEventId) {
        self.heard(id);
        if let Some(outbox) = &self.elsewhere {
            outbox.tell(Hint::Recording(id));
        }
    }

    /// The recording's row changed.
    pub(super) fn heard(&self, id: TestEventId) {
        // Nobody listening is no error.
        let _ = self.here.send(id);
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<TestEventId> {
        self.here.subscribe()
    }
}
