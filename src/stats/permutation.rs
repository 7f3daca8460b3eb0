//! Permutation p-values and sign flips.
//!
//! A p-value here is always (1 + b) / (1 + n), b the number of null draws at
//! least as extreme as what was observed (Phipson and Smyth 2010): the observed
//! arrangement counts as one of the draws, so p is never 0 and never too small.
//! [`sign_flips`] gives the null of paired designs, where swapping the labels
//! of a pair negates its difference; whole clusters flip together. [`balanced_flips`] keeps as many of
//! either sign in every stratum.

use super::bootstrap::{grouped, Clusters};
use super::rng::stream;
use ndarray::{Array2, ArrayView1, Axis};
use rand::seq::SliceRandom;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Which null draws count as at least as extreme as the observed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Draws at or above the observed value.
    Greater,
    /// Draws at or below the observed value.
    Less,
    /// Draws at least as far from 0 as the observed value.
    TwoSided,
}

/// p = (1 + b) / (1 + n); NaN draws are left out, NaN observed gives NaN.
pub fn p_value(observed: f64, null: &[f64], tail: Tail) -> f64 {
    if observed.is_nan() {
        return f64::NAN;
    }
    let extreme = |x: f64| match tail {
        Tail::Greater => x >= observed,
        Tail::Less => x <= observed,
        Tail::TwoSided => x.abs() >= observed.abs(),
    };
    let (mut b, mut n) = (0usize, 0usize);
    for &draw in null.iter().filter(|x| !x.is_nan()) {
        n += 1;
        b += usize::from(extreme(draw));
    }
    (1 + b) as f64 / (1 + n) as f64
}

/// As [`p_value`]; NaN where there is no null at all.
pub fn p_among(observed: f64, null: &[f64], tail: Tail) -> f64 {
    match null.is_empty() {
        true => f64::NAN,
        false => p_value(observed, null, tail),
    }
}

/// Independent signs `(flips, n_clusters)`, each +1 or -1 with equal chance.
pub fn sign_flips(n_clusters: usize, flips: usize, seed: u64, purpose: &str) -> Array2<f32> {
    let mut signs = Array2::<f32>::ones((flips, n_clusters)); // (flips, clusters)
    signs.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(flip, mut row)| {
        let mut rng = stream(seed, purpose, flip as u64);
        row.mapv_inplace(|one| if rng.random::<bool>() { -one } else { one });
    });
    signs
}

/// Signs `(flips, clusters)` that are balanced within strata: half of a stratum's clusters get -1; where
/// their number is odd, chance says of which there is one more.
///
/// `strata` names the stratum of each cluster.
pub fn balanced_flips(strata: &[usize], flips: usize, seed: u64, purpose: &str) -> Array2<f32> {
    let members = grouped(strata.iter().enumerate().map(|(i, &stratum)| (stratum, i)));
    let mut signs = Array2::<f32>::ones((flips, strata.len())); // (flips, clusters)
    signs.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(flip, mut row)| {
        let mut rng = stream(seed, purpose, flip as u64);
        for (_, of) in &members {
            let mut of = of.clone();
            of.shuffle(&mut rng);
            let half = (of.len() + usize::from(rng.random::<bool>())) / 2;
            of[..half].iter().for_each(|&i| row[i] = -1.0);
        }
    });
    signs
}

/// [`balanced_flips`] of clusters of rows, each in the stratum of its rows.
pub fn cluster_flips(
    clusters: &Clusters,
    strata: &[usize],
    flips: usize,
    seed: u64,
    purpose: &str,
) -> Array2<f32> {
    let mut of = vec![0; clusters.count()];
    for (&cluster, &stratum) in clusters.of.iter().zip(strata) {
        of[cluster] = stratum;
    }
    balanced_flips(&of, flips, seed, purpose)
}

/// p of the hypothesis that paired differences are symmetric about 0, by
/// flipping the signs of whole clusters; the statistic is the mean.
pub fn flip_test_mean(
    differences: &[f64],
    clusters: &[usize],
    flips: usize,
    tail: Tail,
    seed: u64,
    purpose: &str,
) -> f64 {
    let grouped = Clusters::new(clusters);
    let sums = grouped.totals(differences);
    let signs = sign_flips(grouped.count(), flips, seed, purpose);
    let flipped =
        |row: ArrayView1<f32>| row.iter().zip(&sums).map(|(&s, &x)| f64::from(s) * x).sum();
    let null: Vec<f64> = signs.rows().into_iter().map(flipped).collect();
    p_value(sums.iter().sum(), &null, tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn p_counts_the_observed_arrangement_as_a_draw() {
        let null = [-3.0, -1.0, 0.0, 1.0, 2.0, f64::NAN];
        assert_eq!(p_value(2.0, &null, Tail::Greater), 2.0 / 6.0);
        assert_eq!(p_value(2.0, &null, Tail::TwoSided), 3.0 / 6.0);
        assert_eq!(p_value(-3.0, &null, Tail::Less), 2.0 / 6.0);
        assert_eq!(p_value(9.0, &null, Tail::Greater), 1.0 / 6.0);
        assert!(p_value(f64::NAN, &null, Tail::Greater).is_nan());
    }

    #[test]
    fn balanced_signs_cancel_in_every_stratum_but_for_an_odd_one() {
        let strata = [7, 7, 3, 7, 3, 3, 7, 9];
        let signs = balanced_flips(&strata, 400, 1, "balanced");
        let mut odd = 0.0;
        for row in signs.rows() {
            let sum = |stratum: usize| -> f32 {
                strata.iter().zip(row).filter(|(&s, _)| s == stratum).map(|(_, &x)| x).sum()
            };
            assert_eq!((sum(7), sum(3).abs(), sum(9).abs()), (0.0, 1.0, 1.0));
            odd += sum(9);
        }
        assert!(odd.abs() < 80.0, "{odd}");
        assert_ne!(signs.row(0), signs.row(1));
    }

    #[test]
    fn flip_p_is_uniform_when_there_is_no_effect_and_small_when_there_is() {
        let run = |effect: f64, repeat: u64| {
            let mut rng = stream(2, "flip", repeat);
            let x: Vec<f64> = (0..25)
                .map(|_| effect + Distribution::<f64>::sample(&StandardNormal, &mut rng))
                .collect();
            let names: Vec<usize> = (0..25).collect();
            flip_test_mean(&x, &names, 199, Tail::TwoSided, repeat, "f")
        };
        let mut p: Vec<f64> = (0..300).map(|i| run(0.0, i)).collect();
        p.sort_by(f64::total_cmp);
        let ks = p
            .iter()
            .enumerate()
            .map(|(i, &x)| (x - (i as f64 + 0.5) / 300.0).abs())
            .fold(0.0, f64::max);
        assert!(ks < 1.63 / 300f64.sqrt(), "KS distance {ks}");
        assert!((0..20).all(|i| run(1.5, i) < 0.02));
    }
}
