//! Twelve features of each axis: level, spread and where in frequency the power lies.

use crate::recording::{AXES, Samples};
use crate::signal::SignalPlans;

/// Band edges in Hz: postural sway, trunk movement, steps, their harmonics, impacts, tremor and noise. The last band ends below the
/// Nyquist frequency of the slowest phones (50 Hz), so that a band means the same at every sampling rate.
const EDGES: [f64; 10] = [0.2, 0.5, 0.8, 1.2, 1.8, 2.5, 3.5, 5.0, 8.0, 20.0];
/// Seconds that a Welch segment lasts at least, where the recording does: resolves the lowest band.
const SEGMENT_SECONDS: f64 = 4.0;
/// Added before logarithms. Below sensor noise of every axis, so that a dead axis gives one constant.
const FLOOR: f64 = 1e-6;
/// Mean, log SD, log range and the bands.
const PER_AXIS: usize = 3 + BANDS;
/// Number of bands.
pub(super) const BANDS: usize = EDGES.len() - 1;

pub(super) const FEATURES: usize = PER_AXIS * AXES.len();

pub(super) fn names() -> impl Iterator<Item = String> {
    AXES.into_iter().flat_map(|axis| {
        let levels = ["mean", "log_sd", "log_range"].into_iter().map(move |what| format!("{axis}_{what}"));
        let bands = edges().map(move |(low, high)| format!("{axis}_log_power_{low}_{high}_hz"));
        levels.chain(bands)
    })
}

/// Lower and upper end of each band in Hz.
pub(super) fn edges() -> impl Iterator<Item = (f64, f64)> {
    EDGES.into_iter().zip(EDGES.into_iter().skip(1))
}

/// Appends the features of all axes: means in the unit of the axis, natural logarithms of SD and range in that unit and of band
/// power in its square.
pub(super) fn features(plans: &mut SignalPlans, samples: &Samples<'_>, into: &mut Vec<f64>) {
    let fs = samples.sampling_rate();
    for axis in samples.axes() {
        let n = axis.len() as f64;
        let mean = axis.iter().sum::<f64>() / n;
        let variance = axis.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        let (low, high) = axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        into.extend([mean, (variance + FLOOR).ln() / 2.0, (high - low + FLOOR).ln()]);
        into.extend(bands(plans, axis, fs));
    }
}

/// Natural logarithms of the power of `x` in each band.
pub(super) fn bands(plans: &mut SignalPlans, x: &[f64], fs: f64) -> impl Iterator<Item = f64> {
    // A power of two is several times faster than an odd length, and a little more resolution does no harm.
    let wanted = ((SEGMENT_SECONDS * fs) as usize).next_power_of_two();
    let psd = plans.welch_psd(x, fs, wanted);
    let width = fs / wanted.min(x.len()).max(1) as f64;
    edges().map(move |(low, high)| (band_power(&psd, width, low, high) + FLOOR).ln())
}

/// Power between two frequencies: bin `k` spreads its density evenly over `(k ± ½) · width`, so that a band narrower than a bin
/// still gets its share.
pub(super) fn band_power(psd: &[f64], width: f64, low: f64, high: f64) -> f64 {
    let first = (low / width - 0.5).floor().max(0.0) as usize;
    let mut power = 0.0;
    for (k, density) in psd.iter().enumerate().skip(first) {
        let centre = k as f64 * width;
        let overlap = (centre + width / 2.0).min(high) - (centre - width / 2.0).max(low);
        if overlap <= 0.0 && centre > high {
            break;
        }
        power += density * overlap.max(0.0);
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_share_a_flat_density_by_width() {
        let psd = [1.0; 129];
        assert!((band_power(&psd, 0.39, 0.2, 0.5) - 0.3).abs() < 1e-12);
        assert!((band_power(&psd, 0.39, 8.0, 20.0) - 12.0).abs() < 1e-12);
        assert!((band_power(&psd, 5.0, 0.2, 0.5) - 0.3).abs() < 1e-12);
    }
}
