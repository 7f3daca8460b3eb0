//! The surprisal direction: where the stream moves when a text is less expected.
//!
//! Responses of a contrast may differ in how likely the model finds them, and a
//! direction between them then carries that too. Each dimension of the activation
//! is regressed on the mean log-probability of the response's tokens over texts
//! that have nothing to do with the concept; the slopes, turned to point to the
//! less likely side, are the direction, and it is projected out like any nuisance.

use super::error::{labelled, Result};
use super::reliability::stepped_up;
use super::{algebra, Direction, DirectionError};
use crate::stats::linalg::cosine;
use crate::stats::rng::stream;
use ndarray::{Array1, ArrayView2, Axis};
use rand::seq::SliceRandom;

/// The sign rule of the surprisal direction.
pub const SURPRISING_HIGHER: &str = "less likely text projects higher";

/// Least-squares slope of `activations (n, d)` on surprisal, the negative of
/// `log_prob (n)` (mean log-probability a token, nats).
///
/// `raw_norm` is the length of the change that goes with one standard deviation of
/// surprisal, in activation units. Errors on differing lengths, values that are not
/// finite and when the log-probabilities do not vary.
pub fn surprisal(activations: ArrayView2<f32>, log_prob: &[f64]) -> Result<Direction> {
    let rows: Vec<usize> = (0..activations.nrows()).collect();
    check(activations, log_prob)?;
    algebra::from_vector(slope(activations, log_prob, &rows)?, SURPRISING_HIGHER)
}

/// Its split-half reliability over `splits` random halves of the texts, as for
/// other directions; NaN below 6 texts. Errors as [`surprisal`].
pub fn surprisal_reliability(
    activations: ArrayView2<f32>,
    log_prob: &[f64],
    splits: usize,
    seed: u64,
) -> Result<f64> {
    check(activations, log_prob)?;
    let n = log_prob.len();
    if n < 6 {
        return Ok(f64::NAN);
    }
    let cosines = (0..splits).filter_map(|split| {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut stream(seed, "reliability/surprisal", split as u64));
        let (a, b) = order.split_at(n / 2);
        let a = slope(activations, log_prob, a).ok()?;
        let b = slope(activations, log_prob, b).ok()?;
        Some(cosine(a.view(), b.view()))
    });
    Ok(stepped_up(cosines.collect()))
}

/// Change of the activation for one deviation of surprisal, from `rows`, `(d)`.
fn slope(activations: ArrayView2<f32>, log_prob: &[f64], rows: &[usize]) -> Result<Array1<f64>> {
    let n = rows.len() as f64;
    let x = activations.select(Axis(0), rows).mapv(f64::from);
    let y: Array1<f64> = rows.iter().map(|&i| -log_prob[i]).collect();
    let y = &y - y.sum() / n;
    let deviation = (y.dot(&y) / n).sqrt();
    if deviation.is_nan() || deviation <= 0.0 {
        return Err(DirectionError::Constant { what: "the mean log-probability", n: rows.len() });
    }
    Ok(x.t().dot(&y) / (n * deviation)) // y sums to zero, so x needs no centring
}

fn check(activations: ArrayView2<f32>, log_prob: &[f64]) -> Result<()> {
    let bad = log_prob.iter().position(|v| !v.is_finite());
    labelled(("log_prob", "the mean log-probability"), (log_prob.len(), bad), activations)
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::*;
    use ndarray::Array2;

    /// Rows whose axis 2 moves by `by` for each nat of surprisal, in noise.
    fn rows(n: usize, by: f64) -> (Array2<f32>, Vec<f64>) {
        let mut x = planted(n, 8, 0.0, 0, 3).positive;
        let log_prob: Vec<f64> = (0..n).map(|i| -2.0 - ((i * 7) % 11) as f64 / 3.0).collect();
        for (mut row, lp) in x.rows_mut().into_iter().zip(&log_prob) {
            row[2] -= (by * lp) as f32;
        }
        (x, log_prob)
    }

    #[test]
    fn the_axis_that_follows_surprisal_is_found_with_its_slope_and_sign() {
        let (x, log_prob) = rows(110, 3.0);
        let got = surprisal(x.view(), &log_prob).unwrap();
        assert!(got.unit[2] > 0.98, "{}", got.unit[2]);
        let mean = log_prob.iter().sum::<f64>() / 110.0;
        let deviation = (log_prob.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 110.0).sqrt();
        assert!((got.raw_norm / (3.0 * deviation) - 1.0).abs() < 0.05);
        assert!(surprisal_reliability(x.view(), &log_prob, 50, 0).unwrap() > 0.9);
        let (noise, log_prob) = rows(110, 0.0);
        assert!(surprisal_reliability(noise.view(), &log_prob, 50, 0).unwrap() < 0.5);
    }

    #[test]
    fn an_offset_common_to_all_rows_changes_nothing() {
        let (x, log_prob) = rows(60, 1.0);
        let one = surprisal(x.view(), &log_prob).unwrap();
        let two = surprisal((&x + 5.0).view(), &log_prob).unwrap();
        let gap = (&one.unit - &two.unit).mapv(f32::abs).sum();
        assert!(gap < 1e-4, "{gap}");
    }

    #[test]
    fn equal_or_missing_log_probabilities_are_refused() {
        let (x, mut log_prob) = rows(20, 1.0);
        assert!(surprisal(x.view(), &log_prob[1..]).is_err());
        log_prob[3] = f64::NAN;
        let error = surprisal(x.view(), &log_prob).unwrap_err();
        assert!(error.to_string().contains("row 3"), "{error}");
        let error = surprisal(x.view(), &[-1.0; 20]).unwrap_err();
        assert!(matches!(error, DirectionError::Constant { n: 20, .. }), "{error}");
    }
}
