//! A recording as CSV: the texts of the document, column by column, set row by row. No number is formatted again, so
//! each is the same to the bit, and `ts` is the text that was sent.

use crate::domain::recording::Recording;

const HEADER: &str = "ts,ax,ay,az,gx,gy,gz,mx,my,mz\n";

/// Ten columns with a header, `\n` after each row. Nothing needs quoting: a number and a timestamp hold no comma, quote
/// or line break.
#[must_use]
pub fn to_csv(recording: &Recording) -> Vec<u8> {
    let mut csv = Vec::with_capacity(recording.raw().len() + HEADER.len());
    csv.extend_from_slice(HEADER.as_bytes());
    let [mut ts, mut axes @ ..] = recording.texts();
    for timestamp in ts.by_ref() {
        csv.extend_from_slice(timestamp.trim_matches('"').as_bytes());
        for axis in &mut axes {
            csv.push(b',');
            csv.extend_from_slice(axis.next().unwrap_or_default().as_bytes());
        }
        csv.push(b'\n');
    }
    csv
}
