//! Centred kernel matrices as their eigenvalues and eigenvectors, which know nothing of targets: one decomposition serves every
//! noise of the grid, the score and what a prior leaves of it.

use super::eigen::Eigen;
use super::linear::Columns;
use crate::algebra::{dot, symmetric};

/// Smaller eigenvalues, over the number of rows, are rounding, or the direction of the intercept, where a centred kernel has nothing.
const LEAST: f64 = 1e-10;

/// The part of a kernel matrix that is not zero.
pub(crate) struct Spectrum {
    /// Eigenvalues, largest first.
    pub(crate) values: Vec<f64>,
    /// Their eigenvectors, one after the other; as long as there are rows.
    pub(crate) vectors: Vec<f64>,
}

impl Spectrum {
    /// Of inner products of rows over the number of columns; columns have mean zero.
    pub(crate) fn linear(x: &Columns) -> Option<Self> {
        let (n, p) = (x.rows, x.len());
        let scaled = |mut gram: Vec<f64>| {
            gram.iter_mut().for_each(|v| *v /= p.max(1) as f64);
            gram
        };
        if p >= n {
            return Some(Self::sorted(Eigen::of(scaled(x.row_gram()), n)?, n, n));
        }
        // Fewer columns than rows: the same eigenvalues, and the rows along each direction are the eigenvectors.
        let Self { values, vectors } = Self::sorted(Eigen::of(scaled(x.gram()), p)?, p, n);
        let along = |(direction, value): (&[f64], &f64)| {
            let mut rows = x.combined(direction);
            let length = (value * p as f64).sqrt();
            rows.iter_mut().for_each(|v| *v /= length);
            rows
        };
        let vectors = vectors.chunks_exact(p.max(1)).zip(&values).flat_map(along).collect();
        Some(Self { values, vectors })
    }

    /// Of any kernel matrix, once it is centred.
    fn centred(mut kernel: Vec<f64>, means: &[f64]) -> Option<Self> {
        let n = means.len();
        let mean = means.iter().sum::<f64>() / n as f64;
        for (row, of_row) in kernel.chunks_exact_mut(n).zip(means) {
            for (value, of_column) in row.iter_mut().zip(means) {
                *value = *value - of_row - of_column + mean;
            }
        }
        Some(Self::sorted(Eigen::of(kernel, n)?, n, n))
    }

    fn sorted(Eigen { values, vectors }: Eigen, length: usize, rows: usize) -> Self {
        let mut order: Vec<(f64, &[f64])> = values.into_iter().zip(vectors.chunks_exact(length.max(1))).collect();
        order.retain(|(value, _)| *value > LEAST * rows as f64);
        order.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Self {
            values: order.iter().map(|(value, _)| *value).collect(),
            vectors: order.iter().flat_map(|(_, vector)| *vector).copied().collect(),
        }
    }
}

/// Squared-exponential kernels of several length scales over the same rows.
pub(crate) struct Smooth {
    /// Of each length scale, and the mean of each column of its kernel matrix.
    kernels: Vec<(Spectrum, Vec<f64>)>,
}

impl Smooth {
    /// `rows`: one after the other, of so many columns.
    pub(crate) fn of(rows: &[f64], columns: usize, scales: &[f64]) -> Option<Self> {
        let rows: Vec<&[f64]> = rows.chunks_exact(columns.max(1)).collect();
        let n = rows.len();
        let of = |i: usize| rows.get(i).copied().unwrap_or_default();
        let squares = symmetric(n, |i, j| of(i).iter().zip(of(j)).map(|(a, b)| (a - b) * (a - b)).sum());
        let kernel = |scale: &f64| {
            let at =
                |i: usize, j: usize| squares.get(i * n + j).map_or(0.0, |s| squared_exponential(*s, columns, *scale));
            let kernel = symmetric(n, at);
            let means: Vec<f64> = kernel.chunks_exact(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
            Some((Spectrum::centred(kernel, &means)?, means))
        };
        Some(Self { kernels: scales.iter().map(kernel).collect::<Option<_>>()? })
    }

    pub(crate) fn spectra(&self) -> Vec<&Spectrum> {
        self.kernels.iter().map(|(spectrum, _)| spectrum).collect()
    }

    /// What centring takes from a prediction: weights sum to zero, so that a constant is left.
    pub(crate) fn centre(&self, weights: &[Vec<f64>]) -> f64 {
        self.kernels.iter().zip(weights).map(|((_, means), weights)| dot(means, weights)).sum()
    }
}

/// `exp(−d² / 2 scale²)`, with `d²` the mean over columns of squared differences that sum to `square`.
pub(crate) fn squared_exponential(square: f64, columns: usize, scale: f64) -> f64 {
    (-square / columns.max(1) as f64 / (2.0 * scale * scale)).exp()
}
