//! Why a statement did not do what it was asked.

/// Why a statement did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database could not be reached in time, every connection is busy, or it gave up for the moment. Whether a commit
    /// that ended so took place is not known.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// No space is left, or a quota is used up.
    #[error("the database's disk is full")]
    Full(#[source] sqlx::Error),
    /// A row with that key is there already.
    #[error("a row with that key is there already")]
    Duplicate(#[source] sqlx::Error),
    /// A row that another refers to is not there.
    #[error("a row that this one refers to is not there")]
    MissingReference(#[source] sqlx::Error),
    /// The lease under which this was done is over; nothing was written.
    #[error("the lease under which this was done is over")]
    Fenced,
    /// A row holds something that this version does not understand.
    #[error("a row holds an unexpected value: {0}")]
    Corrupt(&'static str),
    /// The migrations could not be applied.
    #[error("the database could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Anything else.
    #[error("a statement failed")]
    Statement(#[source] sqlx::Error),
}

/// A statement's answer.
pub type Result<T> = std::result::Result<T, DatabaseError>;

impl DatabaseError {
    /// Whether two transactions waited for each other and this one was ended for that. Nothing was written.
    pub(super) fn is_deadlock(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        error.as_database_error().and_then(|cause| cause.code()).is_some_and(|code| code == "40P01")
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let lost = matches!(
            error,
            sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed
        );
        if lost {
            return Self::Unavailable(error);
        }
        let Some(cause) = error.as_database_error() else { return Self::Statement(error) };
        let code = cause.code().unwrap_or_default();
        if cause.is_unique_violation() {
            Self::Duplicate(error)
        } else if cause.is_foreign_key_violation() {
            Self::MissingReference(error)
        } else if is_full(&code) {
            Self::Full(error)
        } else if is_passing(&code) {
            Self::Unavailable(error)
        } else {
            Self::Statement(error)
        }
    }
}

impl From<sqlx::migrate::MigrateError> for DatabaseError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        if let sqlx::migrate::MigrateError::Execute(cause) = error {
            return Self::from(cause);
        }
        Self::Migration(error)
    }
}

/// SQLite's `SQLITE_FULL`, PostgreSQL's `disk_full`.
fn is_full(code: &str) -> bool {
    ["13", "53100"].contains(&code)
}

/// What may be gone when asked again. SQLite: busy. PostgreSQL (appendix A of its manual): lost connections, shutdown and
/// start, too many connections, a statement or a lock that took too long, a conflict between transactions, a session that
/// was ended for being idle in its transaction, and a server that went over to read-only.
fn is_passing(code: &str) -> bool {
    const CODES: [&str; 14] = [
        "5", "261", "517", "773", "57P01", "57P02", "57P03", "53300", "57014", "55P03", "40001", "40P01", "25P03",
        "25006",
    ];
    code.len() == 5 && code.starts_with("08") || CODES.contains(&code)
}
