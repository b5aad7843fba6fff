//! Whether a recording is like those that a model was trained on.

use serde::{Deserialize, Serialize};

/// From this novelty on a recording is unlike the training recordings. Of held-out recordings of the same person and device about
/// one in a hundred is, of those from a device worn elsewhere nineteen in twenty (docs/MODELS.md).
pub const UNLIKE: f64 = 1.75;

/// Standard deviations of a feature that count at most: one odd feature is no odd recording.
const COUNTED: f64 = 8.0;
/// Share of a feature's size that its standard deviation is never less than: a few recordings may agree by luck.
const RESOLUTION: f64 = 1e-3;

/// Where the training recordings lie: mean and spread of each feature, and how far they are from one another by that measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Mean of each feature.
    pub means: Vec<f32>,
    /// Standard deviation of each feature; 0 where it was constant, which is not looked at.
    pub deviations: Vec<f32>,
    /// Typical distance of a training recording from the others.
    pub typical: f64,
}

/// What is known of features besides the training rows: a mean and a standard deviation each, and of how many rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) means: &'a [f64],
    pub(crate) deviations: &'a [f64],
    pub(crate) rows: f64,
}

impl Envelope {
    /// Around training rows; what is `known` stands in for rows while these are few. `None` of fewer than three rows and nothing known.
    pub(crate) fn around(rows: &[&[f64]], known: Option<Known<'_>>) -> Option<Self> {
        if rows.len() < 3 && known.is_none() {
            return None;
        }
        let places = known.map_or_else(|| rows.first().map_or(0, |row| row.len()), |known| known.means.len());
        let (mut means, mut deviations) = (Vec::with_capacity(places), Vec::with_capacity(places));
        let mut total = 0.0;
        let mut distances = vec![0.0; rows.len()];
        let mut counted = 0.0;
        for j in 0..places {
            let column: Vec<f64> = rows.iter().filter_map(|row| row.get(j).copied()).collect();
            let moments = Moments::of(&column, known, j);
            let (mean, deviation) = moments.mean_and_deviation();
            means.push(mean as f32);
            deviations.push(deviation as f32);
            if deviation > 0.0 {
                counted += 1.0;
                for (distance, value) in distances.iter_mut().zip(&column) {
                    *distance += moments.without(*value).square(*value);
                }
            }
        }
        for distance in &distances {
            total += distance / f64::max(counted, 1.0);
        }
        // Rows that are only known of count as typical ones: one deviation away.
        let (rows, known) = (rows.len() as f64, known.map_or(0.0, |known| known.rows));
        let typical = ((total + known) / (rows + known)).sqrt();
        (typical.is_finite() && typical > 0.0).then_some(Self { means, deviations, typical })
    }

    /// How far a recording lies from the training recordings, over how far these lie from one another: about 1 for one like them.
    #[must_use]
    pub fn novelty(&self, features: &[f64]) -> f64 {
        let (mut sum, mut counted) = (0.0, 0.0);
        for ((value, mean), deviation) in features.iter().zip(&self.means).zip(&self.deviations) {
            if *deviation > 0.0 {
                let z = ((value - f64::from(*mean)) / f64::from(*deviation)).abs().min(COUNTED);
                sum += z * z;
                counted += 1.0;
            }
        }
        (sum / f64::max(counted, 1.0)).sqrt() / self.typical
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.means.len() == self.deviations.len()
            && self.means.iter().all(|v| v.is_finite())
            && self.deviations.iter().all(|v| v.is_finite() && *v >= 0.0)
            && self.typical.is_finite()
            && self.typical > 0.0
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        (self.means.capacity() + self.deviations.capacity()) * size_of::<f32>()
    }
}

/// Number, sum and sum of squares of a feature's values, and what is known of it.
#[derive(Clone, Copy)]
struct Moments {
    rows: f64,
    sum: f64,
    squares: f64,
    known_rows: f64,
    known_mean: f64,
    known_deviation: f64,
    constant: bool,
}

impl Moments {
    fn of(column: &[f64], known: Option<Known<'_>>, j: usize) -> Self {
        let place = |values: &[f64]| values.get(j).copied().unwrap_or(0.0);
        let (known_rows, known_mean, known_deviation) =
            known.map_or((0.0, 0.0, 0.0), |k| (k.rows, place(k.means), place(k.deviations)));
        let constant = column.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) && known_deviation == 0.0;
        Self {
            rows: column.len() as f64,
            sum: column.iter().sum(),
            squares: column.iter().map(|v| v * v).sum(),
            known_rows,
            known_mean,
            known_deviation,
            constant,
        }
    }

    fn without(self, value: f64) -> Self {
        Self { rows: self.rows - 1.0, sum: self.sum - value, squares: self.squares - value * value, ..self }
    }

    /// The mean of the rows, and the deviation of a new row from it.
    fn mean_and_deviation(self) -> (f64, f64) {
        if self.constant {
            return (self.sum / self.rows.max(1.0), 0.0);
        }
        let mean = if self.rows > 0.0 { self.sum / self.rows } else { self.known_mean };
        let own = (self.squares - self.rows * mean * mean).max(0.0);
        let freedom = (self.rows - 1.0).max(0.0) + self.known_rows;
        let known = self.known_rows * self.known_deviation * self.known_deviation;
        let deviation = ((own + known) / freedom.max(1.0)).sqrt() + RESOLUTION * (1.0 + mean.abs());
        let uncertain = (1.0 + 1.0 / self.rows.max(1.0)).sqrt();
        (mean, deviation * uncertain)
    }

    fn square(self, value: f64) -> f64 {
        let (mean, deviation) = self.mean_and_deviation();
        let z = ((value - mean) / deviation).abs().min(COUNTED);
        z * z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Vec<Vec<f64>> {
        let value = |i: usize, j: usize| 5.0 + ((i * 37 + j * 11) as f64 * 0.7).sin() * (1.0 + j as f64);
        (0..n).map(|i| (0..20).map(|j| if j == 7 { 3.0 } else { value(i, j) }).collect()).collect()
    }

    #[test]
    fn a_row_like_the_others_is_not_novel_and_a_far_one_is() {
        let all = rows(13);
        let training: Vec<&[f64]> = all.iter().take(12).map(Vec::as_slice).collect();
        let envelope = Envelope::around(&training, None).unwrap();
        assert!(envelope.novelty(&all[12]) < UNLIKE, "{}", envelope.novelty(&all[12]));
        let far: Vec<f64> = all[12].iter().map(|v| v * 5.0).collect();
        assert!(envelope.novelty(&far) > UNLIKE);
    }

    #[test]
    fn one_odd_feature_is_no_odd_recording_and_a_constant_one_is_not_looked_at() {
        let all = rows(13);
        let training: Vec<&[f64]> = all.iter().take(12).map(Vec::as_slice).collect();
        let envelope = Envelope::around(&training, None).unwrap();
        let mut odd = all[12].clone();
        let before = envelope.novelty(&odd);
        odd[7] = 1e9;
        assert_eq!(envelope.novelty(&odd), before);
        odd[3] = 1e300;
        assert!(envelope.novelty(&odd) < 2.5, "{}", envelope.novelty(&odd));
    }

    #[test]
    fn too_few_rows_have_no_envelope_unless_something_is_known() {
        let all = rows(2);
        let training: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
        assert_eq!(Envelope::around(&training, None), None);
        let (means, deviations) = (vec![5.0; 20], vec![2.0; 20]);
        let known = Known { means: &means, deviations: &deviations, rows: 10.0 };
        let envelope = Envelope::around(&[], Some(known)).unwrap();
        assert!(envelope.novelty(&[6.0; 20]) < 1.0 && envelope.novelty(&[12.0; 20]) > UNLIKE);
    }
}
