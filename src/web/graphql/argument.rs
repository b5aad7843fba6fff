//! Arguments as the contract's clients write them, into the domain's types.

use super::times;
use crate::actors::ServiceError;
use crate::domain::recording::Day;
use crate::domain::score::RecordingStatus;
use chrono::{DateTime, Utc};
use std::fmt::Display;
use std::str::FromStr;

/// An id.
pub(super) fn id<T: FromStr<Err: Display>>(argument: &str, text: &str) -> Result<T, ServiceError> {
    text.parse().map_err(|error| invalid(argument, error))
}

/// A time; without an offset it is UTC.
pub(super) fn time(argument: &str, text: &str) -> Result<DateTime<Utc>, ServiceError> {
    times::parse(text).ok_or_else(|| invalid(argument, "is no time"))
}

/// Where a recording stands, by the name in the status document.
pub(super) fn status_named(name: &str) -> Result<RecordingStatus, ServiceError> {
    RecordingStatus::from_name(name).ok_or_else(|| invalid("status", "is none of a recording"))
}

/// The earliest time that an argument may name.
pub(super) fn earliest() -> DateTime<Utc> {
    DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// The latest time that an argument may name.
pub(super) fn latest() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Entries of a page where the client names no number.
const USUAL_PAGE: u32 = 50;

/// The entries of a page.
pub(super) fn page(first: Option<i32>, largest: u32) -> Result<u32, ServiceError> {
    match first.map(u32::try_from) {
        None => Ok(USUAL_PAGE.min(largest)),
        Some(Ok(first)) if first > largest => {
            Err(ServiceError::Invalid { code: "page_too_large", detail: format!("first is at most {largest}") })
        }
        Some(Ok(first @ 1..)) => Ok(first),
        Some(Ok(0) | Err(_)) => Err(invalid("first", "must be at least 1")),
    }
}

/// A text to search for; nothing but spaces is none.
pub(super) fn search(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A day of the calendar, which clients give in three arguments.
pub(super) fn day(year: i32, month: i32, day: i32) -> Result<Day, ServiceError> {
    let parts = (u32::try_from(month), u32::try_from(day));
    let day = if let (Ok(month), Ok(day)) = parts { Day::new(year, month, day) } else { None };
    day.ok_or_else(|| invalid("year, month and day", "are no day of the calendar"))
}

/// The error of an argument that has the wrong form.
pub(super) fn invalid(argument: &str, problem: impl Display) -> ServiceError {
    ServiceError::Invalid { code: "invalid_argument", detail: format!("{argument} {problem}") }
}
