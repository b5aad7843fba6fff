//! The samples of one recording, checked once and borrowed from whoever parsed them.

use thiserror::Error;

/// Axes in the order of every nine-element array of this crate.
pub const AXES: [&str; 9] = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"];

/// Assumed where timestamps say nothing, in Hz: what today's app asks of the phone.
const NOMINAL_RATE: f64 = 100.0;
/// Estimates outside are clamped: no phone samples slower or faster, in Hz.
const RATE_RANGE: (f64, f64) = (1.0, 1000.0);
/// An interval longer than this many mean intervals is a gap, not a sampling interval …
const GAP: f64 = 8.0;
/// … unless it is shorter than this, in seconds: phones deliver samples in batches.
const GAP_SECONDS: f64 = 0.5;

/// Why samples were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SamplesError {
    /// There is no sample.
    #[error("a recording holds at least one sample")]
    Empty,
    /// An axis has another length than the timestamps.
    #[error("{axis} holds {found} values for {expected} timestamps")]
    Length {
        /// Name of the axis.
        axis: &'static str,
        /// Values found.
        found: usize,
        /// Number of timestamps.
        expected: usize,
    },
    /// A value is NaN or infinite.
    #[error("{column}[{index}] is not a finite number")]
    NotFinite {
        /// Name of the axis, or `ts`.
        column: &'static str,
        /// Position in the column.
        index: usize,
    },
}

/// Samples of one recording: nine axes of equal length, at least one sample, all finite.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    seconds: &'a [f64],
    axes: [&'a [f64]; 9],
}

impl<'a> Samples<'a> {
    /// Checks lengths and values. `seconds` since the first sample; `axes` as [`AXES`]: accelerometer in m/s² with gravity,
    /// gyroscope in rad/s, magnetometer in µT. Timestamps may repeat and jitter.
    ///
    /// # Errors
    /// [`SamplesError`] names the first fault.
    pub fn new(seconds: &'a [f64], axes: [&'a [f64]; 9]) -> Result<Self, SamplesError> {
        if seconds.is_empty() {
            return Err(SamplesError::Empty);
        }
        finite("ts", seconds)?;
        for (axis, values) in AXES.into_iter().zip(axes) {
            if values.len() != seconds.len() {
                return Err(SamplesError::Length { axis, found: values.len(), expected: seconds.len() });
            }
            finite(axis, values)?;
        }
        Ok(Self { seconds, axes })
    }

    /// Seconds since the first sample, one a sample.
    #[must_use]
    pub fn seconds(&self) -> &'a [f64] {
        self.seconds
    }

    /// The nine axes in the order of [`AXES`].
    #[must_use]
    pub fn axes(&self) -> [&'a [f64]; 9] {
        self.axes
    }

    /// Number of samples, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Seconds from the first to the last sample, never negative.
    #[must_use]
    pub fn duration(&self) -> f64 {
        match (self.seconds.first(), self.seconds.last()) {
            (Some(first), Some(last)) => (last - first).max(0.0),
            _ => 0.0,
        }
    }

    /// Sampling rate in Hz, within 1 to 1000.
    ///
    /// Intervals divided by the time they span. The mean is right under jitter and under batches of equal timestamps, where a
    /// median is not; intervals longer than eight mean intervals and half a second are gaps and left out. 100 Hz where timestamps do not advance.
    #[must_use]
    pub fn sampling_rate(&self) -> f64 {
        let intervals = self.seconds.len().saturating_sub(1) as f64;
        let longest = (GAP * self.duration() / intervals).max(GAP_SECONDS);
        let (mut count, mut span) = (0.0, 0.0);
        for (a, b) in self.seconds.iter().zip(self.seconds.iter().skip(1)) {
            let interval = b - a;
            if interval <= longest {
                count += 1.0;
                span += interval;
            }
        }
        let rate = count / span;
        if span > 0.0 && rate.is_finite() { rate.clamp(RATE_RANGE.0, RATE_RANGE.1) } else { NOMINAL_RATE }
    }
}

fn finite(column: &'static str, values: &[f64]) -> Result<(), SamplesError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(SamplesError::NotFinite { column, index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(seconds: &[f64]) -> f64 {
        let zeros = vec![0.0; seconds.len()];
        Samples::new(seconds, [&zeros; 9]).unwrap().sampling_rate()
    }

    #[test]
    fn rate_survives_jitter_batches_and_gaps() {
        let even: Vec<f64> = (0..500).map(|i| f64::from(i) / 50.0).collect();
        assert!((rate(&even) - 50.0).abs() < 1e-9);
        let batched: Vec<f64> = (0..500).map(|i| f64::from(i / 10 * 10) / 50.0).collect();
        assert!((rate(&batched) - 50.0).abs() < 1.0, "{}", rate(&batched));
        let gap: Vec<f64> = (0..500).map(|i| f64::from(i) / 50.0 + if i > 250 { 3.0 } else { 0.0 }).collect();
        assert!((rate(&gap) - 50.0).abs() < 0.5);
    }

    #[test]
    fn rate_without_time_is_nominal() {
        assert_eq!(rate(&[0.0]), NOMINAL_RATE);
        assert_eq!(rate(&[0.0, 0.0, 0.0]), NOMINAL_RATE);
        assert_eq!(rate(&[1.0, 0.0]), NOMINAL_RATE);
    }

    #[test]
    fn faults_are_named() {
        let (one, two, bad) = ([0.0], [0.0, 1.0], [0.0, f64::NAN]);
        assert_eq!(Samples::new(&[], [&[]; 9]).unwrap_err(), SamplesError::Empty);
        let mut axes: [&[f64]; 9] = [&two; 9];
        axes[4] = &one;
        assert_eq!(Samples::new(&two, axes).unwrap_err(), SamplesError::Length { axis: "gy", found: 1, expected: 2 });
        axes[4] = &bad;
        assert_eq!(Samples::new(&two, axes).unwrap_err(), SamplesError::NotFinite { column: "gy", index: 1 });
    }
}
