//! Resolver: reads and writes for clients. Each is an [`Operation`]; who may do it is decided here, once for all of
//! them, before it runs.

mod operation;
mod operations;

pub use operation::{Ask, Operation};
pub use operations::{
    AddTestType, AllTests, AssignTest, AssignedTests, Assignment, CareProviderById, CreateCareProvider, CreatePatient,
    DeleteTestEvent, DocumentsLeave, Erased, LinkPatient, PatientById, PatientDirectory, PatientsOfCareProvider,
    PutBalanceScore, PutTestResult, RangesOverTime, ReadDocuments, ReadRecord, RecordConsent, RecordLeave,
    RecordingStatus, SamplesOfAxis, ScoresOverTime, TestEventById, TestEvents, ToldSamples, UnassignTest,
};

use super::ServiceError;
use super::authorization::authorize;
use super::updates::Updates;
use super::work::Ledger;
use crate::domain::access::Caller;
use crate::domain::clock::SharedClock;
use crate::storage::database::{Database, TrainingRule};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What operations work with.
#[derive(Debug, Clone)]
pub struct ResolverDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Woken when a job is queued; knows how long jobs may take.
    pub ledger: Ledger,
    /// Tells who waits.
    pub updates: Updates,
    /// From how many recordings on a model is trained.
    pub rule: TrainingRule,
    /// Operations under way at once; further ones are told to come back.
    pub at_once: Arc<Semaphore>,
    /// How long an operation may take.
    pub deadline: Duration,
}

/// The actor.
#[derive(Debug)]
pub struct Resolver(ResolverDeps);

impl Resolver {
    /// A new one.
    #[must_use]
    pub fn new(deps: ResolverDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Resolver {
    type Context = Context<Self>;
}

supervised!(Resolver, "resolver");

impl<O: Operation> Handler<Ask<O>> for Resolver {
    type Result = ResponseFuture<Result<O::Answer, ServiceError>>;

    fn handle(&mut self, Ask { caller, operation }: Ask<O>, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("resolver");
        let deps = self.0.clone();
        Box::pin(async move {
            let _permit = deps.at_once.clone().try_acquire_owned().map_err(|_| ServiceError::busy("operations"))?;
            let work = async {
                allow(&deps, &caller, &operation).await?;
                operation.run(&deps, &caller).await
            };
            match tokio::time::timeout(deps.deadline, work).await {
                Ok(answer) => answer,
                Err(_) => {
                    tracing::warn!(operation = O::NAME, "an operation took too long");
                    Err(ServiceError::busy("operation too slow"))
                }
            }
        })
    }
}

/// Before any operation runs.
async fn allow<O: Operation>(deps: &ResolverDeps, caller: &Caller, operation: &O) -> Result<(), ServiceError> {
    let access = operation.access(deps).await?;
    authorize(&deps.database, &caller.role, &access, O::SUBJECT).await
}

#[cfg(test)]
pub(crate) mod tests;
