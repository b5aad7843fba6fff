//! The rows of a patient's record as JSON and CSV.

use crate::storage::database::{EventRecord, Patient, Recorded};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The first line of `scores.csv`.
pub const SCORES_HEADER: &str = "test_event_id,test_type,start_time,end_time,status,balance_score,score,lower,upper,\
                                 model_version,doctor_score,provisional,unlike_training,novelty\n";

/// The patient's profile.
#[must_use]
pub fn patient(patient: &Patient) -> Value {
    json!({
        "patient_id": patient.id.as_str(),
        "email": patient.email,
        "first_name": patient.first_name,
        "last_name": patient.last_name,
        "privacy_consent_date": patient.privacy_consent_date,
    })
}

/// An event with all that was made of it, as one line of JSON.
#[must_use]
pub fn event(record: &EventRecord) -> String {
    let event = &record.event;
    let document = json!({
        "test_event_id": event.id.to_string(),
        "test_type": event.test_type.as_str(),
        "start_time": event.start_time.map(shown),
        "end_time": event.end_time.map(shown),
        "balance_score": event.balance_score,
        "doctor_score": event.doctor_score,
        "notes": event.notes,
        "recording": record.recording.as_ref().map(recording),
    });
    format!("{document}\n")
}

fn recording(recorded: &Recorded) -> Value {
    let day = recorded.day;
    json!({
        "movement": recorded.movement.as_str(),
        "local_day": format!("{:04}-{:02}-{:02}", day.year, day.month, day.day),
        "status": recorded.status.name(),
        "failure": recorded.failure.as_ref().map(|failure| json!({ "code": failure.code, "message": failure.message })),
        "clinic_score": recorded.clinic_score,
        "received_at": shown(recorded.received_at),
        "updated_at": shown(recorded.updated_at),
        "quality": recorded.quality.as_ref().map(|quality| json!({
            "samples": quality.samples,
            "duration_seconds": quality.duration_seconds,
            "effective_rate_hz": quality.effective_rate_hz,
            "gaps": quality.gaps,
            "longest_gap_seconds": quality.longest_gap_seconds,
            "jitter_seconds": quality.jitter_seconds,
            "non_monotonic": quality.non_monotonic,
            "constant_axes": quality.constant_axes,
        })),
        "score": recorded.score.as_ref().map(|scored| json!({
            "value": scored.score.value,
            "lower": scored.score.lower,
            "upper": scored.score.upper,
            "model_version": scored.score.model_version.as_str(),
            "backend": scored.score.backend,
            "provisional": scored.score.provisional,
            "unlike_training": scored.score.unlike_training,
            "novelty": scored.score.novelty,
            "scored_at": shown(scored.at),
            "training_recordings": scored.model.map(|(recordings, _)| recordings),
            "leave_one_out_error": scored.model.map(|(_, error)| error),
        })),
    })
}

/// The event's line of `scores.csv`.
#[must_use]
pub fn scores(record: &EventRecord) -> String {
    let event = &record.event;
    let recorded = record.recording.as_ref();
    let score = recorded.and_then(|recorded| recorded.score.as_ref()).map(|scored| &scored.score);
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let whole = |number: Option<i32>| number.map(|number| number.to_string()).unwrap_or_default();
    let time = |time: Option<DateTime<Utc>>| time.map(shown).unwrap_or_default();
    let flag = |flag: Option<bool>| flag.map_or("", |flag| if flag { "true" } else { "false" });
    let cells: [Cow<'_, str>; 14] = [
        event.id.to_string().into(),
        quoted(event.test_type.as_str()),
        time(event.start_time).into(),
        time(event.end_time).into(),
        recorded.map_or("", |recorded| recorded.status.name()).into(),
        whole(event.balance_score).into(),
        number(score.map(|score| score.value)).into(),
        number(score.and_then(|score| score.lower)).into(),
        number(score.and_then(|score| score.upper)).into(),
        quoted(score.map_or("", |score| score.model_version.as_str())),
        whole(event.doctor_score).into(),
        flag(score.map(|score| score.provisional)).into(),
        flag(score.map(|score| score.unlike_training)).into(),
        number(score.and_then(|score| score.novelty)).into(),
    ];
    format!("{}\n", cells.join(","))
}

/// A text as a cell (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@']);
    if !formula && !text.contains(['"', ',', '\r', '\n']) {
        return text.into();
    }
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\"")).into()
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        for (text, expected) in [
            ("sit-to-stand", "sit-to-stand"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("-x", "\"'-x\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
