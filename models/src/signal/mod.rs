//! Spectra of one axis, equal to SciPy's `stft` and `welch` within rounding.
//!
//! All functions are methods of [`SignalPlans`], which keeps FFT plans, windows and buffers between calls: make one per thread
//! and reuse it for every axis and recording.

mod plans;
mod stft;
mod welch;

pub use plans::SignalPlans;
pub use stft::{EXTREMES, SEGMENT};

#[cfg(test)]
mod golden;
