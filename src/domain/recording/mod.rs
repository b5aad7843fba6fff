//! A recording: nine axes over time, as the phone sent them.

mod axis;
mod columns;
mod document;
mod quality;
mod refusal;
mod timestamps;

pub use axis::{AXES, Axis};
pub use document::parse;
pub use quality::{Quality, assess, gaps};
pub use refusal::{Refusal, RefusalKind};
pub use timestamps::{Timestamp, TimestampWriter};

use super::ids::{Movement, PatientId, TestEventId};
use bytes::Bytes;
use chrono::NaiveDate;
use columns::ColumnText;

/// The local calendar day of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Day {
    /// 1970 to 9999.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31, a day that this month has.
    pub day: u32,
}

impl Day {
    /// A day of the calendar from 1970 on, or none.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day).filter(|_| (1970..=9999).contains(&year))?;
        Some(Self { year, month, day })
    }
}

/// A recording that follows the rules of the format. Made by [`parse`] only: at least one sample, columns of equal
/// length, finite values.
#[derive(Debug)]
pub struct Recording {
    id: TestEventId,
    patient: PatientId,
    movement: Movement,
    day: Day,
    clinic_score: Option<f64>,
    timestamps: Vec<Timestamp>,
    axes: [Vec<f64>; 9],
    raw: Bytes,
    texts: [ColumnText; 10],
}

impl Recording {
    /// The test event it belongs to.
    #[must_use]
    pub fn id(&self) -> TestEventId {
        self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn patient(&self) -> &PatientId {
        &self.patient
    }

    /// The movement.
    #[must_use]
    pub fn movement(&self) -> &Movement {
        &self.movement
    }

    /// The local day.
    #[must_use]
    pub fn day(&self) -> Day {
        self.day
    }

    /// The clinician's score, 0 to 100, of a training recording.
    #[must_use]
    pub fn clinic_score(&self) -> Option<f64> {
        self.clinic_score
    }

    /// Number of samples, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Never: a recording has at least one sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// One timestamp a sample.
    #[must_use]
    pub fn timestamps(&self) -> &[Timestamp] {
        &self.timestamps
    }

    /// The nine columns, in the order of [`AXES`].
    #[must_use]
    pub fn axes(&self) -> &[Vec<f64>; 9] {
        &self.axes
    }

    /// Seconds of each sample since the first.
    #[must_use]
    pub fn seconds(&self) -> Vec<f64> {
        let first = self.timestamps.first().map_or(0, |t| t.utc_micros);
        #[expect(clippy::cast_precision_loss, reason = "a recording lasts far less than 2^53 microseconds")]
        self.timestamps.iter().map(|t| (t.utc_micros - first) as f64 * 1e-6).collect()
    }

    /// The ten columns as they were written in the document, `ts` first: one iterator a column, one text a sample.
    #[must_use]
    pub fn texts(&self) -> [columns::Tokens<'_>; 10] {
        self.texts.each_ref().map(|text| text.tokens(&self.raw))
    }

    /// The document.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Memory that it holds, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.raw.len() + self.len() * (9 * size_of::<f64>() + size_of::<Timestamp>())
    }
}
