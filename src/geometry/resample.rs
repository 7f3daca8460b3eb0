//! Resampling cosines of mean differences through inner products.
//!
//! A resampled mean difference is a weighted sum of cluster sums, so all that a
//! cosine needs is w_a' G_ab w_b with G_ab the inner products of the clusters of
//! concepts a and b. The width d drops out after one product, and cleaning or
//! whitening only changes G. Weights are drawn once and shared by every state
//! and layer, so that differences between states are paired.
//!
//! One thing is unusual. Resampling adds noise of its own to a mean in many
//! dimensions and lengthens it, which drags a naive bootstrap cosine towards 0.
//! Products of two *different* clusters carry no such bias: their weighted mean
//! U estimates the squared length without noise, D = |mean|^2 - U is the part
//! that noise added in the data, and a resampled squared length is U* + D.

use super::coupling_input::{CouplingInput, CouplingOptions};
use crate::ops::simd::vectorised;
use crate::stats::bootstrap::{cluster_counts, Clusters};
use crate::stats::permutation::cluster_flips;
use ndarray::{s, Array2, ArrayView2, Axis};
use std::ops::Range;

/// Draws handled at once: what they need fits in the cache.
const BLOCK: usize = 256;

/// Where each concept's clusters lie in a stacked matrix, and their sizes.
pub(super) struct Layout {
    /// Clusters of each concept.
    pub clusters: Vec<Clusters>,
    /// First row of each concept, and the number of rows at the end.
    pub offsets: Vec<usize>,
}

impl Layout {
    pub fn new(names: &[Vec<usize>]) -> Self {
        let clusters: Vec<Clusters> = names.iter().map(|n| Clusters::new(n)).collect();
        let mut offsets = vec![0];
        for concept in &clusters {
            offsets.push(offsets[offsets.len() - 1] + concept.count());
        }
        Layout { clusters, offsets }
    }

    pub fn concepts(&self) -> usize {
        self.clusters.len()
    }

    pub fn rows(&self) -> usize {
        self.offsets[self.concepts()]
    }

    /// Rows of a concept.
    pub fn span(&self, a: usize) -> Range<usize> {
        self.offsets[a]..self.offsets[a + 1]
    }

    /// Bootstrap counts `(draws, C_a)` of every concept: one purpose a concept, one stream a draw.
    pub fn bootstrap(&self, draws: usize, seed: u64) -> Vec<Array2<f32>> {
        let purpose = |a: usize| format!("coupling/bootstrap/{a}");
        let counts =
            |(a, c): (usize, &Clusters)| cluster_counts(c.count(), draws, seed, &purpose(a));
        self.clusters.iter().enumerate().map(counts).collect()
    }

    /// Signs `(flips, C_a)` for the clusters of every concept, balanced within the strata of its pairs.
    pub fn flips(&self, strata: &[Vec<usize>], flips: usize, seed: u64) -> Vec<Array2<f32>> {
        let purpose = |a: usize| format!("coupling/flip/{a}");
        let signs = |(a, (c, strata)): (usize, (&Clusters, &Vec<usize>))| {
            cluster_flips(c, strata, flips, seed, &purpose(a))
        };
        self.clusters.iter().zip(strata).enumerate().map(signs).collect()
    }

    /// Place of the pair (a, b), a <= b, among the pairs with repetition.
    pub fn pair(&self, a: usize, b: usize) -> usize {
        a * self.concepts() - a * a.saturating_sub(1) / 2 + b - a
    }

    pub fn pairs(&self) -> usize {
        self.concepts() * (self.concepts() + 1) / 2
    }

    /// Block `(C_a, C_b)` of a stacked Gram matrix.
    pub fn block<'a, T>(&self, gram: &'a Array2<T>, a: usize, b: usize) -> ArrayView2<'a, T> {
        gram.slice(s![self.span(a), self.span(b)])
    }
}

/// What all states and layers share.
pub(super) struct Context<'a> {
    pub input: CouplingInput<'a>,
    pub options: &'a CouplingOptions,
    pub layout: Layout,
    /// Bootstrap counts `(draws, C_a)` of every concept, drawn once.
    pub draws: Vec<Array2<f32>>,
    /// Signs `(flips, C_a)` of every concept, drawn once.
    pub flips: Vec<Array2<f32>>,
    /// Coefficients `(random, n_neutral)` of random directions on the neutral texts.
    pub mixtures: Array2<f32>,
    /// Widening for few clusters, one a concept.
    pub expansion: Vec<f64>,
}

/// w_a' G_ab w_b for every pair of concepts and every draw, `(pairs, draws)`.
///
/// Only the blocks on and above the diagonal of `gram` are read.
pub(super) fn quadratic(
    layout: &Layout,
    weights: &[Array2<f32>],
    gram: &Array2<f32>,
) -> Array2<f32> {
    let draws = weights.first().map_or(0, |w| w.nrows());
    let mut out = Array2::<f32>::zeros((layout.pairs(), draws));
    for a in 0..layout.concepts() {
        let first = layout.offsets[a];
        let right = gram.slice(s![layout.span(a), first..]); // (C_a, rest)
        for start in (0..draws).step_by(BLOCK) {
            let end = (start + BLOCK).min(draws);
            let product = weights[a].slice(s![start..end, ..]).dot(&right); // (block, rest)
            for (b, weights) in weights.iter().enumerate().skip(a) {
                let columns = layout.offsets[b] - first..layout.offsets[b + 1] - first;
                let left = product.slice(s![.., columns]); // (block, C_b)
                let w = weights.slice(s![start..end, ..]); // (block, C_b)
                let mut row = out.slice_mut(s![layout.pair(a, b), start..end]);
                vectorised!({
                    for ((value, x), y) in row.iter_mut().zip(left.rows()).zip(w.rows()) {
                        let (x, y) = (x.to_slice(), y.to_slice());
                        *value = dot(x.unwrap_or_default(), y.unwrap_or_default());
                    }
                });
            }
        }
    }
    out
}

/// Inner product with eight running sums, which the compiler keeps in one register.
#[inline(always)]
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in xs.zip(ys) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    rest + sums.iter().sum::<f32>()
}

/// Squared lengths of a concept's mean difference.
#[derive(Clone, Copy)]
pub(super) struct Length {
    /// As measured: |mean|^2.
    pub measured: f64,
    /// Without the noise of a finite number of pairs: U. May be negative.
    pub noiseless: f64,
}

impl Length {
    /// What a finite number of pairs adds to the squared length.
    pub fn noise(&self) -> f64 {
        self.measured - self.noiseless
    }
}

/// Squared lengths of concept `a` from the Gram matrix of its cluster sums.
pub(super) fn length(layout: &Layout, gram: &Array2<f64>, a: usize) -> Length {
    let block = layout.block(gram, a, a);
    let n: f64 = layout.clusters[a].of.len() as f64;
    let same: f64 = layout.clusters[a].sizes.iter().map(|&k| (k * k) as f64).sum();
    Length {
        measured: block.sum() / (n * n),
        noiseless: (block.sum() - block.diag().sum()) / (n * n - same),
    }
}

/// Inner product of the mean differences of `a` and `b`, a <= b.
pub(super) fn product(layout: &Layout, gram: &Array2<f64>, a: usize, b: usize) -> f64 {
    let (n, m) = (layout.clusters[a].of.len(), layout.clusters[b].of.len());
    layout.block(gram, a, b).sum() / (n as f64 * m as f64)
}

/// Variance that two noisy means lend to their inner product, tr(S_a S_b) / (n_a n_b)
/// with S the covariances of single pairs, from centred inner products; a <= b.
/// For a = b a cluster's product with itself is left out.
pub(super) fn noise_product(layout: &Layout, gram: &Array2<f64>, a: usize, b: usize) -> f64 {
    let block = layout.block(gram, a, b); // (C_a, C_b)
    let count = |c: usize| layout.clusters[c].of.len() as f64;
    let size = |c: usize, i: usize| layout.clusters[c].sizes[i] as f64;
    let (rows, columns) = (block.sum_axis(Axis(1)), block.sum_axis(Axis(0)));
    let whole = rows.sum();
    let mut sum = 0.0;
    for ((i, j), &value) in block.indexed_iter() {
        if a != b || i != j {
            let (x, y) = (size(a, i) / count(a), size(b, j) / count(b));
            let centred = value - x * columns[j] - y * rows[i] + x * y * whole;
            sum += centred * centred;
        }
    }
    sum / (count(a) * count(b)).powi(2)
}

/// Dimensions that the noise of concept `a` fills: (tr S)^2 / tr S^2 with S the covariance of
/// its clusters, both without bias (Himeno and Yamada 2014). NaN below 4 clusters.
pub(super) fn effective_rank(layout: &Layout, gram: &Array2<f64>, a: usize) -> f64 {
    let block = layout.block(gram, a, a);
    let n = block.nrows() as f64;
    let size = |i: usize| layout.clusters[a].sizes[i] as f64 / layout.clusters[a].of.len() as f64;
    let (rows, whole) = (block.sum_axis(Axis(1)), block.sum());
    let (mut trace, mut squares, mut fourth) = (0.0, 0.0, 0.0);
    for ((i, j), &value) in block.indexed_iter() {
        let (x, y) = (size(i), size(j));
        let centred = value - x * rows[j] - y * rows[i] + x * y * whole;
        squares += centred * centred;
        if i == j {
            trace += centred;
            fourth += centred * centred;
        }
    }
    let (t, s2, q) = (trace / (n - 1.0), squares / (n - 1.0).powi(2), fourth / (n - 1.0));
    let unbiased =
        (n - 1.0) / (n * (n - 2.0) * (n - 3.0)) * ((n - 1.0) * (n - 2.0) * s2 + t * t - n * q);
    match n >= 4.0 && unbiased > 0.0 {
        true => t * t / unbiased - 2.0 / (n - 1.0),
        false => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};

    #[test]
    fn quadratic_forms_are_the_inner_products_of_weighted_sums() {
        let layout = Layout::new(&[vec![0, 1, 2, 3, 4], vec![0, 0, 1, 2], vec![5, 6, 7]]);
        let mut sums = Array2::<f32>::zeros((layout.rows(), 6));
        fill_normal(&mut stream(1, "sums", 0), sums.as_slice_mut().unwrap());
        let gram = sums.dot(&sums.t());
        let draws = layout.bootstrap(300, 2);
        let got = quadratic(&layout, &draws, &gram);
        for a in 0..3 {
            for b in a..3 {
                let mean = |c: usize| {
                    let rows = layout.offsets[c]..layout.offsets[c + 1];
                    draws[c].dot(&sums.slice(s![rows, ..]))
                };
                let (x, y) = (mean(a), mean(b));
                for draw in 0..300 {
                    let want = x.row(draw).dot(&y.row(draw));
                    let scale = x.row(draw).dot(&x.row(draw)) + y.row(draw).dot(&y.row(draw));
                    assert!((got[[layout.pair(a, b), draw]] - want).abs() < 1e-4 * (1.0 + scale));
                }
            }
        }
    }

    #[test]
    fn effective_rank_counts_the_dimensions_of_the_noise() {
        for (d, loud, want) in [(30, 1.0, 30.0), (30, 20.0, 1.16)] {
            let mut mean = 0.0;
            for repeat in 0..200 {
                let layout = Layout::new(&[(0..20).collect()]);
                let mut x = Array2::<f32>::zeros((20, d));
                fill_normal(&mut stream(repeat, "rank", 0), x.as_slice_mut().unwrap());
                x.column_mut(3).mapv_inplace(|v| v * loud + 5.0);
                let x = x.mapv(f64::from);
                mean += 200.0 / effective_rank(&layout, &x.dot(&x.t()), 0);
            }
            // The reciprocal is nearly unbiased.
            let got = 200.0 * 200.0 / mean;
            assert!((got / want - 1.0).abs() < 0.1, "{got} for {want}");
        }
    }

    #[test]
    fn noiseless_length_is_right_on_average_where_the_measured_one_is_too_long() {
        let layout = Layout::new(&[(0..12).collect()]);
        let (mut measured, mut noiseless) = (0.0, 0.0);
        for repeat in 0..300 {
            let mut x = Array2::<f32>::zeros((12, 30));
            fill_normal(&mut stream(repeat, "length", 0), x.as_slice_mut().unwrap());
            x.column_mut(0).mapv_inplace(|v| v + 2.0);
            let x = x.mapv(f64::from);
            let got = length(&layout, &x.dot(&x.t()), 0);
            measured += got.measured / 300.0;
            noiseless += got.noiseless / 300.0;
        }
        assert!((noiseless - 4.0).abs() < 0.25, "{noiseless}");
        assert!((measured - 4.0 - 30.0 / 12.0).abs() < 0.25, "{measured}");
    }
}
