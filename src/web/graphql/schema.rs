//! The schema: which operations there are. Each checks the form of its arguments and asks the resolver.

use super::times;
use super::types::{CareProvider, Patient, PatientCareprovider, SortDirection, Test, TestEvent};
use crate::actors::ServiceError;
use crate::actors::resolver::{
    AddTestType, AllTests, Ask, CareProviderById, CreateCareProvider, CreatePatient, LinkPatient, Operation,
    PatientById, PatientsOfCareProvider, PutTestResult, RecordConsent, Resolver, TestEventById, TestEvents,
};
use crate::actors::supervision::Handle;
use crate::domain::access::Caller;
use crate::storage::database::{self, PatientLink, TestEventFilter, TestResult, TestType};
use crate::web::problem::Problem;
use chrono::{DateTime, Utc};
use juniper::{EmptySubscription, FieldError, FieldResult, RootNode, Value, graphql_object};
use std::fmt::Display;
use std::str::FromStr;

/// Test events in an answer where the client names no count.
const USUAL_COUNT: u32 = 1_000;

/// The schema with its operations.
pub(super) type Schema = RootNode<Query, Mutation, EmptySubscription<Context>>;

pub(super) fn schema() -> Schema {
    Schema::new(Query, Mutation, EmptySubscription::new())
}

/// Who asks, and who answers.
pub(super) struct Context {
    pub(super) resolver: Handle<Resolver>,
    pub(super) caller: Caller,
}

impl juniper::Context for Context {}

impl Context {
    async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        self.resolver.ask(Ask { caller: self.caller.clone(), operation }).await?
    }
}

/// What can be read.
pub(super) struct Query;

#[graphql_object]
#[graphql(context = Context, rename_all = "none")]
impl Query {
    /// A patient's profile.
    #[graphql(name = "getPatientById")]
    async fn patient_by_id(context: &Context, patient_id: String) -> FieldResult<Option<Patient>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            context.ask(PatientById { patient }).await.map(Patient::from)
        })
        .await
    }

    /// A care provider's profile.
    #[graphql(name = "getCareproviderById")]
    async fn care_provider_by_id(context: &Context, care_provider_id: String) -> FieldResult<Option<CareProvider>> {
        answer(async {
            let care_provider = id("care_provider_id", &care_provider_id)?;
            context.ask(CareProviderById { care_provider }).await.map(CareProvider::from)
        })
        .await
    }

    /// The patients whom a care provider cares for.
    #[graphql(name = "getPatientsForCareprovider")]
    async fn patients_of_care_provider(
        context: &Context,
        care_provider_id: String,
    ) -> FieldResult<Option<Vec<Option<Patient>>>> {
        answer(async {
            let care_provider = id("care_provider_id", &care_provider_id)?;
            context.ask(PatientsOfCareProvider { care_provider }).await.map(list)
        })
        .await
    }

    /// A patient's test events, in the order of their start times, earliest first unless told otherwise.
    #[graphql(name = "getTestEvents")]
    async fn test_events(
        context: &Context,
        patient_id: String,
        test_type: Option<String>,
        from_time: Option<String>,
        to_time: Option<String>,
        sort: Option<SortDirection>,
        count: Option<i32>,
    ) -> FieldResult<Option<Vec<Option<TestEvent>>>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let filter = TestEventFilter {
                test_type: test_type.map(|name| id("test_type", &name)).transpose()?,
                from: from_time.map(|text| time("from_time", &text)).transpose()?,
                to: to_time.map(|text| time("to_time", &text)).transpose()?,
                latest_first: sort == Some(SortDirection::desc),
                limit: match count {
                    None => USUAL_COUNT,
                    Some(count) => u32::try_from(count).map_err(|_| invalid("count", "is negative"))?,
                },
            };
            context.ask(TestEvents { patient, filter }).await.map(list)
        })
        .await
    }

    /// One test event of a patient.
    #[graphql(name = "getTestEventById")]
    async fn test_event_by_id(
        context: &Context,
        test_event_id: String,
        patient_id: String,
    ) -> FieldResult<Option<TestEvent>> {
        answer(async {
            let ask =
                TestEventById { id: id("test_event_id", &test_event_id)?, patient: id("patient_id", &patient_id)? };
            context.ask(ask).await.map(TestEvent::from)
        })
        .await
    }

    /// Every type of test there is.
    #[graphql(name = "getAllAvailableTests")]
    async fn all_tests(context: &Context) -> FieldResult<Option<Vec<Option<Test>>>> {
        answer(async { context.ask(AllTests).await.map(list) }).await
    }
}

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

/// The field's value, or its error with the same code and sentence as a problem document.
async fn answer<T>(work: impl Future<Output = Result<T, ServiceError>>) -> FieldResult<Option<T>> {
    match work.await {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let problem = Problem::from(error);
            let mut extensions = juniper::Object::with_capacity(1);
            extensions.add_field("code", Value::scalar(problem.code()));
            Err(FieldError::new(problem.detail(), Value::Object(extensions)))
        }
    }
}

fn list<A, T: From<A>>(items: Vec<A>) -> Vec<Option<T>> {
    items.into_iter().map(|item| Some(T::from(item))).collect()
}

fn id<T: FromStr<Err: Display>>(argument: &str, text: &str) -> Result<T, ServiceError> {
    text.parse().map_err(|error| invalid(argument, error))
}

fn time(argument: &str, text: &str) -> Result<DateTime<Utc>, ServiceError> {
    times::parse(text).ok_or_else(|| invalid(argument, "is no time"))
}

fn invalid(argument: &str, problem: impl Display) -> ServiceError {
    ServiceError::Invalid { code: "invalid_argument", detail: format!("{argument} {problem}") }
}
