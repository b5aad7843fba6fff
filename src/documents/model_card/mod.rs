//! The card of a model: as JSON, and as a page that a clinician can read, print and file.

mod content;
mod page;
mod plot;
mod words;

use crate::domain::ids::PatientId;
use crate::storage::database::KnownModel;
use chrono::{DateTime, SecondsFormat, Utc};
use content::Content;
use serde::Serialize;
use serde_json::value::RawValue;
use stance_models::card::ModelCard;

/// The page's style, as it stands in the page: a policy for the page allows it by its digest.
pub const STYLE: &str = include_str!("style.css");

/// What is known of a model; the card is as it is kept.
#[derive(Serialize)]
struct Document<'a> {
    model_version: &'a str,
    patient_id: &'a str,
    movement: &'a str,
    created_at: String,
    retired_at: Option<String>,
    outdated_at: Option<String>,
    verdict: &'static str,
    pinned: bool,
    serves: bool,
    card: &'a RawValue,
}

/// The card as JSON.
///
/// # Errors
/// When the card that is kept is no JSON.
pub fn json(patient: &PatientId, model: &KnownModel) -> serde_json::Result<String> {
    serde_json::to_string(&Document {
        model_version: model.version.as_str(),
        patient_id: patient.as_str(),
        movement: model.movement.as_str(),
        created_at: shown(model.created_at),
        retired_at: model.retired_at.map(shown),
        outdated_at: model.outdated_at.map(shown),
        verdict: model.verdict.name(),
        pinned: model.pinned,
        serves: model.serves,
        card: serde_json::from_str(&model.card)?,
    })
}

/// The card as a page of HTML, made at that time. Everything in it is in it: it loads nothing.
///
/// # Errors
/// When the card that is kept is no card.
pub fn page(patient: &PatientId, model: &KnownModel, at: DateTime<Utc>) -> serde_json::Result<String> {
    let card: ModelCard = serde_json::from_str(&model.card)?;
    Ok(page::draw(&Content::new(patient, model, &card, at)))
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests;
