//! A shift along the direction of a concept, where both are means of what was drawn: the shift over
//! texts, the direction over pairs.
//!
//! T = s . d / sqrt(U) estimates the projection on the population direction (see `population`).
//! Its interval is a symmetric bootstrap-t over texts x pairs, resampled apart: every draw is divided by
//! the standard error that somebody holding only that draw would give it, from what each cluster of
//! texts and of pairs contributes (Efron and Tibshirani 1993, chapter 12). Percentiles of draws would not
//! do, since d is normalised by its own noisy length. All of it is linear algebra of M = S P', the
//! products of the text clusters' sums S and the pair clusters' sums P, and of the pairs' Gram matrix.
//!
//! The permuted null keeps everything of the pairs but which side is which: one sign a prompt, balanced
//! within strata, gives a direction of the same topics, lengths and formats without the concept.

use super::population::{sums_of, Source};
use super::Result;
use crate::stats::bootstrap::{cluster_counts, Clusters};
use crate::stats::interval::{few_clusters, quantile, Interval};
use crate::stats::permutation::cluster_flips;
use crate::stats::Resampling;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Draws of one concept's pairs, shared by all layers and states.
pub(super) struct Drawn {
    clusters: Clusters,
    /// Pairs in each cluster.
    sizes: Array1<f32>,
    /// Bootstrap counts `(draws, C_p)`.
    counts: Array2<f32>,
    /// Signs `(flips, C_p)`.
    signs: Array2<f32>,
}

impl Drawn {
    pub fn new(source: &Source, options: Resampling) -> Self {
        let clusters = Clusters::new(source.clusters);
        let Resampling { draws, seed, .. } = options;
        Drawn {
            sizes: clusters.sizes.iter().map(|&k| k as f32).collect(),
            counts: cluster_counts(clusters.count(), draws, seed, "shift/pairs"),
            signs: cluster_flips(&clusters, source.strata, draws, seed, "shift/permuted"),
            clusters,
        }
    }
}

/// Cluster sums of the texts' shifts, with their draws.
pub(super) struct Texts<'a> {
    /// `(C_t, d)`.
    pub sums: &'a Array2<f64>,
    pub sizes: &'a Array1<f32>,
    /// `(draws, C_t)`.
    pub counts: &'a Array2<f32>,
}

/// A shift along one direction at one layer.
pub(super) struct Crossed {
    /// In activation units; NaN where the direction is not above its noise.
    pub value: f64,
    pub interval: Interval,
    /// Cosines with the permuted directions.
    pub permuted: Vec<f64>,
}

/// `length` is that of the mean shift.
pub(super) fn crossed(
    texts: &Texts,
    (source, drawn): (&Source, &Drawn),
    layer: usize,
    length: f64,
    level: f64,
) -> Result<Crossed> {
    let pairs = sums_of(source, &drawn.clusters, layer)?; // (C_p, d)
    let products = texts.sums.dot(&pairs.t()).mapv(|v| v as f32); // M (C_t, C_p)
    let gram = pairs.dot(&pairs.t()).mapv(|v| v as f32); // (C_p, C_p)
    let (t, p) = (texts.sizes, &drawn.sizes);
    let whole = Array2::ones((1, t.len()));
    let each = Array2::ones((1, p.len()));
    let data = studentised(&products, &gram, (&whole, t), (&each, p));
    let draws = studentised(&products, &gram, (texts.counts, t), (&drawn.counts, p));
    let (value, error) = data[0];
    let mut quotients: Vec<f64> =
        draws.into_iter().map(|(drawn, error)| quotient(drawn - value, error)).collect();
    let widening = few_clusters(t.len().min(p.len()), level);
    let interval = match value.is_finite() && !quotients.is_empty() {
        true => Interval::around(value, quantile(&mut quotients, level) * error * widening),
        false => Interval::UNDEFINED,
    };
    let known = interval.lo.is_finite() && interval.hi.is_finite();
    let along = products.sum_axis(Axis(0)) / t.sum(); // s . P_j (C_p)
    let lengths = (drawn.signs.dot(&gram) * &drawn.signs).sum_axis(Axis(1)); // (flips)
    let signed = drawn.signs.dot(&along); // (flips)
    let permuted = signed.iter().zip(&lengths);
    Ok(Crossed {
        value,
        interval: if known { interval } else { Interval::UNDEFINED },
        permuted: permuted
            .map(|(&along, &squared)| f64::from(along) / (f64::from(squared).sqrt() * length))
            .collect(),
    })
}

/// Infinite for a draw that has no direction: it counts as beyond any other.
fn quotient(off: f64, error: f64) -> f64 {
    match off.abs() / error {
        t if t.is_nan() => f64::INFINITY,
        t => t,
    }
}

/// T and its standard error in every draw; rows of `texts.0` and `pairs.0` are weights of clusters, whose
/// sizes stand beside them. NaN where the squared length is not positive.
fn studentised(
    products: &Array2<f32>,
    gram: &Array2<f32>,
    texts: (&Array2<f32>, &Array1<f32>),
    pairs: (&Array2<f32>, &Array1<f32>),
) -> Vec<(f64, f64)> {
    let of_pairs = texts.0.dot(products); // s . P_j, summed over texts (draws, C_p)
    let of_texts = pairs.0.dot(&products.t()); // S_i . d, summed over pairs (draws, C_t)
    let lengths = pairs.0.dot(gram); // P_j . d (draws, C_p)
    let one = |draw: usize| {
        let side = |m: &(&Array2<f32>, &Array1<f32>)| f64::from(m.0.row(draw).dot(m.1));
        let (n, m) = (side(&texts), side(&pairs));
        let (w, v) = (texts.0.row(draw), pairs.0.row(draw));
        let inner = f64::from(v.dot(&of_pairs.row(draw))) / (n * m);
        let rest = others(v, pairs.1, m, lengths.row(draw), gram.diag());
        let alone: f64 = v.iter().zip(pairs.1).map(|(&v, &b)| f64::from(v * b).powi(2)).sum();
        let full: f64 = (v.iter().zip(&lengths.row(draw)))
            .zip(gram.diag())
            .map(|((&v, &along), &own)| f64::from(v) * (f64::from(along) - f64::from(v * own)))
            .sum();
        let squared = full / (m * m - alone);
        if squared <= 0.0 {
            return (f64::NAN, f64::NAN);
        }
        let length = squared.sqrt();
        let text_part: f64 = (w.iter().zip(&of_texts.row(draw)).zip(texts.1))
            .map(|((&w, &x), &a)| {
                let own = (f64::from(x) / m - f64::from(a) * inner) / (n * length);
                f64::from(w) * own * own
            })
            .sum();
        let pair_part: f64 = (v.iter().zip(&of_pairs.row(draw)).zip(pairs.1).zip(&rest))
            .map(|(((&v, &y), &b), rest)| {
                let b = f64::from(b);
                let towards = f64::from(y) / n - b * inner;
                let longer = inner / squared * (rest - b * squared);
                let own = (towards - longer) / (m * length);
                f64::from(v) * own * own
            })
            .sum();
        (inner / length, (text_part + pair_part).sqrt())
    };
    (0..texts.0.nrows()).map(one).collect()
}

/// What each pair cluster's sum has along the mean of the others.
fn others(
    v: ArrayView1<f32>,
    sizes: &Array1<f32>,
    m: f64,
    along: ArrayView1<f32>,
    own: ArrayView1<f32>,
) -> Vec<f64> {
    (v.iter().zip(sizes).zip(along).zip(own))
        .map(|(((&v, &b), &along), &own)| {
            (f64::from(along) - f64::from(v * own)) / (m - f64::from(v * b))
        })
        .collect()
}
