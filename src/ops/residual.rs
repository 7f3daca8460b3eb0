//! Sum of two `(N, D)` tensors, parallel over rows: every write to the residual stream.

use super::clock::{clock, Op};
use super::math::fill_rows;
use super::{fused, rows_cols, values, Computed, Gradients};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Tensor};

struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "residual-add"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Computed {
        let _clock = clock(Op::Residual);
        let (n, d) = rows_cols(l1)?;
        let (a, b) = (values(s1, l1)?, values(s2, l2)?);
        let out = fill_rows!(n, d, |span, chunk| {
            for ((y, a), b) in chunk.iter_mut().zip(&a[span.clone()]).zip(&b[span]) {
                *y = a + b;
            }
        });
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Gradients {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

/// `a + b`, both `(N, D)`.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !fused(a) || a.dims() != b.dims() {
        return a + b;
    }
    a.contiguous()?.apply_op2(&b.contiguous()?, Add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{random, same};

    #[test]
    fn sum_agrees_with_plain_addition() {
        let (a, b) = (random(1, 70, 12), random(2, 70, 12));
        let twin = (a.as_tensor() + b.as_tensor()).unwrap();
        same(&add(&a, &b).unwrap(), &twin, &[&a, &b], 1e-6);
    }
}
