//! Half the width of a 90 % interval from errors on recordings left out.

/// Share of recordings that an interval is to cover.
pub(crate) const COVERAGE: f64 = 0.9;

/// The ⌈(n + 1) · 0.9⌉-th smallest absolute error: over any n + 1 errors in random order it covers the last in at least that share
/// (Vovk et al. 2005; Lei et al. 2018, "Distribution-free predictive inference for regression"). `None` where n < 9 is too few for it.
pub(crate) fn conformal_quantile(errors: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = ((sorted.len() + 1) as f64 * COVERAGE).ceil() as usize;
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Half width from a patient's own left-out errors alone: the conformal quantile, or what Student's t says of their root mean square,
/// whichever is wider; of too few for the first, no less than the largest. The quantile of ten is their largest and may be small by
/// luck, which their mean square is less.
pub(crate) fn own_half_width(errors: &[f64]) -> f64 {
    let n = errors.len();
    let root = mean_square(errors).sqrt();
    let largest = || errors.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
    conformal_quantile(errors).unwrap_or_else(largest).max(student_t(n.saturating_sub(1).max(1)) * root)
}

/// Mean of squares; 0 of nothing.
pub(crate) fn mean_square(errors: &[f64]) -> f64 {
    errors.iter().map(|e| e * e).sum::<f64>() / errors.len().max(1) as f64
}

/// A patient's error variance, shrunk towards the common one of `weight` recordings.
pub(crate) fn shrunk_variance(errors: &[f64], common: f64, weight: f64) -> f64 {
    let own: f64 = errors.iter().map(|e| e * e).sum();
    (own + weight * common) / (errors.len() as f64 + weight)
}

/// The 95 % quantile of Student's t, so that ± it covers 90 % (`scipy.stats.t.ppf(0.95, degrees)`); of the normal distribution
/// corrected to second order beyond 30 degrees (Cornish and Fisher).
pub(crate) fn student_t(degrees: usize) -> f64 {
    const TABLE: [f64; 30] = [
        6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125, 1.7959, 1.7823, 1.7709, 1.7613,
        1.7531, 1.7459, 1.7396, 1.7341, 1.7291, 1.7247, 1.7207, 1.7171, 1.7139, 1.7109, 1.7081, 1.7056, 1.7033, 1.7011,
        1.6991, 1.6973,
    ];
    match TABLE.get(degrees.saturating_sub(1)) {
        Some(value) => *value,
        None => {
            let (z, n) = (1.644_854_f64, degrees as f64);
            let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
            z + (z.powi(3) + z) / (4.0 * n) + second
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conformal_quantile_takes_the_rank() {
        // ⌈20 · 0.9⌉ = 18th of 19; ⌈10 · 0.9⌉ = 9th of 9; of 8 the ninth would be needed.
        let upto = |n: i32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(conformal_quantile(&upto(19)), Some(18.0));
        assert_eq!(conformal_quantile(&upto(9)), Some(9.0));
        assert_eq!(conformal_quantile(&upto(8)), None);
        assert_eq!(conformal_quantile(&[]), None);
    }

    #[test]
    fn few_errors_give_a_wider_interval_than_their_largest() {
        // Root mean square 2 with three degrees of freedom: 2.3534 · 2.
        assert!((own_half_width(&[2.0, -2.0, 2.0, -2.0]) - 4.7068).abs() < 1e-9);
    }

    #[test]
    fn student_t_is_that_of_scipy() {
        for (degrees, expected) in [(1, 6.3138), (9, 1.8331), (30, 1.6973), (31, 1.6955), (100, 1.6602)] {
            assert!((student_t(degrees) - expected).abs() < 2e-4, "{degrees}: {}", student_t(degrees));
        }
    }

    #[test]
    fn a_variance_is_shrunk_by_the_weight_of_the_common_one() {
        // (4 + 4 + 4 · 1) / (2 + 4) = 2.
        assert!((shrunk_variance(&[2.0, -2.0], 1.0, 4.0) - 2.0).abs() < 1e-12);
    }
}
