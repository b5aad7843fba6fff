//! One axis of one recording, asked for as the dashboard does: from the first byte of the request to the last of the answer.

use super::learning::accepted;
use super::{Bench, Options, PERSON, Timings, print, recording};
use comfy_table::Table;
use serde_json::{Value, json};
use std::time::Instant;

/// Times that an axis is asked for, after some that are not counted.
const TIMES: u32 = 500;
const WARM_UP: u32 = 50;
const AXES: [&str; 9] = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"];
const DOCUMENT: &str = "query($id: String!, $axis: Measurement!) {
    getMeasurementData(test_event_id: $id, patient_id: \"axis\", test_type: \"sit-to-stand\", measurement: $axis,
        year: 2026, month: 1, day: 31) { ts val } }";

pub(super) async fn measure(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    bench.patient("axis").await?;
    let made = recording(options.samples, PERSON, 7, "axis");
    accepted(bench.client.upload(made.to_json(), Some(30)).await?, "awaiting_model")?;
    let id = made.test_event_id().to_string();
    let (http, mut timings) = (reqwest::Client::new(), Timings::new()?);
    for (round, axis) in (0..WARM_UP + TIMES).zip(AXES.into_iter().cycle()) {
        let body = json!({ "query": DOCUMENT, "variables": { "id": id, "axis": axis } });
        let request = http.post(bench.client.at("/graphql")).bearer_auth(bench.client.token()).json(&body);
        let asked = Instant::now();
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        if round >= WARM_UP {
            timings.add(asked.elapsed());
        }
        let answer: Value = serde_json::from_slice(&answer)?;
        let values = answer.pointer("/data/getMeasurementData/val").and_then(Value::as_array).map_or(0, Vec::len);
        anyhow::ensure!(values == options.samples as usize, "the answer has {values} samples");
    }
    let mut table = Table::new();
    table.set_header(["one axis of one event", "p50", "p90", "p99"]);
    table.add_row([
        format!("{} samples", options.samples),
        timings.quantile(0.5),
        timings.quantile(0.9),
        timings.quantile(0.99),
    ]);
    print(&table)
}
