//! What is told of a patient's scores and measurements over time.

use super::recordings::{read_movement, read_recording_day};
use super::{Database, Result, statements};
use crate::domain::ids::{Movement, PatientId};
use crate::domain::recording::{Axis, Day};
use chrono::{DateTime, Utc};

/// A window of time, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub from: DateTime<Utc>,
    /// Until then.
    pub to: DateTime<Utc>,
}

/// What the computed scores of a window have in common; nothing where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreStats {
    /// Their mean, 0 to 100.
    pub mean: Option<f64>,
    /// The highest less the lowest, 0 to 100.
    pub range: Option<i32>,
}

/// Lowest and highest value of an axis in all recordings of a movement on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct DayRange {
    /// The local day.
    pub day: Day,
    /// The movement.
    pub movement: Movement,
    /// Lowest value.
    pub lowest: f64,
    /// Highest value.
    pub highest: f64,
}

statements! {
    /// No row when there is no such patient.
    SCORE_STATS = shared(
        "SELECT CAST(avg(balance_score) AS double precision) AS mean, max(balance_score) - min(balance_score) AS spread
         FROM patients LEFT JOIN test_events ON test_events.patient_id = patients.patient_id
             AND start_time >= $2 AND start_time <= $3 AND ($4 IS NULL OR test_type = $4)
         WHERE patients.patient_id = $1 GROUP BY patients.patient_id",
    );
    /// No row when there is no such patient; a row of nulls where nothing is measured.
    DAY_RANGES = shared(
        "SELECT year, month, day, movement, min(lowest) AS lowest, max(highest) AS highest
         FROM patients LEFT JOIN recordings ON recordings.patient_id = patients.patient_id
             LEFT JOIN axis_ranges ON axis_ranges.test_event_id = recordings.test_event_id AND axis = $2
         WHERE patients.patient_id = $1
         GROUP BY year, month, day, movement
         ORDER BY year DESC, month DESC, day DESC, movement DESC LIMIT $3",
    );
}

impl Database {
    /// Mean and range of a patient's computed scores, of one movement or of all; `None` when there is no such patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn score_stats(
        &self,
        patient: &PatientId,
        window: Window,
        movement: Option<&Movement>,
    ) -> Result<Option<ScoreStats>> {
        let read = self.read(SCORE_STATS).bind(patient.as_str()).bind(window.from).bind(window.to);
        let row = read.bind(movement.map(Movement::as_str)).optional().await?;
        row.map(|row| Ok(ScoreStats { mean: row.get("mean")?, range: row.get("spread")? })).transpose()
    }

    /// The range of an axis on each of a patient's days, earliest first, of each movement; of the latest `limit` where there
    /// are more. `None` when there is no such patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn day_ranges(&self, patient: &PatientId, axis: Axis, limit: u32) -> Result<Option<Vec<DayRange>>> {
        let rows = self.read(DAY_RANGES).bind(patient.as_str()).bind(axis.name()).bind(limit).all().await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut ranges = Vec::with_capacity(rows.len());
        for row in rows.iter().rev() {
            if let (Some(lowest), Some(highest)) = (row.get("lowest")?, row.get("highest")?) {
                ranges.push(DayRange { day: read_recording_day(row)?, movement: read_movement(row)?, lowest, highest });
            }
        }
        Ok(Some(ranges))
    }
}
