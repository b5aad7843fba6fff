//! Cursors: places in a list, opaque to clients. They stay good when entries come or go, and are no secret: each holds what
//! its entry is ordered by.

use super::argument;
use crate::actors::ServiceError;
use crate::domain::ids::TestEventId;
use crate::storage::database::{PatientPlace, TestEventPlace};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Characters of the longest cursor.
const LONGEST: usize = 2_048;
/// Which list a cursor is of.
const PATIENTS: &str = "patients";
const EVENTS: &str = "events";

/// The cursor of a place in a list of patients.
pub(super) fn of_patient(place: &PatientPlace) -> String {
    write(PATIENTS, &(&place.term, &place.patient))
}

/// The place in a list of patients.
pub(super) fn patient(cursor: &str) -> Result<PatientPlace, ServiceError> {
    let (term, patient) = read(PATIENTS, cursor)?;
    Ok(PatientPlace { term, patient })
}

/// The cursor of a place in a list of test events.
pub(super) fn of_event(place: &TestEventPlace) -> String {
    write(EVENTS, &(place.time.timestamp_micros(), Uuid::from(place.event)))
}

/// The place in a list of test events.
pub(super) fn event(cursor: &str) -> Result<TestEventPlace, ServiceError> {
    let (micros, event): (i64, Uuid) = read(EVENTS, cursor)?;
    let time = DateTime::from_timestamp_micros(micros).ok_or_else(invalid)?;
    if !(argument::earliest()..=argument::latest()).contains(&time) {
        return Err(invalid());
    }
    Ok(TestEventPlace { time, event: TestEventId::from(event) })
}

fn write(list: &str, place: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(list, place)).unwrap_or_default())
}

fn read<T: DeserializeOwned>(list: &str, cursor: &str) -> Result<T, ServiceError> {
    if cursor.len() > LONGEST {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let (of, place): (String, T) = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    if of == list { Ok(place) } else { Err(invalid()) }
}

fn invalid() -> ServiceError {
    ServiceError::Invalid { code: "invalid_cursor", detail: "after is no end_cursor of this list".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_anything_else_is_refused() {
        let place = PatientPlace { term: "müller \"ann\"".into(), patient: "p/1".into() };
        assert_eq!(patient(&of_patient(&place)).unwrap(), place);
        let begun = TestEventPlace { time: DateTime::UNIX_EPOCH, event: Uuid::from_u128(7).into() };
        assert_eq!(event(&of_event(&begun)).unwrap(), begun);
        let far = write(EVENTS, &(i64::MAX, Uuid::nil()));
        for cursor in ["", "x", "!!", &of_patient(&place), &far, &"A".repeat(LONGEST + 1)] {
            let refused = event(cursor);
            assert!(matches!(refused, Err(ServiceError::Invalid { code: "invalid_cursor", .. })), "{cursor}");
        }
    }
}
