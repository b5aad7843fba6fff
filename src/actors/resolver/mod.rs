//! Resolver: reads and writes for clients. Each is an [`Operation`]; who may do it is decided here, and noted in the audit
//! record, once for all of them.

mod operation;
mod operations;

pub use super::authorization::SeenLinks;
pub use operation::{Ask, Effect, Operation};
pub use operations::{
    AccessesToPatient, Accounts, AccountsPage, AddTestType, AllTests, AssignTest, AssignedTests, Assignment, AuditPage,
    AuditRecords, AxisRangesOf, BeginWatch, CareProviderById, CreateCareProvider, CreatePatient, DeleteTestEvent,
    DocumentsLeave, Erased, EventOf, LinkPatient, Listed, MOST_COUNTED, MOST_EVENTS, MOST_IN_BATCH, ModelCardOf,
    ModelsOf, PatientById, PatientDirectory, PatientList, PatientSummaries, PatientSummary, PatientsById,
    PatientsOfCareProvider, PutBalanceScore, PutTestResult, RangesOverTime, ReadDocuments, ReadRecord, RecordConsent,
    RecordLeave, RecordingStatus, RecordingsOf, RemoveSecondFactorOf, SamplesOfAxis, ScoreAverages, ScoresOverTime,
    SetRole, TestEventById, TestEventList, TestEvents, TestsOf, ToldSamples, Total, UnassignTest, WatchedRecording,
};

use super::ServiceError;
use super::auditor::Audit;
use super::authorization::authorize;
use super::updates::Updates;
use super::work::Ledger;
use crate::domain::access::Caller;
use crate::domain::audit::Entry;
use crate::domain::clock::SharedClock;
use crate::storage::database::{Database, TrainingRule};
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What operations work with.
#[derive(Debug, Clone)]
pub struct ResolverDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// The audit record.
    pub audit: Audit,
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
    /// How long a report may take.
    pub report_deadline: Duration,
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

    fn handle(&mut self, Ask { caller, operation, links }: Ask<O>, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("resolver");
        let deps = self.0.clone();
        Box::pin(async move {
            let _permit = deps.at_once.clone().try_acquire_owned().map_err(|_| ServiceError::busy("operations"))?;
            match tokio::time::timeout(deps.deadline, perform(&deps, &caller, &links, operation)).await {
                Ok(answer) => answer,
                Err(_) => {
                    tracing::warn!(operation = O::NAME, "an operation took too long");
                    Err(ServiceError::busy("operation too slow"))
                }
            }
        })
    }
}

/// Every operation goes through here: it is authorised, it is noted, and it runs.
async fn perform<O: Operation>(
    deps: &ResolverDeps,
    caller: &Caller,
    links: &SeenLinks,
    operation: O,
) -> Result<O::Answer, ServiceError> {
    let entry = operation.about(Entry::by(caller, O::NAME));
    let access = match operation.access(deps).await {
        Ok(access) => access,
        Err(error) => return Err(deps.audit.failed(entry, error).await),
    };
    let entry = entry.about(&access);
    let anew = SeenLinks::default();
    let known = if O::EFFECT == Effect::Changes { &anew } else { links };
    if let Err(error) = authorize(&deps.database, &caller.role, &access, known, O::SUBJECT).await {
        return Err(deps.audit.failed(entry, error).await);
    }
    if O::EFFECT == Effect::Changes {
        deps.audit.record(entry.clone()).await?;
    }
    let asked_at = Instant::now();
    let answer = operation.run(deps, caller).await;
    if O::EFFECT == Effect::Changes {
        links.forget().await;
    }
    match answer {
        Ok(answer) => {
            if O::EFFECT == Effect::Reads {
                links.shown(&caller.role, &access, O::linked(&answer), asked_at).await;
                deps.audit.record(entry.patients(O::covered(&answer))).await?;
            }
            Ok(answer)
        }
        Err(error) => Err(deps.audit.failed(entry, error).await),
    }
}

#[cfg(test)]
pub(crate) mod tests;
