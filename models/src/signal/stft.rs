//! The largest and smallest values of a power spectrogram, the feature vector of the cloud system's first model.

use super::SignalPlans;

/// Samples in a segment of the spectrogram.
pub const SEGMENT: usize = 512;
/// Samples between the starts of two segments.
const HOP: usize = SEGMENT / 2;
/// How many of the largest, and how many of the smallest, values are kept.
pub const EXTREMES: usize = 50;

impl SignalPlans {
    /// The 50 largest values (descending), then the 50 smallest (ascending), of the power spectrogram of `x`.
    ///
    /// The spectrogram is `|STFT|²` in the squared unit of `x`: periodic Hann window of 512 samples, hop 256, borders padded with
    /// 256 zeros and the end padded to a whole segment, scaled by `1 / (Σ window)²` (`scipy.signal.stft`, scaling `"spectrum"`).
    /// A signal shorter than 512 samples first gets `(512 − n) / 2 + 1` copies of its median on both sides. An empty signal
    /// counts as zeros.
    pub fn spectrogram_extremes(&mut self, x: &[f64]) -> [f64; 2 * EXTREMES] {
        let padded;
        let x = if x.len() < SEGMENT {
            padded = pad_with_median(x);
            padded.as_slice()
        } else {
            x
        };
        let mut powers = std::mem::take(&mut self.powers);
        self.spectrogram(x, &mut powers);
        let extremes = extremes(&mut powers);
        self.powers = powers;
        extremes
    }

    /// Fills `powers` with the spectrogram of `x`, segment after segment. `x` holds at least one segment.
    fn spectrogram(&mut self, x: &[f64], powers: &mut Vec<f64>) {
        powers.clear();
        let plan = self.plan(SEGMENT);
        let sum: f64 = plan.window.iter().sum();
        let scale = 1.0 / (sum * sum);
        // With half a segment of zeros before and after, segments start at -HOP, 0, HOP, … until the last covers the end.
        let segments = x.len().div_ceil(HOP) + 1;
        powers.reserve(segments * (SEGMENT / 2 + 1));
        for segment in 0..segments {
            // The first segment's first half is border.
            let (at, skip) = if segment == 0 { (0, HOP) } else { ((segment - 1) * HOP, 0) };
            let from = x.get(at..).unwrap_or_default();
            plan.input.fill(0.0);
            for (slot, value) in plan.input.iter_mut().skip(skip).zip(from) {
                *slot = *value;
            }
            powers.extend(plan.windowed_powers().map(|power| power * scale));
        }
    }
}

fn pad_with_median(x: &[f64]) -> Vec<f64> {
    let side = (SEGMENT - x.len()) / 2 + 1;
    let median = median(x);
    let mut padded = vec![median; side];
    padded.extend_from_slice(x);
    padded.resize(padded.len() + side, median);
    padded
}

/// Middle value, or the mean of the two middle values; 0 of nothing.
fn median(x: &[f64]) -> f64 {
    let mut sorted = x.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = sorted.get(x.len() / 2).copied().unwrap_or(0.0);
    if x.len() % 2 == 1 {
        return upper;
    }
    let lower = (x.len() / 2).checked_sub(1).and_then(|i| sorted.get(i)).copied().unwrap_or(upper);
    (lower + upper) / 2.0
}

fn extremes(powers: &mut [f64]) -> [f64; 2 * EXTREMES] {
    let mut found = [0.0; 2 * EXTREMES];
    let (largest, smallest) = found.split_at_mut(EXTREMES);
    select_first(powers, largest, |a, b| b.total_cmp(a));
    select_first(powers, smallest, f64::total_cmp);
    found
}

/// Copies the values that come first in `order`, in order. A full sort of the spectrogram would cost several times more.
fn select_first(powers: &mut [f64], into: &mut [f64], order: impl Fn(&f64, &f64) -> std::cmp::Ordering + Copy) {
    if let Some(last) = into.len().checked_sub(1)
        && last < powers.len()
    {
        powers.select_nth_unstable_by(last, order);
    }
    let wanted = into.len().min(powers.len());
    if let Some(first) = powers.get_mut(..wanted) {
        first.sort_unstable_by(order);
        for (slot, value) in into.iter_mut().zip(first.iter()) {
            *slot = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn constant_signal_peaks_at_its_square() {
        // A full segment of a constant c has X_0 = c · Σ window, so the scaled power is c².
        let found = SignalPlans::new().spectrogram_extremes(&[3.0; 2048]);
        assert!((found[0] - 9.0).abs() < 1e-12);
    }

    #[test]
    fn any_length_gives_finite_extremes() {
        let mut plans = SignalPlans::new();
        for n in [0, 1, 2, 255, 256, 257, 511, 512, 513, 768, 769] {
            assert!(plans.spectrogram_extremes(&vec![1.5; n]).iter().all(|v| v.is_finite()), "{n}");
        }
    }
}
