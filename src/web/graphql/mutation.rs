//! What can be changed: each operation checks the form of its arguments and asks the resolver.

use super::argument::{day, id, invalid, time};
use super::context::{Context, answer};
use super::times;
use super::types::{CareProvider, Patient, PatientCareprovider, PatientTest, Test, TestEvent};
use crate::actors::ServiceError;
use crate::actors::resolver::{
    AddTestType, AssignTest, Assignment, CreateCareProvider, CreatePatient, DeleteTestEvent, Erased, LinkPatient,
    PutBalanceScore, PutTestResult, RecordConsent, UnassignTest,
};
use crate::storage::database::{self, Deleted, PatientLink, TestResult, TestType};
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

    /// Sets the computed score of a test event by hand, 0 to 100.
    #[graphql(name = "putBalanceScore")]
    async fn put_balance_score(
        context: &Context,
        test_event_id: String,
        balance_score: i32,
    ) -> FieldResult<Option<TestEvent>> {
        answer(async {
            let id = id("test_event_id", &test_event_id)?;
            context.ask(PutBalanceScore { id, score: balance_score }).await.map(TestEvent::from)
        })
        .await
    }

    /// Has a patient do a test.
    #[graphql(name = "assignTestToPatient")]
    async fn assign_test(context: &Context, patient_id: String, test_type: String) -> FieldResult<Option<PatientTest>> {
        answer(async {
            let assignment = assignment(&patient_id, &test_type)?;
            context.ask(AssignTest(assignment)).await.map(PatientTest::from)
        })
        .await
    }

    /// Takes a test from a patient: `removed`, whether they had it or not.
    #[graphql(name = "removeTestFromPatient")]
    async fn unassign_test(context: &Context, patient_id: String, test_type: String) -> FieldResult<Option<String>> {
        answer(async {
            let assignment = assignment(&patient_id, &test_type)?;
            context.ask(UnassignTest(assignment)).await.map(|()| "removed".to_owned())
        })
        .await
    }

    /// Deletes a recording with everything that was made from it: raw, CSV, Parquet and report, its measurements and its computed
    /// score. The test event stays. `deleted`, also where it was before; `being deleted` where objects are left to remove.
    #[graphql(name = "deleteTestEventFromS3")]
    async fn delete_recording(
        context: &Context,
        test_event_id: String,
        patient_id: String,
        year: i32,
        month: i32,
        day: i32,
        test_type: String,
    ) -> FieldResult<Option<String>> {
        answer(async {
            let what = Deleted::Recording(id("test_type", &test_type)?, self::day(year, month, day)?);
            delete(context, &test_event_id, &patient_id, what).await
        })
        .await
    }

    /// Deletes a test event, and where it has a recording, that with everything that was made from it. `deleted`, also where it
    /// was before; `being deleted` where objects are left to remove.
    #[graphql(name = "deleteTestEventFromDB")]
    async fn delete_test_event(
        context: &Context,
        test_event_id: String,
        patient_id: String,
    ) -> FieldResult<Option<String>> {
        answer(delete(context, &test_event_id, &patient_id, Deleted::Event)).await
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

async fn delete(
    context: &Context,
    test_event_id: &str,
    patient_id: &str,
    what: Deleted,
) -> Result<String, ServiceError> {
    let (event, patient) = (id("test_event_id", test_event_id)?, id("patient_id", patient_id)?);
    Ok(match context.ask(DeleteTestEvent { id: event, patient, what }).await? {
        Erased::Gone => "deleted".to_owned(),
        Erased::UnderWay => "being deleted".to_owned(),
    })
}

fn assignment(patient_id: &str, test_type: &str) -> Result<Assignment, ServiceError> {
    Ok(Assignment { patient: id("patient_id", patient_id)?, test_type: id("test_type", test_type)? })
}
