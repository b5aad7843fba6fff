//! The types of the schema, with the contract's names, and what they are made of.

use super::column::Column;
use super::context::Context;
use super::recording::Recording;
use super::times;
use crate::actors::resolver::{Assignment, EventOf, PatientSummary, ToldSamples};
use crate::domain::recording::Axis;
use crate::storage::database::{self, TimedScore};
use juniper::{FieldResult, GraphQLEnum, GraphQLObject, graphql_object};

/// A patient.
pub(super) struct Patient(database::Patient);

impl From<database::Patient> for Patient {
    fn from(patient: database::Patient) -> Self {
        Self(patient)
    }
}

#[graphql_object]
#[graphql(context = Context, rename_all = "none")]
impl Patient {
    fn patient_id(&self) -> &str {
        self.0.id.as_str()
    }

    fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    fn first_name(&self) -> Option<&str> {
        self.0.first_name.as_deref()
    }

    fn last_name(&self) -> Option<&str> {
        self.0.last_name.as_deref()
    }

    fn privacy_consent_date(&self) -> Option<&str> {
        self.0.privacy_consent_date.as_deref()
    }

    /// The latest computed score.
    async fn latest_score(&self, context: &Context) -> FieldResult<Option<LatestScore>> {
        Ok(self.summary(context).await?.and_then(|summary| summary.latest).map(LatestScore::from))
    }

    /// Points a week: the slope of the line that fits the last ten scores of the latest score's movement best. Null for
    /// fewer than three.
    async fn trend(&self, context: &Context) -> FieldResult<Option<f64>> {
        Ok(self.summary(context).await?.and_then(|summary| summary.trend))
    }

    /// The tests that they are to do, by name.
    async fn assigned_tests(&self, context: &Context) -> FieldResult<Option<Vec<Test>>> {
        let tests = context.loaders.tests.load(self.0.id.clone()).await?.unwrap_or_default();
        Ok(Some(tests.into_iter().map(Test::from).collect()))
    }

    /// How many test events there are, counted up to 10,000.
    async fn event_count(&self, context: &Context) -> FieldResult<Option<i32>> {
        Ok(self.summary(context).await?.and_then(|summary| i32::try_from(summary.events).ok()))
    }
}

impl Patient {
    async fn summary(&self, context: &Context) -> FieldResult<Option<PatientSummary>> {
        context.loaders.summaries.load(self.0.id.clone()).await
    }
}

/// A computed score of a patient.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct LatestScore {
    test_event_id: String,
    movement: String,
    /// 0 to 100.
    balance_score: i32,
    /// When the test began; where that is not known, when it became known. RFC 3339, UTC.
    time: String,
}

impl From<TimedScore> for LatestScore {
    fn from(score: TimedScore) -> Self {
        Self {
            test_event_id: score.event.to_string(),
            movement: score.movement.to_string(),
            balance_score: score.score,
            time: times::shown(score.time),
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
pub(super) struct TestEvent(database::TestEvent);

impl From<database::TestEvent> for TestEvent {
    fn from(event: database::TestEvent) -> Self {
        Self(event)
    }
}

#[graphql_object]
#[graphql(context = Context, rename_all = "none")]
impl TestEvent {
    fn test_event_id(&self) -> String {
        self.0.id.to_string()
    }

    fn patient_id(&self) -> &str {
        self.0.patient.as_str()
    }

    fn test_type(&self) -> &str {
        self.0.test_type.as_str()
    }

    fn balance_score(&self) -> Option<i32> {
        self.0.balance_score
    }

    fn doctor_score(&self) -> Option<i32> {
        self.0.doctor_score
    }

    fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }

    fn start_time(&self) -> Option<String> {
        self.0.start_time.map(times::shown)
    }

    fn end_time(&self) -> Option<String> {
        self.0.end_time.map(times::shown)
    }

    /// The patient who did it.
    async fn patient(&self, context: &Context) -> FieldResult<Option<Patient>> {
        Ok(context.loaders.patients.load(self.0.patient.clone()).await?.map(Patient::from))
    }

    /// Where its recording stands, with score and quality; null where none has come.
    async fn recording(&self, context: &Context) -> FieldResult<Option<Recording>> {
        let event = EventOf { event: self.0.id, patient: self.0.patient.clone() };
        Ok(context.loaders.recordings.load(event).await?.map(Recording::from))
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
