//! Scalar functions and small loops that the compiler turns into vector code, within
//! [`vectorised!`](super::simd): so all of them are inlined.
//!
//! `exp` here is branch-free so that softmax and SiLU vectorise; libm's is called once a value and
//! would cost more than the matrix products it sits between. Relative error is below 2e-7 on
//! [-87, 88] (tested against f64), at or under the rounding of the f32 sums around it.

use super::simd::vectorised;
use rayon::prelude::*;
use std::ops::Range;

/// e^x for f32, by 2^k * p(r) with a degree-7 polynomial; arguments clamp to [-87, 88].
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2E: f32 = std::f32::consts::LOG2_E;
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    // Adding 1.5 * 2^23 rounds to the nearest whole number in the low mantissa bits.
    let shifted = x * LOG2E + 12_582_912.0;
    let k = shifted - 12_582_912.0;
    let r = x - k * LN2_HI - k * LN2_LO;
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let bits = (shifted.to_bits() as i32).wrapping_sub(0x4b40_0000) << 23;
    f32::from_bits((y.to_bits() as i32).wrapping_add(bits) as u32)
}

/// x * sigmoid(x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// Derivative of [`silu`].
#[inline(always)]
pub fn silu_grad(x: f32) -> f32 {
    let s = 1.0 / (1.0 + exp(-x));
    s * (1.0 + x * (1.0 - s))
}

/// tanh through [`exp`].
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

const GELU_C: f32 = 0.797_884_6;

/// GELU in its tanh form (Hendrycks & Gimpel 2016), as Gemma uses it.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(GELU_C * (x + 0.044_715 * x * x * x)))
}

/// Derivative of [`gelu`].
#[inline(always)]
pub fn gelu_grad(x: f32) -> f32 {
    let t = tanh(GELU_C * (x + 0.044_715 * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_C * (1.0 + 0.134_145 * x * x)
}

/// Sum of products in sixteen lanes.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (ac, bc) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = ac.remainder().iter().zip(bc.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ac.zip(bc) {
        for i in 0..16 {
            lanes[i] += x[i] * y[i];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// `y += a * x`.
#[inline(always)]
pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// Largest value in sixteen lanes; -inf for an empty slice.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = x.chunks_exact(16);
    let mut top = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for c in chunks {
        for i in 0..16 {
            lanes[i] = if c[i] > lanes[i] { c[i] } else { lanes[i] };
        }
    }
    for l in lanes {
        top = top.max(l);
    }
    top
}

/// Replaces x by e^(x - shift) and returns the sum.
#[inline(always)]
pub fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
    for v in x.iter_mut() {
        *v = exp(*v - shift);
    }
    let mut lanes = [0f32; 16];
    let chunks = x.chunks_exact(16);
    let tail: f32 = chunks.remainder().iter().sum();
    for c in chunks {
        for i in 0..16 {
            lanes[i] += c[i];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// Fills a fresh vector of `rows * cols`, a chunk of rows a rayon task, [`vectorised!`]:
/// `|place, values|` must write every value it is given.
macro_rules! fill_rows {
    ($rows:expr, $cols:expr, |$place:ident, $values:ident| $body:expr) => {
        $crate::ops::math::filled(
            $rows,
            $cols,
            #[inline(always)]
            |$place, $values| $body,
        )
    };
}
pub(crate) use fill_rows;

/// What [`fill_rows!`] calls: `f` must be an `#[inline(always)]` closure.
pub(crate) fn filled(
    rows: usize,
    cols: usize,
    f: impl Fn(Range<usize>, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let mut out = vec![0f32; rows * cols];
    let step = super::ROWS_PER_TASK * cols.max(1);
    let one =
        |(i, chunk): (usize, &mut [f32])| vectorised!(f(i * step..i * step + chunk.len(), chunk));
    if out.len() <= step {
        one((0, &mut out));
    } else {
        out.par_chunks_mut(step).enumerate().for_each(one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_2e7_of_f64() {
        let mut worst = 0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let want = (x as f64).exp();
            worst = worst.max(((exp(x) as f64 - want) / want).abs());
        }
        assert!(worst < 2e-7, "{worst}");
    }

    #[test]
    fn derivatives_match_central_differences() {
        for i in -60..60 {
            let x = i as f64 / 10.0;
            let e = 1e-3;
            let silu64 = |x: f64| x / (1.0 + (-x).exp());
            let gelu64 =
                |x: f64| 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x * x * x)).tanh());
            let ds = (silu64(x + e) - silu64(x - e)) / (2.0 * e);
            let dg = (gelu64(x + e) - gelu64(x - e)) / (2.0 * e);
            assert!((silu_grad(x as f32) as f64 - ds).abs() < 2e-6);
            assert!((gelu_grad(x as f32) as f64 - dg).abs() < 2e-6);
        }
    }

    #[test]
    fn dot_and_max_serve_any_length() {
        for n in [0, 1, 15, 16, 17, 100] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let want: f64 = a.iter().map(|&x| (x as f64).powi(2)).sum();
            assert!((dot(&a, &a) as f64 - want).abs() < 1e-5);
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
