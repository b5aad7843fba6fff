//! Every candidate's fit, what it predicts of what was left out of it, and their average.

use std::ops::Range;

use crate::card::{WeightedCandidate, rounded};
use crate::ensemble::{left_out_mixture, weights};
use crate::estimators::design::{Designs, Fitted, Targets};
use crate::estimators::gaussian_process::Intercept;
use crate::estimators::{Candidate, Estimator, Target, own_candidates, remainder_candidates};
use crate::features::FEATURES;
use crate::kernel_part::KernelPart;
use crate::model::{Linear, Term, clip};

/// Fewer recordings than this teach nothing but their mean.
pub(crate) const MIN_TO_FIT: usize = 3;
/// Folds, of the whole of training and of a fit without a closed form for what is left out; each recording alone up to as many.
pub(crate) const FOLDS: usize = 10;
/// How much is given beforehand to an estimator that does not know the prior, over one that does.
const WITHOUT_PRIOR: f64 = 0.1;
/// Parts of an average that weigh less are left out of the model.
const LEAST_WEIGHT: f64 = 0.005;

/// A candidate's fit, and what it predicts, on the scale of scores, for each row as if left out.
pub(crate) struct Member {
    candidate: Candidate,
    fitted: Fitted,
    left_out: Vec<f64>,
    /// Share of the average that it has beforehand.
    mass: f64,
}

/// Every candidate that can be fitted. `units`: positions that are left out together; `common`: the prior's predictions, and what is
/// known of what they leave.
pub(crate) fn members(
    rows: &[&[f64]],
    scores: &[f64],
    units: &[Vec<usize>],
    common: Option<(&[f64], Intercept)>,
) -> Vec<Member> {
    let designs = Repeated::new(rows, units);
    let mass = if common.is_some() { WITHOUT_PRIOR } else { 1.0 };
    let own = common.is_none() || rows.len() >= MIN_TO_FIT;
    let candidates = own_candidates().into_iter().filter(|_| own);
    let targets = designs.targets(scores.to_vec());
    let own = candidates.filter_map(|candidate| {
        let (fitted, left_out) = designs.fit(&targets, candidate, Intercept::Free)?;
        Some(Member { candidate, fitted, left_out, mass })
    });
    let Some((predicted, intercept)) = common else { return own.collect() };
    let remainders = designs.targets(scores.iter().zip(predicted).map(|(s, p)| s - p).collect());
    let remainder = remainder_candidates().into_iter().filter_map(|candidate| {
        let (fitted, left_out) = designs.fit(&remainders, candidate, intercept)?;
        let left_out = left_out.iter().zip(predicted).map(|(left_out, p)| left_out + p).collect();
        Some(Member { candidate, fitted, left_out, mass: 1.0 })
    });
    own.chain(remainder).collect()
}

/// All rows, and those that are left of them in each fold.
struct Repeated<'a> {
    units: &'a [Vec<usize>],
    whole: Designs<'a>,
    /// What is left out, and the rest.
    folds: Vec<(Vec<usize>, Designs<'a>)>,
}

impl<'a> Repeated<'a> {
    fn new(rows: &[&'a [f64]], units: &'a [Vec<usize>]) -> Self {
        let fold = |out: Vec<usize>| {
            let designs = Designs::new(without(rows, &out));
            (out, designs)
        };
        Self { units, whole: Designs::new(rows.to_vec()), folds: folds(units).into_iter().map(fold).collect() }
    }

    /// Of all rows first, then of each fold.
    fn targets(&self, all: Vec<f64>) -> (Targets, Vec<Targets>) {
        let in_folds = self.folds.iter().map(|(out, _)| Targets::new(without(&all, out))).collect();
        (Targets::new(all), in_folds)
    }

    /// Fits a candidate to all rows, and says what it predicts for each as if left out.
    fn fit(
        &self,
        (all, in_folds): &(Targets, Vec<Targets>),
        Candidate { block, estimator, .. }: Candidate,
        intercept: Intercept,
    ) -> Option<(Fitted, Vec<f64>)> {
        if estimator != Estimator::Mean && self.units.len() < MIN_TO_FIT {
            return None;
        }
        let mut fitted = self.whole.of(block)?.fit(all, estimator, intercept, self.units)?;
        let left_out = if let Some(left_out) = fitted.left_out.take() {
            left_out
        } else {
            let mut left_out = vec![f64::NAN; self.whole.rows().len()];
            for ((out, designs), targets) in self.folds.iter().zip(in_folds) {
                let fitted = designs.of(block)?.fit(targets, estimator, intercept, &[])?;
                let predict = |i: &usize| self.whole.rows().get(*i).map(|row| fitted.predict(row));
                place(&mut left_out, out, &out.iter().filter_map(predict).collect::<Vec<f64>>());
            }
            left_out
        };
        left_out.iter().all(|p| p.is_finite()).then_some((fitted, left_out))
    }
}

/// Puts each value into its place.
pub(crate) fn place(into: &mut [f64], places: &[usize], values: &[f64]) {
    for (i, value) in places.iter().zip(values) {
        if let Some(slot) = into.get_mut(*i) {
            *slot = *value;
        }
    }
}

/// Predicted, on the scale of scores, less true.
pub(crate) fn errors(predicted: &[f64], scores: &[f64]) -> Vec<f64> {
    predicted.iter().zip(scores).map(|(predicted, score)| clip(*predicted) - score).collect()
}

/// An average of members.
pub(crate) struct Average {
    /// One a member.
    pub(crate) weights: Vec<f64>,
    /// Prediction for each row as if left out, of the fits and of the weights.
    pub(crate) left_out: Vec<f64>,
}

pub(crate) fn average(members: &[Member], scores: &[f64], units: &[Vec<usize>]) -> Average {
    let left_out: Vec<&[f64]> = members.iter().map(|member| member.left_out.as_slice()).collect();
    let masses: Vec<f64> = members.iter().map(|member| member.mass).collect();
    let raw = weights(&left_out, scores, &masses);
    // Small parts cost memory and say nothing.
    let kept: Vec<f64> = raw.iter().map(|w| if *w < LEAST_WEIGHT { 0.0 } else { *w }).collect();
    let total: f64 = kept.iter().sum();
    Average {
        weights: kept.iter().map(|w| w / total.max(f64::MIN_POSITIVE)).collect(),
        left_out: left_out_mixture(&left_out, scores, &masses, units),
    }
}

/// A model that was trained without a fold, weights included, and the fold.
pub(crate) struct Nested {
    /// Positions that were left out.
    pub(crate) out: Vec<usize>,
    /// What the model predicts for each of them.
    pub(crate) predicted: Vec<f64>,
    /// Errors of the model's fits on the rest, each left out.
    pub(crate) errors: Vec<f64>,
}

/// Models trained without each of these [`folds`]. `common`: as in [`members`].
pub(crate) fn nested(
    rows: &[&[f64]],
    scores: &[f64],
    units: &[Vec<usize>],
    common: Option<(&[f64], Intercept)>,
    folds: impl IntoIterator<Item = Vec<usize>>,
) -> Vec<Nested> {
    let without_fold = |out: Vec<usize>| {
        let (in_rows, in_scores) = (without(rows, &out), without(scores, &out));
        let in_common = common.map(|(predicted, intercept)| (without(predicted, &out), intercept));
        let in_common = in_common.as_ref().map(|(predicted, intercept)| (predicted.as_slice(), *intercept));
        // Positions move up by as many as were left out before them.
        let moved = |i: &usize| i - out.iter().filter(|o| *o < i).count();
        let kept = units.iter().filter(|unit| unit.iter().all(|i| !out.contains(i)));
        let units: Vec<Vec<usize>> = kept.map(|unit| unit.iter().map(moved).collect()).collect();
        let members = members(&in_rows, &in_scores, &units, in_common);
        let Average { weights, left_out } = average(&members, &in_scores, &units);
        let predict = |i: &usize| -> Option<f64> {
            let (row, given) = (*rows.get(*i)?, common.and_then(|(predicted, _)| predicted.get(*i)).unwrap_or(&0.0));
            let part = |(member, weight): (&Member, &f64)| weight * member.predict(row, *given);
            Some(members.iter().zip(&weights).map(part).sum())
        };
        Nested { predicted: out.iter().filter_map(predict).collect(), errors: errors(&left_out, &in_scores), out }
    };
    folds.into_iter().map(without_fold).collect()
}

impl Member {
    /// Of a recording for which the prior gives that.
    fn predict(&self, row: &[f64], prior: f64) -> f64 {
        let given = if self.candidate.target == Target::Remainder { prior } else { 0.0 };
        given + self.fitted.predict(row)
    }
}

fn without<T: Copy>(all: &[T], out: &[usize]) -> Vec<T> {
    all.iter().enumerate().filter(|(i, _)| !out.contains(i)).map(|(_, value)| *value).collect()
}

/// Positions that are left out together: those of one group, or each alone.
pub(crate) fn units(n: usize, groups: Option<&[&str]>) -> Vec<Vec<usize>> {
    let Some(groups) = groups else { return (0..n).map(|i| vec![i]).collect() };
    let mut units: Vec<(&str, Vec<usize>)> = Vec::new();
    for (i, group) in groups.iter().enumerate().take(n) {
        match units.iter_mut().find(|(name, _)| name == group) {
            Some((_, unit)) => unit.push(i),
            None => units.push((group, vec![i])),
        }
    }
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// Units as folds: each, or of many a run of neighbours, often recorded on one day.
pub(crate) fn folds(units: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = units.len();
    if count <= FOLDS {
        return units.to_vec();
    }
    let run = |fold: usize| -> Range<usize> { fold * count / FOLDS..(fold + 1) * count / FOLDS };
    (0..FOLDS).map(|fold| units.get(run(fold)).unwrap_or_default().concat()).collect()
}

/// An average of members as parts of a model.
pub(crate) struct Assembled {
    pub(crate) linear: Linear,
    pub(crate) kernels: Vec<KernelPart>,
    /// By weight.
    pub(crate) candidates: Vec<WeightedCandidate>,
    /// Weight of the members that were fitted to what a prior leaves: the share of the prior itself.
    pub(crate) of_prior: f64,
}

pub(crate) fn assemble(members: Vec<Member>, weights: &[f64]) -> Assembled {
    let mut linear = Linear { intercept: 0.0, terms: vec![Term::default(); FEATURES] };
    let (mut kernels, mut candidates, mut of_prior) = (Vec::<KernelPart>::new(), Vec::new(), 0.0);
    for (Member { candidate, fitted, .. }, weight) in members.into_iter().zip(weights).filter(|(_, w)| **w > 0.0) {
        of_prior += if candidate.target == Target::Remainder { *weight } else { 0.0 };
        fitted.add_to(&mut linear, *weight);
        if let Some(kernel) = fitted.kernel.map(|kernel| kernel.scaled(*weight))
            && !kernels.iter_mut().any(|part| part.absorb(&kernel))
        {
            kernels.push(kernel);
        }
        candidates.push(WeightedCandidate { candidate, weight: rounded(*weight) });
    }
    candidates.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Assembled { linear, kernels, candidates, of_prior }
}
