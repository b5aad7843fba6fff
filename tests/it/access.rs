//! Who may do what: every operation of the schema and every route, as every role. The schema and the routes say what there is:
//! what is added to them and not to the tables here fails a test.
//!
//! To add an operation is a line in [`OPERATIONS`], a route one in [`ROUTES`].

use crate::harness::{Answer, Client, Program, document, eventually, fresh_id};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// What an operation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Done,
    Absent,
    Forbidden,
    SignIn,
}
use Verdict::{Absent, Done, Forbidden, SignIn};

/// As the patient `own`, another patient, the clinic that is linked to `own`, another clinic, an admin, and nobody.
type Row = [Verdict; 6];
const ROLES: [&str; 6] = ["patient", "patient", "care_provider", "care_provider", "admin", "nobody"];
const CLINIC: usize = 2;
const OTHER: usize = 3;
const ADMIN: usize = 4;
const NOBODY: usize = 5;

/// What is the patient's, and of those who care for them.
const OF_THE_PATIENT: Row = [Done, Absent, Done, Absent, Done, SignIn];
/// What is the patient's alone.
const OF_THE_PATIENT_ALONE: Row = [Done, Absent, Forbidden, Forbidden, Done, SignIn];
/// What is `clinic-1`'s.
const OF_THE_CLINIC: Row = [Forbidden, Forbidden, Done, Absent, Done, SignIn];
const OF_EVERY_CLINIC: Row = [Forbidden, Forbidden, Done, Done, Done, SignIn];
const OF_ADMINS: Row = [Forbidden, Forbidden, Forbidden, Forbidden, Done, SignIn];
const OF_EVERYBODY: Row = [Done, Done, Done, Done, Done, SignIn];

/// A test event of `own` with a recording, which is there before each call.
const EVENT: &str = "7a96f43b-53d5-45e6-9bd4-5318036dae55";

/// Each operation with all of its arguments, as it is asked for of `own`, `clinic-1` and [`EVENT`]; `FRESH` is an id that
/// nothing has yet. Every field of its answer is selected.
const OPERATIONS: &[(&str, Row)] = &[
    ("listPatients(care_provider_id: \"clinic-1\", search: \"o\", first: 5, after: \"WyJwYXRpZW50cyIsWyIiLCIiXV0\")", OF_THE_CLINIC),
    (
        "listTestEvents(patient_id: \"own\", test_type: \"sit-to-stand\", status: \"awaiting_model\", scored: false,
         search: \"a\", from_time: \"2020-01-01 00:00:00\", to_time: \"2130-01-01 00:00:00\", sort: desc, first: 5,
         after: \"WyJldmVudHMiLFs0MDAwMDAwMDAwMDAwMDAwLCJmZmZmZmZmZi1mZmZmLWZmZmYtZmZmZi1mZmZmZmZmZmZmZmYiXV0\")",
        OF_THE_PATIENT,
    ),
    (
        "getScoreAverages(patient_id: \"own\", period: week, movement: \"sit-to-stand\", from_time: \"2025-01-01 00:00:00\",
         to_time: \"2026-12-31 00:00:00\")",
        OF_THE_PATIENT,
    ),
    ("listModels(patient_id: \"own\", movement: \"sit-to-stand\")", OF_THE_PATIENT),
    ("getPatientById(patient_id: \"own\")", OF_THE_PATIENT),
    ("getTestEventById(test_event_id: \"EVENT\", patient_id: \"own\")", OF_THE_PATIENT),
    (
        "getTestEvents(patient_id: \"own\", test_type: \"sit-to-stand\", from_time: \"2020-01-01 00:00:00\",
         to_time: \"2030-01-01 00:00:00\", sort: asc, count: 5)",
        OF_THE_PATIENT,
    ),
    ("getCareproviderById(care_provider_id: \"clinic-1\")", OF_THE_CLINIC),
    ("getPatientsForCareprovider(care_provider_id: \"clinic-1\")", OF_THE_CLINIC),
    ("getAllAvailableTests", OF_EVERYBODY),
    (
        "auditRecords(patient_id: \"own\", account_id: \"00000000-0000-4000-8000-000000000000\", first: 5,
         from_time: \"2020-01-01 00:00:00\", to_time: \"2130-01-01 00:00:00\", after: \"4000000000000000-1\")",
        OF_ADMINS,
    ),
    ("accessesToPatient(patient_id: \"own\", first: 5, after: \"4000000000000000-1\")", OF_THE_PATIENT_ALONE),
    ("recordConsentDate(patient_id: \"own\", date: \"2026-01-31 00:00:00\")", OF_THE_PATIENT),
    (
        "putTestResult(test_event_id: \"EVENT\", patient_id: \"own\", test_type: \"sit-to-stand\", doctor_score: 50,
         start_time: \"2026-01-31 00:00:00\", end_time: \"2026-01-31 00:01:00\", notes: \"walks well\")",
        OF_THE_PATIENT,
    ),
    ("addPatientToCareProvider(care_provider_id: \"clinic-1\", patient_id: \"own\")", OF_THE_CLINIC),
    (
        "createPatient(patient_id: \"FRESH\", email: \"p@example.org\", first_name: \"A\", last_name: \"B\")",
        OF_EVERY_CLINIC,
    ),
    ("createCareProvider(care_provider_id: \"FRESH\", email: \"c@example.org\")", OF_ADMINS),
    ("recordingUpdated(patient_id: \"own\")", OF_THE_PATIENT),
    ("recordingUpdatedForCareprovider(care_provider_id: \"clinic-1\")", OF_THE_CLINIC),
    ("addTestType(test_type: \"walk\", instructions: \"Walk.\", duration_in_seconds: 30)", OF_ADMINS),
    ("getAllPatients", OF_EVERY_CLINIC),
    ("getPatientAssignedTests(patient_id: \"own\")", OF_THE_PATIENT),
    ("assignTestToPatient(patient_id: \"own\", test_type: \"sit-to-stand\")", OF_THE_PATIENT),
    ("removeTestFromPatient(patient_id: \"own\", test_type: \"sit-to-stand\")", OF_THE_PATIENT),
    (
        "getScoreStatsOverTime(patient_id: \"own\", from_time: \"2020-01-01 00:00:00\", to_time: \"2030-01-01 00:00:00\",
         stat: avg, movement: \"sit-to-stand\")",
        OF_THE_PATIENT,
    ),
    ("getMeasurementRange(patient_id: \"own\", measurement: ay)", OF_THE_PATIENT),
    (
        "getMeasurementData(test_event_id: \"EVENT\", test_type: \"sit-to-stand\", measurement: ay, patient_id: \"own\",
         year: 2026, month: 1, day: 31)",
        OF_THE_PATIENT,
    ),
    (
        "downloadTestEventDetails(test_event_id: \"EVENT\", patient_name: \"A B\", patient_id: \"own\", year: 2026, month: 1,
         day: 31, test_type: \"sit-to-stand\")",
        OF_THE_PATIENT,
    ),
    // Nobody scores themselves.
    ("putBalanceScore(test_event_id: \"EVENT\", balance_score: 60)", [Forbidden, Absent, Done, Absent, Done, SignIn]),
    (
        "deleteTestEventFromS3(test_event_id: \"EVENT\", patient_id: \"own\", year: 2026, month: 1, day: 31,
         test_type: \"sit-to-stand\")",
        OF_THE_PATIENT,
    ),
    ("deleteTestEventFromDB(test_event_id: \"EVENT\", patient_id: \"own\")", OF_THE_PATIENT),
];

/// Operations that tell of patients for whom their caller does not care yet: ids and names.
const OF_STRANGERS: [&str; 2] = ["getAllPatients", "createPatient"];
/// What is told of a patient to whom the patient's records are open only.
const OF_RECORDS: [&str; 4] = ["latest_score", "trend", "assigned_tests", "event_count"];

/// Every route of the program, and whom it names.
const ROUTES: &[(&str, Names)] = &[
    ("/v1/recordings", Names::Tested),
    ("/v1/recordings/{test_id}", Names::Tested),
    ("/v1/patients/{patient_id}/export", Names::Tested),
    // Its token is the leave: forged ones are tested beside it.
    ("/v1/objects/{token}", Names::Tested),
    ("/v1/models/{model_version}/card", Names::Tested),
    // Which patients a query may see is tested with the lake.
    ("/v1/query", Names::Nobody),
    ("/v2", Names::Nobody),
    ("/v2/health/live", Names::Nobody),
    ("/v2/health/ready", Names::Nobody),
    ("/v2/repository/index", Names::Tested),
    ("/v2/repository/models/{model_name}/load", Names::Tested),
    ("/v2/repository/models/{model_name}/unload", Names::Tested),
    ("/v2/models/stats", Names::Tested),
    ("/v2/models/{model_name}", Names::Tested),
    ("/v2/models/{model_name}/ready", Names::Tested),
    ("/v2/models/{model_name}/infer", Names::Tested),
    ("/v2/models/{model_name}/stats", Names::Tested),
    ("/v2/models/{model_name}/versions/{model_version}", Names::Tested),
    ("/v2/models/{model_name}/versions/{model_version}/ready", Names::Tested),
    ("/v2/models/{model_name}/versions/{model_version}/infer", Names::Tested),
    ("/v2/models/{model_name}/versions/{model_version}/stats", Names::Tested),
    ("/graphql", Names::InOperations),
    ("/graphiql", Names::Nobody),
    ("/v1/accounts", Names::Oneself),
    ("/v1/accounts/confirmation", Names::Oneself),
    ("/v1/accounts/confirmation/request", Names::Oneself),
    ("/v1/accounts/reset", Names::Oneself),
    ("/v1/accounts/reset/request", Names::Oneself),
    ("/v1/accounts/current", Names::Oneself),
    ("/v1/accounts/current/password", Names::Oneself),
    ("/v1/accounts/current/totp", Names::Oneself),
    ("/v1/accounts/current/totp/confirm", Names::Oneself),
    ("/v1/accounts/current/totp/remove", Names::Oneself),
    ("/v1/admin/accounts", Names::Tested),
    ("/v1/admin/accounts/{account_id}/role", Names::Tested),
    ("/v1/admin/accounts/{account_id}/totp", Names::Tested),
    ("/v1/sessions", Names::Oneself),
    ("/v1/sessions/{session_id}", Names::Tested),
    ("/v1/sessions/refresh", Names::Oneself),
    ("/v1/sessions/current", Names::Oneself),
    ("/.well-known/jwks.json", Names::Nobody),
    ("/healthz", Names::Nobody),
    ("/readyz", Names::Nobody),
    ("/metrics", Names::Nobody),
    ("/openapi.json", Names::Nobody),
];

/// Whom a route names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A patient, an account or a session, in its path or its body: tested below as every role.
    Tested,
    /// What an operation names.
    InOperations,
    /// Whoever asks.
    Oneself,
    /// Nobody.
    Nobody,
}

/// A field of the schema.
#[derive(Debug)]
struct Field {
    /// `query`, `mutation` or `subscription` for an operation.
    name: String,
    arguments: Vec<(String, bool)>,
    of: String,
}

/// The types of the schema that have fields.
struct Schema {
    types: BTreeMap<String, Vec<Field>>,
    roots: BTreeMap<&'static str, String>,
}

impl Schema {
    async fn read(client: &Client) -> Self {
        let document = "{ __schema { queryType { name } mutationType { name } subscriptionType { name }
                types { kind name fields { name args { name defaultValue type { kind } } type { ...T } } } } }
            fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }";
        let schema = &client.data(document, json!({})).await["__schema"];
        let roots = [("query", "queryType"), ("mutation", "mutationType"), ("subscription", "subscriptionType")];
        let roots = roots.into_iter().filter_map(|(word, key)| Some((word, schema[key]["name"].as_str()?.to_owned())));
        let types = schema["types"].as_array().unwrap().iter().filter(|of| of["kind"] == "OBJECT");
        let types = types.map(|of| {
            let fields = of["fields"].as_array().unwrap().iter().map(Field::read).collect();
            (of["name"].as_str().unwrap().to_owned(), fields)
        });
        Self { types: types.collect(), roots: roots.collect() }
    }

    /// The operations: the word that begins their document, and the field.
    fn operations(&self) -> impl Iterator<Item = (&'static str, &Field)> {
        self.roots.iter().flat_map(|(word, root)| self.types[root].iter().map(|field| (*word, field)))
    }

    /// A document that asks for the operation with every field that its answer can have, but for what is refused of patients
    /// for whom the caller does not care.
    fn document(&self, operation: &str) -> String {
        let name = name_of(operation);
        let (word, field) = self.operations().find(|(_, field)| field.name == name).unwrap();
        let left_out: &[&str] = if OF_STRANGERS.contains(&name) { &OF_RECORDS } else { &[] };
        format!("{word} {{ {operation} {} }}", self.selection(&field.of, &mut Vec::new(), left_out))
    }

    /// Every field of a type, and of the types of its fields, but for a type within itself.
    fn selection(&self, of: &str, within: &mut Vec<String>, left_out: &[&str]) -> String {
        let Some(fields) = self.types.get(of) else { return String::new() };
        within.push(of.to_owned());
        let selected =
            fields.iter().filter(|field| !within.contains(&field.of) && !left_out.contains(&field.name.as_str()));
        let selected = selected.map(|field| {
            let needed: Vec<_> =
                field.arguments.iter().filter(|(name, needed)| *needed || name.ends_with("_id")).collect();
            assert!(needed.is_empty(), "{of}.{} takes {needed:?}: this test does not know what to give", field.name);
            format!("{} {}", field.name, self.selection(&field.of, &mut within.clone(), left_out))
        });
        let selected = selected.collect::<Vec<_>>().join(" ");
        within.pop();
        format!("{{ {selected} }}")
    }
}

impl Field {
    fn read(field: &Value) -> Self {
        let mut of = &field["type"];
        while !of["ofType"].is_null() {
            of = &of["ofType"];
        }
        let arguments = field["args"].as_array().unwrap().iter().map(|argument| {
            let needed = argument["type"]["kind"] == "NON_NULL" && argument["defaultValue"].is_null();
            (argument["name"].as_str().unwrap().to_owned(), needed)
        });
        Self {
            name: field["name"].as_str().unwrap().to_owned(),
            arguments: arguments.collect(),
            of: of["name"].as_str().unwrap().to_owned(),
        }
    }
}

fn name_of(operation: &str) -> &str {
    operation.split('(').next().unwrap()
}

/// The program with somebody of every kind, and what they ask about.
struct World {
    program: Program,
    callers: [Client; 6],
}

impl World {
    async fn new() -> Self {
        // Nothing else writes to the record or asks the database, as far as that can be.
        let quiet = [
            ("queue.tick_ms", "60000"),
            ("queue.lease_seconds", "600"),
            ("audit.unknown_every_seconds", "3600"),
            ("live.look_ms", "3600000"),
            ("mail.tick_seconds", "3600"),
            // Every field of every patient is asked for.
            ("graphql.max_cost", "1000000"),
        ];
        let program = Program::start_with(&quiet);
        let clinic = program.clinic_with(&["own"]).await;
        program.create_account("own@example.org", "patient", &["--patient-id", "own"]);
        program.create_account("stranger@example.org", "patient", &["--patient-id", "stranger"]);
        program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
        program.create_account("admin@example.org", "admin", &[]);
        let url = program.url();
        let callers = [
            Client::sign_in(url, "own@example.org").await,
            Client::sign_in(url, "stranger@example.org").await,
            clinic,
            Client::sign_in(url, "other@example.org").await,
            Client::sign_in(url, "admin@example.org").await,
            Client::anonymous(url),
        ];
        Self { program, callers }
    }

    /// Has [`EVENT`] there with its recording, whatever an operation did to it.
    async fn restore(&self) {
        let body = document("own", EVENT.parse().unwrap()).to_string();
        let answer = self.callers[CLINIC].upload_and_wait(body).await;
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }

    /// Asks as one of the callers, under an id of its own.
    async fn ask(&self, who: usize, document: &str) -> Asked {
        let document = document.replace("FRESH", &fresh_id().to_string());
        let request_id = fresh_id().to_string();
        let answer = if document.starts_with("subscription") {
            self.watch(who, &document, &request_id).await
        } else {
            let request = self.callers[who].request(reqwest::Method::POST, "/graphql");
            Answer::of(request.header("x-request-id", &request_id).json(&json!({ "query": document }))).await
        };
        let verdict = match (answer.status, answer.body["errors"][0]["extensions"]["code"].as_str()) {
            (401, _) => SignIn,
            (200, None) if answer.body["errors"].is_null() => Done,
            (200, Some("not_found")) => Absent,
            (200, Some("forbidden")) => Forbidden,
            _ => panic!("{document}: {answer:?}"),
        };
        Asked { verdict, answer, request_id }
    }

    /// Subscribes as one of the callers; the first thing that is told, or 401 for who is not let in.
    async fn watch(&self, who: usize, document: &str, request_id: &str) -> Answer {
        let caller = &self.callers[who];
        let mut request = format!("{}/graphql", caller.url.replacen("http", "ws", 1)).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        request.headers_mut().insert("x-request-id", request_id.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let payload = if caller.token.is_empty() { json!({}) } else { json!({ "Authorization": caller.token }) };
        let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": document } });
        for message in [json!({ "type": "connection_init", "payload": payload }), subscribe] {
            drop(socket.send(Message::text(message.to_string())).await);
        }
        let (headers, mut patience) = (reqwest::header::HeaderMap::new(), 20);
        // What is refused is refused long before that, also on a busy machine: an upload would be counted as its cost.
        let mut silence = Duration::from_secs(3);
        loop {
            match tokio::time::timeout(silence, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let mut message: Value = serde_json::from_str(&text).unwrap();
                    match message["type"].as_str().unwrap() {
                        "connection_ack" => {}
                        "next" => return Answer { status: 200, headers, body: message["payload"].take() },
                        _ => panic!("{message}"),
                    }
                }
                Ok(Some(Ok(Message::Close(Some(frame))))) if u16::from(frame.code) == 4401 => {
                    return Answer { status: 401, headers, body: Value::Null };
                }
                Ok(other) => assert!(matches!(other, Some(Ok(Message::Ping(_)))), "{other:?}"),
                // It has begun, and waits for something to happen.
                Err(_) => {
                    (silence, patience) = (Duration::from_millis(300), patience - 1);
                    assert!(patience > 0, "{document} as caller {who} hears nothing");
                    self.callers[CLINIC].upload(crate::harness::document("own", fresh_id()).to_string()).await;
                }
            }
        }
    }

    /// What the audit record says of a request.
    async fn noted(&self, request_id: &str) -> Vec<Noted> {
        let sql = format!(
            "SELECT role || '|' || result || '|' || coalesce(test_event_id, '') || '|' || coalesce(address, '') || '|'
                 || coalesce(account_id, '') || '|' || patients
             FROM audit_records WHERE request_id = '{request_id}' ORDER BY position"
        );
        let rows = self.program.texts(&sql).await;
        rows.iter().map(|row| Noted::read(row)).collect()
    }

    /// Checks that a request is on the record as it was answered.
    async fn check_noted(&self, who: usize, verdict: Verdict, request_id: &str, what: &str, answer: &Value) {
        let noted = self.noted(request_id).await;
        let result = match verdict {
            Done => "allowed",
            Absent => "absent",
            Forbidden => "forbidden",
            // Counted, and not by the request.
            SignIn => return assert!(noted.is_empty(), "{noted:?}"),
        };
        assert!(!noted.is_empty(), "{what} as caller {who} is not on the audit record");
        // A change that an admin may make is noted before it is tried; that there was nothing to change, after.
        let tried = usize::from(who == ADMIN && verdict == Absent && noted.len() == 2);
        for record in noted.iter().skip(tried) {
            let said = (record.role.as_str(), record.result.as_str(), record.address.as_str());
            assert_eq!(said, (ROLES[who], result, "127.0.0.1"), "{what} as caller {who}");
            assert!(!record.account.is_empty());
        }
        let names = |text: &str| what.contains(text) || answer.to_string().contains(&format!("\"{text}\""));
        if names("own") {
            let named = noted.iter().any(|record| record.patients.contains(&"own".to_owned()));
            assert!(named, "{what} as caller {who} is on the record without its patient: {noted:?}");
        }
        if what.contains(EVENT) {
            let named = noted.iter().any(|record| record.test_event == EVENT);
            assert!(named, "{what} as caller {who} is on the record without its test event: {noted:?}");
        }
    }

    /// Statements that the database was sent while that was done: what it costs, and about how long it takes.
    async fn statements<T>(&self, work: impl Future<Output = T>) -> (T, f64) {
        let sent = || self.program.metric("stance_database_statements_total");
        let before = sent().await;
        let done = work.await;
        (done, sent().await - before)
    }
}

struct Asked {
    verdict: Verdict,
    answer: Answer,
    request_id: String,
}

/// A row of the audit record.
#[derive(Debug)]
struct Noted {
    role: String,
    result: String,
    test_event: String,
    address: String,
    account: String,
    patients: Vec<String>,
}

impl Noted {
    fn read(row: &str) -> Self {
        let [role, result, test_event, address, account, patients] =
            row.splitn(6, '|').collect::<Vec<_>>().try_into().unwrap();
        let patients = serde_json::from_str(patients).unwrap();
        let [role, result, test_event, address, account] =
            [role, result, test_event, address, account].map(str::to_owned);
        Self { role, result, test_event, address, account, patients }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_with_graphql_what_the_policy_says_and_nothing_else_and_all_of_it_is_noted() {
    let mut world = World::new().await;
    let schema = Schema::read(&world.callers[ADMIN]).await;
    let mut unknown = 0;
    for (operation, row) in OPERATIONS {
        let operation = operation.replace("EVENT", EVENT);
        let document = schema.document(&operation);
        for (who, expected) in row.iter().copied().enumerate() {
            world.restore().await;
            let (Asked { verdict, answer, request_id }, cost) = world.statements(world.ask(who, &document)).await;
            assert_eq!(verdict, expected, "{document} as caller {who}: {answer:?}");
            world.check_noted(who, verdict, &request_id, &operation, &answer.body).await;
            unknown += i64::from(verdict == SignIn);
            if verdict == Absent {
                // The same answer, to the byte, for a patient or a care provider that does not exist.
                let ghost = document.replace("\"own\"", "\"ghost\"").replace("\"clinic-1\"", "\"ghost\"");
                let ghost = ghost.replace(EVENT, &fresh_id().to_string());
                assert_ne!(ghost, document, "it names nobody who could be absent");
                let (asked, cost_of_ghost) = world.statements(world.ask(who, &ghost)).await;
                assert_eq!((asked.verdict, asked.answer.body), (Absent, answer.body), "{document} as caller {who}");
                // Where no patient is named, the event's row says whose it is: then the record has the patient, too, and a
                // care provider's link is looked up. Ids of events are random, so that nobody can try them.
                let names_somebody = ["\"own\"", "\"clinic-1\""].iter().any(|name| operation.contains(name));
                let most = if names_somebody { 0.5 } else { 2.5 };
                // What looks around by itself now and then adds to one of the two: the least of some counts is without.
                let (mut cost, mut cost_of_ghost, mut tries) = (cost, cost_of_ghost, 0);
                while (cost - cost_of_ghost).abs() >= most && tries < 5 {
                    cost = cost.min(world.statements(world.ask(who, &document)).await.1);
                    cost_of_ghost = cost_of_ghost.min(world.statements(world.ask(who, &ghost)).await.1);
                    tries += 1;
                }
                assert!((cost - cost_of_ghost).abs() < most, "{document} as caller {who}: {cost} and {cost_of_ghost}");
                assert!(!world.noted(&asked.request_id).await.is_empty());
            }
        }
    }
    let counted = "SELECT sum(CAST(substr(detail, 1, instr(detail, ' ') - 1) AS INTEGER)) FROM audit_records
                   WHERE role = 'nobody' AND result = 'refused' AND address = '127.0.0.1'";
    world.program.terminate();
    assert_eq!(world.program.count(counted).await, unknown, "requests without a token are on the record, counted");
}

/// An operation or an argument that is added to the schema must be added to the table.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_and_argument_of_the_schema_is_in_the_table() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let schema = Schema::read(&clinic).await;
    let mut missing = Vec::new();
    for (_, field) in schema.operations() {
        match OPERATIONS.iter().find(|(operation, _)| name_of(operation) == field.name) {
            None => missing.push(field.name.clone()),
            Some((operation, _)) => missing.extend(
                field
                    .arguments
                    .iter()
                    .filter(|(argument, _)| !operation.contains(&format!("{argument}: ")))
                    .map(|(argument, _)| format!("{}({argument})", field.name)),
            ),
        }
    }
    assert!(missing.is_empty(), "not in the table of operations: {missing:?}");
    let there: BTreeSet<_> = schema.operations().map(|(_, field)| field.name.as_str()).collect();
    let gone: Vec<_> = OPERATIONS.iter().filter(|(operation, _)| !there.contains(name_of(operation))).collect();
    assert!(gone.is_empty(), "in the table, and not in the schema: {gone:?}");
}

/// The directory names everybody; what is gathered about them is asked for as an operation of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gathered_of_patients_is_refused_to_whom_does_not_care_for_them() {
    let world = World::new().await;
    let everybody =
        "{ getAllPatients { patient_id assigned_tests { test_type } latest_score { time } trend event_count } }";
    for (who, expected) in [(OTHER, Absent), (ADMIN, Done)] {
        let Asked { verdict, answer, .. } = world.ask(who, everybody).await;
        assert_eq!(verdict, expected, "as caller {who}: {answer:?}");
        // The directory is told all the same.
        let patients = answer.body["data"]["getAllPatients"].as_array().unwrap();
        let own = patients.iter().find(|patient| patient["patient_id"] == "own").unwrap();
        assert_eq!(own["assigned_tests"].is_null(), expected == Absent, "{answer:?}");
    }
}

/// A route that is added must be added to the table.
#[test]
fn every_route_is_in_the_table() {
    let mut open = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    let mut found = BTreeSet::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        for word in ["resource(", "scope(", ".route("] {
            let arguments = source.split(word).skip(1).map(str::trim_start);
            found.extend(arguments.filter_map(|rest| Some(rest.strip_prefix('"')?.split('"').next()?.to_owned())));
        }
    }
    let listed: BTreeSet<_> = ROUTES.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(found, listed);
    // Whoever takes an id is tested as every role.
    let untested = ROUTES.iter().filter(|(route, names)| route.contains('{') && *names != Names::Tested);
    assert_eq!(untested.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_send_and_read_the_recordings_that_the_policy_says_and_all_of_it_is_noted() {
    let world = World::new().await;
    world.restore().await;
    for (who, expected) in OF_THE_PATIENT.into_iter().enumerate() {
        let status = |done| match expected {
            Done => done,
            Absent => 404,
            Forbidden => 403,
            SignIn => 401,
        };
        let caller = &world.callers[who];
        let request = |method, path: &str| {
            let id = fresh_id().to_string();
            (caller.request(method, path).header("x-request-id", &id).header("content-type", "application/json"), id)
        };
        let upload = |patient: &str| {
            let (request, id) = request(reqwest::Method::POST, "/v1/recordings");
            (request.body(document(patient, fresh_id()).to_string()), id)
        };
        let read = |event: &str| request(reqwest::Method::GET, &format!("/v1/recordings/{event}"));

        let (sent, id) = upload("own");
        let sent = Answer::of(sent).await;
        assert_eq!(sent.status, status(202), "upload as caller {who}: {sent:?}");
        world.check_noted(who, expected, &id, "upload of own", &sent.body).await;
        let (found, id) = read(EVENT);
        let found = Answer::of(found).await;
        assert_eq!(found.status, status(200), "status as caller {who}: {found:?}");
        world.check_noted(who, expected, &id, &format!("status of own {EVENT}"), &found.body).await;
        if expected == Absent {
            let unknown = Answer::of(upload("ghost").0).await;
            assert_eq!((unknown.status, &unknown.body), (404, &sent.body), "another's patient is like none");
            let (unknown, id) = read(&fresh_id().to_string());
            let unknown = Answer::of(unknown).await;
            assert_eq!((unknown.status, &unknown.body), (404, &found.body), "another's recording is like none");
            assert_eq!(world.noted(&id).await[0].result, "absent");
        }
    }
    assert_eq!(ROLES[NOBODY], "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_look_after_the_accounts_that_the_policy_says_and_all_of_it_is_noted() {
    use reqwest::Method;
    let world = World::new().await;
    let one = async |sql: &str| world.program.texts(sql).await.remove(0);
    world.program.create_account("target@example.org", "admin", &[]);
    let target = one("SELECT account_id FROM accounts WHERE email = 'target@example.org'").await;
    let session =
        one("SELECT session_id FROM sessions JOIN accounts USING (account_id) WHERE care_provider_id = 'clinic-1'")
            .await;
    // A session that the clinic can end and go on.
    let clinic = world.program.texts("SELECT email FROM accounts WHERE care_provider_id = 'clinic-1'").await.remove(0);
    Client::sign_in(world.program.url(), &clinic).await;
    let spare = one(&format!(
        "SELECT session_id FROM sessions JOIN accounts USING (account_id)
         WHERE care_provider_id = 'clinic-1' AND session_id <> '{session}'"
    ))
    .await;
    let (role, totp) = (format!("/v1/admin/accounts/{target}/role"), format!("/v1/admin/accounts/{target}/totp"));
    let spare = format!("/v1/sessions/{spare}");
    let no_such_factor = [Forbidden, Forbidden, Forbidden, Forbidden, Absent, SignIn];
    let of_its_owner = [Absent, Absent, Done, Absent, Absent, SignIn];
    let (give, nothing) = (json!({ "role": "patient", "patient_id": "own" }), json!({}));
    for who in 0..ROLES.len() {
        for (method, path, body, expected, what) in [
            (Method::GET, "/v1/admin/accounts", &nothing, OF_ADMINS, "accounts"),
            (Method::PUT, role.as_str(), &give, OF_ADMINS, "role of own"),
            (Method::DELETE, totp.as_str(), &nothing, no_such_factor, "second factor"),
            (Method::DELETE, spare.as_str(), &nothing, of_its_owner, "session"),
        ] {
            let id = fresh_id().to_string();
            let request = world.callers[who].request(method, path).header("x-request-id", &id).json(body);
            let answer = Answer::of(request).await;
            let verdict = match answer.status {
                200 | 204 => Done,
                404 => Absent,
                403 => Forbidden,
                401 => SignIn,
                _ => panic!("{what}: {answer:?}"),
            };
            assert_eq!(verdict, expected[who], "{what} as caller {who}: {answer:?}");
            world.check_noted(who, verdict, &id, what, &answer.body).await;
        }
    }
    // One that is not there is like one of somebody else.
    let unknown = world.callers[ADMIN].delete(&format!("/v1/sessions/{}", fresh_id())).await;
    let anothers = world.callers[ADMIN].delete(&format!("/v1/sessions/{session}")).await;
    assert_eq!((unknown.status, &unknown.body), (404, &anothers.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_export_the_records_that_the_policy_says_and_all_of_it_is_noted() {
    let world = World::new().await;
    world.restore().await;
    for (who, expected) in OF_THE_PATIENT.into_iter().enumerate() {
        let export = async |patient: &str| {
            let id = fresh_id().to_string();
            let request = world.callers[who].request(reqwest::Method::GET, &format!("/v1/patients/{patient}/export"));
            (request.header("x-request-id", &id).send().await.unwrap(), id)
        };
        let (answer, id) = export("own").await;
        let status = match expected {
            Done => 200,
            Absent => 404,
            Forbidden => 403,
            SignIn => 401,
        };
        assert_eq!(answer.status(), status, "export as caller {who}");
        let answer = if status == 200 { Value::Null } else { answer.json().await.unwrap() };
        world.check_noted(who, expected, &id, "export of own", &answer).await;
        if expected == Absent {
            let (unknown, id) = export("ghost").await;
            assert_eq!(unknown.json::<Value>().await.unwrap(), answer, "another's record is like none");
            assert_eq!(world.noted(&id).await[0].result, "absent");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_ask_and_operate_the_models_that_the_policy_says_and_all_of_it_is_noted() {
    use reqwest::Method;
    let world = World::new().await;
    for n in 0..10_u32 {
        let quality = f64::from(n) / 10.0;
        let scored = crate::harness::recording("own", fresh_id(), quality, Some(100.0 * quality), 200);
        world.callers[CLINIC].upload(scored.to_string()).await;
    }
    let version =
        eventually("a model", || async { world.program.texts("SELECT model_version FROM models").await.pop() }).await;
    let name = world.program.texts("SELECT model_name FROM model_names").await.remove(0);
    let document = document("own", fresh_id()).to_string();
    let infer = json!({ "inputs": [{ "name": "recording", "shape": [1], "datatype": "BYTES", "data": [document] }] });
    let nothing = json!({});
    for who in 0..ROLES.len() {
        let mut asked = vec![
            (Method::POST, "/v2/repository/index".to_owned(), &nothing, OF_EVERYBODY, "index"),
            (Method::GET, "/v2/models/stats".to_owned(), &nothing, OF_ADMINS, "statistics of all"),
            (Method::POST, format!("/v2/repository/models/{name}/unload"), &nothing, OF_ADMINS, "unload"),
            (Method::POST, format!("/v2/repository/models/{name}/load"), &nothing, OF_ADMINS, "load"),
        ];
        for form in ["json", "html"] {
            let card = format!("/v1/models/{version}/card?format={form}");
            asked.push((Method::GET, card, &nothing, OF_THE_PATIENT, "card of own"));
        }
        for base in [format!("/v2/models/{name}"), format!("/v2/models/{name}/versions/{version}")] {
            asked.extend([
                (Method::GET, base.clone(), &nothing, OF_THE_PATIENT, "metadata of own"),
                (Method::GET, format!("{base}/ready"), &nothing, OF_THE_PATIENT, "readiness of own"),
                (Method::GET, format!("{base}/stats"), &nothing, OF_THE_PATIENT, "statistics of own"),
                (Method::POST, format!("{base}/infer"), &infer, OF_THE_PATIENT, "infer of own"),
            ]);
        }
        for (method, path, body, row, what) in asked {
            let request = async |path: &str| {
                let id = fresh_id().to_string();
                let request = world.callers[who].request(method.clone(), path).header("x-request-id", &id).json(body);
                (Answer::of(request).await, id)
            };
            let (answer, id) = request(&path).await;
            let verdict = match answer.status {
                200 => Done,
                404 => Absent,
                403 => Forbidden,
                401 => SignIn,
                _ => panic!("{what}: {answer:?}"),
            };
            assert_eq!(verdict, row[who], "{what} as caller {who}: {answer:?}");
            world.check_noted(who, verdict, &id, what, &Value::Null).await;
            if what == "index" && verdict == Done {
                let sees = OF_THE_PATIENT[who] == Done;
                assert_eq!(answer.body.to_string().contains(&name), sees, "{what} as caller {who}: {answer:?}");
            }
            if verdict == Absent {
                let (unknown, _) = request(&path.replace(&name, "ghost").replace(&version, "ghost")).await;
                assert_eq!((unknown.status, unknown.body), (404, answer.body), "another's model is like none");
            }
        }
    }
}
