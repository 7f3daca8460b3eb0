//! Subspaces of per-pair differences.
//!
//! A concept may need more than one direction. The top k right singular vectors
//! of its differences (not centred, so the mean shift stays) span its subspace;
//! two subspaces are compared by their principal angles and by their overlap
//! |A B'|^2 / k, which is k / d for random ones in d dimensions.

use super::check::{at_least, finite, shape};
use super::error::Result;
use crate::stats::linalg::thin_svd;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Orthonormal rows `(k, d)` spanning the top `k` directions of `differences (n, d)`.
///
/// Fewer rows when the data have lower rank. Errors on values that are not finite.
pub fn top_directions(differences: ArrayView2<f32>, k: usize) -> Result<Array2<f64>> {
    finite("the differences of a subspace", differences)?;
    let svd = thin_svd(differences.mapv(f64::from).view())?;
    let floor = 1e-6 * svd.s.first().copied().unwrap_or(0.0);
    let rank = svd.s.iter().take_while(|&&s| s > floor).count();
    Ok(svd.vt.slice(ndarray::s![..k.min(rank), ..]).to_owned())
}

/// How two subspaces lie to one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubspaceOverlap {
    /// Principal angles in radians, ascending, min(k_a, k_b) of them.
    pub angles: Vec<f64>,
    /// Sum of squared cosines over the smaller dimension, in 0..1.
    pub overlap: f64,
    /// What random subspaces would have: the larger dimension over d.
    pub chance: f64,
}

/// Principal angles (Bjorck and Golub 1973) between the row spans of `a (k_a, d)` and `b (k_b, d)`.
///
/// Rows of each must be orthonormal, as [`top_directions`] gives them.
pub fn overlap(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Result<SubspaceOverlap> {
    shape("the second subspace", &[b.nrows(), a.ncols()], b.shape())?;
    let least = a.nrows().min(b.nrows());
    at_least("directions of a subspace", 1, least)?;
    let cosines = thin_svd(a.dot(&b.t()).view())?.s; // (min(k_a, k_b))
    Ok(SubspaceOverlap {
        angles: cosines.iter().map(|c| c.clamp(0.0, 1.0).acos()).collect(),
        overlap: cosines.iter().map(|c| c * c).sum::<f64>() / least as f64,
        chance: a.nrows().max(b.nrows()) as f64 / a.ncols() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::linalg::orthonormal_rows;
    use crate::stats::rng::{fill_normal, stream};
    use proptest::prelude::*;

    fn random(n: usize, d: usize, seed: u64) -> Array2<f32> {
        let mut x = Array2::zeros((n, d));
        fill_normal(&mut stream(seed, "subspace", 0), x.as_slice_mut().unwrap());
        x
    }

    fn basis(k: usize, d: usize, seed: u64) -> Array2<f64> {
        orthonormal_rows(random(k, d, seed).mapv(f64::from).view())
    }

    #[test]
    fn planted_angles_are_recovered() {
        let q = basis(4, 10, 1);
        let turn = |i: usize, j: usize, t: f64| &q.row(i) * t.cos() + &q.row(j) * t.sin();
        let a = q.slice(ndarray::s![..2, ..]);
        let mut b = Array2::zeros((2, 10));
        b.row_mut(0).assign(&turn(0, 2, 0.3));
        b.row_mut(1).assign(&turn(1, 3, 1.1));
        let got = overlap(a, b.view()).unwrap();
        assert!((got.angles[0] - 0.3).abs() < 1e-9 && (got.angles[1] - 1.1).abs() < 1e-9);
        assert!((got.chance - 0.2).abs() < 1e-12);
    }

    #[test]
    fn random_subspaces_overlap_by_chance() {
        let mean: f64 = (0..60)
            .map(|s| overlap(basis(3, 30, s).view(), basis(3, 30, s + 100).view()).unwrap().overlap)
            .sum::<f64>()
            / 60.0;
        assert!((mean - 0.1).abs() < 0.025, "{mean}");
    }

    #[test]
    fn the_top_direction_is_the_planted_one_and_rank_limits_k() {
        let mut x = random(3, 20, 5) * 0.01;
        x.column_mut(7).mapv_inplace(|v| v + 5.0);
        let got = top_directions(x.view(), 8).unwrap();
        assert_eq!(got.nrows(), 3);
        assert!(got[[0, 7]].abs() > 0.999);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn overlap_does_not_change_when_the_space_or_a_basis_is_rotated(seed in 0u64..500) {
            let (a, b) = (basis(2, 6, seed), basis(3, 6, seed + 1000));
            let space = basis(6, 6, seed + 2000);
            let inner = basis(2, 2, seed + 3000);
            let one = overlap(a.view(), b.view()).unwrap();
            let two = overlap(inner.dot(&a).dot(&space).view(), b.dot(&space).view()).unwrap();
            prop_assert!((one.overlap - two.overlap).abs() < 1e-9);
            let own = overlap(a.view(), a.view()).unwrap();
            prop_assert!((own.overlap - 1.0).abs() < 1e-9);
        }
    }
}
