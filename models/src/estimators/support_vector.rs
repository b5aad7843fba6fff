//! Linear support vector regression by sequential minimal optimisation.
//!
//! `½ ‖w‖² + cost · Σ max(0, |yᵢ − w·xᵢ − b| − tube)` at its least (Drucker et al. 1997). In its dual each row has a weight within ± cost,
//! all sum to zero, and `w = Σ weightᵢ xᵢ`; two weights at a time move to where the dual is least, the pair that gains most
//! (Fan, Chen and Lin 2005). linfa-svm does the same in vectors that it makes anew in each step.

use super::linear::Columns;
use crate::algebra::add_scaled;

/// Ends when no pair violates optimality by more than this, in units of the target …
const SETTLED: f64 = 1e-3;
/// … or after so many steps a row.
const STEPS: usize = 10_000;

/// The slopes `w`.
pub(crate) fn support_vector(x: &Columns, y: &[f64], cost: f64, tube: f64) -> Vec<f64> {
    let n = x.rows;
    let gram = x.row_gram();
    let product = |i: usize, j: usize| gram[i * n + j];
    let mut weights = vec![0.0; n];
    // Of half the square: how the dual grows with each weight, but for the tube.
    let mut gradient: Vec<f64> = y.iter().map(|y| -y).collect();
    for _ in 0..STEPS * n {
        // How much it costs to raise a weight, and how much is gained by lowering it.
        let raise = |(weight, gradient): (&f64, &f64)| gradient + if *weight >= 0.0 { tube } else { -tube };
        let lower = |(weight, gradient): (&f64, &f64)| gradient + if *weight > 0.0 { tube } else { -tube };
        let mut up = (f64::INFINITY, 0);
        for (i, pair) in weights.iter().zip(&gradient).enumerate().filter(|(_, (weight, _))| **weight < cost) {
            let price = raise(pair);
            if price < up.0 {
                up = (price, i);
            }
        }
        let (price, i) = up;
        let (mut most, mut down): (f64, _) = (0.0, None);
        let mut violation: f64 = 0.0;
        for (j, pair) in weights.iter().zip(&gradient).enumerate().filter(|(_, (weight, _))| **weight > -cost) {
            let gain = lower(pair) - price;
            violation = violation.max(gain);
            let bend = (product(i, i) + product(j, j) - 2.0 * product(i, j)).max(1e-10);
            if gain > 0.0 && gain * gain > most * bend {
                (most, down) = (gain * gain / bend, Some((j, gain / bend)));
            }
        }
        let Some((j, step)) = down.filter(|_| violation >= SETTLED) else { break };
        // Not beyond the bounds, nor past zero, where the tube's sign changes.
        let room = |weight: f64| if weight < 0.0 { -weight } else { cost - weight };
        let step = step.min(room(weights[i])).min(room(-weights[j]));
        weights[i] += step;
        weights[j] -= step;
        add_scaled(&mut gradient, step, &gram[i * n..(i + 1) * n]);
        add_scaled(&mut gradient, -step, &gram[j * n..(j + 1) * n]);
    }
    x.moments(&weights)
}

#[cfg(test)]
mod tests {
    use linfa::traits::{Fit, Predict};
    use linfa_svm::Svm;
    use ndarray::Array2;

    use super::super::linear::tests::{columns, dataset};
    use super::*;

    #[test]
    fn slopes_are_those_of_linfa() {
        for (rows, width, cost) in [(9, 5, 0.4), (9, 28, 0.07), (60, 5, 0.4), (30, 5, 4.0)] {
            let (x, y) = columns(rows, width);
            let params = Svm::<f64, f64>::params().c_svr(cost, Some(0.1)).eps(1e-6).linear_kernel();
            let fitted = params.fit(&dataset(&x, &y)).unwrap();
            let zero = fitted.predict(&Array2::zeros((1, width)))[0];
            let expected = fitted.predict(&Array2::eye(width)) - zero;
            let found = support_vector(&x, &y, cost, 0.1);
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 2e-3, "{rows} {width} {cost}: {found:?} {expected}");
            }
        }
    }
}
