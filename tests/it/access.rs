//! Who may do what: every operation, as every role.

use crate::harness::{Client, Program, document, fresh_id};
use serde_json::{Value, json};

/// What an operation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Done,
    Absent,
    Forbidden,
    SignIn,
}
use Verdict::{Absent, Done, Forbidden, SignIn};

/// Own patient, another patient, linked clinic, other clinic, admin, nobody.
type Row = [Verdict; 6];

struct Operation {
    name: &'static str,
    document: &'static str,
    expected: Row,
}

/// Each about the patient `own`, who is linked to `clinic-1`.
const OPERATIONS: [Operation; 23] = [
    Operation {
        name: "getPatientById",
        document: "{ getPatientById(patient_id: \"own\") { patient_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "recordConsentDate",
        document: "mutation { recordConsentDate(patient_id: \"own\", date: \"2026-01-31 00:00:00\") { patient_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "putTestResult",
        document:
            "mutation { putTestResult(test_event_id: \"7a96f43b-53d5-45e6-9bd4-5318036dae55\", patient_id: \"own\",
            test_type: \"sit-to-stand\", start_time: \"2026-01-31 00:00:00\", end_time: \"2026-01-31 00:01:00\")
            { test_event_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getTestEventById",
        document: "{ getTestEventById(test_event_id: \"7a96f43b-53d5-45e6-9bd4-5318036dae55\", patient_id: \"own\")
            { test_event_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "downloadTestEventDetails",
        document:
            "{ downloadTestEventDetails(test_event_id: \"7a96f43b-53d5-45e6-9bd4-5318036dae55\", patient_name: \"A B\",
            patient_id: \"own\", year: 2026, month: 1, day: 31, test_type: \"sit-to-stand\") { pdf_url raw_url } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getTestEvents",
        document: "{ getTestEvents(patient_id: \"own\") { test_event_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "putBalanceScore",
        document:
            "mutation { putBalanceScore(test_event_id: \"7a96f43b-53d5-45e6-9bd4-5318036dae55\", balance_score: 60)
            { test_event_id } }",
        expected: [Forbidden, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "assignTestToPatient",
        document: "mutation { assignTestToPatient(patient_id: \"own\", test_type: \"sit-to-stand\") { patient_id } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getPatientAssignedTests",
        document: "{ getPatientAssignedTests(patient_id: \"own\") { test_type } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "removeTestFromPatient",
        document: "mutation { removeTestFromPatient(patient_id: \"own\", test_type: \"sit-to-stand\") }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getScoreStatsOverTime",
        document: "{ getScoreStatsOverTime(patient_id: \"own\", from_time: \"2026-01-01 00:00:00\",
            to_time: \"2026-12-31 00:00:00\", stat: avg) }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getMeasurementRange",
        document: "{ getMeasurementRange(patient_id: \"own\", measurement: ay) { min } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getMeasurementData",
        document: "{ getMeasurementData(test_event_id: \"RECORDED\", test_type: \"sit-to-stand\", measurement: ay,
            patient_id: \"own\", year: 2026, month: 1, day: 31) { ts } }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "getAllPatients",
        document: "{ getAllPatients { patient_id } }",
        expected: [Forbidden, Forbidden, Done, Done, Done, SignIn],
    },
    Operation {
        name: "getPatientsForCareprovider",
        document: "{ getPatientsForCareprovider(care_provider_id: \"clinic-1\") { patient_id } }",
        expected: [Forbidden, Forbidden, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "addPatientToCareProvider",
        document: "mutation { addPatientToCareProvider(care_provider_id: \"clinic-1\", patient_id: \"own\") { patient_id } }",
        expected: [Forbidden, Forbidden, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "createPatient",
        document: "mutation { createPatient(patient_id: \"FRESH\") { patient_id } }",
        expected: [Forbidden, Forbidden, Done, Done, Done, SignIn],
    },
    Operation {
        name: "addTestType",
        document: "mutation { addTestType(test_type: \"walk\", duration_in_seconds: 30) { test_type } }",
        expected: [Forbidden, Forbidden, Forbidden, Forbidden, Done, SignIn],
    },
    Operation {
        name: "getCareproviderById",
        document: "{ getCareproviderById(care_provider_id: \"clinic-1\") { care_provider_id } }",
        expected: [Forbidden, Forbidden, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "createCareProvider",
        document: "mutation { createCareProvider(care_provider_id: \"FRESH\", email: \"c@example.org\") { care_provider_id } }",
        expected: [Forbidden, Forbidden, Forbidden, Forbidden, Done, SignIn],
    },
    Operation {
        name: "getAllAvailableTests",
        document: "{ getAllAvailableTests { test_type } }",
        expected: [Done, Done, Done, Done, Done, SignIn],
    },
    Operation {
        name: "deleteTestEventFromS3",
        document:
            "mutation { deleteTestEventFromS3(test_event_id: \"RECORDED\", patient_id: \"own\", year: 2026, month: 1,
            day: 31, test_type: \"sit-to-stand\") }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
    Operation {
        name: "deleteTestEventFromDB",
        document: "mutation { deleteTestEventFromDB(test_event_id: \"RECORDED\", patient_id: \"own\") }",
        expected: [Done, Absent, Done, Absent, Done, SignIn],
    },
];

async fn callers(program: &Program) -> [Client; 6] {
    let clinic = program.clinic_with(&["own"]).await;
    program.create_account("own@example.org", "patient", &["--patient-id", "own"]);
    program.create_account("stranger@example.org", "patient", &["--patient-id", "stranger"]);
    program.create_account("other@example.org", "care-provider", &["--care-provider-id", "clinic-2"]);
    program.create_account("admin@example.org", "admin", &[]);
    let url = program.url();
    [
        Client::sign_in(url, "own@example.org").await,
        Client::sign_in(url, "stranger@example.org").await,
        clinic,
        Client::sign_in(url, "other@example.org").await,
        Client::sign_in(url, "admin@example.org").await,
        Client::anonymous(url),
    ]
}

async fn verdict(caller: &Client, document: &str) -> (Verdict, Value) {
    let document = document.replace("FRESH", &fresh_id().to_string());
    let answer = caller.post_json("/graphql", &json!({ "query": document })).await;
    let verdict = match (answer.status, answer.body["errors"][0]["extensions"]["code"].as_str()) {
        (401, _) => SignIn,
        (200, None) if answer.body["errors"].is_null() => Done,
        (200, Some("not_found")) => Absent,
        (200, Some("forbidden")) => Forbidden,
        _ => panic!("{answer:?}"),
    };
    (verdict, answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_with_graphql_what_the_policy_says_and_nothing_else() {
    let program = Program::start();
    let callers = callers(&program).await;
    // The event that is asked for is there, and a recording.
    verdict(&callers[2], OPERATIONS[2].document).await;
    let recorded = fresh_id();
    assert_eq!(callers[2].upload_and_wait(document("own", recorded).to_string()).await.status, 200);
    for operation in &OPERATIONS {
        let asked = operation.document.replace("RECORDED", &recorded.to_string());
        for (who, (caller, expected)) in callers.iter().zip(operation.expected).enumerate() {
            let (found, answer) = verdict(caller, &asked).await;
            assert_eq!(found, expected, "{} as caller {who}: {answer}", operation.name);
            if found == Absent {
                // The same answer, to the byte, for a patient or a care provider that does not exist.
                let unknown = asked
                    .replace("\"own\"", "\"ghost\"")
                    .replace("\"clinic-1\"", "\"ghost\"")
                    .replace("7a96f43b-53d5-45e6-9bd4-5318036dae55", "00000000-0000-4000-8000-000000000000");
                assert_eq!(verdict(caller, &unknown).await, (Absent, answer), "{} as caller {who}", operation.name);
            }
        }
    }
}

/// An operation that is added to the schema must be added here.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_schema_is_tested() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let document = "{ __schema { queryType { fields { name } } mutationType { fields { name } } } }";
    let schema = clinic.data(document, json!({})).await;
    let names = |kind: &str| {
        let fields = schema["__schema"][kind]["fields"].as_array().unwrap().clone();
        fields.into_iter().map(|field| field["name"].as_str().unwrap().to_owned())
    };
    let mut found: Vec<_> = names("queryType").chain(names("mutationType")).collect();
    let mut tested: Vec<_> = OPERATIONS.iter().map(|operation| operation.name).collect();
    found.sort();
    tested.sort_unstable();
    assert_eq!(found, tested);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_send_and_read_the_recordings_that_the_policy_says() {
    let program = Program::start();
    let callers = callers(&program).await;
    let known = fresh_id();
    assert_eq!(callers[2].upload(document("own", known).to_string()).await.status, 202);
    for (who, (caller, expected)) in callers.iter().zip([202, 404, 202, 404, 202, 401]).enumerate() {
        let answer = caller.upload(document("own", fresh_id()).to_string()).await;
        assert_eq!(answer.status, expected, "upload as caller {who}: {answer:?}");
        if expected == 404 {
            let unknown = caller.upload(document("ghost", fresh_id()).to_string()).await;
            assert_eq!((unknown.status, &unknown.body), (404, &answer.body), "another's patient is like none");
        }
        let read = caller.status(&known.to_string()).await;
        assert_eq!(read.status, if expected == 202 { 200 } else { expected }, "status as caller {who}: {read:?}");
        if expected == 404 {
            let unknown = caller.status(&fresh_id().to_string()).await;
            assert_eq!((unknown.status, &unknown.body), (404, &read.body), "another's recording is like none");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_export_the_records_that_the_policy_says() {
    let program = Program::start();
    let callers = callers(&program).await;
    for (who, (caller, expected)) in callers.iter().zip([200, 404, 200, 404, 200, 401]).enumerate() {
        let answer = caller.request(reqwest::Method::GET, "/v1/patients/own/export").send().await.unwrap();
        assert_eq!(answer.status(), expected, "export as caller {who}");
        if expected == 404 {
            let (absent, unknown) = (answer.text().await.unwrap(), caller.get("/v1/patients/ghost/export").await);
            let absent: Value = serde_json::from_str(&absent).unwrap();
            assert_eq!((unknown.status, unknown.body), (404, absent), "another's record is like none");
        }
    }
}
