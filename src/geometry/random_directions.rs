//! Random directions as a layer varies, and anything's cosine with them.
//!
//! A direction is a mixture of the layer's centred texts by standard normal coefficients, so it comes
//! from N(0, S) with S the sample covariance; the same coefficients in every layer make one direction
//! of all layers. Its inner product with a vector and its own length follow from the texts' alone, and
//! no direction is ever formed: what many shifts are compared with is made once.

use super::check::{each, finite};
use super::error::Result;
use crate::stats::shrinkage::mixtures;
use ndarray::{Array2, ArrayView1, ArrayView3, Axis};

/// Random directions of every layer.
#[derive(Debug, Clone)]
pub struct RandomDirections {
    /// `(draws, n_texts)`.
    coefficients: Array2<f64>,
    /// Centred texts `(n_texts, d)` and lengths of the directions, by layer.
    layers: Vec<(Array2<f64>, Vec<f64>)>,
}

impl RandomDirections {
    /// `draws` directions of activations `(n_texts, n_layers, d)`.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn new(texts: ArrayView3<f32>, draws: usize, seed: u64) -> Result<Self> {
        let (n, layers, _) = texts.dim();
        let coefficients = mixtures(draws, n, seed, "shift/random").mapv(f64::from);
        let of_layer = |l: usize| -> Result<_> {
            let mut x = texts.index_axis(Axis(1), l).mapv(f64::from); // (n, d)
            finite(&format!("a text of the background at layer {l}"), &x)?;
            let mean = x.sum_axis(Axis(0)) / n.max(1) as f64;
            x -= &mean;
            let inner = x.dot(&x.t()); // (n, n)
            let squared = (coefficients.dot(&inner) * &coefficients).sum_axis(Axis(1));
            Ok((x, squared.iter().map(|v| v.max(0.0).sqrt()).collect()))
        };
        Ok(RandomDirections { layers: each(layers, of_layer)?, coefficients })
    }

    /// Layers and width.
    pub fn dim(&self) -> (usize, usize) {
        (self.layers.len(), self.layers.first().map_or(0, |l| l.0.ncols()))
    }

    /// Cosines of `v` with the directions of a layer.
    pub fn cosines(&self, layer: usize, v: ArrayView1<f64>) -> Vec<f64> {
        let (texts, lengths) = &self.layers[layer];
        let length = v.dot(&v).sqrt();
        let along = self.coefficients.dot(&texts.dot(&v)); // (draws)
        let each = along.iter().zip(lengths);
        each.map(|(a, l)| a / (l * length)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::linalg::cosine;
    use crate::stats::rng::{fill_normal, stream};
    use crate::stats::shrinkage::ledoit_wolf;
    use ndarray::Array3;

    #[test]
    fn cosines_are_those_with_mixtures_of_the_centred_texts() {
        let mut texts = Array3::<f32>::zeros((9, 2, 14));
        fill_normal(&mut stream(1, "texts", 0), texts.as_slice_mut().unwrap());
        let random = RandomDirections::new(texts.view(), 20, 5).unwrap();
        let v = texts.index_axis(Axis(0), 3).row(1).mapv(f64::from);
        let covariance = ledoit_wolf(texts.index_axis(Axis(1), 1)).unwrap();
        let formed = covariance.mixed(&mixtures(20, 9, 5, "shift/random")).mapv(f64::from);
        for (got, row) in random.cosines(1, v.view()).iter().zip(formed.rows()) {
            assert!((got - cosine(row, v.view())).abs() < 1e-5);
        }
        texts[[0, 0, 0]] = f32::NAN;
        assert!(RandomDirections::new(texts.view(), 20, 5).is_err());
    }
}
