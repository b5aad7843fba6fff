//! One recording, sent again and again under ids of its own.

use crate::generator::GeneratedRecording;

/// A document with a hole for its id.
pub(crate) struct Template {
    before: String,
    after: String,
}

impl Template {
    /// The document of a recording.
    pub(crate) fn of(recording: &GeneratedRecording) -> Self {
        let (document, id) = (recording.to_json(), recording.test_event_id().to_string());
        let (before, after) = document.split_once(&id).unwrap_or((&document, ""));
        Self { before: before.to_owned(), after: after.to_owned() }
    }

    /// Bytes of the document.
    pub(crate) fn len(&self) -> usize {
        self.before.len() + 36 + self.after.len()
    }

    /// The document with an id that is made from the number.
    pub(crate) fn under_new_id(&self, number: usize) -> String {
        format!("{}00000000-0000-4000-8000-{number:012}{}", self.before, self.after)
    }
}
