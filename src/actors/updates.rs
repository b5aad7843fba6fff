//! Tells whoever waits that a recording's row changed. A hint only: the row is the truth, and whoever missed a hint
//! reads it.

use super::outbox::Outbox;
use crate::domain::ids::TestEventId;
use crate::storage::database::Hint;
use tokio::sync::broadcast;

/// A hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Whose row changed.
    pub id: TestEventId,
    /// Whether the recording may be settled by that.
    pub settled: bool,
}

/// The channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Updates {
    here: broadcast::Sender<Update>,
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
    pub fn publish(&self, id: TestEventId, settled: bool) {
        // Nobody listening is no error.
        let _ = self.here.send(Update { id, settled });
        if let Some(outbox) = &self.elsewhere {
            outbox.tell(Hint::Recording(id));
        }
    }

    /// The recording's row was changed by another process.
    pub(super) fn heard(&self, id: TestEventId) {
        let _ = self.here.send(Update { id, settled: true });
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.here.subscribe()
    }
}
