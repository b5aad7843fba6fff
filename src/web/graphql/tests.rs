use super::*;
use crate::actors::compute::Compute;
use crate::actors::links::Links;
use crate::actors::metrics::Metrics;
use crate::actors::reporter::{Reporter, ReporterDeps, UnderWay};
use crate::actors::resolver::{Resolver, ResolverDeps};
use crate::actors::supervision::{Handle, SupervisionPolicy, Supervisor};
use crate::config::GraphqlConfig;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::Origin;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{AccountId, CareProviderId, Movement, PatientId, SessionId};
use crate::storage::database::{Database, TestResult};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

pub(super) struct Bench {
    api: Api,
    contexts: Contexts,
    database: Database,
    supervisor: Supervisor,
    _folder: tempfile::TempDir,
}

/// Makes a context for each request.
struct Contexts {
    resolver: Handle<Resolver>,
    reporter: Handle<Reporter>,
    largest_page: u32,
}

impl Contexts {
    fn of(&self, role: Role) -> Context {
        let (account, session) = (AccountId::from(uuid::Uuid::nil()), SessionId::from(uuid::Uuid::nil()));
        let caller = Caller { account, session, role, origin: Origin::default() };
        Context::new(self.resolver.clone(), self.reporter.clone(), Arc::default(), caller, self.largest_page)
    }
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(GraphqlConfig::default()).await
    }

    pub(super) async fn with(config: GraphqlConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let second = Duration::from_secs(1);
        let mut deps = crate::actors::resolver::tests::deps(folder.path()).await;
        // Its statements are not counted with those of the answers.
        let noted = Database::open_sqlite(&folder.path().join("rows.db"), 1, 5 * second).await.unwrap();
        deps.audit = crate::actors::auditor::tests::writing_to(&noted);
        let database = deps.database.clone();
        let policy = SupervisionPolicy {
            mailbox: 64,
            ask_timeout: 10 * second,
            probe_every: second,
            stuck_after: 5 * second,
            backoff_first: second,
            backoff_cap: second,
            blocking_threads: 4,
        };
        let reporter = reporter(&deps, &policy);
        let (resolver, supervisor) =
            Supervisor::start(&policy, &Metrics::new(), &Entropy::from_seed(1), move || Resolver::new(deps.clone()));
        let contexts = Contexts { resolver, reporter, largest_page: config.max_page };
        Self { api: Api::new(&config).unwrap(), contexts, database, supervisor, _folder: folder }
    }

    /// Asks as an admin.
    pub(super) async fn ask(&self, query: &str, variables: Value) -> Value {
        self.ask_as(Role::Admin, query, variables).await
    }

    async fn ask_as(&self, role: Role, query: &str, variables: Value) -> Value {
        let fields = Fields::try_from(json!({ "query": query, "variables": variables })).unwrap();
        let context = self.contexts.of(role);
        serde_json::from_slice(&self.api.run(Request::read(fields).unwrap(), &context).await).unwrap()
    }
}

fn reporter(deps: &ResolverDeps, policy: &SupervisionPolicy) -> Handle<Reporter> {
    let entropy = Entropy::from_seed(1);
    let (database, objects, clock) = (deps.database.clone(), deps.objects.clone(), deps.clock.clone());
    let links = Links::new(database.clone(), objects.clone(), clock.clone(), entropy.clone(), Duration::from_secs(1));
    let deps = ReporterDeps {
        database,
        objects,
        clock,
        compute: Compute::new(1),
        links,
        requests: Arc::new(Semaphore::new(1)),
        at_once: Arc::new(Semaphore::new(1)),
        deadline: Duration::from_secs(5),
        under_way: UnderWay::default(),
    };
    Supervisor::start(policy, &Metrics::new(), &entropy, move || Reporter::new(deps.clone())).0
}

/// Counted is what reads the answer and what authorises it; nobody is authenticated here, and the audit record has a counter
/// of its own.
#[actix_web::test]
async fn a_list_of_fifty_patients_takes_at_most_three_statements() {
    let bench = Bench::new().await;
    let clinic = Role::CareProvider(CareProviderId::new("clinic").unwrap());
    bench
        .ask(
            "mutation { createCareProvider(care_provider_id: \"clinic\", email: \"c@example.org\") { email } }",
            json!({}),
        )
        .await;
    for n in 0..50 {
        let patient = json!({ "p": format!("p-{n}") });
        let create = "mutation($p: String!) { createPatient(patient_id: $p, first_name: \"A\") { patient_id } }";
        bench.ask(create, patient.clone()).await;
        let assign =
            "mutation($p: String!) { assignTestToPatient(patient_id: $p, test_type: \"sit-to-stand\") { test_type } }";
        bench.ask(assign, patient.clone()).await;
        let link = "mutation($p: String!) {
            addPatientToCareProvider(care_provider_id: \"clinic\", patient_id: $p) { patient_id } }";
        bench.ask(link, patient).await;
    }
    let list = "{ listPatients(first: 50) { total has_next nodes { patient_id first_name event_count trend
        latest_score { balance_score time } assigned_tests { test_type } } } }";
    for role in [Role::Admin, clinic.clone()] {
        let before = bench.database.statements();
        let answer = bench.ask_as(role.clone(), list, json!({})).await;
        let statements = bench.database.statements() - before;
        assert_eq!(answer["data"]["listPatients"]["nodes"].as_array().unwrap().len(), 50, "{answer}");
        assert_eq!(answer["data"]["listPatients"]["total"], 50);
        let tests = json!([{ "test_type": "sit-to-stand" }]);
        assert_eq!(answer["data"]["listPatients"]["nodes"][49]["assigned_tests"], tests);
        assert!(statements <= 3, "{statements} statements as {role:?}");
        assert_eq!(statements, 3, "the page with its total, the summaries, the tests");
    }
    // With a stranger among them nothing of them is read.
    bench.ask("mutation { createPatient(patient_id: \"stranger\") { patient_id } }", json!({})).await;
    let everybody = "{ getAllPatients { patient_id event_count assigned_tests { test_type } } }";
    let before = bench.database.statements();
    let api = Api::new(&GraphqlConfig { max_cost: 1_000_000, ..GraphqlConfig::default() }).unwrap();
    let fields = Fields::try_from(json!({ "query": everybody })).unwrap();
    let answer = api.run(Request::read(fields).unwrap(), &bench.contexts.of(clinic)).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(bench.database.statements() - before, 3, "the directory, and whether they are linked, for each kind");
    let patients = answer["data"]["getAllPatients"].as_array().unwrap();
    assert_eq!(patients.len(), 51, "{answer}");
    assert!(patients.iter().all(|patient| patient["event_count"].is_null() && patient["assigned_tests"].is_null()));
}

/// That many events of one patient, a week apart and scored.
async fn add_scored_events(bench: &Bench, movement: &str, numbers: std::ops::Range<u32>) {
    let patient = PatientId::new("p").unwrap();
    let first: DateTime<Utc> = "2020-01-06T12:00:00Z".parse().unwrap();
    for n in numbers.clone() {
        let id = uuid::Uuid::from_u128(n.into()).into();
        let start_time = first + TimeDelta::weeks((n - numbers.start).into());
        let result = TestResult {
            id,
            patient: patient.clone(),
            test_type: Movement::new(movement).unwrap(),
            doctor_score: None,
            notes: None,
            start_time,
            end_time: start_time,
        };
        bench.database.put_test_result(&result, first).await.unwrap();
        bench.database.put_balance_score(id, &patient, 50, first).await.unwrap();
    }
}

#[actix_web::test]
async fn no_event_is_left_out_where_no_count_is_given_and_no_average_silently() {
    let bench = Bench::new().await;
    bench.ask("mutation { createPatient(patient_id: \"p\") { patient_id } }", json!({})).await;
    add_scored_events(&bench, "sit-to-stand", 0..501).await;
    add_scored_events(&bench, "gait", 600..1_099).await;
    let averages = "query($m: String) { getScoreAverages(patient_id: \"p\", period: week, movement: $m,
        from_time: \"2020-01-06 00:00:00\", to_time: \"2029-12-31 00:00:00\") { mean } }";
    let all = bench.ask(averages, json!({})).await;
    assert_eq!(all["data"]["getScoreAverages"].as_array().unwrap().len(), 1_000);
    add_scored_events(&bench, "walk", 2_000..2_001).await;
    let refused = bench.ask(averages, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "window_out_of_range", "{refused}");
    let one = bench.ask(averages, json!({ "m": "sit-to-stand" })).await;
    assert_eq!(one["data"]["getScoreAverages"].as_array().unwrap().len(), 501);

    let events = bench.ask("{ getTestEvents(patient_id: \"p\") { test_event_id } }", json!({})).await;
    let events = events["data"]["getTestEvents"].as_array().unwrap();
    assert_eq!(events.len(), 1_001);
    assert_eq!(events[1_000]["test_event_id"], json!(uuid::Uuid::from_u128(500)), "the latest, which is the last");
}

/// A type in the schema language.
fn shown(of: &Value) -> String {
    match of["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", shown(&of["ofType"])),
        Some("LIST") => format!("[{}]", shown(&of["ofType"])),
        _ => of["name"].as_str().unwrap().to_owned(),
    }
}

#[actix_web::test]
async fn operations_have_the_signatures_of_the_contract() {
    let bench = Bench::new().await;
    let query = "{ __schema { queryType { ...F } mutationType { ...F } } }
        fragment F on __Type { fields { name type { ...T } args { name type { ...T } } } }
        fragment T on __Type { kind name ofType { kind name ofType { kind name } } }";
    let schema = bench.ask(query, json!({})).await;
    let mut signatures = Vec::new();
    for root in ["queryType", "mutationType"] {
        for field in schema["data"]["__schema"][root]["fields"].as_array().unwrap() {
            let arguments: Vec<_> = field["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| format!("{}: {}", a["name"].as_str().unwrap(), shown(&a["type"])))
                .collect();
            signatures.push(format!(
                "{}({}): {}",
                field["name"].as_str().unwrap(),
                arguments.join(", "),
                shown(&field["type"])
            ));
        }
    }
    for expected in [
        "getPatientById(patient_id: String!): Patient",
        "getCareproviderById(care_provider_id: String!): CareProvider",
        "getPatientsForCareprovider(care_provider_id: String!): [Patient]",
        "getTestEvents(patient_id: String!, test_type: String, from_time: String, to_time: String, sort: SortDirection, count: Int): [TestEvent]",
        "getTestEventById(test_event_id: String!, patient_id: String!): TestEvent",
        "getAllAvailableTests(): [Test]",
        "downloadTestEventDetails(test_event_id: String!, patient_name: String!, patient_id: String!, year: Int!, month: Int!, day: Int!, test_type: String!): URLGenerated",
        "getAllPatients(): [Patient]",
        "getPatientAssignedTests(patient_id: String!): [Test]",
        "getScoreStatsOverTime(patient_id: String!, from_time: String!, to_time: String!, stat: Stat!, movement: String): String",
        "getMeasurementRange(patient_id: String!, measurement: Measurement!): MeasurementRange",
        "getMeasurementData(test_event_id: String!, test_type: String!, measurement: Measurement!, patient_id: String!, year: Int!, month: Int!, day: Int!): MeasurementRecord",
        "createPatient(patient_id: String!, email: String, first_name: String, last_name: String): Patient",
        "createCareProvider(care_provider_id: String!, email: String!): CareProvider",
        "addPatientToCareProvider(care_provider_id: String!, patient_id: String!): PatientCareprovider",
        "recordConsentDate(patient_id: String!, date: String!): Patient",
        "putTestResult(test_event_id: String!, patient_id: String!, test_type: String!, doctor_score: Int, start_time: String!, end_time: String!, notes: String): TestEvent",
        "assignTestToPatient(patient_id: String!, test_type: String!): PatientTest",
        "removeTestFromPatient(patient_id: String!, test_type: String!): String",
        "putBalanceScore(test_event_id: String!, balance_score: Int!): TestEvent",
        "deleteTestEventFromS3(test_event_id: String!, patient_id: String!, year: Int!, month: Int!, day: Int!, test_type: String!): String",
        "deleteTestEventFromDB(test_event_id: String!, patient_id: String!): String",
        "addTestType(test_type: String!, instructions: String, duration_in_seconds: Int): Test",
    ] {
        assert!(signatures.iter().any(|signature| signature == expected), "{expected}\n{signatures:#?}");
    }
    assert!(bench.supervisor.stop(Duration::from_secs(5)).await);
}

/// Where the schema changes on purpose: `RENEW=1 cargo nextest run schema_in_the_repository`, and look at the difference.
#[test]
fn the_schema_in_the_repository_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/graphql/schema.graphql");
    let served = schema::schema().as_sdl();
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == served, "{path} is not what is served:\n{served}");
}

#[actix_web::test]
async fn events_are_put_and_listed_and_undeclared_variables_are_ignored() {
    let bench = Bench::new().await;
    let made = bench
        .ask(
            "mutation($p: String!) { createPatient(patient_id: $p) { patient_id email } }",
            json!({ "p": "p", "patient_id": "x" }),
        )
        .await;
    assert_eq!(made, json!({ "data": { "createPatient": { "patient_id": "p", "email": null } } }));
    let again = bench.ask("mutation { createPatient(patient_id: \"p\") { patient_id } }", json!({})).await;
    assert_eq!(again["errors"][0]["extensions"]["code"], "patient_id_taken");

    let put = "mutation($id: String!, $s: String!, $d: Int) { putTestResult(test_event_id: $id, patient_id: \"p\",
        test_type: \"sit-to-stand\", start_time: $s, end_time: \"2024-01-01 00:00:00\", doctor_score: $d)
        { test_event_id start_time doctor_score balance_score } }";
    let first = "f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2";
    let second = "b645d217-f1f8-4798-bf1f-eb83d92cd7c3";
    for (id, start, score) in [
        (first, "2023-03-09 13:02:03-07", Some(50)),
        (second, "2023-03-08 01:02:03", None),
        (first, "2023-03-09 13:02:03-07", None),
    ] {
        let answer = bench.ask(put, json!({ "id": id, "s": start, "d": score })).await;
        assert!(answer.get("errors").is_none(), "{answer}");
    }
    let list = "query($f: String, $n: Int, $s: SortDirection) { getTestEvents(patient_id: \"p\", from_time: $f, count: $n, sort: $s) { test_event_id doctor_score start_time } }";
    let newest = bench.ask(list, json!({ "n": 1, "s": "desc" })).await;
    let event = json!({ "test_event_id": first, "doctor_score": 50, "start_time": "2023-03-09T20:02:03Z" });
    assert_eq!(newest["data"]["getTestEvents"], json!([event]));
    let all = bench.ask(list, json!({})).await;
    assert_eq!(all["data"]["getTestEvents"].as_array().unwrap().len(), 2);
    assert_eq!(all["data"]["getTestEvents"][0]["test_event_id"], second);
    let late = bench.ask(list, json!({ "f": "2023-03-09" })).await;
    assert_eq!(late["errors"][0]["extensions"]["code"], "invalid_argument");
    let refused = bench.ask(put, json!({ "id": first, "s": "2023-03-08 01:02:03", "d": 101 })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "score_out_of_range");
    assert!(refused["data"]["putTestResult"].is_null());
    let absent = bench.ask("{ getPatientById(patient_id: \"q\") { patient_id } }", json!({})).await;
    assert_eq!(absent["errors"][0]["message"], "there is no such patient");
    assert_eq!(absent["errors"][0]["extensions"]["code"], "not_found");
    let tests = bench.ask("{ getAllAvailableTests { test_type duration_in_seconds } }", json!({})).await;
    assert_eq!(
        tests["data"]["getAllAvailableTests"],
        json!([{ "test_type": "sit-to-stand", "duration_in_seconds": 60 }])
    );
    let unknown = bench.ask("{ nothing }", json!({})).await;
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "invalid_document");
}
