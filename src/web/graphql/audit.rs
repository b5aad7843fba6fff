//! The audit record in the schema.

use super::argument::invalid;
use super::times;
use crate::actors::ServiceError;
use crate::actors::resolver::AuditPage;
use crate::domain::audit::Kept;
use crate::storage::database::AuditPlace;
use chrono::DateTime;
use juniper::GraphQLObject;

/// Records in an answer where the client names no count.
const USUAL_COUNT: u32 = 100;

/// Some records, the latest first.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct AuditRecords {
    records: Vec<AuditRecord>,
    /// What to ask for as `after` for the next ones; null where there are none.
    next: Option<String>,
}

/// Who asked for what, when, from where, and what became of it.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct AuditRecord {
    /// Its place in the record, from 1.
    position: String,
    at: String,
    /// `patient`, `care_provider`, `admin`, `operator` (the command line), `bucket` (a phone that put an object there) or
    /// `nobody` (no token that holds).
    role: String,
    account_id: Option<String>,
    /// The patient or care provider that the account is, or an operator's user name.
    acting_as: Option<String>,
    operation: String,
    patient_ids: Vec<String>,
    test_event_id: Option<String>,
    care_provider_id: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    /// `allowed`, `absent`, `forbidden`, `refused` or `failed`.
    result: String,
    detail: Option<String>,
}

impl From<AuditPage> for AuditRecords {
    fn from(page: AuditPage) -> Self {
        let records = page.records.into_iter().map(|Kept { mark, record }| AuditRecord {
            position: mark.position.to_string(),
            at: times::shown(record.at),
            role: record.role.into_owned(),
            account_id: record.account,
            acting_as: record.acting_as,
            operation: record.operation.into_owned(),
            patient_ids: record.patients,
            test_event_id: record.test_event,
            care_provider_id: record.care_provider,
            address: record.address,
            request_id: record.request_id,
            result: record.result.into_owned(),
            detail: record.detail,
        });
        Self { records: records.collect(), next: page.next.map(cursor) }
    }
}

/// Who asked for what of a patient.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct PatientAccesses {
    accesses: Vec<PatientAccess>,
    /// What to ask for as `after` for the next ones; null where there are none.
    next: Option<String>,
}

/// Somebody asked for something of a patient.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct PatientAccess {
    at: String,
    /// As in `AuditRecord`.
    role: String,
    /// The patient or care provider that the account is.
    acting_as: Option<String>,
    operation: String,
    test_event_id: Option<String>,
    /// As in `AuditRecord`.
    result: String,
}

impl From<AuditPage> for PatientAccesses {
    fn from(page: AuditPage) -> Self {
        let accesses = page.records.into_iter().map(|Kept { record, .. }| PatientAccess {
            at: times::shown(record.at),
            acting_as: record.acting_as.filter(|_| record.role != "operator"),
            role: record.role.into_owned(),
            operation: record.operation.into_owned(),
            test_event_id: record.test_event,
            result: record.result.into_owned(),
        });
        Self { accesses: accesses.collect(), next: page.next.map(cursor) }
    }
}

/// How many, where a client names a count or none.
pub(super) fn count(first: Option<i32>) -> Result<u32, ServiceError> {
    first.map_or(Ok(USUAL_COUNT), |count| u32::try_from(count).map_err(|_| invalid("first", "is negative")))
}

/// Where a page begins.
pub(super) fn place(after: &str) -> Result<AuditPlace, ServiceError> {
    let read = || {
        let (micros, position) = after.split_once('-')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(AuditPlace { at, position: position.parse().ok()? })
    };
    read().ok_or_else(|| invalid("after", "is not the next of an answer"))
}

fn cursor(place: AuditPlace) -> String {
    format!("{}-{}", place.at.timestamp_micros(), place.position)
}
