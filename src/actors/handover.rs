//! Recordings that were just read, for the step that comes next: a cache of raw objects that saves reading and parsing
//! them again. What is not in it is read from the object store.

use crate::domain::ids::TestEventId;
use crate::domain::recording::Recording;
use crate::storage::objects::Digest;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The cache, bounded in bytes; the oldest goes first. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handover {
    limit: usize,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    bytes: usize,
    recordings: HashMap<TestEventId, (Digest, Arc<Recording>)>,
    order: VecDeque<TestEventId>,
}

impl Handover {
    /// Holds at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, shelf: Arc::default() }
    }

    /// Puts a recording there, whose document has that digest. It takes the place of another of that id: one that was deleted.
    pub fn put(&self, digest: Digest, recording: Arc<Recording>) {
        let mut shelf = self.shelf();
        let id = recording.id();
        let _ = shelf.remove(id);
        if recording.memory() > self.limit {
            return;
        }
        shelf.bytes += recording.memory();
        shelf.recordings.insert(id, (digest, recording));
        shelf.order.push_back(id);
        while shelf.bytes > self.limit || shelf.order.len() > 2 * shelf.recordings.len() + 16 {
            let Some(oldest) = shelf.order.pop_front() else { break };
            shelf.remove(oldest);
        }
    }

    /// Takes away the recording of that id; it is given where its document has that digest.
    #[must_use]
    pub fn take(&self, id: TestEventId, digest: Digest) -> Option<Arc<Recording>> {
        self.shelf().remove(id).filter(|(known, _)| *known == digest).map(|(_, recording)| recording)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn remove(&mut self, id: TestEventId) -> Option<(Digest, Arc<Recording>)> {
        let removed = self.recordings.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(removed.1.memory());
        Some(removed)
    }
}
