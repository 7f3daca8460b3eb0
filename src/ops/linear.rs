//! `y = x W' + b + s (x A') B'`: a frozen linear map, with or without a LoRA branch, in one node.
//!
//! W and b are frozen and captured, so backward yields the gradients of x, A and B only; candle's
//! own matmul would also compute and keep that of W. The LoRA branch (Hu et al. 2021,
//! arXiv 2106.09685, eq. 3) accumulates into the output of the frozen product in place.

use super::clock::{clock, Op};
use super::matmul::{gemm_into, product, View};
use super::simd::vectorised;
use super::weight::{add_branch, Weight};
use super::{fused, like, math, rows_cols, values, with_all, with_values, Computed};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Tensor};

struct Frozen {
    weight: Weight,
    bias: Option<Tensor>,
}

impl Frozen {
    /// `x W' + b` of `x (N, I)`, `(N, O)`.
    fn apply(&self, x: &[f32], n: usize) -> Result<Vec<f32>> {
        let (o, _) = self.weight.dims2()?;
        let mut y = self.weight.product(x, n)?;
        if let Some(b) = &self.bias {
            with_values(b, |b| {
                vectorised!(for row in y.chunks_mut(o) {
                    math::axpy(1.0, b, row);
                });
                Ok(())
            })?;
        }
        Ok(y)
    }
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Computed {
        let _clock = clock(Op::Linear);
        let (n, _) = rows_cols(l)?;
        let y = self.apply(values(s, l)?, n)?;
        Ok((CpuStorage::F32(y), (n, self.weight.dims2()?.0).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let _clock = clock(Op::LinearBackward);
        let n = x.dim(0)?;
        like(with_values(grad, |g| self.weight.back(g, n))?, x)
    }
}

struct Lora {
    base: Frozen,
    scale: f32,
}

impl CustomOp3 for Lora {
    fn name(&self) -> &'static str {
        "lora-linear"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xl: &Layout,
        a_s: &CpuStorage,
        al: &Layout,
        bs: &CpuStorage,
        bl: &Layout,
    ) -> Computed {
        let _clock = clock(Op::Linear);
        let ((n, _), (r, _), (o, _)) = (rows_cols(xl)?, rows_cols(al)?, rows_cols(bl)?);
        let (x, a, b) = (values(xs, xl)?, values(a_s, al)?, values(bs, bl)?);
        let mut y = self.base.apply(x, n)?; // (N, O)
        add_branch((n, o, r), &mut y, x, a, b, self.scale);
        Ok((CpuStorage::F32(y), (n, o).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let _clock = clock(Op::LinearBackward);
        let ((n, i), (r, _), (o, _)) = (x.dims2()?, a.dims2()?, b.dims2()?);
        let s = self.scale;
        let (dx, da, db) = with_all([x, a, b, grad], |[x, a, b, g]| {
            let gb = product((n, r, o), View::rows(g, o), View::rows(b, r), s); // (N, r)
            let mut dx = self.base.weight.back(g, n)?; // (N, I)
            gemm_into((n, i, r), &mut dx, View::rows(&gb, r), View::rows(a, i), 1.0, true);
            let da = product((r, i, n), View::rows(&gb, r).t(), View::rows(x, i), 1.0); // (r, I)
            let h = product((n, r, i), View::rows(x, i), View::rows(a, i).t(), 1.0); // (N, r)
            let db = product((o, r, n), View::rows(g, o).t(), View::rows(&h, r), s); // (O, r)
            Ok((dx, da, db))
        })?;
        Ok((like(dx, x)?, like(da, a)?, like(db, b)?))
    }
}

/// `x (N, I)`, `weight (O, I)`, `bias (O)` -> `(N, O)`. Weight and bias get no gradient.
pub fn frozen(x: &Tensor, weight: &Weight, bias: Option<&Tensor>) -> Result<Tensor> {
    if !fused(x) {
        return frozen_twin(x, &weight.tensor()?, bias);
    }
    x.contiguous()?.apply_op1(Frozen { weight: weight.clone(), bias: bias.cloned() })
}

/// The composed twin of [`frozen`].
pub fn frozen_twin(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.detach().t()?)?;
    match bias {
        Some(b) => y.broadcast_add(&b.detach()),
        None => Ok(y),
    }
}

/// As [`frozen`], plus `scale (x A') B'` with `a (r, I)`, `b (O, r)`, both differentiable.
pub fn lora(
    x: &Tensor,
    weight: &Weight,
    bias: Option<&Tensor>,
    (a, b): (&Tensor, &Tensor),
    scale: f32,
) -> Result<Tensor> {
    if !fused(x) {
        return lora_twin(x, &weight.tensor()?, bias, (a, b), scale);
    }
    let op = Lora { base: Frozen { weight: weight.clone(), bias: bias.cloned() }, scale };
    x.contiguous()?.apply_op3(a, b, op)
}

/// The composed twin of [`lora`].
pub fn lora_twin(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    (a, b): (&Tensor, &Tensor),
    scale: f32,
) -> Result<Tensor> {
    // Factors are learnt in f32 whatever the stream is in.
    let (a, b) = (a.to_dtype(x.dtype())?, b.to_dtype(x.dtype())?);
    let branch = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
    frozen_twin(x, weight, bias)? + (branch * scale as f64)?
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Encoding;
    use super::super::stored::tests::matrix;
    use super::*;
    use crate::ops::check::{random, same};

    #[test]
    fn lora_and_its_twin_agree_in_value_and_gradient() {
        for (n, i, o, r) in [(1, 5, 3, 2), (70, 24, 40, 4)] {
            let (x, w) = (random(1, n, i), random(2, o, i));
            let (a, b) = (random(3, r, i), random(4, o, r));
            let bias = random(5, 1, o).flatten_all().unwrap();
            let frozen = w.as_tensor().clone().into();
            let y = lora(&x, &frozen, Some(&bias), (&a, &b), 0.5).unwrap();
            let t = lora_twin(&x, &w, Some(&bias), (&a, &b), 0.5).unwrap();
            same(&y, &t, &[&x, &a, &b], 2e-5);
            let grads = y.sum_all().unwrap().backward().unwrap();
            assert!(grads.get(&w).is_none(), "the frozen weight has a gradient");
        }
    }

    #[test]
    fn frozen_and_its_twin_agree_in_value_and_gradient() {
        let (x, w) = (random(1, 33, 24), random(2, 40, 24));
        let y = frozen(&x, &w.as_tensor().clone().into(), None).unwrap();
        same(&y, &frozen_twin(&x, &w, None).unwrap(), &[&x], 2e-5);
    }

    #[test]
    fn a_branch_learns_beside_stored_bytes_what_it_does_beside_their_values() {
        let stored: Weight = matrix(Encoding::Q6K, (40, 256)).into();
        let dense: Weight = stored.tensor().unwrap().into();
        let (x, a, b) = (random(1, 33, 256), random(3, 4, 256), random(4, 40, 4));
        let all = |w: &Weight| -> Vec<Vec<f32>> {
            let y = lora(&x, w, None, (&a, &b), 0.5).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let of = |t: &Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
            let grads = [&x, &a, &b].map(|v| of(grads.get(v).unwrap()));
            [vec![of(&y)], grads.into()].concat()
        };
        assert!(all(&stored) == all(&dense));
    }
}
