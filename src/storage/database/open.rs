//! Opening either database and bringing it to this version's schema.

use super::{Backend, Database, Pools, Result};
use sqlx::Connection;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// A connection that was idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long a connection lives: pools behind one name change.
const CONNECTION_LIFE: Duration = Duration::from_secs(30 * 60);

/// Where a PostgreSQL database is, and the limits of its use.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT/NAME`, with libpq's `sslmode`, `sslrootcert` and the like as parameters.
    pub url: String,
    /// Connections at most, at least two.
    pub connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may take, or wait for a lock, or a transaction be idle.
    pub statement_timeout: Duration,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// What bringing a database to this version's schema took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Migrations that were applied now.
    pub applied: usize,
    /// Migrations that were there.
    pub present: usize,
}

impl Database {
    /// Opens a SQLite file, makes it where it is absent, and applies missing migrations.
    ///
    /// # Errors
    /// When the file cannot be opened or migrated.
    pub async fn open_sqlite(path: &Path, readers: u32, acquire_timeout: Duration) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(acquire_timeout)
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864");
        let pool = || SqlitePoolOptions::new().acquire_timeout(acquire_timeout).test_before_acquire(false);
        let writer = pool()
            .min_connections(1)
            .max_connections(1)
            // When the disk is full SQLite ends a transaction by itself; sqlx believes that it is in it for ever.
            .before_acquire(|connection, _| {
                let ended = !connection.is_in_transaction();
                Box::pin(async move { Ok(ended) })
            })
            .connect_with(options.clone())
            .await?;
        let migrated = migrate(&mut *writer.acquire().await?, sqlx::migrate!("migrations/sqlite")).await?;
        let readers = pool()
            .min_connections(1)
            .max_connections(readers)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self { backend: Backend::Sqlite { readers, writer }, statements: Arc::default(), migrated })
    }

    /// Connects to a PostgreSQL database and applies missing migrations. Several processes may do so at once. The runtime on
    /// which this runs drives the connections.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`](super::DatabaseError::Unavailable) when no connection is there within the timeout.
    pub async fn open_postgres(options: &PostgresOptions) -> Result<Self> {
        let plain = options.url.parse::<PgConnectOptions>()?.application_name("stance");
        let migrated = migrate_postgres(&plain, options.acquire_timeout).await?;
        let limit = options.statement_timeout.as_millis().to_string();
        let limited = plain.options([
            ("statement_timeout", limit.as_str()),
            ("lock_timeout", &limit),
            ("idle_in_transaction_session_timeout", &limit),
        ]);
        let steps = (options.connections / 2).max(1);
        let requests = options.connections.saturating_sub(steps).max(1);
        let redoable = limited.clone().options([("synchronous_commit", "off")]);
        Ok(Self {
            backend: Backend::Postgres(Pools {
                requests: pool(options.acquire_timeout, requests).connect_lazy_with(limited),
                steps: pool(options.acquire_timeout, steps).connect_lazy_with(redoable),
                home: Handle::current(),
            }),
            statements: Arc::default(),
            migrated,
        })
    }
}

fn pool(acquire_timeout: Duration, connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(acquire_timeout)
        .max_lifetime(CONNECTION_LIFE)
        .test_before_acquire(false)
        .before_acquire(|connection, now| {
            Box::pin(async move {
                if now.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Migrates over a connection of its own, whose statements may take as long as they need.
async fn migrate_postgres(options: &PgConnectOptions, acquire_timeout: Duration) -> Result<Migrated> {
    // A pool asks again until the timeout where the server is not there yet.
    let pool: PgPool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(acquire_timeout).connect_with(options.clone()).await?;
    let migrated = migrate(&mut *pool.acquire().await?, sqlx::migrate!("migrations/postgres")).await;
    pool.close().await;
    migrated
}

/// Applies what is missing, under the database's lock of migrations.
async fn migrate<C: Migrate + Send>(connection: &mut C, mut migrations: Migrator) -> Result<Migrated> {
    const TABLE: &str = "_sqlx_migrations";
    connection.lock().await?;
    connection.ensure_migrations_table(TABLE).await?;
    let present = connection.list_applied_migrations(TABLE).await?.len();
    migrations.set_locking(false).run_direct(None, connection, false).await?;
    let all = connection.list_applied_migrations(TABLE).await?.len();
    connection.unlock().await?;
    Ok(Migrated { applied: all.saturating_sub(present), present })
}
