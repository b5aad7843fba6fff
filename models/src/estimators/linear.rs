//! Slopes of standardised columns for standardised targets, by ridge regression and partial least squares; elastic net and
//! support vectors have files of their own.
//!
//! Each solves the problem that the linfa crate of its name solves, and the tests hold them against one another. The crates are made
//! for one fit to many rows; here some hundred fits to tens of rows make one model.

use crate::algebra::{add_scaled, dot, solve, symmetric};

/// Rows, column after column.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) rows: usize,
    pub(crate) values: Vec<f64>,
}

impl Columns {
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.rows.max(1))
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.rows.max(1)
    }

    /// One row.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(row).step_by(self.rows.max(1)).copied()
    }

    /// Each column's product with a vector.
    pub(crate) fn moments(&self, y: &[f64]) -> Vec<f64> {
        self.iter().map(|column| dot(column, y)).collect()
    }

    /// Sum of columns, each in that share.
    pub(crate) fn combined(&self, shares: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.rows];
        for (column, share) in self.iter().zip(shares) {
            add_scaled(&mut sum, *share, column);
        }
        sum
    }

    /// Products of columns with one another: as many rows as columns.
    pub(crate) fn gram(&self) -> Vec<f64> {
        let p = self.len();
        symmetric(p, |i, j| dot(self.column(i), self.column(j)))
    }

    /// Products of rows with one another.
    pub(crate) fn row_gram(&self) -> Vec<f64> {
        let mut gram = vec![0.0; self.rows * self.rows];
        for column in self.iter() {
            for (row, value) in gram.chunks_exact_mut(self.rows.max(1)).zip(column) {
                add_scaled(row, *value, column);
            }
        }
        gram
    }

    fn column(&self, column: usize) -> &[f64] {
        self.values.get(column * self.rows..(column + 1) * self.rows).unwrap_or_default()
    }
}

/// Ridge regression: `‖y − Xw‖² + n · penalty · ‖w‖²` at its least (Hoerl and Kennard 1970).
pub(crate) fn ridge(x: &Columns, y: &[f64], penalty: f64) -> Option<Vec<f64>> {
    let (mut gram, mut weights) = (x.gram(), x.moments(y));
    gram.iter_mut().step_by(x.len() + 1).for_each(|d| *d += penalty * x.rows as f64);
    solve(&mut gram, &mut weights)?;
    Some(weights)
}

/// Partial least squares with one component: along the products with the target, as far as fits it best (Wegelin 2000). `None`
/// where no column varies with the target.
pub(crate) fn partial_least_squares(x: &Columns, y: &[f64]) -> Option<Vec<f64>> {
    let mut weights = x.moments(y);
    let square = dot(&weights, &weights);
    let scores = x.combined(&weights);
    let scale = square / dot(&scores, &scores);
    weights.iter_mut().for_each(|weight| *weight *= scale);
    (square >= 1e-12).then_some(weights)
}

#[cfg(test)]
pub(super) mod tests {
    use linfa::DatasetBase;
    use linfa::traits::{Fit, Predict};
    use linfa_elasticnet::ElasticNet;
    use linfa_pls::PlsRegression;
    use ndarray::{Array1, Array2, Axis, ShapeBuilder};

    use super::*;

    /// Standardised rows of correlated columns.
    pub(crate) fn columns(rows: usize, columns: usize) -> (Columns, Vec<f64>) {
        let noise = |i: usize, j: usize| ((i * 131 + j * 29) as f64 * 0.37).sin() + ((i * 7 + j) as f64 * 1.91).cos();
        let standard = |mut values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / rows as f64;
            let sd = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows as f64).sqrt();
            values.iter_mut().for_each(|v| *v = (*v - mean) / sd);
            values
        };
        let column = |j: usize| standard((0..rows).map(|i| noise(i, j) + 0.7 * noise(i, 1000)).collect());
        let y = standard((0..rows).map(|i| noise(i, 1000) + 0.5 * noise(i, 2) + 0.4 * noise(i, 77)).collect());
        (Columns { rows, values: (0..columns).flat_map(column).collect() }, y)
    }

    pub(crate) fn dataset(x: &Columns, y: &[f64]) -> DatasetBase<Array2<f64>, Array1<f64>> {
        let records = Array2::from_shape_vec((x.rows, x.len()).f(), x.values.clone()).unwrap();
        DatasetBase::new(records, Array1::from(y.to_vec()))
    }

    pub(crate) fn close<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>, within: f64) {
        for (a, b) in a.into_iter().zip(b) {
            assert!((a - b).abs() < within, "{a} {b}");
        }
    }

    #[test]
    fn ridge_is_that_of_linfa() {
        for (rows, width) in [(9, 5), (9, 28), (40, 28)] {
            let (x, y) = columns(rows, width);
            let params = ElasticNet::params().penalty(0.15).l1_ratio(0.0).tolerance(1e-9).max_iterations(20_000);
            let expected = params.fit(&dataset(&x, &y)).unwrap();
            close(&ridge(&x, &y, 0.15).unwrap(), expected.hyperplane(), 1e-6);
        }
    }

    #[test]
    fn partial_least_squares_is_that_of_linfa() {
        for (rows, width) in [(9, 5), (9, 108), (40, 28)] {
            let (x, y) = columns(rows, width);
            let set = dataset(&x, &y);
            let targets = set.targets().clone().insert_axis(Axis(1));
            let fitted = PlsRegression::params(1).fit(&DatasetBase::new(set.records().clone(), targets)).unwrap();
            let found = x.combined(&partial_least_squares(&x, &y).unwrap());
            close(&found, &fitted.predict(set.records()), 1e-10);
        }
        let (x, _) = columns(9, 5);
        assert_eq!(partial_least_squares(&x, &[0.0; 9]), None);
    }
}
