//! Names, times and what is to be said of a score, as a person reads them.

use crate::domain::score::Score;
use chrono::{DateTime, Utc};

/// What who reads a score must know before they rely on it; nothing for most.
pub(super) fn cautions(score: &Score) -> Vec<&'static str> {
    let provisional = "Provisional: too few recordings of this patient were scored by a clinician for a model of their own. \
                       It follows mostly what recordings of other patients of the care provider have in common.";
    let unlike = "Do not rely on this score: the recording is unlike those that the model learned from.";
    [(score.provisional, provisional), (score.unlike_training, unlike)]
        .into_iter()
        .filter_map(|(applies, said)| applies.then_some(said))
        .collect()
}

/// `sit-to-stand` as a title.
pub(super) fn title(test_type: &str) -> String {
    let words = test_type.replace(['-', '_'], " ");
    let mut letters = words.trim().chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => test_type.to_owned(),
    }
}

/// A day.
pub(super) fn date(time: DateTime<Utc>) -> String {
    time.format("%-d %B %Y").to_string()
}

/// A time.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.format("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// So many of these; `many` where it is not one.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}
