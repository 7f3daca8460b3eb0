//! Overlap of two concepts' subspaces as they grow from one dimension to eight.
//!
//! A subspace is spanned by the leading singular vectors of a concept's pair
//! differences, not centred, here through the inner products of pairs: only they
//! are decomposed, so leaving a prompt out is cheap. Intervals are jackknives over
//! the prompts of both concepts, about the overlap as measured with this many pairs. The null puts subspaces of random
//! directions from N(0, layer covariance) in the place of the first concept's;
//! chance k / d, what isotropic ones would have, is given but far too easy.
//! Swapping labels within pairs changes no subspace and so cannot be a null here.

use super::check::{clusters, each, finite, shape};
use super::error::Result;
use crate::stats::bootstrap::Clusters;
use crate::stats::interval::percentile;
use crate::stats::jackknife::{jackknife_groups, Jackknifed};
use crate::stats::linalg::{orthonormal_rows, symmetric_eigen, thin_svd};
use crate::stats::permutation::{p_value, Tail};
use crate::stats::shrinkage::{mixtures, Shrinkage};
use crate::stats::Resampling;
use ndarray::{s, Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Two subspaces of one dimension `k`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverlapAt {
    /// Dimensions of each.
    pub k: usize,
    /// Principal angles in radians, ascending.
    pub angles: Vec<f64>,
    /// |A B'|^2 / k in 0..1, with its jackknife over prompts.
    pub overlap: Jackknifed,
    /// What isotropic subspaces would have, k / d.
    pub chance: f64,
    /// Lower end of the band of random subspaces from N(0, layer covariance).
    pub null_lo: f64,
    /// Upper end of that band.
    pub null_hi: f64,
    /// Chance of at least this overlap among them, (1 + b) / (1 + n).
    pub p: f64,
}

/// Pair differences of one concept at one layer.
#[derive(Debug, Clone, Copy)]
pub struct Differences<'a> {
    /// `(n_pairs, d)`.
    pub rows: ArrayView2<'a, f32>,
    /// Prompt of each pair.
    pub clusters: &'a [usize],
}

/// Overlaps for k = 1, 2, ... up to `most` or the lower rank of the two; `how` draws random subspaces.
///
/// `covariance` is that of the layer's neutral activations. Errors when widths or lengths
/// differ, below 3 prompts and on values that are not finite.
pub fn subspace_curve(
    first: Differences,
    second: Differences,
    covariance: &Shrinkage,
    most: usize,
    how: Resampling,
) -> Result<Vec<OverlapAt>> {
    let d = first.rows.ncols();
    let fits = [second.rows.nrows(), d];
    shape("differences of the second concept", &fits, second.rows.shape())?;
    let sides = [Side::new("first", first)?, Side::new("second", second)?];
    let (whole, basis) = spaces(&sides, None, most)?;
    let most = whole.nrows();
    let without = |side: usize| -> Result<Vec<Array2<f64>>> {
        each(sides[side].clusters.count(), |c| Ok(spaces(&sides, Some((side, c)), most)?.0))
    };
    let without = [without(0)?, without(1)?];
    let null = random_overlaps(&basis, covariance, how);
    let at = |k: usize| {
        let cosines = thin_svd(whole.slice(s![..k, ..k]))?.s;
        let value = overlap(&whole, k);
        let [a, b] = without
            .each_ref()
            .map(|crosses| -> Vec<f64> { crosses.iter().map(|cross| overlap(cross, k)).collect() });
        let mut own = null.column(k - 1).to_vec();
        let p = p_value(value, &own, Tail::Greater);
        let band = percentile(&mut own, how.level);
        Ok(OverlapAt {
            k,
            angles: cosines.iter().map(|c| c.clamp(0.0, 1.0).acos()).collect(),
            overlap: jackknife_groups(value, &[&a, &b], how.level),
            chance: k as f64 / d as f64,
            null_lo: band.lo,
            null_hi: band.hi,
            p,
        })
    };
    (1..=most).map(at).collect()
}

/// One concept with the inner products of its pairs.
struct Side {
    rows: Array2<f64>,
    clusters: Clusters,
    gram: Array2<f64>,
}

impl Side {
    fn new(what: &str, input: Differences) -> Result<Self> {
        let concept = format!("the {what} concept");
        let names = ("prompts", concept.as_str());
        let clusters = clusters(names, input.clusters, input.rows.nrows(), 3)?;
        finite(&format!("a difference of {concept}"), input.rows)?;
        let rows = input.rows.mapv(f64::from);
        Ok(Side { gram: rows.dot(&rows.t()), rows, clusters })
    }
}

/// Inner products `(k, k)` of the orthonormal bases of both subspaces, and the second basis `(k, d)`;
/// without a cluster of a side where one is left out.
fn spaces(
    sides: &[Side; 2],
    left_out: Option<(usize, usize)>,
    most: usize,
) -> Result<(Array2<f64>, Array2<f64>)> {
    // Coefficients `(n, rank)` of each side's basis on its kept rows, and those rows.
    let part = |i: usize| -> Result<(Array2<f64>, Array2<f64>)> {
        let Side { rows, clusters, gram } = &sides[i];
        let gone = left_out.filter(|o| o.0 == i).map(|o| o.1);
        let kept: Vec<usize> =
            (0..rows.nrows()).filter(|&r| Some(clusters.of[r]) != gone).collect();
        let gram = gram.select(Axis(0), &kept).select(Axis(1), &kept);
        let (values, vectors) = symmetric_eigen(gram.view())?;
        let floor = 1e-12 * values[0].max(0.0);
        let rank = values.iter().take(most).take_while(|&&v| v > floor).count();
        let mut coefficients = vectors.slice(s![.., ..rank]).to_owned();
        for (mut column, value) in coefficients.columns_mut().into_iter().zip(&values) {
            column /= value.sqrt();
        }
        Ok((coefficients, rows.select(Axis(0), &kept)))
    };
    let parts = [part(0)?, part(1)?];
    let k = parts[0].0.ncols().min(parts[1].0.ncols());
    let [first, second] = parts.map(|(c, rows)| c.slice(s![.., ..k]).t().dot(&rows)); // (k, d)
    Ok((first.dot(&second.t()), second))
}

/// Overlap of the first `k` dimensions; NaN beyond the rank.
fn overlap(cross: &Array2<f64>, k: usize) -> f64 {
    match k <= cross.nrows() {
        true => cross.slice(s![..k, ..k]).mapv(|v| v * v).sum() / k as f64,
        false => f64::NAN,
    }
}

/// Overlaps of random subspaces with the leading rows of `basis (most, d)`, `(random, most)`.
fn random_overlaps(basis: &Array2<f64>, covariance: &Shrinkage, how: Resampling) -> Array2<f64> {
    let most = basis.nrows();
    let coefficients = mixtures(how.draws * most, covariance.n(), how.seed, "subspace/random");
    let drawn = covariance.mixed(&coefficients).mapv(f64::from);
    let mut out = Array2::from_elem((how.draws, most), f64::NAN);
    out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(i, mut row)| {
        let own = drawn.slice(s![i * most..(i + 1) * most, ..]);
        let cross = orthonormal_rows(own).dot(&basis.t()); // (most, most)
        let mut sum = 0.0;
        for k in 0..cross.nrows() {
            let edge = cross.slice(s![k, ..k + 1]).mapv(|v| v * v).sum()
                + cross.slice(s![..k, k]).mapv(|v| v * v).sum();
            sum += edge;
            row[k] = sum / (k + 1) as f64;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::subspace::{self, top_directions};
    use crate::stats::rng::{fill_normal, stream};
    use crate::stats::shrinkage::ledoit_wolf;

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f32> {
        let mut x = Array2::zeros((n, d));
        fill_normal(&mut stream(seed, "curve", 0), x.as_slice_mut().unwrap());
        x
    }

    /// Pairs that vary widely along the axes `axes` and have a mean on the first of them.
    fn pairs(n: usize, d: usize, axes: &[usize], seed: u64) -> Array2<f32> {
        let mut x = noise(n, d, seed) * 0.5;
        for (i, &axis) in axes.iter().enumerate() {
            let wide = noise(n, 1, 100 * seed + i as u64);
            let mut column = x.column_mut(axis);
            column += &(wide.column(0).to_owned() * (6.0 - i as f32));
        }
        x.column_mut(axes[0]).mapv_inplace(|v| v + 8.0);
        x
    }

    fn curve(a: &Array2<f32>, b: &Array2<f32>) -> Vec<OverlapAt> {
        let (na, nb): (Vec<usize>, Vec<usize>) =
            ((0..a.nrows()).collect(), (0..b.nrows()).collect());
        let covariance = ledoit_wolf(noise(40, a.ncols(), 77).view()).unwrap();
        subspace_curve(
            Differences { rows: a.view(), clusters: &na },
            Differences { rows: b.view(), clusters: &nb },
            &covariance,
            8,
            Resampling { draws: 199, ..Resampling::default() },
        )
        .unwrap()
    }

    #[test]
    fn the_curve_equals_singular_vectors_and_principal_angles() {
        let (a, b) = (pairs(20, 30, &[0, 1, 2], 1), pairs(16, 30, &[0, 5], 2));
        for at in curve(&a, &b) {
            let (x, y) =
                (top_directions(a.view(), at.k).unwrap(), top_directions(b.view(), at.k).unwrap());
            let want = subspace::overlap(x.view(), y.view()).unwrap();
            assert!((at.overlap.value - want.overlap).abs() < 1e-8);
            for (got, want) in at.angles.iter().zip(&want.angles) {
                assert!((got - want).abs() < 1e-5);
            }
            assert!((at.chance - want.chance).abs() < 1e-12);
        }
    }

    #[test]
    fn shared_axes_overlap_beyond_chance_and_others_do_not() {
        let shared = curve(&pairs(40, 60, &[0, 1], 3), &pairs(40, 60, &[0, 1], 4));
        assert_eq!(shared.len(), 8);
        assert!(shared[1].overlap.value > 0.9 && shared[1].p == 1.0 / 200.0);
        assert!(shared[1].overlap.interval.lo > 0.8);
        let apart = curve(&pairs(40, 60, &[0, 1], 5), &pairs(40, 60, &[7, 8], 6));
        assert!(apart[1].overlap.value < 0.1 && apart[1].p > 0.05);
        assert!(apart[1].null_hi > apart[1].chance);
    }

    #[test]
    fn p_is_uniform_for_random_first_subspaces() {
        let covariance = ledoit_wolf(noise(40, 12, 77).view()).unwrap();
        let b = noise(10, 12, 8);
        let names: Vec<usize> = (0..10).collect();
        let three: Vec<usize> = (0..3).collect();
        let p: Vec<f64> = (0..150)
            .map(|i| {
                let a = covariance.mixed(&mixtures(3, 40, i, "a"));
                let how = Resampling { draws: 99, seed: i, ..Resampling::default() };
                // One row three times: the leading direction is that row.
                let a = a.select(Axis(0), &[0, 0, 0]);
                let first = Differences { rows: a.view(), clusters: &three };
                let second = Differences { rows: b.view(), clusters: &names };
                subspace_curve(first, second, &covariance, 1, how).unwrap()[0].p
            })
            .collect();
        let found = crate::stats::kolmogorov::ks_uniform(&p).unwrap();
        assert!(found.p > 0.01, "{found:?}");
    }

    #[test]
    fn ragged_few_and_undefined_differences_are_refused() {
        let (a, b) = (noise(6, 4, 1), noise(6, 5, 2));
        let names: Vec<usize> = (0..6).collect();
        let covariance = ledoit_wolf(noise(10, 4, 3).view()).unwrap();
        let with = |rows: &Array2<f32>, clusters: &[usize]| {
            subspace_curve(
                Differences { rows: a.view(), clusters: &names },
                Differences { rows: rows.view(), clusters },
                &covariance,
                8,
                Resampling::default(),
            )
        };
        assert!(with(&b, &names).is_err());
        assert!(with(&a, &names[..5]).is_err());
        assert!(with(&a, &[1; 6]).is_err());
        assert!(with(&Array2::from_elem((6, 4), f32::NAN), &names).is_err());
    }
}
