//! Eigenvalues and eigenvectors of a small symmetric matrix: Householder's reduction to tridiagonal form and the implicit QL method
//! (Bowdler, Martin, Reinsch and Wilkinson 1968). linfa-linalg has the same, at several times the cost for tens of rows, where
//! training spends most of its time.

use crate::algebra::{add_scaled, dot};

/// QL steps that one eigenvalue may take; two are usual.
const STEPS: usize = 60;

/// Eigenvalues, in no order, and their eigenvectors of length one.
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    /// One after the other.
    pub(crate) vectors: Vec<f64>,
}

impl Eigen {
    /// Of a symmetric matrix of `n` rows, row after row; `None` where its numbers are not finite.
    pub(crate) fn of(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        debug_assert_eq!(matrix.len(), n * n);
        if n == 0 || matrix.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let (mut diagonal, mut beside, sizes) = tridiagonal(&mut matrix, n);
        let mut vectors = reflections(&matrix, &sizes, n);
        diagonalise(&mut diagonal, &mut beside, &mut vectors, n)?;
        Some(Self { values: diagonal, vectors })
    }
}

/// Diagonal, what is beside it, and of each reflection `I − size · v vᵀ` its size. Its vector is left in the row, right of the diagonal.
fn tridiagonal(matrix: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut diagonal, mut beside, mut sizes) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut image = vec![0.0; n];
    for k in 0..n {
        let (above, below) = matrix.split_at_mut((k + 1) * n);
        let (on, right) = above[k * n + k..].split_at_mut(1);
        diagonal[k] = on[0];
        let Some((first, tail)) = right.split_first_mut() else { break };
        let squares = dot(tail, tail);
        beside[k] = *first;
        if squares <= f64::MIN_POSITIVE {
            continue;
        }
        let length = -(*first * *first + squares).sqrt().copysign(*first);
        beside[k] = length;
        *first -= length;
        let size = 2.0 / (*first * *first + squares);
        sizes[k] = size;
        let (reflected, image) = (&*right, &mut image[..n - k - 1]);
        for (image, row) in image.iter_mut().zip(below.chunks_exact(n)) {
            *image = size * dot(&row[k + 1..], reflected);
        }
        let half = size / 2.0 * dot(image, reflected);
        add_scaled(image, -half, reflected);
        for ((row, v), w) in below.chunks_exact_mut(n).zip(reflected).zip(&*image) {
            for ((slot, other_v), other_w) in row[k + 1..].iter_mut().zip(reflected).zip(&*image) {
                *slot -= v * other_w + w * other_v;
            }
        }
    }
    (diagonal, beside, sizes)
}

/// The product of all reflections, transposed: rows are the basis in which the matrix is tridiagonal.
fn reflections(matrix: &[f64], sizes: &[f64], n: usize) -> Vec<f64> {
    let mut basis = vec![0.0; n * n];
    basis.iter_mut().step_by(n + 1).for_each(|slot| *slot = 1.0);
    for (k, size) in sizes.iter().enumerate().rev().filter(|(_, size)| **size != 0.0) {
        let reflected = &matrix[k * n + k + 1..(k + 1) * n];
        for row in basis[(k + 1) * n..].chunks_exact_mut(n) {
            let row = &mut row[k + 1..];
            let share = size * dot(row, reflected);
            add_scaled(row, -share, reflected);
        }
    }
    basis
}

/// Implicit QL: `vectors`, row by row, turn with the basis.
fn diagonalise(diagonal: &mut [f64], beside: &mut [f64], vectors: &mut [f64], n: usize) -> Option<()> {
    // Smaller than what rounding has left of zero in the reduction.
    let size = diagonal.iter().zip(&*beside).map(|(d, e)| d.abs() + e.abs()).fold(0.0, f64::max);
    let zero = f64::EPSILON * size;
    for low in 0..n {
        for step in 0.. {
            let end = (low..n - 1).find(|m| beside[*m].abs() <= zero).unwrap_or(n - 1);
            if end == low {
                break;
            }
            if step == STEPS {
                return None;
            }
            let guess = (diagonal[low + 1] - diagonal[low]) / (2.0 * beside[low]);
            let root = (guess * guess + 1.0).sqrt().copysign(guess);
            let mut g = diagonal[end] - diagonal[low] + beside[low] / (guess + root);
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (low..end).rev() {
                let (f, b) = (sine * beside[i], cosine * beside[i]);
                let length = (f * f + g * g).sqrt();
                beside[i + 1] = length;
                if length == 0.0 {
                    diagonal[i + 1] -= shift;
                    beside[end] = 0.0;
                    split = true;
                    break;
                }
                (sine, cosine) = (f / length, g / length);
                g = diagonal[i + 1] - shift;
                let r = (diagonal[i] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                diagonal[i + 1] = g + shift;
                g = cosine * r - b;
                let (one, other) = vectors[i * n..(i + 2) * n].split_at_mut(n);
                for (a, b) in one.iter_mut().zip(other) {
                    (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                }
            }
            if !split {
                diagonal[low] -= shift;
                beside[low] = g;
                beside[end] = 0.0;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use linfa_linalg::eigh::{EigSort, Eigh};
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eigenvalues_are_those_of_linfa_and_vectors_span_the_matrix(
            n in 1..24_usize, rank in 1..24_usize, seed in prop::collection::vec(-1.0..1.0_f64, 24 * 24)
        ) {
            let x = Array2::from_shape_fn((n, rank), |(i, j)| seed[i * 24 + j]);
            let matrix = x.dot(&x.t());
            let Eigen { values, vectors } = Eigen::of(matrix.iter().copied().collect(), n).unwrap();
            let vectors = Array2::from_shape_vec((n, n), vectors).unwrap();
            let back = vectors.t().dot(&Array2::from_diag(&Array1::from(values.clone()))).dot(&vectors);
            prop_assert!((&back - &matrix).iter().all(|d| d.abs() < 1e-12 * n as f64));
            let unit = vectors.dot(&vectors.t()) - Array2::<f64>::eye(n);
            prop_assert!(unit.iter().all(|d| d.abs() < 1e-12));
            let (expected, _) = matrix.eigh().unwrap().sort_eig_desc();
            let mut values = values;
            values.sort_unstable_by(|a, b| b.total_cmp(a));
            prop_assert!(values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10));
        }
    }

    #[test]
    fn a_diagonal_matrix_and_one_of_zeros_have_their_own_axes() {
        let found = Eigen::of(vec![3.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0], 3).unwrap();
        assert_eq!(found.values, [3.0, 1.0, 2.0]);
        assert_eq!(Eigen::of(vec![0.0; 16], 4).unwrap().values, [0.0; 4]);
        assert!(Eigen::of(vec![f64::NAN], 1).is_none());
    }
}
