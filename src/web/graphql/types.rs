//! The types of the schema, with the contract's names, and what they are made of.

use super::times;
use crate::storage::database;
use juniper::{GraphQLEnum, GraphQLObject};

/// A patient.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct Patient {
    patient_id: String,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    privacy_consent_date: Option<String>,
}

impl From<database::Patient> for Patient {
    fn from(patient: database::Patient) -> Self {
        Self {
            patient_id: patient.id.to_string(),
            email: patient.email,
            first_name: patient.first_name,
            last_name: patient.last_name,
            privacy_consent_date: patient.privacy_consent_date,
        }
    }
}

/// A care provider.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct CareProvider {
    care_provider_id: String,
    email: Option<String>,
}

impl From<database::CareProvider> for CareProvider {
    fn from(care_provider: database::CareProvider) -> Self {
        Self { care_provider_id: care_provider.id.to_string(), email: care_provider.email }
    }
}

/// A care provider who cares for a patient.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct PatientCareprovider {
    patient_id: String,
    care_provider_id: String,
}

impl From<database::PatientLink> for PatientCareprovider {
    fn from(link: database::PatientLink) -> Self {
        Self { patient_id: link.patient.to_string(), care_provider_id: link.care_provider.to_string() }
    }
}

/// A type of test.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct Test {
    test_type: String,
    instructions: Option<String>,
    duration_in_seconds: Option<i32>,
}

impl From<database::TestType> for Test {
    fn from(test: database::TestType) -> Self {
        Self {
            test_type: test.name.to_string(),
            instructions: test.instructions,
            duration_in_seconds: test.duration_in_seconds,
        }
    }
}

/// A test that a patient did. Times are RFC 3339, UTC; scores are 0 to 100.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct TestEvent {
    test_event_id: String,
    patient_id: String,
    test_type: String,
    balance_score: Option<i32>,
    doctor_score: Option<i32>,
    notes: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
}

impl From<database::TestEvent> for TestEvent {
    fn from(event: database::TestEvent) -> Self {
        Self {
            test_event_id: event.id.to_string(),
            patient_id: event.patient.to_string(),
            test_type: event.test_type.to_string(),
            balance_score: event.balance_score,
            doctor_score: event.doctor_score,
            notes: event.notes,
            start_time: event.start_time.map(times::shown),
            end_time: event.end_time.map(times::shown),
        }
    }
}

/// Where an event's documents can be read for some minutes, by anybody who has the address.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct URLGenerated {
    /// The report, PDF.
    pub(super) pdf_url: Option<String>,
    /// The recording, CSV; null where none is converted.
    pub(super) raw_url: Option<String>,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, GraphQLEnum)]
#[graphql(rename_all = "none")]
#[expect(non_camel_case_types, reason = "the contract's names")]
pub(super) enum SortDirection {
    /// Earliest first.
    asc,
    /// Latest first.
    desc,
}
