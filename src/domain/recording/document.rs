//! From the JSON document to a [`Recording`]: every rule of the format, each with its own code.

use super::columns::{ColumnText, axis, timestamps};
use super::refusal::Refusal;
use super::{AXES, Day, Recording};
use crate::domain::ids::{InvalidId, Movement, PatientId, TestEventId};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::fmt;

/// The keys, each still as it was written; absent and null are the same.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    movement: Option<&'a RawValue>,
    #[serde(rename = "testID")]
    test_id: Option<&'a RawValue>,
    training: Option<&'a RawValue>,
    clinic_score: Option<&'a RawValue>,
    start_date: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    ax: Option<&'a RawValue>,
    ay: Option<&'a RawValue>,
    az: Option<&'a RawValue>,
    gx: Option<&'a RawValue>,
    gy: Option<&'a RawValue>,
    gz: Option<&'a RawValue>,
    mx: Option<&'a RawValue>,
    my: Option<&'a RawValue>,
    mz: Option<&'a RawValue>,
}

/// Reads a recording document.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse(raw: Bytes) -> Result<Recording, Refusal> {
    if raw.trim_ascii().is_empty() {
        return Err(Refusal::malformed("body_empty", "the body is empty"));
    }
    let text = std::str::from_utf8(&raw).map_err(|error| {
        Refusal::malformed("invalid_utf8", format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    if !text.trim_ascii_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Err(Refusal::malformed("not_an_object", "the body must be one JSON object"));
    }
    let document: Document<'_> = serde_json::from_str(text).map_err(|error| refuse_json(text, &error))?;

    let user: String = required("user_id", document.user_id, "a string")?;
    let patient = PatientId::new(user).map_err(|error| invalid_id("user_id_invalid", "user_id", error))?;
    let movement: String = required("movement", document.movement, "a string")?;
    let movement = Movement::new(movement).map_err(|error| invalid_id("movement_invalid", "movement", error))?;
    let id: String = required("testID", document.test_id, "a string")?;
    let id: TestEventId = id.parse().map_err(|error| invalid_id("test_id_invalid", "testID", error))?;
    let training: bool = required("training", document.training, "a boolean")?;
    let clinic_score = if training { Some(read_score(document.clinic_score)?) } else { None };
    let start: String = required("start_date", document.start_date, "a string")?;
    let day = read_day(&start)?;

    let (timestamps, ts_text) = timestamps(text, present("ts", document.ts)?)?;
    if timestamps.is_empty() {
        return Err(Refusal::key("no_samples", "ts", "the recording has no samples"));
    }
    let values = [
        document.ax,
        document.ay,
        document.az,
        document.gx,
        document.gy,
        document.gz,
        document.mx,
        document.my,
        document.mz,
    ];
    let mut axes: [Vec<f64>; 9] = Default::default();
    let mut texts: [ColumnText; 10] = std::array::from_fn(|_| ColumnText::Document(0..0));
    let [first, rest @ ..] = &mut texts;
    *first = ts_text;
    for (((key, value), column), slot) in AXES.into_iter().zip(values).zip(&mut axes).zip(rest) {
        (*column, *slot) = axis(key, text, present(key, value)?)?;
        if column.len() != timestamps.len() {
            return Err(Refusal::key(
                "unequal_lengths",
                key,
                format!("'{key}' has {} values where 'ts' has {}", column.len(), timestamps.len()),
            ));
        }
    }
    Ok(Recording { id, patient, movement, day, clinic_score, timestamps, axes, texts, raw })
}

fn present<'a>(key: &'static str, value: Option<&'a RawValue>) -> Result<&'a RawValue, Refusal> {
    value.ok_or_else(|| Refusal::key("missing_key", key, format!("'{key}' is missing or null")))
}

fn required<T: DeserializeOwned>(key: &'static str, value: Option<&RawValue>, what: &str) -> Result<T, Refusal> {
    serde_json::from_str(present(key, value)?.get())
        .map_err(|_| Refusal::key("wrong_type", key, format!("'{key}' must be {what}")))
}

fn invalid_id(code: &'static str, key: &str, error: InvalidId) -> Refusal {
    Refusal::key(code, key, format!("'{key}' {error}"))
}

fn read_score(value: Option<&RawValue>) -> Result<f64, Refusal> {
    const KEY: &str = "clinic_score";
    let value = value.ok_or_else(|| {
        Refusal::key("clinic_score_missing", KEY, "a training recording must carry the clinician's score")
    })?;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }
    let score = match serde_json::from_str(value.get()) {
        Ok(Written::Number(score)) => Some(score),
        Ok(Written::Text(text)) => text.trim().parse().ok(),
        Err(_) => None,
    };
    match score {
        Some(score) if (0.0..=100.0).contains(&score) => Ok(score),
        Some(_) => Err(Refusal::key("clinic_score_out_of_range", KEY, "the score must be 0 to 100")),
        None => Err(Refusal::key("clinic_score_invalid", KEY, "the score must be a number, or a number as a string")),
    }
}

/// `2023-4-25` and `2023-04-25`.
fn read_day(text: &str) -> Result<Day, Refusal> {
    let refuse = || Refusal::key("start_date_invalid", "start_date", "not a day such as 2023-4-25");
    let mut parts = text.splitn(3, '-').map(|part| {
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten()
    });
    let mut next = || parts.next().flatten().ok_or_else(refuse);
    let (year, month, day) = (next()?, next()?, next()?);
    i32::try_from(year).ok().and_then(|year| Day::new(year, month, day)).ok_or_else(refuse)
}

/// What serde_json says of a document, as one of our codes. It names no value.
fn refuse_json(text: &str, error: &serde_json::Error) -> Refusal {
    let said = error.to_string();
    if let Some(rest) = said.strip_prefix("duplicate field `") {
        let key = rest.split('`').next().unwrap_or_default();
        return Refusal::key("duplicate_key", key, format!("'{key}' is there twice"));
    }
    if error.is_eof() {
        return Refusal::malformed("json_cut_short", "the document ends before its end");
    }
    let offset = byte_offset(text, error.line(), error.column());
    if let Some((key, index)) = not_finite_literal(text, offset) {
        return Refusal::sample("sample_not_finite", key, index, "NaN and Infinity are no numbers of JSON");
    }
    Refusal::malformed("json_syntax", format!("not JSON at {}", Place { line: error.line(), column: error.column() }))
}

struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column
}

/// `NaN` and `Infinity`, which some JSON writers produce, near where the reader stopped: the axis and the sample.
fn not_finite_literal(text: &str, offset: usize) -> Option<(&'static str, usize)> {
    let start = offset.saturating_sub(3);
    let window = text.as_bytes().get(start..(offset + 9).min(text.len()))?.to_ascii_lowercase();
    let word = ["nan", "inf"].iter().filter_map(|word| memchr::memmem::find(&window, word.as_bytes())).min()?;
    let before = text.get(..start + word)?;
    let (name, elements) = before.rsplit_once('[')?;
    let name = name.trim_ascii_end().strip_suffix(':')?.trim_ascii_end().strip_suffix('"')?;
    let key = AXES.into_iter().find(|key| name.ends_with(&format!("\"{key}")))?;
    Some((key, elements.matches(',').count()))
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
