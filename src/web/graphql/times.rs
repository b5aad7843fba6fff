//! Times as clients write them: `2023-03-09 01:02:03`, `2023-03-09 13:02:03-07`, `2023-03-09 13:02:03+00`, RFC 3339.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

/// The time that a text means; without an offset it is UTC.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.len() > 40 {
        return None;
    }
    let with_offset = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    let without = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let time = DateTime::parse_from_rfc3339(text)
        .ok()
        .or_else(|| with_offset.iter().find_map(|format| DateTime::parse_from_str(text, format).ok()))
        .map(|time| time.with_timezone(&Utc))
        .or_else(|| {
            without.iter().find_map(|format| Some(NaiveDateTime::parse_from_str(text, format).ok()?.and_utc()))
        })?;
    (1..=9_999).contains(&time.year()).then_some(time)
}

/// A time for a client: RFC 3339, UTC.
pub(super) fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A day (`2023-03-09`) or a time, as it is shown.
pub(super) fn day_or_time(text: &str) -> Option<String> {
    match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        Ok(day) if (1..=9_999).contains(&day.year()) => Some(day.to_string()),
        Ok(_) => None,
        Err(_) => parse(text).map(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_the_forms_of_the_clients() {
        for (text, expected) in [
            ("2023-03-09 01:02:03", "2023-03-09T01:02:03Z"),
            ("2023-03-09 13:02:03-07", "2023-03-09T20:02:03Z"),
            ("2023-03-09 13:02:03+00", "2023-03-09T13:02:03Z"),
            ("2023-03-09 13:02:03+0530", "2023-03-09T07:32:03Z"),
            ("2023-03-09 13:02:03.25+05:30", "2023-03-09T07:32:03.250Z"),
            ("2023-03-09T13:02:03Z", "2023-03-09T13:02:03Z"),
            ("2023-03-09T13:02:03.000001+01:00", "2023-03-09T12:02:03.000001Z"),
            ("2023-03-09T13:02:03", "2023-03-09T13:02:03Z"),
            (" 2023-03-09 01:02:03 ", "2023-03-09T01:02:03Z"),
        ] {
            assert_eq!(parse(text).map(shown).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "now",
            "2023-03-09",
            "2023-02-30 01:02:03",
            "2023-03-09 25:00:00",
            "1678323723",
            "99999-01-01 00:00:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("2023-03-09 01:02:03.{}", "0".repeat(100))), None);
    }

    #[test]
    fn a_consent_date_is_a_day_or_a_time() {
        assert_eq!(day_or_time("2023-03-09").as_deref(), Some("2023-03-09"));
        assert_eq!(day_or_time("2023-03-09 13:02:03-07").as_deref(), Some("2023-03-09T20:02:03Z"));
        assert_eq!(day_or_time("yesterday"), None);
    }
}
