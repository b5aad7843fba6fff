//! What can be said of a recording's quality from its samples alone.

use super::{AXES, Recording};

/// The quality report of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Number of samples.
    pub samples: usize,
    /// From the first to the last timestamp, seconds; never negative.
    pub duration_seconds: f64,
    /// Intervals by duration, hertz; `None` where no time passes.
    pub effective_rate_hz: Option<f64>,
    /// Intervals over three times the median one.
    pub gaps: usize,
    /// The longest interval, seconds.
    pub longest_gap_seconds: f64,
    /// Standard deviation of the intervals, seconds.
    pub jitter_seconds: f64,
    /// Timestamps that are not later than the one before.
    pub non_monotonic: usize,
    /// Axes on which every sample is the same.
    pub constant_axes: Vec<&'static str>,
    /// Lowest and highest value of each axis.
    pub ranges: [(f64, f64); 9],
}

/// Assesses a recording.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of one recording are far below 2^53")]
pub fn assess(recording: &Recording) -> Quality {
    let times = recording.timestamps();
    let intervals = intervals(recording);
    let non_monotonic = intervals.iter().filter(|interval| **interval <= 0).count();
    let span = match (times.first(), times.last()) {
        (Some(first), Some(last)) => (last.utc_micros - first.utc_micros).max(0),
        _ => 0,
    };
    let count = intervals.len() as f64;
    let mean = intervals.iter().sum::<i64>() as f64 / count.max(1.0);
    let variance = intervals.iter().map(|interval| (*interval as f64 - mean).powi(2)).sum::<f64>() / count.max(1.0);
    let ranges = recording.axes().each_ref().map(|axis| range(axis));
    Quality {
        samples: recording.len(),
        duration_seconds: span as f64 * 1e-6,
        effective_rate_hz: (span > 0).then(|| count / (span as f64 * 1e-6)),
        gaps: gaps(recording).into_iter().filter(|gap| *gap).count(),
        longest_gap_seconds: intervals.iter().copied().max().unwrap_or(0).max(0) as f64 * 1e-6,
        jitter_seconds: variance.sqrt() * 1e-6,
        non_monotonic,
        #[expect(clippy::float_cmp, reason = "constant means the very same value")]
        constant_axes: AXES
            .into_iter()
            .zip(ranges)
            .filter(|(_, (low, high))| low == high)
            .map(|(axis, _)| axis)
            .collect(),
        ranges,
    }
}

/// Of each interval between two samples, whether it is a gap: over three times the median one.
#[must_use]
pub fn gaps(recording: &Recording) -> Vec<bool> {
    let intervals = intervals(recording);
    let mut sorted = intervals.clone();
    let middle = sorted.len() / 2;
    let median = if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 };
    intervals.into_iter().map(|interval| median > 0 && interval > 3 * median).collect()
}

/// Microseconds between each sample and the one before.
fn intervals(recording: &Recording) -> Vec<i64> {
    let pairs = recording.timestamps().windows(2);
    pairs.filter_map(|pair| Some(pair.last()?.utc_micros - pair.first()?.utc_micros)).collect()
}

fn range(axis: &[f64]) -> (f64, f64) {
    axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}
