//! The columns of a document as text. The JSON grammar is serde_json's business: what arrives here is known to be one
//! well-formed JSON value; these functions only find where its elements begin and end.

use super::refusal::Refusal;
use super::timestamps::{Timestamp, TimestampReader};
use serde_json::value::RawValue;
use std::ops::Range;

/// Where the text of a column stands: the inside of its array.
#[derive(Debug)]
pub(super) enum ColumnText {
    /// In the document.
    Document(Range<usize>),
    /// Written anew, because the document spelled it with escapes.
    Rewritten(String),
}

impl ColumnText {
    pub(super) fn tokens<'a>(&'a self, document: &'a [u8]) -> Tokens<'a> {
        let text = match self {
            Self::Document(range) => document.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()),
            Self::Rewritten(text) => Some(text.as_str()),
        };
        Tokens { rest: text.filter(|text| !text.trim_ascii().is_empty()) }
    }
}

/// The elements of a flat JSON array as they were written; a string has its quotes.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let token = match memchr::memchr(b',', rest.as_bytes()) {
            Some(comma) => {
                self.rest = rest.get(comma + 1..);
                rest.get(..comma)?
            }
            None => {
                self.rest = None;
                rest
            }
        };
        Some(token.trim_ascii())
    }
}

/// The range of the inside of an array within the document, or the refusal of what is no array.
fn inside(key: &'static str, document: &str, value: &RawValue) -> Result<Range<usize>, Refusal> {
    let text = value.get();
    if !text.starts_with('[') {
        return Err(Refusal::key("wrong_type", key, format!("'{key}' must be an array")));
    }
    // The raw value borrows from the document, so its place is the distance of the two addresses.
    let start = text.as_ptr().addr() - document.as_ptr().addr();
    Ok(start + 1..start + text.len() - 1)
}

/// Reads an axis: finite numbers.
pub(super) fn axis(key: &'static str, document: &str, value: &RawValue) -> Result<(Vec<f64>, ColumnText), Refusal> {
    let range = inside(key, document, value)?;
    let text = ColumnText::Document(range);
    let mut numbers = Vec::with_capacity(value.get().len() / 16);
    for (index, token) in text.tokens(document.as_bytes()).enumerate() {
        let number = match token.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => token.parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(number) if number.is_finite() => numbers.push(number),
            Some(_) => {
                return Err(Refusal::sample("sample_not_finite", key, index, "the value is too large for a double"));
            }
            None => return Err(Refusal::sample("sample_not_a_number", key, index, "the value is not a number")),
        }
    }
    Ok((numbers, text))
}

/// Reads the timestamps.
pub(super) fn timestamps(document: &str, value: &RawValue) -> Result<(Vec<Timestamp>, ColumnText), Refusal> {
    const KEY: &str = "ts";
    let range = inside(KEY, document, value)?;
    let text = if value.get().contains('\\') {
        let strings: Vec<String> = serde_json::from_str(value.get())
            .map_err(|_| Refusal::key("timestamp_not_a_string", KEY, "a timestamp is not a string"))?;
        if strings.iter().any(|s| s.contains(['"', ','])) {
            return Err(Refusal::key("timestamp_invalid", KEY, "a timestamp holds a quote or a comma"));
        }
        ColumnText::Rewritten(strings.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(","))
    } else {
        ColumnText::Document(range)
    };
    let mut reader = TimestampReader::default();
    let mut timestamps = Vec::with_capacity(value.get().len() / 37 + 1);
    for (index, token) in text.tokens(document.as_bytes()).enumerate() {
        let token = unquoted(token)
            .ok_or_else(|| Refusal::sample("timestamp_not_a_string", KEY, index, "a timestamp must be a string"))?;
        let timestamp = reader.read(token).ok_or_else(|| {
            Refusal::sample("timestamp_invalid", KEY, index, "not a time such as 2023-04-25 12:04:52.228840 -07:00")
        })?;
        timestamps.push(timestamp);
    }
    Ok((timestamps, text))
}

/// The text of a JSON string that has no escapes.
fn unquoted(token: &str) -> Option<&str> {
    let text = token.strip_prefix('"')?;
    // A string with a comma in it was cut there and lost its end; what is left is refused as a timestamp.
    Some(text.strip_suffix('"').unwrap_or(text))
}
