//! The course of a movement: when it began and ended by several measures, how far the body tilted and turned, how it repeated.
//!
//! None depends on how the phone was held, and none is about one movement: a stand, a walk and a swaying stance all have a beginning,
//! an end, tilts, turns and repetitions. Several measures of one time are kept because each is misled by something else, and their
//! errors partly cancel in a model.

use std::ops::Range;

use super::motion::{Motion, active, moving_mean, quantile};
use crate::recording::Samples;

/// Names in order: times and periods in seconds, tilts in radians, shares and regularity 0 to 1, turns in radians, logarithms of m/s²
/// and of ratios.
pub(super) const NAMES: [&str; 16] = [
    "active_time_acceleration",
    "active_time_low",
    "posture_time",
    "tilt_peak",
    "tilt_mean",
    "moving_share",
    "log_bouts",
    "turned",
    "turn_peak",
    "log_rotation_path",
    "cycle_period",
    "cycle_regularity",
    "log_peak_acceleration",
    "log_tail_acceleration",
    "log_tail_rotation",
    "log_jerk_ratio",
];

/// Seconds over which what is told of a moment is averaged.
const MOMENT_SECONDS: f64 = 0.5;
/// Share of the root of the 75th percentile of the envelope of acceleration from which on a person moves …
const ACCELERATION_SHARE: f64 = 0.2;
/// … and of rotation, lower than that of `active_time`: tells the first stir, and not the first stride.
const LOW_SHARE: f64 = 0.15;
/// As that of `active_time`: what is between movements.
const MOVING_SHARE: f64 = 0.3;
/// A body that is tilted this much against its posture at the beginning, or at the end, has left it, in radians (15°).
const LEFT_POSTURE: f64 = 0.2618;
/// Periods of repetition that are looked for, in seconds: a stride to a slow rise from a chair.
const CYCLE_SECONDS: (f64, f64) = (1.0, 8.0);
/// Seconds over which rotation is averaged before repetitions are looked for, and the rate that this needs, in Hz.
const CYCLE_SMOOTHING: (f64, f64) = (0.25, 12.5);
/// A peak is about as high as another from this share of its height on.
const NEARLY: f64 = 0.9;
/// Added before logarithms, below sensor noise.
const FLOOR: f64 = 1e-6;

/// The sixteen features.
pub(super) fn features(samples: &Samples<'_>, motion: &Motion, fs: f64) -> [f64; NAMES.len()] {
    let moment = (MOMENT_SECONDS * fs) as usize;
    let acceleration: Vec<f64> =
        motion.vertical.iter().zip(&motion.horizontal_squared).map(|(v, h)| v * v + h).collect();
    let rotation = moving_mean(&motion.rotation_squared, moment);
    let time = |range: Range<usize>| range.len() as f64 / fs;
    let (tilt_peak, tilt_mean, away) = tilts(samples, moment);
    let threshold = MOVING_SHARE * MOVING_SHARE * quantile(&rotation, 0.75);
    let moving: Vec<bool> = rotation.iter().map(|v| *v > threshold).collect();
    let bouts = moving.windows(2).filter(|pair| matches!(pair, [false, true])).count()
        + usize::from(moving.first() == Some(&true));
    let yaw = moving_mean(&motion.yaw, moment);
    let turned: f64 = yaw.get(motion.active.clone()).unwrap_or_default().iter().map(|v| v.abs()).sum();
    let path: f64 = motion.rotation_squared.iter().map(|v| v.sqrt()).sum();
    let (cycle_period, cycle_regularity) = cycles(&motion.rotation_squared, &motion.active, fs);
    let energy = mean(&acceleration);
    [
        time(active(&acceleration, fs, ACCELERATION_SHARE)),
        time(active(&motion.rotation_squared, fs, LOW_SHARE)),
        away.map_or(samples.duration(), time),
        tilt_peak,
        tilt_mean,
        moving.iter().filter(|moves| **moves).count() as f64 / moving.len().max(1) as f64,
        ((1 + bouts) as f64).ln(),
        turned / fs,
        yaw.iter().fold(0.0, |peak: f64, v| peak.max(v.abs())),
        (path / fs + FLOOR).ln(),
        cycle_period,
        cycle_regularity,
        (quantile(&acceleration, 0.98) + FLOOR).ln() / 2.0,
        tail(&acceleration),
        tail(&motion.rotation_squared),
        jerk_ratio(samples, energy, motion.active.len(), fs),
    ]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Largest and mean angle against the posture at the beginning, and from when to when the body was away from how it began and from
/// how it ended; `None` where it never left.
fn tilts(samples: &Samples<'_>, moment: usize) -> (f64, f64, Option<Range<usize>>) {
    let [ax, ay, az, ..] = samples.axes();
    let (x, y, z) = (moving_mean(ax, moment), moving_mean(ay, moment), moving_mean(az, moment));
    let down: Vec<[f64; 3]> = x.iter().zip(&y).zip(&z).map(|((x, y), z)| unit([*x, *y, *z])).collect();
    let (Some(first), Some(last)) = (down.first(), down.last()) else { return (0.0, 0.0, None) };
    let from_first: Vec<f64> = down.iter().map(|d| angle(d, first)).collect();
    let begin = from_first.iter().position(|a| *a > LEFT_POSTURE);
    let end = down.iter().rposition(|d| angle(d, last) > LEFT_POSTURE);
    let away = match (begin, end) {
        (Some(begin), Some(end)) if begin < end => Some(begin..end),
        _ => None,
    };
    (from_first.iter().copied().fold(0.0, f64::max), mean(&from_first), away)
}

fn unit([x, y, z]: [f64; 3]) -> [f64; 3] {
    let length = (x * x + y * y + z * z).sqrt().max(1e-6);
    [x / length, y / length, z / length]
}

fn angle([a, b, c]: &[f64; 3], [x, y, z]: &[f64; 3]) -> f64 {
    (a * x + b * y + c * z).clamp(-1.0, 1.0).acos()
}

/// Logarithm of the mean square over the squared mean of squared values: how much of the energy is in few peaks.
fn tail(squares: &[f64]) -> f64 {
    let of_squares = squares.iter().map(|v| v * v).sum::<f64>() / squares.len().max(1) as f64;
    let mean = mean(squares);
    if mean < FLOOR { 0.0 } else { (of_squares / (mean * mean)).max(FLOOR).ln() }
}

/// Period in seconds and regularity of repetition: lag and height of the first about highest peak of the autocorrelation of how fast the body
/// rotates, between 1 and 8 s and at most half the active part; zeros where there is none.
fn cycles(rotation_squared: &[f64], active: &Range<usize>, fs: f64) -> (f64, f64) {
    let smooth = moving_mean(rotation_squared, (CYCLE_SMOOTHING.0 * fs) as usize);
    // A moving mean needs no more values than this; lags cost their square.
    let step = ((fs / CYCLE_SMOOTHING.1) as usize).max(1);
    let speed: Vec<f64> =
        smooth.get(active.clone()).unwrap_or_default().iter().step_by(step).map(|v| v.max(0.0).sqrt()).collect();
    let (rate, level) = (fs / step as f64, mean(&speed));
    let speed: Vec<f64> = speed.iter().map(|v| v - level).collect();
    let power = speed.iter().map(|v| v * v).sum::<f64>() / speed.len().max(1) as f64;
    let first = (CYCLE_SECONDS.0 * rate).ceil() as usize;
    let last = ((CYCLE_SECONDS.1 * rate) as usize).min(speed.len() / 2);
    if power < FLOOR || last <= first + 1 {
        return (0.0, 0.0);
    }
    let height = |lag: usize| {
        let later = speed.get(lag..).unwrap_or_default();
        later.iter().zip(&speed).map(|(a, b)| a * b).sum::<f64>() / (later.len().max(1) as f64 * power)
    };
    let heights: Vec<f64> = (first..=last).map(height).collect();
    let peaks = heights.windows(3).zip(first + 1..).filter_map(|(window, lag)| match window {
        [before, peak, after] if peak >= before && peak > after => Some((lag, *peak)),
        _ => None,
    });
    let peaks: Vec<(usize, f64)> = peaks.collect();
    let highest = peaks.iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
    // Twice a period is a period, too: the first that is about as high is the one.
    let first = peaks.iter().find(|(_, peak)| *peak > 0.0 && *peak >= NEARLY * highest);
    first.map_or((0.0, 0.0), |(lag, peak)| (*lag as f64 / rate, peak.clamp(0.0, 1.0)))
}

/// Logarithm of RMS jerk times active time over RMS acceleration: a smooth movement of the same size and time has less.
fn jerk_ratio(samples: &Samples<'_>, energy: f64, active: usize, fs: f64) -> f64 {
    let [ax, ay, az, ..] = samples.axes();
    let changes = |axis: &[f64]| axis.iter().zip(axis.iter().skip(1)).map(|(a, b)| (b - a) * (b - a)).sum::<f64>();
    let jerk = (changes(ax) + changes(ay) + changes(az)) * fs * fs / samples.len().saturating_sub(1).max(1) as f64;
    (jerk.sqrt() * active as f64 / fs / (energy.sqrt() + FLOOR) + FLOOR).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FS: f64 = 100.0;

    /// Sits for 2 s, leans and rises four times at 3 s a time while turning, sits for 2 s.
    fn rises() -> (Vec<f64>, [Vec<f64>; 9]) {
        let n = 1600;
        let seconds: Vec<f64> = (0..n).map(|i| f64::from(i) / FS).collect();
        let lean = |t: f64| {
            if (2.0..14.0).contains(&t) { 0.5 * (1.0 - (std::f64::consts::TAU * (t - 2.0) / 3.0).cos()) } else { 0.0 }
        };
        let speed = |t: f64| (lean(t + 0.005) - lean(t - 0.005)) / 0.01;
        let of = |f: &dyn Fn(f64) -> f64| seconds.iter().map(|t| f(*t)).collect::<Vec<f64>>();
        let zeros = vec![0.0; n as usize];
        let axes = [
            of(&|t| 9.81 * lean(t).sin()),
            zeros.clone(),
            of(&|t| 9.81 * lean(t).cos()),
            zeros.clone(),
            of(&speed),
            zeros.clone(),
            zeros.clone(),
            zeros.clone(),
            zeros,
        ];
        (seconds, axes)
    }

    fn feature(name: &str) -> f64 {
        let (seconds, axes) = rises();
        let samples = Samples::new(&seconds, std::array::from_fn(|i| axes[i].as_slice())).unwrap();
        let at = NAMES.iter().position(|n| *n == name).unwrap();
        features(&samples, &Motion::new(&samples, FS), FS)[at]
    }

    #[test]
    fn times_are_those_of_the_movement() {
        for name in ["active_time_low", "active_time_acceleration"] {
            assert!((feature(name) - 12.0).abs() < 0.8, "{name}: {}", feature(name));
        }
        // Left 15° behind after 0.5 s, and came back to it as late before the end.
        assert!((feature("posture_time") - 11.0).abs() < 0.5, "{}", feature("posture_time"));
    }

    #[test]
    fn tilts_and_cycles_are_found() {
        assert!((feature("tilt_peak") - 1.0).abs() < 0.05, "{}", feature("tilt_peak"));
        // Going and coming rotate alike: half of three seconds.
        assert!((feature("cycle_period") - 1.5).abs() < 0.1, "{}", feature("cycle_period"));
        assert!(feature("cycle_regularity") > 0.8);
    }
}
