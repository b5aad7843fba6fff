//! `database.*`: where rows are.

use super::sections::section;
use serde::{Deserialize, Serialize};

section!(
    /// Rows.
    DatabaseConfig {
        /// `sqlite://PATH`, where `{data_dir}` stands for the data folder, or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
        url: String = "sqlite://{data_dir}/stance.db".into(),
        /// Connections for reading; SQLite.
        readers: u32 = 4,
        /// Connections of this process, at least two; PostgreSQL.
        connections: u32 = 16,
        /// Seconds to wait for a connection.
        acquire_timeout_seconds: u64 = 10,
        /// Seconds that a statement may take; PostgreSQL.
        statement_timeout_seconds: u64 = 30,
    }
);
