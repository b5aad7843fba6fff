//! The rows of a fit, standardised once for all estimators on the same block.

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_elasticnet::ElasticNet;
use linfa_linalg::eigh::{EigSort, Eigh};
use linfa_pls::PlsRegression;
use linfa_svm::Svm;
use ndarray::{Array1, Array2, Axis, ShapeBuilder};

use super::gaussian_process::{GaussianProcess, Intercept, Kernel};
use super::{Estimator, KernelName};
use crate::features::Block;
use crate::kernel_part::{Bumps, KernelPart, StandardColumn};
use crate::model::{Linear, Term};

/// Sweeps of coordinate descent for ridge: enough for 1e-3 of the exact solution with the penalties in use (tested).
const RIDGE_SWEEPS: u32 = 120;
/// How far beyond the range of the training rows a feature is followed, as a share of that range. Ten recordings say nothing about
/// a value far outside theirs, such as a step period that was mistaken for a stride's.
const BEYOND: f64 = 1.0;
/// Principal components that a squared-exponential kernel sees at most: distances between few rows live in few directions, and the
/// model keeps them.
const COMPONENTS: usize = 6;
/// Length scales that are averaged over, in units of the root mean square of a component.
const LENGTH_SCALES: [f64; 3] = [1.0, 2.0, 4.0];

/// Rows of a fit.
pub(crate) struct Design {
    /// Length of the full feature vector.
    features: usize,
    columns: Vec<Column>,
    /// Rows by columns, column-major: coordinate descent walks columns.
    x: Array2<f64>,
    /// Standardised targets.
    y: Array1<f64>,
    mean: f64,
    sd: f64,
}

struct Column {
    index: usize,
    mean: f64,
    sd: f64,
    low: f64,
    high: f64,
}

/// A fit.
pub(crate) struct Fitted {
    /// What is linear in raw features.
    pub(crate) linear: Linear,
    /// What is not.
    pub(crate) kernel: Option<KernelPart>,
    /// Predictions for each row as if left out, where the estimator has them in closed form.
    pub(crate) left_out: Option<Vec<f64>>,
}

impl Fitted {
    pub(crate) fn predict(&self, features: &[f64]) -> f64 {
        self.linear.predict(features) + self.kernel.as_ref().map_or(0.0, |kernel| kernel.predict(features))
    }

    fn is_finite(&self) -> bool {
        self.linear.is_finite() && self.kernel.as_ref().is_none_or(KernelPart::is_sound)
    }
}

impl Design {
    /// Standardises the block's columns of `rows` and the `targets` (one a row).
    pub(crate) fn new(rows: &[&[f64]], targets: &[f64], block: Block) -> Self {
        let features = rows.first().map_or(0, |row| row.len());
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for index in block.columns() {
            let column: Vec<f64> = rows.iter().filter_map(|row| row.get(index).copied()).collect();
            let (mean, sd) = mean_and_sd(&column);
            if column.len() == rows.len() && sd > 1e-7 * (1.0 + mean.abs()) {
                values.extend(column.iter().map(|v| (v - mean) / sd));
                let (low, high) =
                    column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
                let beyond = BEYOND * (high - low);
                columns.push(Column { index, mean, sd, low: low - beyond, high: high + beyond });
            }
        }
        let (mean, sd) = mean_and_sd(targets);
        let y = targets.iter().map(|s| (s - mean) / sd).collect();
        let x = Array2::from_shape_vec((rows.len(), columns.len()).f(), values).unwrap_or_default();
        Self { features, columns, x, y, mean, sd }
    }

    /// Fits an estimator; `None` where it cannot be fitted to these rows (no varying column or target, or no finite solution).
    /// `groups`: rows that are left out together.
    pub(crate) fn fit(&self, estimator: Estimator, intercept: Intercept, groups: &[Vec<usize>]) -> Option<Fitted> {
        if estimator == Estimator::Mean {
            return Some(self.level(intercept, groups));
        }
        if self.columns.is_empty() || !(1e-9..f64::INFINITY).contains(&self.sd) {
            return None;
        }
        let straight = |weights: Array1<f64>| {
            let level = self.mean * intercept.share(self.y.len()) * self.y.len() as f64;
            Some(Fitted { linear: self.unfold(&weights, level)?, kernel: None, left_out: None })
        };
        let fitted = match estimator {
            Estimator::Mean => return None,
            Estimator::Ridge { strength } => straight(self.penalised(strength * self.columns.len() as f64, 0.0)?)?,
            Estimator::ElasticNet { strength, l1_ratio } => straight(self.penalised(strength, l1_ratio)?)?,
            Estimator::Pls => straight(self.pls()?)?,
            Estimator::SupportVector { cost, tube } => straight(self.support_vector(cost, tube)?)?,
            Estimator::GaussianProcess { kernel: KernelName::Linear } => self.linear_process(intercept, groups)?,
            Estimator::GaussianProcess { kernel: KernelName::SquaredExponential } => {
                self.smooth_process(intercept, groups)?
            }
        };
        fitted.is_finite().then_some(fitted)
    }

    fn level(&self, intercept: Intercept, groups: &[Vec<usize>]) -> Fitted {
        let n = self.y.len();
        let targets = self.raw_targets();
        let total: f64 = targets.iter().sum();
        let mut left_out = vec![0.0; n];
        for group in groups {
            let of_group: f64 = group.iter().filter_map(|i| targets.get(*i)).sum();
            let rest = (total - of_group) * intercept.share(n.saturating_sub(group.len()));
            for i in group {
                if let Some(slot) = left_out.get_mut(*i) {
                    *slot = rest;
                }
            }
        }
        let level = total * intercept.share(n);
        let linear = Linear { intercept: level, terms: vec![Term::default(); self.features] };
        Fitted { linear, kernel: None, left_out: Some(left_out) }
    }

    fn penalised(&self, penalty: f64, l1_ratio: f64) -> Option<Array1<f64>> {
        let dataset = DatasetBase::new(self.x.view(), self.y.view());
        // Without an absolute penalty the crate's duality gap never closes, and every sweep allowed is made.
        let sweeps = if l1_ratio > 0.0 { 500 } else { RIDGE_SWEEPS };
        let params = ElasticNet::params().penalty(penalty).l1_ratio(l1_ratio).tolerance(1e-4).max_iterations(sweeps);
        Some(params.fit(&dataset).ok()?.hyperplane().clone())
    }

    fn pls(&self) -> Option<Array1<f64>> {
        // Without covariance there is no direction, and linfa-pls would divide by its length.
        let covariance = self.x.t().dot(&self.y);
        if covariance.dot(&covariance) < 1e-12 {
            return None;
        }
        let targets = self.y.clone().insert_axis(Axis(1));
        let fitted = PlsRegression::params(1).fit(&DatasetBase::new(self.x.clone(), targets)).ok()?;
        let answers: Vec<f64> = fitted.predict(&self.probes()).iter().copied().collect();
        slopes(&answers)
    }

    fn support_vector(&self, cost: f64, tube: f64) -> Option<Array1<f64>> {
        let cost = cost / self.columns.len() as f64;
        let dataset = DatasetBase::new(self.x.clone(), self.y.clone());
        let fitted = Svm::<f64, f64>::params().c_svr(cost, Some(tube)).eps(1e-3).linear_kernel().fit(&dataset).ok()?;
        slopes(&fitted.predict(&self.probes()).to_vec())
    }

    /// Zero and each unit vector. The crates keep their weights private: predictions at these tell intercept and weights.
    fn probes(&self) -> Array2<f64> {
        let p = self.columns.len();
        let mut probes = Array2::zeros((p + 1, p));
        for (mut probe, j) in probes.rows_mut().into_iter().skip(1).zip(0..p) {
            if let Some(one) = probe.get_mut(j) {
                *one = 1.0;
            }
        }
        probes
    }

    /// Raw targets: a shrunk intercept knows where zero is.
    fn raw_targets(&self) -> Array1<f64> {
        self.y.mapv(|y| if self.sd > 0.0 { y * self.sd + self.mean } else { self.mean })
    }

    fn linear_process(&self, intercept: Intercept, groups: &[Vec<usize>]) -> Option<Fitted> {
        let process = GaussianProcess::params().intercept(intercept).groups(groups.to_vec());
        let process = process.fit(&DatasetBase::new(self.x.clone(), self.raw_targets())).ok()?;
        // The slopes are in units of the target already.
        let linear = self.unfold(&process.slopes.mapv(|slope| slope / self.sd), process.intercept)?;
        Some(Fitted { linear, kernel: None, left_out: Some(process.left_out().to_vec()) })
    }

    fn smooth_process(&self, intercept: Intercept, groups: &[Vec<usize>]) -> Option<Fitted> {
        let (columns, components, projection) = self.projection()?;
        let mut part = KernelPart { columns, components, projection, support: Vec::new(), bumps: Vec::new() };
        // Projected as the model will: rounding is then the same in the fit and in use.
        let standardised = self.x.rows();
        let projected =
            standardised.into_iter().flat_map(|row| part.project(row.iter().copied())).collect::<Vec<f64>>();
        let projected = Array2::from_shape_vec((self.x.nrows(), components), projected).ok()?;
        let kernel = Kernel::SquaredExponential(LENGTH_SCALES.to_vec());
        let process = GaussianProcess::params().kernel(kernel).intercept(intercept).groups(groups.to_vec());
        let process = process.fit(&DatasetBase::new(projected, self.raw_targets())).ok()?;
        part.support = process.support.iter().map(|v| *v as f32).collect();
        part.bumps =
            process.bumps.iter().map(|(scale, weights)| Bumps { scale: *scale, weights: weights.to_vec() }).collect();
        let linear = Linear { intercept: process.intercept, terms: vec![Term::default(); self.features] };
        Some(Fitted { linear, kernel: Some(part), left_out: Some(process.left_out().to_vec()) })
    }

    /// The first principal components of the standardised rows, scaled so that a component's mean square is one on average.
    fn projection(&self) -> Option<(Vec<StandardColumn>, usize, Vec<f32>)> {
        let n = self.x.nrows();
        let (values, vectors) = self.x.dot(&self.x.t()).eigh().ok()?.sort_eig_desc();
        let live = values.iter().take(COMPONENTS).take_while(|v| **v > 1e-9 * n as f64).count();
        let power = values.iter().take(live).sum::<f64>() / (n * live.max(1)) as f64;
        if live == 0 || power <= 0.0 {
            return None;
        }
        let mut projection = vec![0.0_f32; self.columns.len() * live];
        for (k, (value, vector)) in values.iter().zip(vectors.columns()).take(live).enumerate() {
            let direction = self.x.t().dot(&vector) / (value * power).sqrt();
            for (slot, d) in projection.iter_mut().skip(k).step_by(live).zip(&direction) {
                *slot = *d as f32;
            }
        }
        let columns = self.columns.iter().map(|c| StandardColumn {
            index: c.index as u32,
            mean: c.mean as f32,
            sd: (c.sd as f32).max(f32::MIN_POSITIVE),
        });
        Some((columns.collect(), live, projection))
    }

    /// Weights over standardised columns as weights over raw features.
    fn unfold(&self, standardised: &Array1<f64>, level: f64) -> Option<Linear> {
        let mut linear = Linear { intercept: level, terms: vec![Term::default(); self.features] };
        for (column, weight) in self.columns.iter().zip(standardised) {
            let raw = weight * self.sd / column.sd;
            linear.intercept -= raw * column.mean;
            if raw != 0.0 {
                *linear.terms.get_mut(column.index)? = Term { weight: raw, low: column.low, high: column.high };
            }
        }
        linear.is_finite().then_some(linear)
    }
}

/// Slopes from predictions at [`Design::probes`].
fn slopes(answers: &[f64]) -> Option<Array1<f64>> {
    let (zero, units) = answers.split_first()?;
    Some(units.iter().map(|unit| unit - zero).collect())
}

/// Mean and population standard deviation; zeros of nothing.
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}
