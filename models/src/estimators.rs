//! Candidate estimators and their fits.
//!
//! A candidate is a block of features, an estimator and its hyper-parameters. Features are standardised on the rows of the fit, and
//! columns that are constant there are dropped. Scores are standardised too, so that penalties do not depend on their spread.
//! Ridge, elastic net and PLS come from the linfa crates.

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_elasticnet::ElasticNet;
use linfa_pls::PlsRegression;
use ndarray::{Array1, Array2, ShapeBuilder};
use serde::{Deserialize, Serialize};

use crate::features::Block;
use crate::model::{Linear, Term};

/// An estimator with its hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Estimator {
    /// Always the mean training score.
    Mean,
    /// Least squares with a squared penalty of `strength` times the number of columns (Hoerl and Kennard 1970). Scaling by columns
    /// keeps a strength comparable between blocks.
    Ridge {
        /// Penalty a column, in units of the (unit) variance of a column.
        strength: f64,
    },
    /// Least squares with absolute and squared penalties (Zou and Hastie 2005).
    ElasticNet {
        /// Penalty, in units of the standardised score.
        strength: f64,
        /// Share of the absolute penalty, 0 to 1.
        l1_ratio: f64,
    },
    /// Partial least squares with one component: the direction of greatest covariance with the score (Wegelin 2000). More
    /// components gain nothing with tens of recordings, and one cannot run out of rank.
    Pls,
}

/// A block of features and the estimator that is fitted to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Features that the estimator sees.
    pub block: Block,
    /// The estimator.
    pub estimator: Estimator,
}

/// The candidates, simplest first. The list is short and its penalties strong because it is searched with some ten recordings:
/// each candidate more is one more chance of looking good by luck.
#[must_use]
pub fn candidates() -> Vec<Candidate> {
    use Estimator::{ElasticNet, Mean, Pls, Ridge};
    [
        (Block::Times, Mean),
        (Block::Times, Ridge { strength: 0.1 }),
        (Block::Times, Ridge { strength: 0.02 }),
        (Block::Whole, Ridge { strength: 0.1 }),
        (Block::Whole, Ridge { strength: 0.03 }),
        (Block::Whole, Ridge { strength: 0.01 }),
        (Block::Whole, Pls),
        (Block::Whole, ElasticNet { strength: 0.2, l1_ratio: 0.5 }),
        (Block::PerAxis, Ridge { strength: 0.1 }),
        (Block::PerAxis, Ridge { strength: 0.03 }),
        (Block::PerAxis, Pls),
        (Block::Both, Ridge { strength: 0.03 }),
    ]
    .into_iter()
    .map(|(block, estimator)| Candidate { block, estimator })
    .collect()
}

/// Rows of a fit, standardised once for all estimators on the same block.
pub(crate) struct Design {
    /// Length of the full feature vector.
    features: usize,
    columns: Vec<Column>,
    /// Rows by columns, column-major: coordinate descent walks columns.
    x: Array2<f64>,
    y: Array1<f64>,
    score_mean: f64,
    score_sd: f64,
}

struct Column {
    index: usize,
    mean: f64,
    sd: f64,
    low: f64,
    high: f64,
}

/// Sweeps of coordinate descent for ridge: enough for 1e-3 of the exact solution with the penalties above (tested).
const RIDGE_SWEEPS: u32 = 120;

/// How far beyond the range of the training rows a feature is followed, as a share of that range. Ten recordings say nothing about
/// a value far outside theirs, such as a step period that was mistaken for a stride's.
const BEYOND: f64 = 1.0;

impl Design {
    /// Standardises the block's columns of `rows` and the `scores` (one a row).
    pub(crate) fn new(rows: &[&[f64]], scores: &[f64], block: Block) -> Self {
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
        let (score_mean, score_sd) = mean_and_sd(scores);
        let y = scores.iter().map(|s| (s - score_mean) / score_sd).collect();
        let x = Array2::from_shape_vec((rows.len(), columns.len()).f(), values).unwrap_or_default();
        Self { features, columns, x, y, score_mean, score_sd }
    }

    /// Fits an estimator; `None` where it cannot be fitted to these rows (no varying column or score, or no finite solution).
    pub(crate) fn fit(&self, estimator: Estimator) -> Option<Linear> {
        if estimator == Estimator::Mean {
            return Some(Linear { intercept: self.score_mean, terms: vec![Term::default(); self.features] });
        }
        if self.columns.is_empty() || self.score_sd < 1e-9 || !self.score_sd.is_finite() {
            return None;
        }
        let weights = match estimator {
            Estimator::Mean => return None,
            Estimator::Ridge { strength } => self.penalised(strength * self.columns.len() as f64, 0.0)?,
            Estimator::ElasticNet { strength, l1_ratio } => self.penalised(strength, l1_ratio)?,
            Estimator::Pls => self.pls()?,
        };
        self.unfold(&weights)
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
        let targets = self.y.clone().insert_axis(ndarray::Axis(1));
        let fitted = PlsRegression::params(1).fit(&DatasetBase::new(self.x.clone(), targets)).ok()?;
        // The crate keeps its scaling private: predictions at zero and at each unit vector tell intercept and weights.
        let p = self.columns.len();
        let mut probes = Array2::zeros((p + 1, p));
        for (mut probe, j) in probes.rows_mut().into_iter().skip(1).zip(0..p) {
            if let Some(one) = probe.get_mut(j) {
                *one = 1.0;
            }
        }
        let answers: Vec<f64> = fitted.predict(&probes).iter().copied().collect();
        let (zero, units) = answers.split_first()?;
        Some(units.iter().map(|unit| unit - zero).collect())
    }

    /// Weights over standardised columns as weights over raw features.
    fn unfold(&self, standardised: &Array1<f64>) -> Option<Linear> {
        let mut linear = Linear { intercept: self.score_mean, terms: vec![Term::default(); self.features] };
        for (column, weight) in self.columns.iter().zip(standardised) {
            let raw = weight * self.score_sd / column.sd;
            linear.intercept -= raw * column.mean;
            if raw != 0.0 {
                *linear.terms.get_mut(column.index)? = Term { weight: raw, low: column.low, high: column.high };
            }
        }
        linear.is_finite().then_some(linear)
    }
}

/// Mean and population standard deviation; zeros of nothing.
fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FEATURES;

    /// Feature 1 is the score halved, feature 2 is constant, the others are zero.
    fn rows() -> (Vec<Vec<f64>>, Vec<f64>) {
        let scores: Vec<f64> = vec![40.0, 50.0, 60.0, 70.0, 80.0];
        let rows = scores
            .iter()
            .map(|s| (0..FEATURES).map(|j| [0.0, s / 2.0, 7.0].get(j).copied().unwrap_or(0.0)).collect())
            .collect();
        (rows, scores)
    }

    fn fit(estimator: Estimator) -> Linear {
        let (rows, scores) = rows();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        Design::new(&rows, &scores, Block::Whole).fit(estimator).unwrap()
    }

    #[test]
    fn ridge_shrinks_one_column_by_one_plus_its_penalty() {
        // One standardised column that equals the standardised score: w = 1 / (1 + penalty), here penalty = 0.25 · 1 column.
        let fitted = fit(Estimator::Ridge { strength: 0.25 });
        assert!((fitted.terms[1].weight - 2.0 / 1.25).abs() < 1e-6, "{fitted:?}");
        assert!((fitted.predict(&[0.0, 30.0]) - 60.0).abs() < 1e-9);
        assert_eq!(fitted.terms[2], Term::default());
    }

    #[test]
    fn ridge_comes_close_to_the_exact_solution() {
        // At the solution Xᵀ(y − Xw) = n · penalty · w. Columns share a trend, so that they correlate as real ones do.
        for (block, strength) in [(Block::Whole, 0.01), (Block::Whole, 0.1), (Block::Both, 0.03)] {
            let value = |i: usize, j: usize| i as f64 / 10.0 + ((i * 31 + j * 17) as f64 * 1.7).sin();
            let rows: Vec<Vec<f64>> = (0..20).map(|i| (0..FEATURES).map(|j| value(i, j)).collect()).collect();
            let scores: Vec<f64> = (0..20).map(|i| 40.0 + f64::from(i) + 5.0 * f64::from(i).cos()).collect();
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            let design = Design::new(&rows, &scores, block);
            let penalty = strength * design.columns.len() as f64;
            let w = design.penalised(penalty, 0.0).unwrap();
            let gradient = design.x.t().dot(&(&design.y - &design.x.dot(&w))) - 20.0 * penalty * &w;
            let start = design.x.t().dot(&design.y);
            assert!(gradient.dot(&gradient) < 1e-6 * start.dot(&start), "{block:?} {strength}: {gradient}");
        }
    }

    #[test]
    fn elastic_net_subtracts_the_absolute_part() {
        // w = (1 − strength · l1) / (1 + strength · (1 − l1)) = 0.9 / 1.1.
        let fitted = fit(Estimator::ElasticNet { strength: 0.2, l1_ratio: 0.5 });
        assert!((fitted.terms[1].weight - 2.0 * 0.9 / 1.1).abs() < 1e-6);
    }

    #[test]
    fn pls_finds_an_exact_line() {
        let fitted = fit(Estimator::Pls);
        assert!((fitted.predict(&[0.0, 45.0]) - 90.0).abs() < 1e-9);
        // Training rows are 20 to 40, so 60 is as far as the line is followed.
        assert!((fitted.predict(&[0.0, 1e6]) - 120.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_learn_from_is_no_fit() {
        let rows = vec![vec![1.0; FEATURES]; 4];
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        for candidate in candidates() {
            let fitted = Design::new(&rows, &[50.0, 60.0, 70.0, 80.0], candidate.block).fit(candidate.estimator);
            assert_eq!(fitted.is_some(), candidate.estimator == Estimator::Mean);
        }
        let (rows, _) = self::rows();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        assert_eq!(Design::new(&rows, &[50.0; 5], Block::Whole).fit(Estimator::Pls), None);
    }
}
