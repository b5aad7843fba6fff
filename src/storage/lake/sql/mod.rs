//! SQL over the lake: DataFusion over the Parquet files that the database names, in the folder or the bucket.
//!
//! A query runs for one reader. The tables of its session are that reader's: they ask the database which patients the reader may
//! see and read those patients' files, whatever the text says. It runs on threads of its own, within bounds of memory, time,
//! files, rows and bytes.

#[cfg(feature = "aws")]
mod athena;
mod check;
mod encoded;
mod error;
mod guard;
mod output;
mod parts;
mod recordings;
mod samples;
mod session;
mod store;
#[cfg(test)]
pub(in crate::storage::lake) mod tests;
mod wanted;

#[cfg(feature = "aws")]
pub use athena::{Athena, AthenaSettings};
pub use check::Allowed;
pub use encoded::Encoded;
pub use error::QueryError;
pub use output::{Bounds, Encoder, Format};

use crate::domain::access::LakeScope;
use crate::domain::ids::PatientId;
use crate::storage::database::Database;
use crate::storage::objects::Objects;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::execute_stream;
use futures_util::StreamExt;
use parts::{Counts, Reader};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Batches of a result that wait to be taken.
const AHEAD: usize = 2;
/// How much later than a query itself who waits for it notices that it is over its time.
const GRACE: Duration = Duration::from_millis(500);
/// Bytes of a thread's stack: an expression of a text that is not too long may be some thousand operators deep.
const STACK: usize = 64 << 20;

/// Bounds of queries.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of memory that one query may have.
    pub memory_bytes: usize,
    /// How long one may take until its last row is taken.
    pub deadline: Duration,
    /// Rows of a result.
    pub rows: u64,
    /// Bytes of a result: in memory, as Arrow has them, and as they are written.
    pub bytes: u64,
    /// Files that one table may read.
    pub files: u32,
    /// Queries at once.
    pub at_once: usize,
    /// Threads for all of them.
    pub threads: usize,
}

/// Who runs queries. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Engine {
    /// This process.
    DataFusion(DataFusion),
    /// Amazon Athena.
    #[cfg(feature = "aws")]
    Athena(Athena),
}

impl Engine {
    /// Begins a query for a reader who may see what the scope says; it is planned when this returns.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn query(&self, sql: String, scope: LakeScope, allowed: Allowed) -> Result<Answer, QueryError> {
        match self {
            Self::DataFusion(engine) => engine.query(sql, scope, allowed).await,
            #[cfg(feature = "aws")]
            Self::Athena(athena) => athena.query(sql, scope).await,
        }
    }
}

/// The engine of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataFusion(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    objects: Objects,
    limits: Limits,
    permits: Arc<Semaphore>,
    /// None only while it is dropped.
    threads: Option<Runtime>,
}

/// A query under way. Dropped, it is stopped.
#[derive(Debug)]
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// Bytes of the result as it is written, at most.
    pub most_bytes: u64,
    batches: mpsc::Receiver<Result<Option<RecordBatch>, QueryError>>,
    counts: Arc<Counts>,
    deadline: Instant,
    /// Its place among the queries that run, until its last rows are taken.
    place: Option<Arc<OwnedSemaphorePermit>>,
    /// What is let go when it is over.
    kept: Option<Box<dyn Any + Send + Sync>>,
    _work: Work,
    /// What it runs on.
    _threads: Option<Arc<Inner>>,
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Files that were opened, at most.
    pub files: u64,
    /// Bytes that were read of them.
    pub bytes: u64,
}

/// Stopped when it is dropped.
#[derive(Debug)]
struct Work(AbortHandle);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

impl DataFusion {
    /// Starts its threads.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn start(database: Database, objects: Objects, limits: Limits) -> std::io::Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .max_blocking_threads(4 * limits.threads)
            .thread_name("lake")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        let permits = Arc::new(Semaphore::new(limits.at_once));
        Ok(Self(Arc::new(Inner { database, objects, limits, permits, threads: Some(threads) })))
    }

    /// Begins a query for a reader who may see what the scope says; it is planned when this returns.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn query(&self, sql: String, scope: LakeScope, allowed: Allowed) -> Result<Answer, QueryError> {
        let place = Arc::new(self.0.permits.clone().try_acquire_owned().map_err(|_| QueryError::Busy)?);
        let deadline = Instant::now() + self.0.limits.deadline;
        let counts = Arc::new(Counts::default());
        let reader = Reader {
            database: self.0.database.clone(),
            objects: self.0.objects.clone(),
            scope,
            most: self.0.limits.files,
            counts: counts.clone(),
        };
        let (schema, planned) = oneshot::channel();
        let (rows, batches) = mpsc::channel(AHEAD);
        let run = Run { reader, limits: self.0.limits.clone(), deadline, schema, rows, _place: place.clone() };
        let threads = self.0.threads.as_ref().ok_or(QueryError::Busy)?;
        let work = Work(threads.spawn(run.run(sql, allowed)).abort_handle());
        // Planning has no place where it could be stopped: who asked does not wait for it.
        match tokio::time::timeout_at(deadline + GRACE, planned).await {
            Err(_) => Err(QueryError::TooSlow),
            Ok(Err(_)) => Err(QueryError::Internal("a query ended without an answer".into())),
            Ok(Ok(schema)) => Ok(Answer {
                schema: schema?,
                most_bytes: self.0.limits.bytes,
                batches,
                counts,
                deadline,
                place: Some(place),
                kept: None,
                _work: work,
                _threads: Some(self.0.clone()),
            }),
        }
    }
}

impl Answer {
    /// The next rows; none after the last.
    ///
    /// # Errors
    /// [`QueryError`]; then what was given before is not the whole result.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        // A query says itself that it is over its time, unless it is in the middle of something that does not end.
        let next = match tokio::time::timeout_at(self.deadline + GRACE, self.batches.recv()).await {
            Err(_) => Err(QueryError::TooSlow),
            Ok(Some(next)) => next,
            Ok(None) => Err(QueryError::Internal("a query ended before its last row".into())),
        };
        if !matches!(next, Ok(Some(_))) {
            self.place = None;
        }
        next
    }

    /// Keeps something until it is over.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept = Some(Box::new(kept));
        self
    }

    /// Whose recordings it reads, at most.
    #[must_use]
    pub fn patients(&self) -> Vec<PatientId> {
        self.counts.patients()
    }

    /// What it cost until now.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost { files: self.counts.files.load(Ordering::Relaxed), bytes: self.counts.bytes.load(Ordering::Relaxed) }
    }
}

/// One query on the engine's threads.
struct Run {
    reader: Reader,
    limits: Limits,
    deadline: Instant,
    schema: oneshot::Sender<Result<SchemaRef, QueryError>>,
    rows: mpsc::Sender<Result<Option<RecordBatch>, QueryError>>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Run {
    async fn run(self, sql: String, allowed: Allowed) {
        let planned = tokio::time::timeout_at(self.deadline, plan(&self.reader, &self.limits, &sql, allowed)).await;
        let mut stream = match planned.unwrap_or(Err(QueryError::TooSlow)) {
            Ok(stream) => stream,
            Err(error) => return drop(self.schema.send(Err(self.reader.counts.explain(error)))),
        };
        if self.schema.send(Ok(stream.schema())).is_err() {
            return;
        }
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let next = match tokio::time::timeout_at(self.deadline, stream.next()).await {
                Err(_) => Err(QueryError::TooSlow),
                Ok(None) => Ok(None),
                Ok(Some(Err(error))) => Err(self.reader.counts.explain(QueryError::of_run(error))),
                Ok(Some(Ok(batch))) => {
                    rows += batch.num_rows() as u64;
                    bytes += batch.get_array_memory_size() as u64;
                    if rows > self.limits.rows {
                        Err(QueryError::Rows(self.limits.rows))
                    } else if bytes > self.limits.bytes {
                        Err(QueryError::Bytes(self.limits.bytes))
                    } else {
                        Ok(Some(batch))
                    }
                }
            };
            let last = !matches!(next, Ok(Some(_)));
            // Who takes the rows slowly holds a permit, and not for longer than anybody may.
            match tokio::time::timeout_at(self.deadline, self.rows.send(next)).await {
                Ok(Ok(())) if !last => {}
                _ => return,
            }
        }
    }
}

async fn plan(
    reader: &Reader,
    limits: &Limits,
    sql: &str,
    allowed: Allowed,
) -> Result<datafusion::execution::SendableRecordBatchStream, QueryError> {
    let statement = check::parse(sql, allowed)?;
    let session = session::open(reader, limits)?;
    let state = session.state();
    let plan = state.statement_to_plan(statement).await.map_err(QueryError::of_plan)?;
    only_reads(&plan)?;
    let plan = state.create_physical_plan(&plan).await.map_err(QueryError::of_plan)?;
    execute_stream(plan, state.task_ctx()).map_err(QueryError::of_run)
}

fn only_reads(plan: &datafusion::logical_expr::LogicalPlan) -> Result<(), QueryError> {
    let reads = datafusion::execution::context::SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    reads.verify_plan(plan).map_err(QueryError::of_plan)
}
