//! Every statement of the program, and how each database plans to run it.
//!
//! Statements note themselves when they run in a test. A test that runs the contract has thus seen all of them, with the
//! types of their parameters, and asks for the plan of each that is made without knowing the parameters.

use super::*;
use crate::storage::database::{
    accounts, assigned_tests, attempts, audit, changes, compaction, deletions, event_records, jobs, lake, mails,
    measurements, model_names, models, patient_lists, patients, provider_keys, recordings, second_factors, secrets,
    serving, sessions, steps, test_event_lists, test_events,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Every file's statements.
const REGISTRY: &[&[Sql]] = &[
    STATEMENTS,
    accounts::STATEMENTS,
    assigned_tests::STATEMENTS,
    attempts::STATEMENTS,
    audit::STATEMENTS,
    audit::postgres::STATEMENTS,
    audit::sqlite::STATEMENTS,
    changes::STATEMENTS,
    compaction::STATEMENTS,
    deletions::STATEMENTS,
    deletions::pending::STATEMENTS,
    deletions::unlearning::STATEMENTS,
    event_records::STATEMENTS,
    hints::STATEMENTS,
    jobs::STATEMENTS,
    lake::STATEMENTS,
    measurements::STATEMENTS,
    mails::STATEMENTS,
    model_names::STATEMENTS,
    models::STATEMENTS,
    patient_lists::STATEMENTS,
    patients::STATEMENTS,
    provider_keys::STATEMENTS,
    recordings::STATEMENTS,
    second_factors::STATEMENTS,
    secrets::STATEMENTS,
    serving::STATEMENTS,
    sessions::STATEMENTS,
    steps::follow_serving::STATEMENTS,
    steps::postgres::STATEMENTS,
    steps::sqlite::STATEMENTS,
    test_event_lists::STATEMENTS,
    test_events::STATEMENTS,
];
/// Tables whose size has no bound.
pub(super) const GROWING: &[&str] = &[
    "account_codes",
    "accounts",
    "assigned_tests",
    "audit_patients",
    "audit_records",
    "axis_ranges",
    "care_providers",
    "deletion_objects",
    "deletions",
    "features",
    "jobs",
    "lake_files",
    "mails",
    "model_names",
    "model_sources",
    "models",
    "patient_care_providers",
    "patient_terms",
    "patients",
    "quality_reports",
    "recordings",
    "recovery_codes",
    "scores",
    "second_factors",
    "sessions",
    "sign_in_attempts",
    "test_events",
    "training_counts",
    "used_refresh_tokens",
];

/// The types of the parameters of each text that ran in this process.
static EXECUTED: Mutex<BTreeMap<&'static str, Vec<&'static str>>> = Mutex::new(BTreeMap::new());

/// A statement is about to run.
pub(in crate::storage::database) fn executed(sql: &Sql, text: &'static str, types: &[&'static str]) {
    let known = REGISTRY.iter().copied().flatten().any(|known| known.name == sql.name && known.sqlite == sql.sqlite);
    assert!(known, "{} is not in the registry of statements", sql.name);
    assert!(!text.is_empty(), "{} is not for this database", sql.name);
    EXECUTED.lock().unwrap_or_else(PoisonError::into_inner).insert(text, types.to_vec());
}

/// Every text for a database with its statement's name and the types of its parameters, once the contract has run there.
fn all_of_them(text: fn(&Sql) -> &'static str) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let executed = EXECUTED.lock().unwrap().clone();
    let all = REGISTRY.iter().copied().flatten().filter(|sql| !text(sql).is_empty());
    let missing: Vec<_> = all.clone().filter(|sql| !executed.contains_key(text(sql))).map(|sql| sql.name).collect();
    assert!(missing.is_empty(), "the contract never runs {missing:?}");
    all.map(|sql| (sql.name, text(sql), executed[text(sql)].clone())).collect()
}

#[test]
fn names_of_statements_are_unique() {
    let mut names: Vec<_> = REGISTRY.iter().copied().flatten().map(|sql| sql.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows_in_sqlite() {
    let here = Here::sqlite().await;
    let pool = here.sqlite_pool().await;
    let mut problems = Vec::new();
    Box::pin(contract::run_everything(Here::sqlite)).await;
    for (name, text, _) in all_of_them(|sql| sql.sqlite) {
        let plan = format!("EXPLAIN QUERY PLAN {text}");
        let rows: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).fetch_all(&pool).await.unwrap();
        for (.., step) in rows {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            if GROWING.contains(&scanned) {
                problems.push(format!("{name}: {step}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn no_statement_scans_a_table_that_grows_in_postgres() {
    let here = Here::postgres().await;
    Box::pin(contract::run_everything(Here::postgres)).await;
    let postgres = here.server.as_ref().unwrap();
    postgres.psql(FILL);
    let mut problems = Vec::new();
    for (name, text, types) in all_of_them(|sql| sql.postgres) {
        let signature = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
        let nulls =
            if types.is_empty() { String::new() } else { format!("({})", vec!["NULL"; types.len()].join(", ")) };
        let plan = postgres.psql(&format!(
            "SET plan_cache_mode = force_generic_plan;
             PREPARE s{signature} AS {text};
             EXPLAIN (FORMAT JSON) EXECUTE s{nulls}"
        ));
        let plan: Value = serde_json::from_str(&plan).unwrap_or_else(|_| panic!("{name}: {plan}"));
        check(name, &plan[0]["Plan"], &mut problems);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Notes each node that reads a growing table other than through an index with a condition.
fn check(name: &str, node: &Value, problems: &mut Vec<String>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let (kind, table) = (text("Node Type"), text("Relation Name"));
    // That index holds nothing but what is asked for.
    let whole_index = kind.starts_with("Index") && node["Index Cond"].is_null() && text("Index Name") != "jobs_dead";
    if GROWING.contains(&table) && (kind == "Seq Scan" || whole_index) {
        problems.push(format!("{name}: {kind} on {table}"));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        check(name, child, problems);
    }
}

/// Some thousand rows in every table that grows, spread as in a clinic, and statistics of them.
pub(super) const FILL: &str = "
    INSERT INTO patients SELECT 'fill-' || n, NULL, 'F' || n, 'L' || n, NULL, now() FROM generate_series(1, 4000) n;
    INSERT INTO care_providers SELECT 'fill-' || n, NULL, now() FROM generate_series(1, 4000) n;
    INSERT INTO patient_care_providers SELECT 'fill-' || 1 + n % 400, 'fill-' || n, now() FROM generate_series(1, 4000) n;
    INSERT INTO assigned_tests SELECT 'fill-' || n, 'sit-to-stand', now() FROM generate_series(1, 4000) n;
    INSERT INTO accounts SELECT gen_random_uuid(), 'fill-' || n || '@example.org', '', 'patient', 'fill-' || n, NULL, now()
        FROM generate_series(1, 4000) n;
    INSERT INTO sessions SELECT gen_random_uuid(), account_id, sha256(account_id::text::bytea), now(),
        now() + random() * interval '30 days', NULL FROM accounts;
    INSERT INTO mails SELECT gen_random_uuid(), email, 'reset', 0, now() + random() * interval '1 h', now() FROM accounts;
    INSERT INTO account_codes SELECT account_id, 'reset', '', 9, now() + random() * interval '1 h' FROM accounts;
    INSERT INTO second_factors SELECT account_id, '', now(), 0 FROM accounts;
    INSERT INTO recovery_codes SELECT account_id, sha256(n::text::bytea) FROM accounts, generate_series(1, 10) n;
    INSERT INTO used_refresh_tokens SELECT sha256(session_id::text::bytea), session_id FROM sessions;
    INSERT INTO audit_records SELECT n, now() - n * interval '1 s', 'patient', n % 400, NULL, 'read', '[]', NULL, NULL, NULL,
        NULL, 'allowed', NULL, '' FROM generate_series(1000000, 1012000) n;
    INSERT INTO audit_patients SELECT 'fill-' || position % 4000, at, position FROM audit_records;
    INSERT INTO sign_in_attempts SELECT sha256(n::text::bytea), 1, now() - random() * interval '900 s'
        FROM generate_series(1, 4000) n;
    INSERT INTO test_events SELECT gen_random_uuid(), 'fill-' || 1 + n % 4000, 'sit-to-stand', NULL, NULL, NULL,
        now() - n * interval '1 minute', NULL, now() FROM generate_series(1, 12000) n;
    INSERT INTO recordings SELECT test_event_id, patient_id, test_type, 'fill-1', sha256(''), 'raw', 1, 2026, 1, 31,
        CASE WHEN n % 2 = 0 THEN 50.0 END, CASE WHEN n % 2 = 0 THEN n END,
        CASE WHEN n % 2 = 0 THEN 'training' WHEN n % 5 = 0 THEN 'awaiting_model' ELSE 'scored' END, 1, 100.0,
        NULL, NULL, now(), now() FROM (SELECT *, row_number() OVER () AS n FROM test_events) events
        ON CONFLICT DO NOTHING;
    INSERT INTO axis_ranges SELECT test_event_id, axis, 0, 1 FROM recordings, unnest('{ax,ay,az}'::text[]) axis
        ON CONFLICT DO NOTHING;
    INSERT INTO quality_reports SELECT test_event_id, 1, 1, 1, 0, 0, 0, 0, '' FROM recordings ON CONFLICT DO NOTHING;
    INSERT INTO features SELECT test_event_id, 'set-1', '' FROM recordings ON CONFLICT DO NOTHING;
    INSERT INTO scores SELECT test_event_id, 50, NULL, NULL, 'v', 'local', now() FROM recordings WHERE status = 'scored'
        ON CONFLICT DO NOTHING;
    INSERT INTO training_counts SELECT 'fill-' || n, 'sit-to-stand', 10 FROM generate_series(1, 4000) n;
    INSERT INTO models SELECT 'fill-' || n, 'fill-' || n, 'sit-to-stand', 10, 'key', sha256(''), 'set-1', 1, '{}', now(), 1, 10
        FROM generate_series(1, 4000) n;
    INSERT INTO model_sources SELECT 'fill-' || 1 + (n + other) % 4000, 'fill-' || n, 1, 10
        FROM generate_series(1, 4000) n, generate_series(1, 3) other;
    INSERT INTO model_names SELECT md5(n::text), 'fill-' || n, 'sit-to-stand' FROM generate_series(1, 4000) n;
    INSERT INTO jobs (kind, subject, lane, position, state, due_at, enqueued_at)
        SELECT kind, test_event_id, 'fill-' || n % 400, n / 400,
            CASE n % 20 WHEN 0 THEN 'leased' WHEN 1 THEN 'delayed' WHEN 2 THEN 'dead' ELSE 'ready' END,
            now() + n * interval '1 s', now() - n * interval '1 s'
        FROM (SELECT *, row_number() OVER () AS n FROM test_events) events, unnest('{convert,train,score}'::text[]) kind
        ON CONFLICT DO NOTHING;
    INSERT INTO deletions SELECT gen_random_uuid(), 1, 'fill-1', true, false, now(), now() FROM generate_series(1, 4000);
    INSERT INTO deletion_objects SELECT test_event_id, 'key-' || n FROM deletions, generate_series(1, 4) n;
    INSERT INTO lake_files SELECT 'fill-' || n, 'fill-' || 1 + n % 4000, 'sit-to-stand', 2026, 1 + n % 12,
        CASE WHEN n % 50 = 0 THEN 'replaced' ELSE 'live' END, 1, 1, 1, CASE WHEN n % 60 = 0 THEN 1 ELSE 0 END, 0, 1, now()
        FROM generate_series(1, 12000) n ON CONFLICT DO NOTHING;
    UPDATE recordings SET lake_file = 'fill-' || training_ordinal WHERE training_ordinal % 4 <> 0 AND patient_id LIKE 'fill-%';
    ANALYZE";
