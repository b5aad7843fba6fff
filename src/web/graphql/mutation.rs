//! What can be changed: each operation checks the form of its arguments and asks the resolver.

use super::argument::{id, invalid, time};
use super::context::{Context, answer};
use super::times;
use super::types::{CareProvider, Patient, PatientCareprovider, Test, TestEvent};
use crate::actors::resolver::{
    AddTestType, CreateCareProvider, CreatePatient, LinkPatient, PutTestResult, RecordConsent,
};
use crate::storage::database::{self, PatientLink, TestResult, TestType};
use juniper::{FieldResult, graphql_object};

/// What can be changed.
pub(super) struct Mutation;

#[graphql_object]
#[graphql(context = Context, rename_all = "none")]
impl Mutation {
    /// Makes a patient.
    #[graphql(name = "createPatient")]
    async fn create_patient(
        context: &Context,
        patient_id: String,
        email: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
    ) -> FieldResult<Option<Patient>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let patient = database::Patient { id: patient, email, first_name, last_name, privacy_consent_date: None };
            context.ask(CreatePatient { patient }).await.map(Patient::from)
        })
        .await
    }

    /// Makes a care provider.
    #[graphql(name = "createCareProvider")]
    async fn create_care_provider(
        context: &Context,
        care_provider_id: String,
        email: String,
    ) -> FieldResult<Option<CareProvider>> {
        answer(async {
            let id = id("care_provider_id", &care_provider_id)?;
            let care_provider = database::CareProvider { id, email: Some(email) };
            context.ask(CreateCareProvider { care_provider }).await.map(CareProvider::from)
        })
        .await
    }

    /// Links a care provider to a patient.
    #[graphql(name = "addPatientToCareProvider")]
    async fn add_patient_to_care_provider(
        context: &Context,
        care_provider_id: String,
        patient_id: String,
    ) -> FieldResult<Option<PatientCareprovider>> {
        answer(async {
            let care_provider = id("care_provider_id", &care_provider_id)?;
            let link = PatientLink { care_provider, patient: id("patient_id", &patient_id)? };
            context.ask(LinkPatient { link }).await.map(PatientCareprovider::from)
        })
        .await
    }

    /// Notes when a patient consented to the use of their data: a day, or a time.
    #[graphql(name = "recordConsentDate")]
    async fn record_consent_date(context: &Context, patient_id: String, date: String) -> FieldResult<Option<Patient>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let date = times::day_or_time(&date).ok_or_else(|| invalid("date", "is neither a day nor a time"))?;
            context.ask(RecordConsent { patient, date }).await.map(Patient::from)
        })
        .await
    }

    /// Makes a test event, or changes it; a computed score stays.
    #[graphql(name = "putTestResult")]
    #[expect(clippy::too_many_arguments, reason = "the contract's arguments")]
    async fn put_test_result(
        context: &Context,
        test_event_id: String,
        patient_id: String,
        test_type: String,
        doctor_score: Option<i32>,
        start_time: String,
        end_time: String,
        notes: Option<String>,
    ) -> FieldResult<Option<TestEvent>> {
        answer(async {
            let result = TestResult {
                id: id("test_event_id", &test_event_id)?,
                patient: id("patient_id", &patient_id)?,
                test_type: id("test_type", &test_type)?,
                doctor_score,
                notes,
                start_time: time("start_time", &start_time)?,
                end_time: time("end_time", &end_time)?,
            };
            context.ask(PutTestResult { result }).await.map(TestEvent::from)
        })
        .await
    }

    /// Adds a type of test, or changes the one with that name.
    #[graphql(name = "addTestType")]
    async fn add_test_type(
        context: &Context,
        test_type: String,
        instructions: Option<String>,
        duration_in_seconds: Option<i32>,
    ) -> FieldResult<Option<Test>> {
        answer(async {
            let test_type = TestType { name: id("test_type", &test_type)?, instructions, duration_in_seconds };
            context.ask(AddTestType { test_type }).await.map(Test::from)
        })
        .await
    }
}
