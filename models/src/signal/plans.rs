//! FFT plans, windows and buffers that are kept between calls.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// How many segment lengths are kept planned; beyond it the plans are made anew, so that odd lengths cannot pile up.
const MAX_PLANS: usize = 16;

/// FFT plans, Hann windows and scratch memory, reused across axes and recordings. Not shared between threads.
pub struct SignalPlans {
    planner: RealFftPlanner<f64>,
    plans: HashMap<usize, Plan>,
    /// Spectrogram powers of the axis at work, kept to save its allocation.
    pub(super) powers: Vec<f64>,
}

impl Default for SignalPlans {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SignalPlans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignalPlans").field("planned", &self.plans.len()).finish_non_exhaustive()
    }
}

impl SignalPlans {
    /// An empty workspace; plans are made when a segment length is first seen.
    #[must_use]
    pub fn new() -> Self {
        Self { planner: RealFftPlanner::new(), plans: HashMap::new(), powers: Vec::new() }
    }

    /// The plan for segments of `length` samples (at least 1).
    pub(super) fn plan(&mut self, length: usize) -> &mut Plan {
        let length = length.max(1);
        if self.plans.len() >= MAX_PLANS && !self.plans.contains_key(&length) {
            self.plans.clear();
            self.planner = RealFftPlanner::new();
        }
        let planner = &mut self.planner;
        self.plans.entry(length).or_insert_with(|| Plan::new(planner, length))
    }
}

/// One segment length: its FFT, periodic Hann window and buffers.
pub(super) struct Plan {
    fft: Arc<dyn RealToComplex<f64>>,
    pub(super) window: Vec<f64>,
    pub(super) input: Vec<f64>,
    output: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

impl Plan {
    fn new(planner: &mut RealFftPlanner<f64>, length: usize) -> Self {
        let fft = planner.plan_fft_forward(length);
        Self {
            window: hann(length),
            input: fft.make_input_vec(),
            output: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// Multiplies `input` by the window, transforms it and gives `|X_k|²` for `k` in `0..=length / 2`.
    pub(super) fn windowed_powers(&mut self) -> impl Iterator<Item = f64> + '_ {
        for (value, weight) in self.input.iter_mut().zip(&self.window) {
            *value *= weight;
        }
        let done = self.fft.process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch);
        debug_assert!(done.is_ok(), "buffers come from the plan itself, so their lengths agree");
        self.output.iter().map(Complex::norm_sqr)
    }
}

/// Periodic Hann window, as `scipy.signal.get_window("hann", length)`: `0.5 − 0.5 cos(2πi / length)`.
fn hann(length: usize) -> Vec<f64> {
    if length == 1 {
        return vec![1.0];
    }
    (0..length).map(|i| 0.5 - 0.5 * (TAU * i as f64 / length as f64).cos()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hann_is_periodic() {
        // cos(0), cos(π/2), cos(π), cos(3π/2): the fifth point would be zero again.
        let expected = [0.0, 0.5, 1.0, 0.5];
        for (got, want) in hann(4).iter().zip(expected) {
            assert!((got - want).abs() < 1e-15);
        }
        assert_eq!(hann(1), [1.0]);
    }

    #[test]
    fn plans_do_not_pile_up() {
        let mut plans = SignalPlans::new();
        for length in 1..100 {
            plans.plan(length);
        }
        assert!(plans.plans.len() <= MAX_PLANS);
    }
}
