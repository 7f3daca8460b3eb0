//! Is it still the same direction, and the same space?
//!
//! Two questions of base and a tuned state: the cosine between a direction in
//! both, by layer, and linear centred kernel alignment of their activations on
//! the same neutral texts. Both states read the same pairs, so their directions
//! share the noise of the pairs and the plain cosine leans towards the cosine of
//! that noise; the noiseless one leaves out products within a prompt. With fewer
//! texts than dimensions the usual CKA is close to 1 whatever the data, so the
//! debiased form, which leaves out each text's product with itself, is given
//! beside it. Intervals are jackknives over prompts and texts, that of a cosine
//! on its even scale.

use super::check::{self, shape};
use super::error::Result;
use crate::stats::bootstrap::Clusters;
use crate::stats::jackknife::jackknife_of;
use crate::stats::{link, Interval};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

/// A concept's direction in two states that read the same pairs, at one layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Cosine of the two mean differences.
    pub cosine: f64,
    /// Its interval over prompts.
    pub interval: Interval,
    /// Cosine without the noise of a finite number of pairs; NaN below the noise floor.
    pub noiseless: f64,
    /// Its interval over prompts.
    pub noiseless_interval: Interval,
    /// Prompts.
    pub n: usize,
}

/// Stability by layer of a concept whose pairs' differences in two states are
/// `(n_pairs, n_layers, d)`; `clusters` names the prompt of each pair.
///
/// Errors when shapes disagree, below 3 prompts and on values that are not finite.
pub fn direction_stability(
    base: ArrayView3<f32>,
    tuned: ArrayView3<f32>,
    clusters: &[usize],
    level: f64,
) -> Result<Vec<Stability>> {
    shape("differences of the tuned state", base.shape(), tuned.shape())?;
    let names = ("prompts", "the concept");
    let clusters = check::clusters(names, clusters, base.dim().0, 3)?;
    check::each(base.dim().1, |l| {
        let (base, tuned) = (base.index_axis(Axis(1), l), tuned.index_axis(Axis(1), l));
        let sums = [clusters.sums(base), clusters.sums(tuned)];
        check::finite(&format!("a difference at layer {l}"), sums.iter().flatten())?;
        Ok(stability(&sums, &clusters, level))
    })
}

fn stability(sums: &[Array2<f64>; 2], clusters: &Clusters, level: f64) -> Stability {
    let [base, tuned] = sums;
    let grams = [base.dot(&tuned.t()), base.dot(&base.t()), tuned.dot(&tuned.t())];
    // Of each matrix: its sum, the sum of its diagonal, and what a cluster takes out of both.
    let totals = grams.each_ref().map(|g| (g.sum(), g.diag().sum()));
    let gone = grams.each_ref().map(|g| {
        let both = &g.sum_axis(Axis(0)) + &g.sum_axis(Axis(1));
        (&both - &g.diag(), g.diag().to_owned())
    });
    let ratio = |parts: [f64; 3]| match parts[1] > 0.0 && parts[2] > 0.0 {
        true => parts[0] / (parts[1] * parts[2]).sqrt(),
        false => f64::NAN,
    };
    // The pairs' counts cancel in both ratios.
    let values = |left_out: Option<usize>| {
        let part = |i: usize| {
            let (mut full, mut diagonal) = totals[i];
            if let Some(c) = left_out {
                full -= gone[i].0[c];
                diagonal -= gone[i].1[c];
            }
            (full, full - diagonal)
        };
        let parts = [part(0), part(1), part(2)];
        (ratio(parts.map(|p| p.0)), ratio(parts.map(|p| p.1)))
    };
    let (plain, noiseless) = values(None);
    let without: Vec<(f64, f64)> = (0..clusters.count()).map(|c| values(Some(c))).collect();
    let interval = |value: f64, pick: fn(&(f64, f64)) -> f64| {
        let even = |c: usize| link::even(pick(&without[c]));
        jackknife_of(link::even(value), without.len(), even, level).interval.map(link::back)
    };
    Stability {
        cosine: plain,
        interval: interval(plain, |w| w.0).within(-1.0, 1.0),
        noiseless,
        noiseless_interval: interval(noiseless, |w| w.1),
        n: clusters.count(),
    }
}

/// Linear CKA at one layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cka {
    /// As usually computed (Kornblith et al. 2019, equation 4), in 0..1.
    pub biased: f64,
    /// With the unbiased estimate of HSIC (Song et al. 2012; Nguyen et al. 2021); NaN below 4 texts.
    pub debiased: f64,
    /// 95 % interval of the debiased form over texts; NaN below 5 texts.
    pub interval: Interval,
}

/// Linear CKA by layer between activations `(n_texts, n_layers, d)` of the same texts;
/// the widths may differ.
pub fn linear_cka(a: ArrayView3<f32>, b: ArrayView3<f32>) -> Result<Vec<Cka>> {
    shape("activations", &a.shape()[..2], &b.shape()[..2])?;
    check::each(a.dim().1, |l| {
        let (k, g) = (gram(a.index_axis(Axis(1), l)), gram(b.index_axis(Axis(1), l)));
        let debiased = |k: &Array2<f64>, g: &Array2<f64>| ratio(unbiased_hsic, k, g);
        let without = |text: usize| {
            let kept: Vec<usize> = (0..k.nrows()).filter(|&i| i != text).collect();
            let part = |m: &Array2<f64>| m.select(Axis(0), &kept).select(Axis(1), &kept);
            debiased(&part(&k), &part(&g))
        };
        let value = debiased(&k, &g);
        let interval = jackknife_of(value, k.nrows(), without, 0.95).interval;
        Ok(Cka { biased: ratio(|x, y| (x * y).sum(), &k, &g), debiased: value, interval })
    })
}

fn ratio(f: fn(&Array2<f64>, &Array2<f64>) -> f64, k: &Array2<f64>, g: &Array2<f64>) -> f64 {
    f(k, g) / (f(k, k) * f(g, g)).sqrt()
}

/// Inner products `(n, n)` of centred rows.
fn gram(x: ArrayView2<f32>) -> Array2<f64> {
    let x = x.mapv(f64::from);
    let centred = &x - &(x.sum_axis(Axis(0)) / x.nrows() as f64);
    centred.dot(&centred.t())
}

/// Unbiased estimate of HSIC up to a factor that cancels in CKA.
fn unbiased_hsic(k: &Array2<f64>, l: &Array2<f64>) -> f64 {
    let n = k.nrows() as f64;
    if k.nrows() < 4 {
        return f64::NAN;
    }
    let (mut k, mut l) = (k.clone(), l.clone());
    k.diag_mut().fill(0.0);
    l.diag_mut().fill(0.0);
    let across = k.sum_axis(Axis(0)).dot(&l.sum_axis(Axis(0)));
    (&k * &l).sum() + k.sum() * l.sum() / ((n - 1.0) * (n - 2.0)) - 2.0 * across / (n - 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::linalg::orthonormal_rows;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::Array3;

    fn noise(n: usize, d: usize, seed: u64) -> Array3<f32> {
        let mut x = Array3::zeros((n, 1, d));
        fill_normal(&mut stream(seed, "cka", 0), x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn cka_is_one_after_rotation_scale_and_offset() {
        let x = noise(12, 6, 1);
        let q = orthonormal_rows(noise(6, 6, 2).index_axis(Axis(1), 0).mapv(f64::from).view());
        let y = x.index_axis(Axis(1), 0).dot(&q.mapv(|v| v as f32)) * 3.0 + 1.0;
        let got = linear_cka(x.view(), y.insert_axis(Axis(1)).view()).unwrap()[0];
        assert!((got.biased - 1.0).abs() < 1e-5);
        assert!((got.debiased - 1.0).abs() < 1e-5);
    }

    #[test]
    fn unrelated_spaces_look_alike_to_the_biased_form_only() {
        let mean = |f: &dyn Fn(Cka) -> f64| {
            (0..20)
                .map(|s| {
                    f(linear_cka(noise(20, 200, s).view(), noise(20, 200, s + 50).view()).unwrap()
                        [0])
                })
                .sum::<f64>()
                / 20.0
        };
        assert!(mean(&|c| c.biased) > 0.8);
        assert!(mean(&|c| c.debiased).abs() < 0.1);
    }

    /// Pairs of one concept in two states: means with a planted cosine, noise mostly shared.
    fn states(n: usize, d: usize, planted: f32, seed: u64) -> [Array3<f32>; 2] {
        let (shared, own) = (noise(n, d, 3 * seed), noise(n, d, 3 * seed + 1));
        let signal = 0.35 * (d as f32).sqrt();
        let mut base = shared.clone();
        let mut tuned = shared * 0.9 + own * 0.436;
        base.slice_mut(ndarray::s![.., .., 0]).mapv_inplace(|v| v + signal);
        tuned.slice_mut(ndarray::s![.., .., 0]).mapv_inplace(|v| v + signal * planted);
        tuned
            .slice_mut(ndarray::s![.., .., 1])
            .mapv_inplace(|v| v + signal * (1.0 - planted * planted).sqrt());
        [base, tuned]
    }

    #[test]
    fn shared_noise_pulls_the_plain_cosine_and_not_the_noiseless_one() {
        let clusters: Vec<usize> = (0..24).collect();
        let (mut plain, mut noiseless, mut covered) = (0.0, 0.0, 0);
        let repeats = 300;
        for seed in 0..repeats {
            let [base, tuned] = states(24, 60, 0.3, seed);
            let got = direction_stability(base.view(), tuned.view(), &clusters, 0.95).unwrap()[0];
            plain += got.cosine / repeats as f64;
            noiseless += got.noiseless / repeats as f64;
            covered += usize::from(got.noiseless_interval.contains(0.3));
            assert!(got.interval.lo <= got.cosine && got.cosine <= got.interval.hi);
        }
        assert!(plain > 0.36, "{plain}");
        assert!((noiseless - 0.3).abs() < 0.02, "{noiseless}");
        // The jackknife counts products of two errors twice, so it is wide rather than narrow.
        assert!(covered >= 275, "{covered} of {repeats}");
    }

    #[test]
    fn the_same_pairs_have_a_stability_of_one() {
        let [base, _] = states(12, 20, 0.5, 7);
        let names: Vec<usize> = (0..12).map(|i| i / 2).collect();
        let got = direction_stability(base.view(), base.view(), &names, 0.95).unwrap()[0];
        assert!((got.cosine - 1.0).abs() < 1e-9 && (got.noiseless - 1.0).abs() < 1e-9);
        assert!(got.noiseless_interval.width() < 1e-6);
        assert_eq!(got.n, 6);
    }

    #[test]
    fn the_interval_of_an_alignment_holds_it_and_narrows_with_texts() {
        let width = |n: usize| {
            let (x, y) = (noise(n, 30, 5), noise(n, 30, 6));
            let near = &x + &(y * 0.5);
            let got = linear_cka(x.view(), near.view()).unwrap()[0];
            assert!(got.interval.contains(got.debiased));
            got.interval.width()
        };
        assert!(width(80) < 0.7 * width(20));
    }
}
