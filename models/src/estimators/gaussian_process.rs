//! Gaussian process regression with few hyper-parameters, averaged over a fixed grid rather than maximised: ten recordings cannot
//! tell a length scale from a noise, but they can say which of either are implausible.
//!
//! `y = b + f(x) + e`: an intercept, a function with a centred kernel, independent noise. The kernel matrix is centred, so that its
//! eigenvectors are orthogonal to the intercept, and one eigendecomposition a kernel gives every noise of the grid and all left-out
//! predictions in closed form (Rasmussen and Williams 2006, sections 2.2 and 5.4.2; Sundararajan and Keerthi 2001).

use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use linfa::{Float, ParamGuard};
use linfa_linalg::cholesky::SolveCInplace;
use linfa_linalg::eigh::Eigh;
use ndarray::{Array1, Array2, ArrayBase, ArrayView2, Axis, Data, Ix2};
use thiserror::Error;

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

/// One point of the grid.
struct Point {
    kernel: usize,
    alpha: Array1<f64>,
    left_out: Vec<f64>,
}

impl Fit<Array2<f64>, Array1<f64>, GaussianProcessError> for GaussianProcessValidParams {
    type Object = GaussianProcess;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, Array1<f64>>) -> Result<GaussianProcess, GaussianProcessError> {
        let (x, y) = (dataset.records(), dataset.targets());
        let n = x.nrows();
        if n != y.len() || n < 2 {
            return Err(GaussianProcessError::Shape);
        }
        let alone = || (0..n).map(|i| vec![i]).collect();
        let groups = self.groups.clone().filter(|g| g.iter().flatten().all(|i| *i < n)).unwrap_or_else(alone);
        let share = self.intercept.share(n);
        let level = y.sum() * share;
        let kernels = match &self.kernel {
            Kernel::Linear => vec![linear(&x.view())],
            Kernel::SquaredExponential(scales) => scales.iter().map(|l| squared_exponential(x, x, *l)).collect(),
        };
        let mut points = Vec::with_capacity(kernels.len() * NOISES.len());
        for (kernel, matrix) in kernels.iter().enumerate() {
            let (values, vectors) = centred(matrix).eigh().map_err(|_| GaussianProcessError::Decomposition)?;
            let along = vectors.t().dot(y);
            for noise in NOISES {
                let shrunk: Array1<f64> = values.iter().map(|v| 1.0 / (v.max(0.0) + noise)).collect();
                // Off the intercept's direction: there the kernel has nothing, and alpha is to sum to zero.
                let live: Array1<f64> = values.iter().map(|v| if *v > 1e-10 * n as f64 { 1.0 } else { 0.0 }).collect();
                let alpha = vectors.dot(&(&shrunk * &live * &along));
                let smooth: Array1<f64> = values.iter().zip(&shrunk).map(|(v, s)| v.max(0.0) * s).collect();
                let fitted = vectors.dot(&(&smooth * &along));
                let residuals: Vec<f64> = y.iter().zip(&fitted).map(|(y, f)| y - level - f).collect();
                let smoother = |i: usize, j: usize| {
                    let along =
                        vectors.row(i).into_iter().zip(vectors.row(j)).zip(&smooth).map(|((a, b), s)| a * b * s);
                    share + along.sum::<f64>()
                };
                let mut left_out = y.to_vec();
                for group in &groups {
                    for (i, error) in group.iter().zip(left_out_errors(group, &residuals, smoother)?) {
                        if let Some(slot) = left_out.get_mut(*i) {
                            *slot -= error;
                        }
                    }
                }
                points.push(Point { kernel, alpha, left_out });
            }
        }
        let predictions: Vec<&[f64]> = points.iter().map(|point| point.left_out.as_slice()).collect();
        let targets: Vec<f64> = y.to_vec();
        let equal = vec![1.0; points.len()];
        let mixed = weights(&predictions, &targets, &equal);
        let left_out = Array1::from(left_out_mixture(&predictions, &targets, &equal, &groups));
        let mut alphas = vec![Array1::<f64>::zeros(n); kernels.len()];
        for (point, weight) in points.iter().zip(&mixed) {
            if let Some(alpha) = alphas.get_mut(point.kernel) {
                alpha.scaled_add(*weight, &point.alpha);
            }
        }
        let columns = x.ncols();
        Ok(match &self.kernel {
            Kernel::Linear => {
                let alpha = alphas.pop().unwrap_or_default();
                let slopes = x.t().dot(&alpha) / columns.max(1) as f64;
                let centre = x.mean_axis(Axis(0)).unwrap_or_default();
                let intercept = level - centre.dot(&slopes);
                GaussianProcess { support: Array2::zeros((0, columns)), bumps: Vec::new(), slopes, intercept, left_out }
            }
            Kernel::SquaredExponential(scales) => {
                // Σ alpha = 0: of the centring only the constant Σ alphaᵢ · mean(kᵢ) is left.
                let off: f64 = alphas.iter().zip(&kernels).map(|(alpha, k)| k.dot(alpha).mean().unwrap_or(0.0)).sum();
                GaussianProcess {
                    support: x.clone(),
                    bumps: scales.iter().copied().zip(alphas).collect(),
                    slopes: Array1::zeros(columns),
                    intercept: level - off,
                    left_out,
                }
            }
        })
    }
}

impl<F: Data<Elem = f64>> PredictInplace<ArrayBase<F, Ix2>, Array1<f64>> for GaussianProcess {
    fn predict_inplace(&self, x: &ArrayBase<F, Ix2>, y: &mut Array1<f64>) {
        let mut found = x.dot(&self.slopes) + self.intercept;
        for (scale, alpha) in &self.bumps {
            found += &squared_exponential(x, &self.support, *scale).dot(alpha);
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
    residuals: &[f64],
    smoother: impl Fn(usize, usize) -> f64,
) -> Result<Vec<f64>, GaussianProcessError> {
    let residual = |i: usize| residuals.get(i).copied().unwrap_or(0.0);
    if let [i] = group {
        return Ok(vec![residual(*i) / (1.0 - smoother(*i, *i)).max(1e-6)]);
    }
    let place = |k: usize| group.get(k).copied().unwrap_or(0);
    let mut rest = Array2::from_shape_fn((group.len(), group.len()), |(a, b)| {
        (if a == b { 1.0 } else { 0.0 }) - smoother(place(a), place(b))
    });
    let residuals = Array2::from_shape_fn((group.len(), 1), |(k, _)| residual(place(k)));
    let errors = rest.solvec_into(residuals).map_err(|_| GaussianProcessError::Decomposition)?;
    Ok(errors.iter().copied().collect())
}

fn linear(x: &ArrayView2<'_, f64>) -> Array2<f64> {
    x.dot(&x.t()) / x.ncols().max(1) as f64
}

fn squared_exponential<A, B>(a: &ArrayBase<A, Ix2>, b: &ArrayBase<B, Ix2>, scale: f64) -> Array2<f64>
where
    A: Data<Elem = f64>,
    B: Data<Elem = f64>,
{
    let columns = a.ncols().max(1) as f64;
    let mut kernel = Array2::zeros((a.nrows(), b.nrows()));
    for (mut row, x) in kernel.rows_mut().into_iter().zip(a.rows()) {
        for (slot, z) in row.iter_mut().zip(b.rows()) {
            let square: f64 = x.iter().zip(z).map(|(x, z)| (x - z) * (x - z)).sum();
            *slot = (-square / columns / (2.0 * scale * scale)).exp();
        }
    }
    kernel
}

fn centred<F: Float>(kernel: &Array2<F>) -> Array2<F> {
    let (Some(rows), Some(columns), Some(mean)) = (kernel.mean_axis(Axis(1)), kernel.mean_axis(Axis(0)), kernel.mean())
    else {
        return kernel.clone();
    };
    kernel - &rows.insert_axis(Axis(1)) - &columns.insert_axis(Axis(0)) + mean
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;

    use super::*;

    fn dataset(n: usize) -> DatasetBase<Array2<f64>, Array1<f64>> {
        let x = Array2::from_shape_fn((n, 2), |(i, j)| ((i * 7 + j * 3) as f64 * 0.61).sin() * 2.0);
        let y = x.column(0).mapv(|v| 3.0 + (v * 1.5).sin()) + x.column(1).mapv(|v| 0.2 * v);
        DatasetBase::new(x, y)
    }

    #[test]
    fn left_out_predictions_are_those_of_a_fit_without_the_row() {
        // With one noise and the centre of all rows the closed form is exact; here the ridge solution is written out.
        let set = dataset(9);
        let (x, y) = (set.records(), set.targets());
        for (kernel, noise) in [(linear(&x.view()), 0.1), (squared_exponential(x, x, 1.0), 0.3)] {
            let k = centred(&kernel) / noise + 1e6;
            let inverse =
                (k + Array2::<f64>::eye(9)).eigh().map(|(v, q)| q.dot(&Array2::from_diag(&(1.0 / v))).dot(&q.t()));
            let inverse = inverse.unwrap();
            let alpha = inverse.dot(y);
            let (values, vectors) = centred(&kernel).eigh().unwrap();
            let smooth = values.mapv(|v| v.max(0.0) / (v.max(0.0) + noise));
            let fitted = vectors.dot(&(&smooth * &vectors.t().dot(y))) + y.mean().unwrap();
            for i in 0..9 {
                let leverage = 1.0 / 9.0 + (0..9).map(|k| vectors[[i, k]].powi(2) * smooth[k]).sum::<f64>();
                let closed = y[i] - (y[i] - fitted[i]) / (1.0 - leverage);
                assert!((closed - (y[i] - alpha[i] / inverse[[i, i]])).abs() < 1e-4);
            }
        }
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
