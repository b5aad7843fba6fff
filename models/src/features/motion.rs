//! The recording seen from the ground: acceleration and rotation along and across gravity, and when the person moved.

use std::ops::Range;

use crate::recording::Samples;

/// Seconds of the moving mean that stands for gravity: longer than a step, shorter than standing up.
const GRAVITY_SECONDS: f64 = 1.5;
/// Seconds of the moving mean of squared rotation that tells moving from sitting.
const ENVELOPE_SECONDS: f64 = 0.5;
/// A person moves where the root of the envelope exceeds this share of the root of its 75th percentile.
const ACTIVE_SHARE: f64 = 0.3;

/// Signals that do not depend on how the phone was held, one value a sample.
pub(super) struct Motion {
    /// Acceleration along gravity less gravity, m/s².
    pub(super) vertical: Vec<f64>,
    /// Squared acceleration across gravity, (m/s²)².
    pub(super) horizontal_squared: Vec<f64>,
    /// Rotation about the direction of gravity (turning), rad/s.
    pub(super) yaw: Vec<f64>,
    /// Squared rotation about all axes, (rad/s)².
    pub(super) rotation_squared: Vec<f64>,
    /// Samples between the first and the last movement; never empty.
    pub(super) active: Range<usize>,
}

impl Motion {
    pub(super) fn new(samples: &Samples<'_>, fs: f64) -> Self {
        let [ax, ay, az, gx, gy, gz, ..] = samples.axes();
        let n = samples.len();
        let mut motion = Self {
            vertical: Vec::with_capacity(n),
            horizontal_squared: Vec::with_capacity(n),
            yaw: Vec::with_capacity(n),
            rotation_squared: Vec::with_capacity(n),
            active: 0..n,
        };
        let span = (GRAVITY_SECONDS * fs) as usize;
        let gravity = [moving_mean(ax, span), moving_mean(ay, span), moving_mean(az, span)];
        let acceleration = ax.iter().zip(ay).zip(az);
        let rotation = gx.iter().zip(gy).zip(gz);
        let [x, y, z] = &gravity;
        let down = x.iter().zip(y).zip(z);
        for ((((ax, ay), az), ((gx, gy), gz)), ((x, y), z)) in acceleration.zip(rotation).zip(down) {
            let g = (x * x + y * y + z * z).sqrt().max(1e-6);
            let (dx, dy, dz) = (ax - x, ay - y, az - z);
            let vertical = (dx * x + dy * y + dz * z) / g;
            motion.vertical.push(vertical);
            motion.horizontal_squared.push((dx * dx + dy * dy + dz * dz - vertical * vertical).max(0.0));
            motion.yaw.push((gx * x + gy * y + gz * z) / g);
            motion.rotation_squared.push(gx * gx + gy * gy + gz * gz);
        }
        motion.active = active(&motion.rotation_squared, fs, ACTIVE_SHARE);
        motion
    }
}

/// From the first to the last sample at which the root of the smoothed squares exceeds that share of the root of their 75th percentile.
pub(super) fn active(squares: &[f64], fs: f64, share: f64) -> Range<usize> {
    let envelope = moving_mean(squares, (ENVELOPE_SECONDS * fs) as usize);
    let threshold = share * share * quantile(&envelope, 0.75);
    let first = envelope.iter().position(|v| *v > threshold);
    let last = envelope.iter().rposition(|v| *v > threshold);
    match (first, last) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..envelope.len(),
    }
}

/// Value at a share of the sorted values (nearest below); 0 of nothing.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values = values.to_vec();
    let index = (((values.len() - 1) as f64) * share) as usize;
    let (_, value, _) = values.select_nth_unstable_by(index, f64::total_cmp);
    *value
}

/// Mean over a window of `span` samples centred on each sample, cut off at the ends.
pub(super) fn moving_mean(values: &[f64], span: usize) -> Vec<f64> {
    let half = span / 2;
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for value in values {
        sum += value;
        sums.push(sum);
    }
    let n = values.len();
    let upto = |i: usize| sums.get(i).copied().unwrap_or_default();
    (0..n)
        .map(|i| {
            let (from, to) = (i.saturating_sub(half), (i + half + 1).min(n));
            (upto(to) - upto(from)) / (to - from) as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_mean_is_cut_off_at_the_ends() {
        assert_eq!(moving_mean(&[1.0, 2.0, 6.0, 3.0], 3), [1.5, 3.0, 11.0 / 3.0, 4.5]);
        assert_eq!(moving_mean(&[1.0, 2.0], 0), [1.0, 2.0]);
    }

    #[test]
    fn quantile_takes_the_value_at_the_share() {
        assert_eq!(quantile(&[5.0, 1.0, 3.0, 2.0, 4.0], 0.75), 4.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn activity_starts_and_ends_with_rotation() {
        let rotation: Vec<f64> = (0..1000).map(|i| if (300..700).contains(&i) { 1.0 } else { 0.0 }).collect();
        let range = active(&rotation, 100.0, ACTIVE_SHARE);
        // To half the envelope's window.
        assert!(range.start.abs_diff(300) <= 25 && range.end.abs_diff(700) <= 25, "{range:?}");
    }
}
