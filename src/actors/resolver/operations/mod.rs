//! The operations, a subject a file.

mod accounts;
mod assigned_tests;
mod audit;
mod care_providers;
mod deletion;
mod documents;
mod lists;
mod live;
mod measurements;
mod models;
mod patient_lists;
mod patients;
mod recordings;
mod test_event_lists;
mod test_events;
mod test_types;

pub use accounts::{Accounts, AccountsPage, RemoveSecondFactorOf, SetRole};
pub use assigned_tests::{AssignTest, AssignedTests, Assignment, TestsOf, UnassignTest};
pub use audit::{AccessesToPatient, AuditPage, AuditRecords};
pub use care_providers::{CareProviderById, CreateCareProvider, LinkPatient, PatientsOfCareProvider};
pub use deletion::{DeleteTestEvent, Erased};
pub use documents::{DocumentsLeave, ReadDocuments, ReadRecord, RecordLeave};
pub use lists::{EventOf, Listed, MOST_COUNTED, MOST_IN_BATCH, Total};
pub use live::{BeginWatch, WatchedRecording};
pub use measurements::{RangesOverTime, SamplesOfAxis, ScoresOverTime, ToldSamples};
pub use models::{ModelCardOf, ModelsOf};
pub use patient_lists::{PatientList, PatientSummaries, PatientSummary, PatientsById};
pub use patients::{CreatePatient, PatientById, PatientDirectory, RecordConsent};
pub use recordings::{AxisRangesOf, RecordingStatus, RecordingsOf};
pub use test_event_lists::{ScoreAverages, TestEventList};
pub use test_events::{MOST_EVENTS, PutBalanceScore, PutTestResult, TestEventById, TestEvents};
pub use test_types::{AddTestType, AllTests};

use super::ResolverDeps;
use super::operation::{Effect, Operation};
use crate::actors::ServiceError;
use crate::domain::access::{Access, Caller};
use crate::domain::audit::Entry;

/// Refuses a text that is too long for its field.
fn check_length(field: &str, text: Option<&str>, longest: usize) -> Result<(), ServiceError> {
    if text.is_some_and(|text| text.chars().count() > longest) {
        return Err(ServiceError::Invalid {
            code: "text_too_long",
            detail: format!("{field} has at most {longest} characters"),
        });
    }
    Ok(())
}
