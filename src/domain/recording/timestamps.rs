//! Timestamps of samples: `2023-04-25 12:04:52.228840 -07:00`, the offset optional; or RFC 3339.

use chrono::{DateTime, NaiveDate};
use std::fmt::Write as _;

/// When a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01 UTC; without an offset, local time counts as UTC.
    pub utc_micros: i64,
    /// Minutes east of Greenwich as written, null where none was sent.
    pub offset_minutes: Option<i16>,
}

/// Reads timestamps that follow one another. The samples of a recording share date, hour, minute and offset for long
/// stretches: what repeats is read once.
#[derive(Debug, Default)]
pub(super) struct TimestampReader {
    /// `YYYY-MM-DDTHH:MM:` as written, and what it means.
    minute: Option<([u8; 17], i64)>,
    /// The offset as written, and what it means.
    offset: Option<(Vec<u8>, Option<i16>)>,
}

impl TimestampReader {
    /// Reads one; `None` when it is no timestamp.
    pub(super) fn read(&mut self, text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        let (minute, rest) = bytes.split_first_chunk::<17>()?;
        let minute_micros = match &self.minute {
            Some((known, micros)) if known == minute => *micros,
            _ => {
                let micros = read_minute(minute)?;
                self.minute = Some((*minute, micros));
                micros
            }
        };
        let (seconds, rest) = rest.split_first_chunk::<2>()?;
        let seconds = i64::from(two_digits(*seconds)?);
        if seconds > 59 {
            return None;
        }
        let (fraction, rest) = read_fraction(rest)?;
        let offset_minutes = match &self.offset {
            Some((known, offset)) if known == rest => *offset,
            _ => {
                let offset = read_offset(rest)?;
                self.offset = Some((rest.to_vec(), offset));
                offset
            }
        };
        let local = minute_micros + seconds * 1_000_000 + fraction;
        let utc_micros = local - i64::from(offset_minutes.unwrap_or(0)) * 60_000_000;
        Some(Timestamp { utc_micros, offset_minutes })
    }
}

/// Writes timestamps that follow one another as the app does: `2023-04-25 12:04:52.228840 -07:00`, without the offset where
/// none was sent. What repeats from one to the next is written once.
#[derive(Debug, Default)]
pub struct TimestampWriter {
    /// The minutes since 1970 in local time, and `YYYY-MM-DD HH:MM:` of them.
    minute: Option<(i64, String)>,
    /// The offset, and its text with the space before it.
    offset: Option<(Option<i16>, String)>,
}

impl TimestampWriter {
    /// The text of one; `None` for a time beyond the calendar.
    pub fn write(&mut self, time: Timestamp) -> Option<String> {
        let Timestamp { utc_micros, offset_minutes } = time;
        let local = utc_micros.checked_add(i64::from(offset_minutes.unwrap_or(0)) * 60_000_000)?;
        let (minutes, micros) = (local.div_euclid(60_000_000), local.rem_euclid(60_000_000));
        if self.minute.as_ref().is_none_or(|(known, _)| *known != minutes) {
            let minute = DateTime::from_timestamp(minutes.checked_mul(60)?, 0)?;
            self.minute = Some((minutes, minute.format("%Y-%m-%d %H:%M:").to_string()));
        }
        if self.offset.as_ref().is_none_or(|(known, _)| *known != offset_minutes) {
            self.offset = Some((offset_minutes, offset_text(offset_minutes)));
        }
        let ((_, minute), (_, offset)) = (self.minute.as_ref()?, self.offset.as_ref()?);
        let mut text = String::with_capacity(minute.len() + 9 + offset.len());
        text.push_str(minute);
        let mut place = 10_000_000;
        while place > 0 {
            if place == 100_000 {
                text.push('.');
            }
            text.push(char::from(b'0' + u8::try_from(micros / place % 10).unwrap_or_default()));
            place /= 10;
        }
        text.push_str(offset);
        Some(text)
    }
}

fn offset_text(minutes: Option<i16>) -> String {
    let mut text = String::new();
    if let Some(minutes) = minutes {
        let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
        // Writing to a string does not fail.
        let _ = write!(text, " {sign}{:02}:{:02}", size / 60, size % 60);
    }
    text
}

/// `YYYY-MM-DD HH:MM:` or with a `T`, in microseconds since 1970.
fn read_minute(text: &[u8; 17]) -> Option<i64> {
    let &[y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b' ' | b'T' | b't', h0, h1, b':', mi0, mi1, b':'] = text else {
        return None;
    };
    let year = i32::from(two_digits([y0, y1])?) * 100 + i32::from(two_digits([y2, y3])?);
    if year < 1970 {
        return None;
    }
    NaiveDate::from_ymd_opt(year, two_digits([mo0, mo1])?.into(), two_digits([d0, d1])?.into())?
        .and_hms_opt(two_digits([h0, h1])?.into(), two_digits([mi0, mi1])?.into(), 0)
        .map(|minute| minute.and_utc().timestamp_micros())
}

fn two_digits([tens, ones]: [u8; 2]) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// `.` and one to nine digits, or nothing; microseconds, the rest cut off.
fn read_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else {
        return Some((0, text));
    };
    let count = digits.iter().take_while(|c| c.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (digits, rest) = digits.split_at(count);
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + i64::from(digits.get(place).map_or(0, |c| c - b'0'));
    }
    Some((micros, rest))
}

/// `Z`, `+HH:MM`, `+HHMM`, `+HH`, with an optional space before, or nothing.
#[expect(clippy::option_option, reason = "no timestamp, no offset, and an offset are three things")]
fn read_offset(text: &[u8]) -> Option<Option<i16>> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (sign, digits) = match text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h0, h1, b':', m0, m1] | [h0, h1, m0, m1] => (two_digits([*h0, *h1])?, two_digits([*m0, *m1])?),
        [h0, h1] => (two_digits([*h0, *h1])?, 0),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some(Some(sign * (i16::from(hours) * 60 + i16::from(minutes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(i64, Option<i16>)> {
        TimestampReader::default().read(text).map(|t| (t.utc_micros, t.offset_minutes))
    }

    /// 2023-04-25T12:04:52Z is 1682424292 seconds after 1970 (`date -u -d 2023-04-25T12:04:52Z +%s`).
    const NOON: i64 = 1_682_424_292_000_000;

    #[test]
    fn the_apps_form_and_rfc_3339_are_read() {
        assert_eq!(read("2023-04-25 12:04:52.228840 -07:00"), Some((NOON + 228_840 + 7 * 3_600_000_000, Some(-420))));
        assert_eq!(read("2023-04-25T12:04:52.5Z"), Some((NOON + 500_000, Some(0))));
        assert_eq!(read("2023-04-25T12:04:52+05:30"), Some((NOON - 19_800_000_000, Some(330))));
        assert_eq!(read("2023-04-25 12:04:52.228840"), Some((NOON + 228_840, None)));
        assert_eq!(read("2023-04-25 12:04:52.228840999 -00:00"), Some((NOON + 228_840, Some(0))));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2023-04-25",
            "2023-02-30 12:04:52",
            "2023-04-25 24:04:52",
            "2023-04-25 12:60:52",
            "2023-04-25 12:04:60",
            "2023-04-25 12:04:52.",
            "2023-04-25 12:04:52.1 -7",
            "2023-04-25 12:04:52 +24:00",
            "2023-04-25 12:04:52 UTC",
            "1969-12-31 23:59:59",
            "2023-4-25 12:04:52",
            "2023-04-25 12:04:5",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_app_sent() {
        let (mut reader, mut writer) = (TimestampReader::default(), TimestampWriter::default());
        for text in [
            "2023-04-25 12:04:52.228840 -07:00",
            "2023-04-25 12:04:59.999999 -07:00",
            "2023-04-25 12:05:00.000000 -07:00",
            "2023-04-25 12:05:00.000001 +05:30",
            "2023-04-25 12:05:00.000001 -00:30",
            "2023-04-25 12:05:00.000001",
            "1970-01-01 00:00:00.000000 +14:00",
        ] {
            let written = reader.read(text).and_then(|time| writer.write(time));
            assert_eq!(written.as_deref(), Some(text));
        }
        let rfc = reader.read("2023-04-25T12:04:52.5Z").and_then(|time| writer.write(time));
        assert_eq!(rfc.as_deref(), Some("2023-04-25 12:04:52.500000 +00:00"));
        assert_eq!(writer.write(Timestamp { utc_micros: i64::MAX, offset_minutes: None }), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0..253_402_300_799_i64, micros in 0..1_000_000_i64,
                                         offset in proptest::option::of(-839..=839_i16)) {
            let earliest = i64::from(offset.unwrap_or(0).unsigned_abs()) * 60;
            prop_assume!(seconds >= earliest && seconds + earliest < 253_402_300_799);
            let time = Timestamp { utc_micros: seconds * 1_000_000 + micros, offset_minutes: offset };
            let text = TimestampWriter::default().write(time).unwrap();
            prop_assert_eq!(TimestampReader::default().read(&text), Some(time));
        }
    }

    #[test]
    fn a_reader_that_has_seen_a_minute_reads_the_next_one_afresh() {
        let mut reader = TimestampReader::default();
        let micros = |t: Option<Timestamp>| t.map(|t| t.utc_micros);
        assert_eq!(micros(reader.read("2023-04-25 12:04:52Z")), Some(NOON));
        assert_eq!(micros(reader.read("2023-04-25 12:05:52Z")), Some(NOON + 60_000_000));
        assert_eq!(micros(reader.read("2023-04-25 12:05:52+01:00")), Some(NOON + 60_000_000 - 3_600_000_000));
    }
}
