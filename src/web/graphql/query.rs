//! What can be read: each operation checks the form of its arguments and asks the resolver.

use super::argument::{self, day, id, invalid, status_named, time};
use super::audit::{self, AuditRecords, PatientAccesses};
use super::context::{Context, answer, list};
use super::cursor;
use super::pages::{Model, PatientPage, Period, ScoreAverage, TestEventPage, total_asked};
use super::types::{
    CareProvider, Measurement, MeasurementRange, MeasurementRecord, Patient, SortDirection, Stat, Test, TestEvent,
    URLGenerated,
};
use crate::actors::resolver::{
    self, AccessesToPatient, AllTests, AssignedTests, CareProviderById, MOST_EVENTS, ModelsOf, PatientById,
    PatientDirectory, PatientList, PatientsOfCareProvider, RangesOverTime, SamplesOfAxis, ScoreAverages,
    ScoresOverTime, TestEventById, TestEventList, TestEvents,
};
use crate::domain::access::Role;
use crate::domain::ids::Movement;
use crate::storage::database::{
    AuditFilter, AuditPlace, PatientListFilter, TestEventFilter, TestEventListFilter, TimeOrder, Window,
};
use crate::web::downloads::address;
use juniper::{DefaultScalarValue, Executor, FieldResult, graphql_object};

/// What can be read.
pub(super) struct Query;

#[graphql_object]
#[graphql(context = Context, rename_all = "none", scalar = DefaultScalarValue)]
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

    /// The directory of all patients, by name: ids and names, and more of those whom one cares for.
    #[graphql(name = "getAllPatients")]
    async fn all_patients(context: &Context) -> FieldResult<Option<Vec<Option<Patient>>>> {
        answer(async { context.ask(PatientDirectory).await.map(list) }).await
    }

    /// A patient's test events, in the order of their start times, earliest first unless told otherwise; the first 10,000 in
    /// that order at most.
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
                    None => MOST_EVENTS,
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

    /// Links to the report of a test event and to its recording, good for some minutes. What older clients say of the day and
    /// the type is not needed: the event's row has them.
    #[graphql(name = "downloadTestEventDetails")]
    #[expect(clippy::too_many_arguments, reason = "the contract's")]
    async fn download_test_event_details(
        context: &Context,
        test_event_id: String,
        patient_name: String,
        patient_id: String,
        year: i32,
        month: i32,
        day: i32,
        test_type: String,
    ) -> FieldResult<Option<URLGenerated>> {
        let _ = (year, month, day, test_type);
        answer(async {
            let (patient, event) = (id("patient_id", &patient_id)?, id("test_event_id", &test_event_id)?);
            let links = context.documents(patient, event, patient_name).await?;
            let address = |link| address(link, context.base());
            Ok(URLGenerated { pdf_url: Some(address(links.report)), raw_url: links.csv.map(address) })
        })
        .await
    }

    /// The tests that a patient is to do.
    #[graphql(name = "getPatientAssignedTests")]
    async fn assigned_tests(context: &Context, patient_id: String) -> FieldResult<Option<Vec<Option<Test>>>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            context.ask(AssignedTests { patient }).await.map(list)
        })
        .await
    }

    /// Mean or range of a patient's computed scores in a window of time, both ends in it, as decimal text; null where there
    /// is none.
    #[graphql(name = "getScoreStatsOverTime")]
    async fn score_stats_over_time(
        context: &Context,
        patient_id: String,
        from_time: String,
        to_time: String,
        stat: Stat,
        movement: Option<String>,
    ) -> FieldResult<Option<String>> {
        let stats = answer(async {
            let patient = id("patient_id", &patient_id)?;
            let window = Window { from: time("from_time", &from_time)?, to: time("to_time", &to_time)? };
            let movement = movement.map(|name| id("movement", &name)).transpose()?;
            context.ask(ScoresOverTime { patient, window, movement }).await
        });
        Ok(stats.await?.and_then(|stats| stat.of(stats)))
    }

    /// Lowest and highest value of an axis, a day and a movement.
    #[graphql(name = "getMeasurementRange")]
    async fn measurement_range(
        context: &Context,
        patient_id: String,
        measurement: Measurement,
    ) -> FieldResult<Option<MeasurementRange>> {
        answer(async {
            let ask = RangesOverTime { patient: id("patient_id", &patient_id)?, axis: measurement.into() };
            context.ask(ask).await.map(MeasurementRange::from)
        })
        .await
    }

    /// Every sample of one axis of a recording. The test event alone says which: test type and day, which clients work out
    /// from the event and may be a day off, must be some, and are not compared.
    #[graphql(name = "getMeasurementData")]
    #[expect(clippy::too_many_arguments, reason = "the contract's arguments")]
    async fn measurement_data(
        context: &Context,
        test_event_id: String,
        test_type: String,
        measurement: Measurement,
        patient_id: String,
        year: i32,
        month: i32,
        day: i32,
    ) -> FieldResult<Option<MeasurementRecord>> {
        answer(async {
            id::<Movement>("test_type", &test_type)?;
            self::day(year, month, day)?;
            let (event, patient) = (id("test_event_id", &test_event_id)?, id("patient_id", &patient_id)?);
            let ask = SamplesOfAxis { id: event, patient, axis: measurement.into() };
            context.ask(ask).await.map(MeasurementRecord::from)
        })
        .await
    }

    /// Every type of test there is.
    #[graphql(name = "getAllAvailableTests")]
    async fn all_tests(context: &Context) -> FieldResult<Option<Vec<Option<Test>>>> {
        answer(async { context.ask(AllTests).await.map(list) }).await
    }

    /// A page of the patients of a care provider, by name: of the one who asks, where none is named, and of all patients
    /// for an admin. `search` is how a name, a first name, an e-mail address or an id begins; found patients are in the order
    /// of what they were found by.
    #[graphql(name = "listPatients")]
    async fn list_patients(
        context: &Context,
        executor: &Executor<'_, '_, Context, DefaultScalarValue>,
        care_provider_id: Option<String>,
        search: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> FieldResult<Option<PatientPage>> {
        let total = total_asked(executor);
        answer(async {
            let named = care_provider_id.map(|text| id("care_provider_id", &text)).transpose()?;
            let own = match &context.caller().role {
                Role::CareProvider(own) => Some(own.clone()),
                Role::Patient(_) | Role::Admin => None,
            };
            let filter = PatientListFilter { care_provider: named.or(own), search: argument::search(search) };
            let after = after.as_deref().map(cursor::patient).transpose()?.unwrap_or_default();
            let limit = argument::page(first, context.largest_page)?;
            context.ask(PatientList { filter, after, limit, total }).await.map(PatientPage::from)
        })
        .await
    }

    /// A page of a patient's test events, the latest first unless told otherwise. `status` is where its recording
    /// stands; `search` is a text that the notes hold.
    #[graphql(name = "listTestEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is one filter")]
    async fn list_test_events(
        context: &Context,
        executor: &Executor<'_, '_, Context, DefaultScalarValue>,
        patient_id: String,
        test_type: Option<String>,
        status: Option<String>,
        scored: Option<bool>,
        search: Option<String>,
        from_time: Option<String>,
        to_time: Option<String>,
        sort: Option<SortDirection>,
        first: Option<i32>,
        after: Option<String>,
    ) -> FieldResult<Option<TestEventPage>> {
        let total = total_asked(executor);
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let filter = TestEventListFilter {
                test_type: test_type.map(|name| id("test_type", &name)).transpose()?,
                status: status.map(|name| status_named(&name)).transpose()?,
                scored,
                search: argument::search(search),
                from: from_time.map_or_else(|| Ok(argument::earliest()), |text| time("from_time", &text))?,
                to: to_time.map_or_else(|| Ok(argument::latest()), |text| time("to_time", &text))?,
                order: match sort {
                    Some(SortDirection::asc) => TimeOrder::EarliestFirst,
                    Some(SortDirection::desc) | None => TimeOrder::LatestFirst,
                },
            };
            let after = after.as_deref().map(cursor::event).transpose()?;
            let limit = argument::page(first, context.largest_page)?;
            context.ask(TestEventList { patient, filter, after, limit, total }).await.map(TestEventPage::from)
        })
        .await
    }

    /// Averages of a patient's balance scores over weeks or months, by movement and then in time. Periods are UTC's: a week
    /// begins on Monday. The first is the one that holds `from_time` (a year before the end, where it is absent), the end is
    /// `to_time` (now). A period without a score is left out.
    #[graphql(name = "getScoreAverages")]
    async fn score_averages(
        context: &Context,
        patient_id: String,
        period: Period,
        movement: Option<String>,
        from_time: Option<String>,
        to_time: Option<String>,
    ) -> FieldResult<Option<Vec<ScoreAverage>>> {
        answer(async {
            let averages = ScoreAverages {
                patient: id("patient_id", &patient_id)?,
                period: period.into(),
                movement: movement.map(|name| id("movement", &name)).transpose()?,
                from: from_time.map(|text| time("from_time", &text)).transpose()?,
                to: to_time.map(|text| time("to_time", &text)).transpose()?,
            };
            Ok(context.ask(averages).await?.into_iter().map(ScoreAverage::from).collect())
        })
        .await
    }

    /// Rows of the audit record, the latest first: for who looks after accounts. Is itself on the record.
    #[graphql(name = "auditRecords")]
    async fn audit_records(
        context: &Context,
        patient_id: Option<String>,
        account_id: Option<String>,
        from_time: Option<String>,
        to_time: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> FieldResult<Option<AuditRecords>> {
        answer(async {
            let to = to_time.map(|text| time("to_time", &text)).transpose()?;
            let to = to.map(|at| AuditPlace { at, position: i64::MAX });
            let filter = AuditFilter {
                patient: patient_id.map(|text| id("patient_id", &text)).transpose()?,
                account: account_id.map(|text| id("account_id", &text)).transpose()?,
                from: from_time.map(|text| time("from_time", &text)).transpose()?,
                before: after.map(|text| audit::place(&text)).transpose()?.or(to),
                limit: audit::count(first)?,
            };
            context.ask(resolver::AuditRecords { filter }).await.map(AuditRecords::from)
        })
        .await
    }

    /// A patient's models, by movement and the newest first, at most 200.
    #[graphql(name = "listModels")]
    async fn list_models(
        context: &Context,
        patient_id: String,
        movement: Option<String>,
    ) -> FieldResult<Option<Vec<Model>>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let movement = movement.map(|name| id("movement", &name)).transpose()?;
            Ok(context.ask(ModelsOf { patient, movement }).await?.into_iter().map(Model::from).collect())
        })
        .await
    }

    /// Who asked for what of a patient, the latest first: for the patient.
    #[graphql(name = "accessesToPatient")]
    async fn accesses_to_patient(
        context: &Context,
        patient_id: String,
        first: Option<i32>,
        after: Option<String>,
    ) -> FieldResult<Option<PatientAccesses>> {
        answer(async {
            let patient = id("patient_id", &patient_id)?;
            let before = after.map(|text| audit::place(&text)).transpose()?;
            let ask = AccessesToPatient { patient, before, limit: audit::count(first)? };
            context.ask(ask).await.map(PatientAccesses::from)
        })
        .await
    }
}
