//! Lists of a patient's test events, a page at a time, and averages of their scores.

use super::recordings::read_movement_named;
use super::test_events::read_event;
use super::{Database, Page, Result, TestEvent, statements};
use crate::domain::averages::{Period, Window};
use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::domain::score::RecordingStatus;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which test events, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEventListFilter {
    /// Only of this type.
    pub test_type: Option<Movement>,
    /// Only those whose recording stands there.
    pub status: Option<RecordingStatus>,
    /// Only with, or only without, a computed score.
    pub scored: Option<bool>,
    /// Only those whose notes hold this text, whatever the case.
    pub search: Option<String>,
    /// Not earlier.
    pub from: DateTime<Utc>,
    /// Not later.
    pub to: DateTime<Utc>,
    /// Where the list begins.
    pub order: TimeOrder,
}

/// An order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOrder {
    /// The earliest first.
    EarliestFirst,
    /// The latest first.
    LatestFirst,
}

/// A place in a list of test events: behind this one. An event stands in a list where it began, or, where that is not
/// known, where it became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestEventPlace {
    /// Its time.
    pub time: DateTime<Utc>,
    /// Its id.
    pub event: TestEventId,
}

/// The average of a patient's scores of a movement in a week or month.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreAverage {
    /// Of which movement.
    pub movement: Movement,
    /// The first day, `2026-01-05`.
    pub start: String,
    /// The mean score, 0 to 100.
    pub mean: f64,
    /// Scores in it.
    pub scores: u32,
    /// The mean less that of the period before, where that has one.
    pub change: Option<f64>,
}

/// A page of the events of patient `$5`, and how many there are. `$1`: counted at most, `$2`, `$3`: behind which place, `$4`:
/// events at most, `$6`, `$7`: the window, `$8` to `$11`: type, status, scored, search, `$12`, `$13`: the window from the place on.
macro_rules! page {
    ($behind:expr, $order:expr, $holds:expr) => {
        concat!(
            "SELECT total, test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time, began
             FROM (SELECT count(*) AS total FROM (
                 SELECT 1 FROM test_events WHERE coalesce(start_time, created_at) BETWEEN $6 AND $7 AND ", such!($holds), " LIMIT $1
             ) AS those) AS counted
             LEFT JOIN (
                 SELECT test_event_id, patient_id, test_type, balance_score, doctor_score, notes, start_time, end_time,
                        coalesce(start_time, created_at) AS began
                 FROM test_events WHERE coalesce(start_time, created_at) BETWEEN $12 AND $13 AND ", such!($holds), "
                     AND (coalesce(start_time, created_at), test_event_id) ", $behind, " ($2, $3)
                 ORDER BY coalesce(start_time, created_at) ", $order, ", test_event_id ", $order, " LIMIT $4) AS page ON true
             ORDER BY began ", $order, ", test_event_id ", $order
        )
    };
}

macro_rules! such {
    ($holds:expr) => {
        concat!(
            "patient_id = $5 AND ($8 IS NULL OR test_type = $8) AND ($9 IS NULL OR $9 = (
                 SELECT status FROM recordings WHERE recordings.test_event_id = test_events.test_event_id))
             AND ($10 IS NULL OR (balance_score IS NOT NULL) = $10) AND ($11 IS NULL OR ",
            $holds,
            ")"
        )
    };
}

macro_rules! holds_sqlite {
    () => {
        "instr(lower(notes), lower($11)) > 0"
    };
}

macro_rules! holds_postgres {
    () => {
        "strpos(lower(notes COLLATE \"und-x-icu\"), lower($11 COLLATE \"und-x-icu\")) > 0"
    };
}

statements! {
    LATEST_EVENT_PAGE = each(page!("<", "DESC", holds_sqlite!()), page!("<", "DESC", holds_postgres!()));
    EARLIEST_EVENT_PAGE = each(page!(">", "ASC", holds_sqlite!()), page!(">", "ASC", holds_postgres!()));
    /// `$1`: the period, `$2`: whose, `$3`, `$4`: from when to before when, `$5`: the movement, `$6`: the first day that is
    /// answered, which may be a period later, `$7`: answers at most.
    SCORE_AVERAGES = each(
        "SELECT test_type, period, mean, scores, change FROM (
             SELECT test_type, period, mean, scores, CASE WHEN lag(period) OVER earlier
                 = CASE $1 WHEN 'week' THEN date(period, '-7 days') ELSE date(period, '-1 month') END
                 THEN mean - lag(mean) OVER earlier END AS change
             FROM (SELECT test_type, avg(balance_score) AS mean, count(*) AS scores, CASE $1
                       WHEN 'week' THEN date(coalesce(start_time, created_at) / 1000000, 'unixepoch', '-6 days', 'weekday 1')
                       ELSE date(coalesce(start_time, created_at) / 1000000, 'unixepoch', 'start of month') END AS period
                   FROM test_events
                   WHERE patient_id = $2 AND balance_score IS NOT NULL AND coalesce(start_time, created_at) >= $3
                       AND coalesce(start_time, created_at) < $4 AND ($5 IS NULL OR test_type = $5)
                   GROUP BY test_type, period) AS means
             WINDOW earlier AS (PARTITION BY test_type ORDER BY period)) AS changes
         WHERE period >= $6 ORDER BY test_type, period LIMIT $7",
        "SELECT test_type, period, mean, scores, change FROM (
             SELECT test_type, to_char(period, 'YYYY-MM-DD') AS period, mean, scores,
                 CASE WHEN lag(period) OVER earlier = period - ('1 ' || $1)::interval THEN mean - lag(mean) OVER earlier END
                     AS change
             FROM (SELECT test_type, avg(balance_score)::double precision AS mean, count(*) AS scores,
                       date_trunc($1, coalesce(start_time, created_at) AT TIME ZONE 'UTC') AS period
                   FROM test_events
                   WHERE patient_id = $2 AND balance_score IS NOT NULL AND coalesce(start_time, created_at) >= $3
                       AND coalesce(start_time, created_at) < $4 AND ($5 IS NULL OR test_type = $5)
                   GROUP BY test_type, period) AS means
             WINDOW earlier AS (PARTITION BY test_type ORDER BY period)) AS changes
         WHERE period >= $6 ORDER BY test_type, period LIMIT $7",
    );
}

impl Database {
    /// At most `limit` of a patient's test events from behind a place on, each with its own place, and how many there are,
    /// counted up to `counted`. Nothing is counted where that is 0.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn test_event_page(
        &self,
        patient: &PatientId,
        filter: &TestEventListFilter,
        after: Option<TestEventPlace>,
        limit: u32,
        counted: u32,
    ) -> Result<Page<(TestEvent, TestEventPlace)>> {
        let (statement, outermost) = match filter.order {
            TimeOrder::LatestFirst => {
                (LATEST_EVENT_PAGE, TestEventPlace { time: filter.to, event: Uuid::max().into() })
            }
            TimeOrder::EarliestFirst => {
                (EARLIEST_EVENT_PAGE, TestEventPlace { time: filter.from, event: Uuid::nil().into() })
            }
        };
        let place = after.unwrap_or(outermost);
        let (from, to) = match filter.order {
            TimeOrder::LatestFirst => (filter.from, filter.to.min(place.time)),
            TimeOrder::EarliestFirst => (filter.from.max(place.time), filter.to),
        };
        let rows = self
            .read(statement)
            .bind(counted)
            .bind(place.time)
            .bind(Uuid::from(place.event))
            .bind(limit)
            .bind(patient.as_str())
            .bind(filter.from)
            .bind(filter.to)
            .bind(filter.test_type.as_ref().map(Movement::as_str))
            .bind(filter.status.map(RecordingStatus::name))
            .bind(filter.scored)
            .bind(&filter.search)
            .bind(from)
            .bind(to)
            .all()
            .await?;
        Page::read(&rows, "test_event_id", |row| {
            let event = read_event(row)?;
            let place = TestEventPlace { time: row.get("began")?, event: event.id };
            Ok((event, place))
        })
    }

    /// Averages of a patient's scores, by movement and then in time, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn score_averages(
        &self,
        patient: &PatientId,
        period: Period,
        window: &Window,
        movement: Option<&Movement>,
        limit: u32,
    ) -> Result<Vec<ScoreAverage>> {
        let rows = self
            .read(SCORE_AVERAGES)
            .bind(period.name())
            .bind(patient.as_str())
            .bind(window.one_before)
            .bind(window.end)
            .bind(movement.map(Movement::as_str))
            .bind(&window.first_day.to_string())
            .bind(limit)
            .all()
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ScoreAverage {
                    movement: read_movement_named(row, "test_type")?,
                    start: row.get("period")?,
                    mean: row.get("mean")?,
                    scores: row.get("scores")?,
                    change: row.get("change")?,
                })
            })
            .collect()
    }
}
