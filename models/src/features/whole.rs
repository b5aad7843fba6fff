//! Twelve features of the movement as a whole, independent of how the phone was held.

use std::ops::Range;

use super::motion::{Motion, quantile};
use crate::recording::Samples;
use crate::signal::SignalPlans;

/// Names in order: times in seconds, RMS and peaks as natural logarithms of m/s², rad/s and m/s³, regularity and entropies 0 to 1.
pub(super) const NAMES: [&str; 12] = [
    "duration",
    "active_time",
    "log_rms_vertical_acceleration",
    "log_rms_horizontal_acceleration",
    "log_rms_yaw",
    "log_rms_rotation",
    "log_rms_jerk",
    "step_period",
    "step_regularity",
    "spectral_entropy_vertical",
    "spectral_entropy_yaw",
    "log_peak_rotation",
];

/// Added to mean squares before logarithms, below sensor noise.
const FLOOR: f64 = 1e-6;
/// Time between steps that is looked for, in seconds: from running to a slow shuffle.
const STEP_SECONDS: (f64, f64) = (0.3, 0.9);
/// Given where no step period can be found.
const NO_STEP_PERIOD: f64 = 0.6;
/// Frequencies whose powers make the spectral entropy, in Hz.
const ENTROPY_HZ: (f64, f64) = (0.2, 10.0);

/// The twelve features; those after `duration` are about the active part of the recording.
pub(super) fn features(plans: &mut SignalPlans, samples: &Samples<'_>, motion: &Motion, fs: f64) -> [f64; NAMES.len()] {
    let active = motion.active.clone();
    let vertical = part(&motion.vertical, &active);
    let yaw = part(&motion.yaw, &active);
    let rotation = part(&motion.rotation_squared, &active);
    let (step_period, step_regularity) = steps(vertical, fs);
    [
        samples.duration(),
        active.len() as f64 / fs,
        log_root(mean_square(vertical)),
        log_root(mean(part(&motion.horizontal_squared, &active))),
        log_root(mean_square(yaw)),
        log_root(mean(rotation)),
        log_root(jerk_mean_square(samples, &active, fs)),
        step_period,
        step_regularity,
        entropy(plans, vertical, fs),
        entropy(plans, yaw, fs),
        log_root(quantile(rotation, 0.98)),
    ]
}

fn part<'a>(values: &'a [f64], range: &Range<usize>) -> &'a [f64] {
    values.get(range.clone()).unwrap_or(values)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn mean_square(values: &[f64]) -> f64 {
    dot(values, values) / values.len().max(1) as f64
}

fn log_root(square: f64) -> f64 {
    (square + FLOOR).ln() / 2.0
}

/// Mean squared change of the acceleration vector a second, (m/s³)².
fn jerk_mean_square(samples: &Samples<'_>, active: &Range<usize>, fs: f64) -> f64 {
    let [ax, ay, az, ..] = samples.axes();
    let mut sum = 0.0;
    for axis in [ax, ay, az] {
        let axis = part(axis, active);
        sum += axis.iter().zip(axis.iter().skip(1)).map(|(a, b)| (b - a) * (b - a)).sum::<f64>();
    }
    sum * fs * fs / active.len().saturating_sub(1).max(1) as f64
}

/// Step period in seconds and its regularity, from the unbiased autocorrelation `r` of vertical acceleration (Moe-Nilssen and
/// Helbostad 2004, "Estimation of gait cycle characteristics by trunk accelerometry"): lag and height of the highest peak of
/// `(r(lag) + r(2 lag)) / 2` between 0.3 and 0.9 s. A phone on one leg sees strides better than steps; adding the correlation two
/// steps later keeps the period from jumping between the two.
fn steps(vertical: &[f64], fs: f64) -> (f64, f64) {
    let power = mean_square(vertical);
    let (first, last) = (((STEP_SECONDS.0 * fs).ceil() as usize).max(1), (STEP_SECONDS.1 * fs) as usize);
    if power < FLOOR || vertical.len() < 3 * last {
        return (NO_STEP_PERIOD, 0.0);
    }
    let correlation = |lag: usize| {
        let later = vertical.get(lag..).unwrap_or_default();
        dot(later, vertical) / (later.len().max(1) as f64 * power)
    };
    let heights: Vec<f64> = (first..=last).map(|lag| (correlation(lag) + correlation(2 * lag)) / 2.0).collect();
    let peaks = heights.windows(3).zip(first + 1..).filter_map(|(window, lag)| match window {
        [before, peak, after] if peak >= before && peak > after => Some((lag, *peak)),
        _ => None,
    });
    match peaks.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((lag, height)) => (lag as f64 / fs, height.clamp(0.0, 1.0)),
        None => (NO_STEP_PERIOD, 0.0),
    }
}

/// Shannon entropy of the power spectrum between 0.2 and 10 Hz over its maximum, 0 (one frequency) to 1 (flat); 0 where nothing moves.
fn entropy(plans: &mut SignalPlans, x: &[f64], fs: f64) -> f64 {
    let wanted = ((2.5 * fs) as usize).next_power_of_two();
    let psd = plans.welch_psd(x, fs, wanted);
    let width = fs / wanted.min(x.len()).max(1) as f64;
    let inside = |k: usize| (ENTROPY_HZ.0..=ENTROPY_HZ.1).contains(&(k as f64 * width));
    let powers: Vec<f64> = psd.iter().enumerate().filter(|(k, _)| inside(*k)).map(|(_, p)| *p).collect();
    let total: f64 = powers.iter().sum();
    if powers.len() < 2 || total * width < FLOOR {
        return 0.0;
    }
    let sum: f64 = powers.iter().map(|p| p / total).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
    sum / (powers.len() as f64).ln()
}

/// Inner product of the common length, in eight independent sums that the compiler can keep in vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (a.get(..n).unwrap_or_default(), b.get(..n).unwrap_or_default());
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_regular_walk_are_found() {
        let fs = 100.0;
        let walk: Vec<f64> = (0..1000).map(|i| (std::f64::consts::TAU * f64::from(i) / fs / 0.55).sin()).collect();
        let (period, regularity) = steps(&walk, fs);
        assert!((period - 0.55).abs() < 0.011, "{period}");
        assert!(regularity > 0.95);
        assert_eq!(steps(&[0.0; 1000], fs), (NO_STEP_PERIOD, 0.0));
    }

    #[test]
    fn strides_are_not_taken_for_steps() {
        // One leg is felt three times as much as the other.
        let fs = 100.0;
        let walk: Vec<f64> = (0..1000)
            .map(|i| {
                let t = std::f64::consts::TAU * f64::from(i) / fs / 1.1;
                t.sin() + 0.5 * (2.0 * t).sin()
            })
            .collect();
        let (period, _) = steps(&walk, fs);
        assert!((period - 0.55).abs() < 0.06, "{period}");
    }

    #[test]
    fn entropy_tells_a_tone_from_noise() {
        let mut plans = SignalPlans::new();
        let tone: Vec<f64> = (0..2000).map(|i| (f64::from(i) * 0.2).sin()).collect();
        let mut state = 1_u64;
        let noise: Vec<f64> = (0..2000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f64 / f64::from(1 << 24) - 0.5
            })
            .collect();
        assert!(entropy(&mut plans, &tone, 100.0) < 0.5);
        assert!(entropy(&mut plans, &noise, 100.0) > 0.9);
    }

    #[test]
    fn dot_handles_any_length() {
        let x: Vec<f64> = (0..19).map(f64::from).collect();
        assert_eq!(dot(&x, &x), 2109.0);
    }
}
