//! One statement on either database: its text, its parameters, its rows. With opening, the one place that knows the
//! drivers.
//!
//! Parameters are `$1`, `$2`… in both dialects. SQLite keeps times as microseconds since 1970 UTC, ids as text and lists
//! as JSON; PostgreSQL has types for them.

mod row;
mod value;

pub(super) use row::Row;
pub(super) use value::Value;

use super::{DatabaseError, Pools, Result};
use sqlx::Executor as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool};
use std::sync::atomic::{AtomicU64, Ordering};

/// A statement's text in both dialects. Made by [`statements!`] only, so that each is known to the tests of plans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    /// Its name in the source.
    pub(super) name: &'static str,
    /// For SQLite; empty where it never runs there.
    pub(super) sqlite: &'static str,
    /// For PostgreSQL; empty where it never runs there.
    pub(super) postgres: &'static str,
}

/// The statements of a file: `NAME = shared("…");` where the dialects agree, `NAME = each("…", "…");` where SQLite's and
/// PostgreSQL's stand side by side, `only_sqlite` and `only_postgres` for what never runs on the other. All of them are in
/// `STATEMENTS`.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $form:ident($($text:expr),+ $(,)?);)+) => {
        $($(#[$doc])* const $name: $crate::storage::database::statement::Sql =
            $crate::storage::database::statement::Sql::$form(stringify!($name), $($text),+);)+

        /// Every statement of this file.
        #[cfg(test)]
        pub(in crate::storage::database) const STATEMENTS: &[$crate::storage::database::statement::Sql] = &[$($name),+];
    };
}
pub(super) use statements;

impl Sql {
    /// For [`statements!`]: one text for both.
    pub(super) const fn shared(name: &'static str, text: &'static str) -> Self {
        Self { name, sqlite: text, postgres: text }
    }

    /// For [`statements!`]: a text for each.
    pub(super) const fn each(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Self {
        Self { name, sqlite, postgres }
    }

    /// For [`statements!`]: a text for SQLite.
    pub(super) const fn only_sqlite(name: &'static str, sqlite: &'static str) -> Self {
        Self { name, sqlite, postgres: "" }
    }

    /// For [`statements!`]: a text for PostgreSQL.
    pub(super) const fn only_postgres(name: &'static str, postgres: &'static str) -> Self {
        Self { name, sqlite: "", postgres }
    }
}

/// Where a statement runs.
#[derive(Debug)]
pub(super) enum Place<'c> {
    /// On any reading connection to SQLite.
    SqliteReader(&'c SqlitePool),
    /// On SQLite's writing connection, alone in a transaction that is as durable as the pragma says.
    SqliteWriter(&'c SqlitePool, &'static str),
    /// In a transaction of SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// On any connection to PostgreSQL, alone in a transaction.
    PostgresPool(&'c Pools, &'c PgPool),
    /// In a transaction of PostgreSQL.
    Postgres(&'c mut PgConnection),
}

#[cfg(test)]
impl Place<'_> {
    /// The text that runs here.
    fn text_of(&self, sql: &Sql) -> &'static str {
        match self {
            Self::SqliteReader(_) | Self::SqliteWriter(..) | Self::Sqlite(_) => sql.sqlite,
            Self::PostgresPool(..) | Self::Postgres(_) => sql.postgres,
        }
    }
}

/// A statement and its parameters.
#[derive(Debug)]
#[must_use = "a statement does nothing until it is run"]
pub(super) struct Statement<'c> {
    sql: Sql,
    place: Place<'c>,
    count: &'c AtomicU64,
    sqlite: SqliteArguments,
    postgres: PgArguments,
    problem: Option<sqlx::error::BoxDynError>,
    #[cfg(test)]
    types: Vec<&'static str>,
}

/// Runs the statement with a method of sqlx's queries.
macro_rules! run {
    ($statement:expr, $method:ident, $sqlite:expr, $postgres:expr) => {{
        let Statement { sql, place, sqlite, postgres, .. } = $statement.counted()?;
        let on_sqlite = || sqlx::query_with::<Sqlite, _>(sql.sqlite, sqlite);
        let on_postgres = || sqlx::query_with::<Postgres, _>(sql.postgres, postgres);
        match place {
            Place::SqliteReader(pool) => $sqlite(on_sqlite().$method(pool).await?),
            Place::SqliteWriter(pool, pragma) => $sqlite(on_sqlite().$method(&mut *writer(pool, pragma).await?).await?),
            Place::Sqlite(connection) => $sqlite(on_sqlite().$method(connection).await?),
            Place::PostgresPool(pools, pool) => $postgres(pools.at_home(on_postgres().$method(pool)).await?),
            Place::Postgres(connection) => $postgres(on_postgres().$method(connection).await?),
        }
    }};
}

impl<'c> Statement<'c> {
    /// A statement without parameters, to run there; counted when it is run.
    pub(super) fn new(sql: Sql, place: Place<'c>, count: &'c AtomicU64) -> Self {
        Self {
            sql,
            place,
            count,
            sqlite: SqliteArguments::default(),
            postgres: PgArguments::default(),
            problem: None,
            #[cfg(test)]
            types: Vec::new(),
        }
    }

    /// Gives the next parameter.
    pub(super) fn bind<'v>(mut self, value: impl Into<Value<'v>>) -> Self {
        let value = value.into();
        #[cfg(test)]
        self.types.push(value.type_name());
        let bound = match self.place {
            Place::SqliteReader(_) | Place::SqliteWriter(..) | Place::Sqlite(_) => value.bind_sqlite(&mut self.sqlite),
            Place::PostgresPool(..) | Place::Postgres(_) => value.bind_postgres(&mut self.postgres),
        };
        self.problem = self.problem.or(bound.err());
        self
    }

    /// The row that it answers, if it does.
    pub(super) async fn optional(self) -> Result<Option<Row>> {
        Ok(self.all().await?.into_iter().next())
    }

    /// The row that it always answers.
    pub(super) async fn one(self) -> Result<Row> {
        self.optional().await?.ok_or(DatabaseError::Statement(sqlx::Error::RowNotFound))
    }

    /// The rows that it answers.
    pub(super) async fn all(self) -> Result<Vec<Row>> {
        Ok(run!(self, fetch_all, |rows: Vec<_>| rows.into_iter().map(Row::Sqlite).collect(), |rows: Vec<_>| rows
            .into_iter()
            .map(Row::Postgres)
            .collect()))
    }

    /// How many rows it changed.
    pub(super) async fn execute(self) -> Result<u64> {
        Ok(run!(
            self,
            execute,
            |done: sqlx::sqlite::SqliteQueryResult| done.rows_affected(),
            |done: sqlx::postgres::PgQueryResult| done.rows_affected()
        ))
    }

    fn counted(mut self) -> Result<Self> {
        #[cfg(test)]
        super::tests::plans::executed(&self.sql, self.place.text_of(&self.sql), &self.types);
        tracing::trace!(statement = self.sql.name);
        self.count.fetch_add(1, Ordering::Relaxed);
        match self.problem.take() {
            Some(problem) => Err(DatabaseError::Statement(sqlx::Error::Encode(problem))),
            None => Ok(self),
        }
    }
}

/// The writing connection, as durable as the pragma says.
async fn writer(pool: &SqlitePool, pragma: &'static str) -> sqlx::Result<PoolConnection<Sqlite>> {
    let mut connection = pool.acquire().await?;
    connection.execute(pragma).await?;
    Ok(connection)
}
