//! Does one factor carry the preferences of all conditions?
//!
//! A matrix of shifts, preferences by conditions, is the product of one profile
//! over preferences and one strength a condition as far as its largest singular
//! value goes: the rank-1 share is s1^2 over the sum of squares. Any matrix has a
//! share of at least 1 / min(rows, columns), and noise of its own adds to it, so
//! the null permutes each condition's shifts among the preferences. The interval
//! is a jackknife over preferences.

use super::GeometryError;
use crate::stats::interval::{percentile, Interval};
use crate::stats::jackknife::{jackknife, Jackknifed};
use crate::stats::linalg::thin_svd;
use crate::stats::permutation::{p_value, Tail};
use crate::stats::rng::stream;
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Rank-1 share of a preference x condition matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankOne {
    /// s1^2 over the sum of squares, with its jackknife over preferences.
    pub share: Jackknifed,
    /// All singular values, descending.
    pub singular: Vec<f64>,
    /// Profile over preferences, of length 1; its largest entry is positive.
    pub preferences: Vec<f64>,
    /// Strength of each condition: s1 times the right singular vector.
    pub conditions: Vec<f64>,
    /// Band of shares with each condition's shifts permuted.
    pub null: Interval,
    /// Chance of at least this share among them.
    pub p: f64,
}

/// Rank-1 share of `shifts (preferences, conditions)`.
///
/// Errors below 3 preferences or 2 conditions, on values that are not finite and on zeros only.
pub fn rank_one(
    shifts: ArrayView2<f64>,
    permutations: usize,
    level: f64,
    seed: u64,
) -> Result<RankOne, GeometryError> {
    let (rows, columns) = shifts.dim();
    for (what, got, expected) in [("preferences", rows, 3), ("conditions", columns, 2)] {
        if got < expected {
            return Err(GeometryError::Count {
                what: format!("{what} of a rank-1 share"),
                expected,
                got,
            });
        }
    }
    if shifts.iter().any(|v| !v.is_finite()) || shifts.iter().all(|&v| v == 0.0) {
        return Err(GeometryError::NotFinite {
            what: "the preference x condition matrix (or it is all zeros)".to_string(),
        });
    }
    let svd = thin_svd(shifts)?;
    let mut without = Vec::with_capacity(rows);
    for row in 0..rows {
        let kept: Vec<usize> = (0..rows).filter(|&r| r != row).collect();
        without.push(share(shifts.select(Axis(0), &kept).view())?);
    }
    let value = share(shifts)?;
    let mut null = (0..permutations)
        .into_par_iter()
        .map(|draw| {
            let mut rng = stream(seed, "rank-one", draw as u64);
            let mut permuted = Array2::zeros((rows, columns));
            for (mut to, from) in permuted.columns_mut().into_iter().zip(shifts.columns()) {
                let mut order: Vec<usize> = (0..rows).collect();
                order.shuffle(&mut rng);
                for (to, from_row) in to.iter_mut().zip(order) {
                    *to = from[from_row];
                }
            }
            share(permuted.view())
        })
        .collect::<Result<Vec<f64>, GeometryError>>()?;
    let left = svd.u.column(0);
    let largest = left
        .iter()
        .copied()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()));
    let sign = largest.unwrap_or(1.0).signum();
    Ok(RankOne {
        share: jackknife(value, &without, level),
        singular: svd.s.to_vec(),
        preferences: left.iter().map(|v| sign * v).collect(),
        conditions: svd.vt.row(0).iter().map(|v| sign * v * svd.s[0]).collect(),
        p: match null.is_empty() {
            true => f64::NAN,
            false => p_value(value, &null, Tail::Greater),
        },
        null: percentile(&mut null, level),
    })
}

fn share(matrix: ArrayView2<f64>) -> Result<f64, GeometryError> {
    let singular = thin_svd(matrix)?.s;
    let squares: f64 = singular.iter().map(|s| s * s).sum();
    Ok(singular[0] * singular[0] / squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::kolmogorov::ks_uniform;
    use ndarray::Array1;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = stream(seed, "matrix", 0);
        Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
    }

    #[test]
    fn a_planted_factor_is_found_with_its_profile() {
        let profile = normal(12, 1, 1).column(0).to_owned();
        let strength = Array1::from(vec![2.0, -1.0, 0.5, 3.0]);
        let planted = Array2::from_shape_fn((12, 4), |(i, j)| profile[i] * strength[j]);
        let got = rank_one(planted.view(), 199, 0.95, 1).unwrap();
        assert!((got.share.value - 1.0).abs() < 1e-12 && got.p == 1.0 / 200.0);
        for i in 0..12 {
            for j in 0..4 {
                let back = got.preferences[i] * got.conditions[j];
                assert!((back - planted[[i, j]]).abs() < 1e-9);
            }
        }
        assert!(got.null.hi < 0.95);
    }

    #[test]
    fn p_is_uniform_where_conditions_have_nothing_in_common() {
        let p: Vec<f64> = (0..150)
            .map(|seed| {
                rank_one(normal(10, 4, 50 + seed).view(), 99, 0.95, seed)
                    .unwrap()
                    .p
            })
            .collect();
        assert!(ks_uniform(&p).unwrap().p > 0.01);
    }

    #[test]
    fn small_zero_and_undefined_matrices_are_refused() {
        assert!(rank_one(normal(2, 4, 1).view(), 9, 0.95, 0).is_err());
        assert!(rank_one(normal(5, 1, 1).view(), 9, 0.95, 0).is_err());
        assert!(rank_one(Array2::zeros((5, 3)).view(), 9, 0.95, 0).is_err());
        assert!(rank_one(Array2::from_elem((5, 3), f64::NAN).view(), 9, 0.95, 0).is_err());
    }
}
