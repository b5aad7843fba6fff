//! Power spectral density by Welch's method.

use super::SignalPlans;

impl SignalPlans {
    /// One-sided power spectral density of `x` in (unit of `x`)² / Hz, at frequencies `k · fs / nperseg`, `k` in `0..=nperseg / 2`.
    ///
    /// Welch (1967), as `scipy.signal.welch`: periodic Hann window, 50 % overlap, constant detrend, scaling `"density"`. `fs` in Hz;
    /// `nperseg` in samples, lowered to `x.len()` where that is less. An empty signal gives an empty density.
    pub fn welch_psd(&mut self, x: &[f64], fs: f64, nperseg: usize) -> Vec<f64> {
        let nperseg = nperseg.max(1).min(x.len());
        if nperseg == 0 {
            return Vec::new();
        }
        let hop = nperseg - nperseg / 2;
        let plan = self.plan(nperseg);
        let energy: f64 = plan.window.iter().map(|w| w * w).sum();
        let mut psd = vec![0.0; nperseg / 2 + 1];
        let mut segments = 0.0;
        for segment in x.windows(nperseg).step_by(hop) {
            let mean = segment.iter().sum::<f64>() / nperseg as f64;
            for (slot, value) in plan.input.iter_mut().zip(segment) {
                *slot = value - mean;
            }
            for (total, power) in psd.iter_mut().zip(plan.windowed_powers()) {
                *total += power;
            }
            segments += 1.0;
        }
        let scale = 1.0 / (fs * energy * segments);
        let nyquist = if nperseg.is_multiple_of(2) { Some(nperseg / 2) } else { None };
        for (k, value) in psd.iter_mut().enumerate() {
            // Every bin but the two real ones also stands for its negative frequency.
            *value *= if k == 0 || Some(k) == nyquist { scale } else { 2.0 * scale };
        }
        psd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_of_unit_amplitude_holds_half_a_unit_of_power() {
        let fs = 100.0;
        let x: Vec<f64> = (0..4096).map(|i| (std::f64::consts::TAU * 6.25 * f64::from(i) / fs).sin()).collect();
        let psd = SignalPlans::new().welch_psd(&x, fs, 256);
        let power: f64 = psd.iter().sum::<f64>() * fs / 256.0;
        assert!((power - 0.5).abs() < 1e-3, "{power}");
    }

    #[test]
    fn short_signals_shorten_the_segment() {
        let mut plans = SignalPlans::new();
        assert!(plans.welch_psd(&[], 100.0, 256).is_empty());
        assert_eq!(plans.welch_psd(&[5.0], 100.0, 256), [0.0]);
        assert_eq!(plans.welch_psd(&[5.0, 6.0, 7.0], 100.0, 256).len(), 2);
    }
}
