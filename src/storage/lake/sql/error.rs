//! Why a query was not answered.

use super::output::{TABLE_ROWS, TABLE_VALUES};
use crate::storage::database::DatabaseError;
use crate::storage::objects::ObjectError;
use datafusion::error::DataFusionError;

/// Why a query was not answered, or not to its end. What is shown of it names no file.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is none that is run: no `SELECT`, a table, column or function that is not there, too long or too deep.
    #[error("{0}")]
    Refused(String),
    /// It stumbled over a value, such as a division by zero.
    #[error("{0}")]
    Value(String),
    /// It needs more memory than a query may have.
    #[error("the query needs more memory than lake.memory_bytes: narrow it, or group by less")]
    Memory,
    /// It takes longer than a query may.
    #[error("the query takes longer than lake.deadline_seconds: narrow it")]
    TooSlow,
    /// Its result has more rows than it may.
    #[error("the result has more than {0} rows: narrow the query, or give it a LIMIT")]
    Rows(u64),
    /// Its result is longer than it may be.
    #[error("the result is longer than {0} bytes: narrow the query, or give it a LIMIT")]
    Bytes(u64),
    /// A table of it would have more rows or values than are drawn.
    #[error(
        "a table has at most {TABLE_ROWS} rows and {TABLE_VALUES} values: give the query a LIMIT, or ask for csv, json or arrow"
    )]
    Table,
    /// What it reads was deleted since it was planned.
    #[error("a recording was deleted while the query was under way: ask again")]
    Changed,
    /// It would read more files than it may.
    #[error("the query reads more than {0} files: name patients, a movement or months")]
    Files(u32),
    /// As many queries are under way as may be.
    #[error("as many queries are under way as may be")]
    Busy,
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DatabaseError),
    /// The object store failed.
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    /// Another service that runs queries is away.
    #[error("the query engine is away: {0}")]
    Away(&'static str),
    /// Our fault.
    #[error("the query failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl QueryError {
    /// Of an error while the text is planned.
    pub(super) fn of_plan(error: DataFusionError) -> Self {
        match Self::known(error) {
            Ok(known) => known,
            #[expect(clippy::wildcard_enum_match_arm, reason = "DataFusion's errors are open")]
            Err(error) => match error.find_root() {
                DataFusionError::SQL(..)
                | DataFusionError::Plan(_)
                | DataFusionError::SchemaError(..)
                | DataFusionError::NotImplemented(_)
                | DataFusionError::Configuration(_) => Self::Refused(shown(&error)),
                // Constants are worked out while planning.
                DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Self::Value(shown(&error)),
                _ => Self::Internal(error.into()),
            },
        }
    }

    /// Of an error while the query runs.
    pub(super) fn of_run(error: DataFusionError) -> Self {
        match Self::known(error) {
            Ok(known) => known,
            #[expect(clippy::wildcard_enum_match_arm, reason = "DataFusion's errors are open")]
            Err(error) => match error.find_root() {
                DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Self::Value(shown(&error)),
                DataFusionError::NotImplemented(_) | DataFusionError::Plan(_) => Self::Refused(shown(&error)),
                _ => Self::Internal(error.into()),
            },
        }
    }

    /// An error of ours that came through DataFusion, or one whose kind alone says what it is.
    fn known(error: DataFusionError) -> Result<Self, DataFusionError> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "DataFusion's errors are open")]
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => return Ok(Self::Memory),
            // The store's are told apart by what it said of itself.
            DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) | DataFusionError::IoError(_) => {
                return Ok(Self::Internal(error.into()));
            }
            _ => {}
        }
        match ours(error) {
            Ok(ours) => Ok(*ours),
            Err(error) => Err(error),
        }
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}

fn ours(error: DataFusionError) -> Result<Box<QueryError>, DataFusionError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "DataFusion's errors are open")]
    match error {
        DataFusionError::External(inner) => inner.downcast::<QueryError>().map_err(DataFusionError::External),
        DataFusionError::Context(context, inner) => {
            ours(*inner).map_err(|inner| DataFusionError::Context(context, Box::new(inner)))
        }
        DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
            Ok(inner) => ours(inner),
            Err(inner) => Err(DataFusionError::Shared(inner)),
        },
        other => Err(other),
    }
}

/// What DataFusion says, on one line and not without end.
fn shown(error: &DataFusionError) -> String {
    const MOST: usize = 400;
    let text = error.strip_backtrace();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST).collect()
}
