//! Arguments as the contract's clients write them, into the domain's types.

use super::times;
use crate::actors::ServiceError;
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

/// The error of an argument that has the wrong form.
pub(super) fn invalid(argument: &str, problem: impl Display) -> ServiceError {
    ServiceError::Invalid { code: "invalid_argument", detail: format!("{argument} {problem}") }
}
