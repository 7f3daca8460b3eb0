//! Logistic regression as a direction.
//!
//! Activations are standardised by dimension, then written in their leading
//! principal components: with L2 the optimum lies in the span of the rows, so
//! components lose nothing but the smallest variances, and the problem shrinks
//! from d to at most [`COMPONENTS`] unknowns. The strength of regularisation is
//! chosen by cross-validated log-loss with whole prompts left out. Weights are
//! carried back to activation units. Folds follow the order of prompt numbers,
//! so nothing is drawn.

use super::{DirectionError, Pairs};
use crate::stats::bootstrap::Clusters;
use crate::stats::linalg::thin_svd;
use linfa::traits::Fit;
use linfa::DatasetBase;
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use ndarray::{concatenate, Array1, Array2, Axis};

/// Most principal components the regression sees.
pub const COMPONENTS: usize = 32;
/// Strengths of the L2 penalty that are tried.
pub const ALPHAS: [f64; 4] = [0.1, 1.0, 10.0, 100.0];
/// Folds of the cross-validation.
const FOLDS: usize = 3;

/// Weight vector `(d)` in the units of the activations, positive side higher.
pub(super) fn logistic(pairs: &Pairs) -> Result<Array1<f64>, DirectionError> {
    let n = pairs.len();
    let x = concatenate![Axis(0), pairs.positive, pairs.negative].mapv(f64::from); // (2n, d)
    let rows = (2 * n) as f64;
    let mean = x.sum_axis(Axis(0)) / rows;
    let centred = x - &mean;
    let deviation = (centred.mapv(|v| v * v).sum_axis(Axis(0)) / rows).mapv(f64::sqrt);
    // A constant dimension carries nothing: its scale is set to 1, its values are 0.
    let deviation = deviation.mapv(|v| if v > 0.0 { v } else { 1.0 });
    let standard = centred / &deviation; // (2n, d)

    let svd = thin_svd(standard.view())?;
    let floor = 1e-6 * svd.s[0];
    let k = svd
        .s
        .iter()
        .take(COMPONENTS)
        .filter(|&&s| s > floor)
        .count();
    if k == 0 {
        return Err(DirectionError::Zero {
            what: "the spread of the activations".to_string(),
        });
    }
    let basis = svd.vt.slice(ndarray::s![..k, ..]); // (k, d)
    let scores = standard.dot(&basis.t()); // (2n, k)
    let labels: Array1<bool> = (0..2 * n).map(|i| i < n).collect();

    let clusters = Clusters::new(&pairs.prompt);
    let folds = FOLDS.min(clusters.count());
    let mut best = (f64::INFINITY, ALPHAS[ALPHAS.len() - 1]);
    if folds >= 2 {
        for alpha in ALPHAS {
            let loss: f64 = (0..folds)
                .map(|fold| {
                    let is_test = |row: &usize| clusters.of[row % n] % folds == fold;
                    held_out_loss(&scores, &labels, alpha, is_test).unwrap_or(f64::INFINITY)
                })
                .sum();
            if loss < best.0 {
                best = (loss, alpha);
            }
        }
    }
    let fitted = fit(scores, labels, best.1)?;
    Ok(basis.t().dot(fitted.params()) / &deviation)
}

fn fit(
    scores: Array2<f64>,
    labels: Array1<bool>,
    alpha: f64,
) -> Result<FittedLogisticRegression<f64, bool>, DirectionError> {
    LogisticRegression::default()
        .alpha(alpha)
        .max_iterations(200)
        .gradient_tolerance(1e-5)
        .fit(&DatasetBase::new(scores, labels))
        .map_err(|e| DirectionError::Logistic {
            reason: e.to_string(),
        })
}

/// Mean log-loss of the test rows under a fit to the others.
fn held_out_loss(
    scores: &Array2<f64>,
    labels: &Array1<bool>,
    alpha: f64,
    is_test: impl Fn(&usize) -> bool,
) -> Result<f64, DirectionError> {
    let (test, train): (Vec<usize>, Vec<usize>) = (0..scores.nrows()).partition(is_test);
    let fitted = fit(
        scores.select(Axis(0), &train),
        train.iter().map(|&i| labels[i]).collect(),
        alpha,
    )?;
    let logits = scores.select(Axis(0), &test).dot(fitted.params()) + fitted.intercept();
    let loss: f64 = logits
        .iter()
        .zip(&test)
        .map(|(&z, &i)| {
            let margin = if labels[i] { z } else { -z };
            (-margin).max(0.0) + (-margin.abs()).exp().ln_1p() // ln(1 + e^-margin)
        })
        .sum();
    Ok(loss / test.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;

    #[test]
    fn weights_meet_the_optimality_condition_of_the_penalised_loss() {
        let pairs = planted(40, 5, 1.5, 2, 9);
        let x = concatenate![Axis(0), pairs.positive, pairs.negative].mapv(f64::from);
        let labels: Array1<bool> = (0..80).map(|i| i < 40).collect();
        let fitted = fit(x.clone(), labels, 2.0).unwrap();
        let logits = x.dot(fitted.params()) + fitted.intercept();
        let mut gradient = fitted.params() * 2.0;
        for i in 0..80 {
            let target = if i < 40 { 1.0 } else { 0.0 };
            let p = 1.0 / (1.0 + (-logits[i]).exp());
            gradient.scaled_add(p - target, &x.row(i));
        }
        assert!(gradient.iter().all(|g| g.abs() < 1e-2), "{gradient}");
    }
}
