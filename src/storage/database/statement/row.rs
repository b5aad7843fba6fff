//! Columns of a row, as the program knows them.

use super::super::{DatabaseError, Result};
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type, ValueRef as _};
use uuid::Uuid;

/// A row of either database.
#[derive(Debug)]
pub(in super::super) enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The column of that name.
    pub(in super::super) fn get<T: Column>(&self, column: &'static str) -> Result<T> {
        T::read(self, column)
    }

    /// Whether the column of that name is null.
    pub(in super::super) fn is_null(&self, column: &'static str) -> Result<bool> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get_raw(column)?.is_null(),
            Self::Postgres(row) => row.try_get_raw(column)?.is_null(),
        })
    }
}

/// What a column can be read as.
pub(in super::super) trait Column: Sized {
    /// Reads the column of that name.
    fn read(row: &Row, column: &'static str) -> Result<Self>;
}

/// What is never null.
trait Present: Sized {
    type InSqlite: for<'r> Decode<'r, Sqlite> + Type<Sqlite>;
    type InPostgres: for<'r> Decode<'r, Postgres> + Type<Postgres>;

    fn from_sqlite(kept: Self::InSqlite) -> Option<Self>;
    fn from_postgres(kept: Self::InPostgres) -> Option<Self>;
}

impl<T: Present> Column for T {
    fn read(row: &Row, column: &'static str) -> Result<Self> {
        match row {
            Row::Sqlite(row) => T::from_sqlite(row.try_get(column)?),
            Row::Postgres(row) => T::from_postgres(row.try_get(column)?),
        }
        .ok_or(DatabaseError::Corrupt(column))
    }
}

impl<T: Present> Column for Option<T> {
    fn read(row: &Row, column: &'static str) -> Result<Self> {
        let value = match row {
            Row::Sqlite(row) => row.try_get::<Option<T::InSqlite>, _>(column)?.map(T::from_sqlite),
            Row::Postgres(row) => row.try_get::<Option<T::InPostgres>, _>(column)?.map(T::from_postgres),
        };
        value.map(|value| value.ok_or(DatabaseError::Corrupt(column))).transpose()
    }
}

macro_rules! present {
    ($($type:ty: $sqlite:ty => $from_sqlite:expr, $postgres:ty => $from_postgres:expr;)+) => {$(
        impl Present for $type {
            type InSqlite = $sqlite;
            type InPostgres = $postgres;

            fn from_sqlite(kept: $sqlite) -> Option<Self> {
                $from_sqlite(kept)
            }

            fn from_postgres(kept: $postgres) -> Option<Self> {
                $from_postgres(kept)
            }
        }
    )+};
}

present! {
    String: String => Some, String => Some;
    Vec<u8>: Vec<u8> => Some, Vec<u8> => Some;
    bool: bool => Some, bool => Some;
    f64: f64 => Some, f64 => Some;
    i64: i64 => Some, i64 => Some;
    i32: i64 => |kept: i64| kept.try_into().ok(), i64 => |kept: i64| kept.try_into().ok();
    u32: i64 => |kept: i64| kept.try_into().ok(), i64 => |kept: i64| kept.try_into().ok();
    DateTime<Utc>: i64 => DateTime::from_timestamp_micros, DateTime<Utc> => Some;
    Uuid: String => |kept: String| Uuid::try_parse(&kept).ok(), Uuid => Some;
}
