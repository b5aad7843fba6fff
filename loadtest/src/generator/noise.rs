//! Random numbers of the shapes that bodies and sensors have.

use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// A number around `middle`, normally distributed.
pub(super) fn normal(random: &mut StdRng, middle: f64, deviation: f64) -> f64 {
    let unit: f64 = StandardNormal.sample(random);
    middle + deviation * unit
}

/// A slow envelope between about 0 and 2, changing over `seconds`: a first-order low-pass over noise, a value a sample.
pub(super) fn slow_envelope(random: &mut StdRng, times: &[f64], seconds: f64) -> Vec<f64> {
    let mut state = normal(random, 0.0, 1.0);
    let mut last = 0.0;
    times
        .iter()
        .map(|time| {
            let keep = (-(time - last) / seconds).exp();
            last = *time;
            state = keep * state + (1.0 - keep * keep).max(0.0).sqrt() * normal(random, 0.0, 1.0);
            (1.0 + 0.5 * state).clamp(0.0, 2.0)
        })
        .collect()
}
