//! Slopes of standardised columns for standardised targets, by four linear estimators.
//!
//! Each solves the problem that the crate of linfa of its name solves, and the tests hold them against one another. The crates
//! make predictors for large sets and keep what is known of every fit; here some hundred fits to tens of rows make one model.

use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, Axis};

use super::eigen::{add_scaled, dot};

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

/// A symmetric matrix, row after row.
pub(crate) fn symmetric(n: usize, of: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let value = of(i, j);
            matrix[i * n + j] = value;
            matrix[j * n + i] = value;
        }
    }
    matrix
}

/// Ridge regression: `‖y − Xw‖² + n · penalty · ‖w‖²` at its least (Hoerl and Kennard 1970).
pub(crate) fn ridge(x: &Columns, y: &[f64], penalty: f64) -> Option<Vec<f64>> {
    let p = x.len();
    let mut gram = Array2::from_shape_vec((p, p), x.gram()).ok()?;
    gram.diag_mut().mapv_inplace(|d| d + penalty * x.rows as f64);
    let moments = Array1::from(x.moments(y)).insert_axis(Axis(1));
    Some(gram.solvec_into(moments).ok()?.into_raw_vec_and_offset().0)
}

/// Coordinate descent ends when no weight moved by more than this share of the largest …
const SETTLED: f64 = 1e-6;
/// … or after so many sweeps.
const SWEEPS: usize = 2_000;

/// Elastic net: `‖y − Xw‖² / 2n + penalty · (l1_ratio · |w| + (1 − l1_ratio) / 2 · ‖w‖²)` at its least, by coordinate descent over the
/// products of columns (Friedman, Hastie and Tibshirani 2010, section 2.2).
pub(crate) fn elastic_net(x: &Columns, y: &[f64], penalty: f64, l1_ratio: f64) -> Vec<f64> {
    let (n, p) = (x.rows as f64, x.len());
    let (least, ridge) = (n * penalty * l1_ratio, n * penalty * (1.0 - l1_ratio));
    let gram = x.gram();
    let (mut weights, mut rest) = (vec![0.0; p], x.moments(y));
    // All coordinates, then those that are not zero until they settle, and all again.
    let mut sweep = |weights: &mut [f64], all: bool| {
        let (mut moved, mut largest): (f64, f64) = (0.0, 0.0);
        for (j, products) in gram.chunks_exact(p.max(1)).enumerate() {
            let before = weights[j];
            if !all && before == 0.0 {
                continue;
            }
            let along = rest[j] + products[j] * before;
            let after = (along.abs() - least).max(0.0).copysign(along) / (products[j] + ridge);
            if after != before {
                add_scaled(&mut rest, before - after, products);
                weights[j] = after;
                moved = moved.max((after - before).abs());
            }
            largest = largest.max(after.abs());
        }
        moved <= SETTLED * largest
    };
    let mut all = true;
    for _ in 0..SWEEPS {
        let settled = sweep(&mut weights, all);
        if settled && all {
            break;
        }
        all = settled;
    }
    weights
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
    use ndarray::ShapeBuilder;

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

    fn close<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>, within: f64) {
        for (a, b) in a.into_iter().zip(b) {
            assert!((a - b).abs() < within, "{a} {b}");
        }
    }

    #[test]
    fn ridge_and_elastic_net_are_those_of_linfa() {
        for (rows, width) in [(9, 5), (9, 28), (40, 28)] {
            let (x, y) = columns(rows, width);
            let of = |l1_ratio, penalty| {
                let params = ElasticNet::params().penalty(penalty).l1_ratio(l1_ratio);
                params.tolerance(1e-9).max_iterations(20_000).fit(&dataset(&x, &y)).unwrap().hyperplane().clone()
            };
            close(&ridge(&x, &y, 0.15).unwrap(), &of(0.0, 0.15), 1e-6);
            let found = elastic_net(&x, &y, 0.2, 0.5);
            close(&found, &of(0.5, 0.2), 1e-5);
            assert!(width < 28 || found.contains(&0.0));
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
