//! The types of the schema, with the contract's names, and what they are made of.

use super::column::Column;
use super::times;
use crate::actors::resolver::{Assignment, ToldSamples};
use crate::domain::recording::Axis;
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

/// A test that a patient is to do.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct PatientTest {
    patient_id: String,
    test_type: String,
}

impl From<Assignment> for PatientTest {
    fn from(assignment: Assignment) -> Self {
        Self { patient_id: assignment.patient.to_string(), test_type: assignment.test_type.to_string() }
    }
}

/// A figure of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, GraphQLEnum)]
#[graphql(rename_all = "none")]
#[expect(non_camel_case_types, reason = "the contract's names")]
pub(super) enum Stat {
    /// Their mean.
    avg,
    /// The highest less the lowest.
    range,
}

impl Stat {
    /// As decimal text.
    pub(super) fn of(self, stats: database::ScoreStats) -> Option<String> {
        match self {
            Self::avg => stats.mean.map(|mean| mean.to_string()),
            Self::range => stats.range.map(|range| range.to_string()),
        }
    }
}

/// An axis: accelerometer (m/s²), gyroscope (rad/s), magnetometer (µT).
#[derive(Debug, Clone, Copy, PartialEq, Eq, GraphQLEnum)]
#[graphql(rename_all = "none")]
#[expect(non_camel_case_types, reason = "the contract's names")]
pub(super) enum Measurement {
    ax,
    ay,
    az,
    gx,
    gy,
    gz,
    mx,
    my,
    mz,
}

impl From<Measurement> for Axis {
    fn from(measurement: Measurement) -> Self {
        match measurement {
            Measurement::ax => Self::Ax,
            Measurement::ay => Self::Ay,
            Measurement::az => Self::Az,
            Measurement::gx => Self::Gx,
            Measurement::gy => Self::Gy,
            Measurement::gz => Self::Gz,
            Measurement::mx => Self::Mx,
            Measurement::my => Self::My,
            Measurement::mz => Self::Mz,
        }
    }
}

/// Lowest and highest value of an axis: lists of equal length, with one entry a day and movement, earliest first. Values are
/// decimal text in the axis's unit; months and days have no leading zero.
#[derive(Default, GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct MeasurementRange {
    min: Option<Vec<Option<String>>>,
    max: Option<Vec<Option<String>>>,
    year: Option<Vec<Option<String>>>,
    month: Option<Vec<Option<String>>>,
    day: Option<Vec<Option<String>>>,
    movement: Option<Vec<Option<String>>>,
}

impl From<Vec<database::DayRange>> for MeasurementRange {
    fn from(ranges: Vec<database::DayRange>) -> Self {
        let column =
            |text: fn(&database::DayRange) -> String| Some(ranges.iter().map(|range| Some(text(range))).collect());
        Self {
            min: column(|range| range.lowest.to_string()),
            max: column(|range| range.highest.to_string()),
            year: column(|range| range.day.year.to_string()),
            month: column(|range| range.day.month.to_string()),
            day: column(|range| range.day.day.to_string()),
            movement: column(|range| range.movement.to_string()),
        }
    }
}

/// The samples of an axis: when each was taken, as the app writes it (`2023-04-25 12:04:52.228840 -07:00`), and its value in the
/// axis's unit.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct MeasurementRecord {
    ts: Option<Column<String>>,
    val: Option<Column<f64>>,
}

impl From<ToldSamples> for MeasurementRecord {
    fn from(samples: ToldSamples) -> Self {
        Self { ts: Some(Column(samples.times)), val: Some(Column(samples.values)) }
    }
}
