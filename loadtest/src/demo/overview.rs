//! The clinic at a glance.

use super::CARE_PROVIDER;
use crate::client::Client;
use anyhow::Context;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

/// A row a patient, with the latest score.
pub(super) async fn of_patients(client: &Client) -> anyhow::Result<Table> {
    let query = "query($c: String!) { getPatientsForCareprovider(care_provider_id: $c) {
        patient_id first_name last_name } }";
    let answer = client.graphql(query, json!({ "c": CARE_PROVIDER })).await?;
    let patients = answer.pointer("/getPatientsForCareprovider").and_then(Value::as_array).context("no patients")?;
    let mut table = Table::new();
    table.set_header(["patient", "name", "recordings", "scored by clinician", "latest score", "", "at"]);
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for patient in patients {
        let text = |key: &str| patient.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let query = "query($p: String!) { getTestEvents(patient_id: $p, sort: desc) {
            balance_score doctor_score start_time } }";
        let answer = client.graphql(query, json!({ "p": text("patient_id") })).await?;
        let events = answer.pointer("/getTestEvents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let score = |event: &Value, key: &str| event.get(key).and_then(Value::as_i64);
        let latest = events.iter().find_map(|event| Some((score(event, "balance_score")?, event)));
        let (value, band, at) = latest.map_or_else(Default::default, |(value, event)| {
            let at = event.get("start_time").and_then(Value::as_str).unwrap_or_default();
            (value.to_string(), band(value), at.to_owned())
        });
        table.add_row([
            text("patient_id"),
            format!("{} {}", text("first_name"), text("last_name")),
            events.len().to_string(),
            events.iter().filter(|event| score(event, "doctor_score").is_some()).count().to_string(),
            value,
            band.to_owned(),
            at,
        ]);
    }
    Ok(table)
}

/// What charts call a score.
fn band(score: i64) -> &'static str {
    match score {
        85.. => "OK",
        60..85 => "watch",
        40..60 => "low",
        _ => "very low",
    }
}
