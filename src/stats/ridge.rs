//! Ridge regression of few rows on many dimensions, its penalty chosen and its predictions made on rows
//! left out.
//!
//! With fewer rows than dimensions the weights lie in the span of the centred rows, so only their inner
//! products are needed. One eigendecomposition of these gives the fit at every penalty, and its residuals
//! with each row left out (Allen 1974, PRESS), by which the penalty is chosen within the rows that are
//! fitted alone. Penalties are multiples of the mean eigenvalue, so the scale of the stream does not
//! matter, and rows are not standardised by dimension, so a rotation of the stream rotates the weights.
//!
//! A prediction is `w . (x - mean of the fitted rows)`, without the mean of their values: that mean is low
//! where the values left out are high, and would correlate with them where nothing else does.

use super::error::{finite, same_length};
use super::linalg::symmetric_eigen;
use super::Result;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Penalties that are tried, in units of the mean eigenvalue of the rows' inner products; the largest
/// first, which a tie keeps.
const PENALTIES: [f64; 7] = [1e3, 1e2, 10.0, 1.0, 0.1, 1e-2, 1e-3];

/// Centred rows, ready for any values.
struct Rows {
    /// Eigenvalues `(n)` and eigenvectors `(n, n)` of their inner products.
    values: Array1<f64>,
    vectors: Array2<f64>,
    /// Mean eigenvalue.
    scale: f64,
    /// 1 less the leverage of each row, by penalty.
    left: Vec<Array1<f64>>,
}

impl Rows {
    /// Of inner products `(n, n)` of centred rows.
    fn new(gram: ArrayView2<f64>) -> Result<Self> {
        let n = gram.nrows() as f64;
        let (values, vectors) = symmetric_eigen(gram)?;
        let values = values.mapv(|v| v.max(0.0));
        // Of rows that are all alike any penalty predicts nothing.
        let scale = (values.sum() / n).max(f64::MIN_POSITIVE);
        let squared = vectors.mapv(|v| v * v);
        let left = PENALTIES.map(|p| 1.0 - 1.0 / n - squared.dot(&kept(&values, p * scale)));
        Ok(Rows { values, vectors, scale, left: left.to_vec() })
    }

    /// Coefficients `(n)` of the centred rows for values `y (n)` at the penalty that predicts rows left
    /// out best, and that penalty.
    fn fit(&self, y: &Array1<f64>) -> (Array1<f64>, f64) {
        let y = y - y.sum() / y.len() as f64;
        let along = self.vectors.t().dot(&y); // (n)
        let press = |k: usize| {
            let fitted =
                self.vectors.dot(&(kept(&self.values, PENALTIES[k] * self.scale) * &along));
            ((&y - &fitted) / &self.left[k]).mapv(|e| e * e).sum()
        };
        let tried: Vec<f64> = (0..PENALTIES.len()).map(press).collect();
        let best = (0..tried.len()).min_by(|&a, &b| tried[a].total_cmp(&tried[b])).unwrap_or(0);
        let penalty = PENALTIES[best] * self.scale;
        (self.vectors.dot(&(along / (&self.values + penalty))), PENALTIES[best])
    }
}

/// Share of each component that a penalty keeps.
fn kept(values: &Array1<f64>, penalty: f64) -> Array1<f64> {
    values.mapv(|v| v / (v + penalty))
}

/// A fit to all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Coefficients of the centred rows, `(n)`: the weights are their sum, so weighted.
    pub coefficients: Array1<f64>,
    /// Weights `(d)`.
    pub weights: Array1<f64>,
    /// The penalty, in units of the mean eigenvalue of the rows' inner products.
    pub penalty: f64,
}

/// Fits values `y` on rows `x (n, d)`.
///
/// # Errors
/// Differing lengths, values that are not finite.
pub fn ridge(x: ArrayView2<f64>, y: &[f64]) -> Result<Ridge> {
    checked(x, y)?;
    let centred = &x - &(x.sum_axis(Axis(0)) / x.nrows() as f64);
    let rows = Rows::new(centred.dot(&centred.t()).view())?;
    let (coefficients, penalty) = rows.fit(&Array1::from(y.to_vec()));
    Ok(Ridge { weights: centred.t().dot(&coefficients), coefficients, penalty })
}

/// Rows of one fold, predicted from all others.
struct Fold {
    test: Vec<usize>,
    train: Vec<usize>,
    rows: Rows,
    /// Inner products of the rows left out with those fitted, both less the mean of the latter.
    across: Array2<f64>,
}

/// Rows in folds, each predicted from the others: what does not depend on the values is made once.
pub struct HeldOut {
    folds: Vec<Fold>,
}

impl HeldOut {
    /// Of rows `x (n, d)`, each in the fold that `folds` names.
    ///
    /// # Errors
    /// Differing lengths, values that are not finite.
    pub fn new(x: ArrayView2<f64>, folds: &[usize]) -> Result<Self> {
        checked(x, &vec![0.0; folds.len()])?;
        let gram = x.dot(&x.t()); // (n, n)
        let mut names = folds.to_vec();
        names.sort_unstable();
        names.dedup();
        let of = |name: usize| {
            let (test, train): (Vec<usize>, Vec<usize>) =
                (0..folds.len()).partition(|&i| folds[i] == name);
            let inner = gram.select(Axis(0), &train).select(Axis(1), &train);
            let n = train.len() as f64;
            let means = inner.sum_axis(Axis(1)) / n; // (train)
            let whole = means.sum() / n;
            let across = gram.select(Axis(0), &test).select(Axis(1), &train);
            let own = across.sum_axis(Axis(1)) / n; // (test)
            let across = across - own.insert_axis(Axis(1)) - &means + whole;
            let centred = inner - &means - means.view().insert_axis(Axis(1)) + whole;
            Ok(Fold { rows: Rows::new(centred.view())?, test, train, across })
        };
        Ok(HeldOut { folds: names.into_iter().map(of).collect::<Result<_>>()? })
    }

    /// Prediction of each value of `y (n)` from the other folds, penalty and all.
    pub fn predict(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![f64::NAN; y.len()];
        for fold in &self.folds {
            let known = fold.train.iter().map(|&i| y[i]).collect();
            let (coefficients, _) = fold.rows.fit(&known);
            let predicted = fold.across.dot(&coefficients);
            fold.test.iter().zip(predicted).for_each(|(&i, p)| out[i] = p);
        }
        out
    }
}

fn checked(x: ArrayView2<f64>, y: &[f64]) -> Result<()> {
    same_length("rows and their values", x.nrows(), y.len())?;
    finite("the values of a ridge regression", y)?;
    let sums: Vec<f64> = x.rows().into_iter().map(|row| row.sum()).collect();
    finite("the rows of a ridge regression", &sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::linalg::cosine;
    use crate::stats::rank::pearson;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(n: usize, d: usize, index: u64) -> Array2<f64> {
        let mut rng = stream(3, "ridge", index);
        Array2::from_shape_simple_fn((n, d), || StandardNormal.sample(&mut rng))
    }

    /// Rows of noise that move by `by` along axis 2 for each unit of the value.
    fn planted(n: usize, d: usize, by: f64, index: u64) -> (Array2<f64>, Vec<f64>) {
        let y = normal(n, 1, index).column(0).to_vec();
        let mut x = normal(n, d, index + 1000) + 3.0;
        x.column_mut(2).zip_mut_with(&Array1::from(y.clone()), |x, y| *x += by * y);
        (x, y)
    }

    #[test]
    fn the_weights_meet_the_normal_equations_and_the_penalty_is_the_best_with_rows_left_out() {
        for d in [5, 60] {
            let (x, y) = planted(20, d, 2.0, 1);
            let got = ridge(x.view(), &y).unwrap();
            let centred = &x - &(x.sum_axis(Axis(0)) / 20.0);
            let mean = y.iter().sum::<f64>() / 20.0;
            let off: Array1<f64> = y.iter().map(|v| v - mean).collect();
            let scale = (&centred * &centred).sum() / 20.0;
            let gradient = centred.t().dot(&(centred.dot(&got.weights) - &off))
                + &got.weights * (got.penalty * scale);
            assert!(gradient.iter().all(|g| g.abs() < 1e-8));
            // Each row left out by hand.
            let left_out = |penalty: f64| {
                let miss = |i: usize| {
                    let train: Vec<usize> = (0..20).filter(|j| *j != i).collect();
                    let (x, known) = (x.select(Axis(0), &train), train.iter().map(|&j| y[j]));
                    let known: Array1<f64> = known.collect();
                    let (m, k) = (x.sum_axis(Axis(0)) / 19.0, known.sum() / 19.0);
                    let c = &x - &m;
                    // (K + penalty) a = y by steps of the eigenvectors.
                    let (values, vectors) = symmetric_eigen(c.dot(&c.t()).view()).unwrap();
                    let a =
                        vectors.dot(&(vectors.t().dot(&(known - k)) / (values + penalty * scale)));
                    y[i] - k - (&planted(20, d, 2.0, 1).0.row(i) - &m).dot(&c.t().dot(&a))
                };
                (0..20).map(|i| miss(i).powi(2)).sum::<f64>()
            };
            let best = PENALTIES.iter().min_by(|a, b| left_out(**a).total_cmp(&left_out(**b)));
            assert_eq!(Some(&got.penalty), best);
        }
    }

    #[test]
    fn a_planted_direction_predicts_what_was_left_out_and_an_offset_changes_nothing() {
        let (x, y) = planted(32, 100, 8.0, 5);
        let folds: Vec<usize> = (0..32).map(|i| i % 8).collect();
        let predicted = HeldOut::new(x.view(), &folds).unwrap().predict(&y);
        assert!(pearson(&predicted, &y) > 0.8);
        let axis = Array2::<f64>::eye(100).row(2).to_owned();
        let weights = ridge(x.view(), &y).unwrap().weights;
        assert!(cosine(weights.view(), axis.view()) > 0.8);
        let moved = HeldOut::new((&x + 40.0).view(), &folds).unwrap();
        let more: Vec<f64> = y.iter().map(|v| v + 7.0).collect();
        for (a, b) in moved.predict(&more).iter().zip(&predicted) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn a_prediction_is_that_of_a_fit_to_the_other_folds() {
        let (x, y) = planted(12, 30, 3.0, 9);
        let folds: Vec<usize> = (0..12).map(|i| i % 3).collect();
        let predicted = HeldOut::new(x.view(), &folds).unwrap().predict(&y);
        let train: Vec<usize> = (0..12).filter(|i| i % 3 != 1).collect();
        let (rows, known) = (x.select(Axis(0), &train), train.iter().map(|&i| y[i]));
        let fit = ridge(rows.view(), &known.collect::<Vec<_>>()).unwrap();
        let mean = rows.sum_axis(Axis(0)) / 8.0;
        for i in [1, 4, 7, 10] {
            assert!((predicted[i] - (&x.row(i) - &mean).dot(&fit.weights)).abs() < 1e-9);
        }
        assert!(ridge(x.view(), &y[1..]).is_err());
        assert!(ridge(x.view(), &[f64::NAN; 12]).is_err());
        // Rows that are all alike predict nothing.
        let alike = HeldOut::new(Array2::ones((12, 3)).view(), &folds).unwrap().predict(&y);
        assert!(alike.iter().all(|p| p.abs() < 1e-9));
    }
}
