//! A concept's direction without the noise of finitely many pairs.
//!
//! A mean difference d over n pairs is longer than the one that infinitely many pairs would show,
//! and a shift s projected on the unit vector of d is too short by as much: E |d|^2 = |D|^2 + noise.
//! U, the mean product of pairs of two *different* prompts, estimates |D|^2 without it, so
//! s . d / sqrt(U) estimates the projection on the population direction D / |D|.

use super::check::{self, count, shape};
use super::error::Result;
use crate::stats::bootstrap::Clusters;
use crate::stats::linalg::orthonormal_rows;
use ndarray::{Array1, Array2, ArrayView3, Axis};

/// Mean difference of a concept, by layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Mean over pairs, `(n_layers, d)`.
    pub mean: Array2<f64>,
    /// |mean|^2, noise included, `[layer]`.
    pub measured: Vec<f64>,
    /// Unbiased estimate of the squared length that infinitely many pairs would show, over prompt
    /// clusters, `[layer]`; may be negative.
    pub noiseless: Vec<f64>,
}

impl Population {
    /// What a projection on the unit vector of the mean is multiplied by to become one on the
    /// population direction; NaN where the mean is not above its noise.
    pub fn scale(&self, layer: usize) -> f64 {
        match self.noiseless[layer] > 0.0 {
            true => (self.measured[layer] / self.noiseless[layer]).sqrt(),
            false => f64::NAN,
        }
    }
}

/// The pairs that a direction is the mean of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Positive less negative, `(n_pairs, n_layers, d)`.
    pub differences: ArrayView3<'a, f32>,
    /// Prompt of each pair.
    pub clusters: &'a [usize],
    /// Template and polarity of each pair, within which labels are permuted.
    pub strata: &'a [usize],
    /// Directions `(k, n_layers, d)` that are projected out of every pair.
    pub beyond: Option<ArrayView3<'a, f64>>,
}

/// Sums of the pairs of each cluster at a layer, `(C, d)`.
pub(super) fn sums_of(source: &Source, clusters: &Clusters, layer: usize) -> Result<Array2<f64>> {
    let mut sums = clusters.sums(source.differences.index_axis(Axis(1), layer));
    check::finite(&format!("a difference at layer {layer}"), &sums)?;
    if let Some(other) = &source.beyond {
        let basis = orthonormal_rows(other.index_axis(Axis(1), layer)); // (k, d)
        sums -= &sums.dot(&basis.t()).dot(&basis);
    }
    Ok(sums)
}

/// The direction of the pairs.
///
/// # Errors
/// Shapes that differ, fewer than 2 prompts, values that are not finite.
pub fn population(source: &Source) -> Result<Population> {
    let (pairs, layers, d) = source.differences.dim();
    if let Some(other) = &source.beyond {
        shape("directions that are projected out", &[layers, d], &other.shape()[1..])?;
    }
    count("strata of the concept's pairs", pairs, source.strata.len())?;
    let clusters = check::clusters(("prompts", "the concept"), source.clusters, pairs, 2)?;
    let n = pairs as f64;
    let same: f64 = clusters.sizes.iter().map(|&k| (k * k) as f64).sum();
    let of_layer = |l: usize| -> Result<(Array1<f64>, f64, f64)> {
        let sums = sums_of(source, &clusters, l)?; // (C, d)
        let whole = sums.sum_axis(Axis(0)); // (d)
        let full = whole.dot(&whole);
        let own: f64 = sums.rows().into_iter().map(|r| r.dot(&r)).sum();
        Ok((whole / n, full / (n * n), (full - own) / (n * n - same)))
    };
    let found = check::each(layers, of_layer)?;
    Ok(Population {
        mean: Array2::from_shape_fn((layers, d), |(l, i)| found[l].0[i]),
        measured: found.iter().map(|f| f.1).collect(),
        noiseless: found.iter().map(|f| f.2).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::Array3;

    /// Pairs of noise of 1 a dimension around 3 along axis 0.
    fn pairs(n: usize, d: usize, seed: u64) -> Array3<f32> {
        let mut x = Array3::zeros((n, 1, d));
        fill_normal(&mut stream(seed, "population", 0), x.as_slice_mut().unwrap());
        x.index_axis_mut(Axis(2), 0).mapv_inplace(|v| v + 3.0);
        x
    }

    fn of(
        pairs: &Array3<f32>,
        clusters: &[usize],
        beyond: Option<&Array3<f64>>,
    ) -> Result<Population> {
        let strata = vec![0; clusters.len()];
        let beyond = beyond.map(|b| b.view());
        population(&Source { differences: pairs.view(), clusters, strata: &strata, beyond })
    }

    #[test]
    fn noise_of_pairs_shortens_the_plain_shift_and_not_the_population_one() {
        // A shift of 2 along axis 0; 12 pairs in 120 dimensions add 10 to a squared length of 9.
        let (mut plain, mut estimate) = (0.0, 0.0);
        let repeats = 200;
        let clusters: Vec<usize> = (0..12).collect();
        for seed in 0..repeats {
            let found = of(&pairs(12, 120, seed), &clusters, None).unwrap();
            let along = 2.0 * found.mean[[0, 0]] / found.measured[0].sqrt();
            plain += along / repeats as f64;
            estimate += along * found.scale(0) / repeats as f64;
        }
        assert!(plain < 1.5, "{plain}");
        assert!((estimate - 2.0).abs() < 0.06, "{estimate}");
    }

    #[test]
    fn products_within_a_prompt_are_left_out_and_noise_alone_has_no_scale() {
        // Both pairs of a prompt are one and the same: no information is added by the second.
        let single = pairs(6, 30, 1);
        let mut twice = Array3::zeros((12, 1, 30));
        for i in 0..12 {
            twice.index_axis_mut(Axis(0), i).assign(&single.index_axis(Axis(0), i / 2));
        }
        let names: Vec<usize> = (0..12).map(|i| i / 2).collect();
        let alone = of(&single, &[0, 1, 2, 3, 4, 5], None).unwrap();
        let got = of(&twice, &names, None).unwrap();
        assert!((got.noiseless[0] - alone.noiseless[0]).abs() < 1e-9);
        let mut opposed = Array3::<f32>::zeros((2, 1, 3));
        opposed[[0, 0, 1]] = 1.0;
        opposed[[1, 0, 1]] = -0.5;
        let got = of(&opposed, &[0, 1], None).unwrap();
        assert!(got.noiseless[0] < 0.0 && got.scale(0).is_nan());
    }

    #[test]
    fn nothing_is_left_along_the_direction_that_was_projected_out() {
        // Two that are not orthogonal.
        let mut other = Array3::zeros((2, 1, 30));
        (other[[0, 0, 0]], other[[1, 0, 0]], other[[1, 0, 3]]) = (2.0, 1.0, 3.0);
        let clusters: Vec<usize> = (0..6).collect();
        let found = of(&pairs(6, 30, 2), &clusters, Some(&other)).unwrap();
        assert!(found.mean[[0, 0]].abs() < 1e-12 && found.mean[[0, 3]].abs() < 1e-12);
        assert!(found.measured[0] < 30.0);
        assert!(of(&pairs(6, 30, 2), &[0; 6], None).is_err());
    }
}
