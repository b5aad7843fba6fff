//! The audit record, which is itself audited.

use super::{Access, Caller, Effect, Entry, Operation, ResolverDeps, ServiceError};
use crate::domain::audit::Kept;
use crate::domain::ids::PatientId;
use crate::storage::database::{AuditFilter, AuditPlace};

/// Records that one answer lists at most.
const MOST_RECORDS: u32 = 1_000;

/// A page of records, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<Kept>,
    /// Where the next page begins, if there is one.
    pub next: Option<AuditPlace>,
}

/// Rows of the whole record.
pub struct AuditRecords {
    /// Which.
    pub filter: AuditFilter,
}

impl Operation for AuditRecords {
    const NAME: &'static str = "audit_records";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "audit record";
    type Answer = AuditPage;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::ReadAudit)
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.patients(self.filter.patient.clone())
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<AuditPage, ServiceError> {
        page(deps, self.filter).await
    }
}

/// Who asked for what of a patient.
pub struct AccessesToPatient {
    /// Whose data it was.
    pub patient: PatientId,
    /// Only what is before this place.
    pub before: Option<AuditPlace>,
    /// At most so many.
    pub limit: u32,
}

impl Operation for AccessesToPatient {
    const NAME: &'static str = "accesses_to_patient";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = AuditPage;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::ReadAuditOf(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<AuditPage, ServiceError> {
        if deps.database.patient(&self.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        let Self { patient, before, limit } = self;
        page(deps, AuditFilter { patient: Some(patient), before, limit, ..AuditFilter::default() }).await
    }
}

async fn page(deps: &ResolverDeps, filter: AuditFilter) -> Result<AuditPage, ServiceError> {
    let limit = filter.limit.clamp(1, MOST_RECORDS);
    let mut records = deps.database.audit_records(&AuditFilter { limit: limit + 1, ..filter }).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    let last = records.last().filter(|_| more);
    let next = last.map(|kept| AuditPlace { at: kept.record.at, position: kept.mark.position });
    Ok(AuditPage { records, next })
}
