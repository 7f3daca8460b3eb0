//! The error of a cosine, in the data and in every draw.
//!
//! Of each resample two things are needed: the cosine, and the standard error
//! that somebody holding only that resample would give it. Their quotient hardly
//! depends on what is unknown, so its quantiles carry over to the data: the
//! bootstrap-t (Efron and Tibshirani 1993, chapter 12). The standard error is the
//! jackknife's, from what each cluster contributes: with s a cluster's sum over N
//! pairs, I the inner product of the two means and X, Y their squared lengths,
//!
//!   contribution to the cosine = [(s . u - I) / sqrt(XY) - cos (s . p' - U) / X] / N
//!
//! where p' leaves the cluster itself out, as U, the noiseless length, does.
//! Both parts are weighted sums over rows of one matrix product, and the product
//! is shared by all concepts and by the plain and the relative cosine.

use super::resample::{dot, Layout};
use crate::ops::simd::vectorised;
use ndarray::{s, Array1, Array2, ArrayView1};

/// Draws handled at once: what they need fits in the cache.
const BLOCK: usize = 128;

/// What every pair's cosine and its error follow from, one column a draw.
/// Pairs are ordered: row `a * concepts + b`.
pub(super) struct Moments {
    concepts: usize,
    /// Inner product of the means of a and b.
    product: Array2<f32>,
    /// Squared length of a concept's mean without noise, `(concepts, draws)`.
    squared: Array2<f32>,
    /// Variance of the product from resampling a.
    across: Array2<f32>,
    /// Covariance of the product with half the squared length of a.
    mixed: Array2<f32>,
    /// Variance of half the squared length, `(concepts, draws)`.
    own: Array2<f32>,
}

/// A cosine and its variance.
#[derive(Clone, Copy)]
pub(super) struct Studentised {
    pub cosine: f64,
    pub variance: f64,
}

impl Moments {
    /// Moments under `weights`, one `(draws, clusters)` a concept, of the active concepts.
    /// `gram` holds all blocks.
    pub fn new(
        layout: &Layout,
        weights: &[Array2<f32>],
        gram: &Array2<f32>,
        active: &[bool],
    ) -> Self {
        let k = layout.concepts();
        let draws = weights.first().map_or(0, |w| w.nrows());
        let blank = |rows: usize| Array2::<f32>::from_elem((rows, draws), f32::NAN);
        let mut out = Moments {
            concepts: k,
            product: blank(k * k),
            squared: blank(k),
            across: blank(k * k),
            mixed: blank(k * k),
            own: blank(k),
        };
        let sizes: Vec<Array1<f32>> =
            (layout.clusters.iter()).map(|c| c.sizes.iter().map(|&n| n as f32).collect()).collect();
        let concepts: Vec<usize> = (0..k).filter(|&a| active[a]).collect();
        for start in (0..draws).step_by(BLOCK) {
            let end = (start + BLOCK).min(draws);
            let weights: Vec<_> = (weights.iter()).map(|w| w.slice(s![start..end, ..])).collect();
            let totals: Vec<_> = weights.iter().zip(&sizes).map(|(w, n)| w.dot(n)).collect();
            // What each cluster contributes to half its own squared length.
            let mut halves: Vec<Array2<f32>> = vec![Array2::zeros((0, 0)); k];
            for &a in &concepts {
                let block = layout.block(gram, a, a);
                let mut along = weights[a].dot(&block); // (block, C_a)
                let diagonal = block.diag().to_owned();
                for (d, mut row) in along.rows_mut().into_iter().enumerate() {
                    let side = Side::new(weights[a].row(d), &sizes[a], totals[a][d]);
                    let row = row.as_slice_mut().unwrap_or_default();
                    let (squared, own) = side.own(row, diagonal.as_slice().unwrap_or_default());
                    out.squared[[a, start + d]] = squared;
                    out.own[[a, start + d]] = own;
                }
                halves[a] = along;
            }
            for &b in &concepts {
                let product = weights[b].dot(&gram.slice(s![layout.span(b), ..])); // (block, all)
                for &a in concepts.iter().filter(|&&a| a != b) {
                    let along = product.slice(s![.., layout.span(a)]); // (block, C_a)
                    let rows = (along.rows().into_iter())
                        .zip(halves[a].rows())
                        .zip(weights[a].rows())
                        .zip(totals[a].iter().zip(&totals[b]));
                    vectorised!({
                        for (d, (((along, half), weights), (&own, &other))) in rows.enumerate() {
                            let side = Side::new(weights, &sizes[a], own);
                            let (inner, across, mixed) = side.across(
                                along.to_slice().unwrap_or_default(),
                                half.to_slice().unwrap_or_default(),
                                1.0 / other,
                            );
                            out.product[[a * k + b, start + d]] = inner;
                            out.across[[a * k + b, start + d]] = across;
                            out.mixed[[a * k + b, start + d]] = mixed;
                        }
                    });
                }
            }
        }
        out
    }

    /// Draws.
    pub fn draws(&self) -> usize {
        self.squared.ncols()
    }

    /// Inner product of the means of a and b in a draw.
    pub fn product(&self, a: usize, b: usize, draw: usize) -> f64 {
        f64::from(self.product[[a * self.concepts + b, draw]])
    }

    /// Squared length of the mean of a without noise in a draw.
    pub fn squared(&self, a: usize, draw: usize) -> f64 {
        f64::from(self.squared[[a, draw]])
    }

    /// The cosine of a and b in a draw, with `noise` added to the squared lengths; none where a
    /// length is not positive.
    pub fn cosine(
        &self,
        (a, b): (usize, usize),
        noise: (f64, f64),
        draw: usize,
    ) -> Option<Studentised> {
        let (x, y) = (self.squared(a, draw) + noise.0, self.squared(b, draw) + noise.1);
        if !(x > 0.0 && y > 0.0) {
            return None;
        }
        let scale = (x * y).sqrt();
        let cosine = self.product(a, b, draw) / scale;
        let side = |one: usize, other: usize, length: f64| {
            let at = [one * self.concepts + other, draw];
            let [across, mixed, own] =
                [self.across[at], self.mixed[at], self.own[[one, draw]]].map(f64::from);
            across / (scale * scale) - 2.0 * cosine * mixed / (scale * length)
                + cosine * cosine * own / (length * length)
        };
        Some(Studentised { cosine, variance: (side(a, b, x) + side(b, a, y)).max(0.0) })
    }
}

/// One concept's clusters in one draw.
struct Side<'a> {
    weights: &'a [f32],
    sizes: &'a [f32],
    /// Weighted number of pairs.
    total: f32,
    /// From a sum of squares to the variance of a mean.
    scale: f32,
}

impl<'a> Side<'a> {
    fn new(weights: ArrayView1<'a, f32>, sizes: &'a Array1<f32>, total: f32) -> Self {
        let clusters = sizes.len() as f32;
        Side {
            weights: weights.to_slice().unwrap_or_default(),
            sizes: sizes.as_slice().unwrap_or_default(),
            total,
            scale: clusters / ((clusters - 1.0) * total * total),
        }
    }

    /// Squared length without noise and the variance of half of it. `along` comes in as each
    /// cluster's product with the weighted sum and leaves as its contribution.
    fn own(&self, along: &mut [f32], diagonal: &[f32]) -> (f32, f32) {
        let (mut full, mut same, mut same_size) = (0.0f32, 0.0f32, 0.0f32);
        for (((&x, &g), &w), &n) in along.iter().zip(diagonal).zip(self.weights).zip(self.sizes) {
            full += w * x;
            same += w * w * g;
            same_size += w * w * n * n;
        }
        let squared = (full - same) / (self.total * self.total - same_size);
        let mut variance = 0.0f32;
        for (((x, &g), &w), &n) in along.iter_mut().zip(diagonal).zip(self.weights).zip(self.sizes)
        {
            *x = (*x - w * g) / (self.total - w * n) - n * squared;
            variance += w * *x * *x;
        }
        (squared, variance * self.scale)
    }

    /// Inner product with the other mean, its variance from this side, and the covariance with
    /// `half`, the contributions to half the own squared length.
    #[inline(always)]
    fn across(&self, along: &[f32], half: &[f32], over_other: f32) -> (f32, f32, f32) {
        const LANES: usize = 8;
        let n = along.len().min(half.len());
        let (along, half) = (&along[..n], &half[..n]);
        let (weights, sizes) = (&self.weights[..n], &self.sizes[..n]);
        let inner = dot(weights, along) * over_other / self.total;
        let (mut squares, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
        for i in (0..n - n % LANES).step_by(LANES) {
            for j in 0..LANES {
                let y = along[i + j] * over_other - sizes[i + j] * inner;
                let weighted = weights[i + j] * y;
                squares[j] += weighted * y;
                products[j] += weighted * half[i + j];
            }
        }
        let (mut across, mut mixed) = (squares.iter().sum::<f32>(), products.iter().sum::<f32>());
        for i in n - n % LANES..n {
            let y = along[i] * over_other - sizes[i] * inner;
            across += weights[i] * y * y;
            mixed += weights[i] * y * half[i];
        }
        (inner, across * self.scale, mixed * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::resample::{length, product};
    use crate::stats::rng::{fill_normal, stream};

    fn sums(rows: usize, d: usize, seed: u64) -> Array2<f32> {
        let mut x = Array2::<f32>::zeros((rows, d));
        fill_normal(&mut stream(seed, "sums", 0), x.as_slice_mut().unwrap());
        x.column_mut(0).mapv_inplace(|v| v + 2.0);
        x
    }

    fn ones(layout: &Layout) -> Vec<Array2<f32>> {
        (layout.clusters.iter()).map(|c| Array2::ones((1, c.count()))).collect()
    }

    #[test]
    fn moments_of_the_data_are_products_and_noiseless_lengths() {
        let layout = Layout::new(&[vec![0, 1, 2, 3, 4, 5, 6, 7, 8], vec![0, 0, 1, 2, 3, 3, 3]]);
        let x = sums(layout.rows(), 6, 1);
        let gram = x.dot(&x.t());
        let got = Moments::new(&layout, &ones(&layout), &gram, &[true; 2]);
        let wide = gram.mapv(f64::from);
        for a in 0..2 {
            assert!((got.squared(a, 0) - length(&layout, &wide, a).noiseless).abs() < 1e-4);
        }
        assert!((got.product(0, 1, 0) - product(&layout, &wide, 0, 1)).abs() < 1e-4);
        assert!((got.product(1, 0, 0) - got.product(0, 1, 0)).abs() < 1e-5);
    }

    #[test]
    fn the_variance_is_that_of_leaving_clusters_out() {
        let (n, m) = (30, 40);
        let layout = Layout::new(&[(0..n).collect(), (0..m).collect()]);
        let x = sums(n + m, 12, 2);
        let gram = x.dot(&x.t());
        let got = Moments::new(&layout, &ones(&layout), &gram, &[true; 2]);
        let got = got.cosine((0, 1), (0.0, 0.0), 0).unwrap();
        let relative = |left_out: Option<usize>| {
            let keep = |range: std::ops::Range<usize>| -> Vec<usize> {
                range.filter(|&i| Some(i) != left_out).collect()
            };
            let (a, b) = (keep(0..n), keep(n..n + m));
            let part = |r: &[usize], c: &[usize], skip: bool| {
                let mut sum = 0.0;
                for &i in r {
                    for &j in c {
                        sum += if skip && i == j { 0.0 } else { f64::from(gram[[i, j]]) };
                    }
                }
                let (r, c) = (r.len() as f64, c.len() as f64);
                sum / if skip { r * (r - 1.0) } else { r * c }
            };
            part(&a, &b, false) / (part(&a, &a, true) * part(&b, &b, true)).sqrt()
        };
        assert!((got.cosine - relative(None)).abs() < 1e-5);
        let mut variance = 0.0;
        for range in [0..n, n..n + m] {
            let count = range.len() as f64;
            let values: Vec<f64> = range.map(|i| relative(Some(i))).collect();
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            variance += (count - 1.0) / count * squares;
        }
        assert!((got.variance / variance - 1.0).abs() < 0.12, "{} {variance}", got.variance);
    }

    #[test]
    fn a_draw_equals_the_data_with_clusters_repeated() {
        let layout = Layout::new(&[(0..7).collect(), (0..9).collect()]);
        let x = sums(16, 5, 3);
        let draws = layout.bootstrap(200, 4);
        let got = Moments::new(&layout, &draws, &x.dot(&x.t()), &[true; 2]);
        for d in 0..200 {
            let mean = |a: usize| {
                let rows = layout.offsets[a]..layout.offsets[a + 1];
                let w = draws[a].row(d);
                w.dot(&x.slice(s![rows, ..])) / w.sum()
            };
            let want = f64::from(mean(0).dot(&mean(1)));
            assert!((got.product(0, 1, d) - want).abs() < 1e-4);
        }
    }
}
