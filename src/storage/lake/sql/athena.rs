//! The same queries by Amazon Athena.
//!
//! What a reader wrote is never sent. It is planned here, against the tables that there are, and the plan is written anew as SQL
//! in which every table is a common table expression of ours, with the reader's patients in its condition. A text that names
//! anything else does not become a plan.

mod statement;

use super::parts::{Counts, Reader};
use super::{AHEAD, Answer, Limits, QueryError, Work};
use crate::domain::access::LakeScope;
use crate::domain::entropy::Entropy;
use crate::storage::aws::{Credentials, NoCredentials, environment};
use crate::storage::database::Database;
use crate::storage::objects::Objects;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use aws_sdk_athena::Client;
use aws_sdk_athena::config::timeout::TimeoutConfig;
use aws_sdk_athena::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_athena::types::{
    QueryExecutionContext, QueryExecutionState, QueryExecutionStatus, ResultConfiguration, Row,
};
use statement::restricted;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

/// Pauses between two looks at a query: the first, and the longest.
const LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Longest wait for a connection, and for an answer.
const CONNECT: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(10);

/// Where Athena finds the lake.
#[derive(Debug, Clone)]
pub struct AthenaSettings {
    /// The database of the data catalogue.
    pub database: String,
    /// The table over the recordings' own files.
    pub table: String,
    /// Workgroup; Athena's own where absent.
    pub workgroup: Option<String>,
    /// Where results are kept, `s3://…`; what the workgroup says where absent.
    pub output: Option<String>,
    /// Address of a server other than Amazon's.
    pub endpoint: Option<String>,
    /// Region; none takes the environment's.
    pub region: Option<String>,
}

/// Athena. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Athena(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    settings: AthenaSettings,
    database: Database,
    objects: Objects,
    limits: Limits,
    entropy: Entropy,
    permits: Arc<Semaphore>,
}

impl Athena {
    /// Athena in that region; nothing is asked of it yet.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn connect(
        settings: AthenaSettings,
        database: Database,
        objects: Objects,
        limits: Limits,
        entropy: Entropy,
    ) -> Result<Self, NoCredentials> {
        Self::connect_as(settings, database, objects, limits, entropy, None).await
    }

    async fn connect_as(
        settings: AthenaSettings,
        database: Database,
        objects: Objects,
        limits: Limits,
        entropy: Entropy,
        credentials: Option<Credentials>,
    ) -> Result<Self, NoCredentials> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(ATTEMPT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(3 * ATTEMPT)
            .build();
        let environment = environment(settings.region.as_deref(), credentials).await?;
        let mut builder = aws_sdk_athena::config::Builder::from(&environment).timeout_config(timeouts);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        let permits = Arc::new(Semaphore::new(limits.at_once));
        let client = Client::from_conf(builder.build());
        Ok(Self(Arc::new(Inner { client, settings, database, objects, limits, entropy, permits })))
    }

    /// Begins a query for a reader who may see what the scope says; Athena has it when this returns.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn query(&self, sql: String, scope: LakeScope) -> Result<Answer, QueryError> {
        let inner = &self.0;
        let place = Arc::new(inner.permits.clone().try_acquire_owned().map_err(|_| QueryError::Busy)?);
        let deadline = Instant::now() + inner.limits.deadline;
        let counts = Arc::new(Counts::default());
        let reader = Reader {
            database: inner.database.clone(),
            objects: inner.objects.clone(),
            scope,
            most: inner.limits.files,
            counts: counts.clone(),
        };
        let work = async {
            let (text, schema) = restricted(&reader, &inner.limits, &inner.settings, &sql).await?;
            Ok::<_, QueryError>((inner.start(text).await?, schema))
        };
        let (execution, schema) =
            Box::pin(tokio::time::timeout_at(deadline, work)).await.map_err(|_| QueryError::TooSlow)??;
        let (rows, batches) = mpsc::channel(AHEAD);
        let (this, of, most_bytes) = (self.clone(), schema.clone(), inner.limits.bytes);
        let (counted, held) = (counts.clone(), place.clone());
        let run = async move {
            let _place = held;
            let mut running = Running { inner: this.0, execution: Some(execution) };
            let outcome = tokio::time::timeout_at(deadline, Box::pin(running.run(&of, &counted, &rows))).await;
            let last = outcome.unwrap_or(Err(QueryError::TooSlow)).map(|()| None);
            drop(rows.send(last).await);
        };
        let work = Work(tokio::spawn(run).abort_handle());
        Ok(Answer {
            schema,
            most_bytes,
            batches,
            counts,
            deadline,
            place: Some(place),
            kept: None,
            _work: work,
            _threads: None,
        })
    }
}

impl Inner {
    async fn start(self: &Arc<Self>, text: String) -> Result<String, QueryError> {
        let settings = &self.settings;
        let context = QueryExecutionContext::builder().database(&settings.database).build();
        let output =
            settings.output.as_ref().map(|output| ResultConfiguration::builder().output_location(output).build());
        let start = self
            .client
            .start_query_execution()
            .query_string(text)
            // Sent twice it is one query.
            .client_request_token(self.entropy.uuid().to_string())
            .query_execution_context(context)
            .set_result_configuration(output)
            .set_work_group(settings.workgroup.clone());
        let answer = start.send().await.map_err(|error| told("StartQueryExecution", &error))?;
        answer.query_execution_id.ok_or(QueryError::Away("it did not name a query"))
    }
}

/// A query of Athena's. Dropped before it ended, it is stopped there.
struct Running {
    inner: Arc<Inner>,
    execution: Option<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(execution), Ok(runtime)) = (self.execution.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let client = self.inner.client.clone();
        runtime.spawn(async move {
            if let Err(error) = client.stop_query_execution().query_execution_id(execution).send().await {
                tracing::warn!(code = error.code(), "a query of Athena's could not be stopped");
            }
        });
    }
}

impl Running {
    async fn run(
        &mut self,
        schema: &SchemaRef,
        counts: &Counts,
        rows: &mpsc::Sender<Result<Option<RecordBatch>, QueryError>>,
    ) -> Result<(), QueryError> {
        let execution = self.execution.clone().unwrap_or_default();
        self.finished(&execution, counts).await?;
        // There is nothing to stop any more.
        self.execution = None;
        let limits = &self.inner.limits;
        let (mut token, mut begun) = (None, false);
        let (mut count, mut bytes) = (0, 0);
        loop {
            let page = self.inner.client.get_query_results().query_execution_id(&execution).set_next_token(token);
            let page = page.send().await.map_err(|error| told("GetQueryResults", &error))?;
            let found = page.result_set.as_ref().map(|set| set.rows()).unwrap_or_default();
            // The first row of the first page names the columns.
            let found = if begun { found } else { found.get(1..).unwrap_or_default() };
            begun = true;
            let batch = batch(schema, found)?;
            count += batch.num_rows() as u64;
            bytes += batch.get_array_memory_size() as u64;
            if count > limits.rows {
                return Err(QueryError::Rows(limits.rows));
            }
            if bytes > limits.bytes {
                return Err(QueryError::Bytes(limits.bytes));
            }
            if rows.send(Ok(Some(batch))).await.is_err() {
                return Ok(());
            }
            token = page.next_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the end of the query.
    async fn finished(&self, execution: &str, counts: &Counts) -> Result<(), QueryError> {
        for look in 1.. {
            let get = self.inner.client.get_query_execution().query_execution_id(execution);
            let answer = get.send().await.map_err(|error| told("GetQueryExecution", &error))?;
            let query = answer.query_execution.ok_or(QueryError::Away("it knows the query no more"))?;
            if let Some(statistics) = &query.statistics {
                let scanned = u64::try_from(statistics.data_scanned_in_bytes.unwrap_or_default()).unwrap_or_default();
                counts.bytes.store(scanned, Ordering::Relaxed);
            }
            let status = query.status.ok_or(QueryError::Away("it does not say where a query stands"))?;
            match &status.state {
                Some(QueryExecutionState::Succeeded) => return Ok(()),
                Some(QueryExecutionState::Failed) => return Err(failed(&status)),
                Some(QueryExecutionState::Cancelled) => return Err(QueryError::Away("the query was cancelled")),
                _ => tokio::time::sleep(self.inner.entropy.backoff(LOOK, LONGEST_LOOK, look)).await,
            }
        }
        Err(QueryError::TooSlow)
    }
}

/// Why a query failed. The reason names tables and files: it is for the log.
fn failed(status: &QueryExecutionStatus) -> QueryError {
    const OF_THE_QUERY: i32 = 2;
    let category = status.athena_error.as_ref().and_then(|error| error.error_category);
    tracing::warn!(category, "a query failed in Athena");
    if category == Some(OF_THE_QUERY) {
        QueryError::Refused("Athena cannot run this query".to_owned())
    } else {
        QueryError::Away("a query failed")
    }
}

/// A request that failed after its repetitions. Only its code goes on.
fn told<E: ProvideErrorMetadata, R>(operation: &'static str, error: &SdkError<E, R>) -> QueryError {
    let code = error.code().unwrap_or("none");
    tracing::warn!(operation, code, "Athena did not do what it was asked");
    #[expect(clippy::wildcard_enum_match_arm, reason = "SdkError is open")]
    match error {
        SdkError::ServiceError(_) => match code {
            "TooManyRequestsException" | "ThrottlingException" => QueryError::Away("it asks to slow down"),
            "InvalidRequestException" => QueryError::Internal("Athena does not take a request".into()),
            "AccessDeniedException" | "UnrecognizedClientException" | "ResourceNotFoundException" => {
                QueryError::Internal("Athena refuses this program".into())
            }
            _ => QueryError::Away("it failed"),
        },
        _ => QueryError::Away("it cannot be reached, or answers too late"),
    }
}

/// Rows of text as the columns that the plan says.
fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch, QueryError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let internal = |error: arrow::error::ArrowError| QueryError::Internal(error.into());
    let columns: Result<Vec<ArrayRef>, QueryError> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| {
            let zoned = matches!(field.data_type(), DataType::Timestamp(..));
            let texts: StringArray = rows
                .iter()
                .map(|row| row.data().get(column).and_then(|datum| datum.var_char_value()))
                .map(|text| if zoned { text.map(|text| text.trim_end_matches(" UTC")) } else { text })
                .collect();
            cast_with_options(&texts, field.data_type(), &strict).map_err(internal)
        })
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema.clone(), columns?, &options).map_err(internal)
}

#[cfg(test)]
mod tests;
