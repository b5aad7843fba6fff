//! Sums over slices, and the solution of symmetric positive definite systems: what fits of tens of rows spend their time on.

/// Strands in which sums are kept: a processor adds them at once, and their order is the same everywhere.
const STRANDS: usize = 8;

/// Sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (whole, others) = (a.chunks_exact(STRANDS), b.chunks_exact(STRANDS));
    let rest: f64 = whole.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; STRANDS];
    for (a, b) in whole.zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h)) + rest
}

/// Adds `share` times `other`.
pub(crate) fn add_scaled(to: &mut [f64], share: f64, other: &[f64]) {
    for (to, other) in to.iter_mut().zip(other) {
        *to += share * other;
    }
}

/// A symmetric matrix, row after row.
pub(crate) fn symmetric(n: usize, of: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value = of(i, j);
            matrix[i * n + j] = value;
            matrix[j * n + i] = value;
        }
    }
    matrix
}

/// Solves `matrix · x = right` in place by Cholesky's factorisation; `matrix` is symmetric, row after row, and lost. `None` where it
/// is not positive definite.
pub(crate) fn solve(matrix: &mut [f64], right: &mut [f64]) -> Option<()> {
    let n = right.len();
    debug_assert_eq!(matrix.len(), n * n);
    for i in 0..n {
        let (above, below) = matrix.split_at_mut(i * n);
        let row = &mut below[..n];
        for (j, of_row) in above.chunks_exact(n).enumerate() {
            row[j] = (row[j] - dot(&row[..j], &of_row[..j])) / of_row[j];
        }
        let square = row[i] - dot(&row[..i], &row[..i]);
        // Not so of NaN either.
        if square.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
            return None;
        }
        row[i] = square.sqrt();
        right[i] = (right[i] - dot(&row[..i], &right[..i])) / row[i];
    }
    for (i, row) in matrix.chunks_exact(n.max(1)).enumerate().rev() {
        right[i] /= row[i];
        let known = right[i];
        add_scaled(&mut right[..i], -known, &row[..i]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_and_one_that_is_not_positive_is_refused() {
        // x = (1, 2, 3): 4 + 2 + 3, 1 + 10 + 6, 1 + 4 + 18.
        let (mut matrix, mut right) = (vec![4.0, 1.0, 1.0, 1.0, 5.0, 2.0, 1.0, 2.0, 6.0], vec![9.0, 17.0, 23.0]);
        solve(&mut matrix, &mut right).unwrap();
        assert!(right.iter().zip([1.0, 2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{right:?}");
        assert_eq!(solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]), None);
        assert_eq!(solve(&mut [f64::NAN], &mut [1.0]), None);
        assert_eq!(solve(&mut [], &mut []), Some(()));
    }

    #[test]
    fn products_of_any_length_are_summed() {
        for n in 0..20 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let expected: i32 = (0..n).map(|i| i * i).sum();
            assert_eq!(dot(&a, &a), f64::from(expected));
        }
    }
}
