//! Rotary position embedding in the half-split form (Su et al. 2021, arXiv 2104.09864).
//!
//! Of each head the first w values rotate as pairs (i, i + w/2) by `position * frequency_i`; w is the
//! whole head in most models, and what is behind it passes. Some long-context models also scale the
//! rotated values. Backward is the rotation by the opposite angle. Angles are taken in f64 and
//! rounded once.

use super::clock::{clock, Op};
use super::math::fill_rows;
use super::{fused, like, rows_cols, values, with_values, Computed};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Tensor};
use std::sync::Arc;

/// One rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    /// Radians a position, one a rotated pair: `w / 2` of them.
    pub radians: Vec<f64>,
    /// Width of a head, at least w.
    pub head: usize,
    /// Factor on what is rotated.
    pub scale: f64,
}

impl Frequencies {
    /// Those of whole heads.
    pub fn whole(radians: Vec<f64>) -> Self {
        Frequencies { head: 2 * radians.len(), radians, scale: 1.0 }
    }
}

/// Cosines and sines for the rows of one batch, `(N, w / 2)` each.
#[derive(Debug)]
pub struct Angles {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    head: usize,
}

impl Angles {
    /// Angles of rows that stand at `positions`.
    pub fn new(freq: &Frequencies, positions: &[u32]) -> Self {
        let half = freq.radians.len();
        let mut cos = Vec::with_capacity(positions.len() * half);
        let mut sin = Vec::with_capacity(positions.len() * half);
        for &p in positions {
            for f in &freq.radians {
                let (s, c) = (p as f64 * f).sin_cos();
                cos.push((c * freq.scale) as f32);
                sin.push((s * freq.scale) as f32);
            }
        }
        Angles { cos, sin, half, head: freq.head }
    }
}

struct Rope {
    angles: Arc<Angles>,
    inverse: bool,
}

impl Rope {
    fn rotate(&self, x: &[f32], n: usize, d: usize) -> Vec<f32> {
        let (h, head) = (self.angles.half, self.angles.head);
        let sign = if self.inverse { -1.0 } else { 1.0 };
        fill_rows!(n, d, |span, chunk| {
            for (row, y) in (span.start / d..).zip(chunk.chunks_mut(d)) {
                let own = row * h..(row + 1) * h;
                let (cos, sin) = (&self.angles.cos[own.clone()], &self.angles.sin[own]);
                let x = &x[row * d..(row + 1) * d];
                for (y, x) in y.chunks_mut(head).zip(x.chunks(head)) {
                    let ((y, y_rest), (x, x_rest)) = (y.split_at_mut(2 * h), x.split_at(2 * h));
                    y_rest.copy_from_slice(x_rest);
                    let (y0, y1) = y.split_at_mut(h);
                    let (x0, x1) = x.split_at(h);
                    for i in 0..h {
                        let s = sign * sin[i];
                        y0[i] = x0[i] * cos[i] - x1[i] * s;
                        y1[i] = x1[i] * cos[i] + x0[i] * s;
                    }
                }
            }
        })
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Computed {
        let _clock = clock(Op::Rope);
        let (n, d) = rows_cols(l)?;
        let out = self.rotate(values(s, l)?, n, d);
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let _clock = clock(Op::Elementwise);
        let (n, d) = x.dims2()?;
        let back = Rope { angles: self.angles.clone(), inverse: !self.inverse };
        like(with_values(grad, |g| Ok(back.rotate(g, n, d)))?, x)
    }
}

/// `x (N, heads * head_dim)` rotated by the angles of its rows.
pub fn rope(x: &Tensor, angles: &Arc<Angles>) -> Result<Tensor> {
    if !fused(x) {
        return rope_twin(x, angles);
    }
    x.contiguous()?.apply_op1(Rope { angles: angles.clone(), inverse: false })
}

/// The composed twin of [`rope`].
pub fn rope_twin(x: &Tensor, angles: &Angles) -> Result<Tensor> {
    let (n, d) = x.dims2()?;
    let (h, head) = (angles.half, angles.head);
    let table = |v: &[f32]| Tensor::from_slice(v, (n, 1, h), x.device())?.to_dtype(x.dtype());
    let (cos, sin) = (table(&angles.cos)?, table(&angles.sin)?);
    let x = x.reshape((n, d / head, head))?; // (N, heads, head_dim)
    let (x0, x1) = (x.narrow(2, 0, h)?, x.narrow(2, h, h)?);
    let y0 = (x0.broadcast_mul(&cos)? - x1.broadcast_mul(&sin)?)?;
    let y1 = (x1.broadcast_mul(&cos)? + x0.broadcast_mul(&sin)?)?;
    let mut parts = vec![y0, y1];
    if head > 2 * h {
        parts.push(x.narrow(2, 2 * h, head - 2 * h)?);
    }
    Tensor::cat(&parts, 2)?.reshape((n, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{random, same};

    #[test]
    fn rope_and_its_twin_agree_in_value_and_gradient() {
        let whole = Frequencies::whole((0..8).map(|i| 0.3f64.powi(i)).collect());
        let part = Frequencies { head: 24, scale: 1.3, ..whole.clone() };
        for freq in [whole, part] {
            let positions: Vec<u32> = (0..70).map(|i| i * 3).collect();
            let angles = Arc::new(Angles::new(&freq, &positions));
            let x = random(1, 70, 48);
            let y = rope(&x, &angles).unwrap();
            same(&y, &rope_twin(&x, &angles).unwrap(), &[&x], 2e-5);
        }
    }

    #[test]
    fn what_is_not_rotated_passes_as_it_is() {
        let freq = Frequencies { radians: vec![0.7], head: 4, scale: 2.0 };
        let angles = Arc::new(Angles::new(&freq, &[3]));
        let x = random(1, 1, 8);
        let (x, y) = (x.to_vec2::<f32>().unwrap(), rope(&x, &angles).unwrap());
        let y = y.to_vec2::<f32>().unwrap();
        for head in [0, 4] {
            assert_eq!(x[0][head + 2..head + 4], y[0][head + 2..head + 4]);
            let norm = |v: &[f32]| (v[head].powi(2) + v[head + 1].powi(2)).sqrt();
            assert!((norm(&y[0]) - 2.0 * norm(&x[0])).abs() < 1e-5);
        }
    }

    #[test]
    fn rotation_keeps_the_norm_of_each_head() {
        let freq = Frequencies::whole(vec![1.0, 0.1]);
        let angles = Arc::new(Angles::new(&freq, &[5, 9]));
        let x = random(3, 2, 8);
        let norm = |t: &Tensor| -> Vec<f32> {
            let t = t.reshape((4, 4)).unwrap().sqr().unwrap();
            t.sum(1).unwrap().to_vec1().unwrap()
        };
        let y = rope(&x, &angles).unwrap();
        for (a, b) in norm(&x).iter().zip(norm(&y)) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
