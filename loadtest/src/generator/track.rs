//! One coordinate of the movement over time: a sum of smooth moves.

/// Value, first and second derivative by the second, at every sample.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) value: Vec<f64>,
    pub(super) rate: Vec<f64>,
    pub(super) acceleration: Vec<f64>,
}

/// A change by `size` that begins at `start` and takes `duration`, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) start: f64,
    pub(super) duration: f64,
    pub(super) size: f64,
}

impl Track {
    /// Rests at `value`.
    pub(super) fn resting(samples: usize, value: f64) -> Self {
        Self { value: vec![value; samples], rate: vec![0.0; samples], acceleration: vec![0.0; samples] }
    }

    /// Adds a move of minimum jerk, 10τ³ − 15τ⁴ + 6τ⁵ (Flash and Hogan, 1985): how an unhindered limb goes from rest to
    /// rest. `times` ascend.
    pub(super) fn add(&mut self, times: &[f64], Move { start, duration, size }: Move) {
        let first = times.partition_point(|time| *time < start);
        for (sample, time) in times.iter().enumerate().skip(first) {
            let tau = ((time - start) / duration).min(1.0);
            let (square, cube) = (tau * tau, tau * tau * tau);
            if let Some(value) = self.value.get_mut(sample) {
                *value += size * cube * (10.0 - 15.0 * tau + 6.0 * square);
            }
            if tau < 1.0 {
                if let Some(rate) = self.rate.get_mut(sample) {
                    *rate += size / duration * square * (30.0 - 60.0 * tau + 30.0 * square);
                }
                if let Some(acceleration) = self.acceleration.get_mut(sample) {
                    *acceleration += size / (duration * duration) * tau * (60.0 - 180.0 * tau + 120.0 * square);
                }
            }
        }
    }

    /// Adds `size·sin(2π·frequency·t + phase)`, swelling with `envelope` where there is one (taken as slow: its own
    /// derivatives are left out).
    pub(super) fn add_wave(&mut self, times: &[f64], frequency: f64, phase: f64, size: f64, envelope: Option<&[f64]>) {
        let omega = std::f64::consts::TAU * frequency;
        let rows = self.value.iter_mut().zip(&mut self.rate).zip(&mut self.acceleration).zip(times).enumerate();
        for (sample, (((value, rate), acceleration), time)) in rows {
            let size = size * envelope.and_then(|envelope| envelope.get(sample)).copied().unwrap_or(1.0);
            let (sine, cosine) = (omega * time + phase).sin_cos();
            *value += size * sine;
            *rate += size * omega * cosine;
            *acceleration -= size * omega * omega * sine;
        }
    }
}
