//! Common slopes: ridge regressions to everybody's differences from their own means, averaged by the error on people left out.

use super::{Person, mean};
use crate::algebra::{add_scaled, solve};
use crate::ensemble::weights_without;
use crate::estimators::design::mean_and_sd;
use crate::estimators::linear::Columns;
use crate::features::{Block, FEATURES};
use crate::model::{Linear, Term};

/// Blocks whose slopes are averaged …
const BLOCKS: [Block; 5] = [Block::Times, Block::Movement, Block::OrientationFree, Block::PerAxis, Block::All];
/// … and penalties a column, in units of a column's variance within people.
const STRENGTHS: [f64; 5] = [0.001, 0.003, 0.01, 0.03, 0.1];

/// Everybody's recordings about their own means.
pub(super) struct Pooled {
    /// Of each feature.
    pub(super) means: Vec<f64>,
    pub(super) within: Vec<f64>,
    pub(super) overall: Vec<f64>,
}

impl Pooled {
    pub(super) fn of(people: &[Person<'_>]) -> Option<Self> {
        let mut pooled = Self { means: vec![], within: vec![], overall: vec![] };
        for j in 0..FEATURES {
            let column = |p: &Person<'_>| p.rows.iter().filter_map(|r| r.get(j).copied()).collect::<Vec<f64>>();
            let columns: Vec<Vec<f64>> = people.iter().map(column).collect();
            let all: Vec<f64> = columns.iter().flatten().copied().collect();
            let within: Vec<f64> = columns
                .iter()
                .flat_map(|c| {
                    let (mean, _) = mean_and_sd(c);
                    c.iter().map(move |v| v - mean)
                })
                .collect();
            let (mean, overall) = mean_and_sd(&all);
            let (_, deviation) = mean_and_sd(&within);
            let varies = deviation > 1e-7 * (1.0 + mean.abs());
            pooled.means.push(mean);
            pooled.overall.push(overall);
            pooled.within.push(if varies { deviation } else { 0.0 });
        }
        pooled.within.iter().any(|deviation| *deviation > 0.0).then_some(pooled)
    }

    /// Slopes without each fold's people, and, last, of all.
    pub(super) fn slopes(&self, people: &[Person<'_>], folds: usize) -> Option<Vec<Linear>> {
        let targets: Vec<Vec<f64>> = people
            .iter()
            .map(|p| {
                let level = mean(p.scores.iter().copied());
                p.scores.iter().map(|s| s - level).collect()
            })
            .collect();
        let flat: Vec<f64> = targets.iter().flatten().copied().collect();
        let columns: Vec<usize> = Block::All.columns().filter(|j| self.deviation(*j) > 0.0).collect();
        let designs: Vec<Columns> = people.iter().map(|person| self.design(person, &columns)).collect();
        let products = Products::of(&designs, &targets, folds);
        // No slopes at all come first: what is predicted of a difference then is none.
        let mut left_out = vec![vec![0.0; flat.len()]];
        let mut fits: Vec<Vec<Vec<f64>>> = vec![vec![vec![0.0; FEATURES]; folds + 1]];
        for block in BLOCKS {
            let of_block: Vec<usize> = block.columns().collect();
            let places: Vec<usize> = (0..columns.len())
                .filter(|place| columns.get(*place).is_some_and(|column| of_block.binary_search(column).is_ok()))
                .collect();
            if places.is_empty() {
                continue;
            }
            let systems: Vec<System> = products.iter().map(|products| products.of_places(&places)).collect();
            for strength in STRENGTHS {
                let found: Vec<Vec<f64>> =
                    systems.iter().map(|system| system.solved(strength, &places)).collect::<Option<_>>()?;
                let predicted = |(i, x): (usize, &Columns)| Some(x.combined(found.get(i % folds)?));
                left_out.push(designs.iter().enumerate().filter_map(predicted).flatten().collect());
                fits.push(found.iter().map(|weights| self.spread(weights, &columns)).collect());
            }
        }
        // Each fold's people have no say in what is mixed for them; for all, nobody is left out. (What others' errors say was found by
        // fits that did see those people: to have it without would take a fit for each pair of folds.)
        let whose: Vec<usize> = targets.iter().enumerate().flat_map(|(i, t)| t.iter().map(move |_| i)).collect();
        let of_fold =
            |fold| whose.iter().enumerate().filter(|(_, i)| *i % folds == fold).map(|(place, _)| place).collect();
        let groups: Vec<Vec<usize>> = (0..=folds).map(of_fold).collect();
        let left_out: Vec<&[f64]> = left_out.iter().map(Vec::as_slice).collect();
        let mixed = weights_without(&left_out, &flat, &vec![1.0; left_out.len()], &groups);
        let average = |(fold, mixed): (usize, &Vec<f64>)| {
            let mut sum = vec![0.0; FEATURES];
            for (fit, weight) in fits.iter().zip(mixed) {
                add_scaled(&mut sum, *weight, fit.get(fold).map(Vec::as_slice).unwrap_or_default());
            }
            linear(&sum, people.iter().enumerate().filter(|(i, _)| i % folds != fold).map(|(_, person)| person))
        };
        Some(mixed.iter().enumerate().map(average).collect())
    }

    /// Of a feature within people; 0 where it does not vary.
    fn deviation(&self, feature: usize) -> f64 {
        self.within.get(feature).copied().unwrap_or(0.0)
    }

    /// A person's rows about their mean, in units of the deviation within people.
    fn design(&self, person: &Person<'_>, columns: &[usize]) -> Columns {
        let column = |j: &usize| {
            let values: Vec<f64> = person.rows.iter().filter_map(|row| row.get(*j).copied()).collect();
            let ((mean, _), deviation) = (mean_and_sd(&values), self.deviation(*j));
            values.into_iter().map(move |value| (value - mean) / deviation)
        };
        Columns { rows: person.rows.len(), values: columns.iter().flat_map(column).collect() }
    }

    /// Weights of standardised columns as weights of raw features.
    fn spread(&self, weights: &[f64], columns: &[usize]) -> Vec<f64> {
        let mut all = vec![0.0; FEATURES];
        for (weight, j) in weights.iter().zip(columns) {
            if let Some(slot) = all.get_mut(*j) {
                *slot = weight / self.deviation(*j);
            }
        }
        all
    }
}

/// Weights of raw features, followed half of what these people together span beyond what any of them did.
fn linear<'a>(weights: &[f64], people: impl Iterator<Item = &'a Person<'a>>) -> Linear {
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); weights.len()];
    for row in people.flat_map(|person| &person.rows) {
        for ((low, high), value) in ranges.iter_mut().zip(*row) {
            (*low, *high) = (low.min(*value), high.max(*value));
        }
    }
    let term = |(weight, (low, high)): (&f64, &(f64, f64))| {
        let beyond = (high - low) / 2.0;
        Term { weight: *weight, low: low - beyond, high: high + beyond }
    };
    Linear { intercept: 0.0, terms: weights.iter().zip(&ranges).map(term).collect() }
}

/// Products of some people's standardised columns with one another and with their scores.
#[derive(Clone)]
struct Products {
    gram: Vec<f64>,
    moments: Vec<f64>,
    rows: usize,
}

impl Products {
    /// Of everybody but a fold's people, fold by fold, and, last, of everybody.
    fn of(designs: &[Columns], targets: &[Vec<f64>], folds: usize) -> Vec<Self> {
        let width = designs.first().map_or(0, Columns::len);
        let nothing = Self { gram: vec![0.0; width * width], moments: vec![0.0; width], rows: 0 };
        let (mut in_folds, mut all) = (vec![nothing.clone(); folds], nothing);
        for (i, (x, y)) in designs.iter().zip(targets).enumerate() {
            let of_person = Self { gram: x.gram(), moments: x.moments(y), rows: y.len() };
            all.add(&of_person, 1.0);
            if let Some(fold) = in_folds.get_mut(i % folds) {
                fold.add(&of_person, 1.0);
            }
        }
        let without = |fold: Self| {
            let mut rest = all.clone();
            rest.add(&fold, -1.0);
            rest.rows = all.rows - fold.rows;
            rest
        };
        in_folds.into_iter().map(without).chain([all.clone()]).collect()
    }

    fn add(&mut self, other: &Self, share: f64) {
        add_scaled(&mut self.gram, share, &other.gram);
        add_scaled(&mut self.moments, share, &other.moments);
        self.rows += other.rows;
    }

    /// Of some columns.
    fn of_places(&self, places: &[usize]) -> System {
        let width = self.moments.len();
        let row = |i: &usize| self.gram.get(i * width..(i + 1) * width).unwrap_or_default();
        System {
            gram: places.iter().flat_map(|i| places.iter().filter_map(|j| row(i).get(*j).copied())).collect(),
            moments: places.iter().filter_map(|i| self.moments.get(*i).copied()).collect(),
            rows: self.rows,
            width,
        }
    }
}

/// A ridge regression to some columns of so many.
struct System {
    gram: Vec<f64>,
    moments: Vec<f64>,
    rows: usize,
    width: usize,
}

impl System {
    /// Weights of all columns, with that penalty a column.
    fn solved(&self, strength: f64, places: &[usize]) -> Option<Vec<f64>> {
        let (mut gram, mut weights) = (self.gram.clone(), self.moments.clone());
        let penalty = strength * (places.len() * self.rows) as f64;
        gram.iter_mut().step_by(places.len() + 1).for_each(|d| *d += penalty);
        solve(&mut gram, &mut weights)?;
        let mut all = vec![0.0; self.width];
        for (place, weight) in places.iter().zip(weights) {
            if let Some(slot) = all.get_mut(*place) {
                *slot = weight;
            }
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_for_people_are_followed_as_far_as_the_others_reach() {
        let row = |who: usize, i: usize| -> Vec<f64> {
            let far = if who == 2 { 100.0 } else { 0.0 };
            (0..FEATURES).map(|j| far + i as f64 + ((who * 5 + i * 3 + j) as f64).sin()).collect()
        };
        let rows: Vec<Vec<Vec<f64>>> = (0..4).map(|who| (0..6).map(|i| row(who, i)).collect()).collect();
        let mut people = Vec::new();
        for rows in &rows {
            people.push(Person {
                rows: rows.iter().map(Vec::as_slice).collect(),
                scores: (0..6).map(|i| 50.0 + 5.0 * f64::from(i)).collect(),
                units: (0..6).map(|i| vec![i]).collect(),
            });
        }
        let slopes = Pooled::of(&people).unwrap().slopes(&people, 4).unwrap();
        let highest = |fold: usize| slopes[fold].terms.iter().fold(f64::NEG_INFINITY, |high, term| high.max(term.high));
        assert!(highest(2) < 20.0, "{}", highest(2));
        for fold in [0, 1, 3, 4] {
            assert!(highest(fold) > 100.0, "{fold}: {}", highest(fold));
        }
    }
}
