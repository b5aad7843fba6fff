//! Arguments as the contract's clients write them, into the domain's types.

use super::times;
use crate::actors::ServiceError;
use crate::domain::recording::Day;
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
