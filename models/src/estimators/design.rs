//! The rows of a fit: columns of a block, standardised and decomposed once for all estimators on the same block.

use std::cell::OnceCell;

use super::elastic_net::elastic_net;
use super::gaussian_process::{Intercept, mix};
use super::linear::{Columns, partial_least_squares, ridge};
use super::spectrum::{Smooth, Spectrum};
use super::support_vector::support_vector;
use super::{Estimator, KernelName};
use crate::features::Block;
use crate::kernel_part::{Bumps, KernelPart, StandardColumn};
use crate::model::{Linear, Term};

/// How far beyond the range of the training rows a feature is followed, as a share of that range. Ten recordings say nothing about
/// a value far outside theirs, such as a step period that was mistaken for a stride's.
const BEYOND: f64 = 1.0;
/// Principal components that a squared-exponential kernel sees at most: distances between few rows live in few directions, and the
/// model keeps them.
const COMPONENTS: usize = 6;
/// Length scales that are averaged over, in units of the root mean square of a component.
const LENGTH_SCALES: [f64; 3] = [1.0, 2.0, 4.0];

/// Designs of the same rows, each made when it is asked for.
pub(crate) struct Designs<'a> {
    rows: Vec<&'a [f64]>,
    made: [OnceCell<Design>; Block::ALL.len()],
}

impl<'a> Designs<'a> {
    pub(crate) fn new(rows: Vec<&'a [f64]>) -> Self {
        Self { rows, made: [const { OnceCell::new() }; Block::ALL.len()] }
    }

    pub(crate) fn rows(&self) -> &[&'a [f64]] {
        &self.rows
    }

    pub(crate) fn of(&self, block: Block) -> Option<&Design> {
        let place = Block::ALL.iter().position(|b| *b == block)?;
        Some(self.made.get(place)?.get_or_init(|| Design::new(&self.rows, block)))
    }
}

/// Rows of a fit.
pub(crate) struct Design {
    columns: Vec<Column>,
    x: Columns,
    linear: OnceCell<Option<Spectrum>>,
    smooth: OnceCell<Option<(KernelPart, Smooth)>>,
}

struct Column {
    index: usize,
    mean: f64,
    sd: f64,
    low: f64,
    high: f64,
}

/// Targets of a fit, one a row.
pub(crate) struct Targets {
    raw: Vec<f64>,
    standardised: Vec<f64>,
    mean: f64,
    sd: f64,
}

impl Targets {
    pub(crate) fn new(raw: Vec<f64>) -> Self {
        let (mean, sd) = mean_and_sd(&raw);
        let standardised = raw.iter().map(|v| (v - mean) / sd).collect();
        Self { raw, standardised, mean, sd }
    }
}

/// A fit.
pub(crate) struct Fitted {
    intercept: f64,
    /// What is linear in raw features: a position and its term.
    terms: Vec<(usize, Term)>,
    /// What is not.
    pub(crate) kernel: Option<KernelPart>,
    /// Predictions for each row as if left out, where the estimator has them in closed form.
    pub(crate) left_out: Option<Vec<f64>>,
}

impl Fitted {
    pub(crate) fn predict(&self, features: &[f64]) -> f64 {
        let part = |(index, term): &(usize, Term)| Some(term.part(*features.get(*index)?));
        let linear = self.intercept + self.terms.iter().filter_map(part).sum::<f64>();
        linear + self.kernel.as_ref().map_or(0.0, |kernel| kernel.predict(features))
    }

    /// Adds what is linear, in that share.
    pub(crate) fn add_to(&self, linear: &mut Linear, share: f64) {
        linear.intercept += share * self.intercept;
        for (index, term) in &self.terms {
            linear.add_term(*index, *term, share);
        }
    }

    fn is_finite(&self) -> bool {
        self.intercept.is_finite()
            && self.terms.iter().all(|(_, term)| term.is_sound())
            && self.kernel.as_ref().is_none_or(KernelPart::is_sound)
    }
}

impl Design {
    /// Standardises the block's columns of `rows`.
    fn new(rows: &[&[f64]], block: Block) -> Self {
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        let mut column = Vec::with_capacity(rows.len());
        for index in block.columns() {
            column.clear();
            column.extend(rows.iter().filter_map(|row| row.get(index).copied()));
            let (mean, sd) = mean_and_sd(&column);
            if column.len() == rows.len() && sd > 1e-7 * (1.0 + mean.abs()) {
                values.extend(column.iter().map(|v| (v - mean) / sd));
                let (low, high) =
                    column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
                let beyond = BEYOND * (high - low);
                columns.push(Column { index, mean, sd, low: low - beyond, high: high + beyond });
            }
        }
        let x = Columns { rows: rows.len(), values };
        Self { columns, x, linear: OnceCell::new(), smooth: OnceCell::new() }
    }

    /// Fits an estimator; `None` where it cannot be fitted to these rows (no varying column or target, or no finite solution).
    /// `groups`: rows that are left out together.
    pub(crate) fn fit(
        &self,
        targets: &Targets,
        estimator: Estimator,
        intercept: Intercept,
        groups: &[Vec<usize>],
    ) -> Option<Fitted> {
        if estimator == Estimator::Mean {
            return Some(level(&targets.raw, intercept, groups));
        }
        if self.columns.is_empty() || !(1e-9..f64::INFINITY).contains(&targets.sd) {
            return None;
        }
        let (x, y) = (&self.x, targets.standardised.as_slice());
        let width = self.columns.len() as f64;
        let straight = |slopes: Vec<f64>| {
            let level = targets.mean * intercept.share(y.len()) * y.len() as f64;
            self.unfold(slopes.into_iter().map(|slope| slope * targets.sd), level)
        };
        let fitted = match estimator {
            Estimator::Mean => return None,
            Estimator::Ridge { strength } => straight(ridge(x, y, strength * width)?),
            Estimator::ElasticNet { strength, l1_ratio } => straight(elastic_net(x, y, strength, l1_ratio)),
            Estimator::Pls => straight(partial_least_squares(x, y)?),
            Estimator::SupportVector { cost, tube } => straight(support_vector(x, y, cost / width, tube)),
            Estimator::GaussianProcess { kernel: KernelName::Linear } => {
                let mixed = mix(&[self.linear()?], &targets.raw, intercept, groups).ok()?;
                let fitted = self.unfold(mixed.slopes(x).into_iter(), mixed.level);
                Fitted { left_out: Some(mixed.left_out), ..fitted }
            }
            Estimator::GaussianProcess { kernel: KernelName::SquaredExponential } => {
                let (part, smooth) = self.smooth()?;
                let mixed = mix(&smooth.spectra(), &targets.raw, intercept, groups).ok()?;
                let intercept = mixed.level - smooth.centre(&mixed.weights);
                let bumps = LENGTH_SCALES.into_iter().zip(mixed.weights);
                let bumps = bumps.map(|(scale, weights)| Bumps { scale, weights }).collect();
                let kernel = Some(KernelPart { bumps, ..part.clone() });
                Fitted { intercept, terms: Vec::new(), kernel, left_out: Some(mixed.left_out) }
            }
        };
        fitted.is_finite().then_some(fitted)
    }

    /// The linear kernel of the standardised rows.
    fn linear(&self) -> Option<&Spectrum> {
        self.linear.get_or_init(|| Spectrum::linear(&self.x)).as_ref()
    }

    /// Squared-exponential kernels of the rows' first components; the part has no bumps yet.
    fn smooth(&self) -> Option<&(KernelPart, Smooth)> {
        let made = || {
            let (columns, components, projection) = self.projection()?;
            let mut part = KernelPart { columns, components, projection, support: Vec::new(), bumps: Vec::new() };
            // Projected as the model will: rounding is then the same in the fit and in use.
            let projected: Vec<f64> = (0..self.x.rows).flat_map(|row| part.project(self.x.row(row))).collect();
            part.support = projected.iter().map(|v| *v as f32).collect();
            Some((part, Smooth::of(&projected, components, &LENGTH_SCALES)?))
        };
        self.smooth.get_or_init(made).as_ref()
    }

    /// The first principal components of the standardised rows, scaled so that a component's mean square is one on average.
    fn projection(&self) -> Option<(Vec<StandardColumn>, usize, Vec<f32>)> {
        let (n, p) = (self.x.rows, self.x.len() as f64);
        let Spectrum { values, vectors } = self.linear()?;
        let values: Vec<f64> =
            values.iter().map(|v| v * p).take(COMPONENTS).take_while(|v| *v > 1e-9 * n as f64).collect();
        let live = values.len();
        let power = values.iter().sum::<f64>() / (n * live.max(1)) as f64;
        if live == 0 || power <= 0.0 {
            return None;
        }
        let mut projection = vec![0.0_f32; self.columns.len() * live];
        for (k, (value, vector)) in values.iter().zip(vectors.chunks_exact(n)).enumerate() {
            let length = (value * power).sqrt();
            for (slot, moment) in projection.iter_mut().skip(k).step_by(live).zip(self.x.moments(vector)) {
                *slot = (moment / length) as f32;
            }
        }
        let columns = self.columns.iter().map(|c| StandardColumn {
            index: c.index as u32,
            mean: c.mean as f32,
            sd: (c.sd as f32).max(f32::MIN_POSITIVE),
        });
        Some((columns.collect(), live, projection))
    }

    /// Slopes of standardised columns, in units of the target, as terms of raw features.
    fn unfold(&self, slopes: impl Iterator<Item = f64>, level: f64) -> Fitted {
        let mut intercept = level;
        let term = |(column, slope): (&Column, f64)| {
            let weight = slope / column.sd;
            intercept -= weight * column.mean;
            (weight != 0.0).then_some((column.index, Term { weight, low: column.low, high: column.high }))
        };
        let terms = self.columns.iter().zip(slopes).filter_map(term).collect();
        Fitted { intercept, terms, kernel: None, left_out: None }
    }
}

/// The mean, shrunk as the intercept is.
fn level(targets: &[f64], intercept: Intercept, groups: &[Vec<usize>]) -> Fitted {
    let n = targets.len();
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
    Fitted { intercept: total * intercept.share(n), terms: Vec::new(), kernel: None, left_out: Some(left_out) }
}

/// Mean and population standard deviation; zeros of nothing.
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}
