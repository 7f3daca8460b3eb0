//! Where a fine-tune moved the same texts.
//!
//! s = mean over texts of h_tuned - h_base, on identical text. Its projection on
//! a direction is given raw, as a cosine and as a share of |s|^2; its movement between two poles as the coordinate t (0 at the
//! negative pole, 1 at the positive). Opposite fine-tunes share most of their
//! shift, so a high cosine between shifts is the default and no evidence:
//! [`mean_of_others`] takes the shared part away first. Intervals are bootstraps
//! over text clusters with the noise correction explained in `resample`, widened
//! for few clusters.

use super::check::{at_least, clusters, each, finite, index, shape};
use super::error::Result;
use crate::stats::bootstrap::{cluster_counts, Clusters};
use crate::stats::interval::{widened, Interval};
use crate::stats::linalg::cosine;
use crate::stats::Resampling;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

/// The same texts read by a tuned model and by base.
#[derive(Debug, Clone, Copy)]
pub struct ShiftInput<'a> {
    /// Pooled activations of the tuned state `(n_texts, n_layers, d)`.
    pub tuned: ArrayView3<'a, f32>,
    /// The same texts in base `(n_texts, n_layers, d)`.
    pub base: ArrayView3<'a, f32>,
    /// Cluster of each text.
    pub clusters: &'a [usize],
}

/// A value with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From all texts.
    pub value: f64,
    /// Over text clusters.
    pub interval: Interval,
}

/// A shift against one direction at one layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OnDirection {
    /// s . v, in activation units.
    pub raw: Measured,
    /// cos(s, v), as measured with this many texts.
    pub cosine: Measured,
    /// (s . v)^2 / |s|^2.
    pub share: Measured,
}

/// A shift between two poles at one layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BetweenPoles {
    /// t of base: 0 at the negative pole, 1 at the positive.
    pub base: f64,
    /// t of the tuned state.
    pub tuned: f64,
    /// Tuned less base.
    pub change: Measured,
}

/// Mean shift `(n_layers, d)`.
pub fn mean_shift(input: &ShiftInput) -> Result<Array2<f64>> {
    checked(input)?;
    let (n, layers, width) = input.tuned.dim();
    let mut sum = Array2::<f64>::zeros((layers, width));
    for (tuned, base) in input.tuned.outer_iter().zip(input.base.outer_iter()) {
        ndarray::Zip::from(&mut sum)
            .and(tuned)
            .and(base)
            .for_each(|s, &t, &b| *s += f64::from(t) - f64::from(b));
    }
    Ok(sum / n as f64)
}

/// Projects the shift on directions, `[layer][direction]`.
///
/// Each of `directions` is `(n_layers, d)`; rows need not be unit vectors, their
/// lengths are ignored. Errors on differing shapes, below 3 clusters and on
/// values that are not finite.
pub fn project(
    input: &ShiftInput,
    directions: &[ArrayView2<f64>],
    options: Resampling,
) -> Result<Vec<Vec<OnDirection>>> {
    let clusters = checked(input)?;
    let (_, layers, width) = input.tuned.dim();
    for (i, direction) in directions.iter().enumerate() {
        shape(&format!("direction {i}"), &[layers, width], direction.shape())?;
    }
    let counts = counts(&clusters, options);
    each(layers, |l| {
        let layer = Layer::new(input, l, &clusters, &counts)?;
        Ok(directions.iter().map(|v| layer.on(v.row(l), options.level)).collect())
    })
}

/// The shift as movement between two poles, one entry a layer.
///
/// `negative` and `positive` are the poles' mean activations `(n_layers, d)`;
/// t(h) = (h - negative) . (positive - negative) / |positive - negative|^2.
pub fn between_poles(
    input: &ShiftInput,
    negative: ArrayView2<f64>,
    positive: ArrayView2<f64>,
    options: Resampling,
) -> Result<Vec<BetweenPoles>> {
    let clusters = checked(input)?;
    let (n, layers, width) = input.tuned.dim();
    shape("negative pole", &[layers, width], negative.shape())?;
    shape("positive pole", &[layers, width], positive.shape())?;
    let counts = counts(&clusters, options);
    each(layers, |l| {
        let axis = &positive.row(l) - &negative.row(l); // (d)
        let scale = axis.dot(&axis);
        let base = input.base.index_axis(Axis(1), l); // (n, d)
        let mean = base.mapv(f64::from).sum_axis(Axis(0)) / n as f64;
        let start = (&mean - &negative.row(l)).dot(&axis) / scale;
        let layer = Layer::new(input, l, &clusters, &counts)?;
        let (value, draws) = layer.along(axis.view());
        let change = layer.measured(value / scale, draws / scale, options.level);
        Ok(BetweenPoles { base: start, tuned: start + change.value, change })
    })
}

/// Cosines between shifts, `[state, state, layer]`; each shift is `(n_layers, d)`.
pub fn shift_cosines(shifts: &[Array2<f64>]) -> Result<Array3<f64>> {
    let layers = shifts.first().map_or(0, |s| s.nrows());
    for (i, shift) in shifts.iter().enumerate() {
        shape(&format!("shift {i}"), shifts[0].shape(), shift.shape())?;
    }
    let k = shifts.len();
    Ok(Array3::from_shape_fn((k, k, layers), |(a, b, l)| {
        cosine(shifts[a].row(l), shifts[b].row(l))
    }))
}

/// Mean over groups of states of each group's mean activations, `(n_texts, n_layers, d)`, every group
/// weighing the same: as the base of a [`ShiftInput`] it gives a shift without what the groups share.
///
/// # Errors
/// No group or an empty one, a state that does not exist, shapes that differ.
pub fn mean_of_others(states: &[ArrayView3<f32>], groups: &[Vec<usize>]) -> Result<Array3<f32>> {
    at_least("list of other states", 1, groups.len())?;
    groups.iter().try_for_each(|g| at_least("group of other states", 1, g.len()))?;
    groups.iter().flatten().try_for_each(|&i| index("state", i, states.len()))?;
    let mut sum = Array3::<f64>::zeros(states[groups[0][0]].dim());
    for group in groups {
        let weight = 1.0 / (groups.len() * group.len()) as f64;
        for &other in group {
            let what = format!("activations of state {other}");
            shape(&what, sum.shape(), states[other].shape())?;
            sum.zip_mut_with(&states[other], |s, &v| *s += weight * f64::from(v));
        }
    }
    Ok(sum.mapv(|v| v as f32))
}

/// One layer's shift, by cluster.
pub(super) struct Layer<'a> {
    /// Sums of shifts `(clusters, d)`.
    pub sums: Array2<f64>,
    /// Bootstrap counts `(draws, clusters)`.
    counts: &'a Array2<f64>,
    /// Texts in each draw `(draws)`.
    totals: Array1<f64>,
    /// Texts.
    pub n: f64,
    /// |s|^2.
    squared: f64,
    /// |s|^2 of each draw, noise corrected `(draws)`.
    squared_draws: Array1<f64>,
}

impl<'a> Layer<'a> {
    pub fn new(
        input: &ShiftInput,
        l: usize,
        clusters: &Clusters,
        counts: &'a Array2<f64>,
    ) -> Result<Self> {
        let (tuned, base) = (input.tuned.index_axis(Axis(1), l), input.base.index_axis(Axis(1), l));
        let sums = clusters.differences(tuned, base); // (C, d)
        finite(&format!("the shift at layer {l}"), &sums)?;
        let sizes: Array1<f64> = clusters.sizes.iter().map(|&k| k as f64).collect();
        let gram = sums.dot(&sums.t()); // (clusters, clusters)
        let n = clusters.of.len() as f64;
        let squared = gram.sum() / (n * n);
        let noiseless = (gram.sum() - gram.diag().sum()) / (n * n - sizes.mapv(|k| k * k).sum());
        let twice = counts.mapv(|w| w * w);
        let totals = counts.dot(&sizes);
        let same = twice.dot(&gram.diag());
        let same_size = twice.dot(&sizes.mapv(|k| k * k));
        let full = (counts.dot(&gram) * counts).sum_axis(Axis(1));
        let squared_draws = (full - same) / (&totals * &totals - same_size) + (squared - noiseless);
        Ok(Layer { sums, counts, totals, n, squared, squared_draws })
    }

    /// s . v and its draws.
    fn along(&self, v: ArrayView1<f64>) -> (f64, Array1<f64>) {
        let projected = self.sums.dot(&v); // (clusters)
        let draws = self.counts.dot(&projected) / &self.totals;
        (projected.sum() / self.n, draws)
    }

    pub fn on(&self, v: ArrayView1<f64>, level: f64) -> OnDirection {
        let unit = &v / v.dot(&v).sqrt();
        let (value, draws) = self.along(unit.view());
        let cosines = &draws / &self.squared_draws.mapv(f64::sqrt);
        // Widened ends stay where such a number can be.
        let within = |value: f64, draws: Array1<f64>, least: f64| {
            let found = self.measured(value, draws, level);
            Measured { interval: found.interval.within(least, 1.0), ..found }
        };
        OnDirection {
            raw: self.measured(value, draws.clone(), level),
            share: within(value * value / self.squared, &cosines * &cosines, 0.0),
            cosine: within(value / self.squared.sqrt(), cosines, -1.0),
        }
    }

    /// A value with the percentile interval of its draws, widened for few clusters.
    fn measured(&self, value: f64, draws: Array1<f64>, level: f64) -> Measured {
        Measured { value, interval: widened(value, draws.into_iter(), self.counts.ncols(), level) }
    }
}

pub(super) fn counts(clusters: &Clusters, options: Resampling) -> Array2<f64> {
    cluster_counts(clusters.count(), options.draws, options.seed, "shift").mapv(f64::from)
}

pub(super) fn checked(input: &ShiftInput) -> Result<Clusters> {
    shape("activations of the tuned state", input.base.shape(), input.tuned.shape())?;
    let rows = input.tuned.dim().0;
    clusters(("clusters", "the texts"), input.clusters, rows, 3)
}

#[cfg(test)]
#[path = "shift_tests.rs"]
mod tests;
