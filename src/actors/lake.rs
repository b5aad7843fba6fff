//! The lake: SQL for those who may ask it. Whose recordings they see is decided here and held by the tables of their query, not
//! by its text.

use super::ServiceError;
use super::account_turns::AccountTurns;
use super::auditor::Audit;
use super::authorization::{SeenLinks, authorize};
use super::topology::Ground;
#[cfg(feature = "aws")]
use crate::config::LakeEngine;
use crate::config::{LakeConfig, seconds};
use crate::domain::access::{Access, Caller, lake_scope};
use crate::domain::audit::Entry;
use crate::domain::entropy::Entropy;
use crate::storage::database::Database;
use crate::storage::lake::compaction::{Compaction, CompactionRule};
use crate::storage::lake::sql::{Allowed, Answer, DataFusion, Engine, Limits, QueryError};
#[cfg(feature = "aws")]
use crate::storage::lake::sql::{Athena, AthenaSettings};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
#[cfg(feature = "aws")]
use anyhow::Context as _;
use chrono::TimeDelta;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How long the right to compact holds without being extended.
const COMPACTION_LEASE: TimeDelta = TimeDelta::minutes(2);

/// Asks the lake.
#[derive(Debug, Message)]
#[rtype(result = "Result<Answer, ServiceError>")]
pub struct QueryLake {
    /// Who asks.
    pub caller: Caller,
    /// One `SELECT`.
    pub sql: String,
}

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct LakeDeps {
    /// Rows.
    pub database: Database,
    /// Runs queries.
    pub engine: Engine,
    /// Notes whose recordings are read.
    pub audit: Audit,
    /// Who has a query under way.
    pub turns: AccountTurns,
}

/// The actor.
#[derive(Debug)]
pub struct Lake(LakeDeps);

impl Lake {
    /// A new one.
    #[must_use]
    pub fn new(deps: LakeDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Lake {
    type Context = Context<Self>;
}

supervised!(Lake, "lake");

impl LakeDeps {
    async fn query(&self, caller: &Caller, sql: String) -> Result<Answer, ServiceError> {
        authorize(&self.database, &caller.role, &Access::QueryLake, &SeenLinks::default(), "lake").await?;
        let scope = lake_scope(&caller.role).ok_or(ServiceError::Forbidden)?;
        let turn = self.turns.take(caller.account).ok_or_else(|| ServiceError::busy("queries of one account"))?;
        Ok(self.engine.query(sql, scope, Allowed::Select).await?.keeping(turn))
    }
}

impl Handler<QueryLake> for Lake {
    type Result = ResponseFuture<Result<Answer, ServiceError>>;

    fn handle(&mut self, QueryLake { caller, sql }: QueryLake, _: &mut Context<Self>) -> Self::Result {
        let deps = self.0.clone();
        Box::pin(async move {
            let entry = Entry::by(&caller, "query_lake").about(&Access::QueryLake);
            match deps.query(&caller, sql).await {
                // Before a row of it is given.
                Ok(answer) => deps.audit.record(entry.patients(answer.patients())).await.map(|()| answer),
                Err(error) => Err(deps.audit.failed(entry, error).await),
            }
        })
    }
}

/// The engine of the configuration.
///
/// # Errors
/// When its threads cannot be started, or there are no credentials for Amazon Athena.
pub async fn engine(
    config: &LakeConfig,
    database: &Database,
    objects: &Objects,
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "Athena's"))] entropy: &Entropy,
) -> anyhow::Result<Engine> {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let limits = Limits {
        memory_bytes: config.memory_bytes,
        deadline: seconds(config.deadline_seconds),
        rows: config.max_rows,
        bytes: config.max_result_bytes,
        files: config.max_files,
        at_once: config.at_once,
        threads: if config.threads == 0 { processors } else { config.threads },
    };
    #[cfg(feature = "aws")]
    if config.engine == LakeEngine::Athena {
        let of = &config.athena;
        let settings = AthenaSettings {
            database: of.database.clone(),
            table: of.table.clone(),
            workgroup: of.workgroup.clone(),
            output: of.output.clone(),
            endpoint: of.endpoint.clone(),
            region: of.region.clone(),
        };
        let athena = Athena::connect(settings, database.clone(), objects.clone(), limits, entropy.clone()).await;
        return Ok(Engine::Athena(athena.context("lake.engine: Athena cannot be used")?));
    }
    Ok(Engine::DataFusion(DataFusion::start(database.clone(), objects.clone(), limits)?))
}

/// The compaction of the configuration; it ends early once `ends` is set.
#[must_use]
pub fn compaction(config: &LakeConfig, ground: &Ground, owner: Arc<str>, ends: Arc<AtomicBool>) -> Compaction {
    let time = |seconds: u64| TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000));
    Compaction {
        database: ground.database.clone(),
        objects: ground.objects.clone(),
        clock: ground.clock.clone(),
        rule: CompactionRule {
            recordings: config.compact_recordings,
            samples: config.compact_samples,
            every: (config.compact_every_seconds > 0).then(|| time(config.compact_every_seconds)),
            grace: time(config.compact_grace_seconds),
            lease: COMPACTION_LEASE,
        },
        owner,
        ends,
    }
}

impl From<QueryError> for ServiceError {
    fn from(error: QueryError) -> Self {
        let invalid = |code| Self::Invalid { code, detail: error.to_string() };
        match error {
            QueryError::Refused(_) => invalid("query_refused"),
            QueryError::Value(_) => invalid("query_failed"),
            QueryError::Memory => invalid("query_needs_memory"),
            QueryError::TooSlow => invalid("query_too_slow"),
            QueryError::Rows(_) | QueryError::Bytes(_) | QueryError::Table => invalid("result_too_large"),
            QueryError::Files(_) => invalid("query_reads_too_much"),
            QueryError::Busy => Self::busy("queries of the lake"),
            QueryError::Changed => {
                tracing::warn!("a file of the lake was gone when a query came to it");
                Self::busy("what is queried")
            }
            QueryError::Away(reason) => {
                tracing::warn!(reason, "the query engine is away");
                Self::busy("query engine")
            }
            QueryError::Database(error) => error.into(),
            QueryError::Objects(error) => error.into(),
            QueryError::Internal(cause) => Self::Internal(anyhow::Error::from_boxed(cause)),
        }
    }
}
