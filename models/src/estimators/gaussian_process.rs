//! Gaussian process regression with few hyper-parameters, averaged over a fixed grid rather than maximised: ten recordings cannot
//! tell a length scale from a noise, but they can say which of either are implausible.
//!
//! `y = b + f(x) + e`: an intercept, a function with a centred kernel, independent noise. The kernel matrix is centred, so that its
//! eigenvectors are orthogonal to the intercept, and one eigendecomposition a kernel gives every noise of the grid and all left-out
//! predictions in closed form (Rasmussen and Williams 2006, sections 2.2 and 5.4.2; Sundararajan and Keerthi 2001).

use linfa::ParamGuard;
use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, ArrayBase, Axis, Data, Ix2};
use thiserror::Error;

use super::linear::Columns;
use super::spectrum::{Smooth, Spectrum, squared_exponential};
use crate::algebra::{add_scaled, dot};
use crate::ensemble::{left_out_mixture, weights};

/// Ratios of noise to signal variance that are averaged over.
const NOISES: [f64; 6] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// How similar two rows are.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// Inner product over the number of columns: Bayesian ridge regression.
    Linear,
    /// `exp(−d² / 2 l²)` for each length scale `l`, with `d²` the mean squared difference a column.
    SquaredExponential(Vec<f64>),
}

/// What is known of the intercept before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Intercept {
    /// Nothing.
    Free,
    /// It is zero, give or take; the variance of what it may be, in units of the variance of the noise.
    Shrunk(f64),
}

impl Intercept {
    /// The intercept's weight of one target among `n`.
    pub(crate) fn share(self, n: usize) -> f64 {
        match self {
            Self::Free => 1.0 / n.max(1) as f64,
            Self::Shrunk(ratio) => 1.0 / (n as f64 + 1.0 / ratio.max(1e-9)),
        }
    }
}

/// Why a process could not be fitted.
#[derive(Debug, Error)]
pub enum GaussianProcessError {
    /// A length scale is not a positive number, or there is none.
    #[error("length scales are positive numbers")]
    LengthScale,
    /// Rows and targets differ in number, or there are fewer than two.
    #[error("a process is fitted to two rows and targets at least")]
    Shape,
    /// The kernel matrix has no eigendecomposition.
    #[error("the kernel matrix cannot be decomposed")]
    Decomposition,
    /// What linfa itself refuses.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

/// Parameters of a process; defaults: linear kernel, free intercept.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianProcessParams(GaussianProcessValidParams);

/// Checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianProcessValidParams {
    kernel: Kernel,
    intercept: Intercept,
    groups: Option<Vec<Vec<usize>>>,
}

impl GaussianProcessParams {
    /// How similar two rows are.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.0.kernel = kernel;
        self
    }

    /// Rows that are left out together, by position; each alone where this is not given.
    #[must_use]
    pub fn groups(mut self, groups: Vec<Vec<usize>>) -> Self {
        self.0.groups = Some(groups);
        self
    }

    /// What is known of the intercept.
    #[must_use]
    pub fn intercept(mut self, intercept: Intercept) -> Self {
        self.0.intercept = intercept;
        self
    }
}

impl ParamGuard for GaussianProcessParams {
    type Checked = GaussianProcessValidParams;
    type Error = GaussianProcessError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        match &self.0.kernel {
            Kernel::SquaredExponential(scales)
                if scales.is_empty() || scales.iter().any(|l| *l <= 0.0 || l.is_nan()) =>
            {
                Err(GaussianProcessError::LengthScale)
            }
            Kernel::SquaredExponential(_) | Kernel::Linear => Ok(&self.0),
        }
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// A fitted process: `intercept + x · slopes + Σ weight · exp(−d² / 2 l²)` over its support.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianProcess {
    /// Rows that it was fitted to; without rows where the kernel is linear.
    pub(crate) support: Array2<f64>,
    /// A length scale, and the weight of each row of the support.
    pub(crate) bumps: Vec<(f64, Array1<f64>)>,
    /// Slopes; zeros unless the kernel is linear.
    pub(crate) slopes: Array1<f64>,
    /// Value where all else is zero.
    pub(crate) intercept: f64,
    left_out: Array1<f64>,
}

impl GaussianProcess {
    /// Parameters with their defaults.
    #[must_use]
    pub fn params() -> GaussianProcessParams {
        GaussianProcessParams(GaussianProcessValidParams {
            kernel: Kernel::Linear,
            intercept: Intercept::Free,
            groups: None,
        })
    }

    /// What would have been predicted for each row had it been left out: given the centre and the kernel, exactly; the weights of the
    /// grid are found without it, too.
    #[must_use]
    pub fn left_out(&self) -> &Array1<f64> {
        &self.left_out
    }
}

impl<F: Data<Elem = f64>> Fit<ArrayBase<F, Ix2>, Array1<f64>, GaussianProcessError> for GaussianProcessValidParams {
    type Object = GaussianProcess;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<F, Ix2>, Array1<f64>>) -> Result<Self::Object, GaussianProcessError> {
        let (x, y) = (dataset.records(), dataset.targets().to_vec());
        let (n, columns) = (x.nrows(), x.ncols());
        if n < 2 || columns == 0 || y.len() != n {
            return Err(GaussianProcessError::Shape);
        }
        let alone: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
        let groups = self.groups.as_ref().unwrap_or(&alone);
        let decomposed = GaussianProcessError::Decomposition;
        Ok(match &self.kernel {
            Kernel::Linear => {
                let centre = x.mean_axis(Axis(0)).unwrap_or_default();
                let centred = Columns { rows: n, values: (x - &centre).t().iter().copied().collect() };
                let spectrum = Spectrum::linear(&centred).ok_or(decomposed)?;
                let mixed = mix(&[&spectrum], &y, self.intercept, groups)?;
                let slopes = Array1::from(mixed.slopes(&centred));
                let (support, bumps) = (Array2::zeros((0, columns)), Vec::new());
                let intercept = mixed.level - centre.dot(&slopes);
                GaussianProcess { support, bumps, slopes, intercept, left_out: mixed.left_out.into() }
            }
            Kernel::SquaredExponential(scales) => {
                let rows: Vec<f64> = x.iter().copied().collect();
                let smooth = Smooth::of(&rows, columns, scales).ok_or(decomposed)?;
                let mixed = mix(&smooth.spectra(), &y, self.intercept, groups)?;
                let intercept = mixed.level - smooth.centre(&mixed.weights);
                GaussianProcess {
                    support: x.to_owned(),
                    bumps: scales.iter().copied().zip(mixed.weights.into_iter().map(Array1::from)).collect(),
                    slopes: Array1::zeros(columns),
                    intercept,
                    left_out: mixed.left_out.into(),
                }
            }
        })
    }
}

/// The average over the grid of a kernel or several.
pub(crate) struct Mixed {
    /// Of each kernel, its weight at each row; they sum to zero.
    pub(crate) weights: Vec<Vec<f64>>,
    pub(crate) level: f64,
    /// What is predicted for each row as if left out.
    pub(crate) left_out: Vec<f64>,
}

impl Mixed {
    /// Slopes of columns with a linear kernel.
    pub(crate) fn slopes(&self, x: &Columns) -> Vec<f64> {
        let mut slopes = self.weights.first().map(|weights| x.moments(weights)).unwrap_or_default();
        slopes.iter_mut().for_each(|slope| *slope /= x.len().max(1) as f64);
        slopes
    }
}

/// Averages every kernel with every noise, each weighted by its left-out errors. `y`: raw targets.
pub(crate) fn mix(
    kernels: &[&Spectrum],
    y: &[f64],
    intercept: Intercept,
    groups: &[Vec<usize>],
) -> Result<Mixed, GaussianProcessError> {
    let n = y.len();
    let share = intercept.share(n);
    let level = y.iter().sum::<f64>() * share;
    let mut predictions = Vec::with_capacity(kernels.len() * NOISES.len());
    for Spectrum { values, vectors, .. } in kernels {
        let along: Vec<f64> = vectors.chunks_exact(n).map(|vector| dot(vector, y)).collect();
        for noise in NOISES {
            let (mut fitted, mut leverages) = (vec![level; n], vec![share; n]);
            for ((value, along), vector) in values.iter().zip(&along).zip(vectors.chunks_exact(n)) {
                let smooth = value / (value + noise);
                for ((f, l), v) in fitted.iter_mut().zip(&mut leverages).zip(vector) {
                    *f += smooth * along * v;
                    *l += smooth * v * v;
                }
            }
            let mut left_out = y.to_vec();
            for group in groups {
                if let [i] = group.as_slice() {
                    if let (Some(slot), Some(f), Some(l)) = (left_out.get_mut(*i), fitted.get(*i), leverages.get(*i)) {
                        *slot -= (*slot - f) / (1.0 - l).max(1e-6);
                    }
                    continue;
                }
                let smoother = |i: usize, j: usize| {
                    let of = |(value, vector): (&f64, &[f64])| {
                        Some(value / (value + noise) * vector.get(i)? * vector.get(j)?)
                    };
                    share + values.iter().zip(vectors.chunks_exact(n)).filter_map(of).sum::<f64>()
                };
                for (i, error) in group.iter().zip(left_out_errors(group, y, &fitted, smoother)?) {
                    if let Some(slot) = left_out.get_mut(*i) {
                        *slot -= error;
                    }
                }
            }
            predictions.push(left_out);
        }
    }
    let predictions: Vec<&[f64]> = predictions.iter().map(Vec::as_slice).collect();
    let equal = vec![1.0; predictions.len()];
    let mixed = weights(&predictions, y, &equal);
    let left_out = left_out_mixture(&predictions, y, &equal, groups);
    let of_kernel = |(Spectrum { values, vectors, .. }, mixed): (&&Spectrum, &[f64])| {
        let mut weights = vec![0.0; n];
        for (value, vector) in values.iter().zip(vectors.chunks_exact(n)) {
            let shrunk: f64 = NOISES.iter().zip(mixed).map(|(noise, weight)| weight / (value + noise)).sum();
            add_scaled(&mut weights, shrunk * dot(vector, y), vector);
        }
        weights
    };
    let weights = kernels.iter().zip(mixed.chunks_exact(NOISES.len())).map(of_kernel).collect();
    Ok(Mixed { weights, level, left_out })
}

impl<F: Data<Elem = f64>> PredictInplace<ArrayBase<F, Ix2>, Array1<f64>> for GaussianProcess {
    fn predict_inplace(&self, x: &ArrayBase<F, Ix2>, y: &mut Array1<f64>) {
        let mut found = x.dot(&self.slopes) + self.intercept;
        for (scale, alpha) in &self.bumps {
            for (found, x) in found.iter_mut().zip(x.rows()) {
                for (alpha, z) in alpha.iter().zip(self.support.rows()) {
                    let square: f64 = x.iter().zip(z).map(|(x, z)| (x - z) * (x - z)).sum();
                    *found += alpha * squared_exponential(square, x.len(), *scale);
                }
            }
        }
        y.assign(&found);
    }

    fn default_target(&self, x: &ArrayBase<F, Ix2>) -> Array1<f64> {
        Array1::zeros(x.nrows())
    }
}

/// Errors of a group had it been left out: `(I − S)⁻¹ r` of its rows, for a linear smoother S and its residuals r.
fn left_out_errors(
    group: &[usize],
    y: &[f64],
    fitted: &[f64],
    smoother: impl Fn(usize, usize) -> f64,
) -> Result<Vec<f64>, GaussianProcessError> {
    let place = |k: usize| group.get(k).copied().unwrap_or(0);
    let residual = |i: usize| y.get(i).zip(fitted.get(i)).map_or(0.0, |(y, f)| y - f);
    let mut rest = Array2::from_shape_fn((group.len(), group.len()), |(a, b)| {
        (if a == b { 1.0 } else { 0.0 }) - smoother(place(a), place(b))
    });
    let residuals = Array2::from_shape_fn((group.len(), 1), |(k, _)| residual(place(k)));
    let errors = rest.solvec_into(residuals).map_err(|_| GaussianProcessError::Decomposition)?;
    Ok(errors.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;
    use linfa_linalg::eigh::Eigh;

    use super::*;

    fn dataset(n: usize) -> DatasetBase<Array2<f64>, Array1<f64>> {
        let x = Array2::from_shape_fn((n, 2), |(i, j)| ((i * 7 + j * 3) as f64 * 0.61).sin() * 2.0);
        let y = x.column(0).mapv(|v| 3.0 + (v * 1.5).sin()) + x.column(1).mapv(|v| 0.2 * v);
        DatasetBase::new(x, y)
    }

    #[test]
    fn left_out_predictions_are_those_of_a_fit_without_the_row() {
        // With one kernel and noise the closed form is exact; here the ridge solution is written out.
        let set = dataset(9);
        let (x, y) = (set.records(), set.targets().to_vec());
        let rows: Vec<f64> = x.iter().copied().collect();
        let smooth = Smooth::of(&rows, 2, &[1.0]).unwrap();
        let alone: Vec<Vec<usize>> = (0..9).map(|i| vec![i]).collect();
        let spectrum = smooth.spectra()[0];
        let vectors = Array2::from_shape_vec((spectrum.values.len(), 9), spectrum.vectors.clone()).unwrap();
        let kernel = vectors.t().dot(&Array2::from_diag(&Array1::from(spectrum.values.clone()))).dot(&vectors);
        let predictions = NOISES.map(|noise| {
            let inverse = (&kernel / noise + 1e6 + Array2::<f64>::eye(9)).eigh();
            let inverse = inverse.map(|(v, q)| q.dot(&Array2::from_diag(&(1.0 / v))).dot(&q.t())).unwrap();
            let alpha = inverse.dot(&Array1::from(y.clone()));
            (0..9).map(|i| y[i] - alpha[i] / inverse[[i, i]]).collect::<Vec<f64>>()
        });
        let predictions: Vec<&[f64]> = predictions.iter().map(Vec::as_slice).collect();
        let expected = left_out_mixture(&predictions, &y, &[1.0; 6], &alone);
        let found = mix(&[spectrum], &y, Intercept::Free, &alone).unwrap().left_out;
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {expected:?}");
    }

    #[test]
    fn a_group_is_left_out_as_a_whole() {
        // Rows in pairs that are equal but for their targets' noise: alone, each is told by its twin.
        let x = Array2::from_shape_fn((12, 3), |(i, j)| ((i / 2 * 7 + j * 3) as f64 * 0.61).sin());
        let y = Array1::from_iter((0..12).map(|i| (f64::from(i / 2) * 2.3).cos() * 10.0 + 0.01 * f64::from(i)));
        let set = DatasetBase::new(x, y);
        let kernel = || GaussianProcess::params().kernel(Kernel::SquaredExponential(vec![0.3]));
        let error = |process: GaussianProcess| (process.left_out() - set.targets()).mapv(f64::abs).mean().unwrap();
        let alone = error(kernel().fit(&set).unwrap());
        let together = error(kernel().groups((0..6).map(|g| vec![2 * g, 2 * g + 1]).collect()).fit(&set).unwrap());
        assert!(alone < 1.0 && together > 3.0, "{alone} {together}");
    }

    #[test]
    fn a_smooth_function_is_learnt_and_a_far_row_falls_back_to_the_level() {
        let set = dataset(60);
        let kernel = Kernel::SquaredExponential(vec![0.5, 1.0, 2.0]);
        let process = GaussianProcess::params().kernel(kernel).fit(&set).unwrap();
        let error = (process.predict(set.records()) - set.targets()).mapv(f64::abs).mean().unwrap();
        let left_out = (process.left_out() - set.targets()).mapv(f64::abs).mean().unwrap();
        assert!(error < 0.05 && left_out < 0.15, "{error} {left_out}");
        let far = process.predict(&Array2::from_elem((1, 2), 1e3));
        assert!((far[0] - process.intercept).abs() < 1e-9);
    }

    #[test]
    fn a_shrunk_intercept_lies_between_zero_and_the_mean() {
        let set = DatasetBase::new(Array2::from_elem((4, 1), 1.0), Array1::from(vec![2.0; 4]));
        // 8 / (4 + 1 / 0.25) = 1.
        let process = GaussianProcess::params().intercept(Intercept::Shrunk(0.25)).fit(&set).unwrap();
        assert!((process.predict(set.records())[0] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = GaussianProcess::params().kernel(Kernel::SquaredExponential(vec![0.0]));
        assert!(matches!(bad.fit(&dataset(5)), Err(GaussianProcessError::LengthScale)));
        let one = DatasetBase::new(Array2::zeros((1, 1)), Array1::zeros(1));
        assert!(matches!(GaussianProcess::params().fit(&one), Err(GaussianProcessError::Shape)));
    }
}
