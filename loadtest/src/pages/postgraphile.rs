//! PostGraphile over the same tables. It derives its schema from the database; averages are a function there, of the same SQL.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const PORT: u16 = 58_231;
/// Longest wait for it to be ready.
const START: Duration = Duration::from_secs(30);

/// What it asks for averages.
pub(super) const AVERAGES: &str = "
    CREATE FUNCTION weekly_averages(p text)
    RETURNS TABLE (test_type text, period text, mean double precision, scores bigint, change double precision)
    LANGUAGE sql STABLE AS $$
        SELECT test_type, to_char(period, 'YYYY-MM-DD') AS period, mean, scores,
            CASE WHEN lag(period) OVER earlier = period - interval '1 week' THEN mean - lag(mean) OVER earlier END AS change
        FROM (SELECT test_type, avg(balance_score)::double precision AS mean, count(*) AS scores,
                  date_trunc('week', coalesce(start_time, created_at) AT TIME ZONE 'UTC') AS period
              FROM test_events
              WHERE patient_id = p AND balance_score IS NOT NULL
                  AND coalesce(start_time, created_at) >= now() - interval '372 days'
                  AND coalesce(start_time, created_at) < now()
              GROUP BY test_type, period) AS means
        WINDOW earlier AS (PARTITION BY test_type ORDER BY period)
        ORDER BY test_type, period
    $$";

/// The process. Dropped, it is killed.
pub(super) struct Postgraphile {
    _child: Child,
}

impl Postgraphile {
    /// Starts the one that is installed in a folder, and waits until it answers.
    pub(super) async fn start(folder: &Path, database: &str) -> anyhow::Result<Self> {
        // Node's client takes sqlx's `sslmode=prefer` for a demand, and knows no other parameter of that kind.
        let database = database.split_once('?').map_or(database, |(address, _)| address);
        let folder = folder.canonicalize().context("there is no folder with postgraphile")?;
        let bin = folder.join("node_modules/.bin");
        // Node resolves a preset's name from where it runs.
        let child = Command::new(bin.join("node"))
            .arg(bin.join("postgraphile"))
            .args(["--preset", "postgraphile/presets/amber", "--schema", "public", "--port", &PORT.to_string()])
            .args(["--connection", database])
            .current_dir(&folder)
            .env("NODE_ENV", "production")
            .env("GRAPHILE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("no node and postgraphile in {}: see make bench-graphql", folder.display()))?;
        let peer = Self { _child: child };
        let begun = Instant::now();
        let http = reqwest::Client::new();
        while begun.elapsed() < START {
            let ask = http.post(peer.url()).json(&json!({ "query": "{ __typename }" })).send().await;
            if ask.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(peer);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("PostGraphile was not ready within {START:?}")
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{PORT}/graphql")
    }
}

/// A page in its schema.
pub(super) fn body(patient: &str) -> Value {
    let query = "query($p: String!) {
        patientByPatientId(patientId: $p) { patientId firstName lastName email privacyConsentDate }
        allTestEvents(condition: { patientId: $p }, orderBy: [START_TIME_DESC], first: 50) {
            pageInfo { hasNextPage endCursor } nodes {
                testEventId testType balanceScore doctorScore notes startTime endTime } }
        weeklyAverages(p: $p) { nodes { testType period mean scores change } } }";
    json!({ "query": query, "variables": { "p": patient } })
}
