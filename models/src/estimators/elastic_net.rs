//! Elastic net regression (Zou and Hastie 2005): `‖y − Xw‖² / 2n + penalty · (l1_ratio · |w| + (1 − l1_ratio) / 2 · ‖w‖²)` at its least.
//!
//! Coordinate descent over the products of columns (Friedman, Hastie and Tibshirani 2010, section 2.2) finds which weights are not
//! zero, and of what sign; the least for these is then solved for, rather than crept up to, which takes hundreds of sweeps where
//! columns are alike.

use super::linear::Columns;
use crate::algebra::{add_scaled, solve};

/// Ends when no sweep moves a weight by more than this share of the largest …
const SETTLED: f64 = 1e-9;
/// … or after so many.
const SWEEPS: usize = 500;

/// The weights of standardised columns for a standardised target.
pub(crate) fn elastic_net(x: &Columns, y: &[f64], penalty: f64, l1_ratio: f64) -> Vec<f64> {
    let n = x.rows as f64;
    let mut descent = Descent {
        width: x.len(),
        gram: x.gram(),
        least: n * penalty * l1_ratio,
        ridge: n * penalty * (1.0 - l1_ratio),
        weights: vec![0.0; x.len()],
        rest: x.moments(y),
    };
    for _ in 0..SWEEPS {
        if descent.sweep() <= SETTLED {
            break;
        }
        descent.solve();
    }
    descent.weights
}

struct Descent {
    width: usize,
    gram: Vec<f64>,
    /// The absolute penalty, and the squared one.
    least: f64,
    ridge: f64,
    weights: Vec<f64>,
    /// Each column's product with the residuals.
    rest: Vec<f64>,
}

impl Descent {
    /// Moves each weight to where the objective is least; the largest move, as a share of the largest weight.
    fn sweep(&mut self) -> f64 {
        let (mut moved, mut largest): (f64, f64) = (0.0, 0.0);
        for (j, products) in self.gram.chunks_exact(self.width.max(1)).enumerate() {
            let before = self.weights[j];
            let along = self.rest[j] + products[j] * before;
            let after = (along.abs() - self.least).max(0.0).copysign(along) / (products[j] + self.ridge);
            if after != before {
                add_scaled(&mut self.rest, before - after, products);
                self.weights[j] = after;
            }
            moved = moved.max((after - before).abs());
            largest = largest.max(after.abs());
        }
        if largest > 0.0 { moved / largest } else { 0.0 }
    }

    /// Moves the weights that are not zero to where the objective is least for their signs, or as far as the first that would change
    /// its sign, which then is zero, and so on.
    fn solve(&mut self) {
        let mut live: Vec<usize> = (0..self.width).filter(|j| self.weights[*j] != 0.0).collect();
        while !live.is_empty() {
            let products = |a: &usize, b: &usize| self.gram[a * self.width + b];
            let mut matrix: Vec<f64> = live.iter().flat_map(|a| live.iter().map(move |b| products(a, b))).collect();
            matrix.iter_mut().step_by(live.len() + 1).for_each(|d| *d += self.ridge);
            // How the objective falls with each weight: the step is from here.
            let fall =
                |j: &usize| self.rest[*j] - self.ridge * self.weights[*j] - self.least.copysign(self.weights[*j]);
            let mut step: Vec<f64> = live.iter().map(fall).collect();
            if solve(&mut matrix, &mut step).is_none() {
                return;
            }
            // The share of the step that brings the first weight to zero.
            let to_zero = |(j, step): (&usize, &f64)| -self.weights[*j] / step;
            let shares =
                live.iter().zip(&step).map(to_zero).enumerate().filter(|(_, share)| (0.0..1.0).contains(share));
            let first = shares.min_by(|(_, a), (_, b)| a.total_cmp(b));
            let share = first.map_or(1.0, |(_, share)| share);
            for (place, (j, step)) in live.iter().zip(&step).enumerate() {
                let before = self.weights[*j];
                let after = if first.is_some_and(|(at, _)| at == place) { 0.0 } else { before + share * step };
                self.weights[*j] = after;
                let products = &self.gram[j * self.width..(j + 1) * self.width];
                add_scaled(&mut self.rest, before - after, products);
            }
            let Some((place, _)) = first else { return };
            live.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use linfa::traits::Fit;
    use linfa_elasticnet::ElasticNet;

    use super::super::linear::tests::{close, columns, dataset};
    use super::*;

    #[test]
    fn weights_are_those_of_linfa() {
        for (rows, width, penalty) in
            [(4, 28, 0.2), (9, 5, 0.2), (9, 28, 0.2), (9, 28, 0.02), (40, 28, 0.2), (40, 108, 0.05)]
        {
            let (x, y) = columns(rows, width);
            let params = ElasticNet::params().penalty(penalty).l1_ratio(0.5).tolerance(1e-10).max_iterations(100_000);
            let expected = params.fit(&dataset(&x, &y)).unwrap();
            let found = elastic_net(&x, &y, penalty, 0.5);
            close(&found, expected.hyperplane(), 1e-6);
            assert!(width < 28 || found.contains(&0.0));
        }
    }

    #[test]
    fn a_penalty_beyond_all_covariance_leaves_nothing() {
        let (x, y) = columns(9, 5);
        assert_eq!(elastic_net(&x, &y, 10.0, 0.5), [0.0; 5]);
    }
}
