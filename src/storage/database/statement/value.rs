//! Parameters, as each database keeps them.

use chrono::{DateTime, TimeZone, Utc};
use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use std::borrow::Cow;
use uuid::Uuid;

/// A parameter.
#[derive(Debug)]
pub(in super::super) enum Value<'a> {
    /// Text. PostgreSQL keeps no NUL: there it becomes U+FFFD.
    Text(Option<&'a str>),
    /// An integer.
    Integer(Option<i64>),
    /// A number.
    Real(Option<f64>),
    /// Yes or no.
    Flag(Option<bool>),
    /// Bytes.
    Bytes(Option<&'a [u8]>),
    /// A time.
    Time(Option<DateTime<Utc>>),
    /// A UUID.
    Id(Option<Uuid>),
    /// A list: `bigint[]`, or JSON for SQLite's `json_each`.
    Integers(&'a [i64]),
    /// A list: `uuid[]`, or JSON.
    Ids(&'a [Uuid]),
    /// A list: `text[]`, or JSON.
    Texts(&'a [String]),
}

macro_rules! values {
    ($($variant:ident($type:ty) as |$value:ident| $convert:expr;)+) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                Self::$variant(Some($convert))
            }
        }

        impl<'a> From<Option<$type>> for Value<'a> {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map(|$value| $convert))
            }
        }
    )+};
}

values! {
    Text(&'a str) as |value| value;
    Integer(i64) as |value| value;
    Integer(i32) as |value| value.into();
    Integer(u32) as |value| value.into();
    Real(f64) as |value| value;
    Flag(bool) as |value| value;
    Bytes(&'a [u8]) as |value| value;
    Time(DateTime<Utc>) as |value| value;
    Id(Uuid) as |value| value;
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Self::Text(value.as_deref())
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<&'a [i64]> for Value<'a> {
    fn from(value: &'a [i64]) -> Self {
        Self::Integers(value)
    }
}

impl<'a> From<&'a [Uuid]> for Value<'a> {
    fn from(value: &'a [Uuid]) -> Self {
        Self::Ids(value)
    }
}

impl<'a> From<&'a [String]> for Value<'a> {
    fn from(value: &'a [String]) -> Self {
        Self::Texts(value)
    }
}

impl Value<'_> {
    pub(super) fn bind_sqlite(self, arguments: &mut SqliteArguments) -> BindResult {
        match self {
            Self::Text(value) => arguments.add(value.map(str::to_owned)),
            Self::Integer(value) => arguments.add(value),
            Self::Real(value) => arguments.add(value),
            Self::Flag(value) => arguments.add(value),
            Self::Bytes(value) => arguments.add(value.map(<[u8]>::to_vec)),
            Self::Time(value) => arguments.add(value.map(|time| time.timestamp_micros())),
            Self::Id(value) => arguments.add(value.map(|id| id.as_hyphenated().to_string())),
            Self::Integers(values) => arguments.add(serde_json::to_string(values)?),
            Self::Ids(values) => arguments.add(serde_json::to_string(values)?),
            Self::Texts(values) => arguments.add(serde_json::to_string(values)?),
        }
    }

    pub(super) fn bind_postgres(self, arguments: &mut PgArguments) -> BindResult {
        match self {
            Self::Text(value) => arguments.add(value.map(without_nul)),
            Self::Integer(value) => arguments.add(value),
            Self::Real(value) => arguments.add(value),
            Self::Flag(value) => arguments.add(value),
            Self::Bytes(value) => arguments.add(value),
            Self::Time(value) => arguments.add(value.map(|time| time.max(earliest()))),
            Self::Id(value) => arguments.add(value),
            Self::Integers(values) => arguments.add(values),
            Self::Ids(values) => arguments.add(values),
            Self::Texts(values) => {
                arguments.add(values.iter().map(|text| without_nul(text).into_owned()).collect::<Vec<_>>())
            }
        }
    }

    /// Its type in PostgreSQL.
    #[cfg(test)]
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "bigint",
            Self::Real(_) => "double precision",
            Self::Flag(_) => "boolean",
            Self::Bytes(_) => "bytea",
            Self::Time(_) => "timestamptz",
            Self::Id(_) => "uuid",
            Self::Integers(_) => "bigint[]",
            Self::Ids(_) => "uuid[]",
            Self::Texts(_) => "text[]",
        }
    }
}

pub(super) type BindResult = std::result::Result<(), sqlx::error::BoxDynError>;

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// PostgreSQL's calendar begins in 4713 BC, chrono's long before.
fn earliest() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(-4000, 1, 1, 0, 0, 0).earliest().unwrap_or(DateTime::UNIX_EPOCH)
}
