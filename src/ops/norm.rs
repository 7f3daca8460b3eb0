//! RMS normalisation of each row by a frozen gain (Zhang & Sennrich 2019, arXiv 1910.07467).
//!
//! `y_i = w_i x_i / sqrt(mean(x^2) + eps)`. The mean square is summed in f64: outlier dimensions of
//! the residual stream reach 25 times its RMS, and position 0 a thousand. A row may hold several
//! groups (heads) that are normalised apart, as query and key norms need.

use super::clock::{clock, Op};
use super::math::fill_rows;
use super::{fused, like, math, rows_cols, values, with_all, Computed};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Tensor};

struct RmsNorm {
    weight: Vec<f32>,
    eps: f64,
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f64) -> f32 {
    let mut sum = 0f64;
    for c in x.chunks(64) {
        sum += math::dot(c, c) as f64;
    }
    (1.0 / (sum / x.len() as f64 + eps).sqrt()) as f32
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Computed {
        let _clock = clock(Op::Norm);
        let (n, d) = rows_cols(l)?;
        let x = values(s, l)?;
        let g = self.weight.len();
        let out = fill_rows!(n, d, |span, chunk| {
            for (y, x) in chunk.chunks_mut(g).zip(x[span].chunks(g)) {
                let inv = inverse_rms(x, self.eps);
                for ((y, x), w) in y.iter_mut().zip(x).zip(&self.weight) {
                    *y = x * inv * w;
                }
            }
        });
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let _clock = clock(Op::Elementwise);
        let (n, d) = x.dims2()?;
        let g = self.weight.len();
        // dx = inv * (w g - x * inv^2 * mean(w g x))
        let dx = with_all([x, grad], |[x, dy]| {
            Ok(fill_rows!(n, d, |span, chunk| {
                let rows = x[span.clone()].chunks(g).zip(dy[span].chunks(g));
                for (dx, (x, dy)) in chunk.chunks_mut(g).zip(rows) {
                    let inv = inverse_rms(x, self.eps);
                    for ((t, dy), w) in dx.iter_mut().zip(dy).zip(&self.weight) {
                        *t = dy * w;
                    }
                    let c = math::dot(dx, x) * inv * inv / g as f32;
                    for (t, x) in dx.iter_mut().zip(x) {
                        *t = (*t - x * c) * inv;
                    }
                }
            }))
        })?;
        like(dx, x)
    }
}

/// `x (N, D)` normalised by groups of the gain's length (which divides D) -> `(N, D)`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if !fused(x) {
        return rms_norm_twin(x, weight, eps);
    }
    x.contiguous()?.apply_op1(RmsNorm { weight: weight.to_vec1()?, eps })
}

/// The composed twin of [`rms_norm`].
pub fn rms_norm_twin(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    let g = weight.dim(0)?;
    let y = x.reshape((n, d / g, g))?.to_dtype(DType::F32)?;
    let mean = (y.sqr()?.sum_keepdim(2)? / g as f64)?;
    let y = y.broadcast_div(&(mean + eps)?.sqrt()?)?;
    let w = weight.to_dtype(DType::F32)?.detach();
    y.broadcast_mul(&w)?.reshape((n, d))?.to_dtype(x.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{random, same};

    #[test]
    fn norm_and_its_twin_agree_in_value_and_gradient() {
        for (rows, cols, group) in [(3, 8, 8), (70, 96, 96), (40, 96, 32)] {
            let x = random(1, rows, cols);
            let w = random(2, 1, group).flatten_all().unwrap();
            let y = rms_norm(&x, &w, 1e-5).unwrap();
            same(&y, &rms_norm_twin(&x, &w, 1e-5).unwrap(), &[&x], 2e-5);
        }
    }
}
