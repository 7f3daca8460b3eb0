//! Is it still the same direction, and the same space?
//!
//! Two questions of base and a tuned state: the cosine between a direction in
//! both, by layer, and linear centred kernel alignment of their activations on
//! the same neutral texts. With fewer texts than dimensions the usual CKA is
//! close to 1 whatever the data, so the debiased form, which leaves out each
//! text's product with itself, is given beside it.

use super::GeometryError;
use crate::stats::linalg::cosine;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Cosines by layer between two sets of directions `(n_layers, d)`.
pub fn direction_cosines(
    a: ArrayView2<f64>,
    b: ArrayView2<f64>,
) -> Result<Vec<f64>, GeometryError> {
    same("directions", a.shape(), b.shape())?;
    Ok(a.rows()
        .into_iter()
        .zip(b.rows())
        .map(|(x, y)| cosine(x, y))
        .collect())
}

/// Linear CKA at one layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cka {
    /// As usually computed (Kornblith et al. 2019, equation 4), in 0..1.
    pub biased: f64,
    /// With the unbiased estimate of HSIC (Song et al. 2012; Nguyen et al. 2021); NaN below 4 texts.
    pub debiased: f64,
}

/// Linear CKA by layer between activations `(n_texts, n_layers, d)` of the same texts;
/// the widths may differ.
pub fn linear_cka(a: ArrayView3<f32>, b: ArrayView3<f32>) -> Result<Vec<Cka>, GeometryError> {
    same("activations", &a.shape()[..2], &b.shape()[..2])?;
    Ok((0..a.dim().1)
        .into_par_iter()
        .map(|l| {
            let (k, g) = (
                gram(a.index_axis(Axis(1), l)),
                gram(b.index_axis(Axis(1), l)),
            );
            let ratio = |f: fn(&Array2<f64>, &Array2<f64>) -> f64| {
                f(&k, &g) / (f(&k, &k) * f(&g, &g)).sqrt()
            };
            Cka {
                biased: ratio(|x, y| (x * y).sum()),
                debiased: ratio(unbiased_hsic),
            }
        })
        .collect())
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

fn same(what: &str, expected: &[usize], got: &[usize]) -> Result<(), GeometryError> {
    if expected == got {
        return Ok(());
    }
    Err(GeometryError::Shape {
        what: what.to_string(),
        expected: expected.to_vec(),
        got: got.to_vec(),
    })
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
                    f(
                        linear_cka(noise(20, 200, s).view(), noise(20, 200, s + 50).view())
                            .unwrap()[0],
                    )
                })
                .sum::<f64>()
                / 20.0
        };
        assert!(mean(&|c| c.biased) > 0.8);
        assert!(mean(&|c| c.debiased).abs() < 0.1);
    }

    #[test]
    fn a_direction_agrees_with_itself_and_opposes_its_negative() {
        let p = noise(3, 5, 3).index_axis(Axis(1), 0).mapv(f64::from);
        let n = -&p;
        for (x, y) in direction_cosines(p.view(), p.view())
            .unwrap()
            .into_iter()
            .zip(direction_cosines(p.view(), n.view()).unwrap())
        {
            assert!((x - 1.0).abs() < 1e-12 && (y + 1.0).abs() < 1e-12);
        }
    }
}
