//! Weeks and months over which scores are averaged, and the trend of scores. All in UTC: a week begins on Monday at 00:00
//! (ISO 8601), a month on its first day at 00:00.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};

/// Seconds of a week.
const WEEK: f64 = 7.0 * 86_400.0;
/// Scores that a trend needs at least.
pub const FEWEST_FOR_TREND: usize = 3;

/// What is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl Period {
    /// `week` or `month`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the period in which a day is.
    fn first_day(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Week => day - Days::new(day.weekday().num_days_from_monday().into()),
            Self::Month => day.with_day(1).unwrap_or(day),
        }
    }
}

/// From the beginning of a period to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The beginning of the period before the first, of which nothing but the change is asked.
    pub one_before: DateTime<Utc>,
    /// The first day of the first period.
    pub first_day: NaiveDate,
    /// The end; not part of it.
    pub end: DateTime<Utc>,
}

impl Window {
    /// The periods that hold the times from `from` to before `end`.
    #[must_use]
    pub fn of(period: Period, from: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let first_day = period.first_day(from.date_naive());
        let before = match period {
            Period::Week => first_day.checked_sub_days(Days::new(7)),
            Period::Month => first_day.checked_sub_months(Months::new(1)),
        };
        let one_before = before.unwrap_or(first_day).and_time(NaiveTime::MIN).and_utc();
        Self { one_before, first_day, end }
    }
}

/// The slope of the line that fits the scores best (least squares), points a week. `None` for fewer than
/// [`FEWEST_FOR_TREND`] scores, or where no time passes between them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a count of scores, and milliseconds of a few years")]
pub fn trend(scores: &[(DateTime<Utc>, f64)]) -> Option<f64> {
    if scores.len() < FEWEST_FOR_TREND {
        return None;
    }
    let origin = scores.first()?.0;
    let count = scores.len() as f64;
    let points: Vec<(f64, f64)> = scores
        .iter()
        .map(|(time, score)| ((*time - origin).num_milliseconds() as f64 / 1_000.0 / WEEK, *score))
        .collect();
    let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean_score = points.iter().map(|(_, score)| score).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
    let together: f64 = points.iter().map(|(time, score)| (time - mean_time) * (score - mean_score)).sum();
    (spread > 0.0).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_begins_on_monday_and_a_month_on_its_first_day() {
        for (period, from, before, first) in [
            // 2026-03-01 is a Sunday.
            (Period::Week, "2026-03-01T23:59:59Z", "2026-02-16T00:00:00Z", "2026-02-23"),
            (Period::Week, "2026-03-02T00:00:00Z", "2026-02-23T00:00:00Z", "2026-03-02"),
            (Period::Month, "2026-03-31T12:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01"),
            (Period::Month, "2026-01-01T00:00:00Z", "2025-12-01T00:00:00Z", "2026-01-01"),
        ] {
            let end = at("2026-12-31T00:00:00Z");
            let expected = Window { one_before: at(before), first_day: first.parse().unwrap(), end };
            assert_eq!(Window::of(period, at(from), end), expected, "{period:?} {from}");
        }
    }

    #[test]
    fn a_trend_is_the_slope_in_points_a_week() {
        let scores = |values: &[(i64, f64)]| -> Vec<_> {
            values
                .iter()
                .map(|(day, score)| (at("2026-01-01T00:00:00Z") + chrono::TimeDelta::days(*day), *score))
                .collect()
        };
        // Seven points over two weeks on a line: 3.5 a week, whatever the order.
        let slope = trend(&scores(&[(14, 57.0), (7, 53.5), (0, 50.0)])).unwrap();
        assert!((slope - 3.5).abs() < 1e-9, "{slope}");
        // By hand: days 0, 7, 14 and scores 50, 60, 52 give (52 - 50) / 2 = 1.
        let slope = trend(&scores(&[(0, 50.0), (7, 60.0), (14, 52.0)])).unwrap();
        assert!((slope - 1.0).abs() < 1e-9, "{slope}");
        assert_eq!(trend(&scores(&[(0, 50.0), (7, 60.0)])), None);
        assert_eq!(trend(&scores(&[(0, 50.0), (0, 60.0), (0, 70.0)])), None);
    }
}
