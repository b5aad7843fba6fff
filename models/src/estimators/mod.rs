//! Candidate estimators and their fits.
//!
//! A candidate is a block of features, an estimator and its hyper-parameters, fitted to scores or to what a prior leaves of them.
//! Features are standardised on the rows of the fit, and columns that are constant there are dropped. Ridge, elastic net, partial
//! least squares and support vector regression solve the problems of the linfa crates of these names, and are tested against them;
//! the Gaussian process is behind linfa's traits.

pub(crate) mod design;
mod eigen;
mod elastic_net;
pub mod gaussian_process;
pub(crate) mod linear;
mod spectrum;
mod support_vector;

use serde::{Deserialize, Serialize};

use crate::features::Block;

/// An estimator with its hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Estimator {
    /// Always the mean training score; of what a prior leaves, its mean shrunk towards zero.
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
    /// Linear support vector regression (Drucker et al. 1997): errors within `tube` cost nothing, and larger ones in proportion, so
    /// that one odd score does not bend the rest.
    SupportVector {
        /// Cost of an error, over the number of columns.
        cost: f64,
        /// Half the width of the tube, in units of the standardised score.
        tube: f64,
    },
    /// A Gaussian process whose hyper-parameters are averaged over a grid.
    GaussianProcess {
        /// Its kernel.
        kernel: KernelName,
    },
}

/// Kernels of a Gaussian process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelName {
    /// Linear in the features.
    Linear,
    /// Smooth in the block's first principal components.
    SquaredExponential,
}

/// What an estimator is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The score.
    #[default]
    Score,
    /// What the prior's prediction leaves of the score.
    Remainder,
}

/// A block of features and the estimator that is fitted to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Features that the estimator sees.
    pub block: Block,
    /// The estimator.
    pub estimator: Estimator,
    /// What it is fitted to.
    #[serde(default)]
    pub target: Target,
}

/// Candidates for what a patient's own recordings say, simplest first. Short, and of few hyper-parameters: with some ten recordings
/// each candidate more is one more chance of looking good by luck.
#[must_use]
pub fn own_candidates() -> Vec<Candidate> {
    use Block::{Movement, OrientationFree, PerAxis, Times};
    use Estimator::{ElasticNet, GaussianProcess, Mean, Pls, Ridge, SupportVector};
    use KernelName::{Linear, SquaredExponential};
    [
        (Times, Mean),
        (Times, Ridge { strength: 0.03 }),
        (Times, SupportVector { cost: 2.0, tube: 0.1 }),
        (Times, GaussianProcess { kernel: Linear }),
        (Times, GaussianProcess { kernel: SquaredExponential }),
        (Movement, ElasticNet { strength: 0.2, l1_ratio: 0.5 }),
        (Movement, Pls),
        (Movement, GaussianProcess { kernel: Linear }),
        (Movement, GaussianProcess { kernel: SquaredExponential }),
        (OrientationFree, GaussianProcess { kernel: Linear }),
        (PerAxis, Pls),
        (PerAxis, GaussianProcess { kernel: Linear }),
        (PerAxis, GaussianProcess { kernel: SquaredExponential }),
    ]
    .into_iter()
    .map(|(block, estimator)| Candidate { block, estimator, target: Target::Score })
    .collect()
}

/// Candidates for what a prior leaves: its mean first, which is the prior and a level of one's own.
#[must_use]
pub fn remainder_candidates() -> Vec<Candidate> {
    use Block::{Movement, OrientationFree, PerAxis, Times};
    use Estimator::{GaussianProcess, Mean};
    use KernelName::{Linear, SquaredExponential};
    [
        (Times, Mean),
        (Times, GaussianProcess { kernel: Linear }),
        (Times, GaussianProcess { kernel: SquaredExponential }),
        (Movement, GaussianProcess { kernel: Linear }),
        (Movement, GaussianProcess { kernel: SquaredExponential }),
        (OrientationFree, GaussianProcess { kernel: Linear }),
        (PerAxis, GaussianProcess { kernel: Linear }),
    ]
    .into_iter()
    .map(|(block, estimator)| Candidate { block, estimator, target: Target::Remainder })
    .collect()
}
