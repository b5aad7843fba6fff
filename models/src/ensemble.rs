//! How predictors are averaged: each by how well it predicted what was left out of its fit.

/// Share of the evidence that counts: left-out errors of ten recordings are few and depend on one another, and what is chosen by all
/// of them is too often chosen by luck.
const TRUST: f64 = 0.5;

/// Weights that sum to one. In proportion to `prior · MSE^(−n · TRUST / 2)`, the likelihood of the left-out errors under normal noise
/// whose variance is their own, tempered ("pseudo-BMA", Yao et al. 2018, "Using stacking to average Bayesian predictive
/// distributions"). `left_out`: a slice of as many predictions as `targets` a predictor; `prior`: a positive number each.
pub(crate) fn weights(left_out: &[&[f64]], targets: &[f64], prior: &[f64]) -> Vec<f64> {
    let n = targets.len() as f64;
    let floor = floor(targets);
    from_sums(left_out.iter().map(|predictions| squares(predictions, targets)), prior, n, floor)
}

/// The same weights, found without each group of targets. `groups`: positions.
pub(crate) fn weights_without(
    left_out: &[&[f64]],
    targets: &[f64],
    prior: &[f64],
    groups: &[Vec<usize>],
) -> Vec<Vec<f64>> {
    let floor = floor(targets);
    let sums: Vec<f64> = left_out.iter().map(|predictions| squares(predictions, targets)).collect();
    let without = |group: &Vec<usize>| {
        let of_group = |predictions: &[f64]| -> f64 {
            let square = |i: &usize| Some((predictions.get(*i)? - targets.get(*i)?).powi(2));
            group.iter().filter_map(square).sum()
        };
        let without = sums.iter().zip(left_out).map(|(sum, predictions)| (sum - of_group(predictions)).max(0.0));
        from_sums(without, prior, targets.len().saturating_sub(group.len()).max(1) as f64, floor)
    };
    groups.iter().map(without).collect()
}

/// What the average would have predicted for each target with weights found without its group. `groups`: positions that are left out
/// together, each once.
pub(crate) fn left_out_mixture(left_out: &[&[f64]], targets: &[f64], prior: &[f64], groups: &[Vec<usize>]) -> Vec<f64> {
    let mut mixture = vec![0.0; targets.len()];
    for (group, weights) in groups.iter().zip(weights_without(left_out, targets, prior, groups)) {
        for i in group {
            let parts = weights.iter().zip(left_out).map(|(weight, p)| weight * p.get(*i).copied().unwrap_or(0.0));
            if let Some(slot) = mixture.get_mut(*i) {
                *slot = parts.sum();
            }
        }
    }
    mixture
}

fn squares(predictions: &[f64], targets: &[f64]) -> f64 {
    predictions.iter().zip(targets).map(|(p, t)| (p - t) * (p - t)).sum()
}

/// A thousandth of the targets' variance: no error of ten recordings is known better than that.
fn floor(targets: &[f64]) -> f64 {
    let n = targets.len().max(1) as f64;
    let mean = targets.iter().sum::<f64>() / n;
    targets.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / n * 1e-3 + 1e-9
}

fn from_sums(sums: impl Iterator<Item = f64>, prior: &[f64], n: f64, floor: f64) -> Vec<f64> {
    let logs: Vec<f64> =
        sums.zip(prior).map(|(sum, prior)| prior.ln() - TRUST * n / 2.0 * (sum / n + floor).ln()).collect();
    let best = logs.iter().copied().filter(|log| log.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    let raw: Vec<f64> = logs.iter().map(|log| if log.is_finite() { (log - best).exp() } else { 0.0 }).collect();
    let total: f64 = raw.iter().sum();
    raw.iter().map(|weight| weight / total.max(f64::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_predictor_weighs_more_and_weights_sum_to_one() {
        let targets = [1.0, 2.0, 3.0, 4.0];
        let (good, bad) = ([1.1, 1.9, 3.1, 3.9], [2.5, 2.5, 2.5, 2.5]);
        let found = weights(&[&good, &bad], &targets, &[1.0, 1.0]);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // MSE 0.01 and 1.25 over four targets at half trust: a ratio of about 1 / 112 once the floor is added.
        assert!((found[1] / found[0] - (0.01 + 0.00125) / (1.25 + 0.00125)).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn a_target_has_no_say_in_its_own_prediction() {
        let targets = [0.0, 1.0, 2.0, 30.0];
        // Right about the last only.
        let (lucky, steady) = ([9.0, 9.0, 9.0, 30.0], [0.1, 1.1, 2.1, 2.0]);
        let found = left_out_mixture(&[&lucky, &steady], &targets, &[1.0, 1.0], &[vec![0], vec![1], vec![2], vec![3]]);
        assert!((found[3] - 2.0).abs() < 1.0, "{found:?}");
    }
}
