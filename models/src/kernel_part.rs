//! The part of a model that is not linear: bumps around its training recordings, in few principal components of a block of features.

use serde::{Deserialize, Serialize};

/// A standardised feature is followed this many standard deviations.
const FOLLOWED: f64 = 6.0;

/// A column and how it is standardised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StandardColumn {
    /// Position in the feature vector.
    pub index: u32,
    /// Mean over the training rows.
    pub mean: f32,
    /// Standard deviation over the training rows.
    pub sd: f32,
}

/// Bumps of one width: `weight · exp(−d² / 2 scale²)` around each row of the support.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bumps {
    /// Width, in units of a component.
    pub scale: f64,
    /// Height of each, in score points.
    pub weights: Vec<f64>,
}

/// A sum of bumps over projected features. Projection and support are kept in single precision: a model holds thousands of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelPart {
    /// Features that it sees.
    pub columns: Vec<StandardColumn>,
    /// Number of components.
    pub components: usize,
    /// Component after component of the first column, then of the second, …
    pub projection: Vec<f32>,
    /// Component after component of the first training row, then of the second, …
    pub support: Vec<f32>,
    /// One for each width.
    pub bumps: Vec<Bumps>,
}

impl KernelPart {
    /// What it adds to a score.
    pub(crate) fn predict(&self, features: &[f64]) -> f64 {
        let standardised = self.columns.iter().map(|column| {
            let value = features.get(column.index as usize).copied().unwrap_or(0.0);
            (value - f64::from(column.mean)) / f64::from(column.sd)
        });
        let here = self.project(standardised);
        let mut sum = 0.0;
        for (row, place) in self.support.chunks_exact(self.components.max(1)).enumerate() {
            let square: f64 = here.iter().zip(place).map(|(a, b)| (a - f64::from(*b)) * (a - f64::from(*b))).sum();
            let square = square / self.components.max(1) as f64;
            for Bumps { scale, weights } in &self.bumps {
                sum += weights.get(row).copied().unwrap_or(0.0) * (-square / (2.0 * scale * scale)).exp();
            }
        }
        sum
    }

    /// Components of a standardised row, rounded as the support is.
    pub(crate) fn project(&self, standardised: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut found = vec![0.0; self.components];
        for (value, directions) in standardised.zip(self.projection.chunks_exact(self.components.max(1))) {
            let value = value.clamp(-FOLLOWED, FOLLOWED);
            for (slot, direction) in found.iter_mut().zip(directions) {
                *slot += value * f64::from(*direction);
            }
        }
        found.into_iter().map(|v| f64::from(v as f32)).collect()
    }

    /// The same with all bumps in another size.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        for weight in self.bumps.iter_mut().flat_map(|bumps| &mut bumps.weights) {
            *weight *= factor;
        }
        self
    }

    /// Adds the bumps of another, where these are around the same rows, seen alike; whether they are.
    pub(crate) fn absorb(&mut self, other: &Self) -> bool {
        let alike = |(a, b): (&Bumps, &Bumps)| a.scale == b.scale && a.weights.len() == b.weights.len();
        let same = self.columns == other.columns
            && self.projection == other.projection
            && self.support == other.support
            && self.bumps.len() == other.bumps.len()
            && self.bumps.iter().zip(&other.bumps).all(alike);
        for (bumps, others) in self.bumps.iter_mut().zip(&other.bumps).filter(|_| same) {
            for (weight, other) in bumps.weights.iter_mut().zip(&others.weights) {
                *weight += other;
            }
        }
        same
    }

    /// Whether its shapes agree and its numbers are finite.
    pub(crate) fn is_sound(&self) -> bool {
        let rows = self.support.len() / self.components.max(1);
        let columns = self.columns.iter().all(|c| c.mean.is_finite() && c.sd.is_finite() && c.sd > 0.0);
        let singles = self.projection.iter().chain(&self.support).all(|v| v.is_finite());
        let bumps = self.bumps.iter().all(|b| {
            b.scale.is_finite() && b.scale > 0.0 && b.weights.len() == rows && b.weights.iter().all(|w| w.is_finite())
        });
        self.components > 0
            && self.projection.len() == self.columns.len() * self.components
            && self.support.len() == rows * self.components
            && columns
            && singles
            && bumps
    }

    /// Highest position of a feature that it reads.
    pub(crate) fn last_feature(&self) -> usize {
        self.columns.iter().map(|column| column.index as usize).max().unwrap_or(0)
    }

    /// Memory on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.columns.capacity() * size_of::<StandardColumn>()
            + (self.projection.capacity() + self.support.capacity()) * size_of::<f32>()
            + self.bumps.capacity() * size_of::<Bumps>()
            + self.bumps.iter().map(|bumps| bumps.weights.capacity() * size_of::<f64>()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> KernelPart {
        KernelPart {
            columns: vec![StandardColumn { index: 1, mean: 10.0, sd: 2.0 }],
            components: 1,
            projection: vec![1.0],
            support: vec![0.0, 1.0],
            bumps: vec![Bumps { scale: 1.0, weights: vec![4.0, 0.0] }],
        }
    }

    #[test]
    fn a_bump_falls_off_with_distance_and_stays_where_features_are_not_followed() {
        assert!((part().predict(&[0.0, 10.0]) - 4.0).abs() < 1e-12);
        assert!((part().predict(&[0.0, 12.0]) - 4.0 * (-0.5_f64).exp()).abs() < 1e-12);
        assert_eq!(part().predict(&[0.0, 1e300]), part().predict(&[0.0, 22.0]));
    }

    #[test]
    fn bumps_around_the_same_rows_are_added() {
        let mut sum = part();
        assert!(sum.absorb(&part().scaled(0.5)));
        assert_eq!(sum, part().scaled(1.5));
        let elsewhere = KernelPart { support: vec![0.0, 2.0], ..part() };
        let wider = KernelPart { bumps: vec![Bumps { scale: 2.0, weights: vec![4.0, 0.0] }], ..part() };
        for other in [elsewhere, wider] {
            assert!(!sum.absorb(&other));
            assert_eq!(sum, part().scaled(1.5));
        }
    }

    #[test]
    fn shapes_and_numbers_are_checked() {
        assert!(part().is_sound());
        assert!(!KernelPart { components: 0, ..part() }.is_sound());
        assert!(!KernelPart { support: vec![0.0], ..part() }.is_sound());
        assert!(!KernelPart { projection: vec![f32::NAN], ..part() }.is_sound());
        assert!(!part().scaled(f64::INFINITY).is_sound());
    }
}
