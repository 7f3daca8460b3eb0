//! Logistic regression as a direction.
//!
//! Activations are standardised by dimension and the L2-penalised log-loss
//! `sum ln(1 + e^-margin) + alpha/2 |w|^2` is minimised with a free intercept;
//! alpha is 1/C of scikit-learn. With fewer rows than dimensions the optimum
//! lies in the span of the rows, `w = X' a`, so the unknowns are the rows'
//! coefficients and only their inner products are needed (the kernel form).
//! Newton's method then solves one well-conditioned system a step and ends at
//! the optimum itself, which makes the direction independent of the order of
//! pairs. Alpha is chosen by the log-loss of left-out prompts; folds follow the
//! order of prompt numbers, so nothing is drawn.

use super::{DirectionError, Pairs, Result};
use crate::stats::bootstrap::Clusters;
use faer::prelude::Solve;
use ndarray::{concatenate, s, Array1, Array2, Axis};

/// Strengths of the L2 penalty that are tried, on the sum of the rows' losses.
pub const ALPHAS: [f64; 7] = [0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4];
/// Folds of the cross-validation over prompts.
pub const FOLDS: usize = 5;
/// Most Newton steps; from zero about eight are needed.
const STEPS: usize = 60;
/// Least curvature of a row, where its probability is 0 or 1 in f64.
const LEAST_CURVATURE: f64 = 1e-12;

/// A fitted logistic regression, in the units of the activations.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    /// Weights `(d)`, positive side higher.
    pub weights: Array1<f64>,
    /// Log-odds where the activation is zero.
    pub intercept: f64,
    /// Strength of the penalty.
    pub alpha: f64,
}

/// Fits with penalty `alpha > 0` on standardised activations.
///
/// Errors on inconsistent pairs, when nothing varies, and when the solver does
/// not settle (a penalty that is not positive, for one).
pub fn fit(pairs: &Pairs, alpha: f64) -> Result<Logistic> {
    let rows = Standardised::new(pairs)?;
    let dual = newton(&rows.gram, &rows.labels(), alpha, None)?;
    Ok(rows.back(&dual, alpha))
}

/// Fits with the alpha of [`ALPHAS`] that has the least mean log-loss on prompts
/// left out, [`FOLDS`] folds; the largest alpha with fewer than 2 prompts.
///
/// The standardisation is that of all rows. Errors as in [`fit`].
pub fn fit_cross_validated(pairs: &Pairs) -> Result<Logistic> {
    let rows = Standardised::new(pairs)?;
    let labels = rows.labels();
    let clusters = Clusters::new(&pairs.prompt);
    let folds = FOLDS.min(clusters.count());
    let mut losses = [0.0; ALPHAS.len()];
    if folds >= 2 {
        for fold in 0..folds {
            let (test, train): (Vec<usize>, Vec<usize>) =
                (0..labels.len()).partition(|&i| clusters.of[i % pairs.len()] % folds == fold);
            let known = labels.select(Axis(0), &train);
            let inner = gram(&rows.gram, &train, &train);
            let outer = gram(&rows.gram, &test, &train);
            let mut last = None;
            for (alpha, loss) in ALPHAS.iter().zip(&mut losses).rev() {
                let dual = newton(&inner, &known, *alpha, last)?;
                let logits = outer.dot(&dual.a) + dual.b;
                let total = log_loss(&logits, &labels.select(Axis(0), &test));
                *loss += total / test.len() as f64;
                last = Some(dual);
            }
        }
    }
    // On a tie the larger one.
    let tried = ALPHAS.iter().zip(losses).rev();
    let best = tried.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(f64::NAN, |(alpha, _)| *alpha);
    let dual = newton(&rows.gram, &labels, best, None)?;
    Ok(rows.back(&dual, best))
}

/// Both sides of the pairs, positive rows first, each dimension with mean 0 and deviation 1.
struct Standardised {
    rows: Array2<f64>,      // (2n, d)
    mean: Array1<f64>,      // (d)
    deviation: Array1<f64>, // (d)
    gram: Array2<f64>,      // (2n, 2n)
}

impl Standardised {
    fn new(pairs: &Pairs) -> Result<Self> {
        pairs.check()?;
        let x = concatenate![Axis(0), pairs.positive, pairs.negative].mapv(f64::from);
        let n = x.nrows() as f64;
        let mean = x.sum_axis(Axis(0)) / n;
        let centred = x - &mean;
        let deviation = (centred.mapv(|v| v * v).sum_axis(Axis(0)) / n).mapv(f64::sqrt);
        if deviation.iter().all(|&v| v == 0.0) {
            return Err(DirectionError::Zero { what: "the spread of the activations".to_string() });
        }
        // A constant dimension carries nothing: its scale is set to 1, its values are 0.
        let deviation = deviation.mapv(|v| if v > 0.0 { v } else { 1.0 });
        let rows = centred / &deviation;
        let gram = rows.dot(&rows.t());
        Ok(Standardised { rows, mean, deviation, gram })
    }

    /// 1 for the positive side, 0 for the negative.
    fn labels(&self) -> Array1<f64> {
        let mut labels = Array1::zeros(self.rows.nrows());
        labels.slice_mut(s![..self.rows.nrows() / 2]).fill(1.0);
        labels
    }

    /// From coefficients of the rows to weights in activation units.
    fn back(&self, dual: &Dual, alpha: f64) -> Logistic {
        let weights = self.rows.t().dot(&dual.a) / &self.deviation;
        Logistic { intercept: dual.b - weights.dot(&self.mean), weights, alpha }
    }
}

/// The logit of row i is `(gram a)_i + b`.
struct Dual {
    a: Array1<f64>,
    b: f64,
}

/// Newton's method (iteratively reweighted least squares) in the kernel form.
///
/// With p the probabilities, W = p (1 - p) and z = f + (y - p) / W a step solves
/// `(K + alpha W^-1) a + b = z, sum a = 0` (Rasmussen and Williams 2006, section
/// 3.4, with an intercept), through the matrix `alpha I + S K S`, S^2 = W. A step
/// that raises the loss is halved.
fn newton(k: &Array2<f64>, labels: &Array1<f64>, alpha: f64, start: Option<Dual>) -> Result<Dual> {
    let n = labels.len();
    let unsettled = |reason: String| DirectionError::Logistic { alpha, reason };
    let Dual { mut a, mut b } = start.unwrap_or(Dual { a: Array1::zeros(n), b: 0.0 });
    let mut inner = k.dot(&a); // K a
    let loss = |inner: &Array1<f64>, a: &Array1<f64>, b: f64| {
        log_loss(&(inner + b), labels) + 0.5 * alpha * a.dot(inner)
    };
    let mut value = loss(&inner, &a, b);
    for _ in 0..STEPS {
        let logits = &inner + b;
        let p = logits.mapv(|f| 1.0 / (1.0 + (-f).exp()));
        let root = p.mapv(|p| (p * (1.0 - p)).max(LEAST_CURVATURE).sqrt()); // S
        let system = faer::Mat::<f64>::from_fn(n, n, |i, j| {
            root[i] * k[[i, j]] * root[j] + if i == j { alpha } else { 0.0 }
        });
        let factor = system.llt(faer::Side::Lower).map_err(|e| unsettled(format!("{e:?}")))?;
        let right = faer::Mat::<f64>::from_fn(n, 2, |i, j| match j {
            0 => root[i] * logits[i] + (labels[i] - p[i]) / root[i], // S z
            _ => root[i],                                            // S 1
        });
        let solved = factor.solve(&right);
        let sum = |column: usize| -> f64 { (0..n).map(|i| root[i] * solved[(i, column)]).sum() };
        let next_b = sum(0) / sum(1);
        let next_a =
            Array1::from_shape_fn(n, |i| root[i] * (solved[(i, 0)] - next_b * solved[(i, 1)]));
        let (step_a, step_b) = (&next_a - &a, next_b - b);
        let step_inner = k.dot(&step_a);
        let moved = (&step_inner + step_b).iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if !moved.is_finite() {
            return Err(unsettled("a step is not finite".to_string()));
        }
        let mut share = 1.0;
        loop {
            let next =
                (&a + &(&step_a * share), b + step_b * share, &inner + &(&step_inner * share));
            let next_value = loss(&next.2, &next.0, next.1);
            // Near the optimum the loss is flat to rounding, and a full step is right.
            if next_value <= value + 1e-12 * value.abs() || share < 1e-6 {
                (a, b, inner) = next;
                value = next_value;
                break;
            }
            share *= 0.5;
        }
        // Quadratic convergence: after a step this small the error is near rounding.
        let size = inner.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        if share == 1.0 && moved <= 1e-7 * size {
            return Ok(Dual { a, b });
        }
    }
    Err(unsettled(format!("{STEPS} Newton steps were not enough")))
}

/// Sum over rows of `ln(1 + e^-margin)`.
fn log_loss(logits: &Array1<f64>, labels: &Array1<f64>) -> f64 {
    let loss = |(&z, &label): (&f64, &f64)| {
        let margin = if label > 0.5 { z } else { -z };
        (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
    };
    logits.iter().zip(labels).map(loss).sum()
}

fn gram(k: &Array2<f64>, rows: &[usize], columns: &[usize]) -> Array2<f64> {
    k.select(Axis(0), rows).select(Axis(1), columns)
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;
    use crate::stats::linalg::cosine;
    use linfa::traits::Fit;
    use linfa::DatasetBase;
    use linfa_logistic::LogisticRegression;

    #[test]
    fn weights_meet_the_optimality_condition_of_the_penalised_loss() {
        for (n, d) in [(40, 5), (15, 60)] {
            let pairs = planted(n, d, 1.5, 2, 9);
            let rows = Standardised::new(&pairs).unwrap();
            for alpha in [0.01, 2.0, 1000.0] {
                let got = fit(&pairs, alpha).unwrap();
                let w = &got.weights * &rows.deviation;
                let intercept = got.intercept + got.weights.dot(&rows.mean);
                let p = (rows.rows.dot(&w) + intercept).mapv(|z| 1.0 / (1.0 + (-z).exp()));
                let miss = &p - &rows.labels();
                let gradient = rows.rows.t().dot(&miss) + &w * alpha;
                assert!(gradient.iter().all(|g| g.abs() < 1e-7), "alpha {alpha}");
                assert!(miss.sum().abs() < 1e-7, "alpha {alpha}");
            }
        }
    }

    #[test]
    fn weights_are_those_of_an_iterative_solver() {
        let pairs = planted(50, 6, 1.0, 3, 4);
        let rows = Standardised::new(&pairs).unwrap();
        for alpha in [0.1, 1.0, 10.0] {
            let labels: Array1<bool> = (0..100).map(|i| i < 50).collect();
            let theirs = LogisticRegression::default()
                .alpha(alpha)
                .gradient_tolerance(1e-6)
                .max_iterations(500)
                .fit(&DatasetBase::new(rows.rows.clone(), labels))
                .unwrap();
            let ours = fit(&pairs, alpha).unwrap().weights * &rows.deviation;
            assert!(cosine(ours.view(), theirs.params().view()) > 1.0 - 1e-9);
            let gap = (&ours - theirs.params()).mapv(f64::abs).sum();
            assert!(gap < 1e-4 * ours.mapv(f64::abs).sum(), "{gap}");
        }
    }

    #[test]
    fn noise_is_fitted_with_more_penalty_than_a_clear_difference() {
        let clear = fit_cross_validated(&planted(60, 30, 6.0, 1, 2)).unwrap();
        let noise = fit_cross_validated(&planted(60, 30, 0.0, 1, 2)).unwrap();
        assert!(noise.alpha >= 10.0 * clear.alpha, "{} {}", noise.alpha, clear.alpha);
    }

    #[test]
    fn a_penalty_that_is_not_positive_is_refused() {
        let error = fit(&planted(20, 30, 1.0, 0, 1), -1.0).unwrap_err();
        assert!(
            matches!(error, DirectionError::Logistic { alpha, .. } if alpha == -1.0),
            "{error}"
        );
    }
}
