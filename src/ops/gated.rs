//! `act(gate) * up`: the gated unit of the feed-forward block (Shazeer 2020, arXiv 2002.05202).

use super::clock::{clock, Op};
use super::math::fill_rows;
use super::{fused, like, math, rows_cols, values, with_all, Computed, Gradients};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Tensor};

/// The unit's non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `x sigmoid(x)`.
    #[default]
    Silu,
    /// GELU in its tanh form.
    Gelu,
}

struct Gated(Activation);

impl Gated {
    fn forward(&self, gate: &[f32], up: &[f32], (n, d): (usize, usize)) -> Vec<f32> {
        fill_rows!(n, d, |span, chunk| {
            let rows = chunk.iter_mut().zip(gate[span.clone()].iter().zip(&up[span]));
            match self.0 {
                Activation::Silu => rows.for_each(|(y, (g, u))| *y = math::silu(*g) * u),
                Activation::Gelu => rows.for_each(|(y, (g, u))| *y = math::gelu(*g) * u),
            }
        })
    }
}

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated-unit"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Computed {
        let _clock = clock(Op::Gated);
        let (n, d) = rows_cols(l1)?;
        let out = self.forward(values(s1, l1)?, values(s2, l2)?, (n, d));
        Ok((CpuStorage::F32(out), (n, d).into()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, grad: &Tensor) -> Gradients {
        let _clock = clock(Op::Elementwise);
        let (n, d) = gate.dims2()?;
        let (dgate, dup) = with_all([gate, up, grad], |[gate, up, grad]| {
            let dgate = fill_rows!(n, d, |span, chunk| {
                let (g, u) = (&gate[span.clone()], &up[span.clone()]);
                let rows = chunk.iter_mut().zip(g.iter().zip(u).zip(&grad[span]));
                match self.0 {
                    Activation::Silu => {
                        rows.for_each(|(t, ((g, u), dy))| *t = math::silu_grad(*g) * u * dy)
                    }
                    Activation::Gelu => {
                        rows.for_each(|(t, ((g, u), dy))| *t = math::gelu_grad(*g) * u * dy)
                    }
                }
            });
            Ok((dgate, self.forward(gate, grad, (n, d))))
        })?;
        Ok((like(dgate, gate)?, like(dup, up)?))
    }
}

/// `gate (N, F)`, `up (N, F)` -> `(N, F)`.
pub fn gated(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    if !fused(gate) {
        return gated_twin(gate, up, activation);
    }
    gate.contiguous()?.apply_op2(&up.contiguous()?, Gated(activation))
}

/// The composed twin of [`gated`].
pub fn gated_twin(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Silu => gate.silu()? * up,
        Activation::Gelu => gate.gelu()? * up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{random, same};

    #[test]
    fn gated_and_its_twin_agree_in_value_and_gradient() {
        for act in [Activation::Silu, Activation::Gelu] {
            let (g, u) = (random(1, 70, 48), random(2, 70, 48));
            let y = gated(&g, &u, act).unwrap();
            same(&y, &gated_twin(&g, &u, act).unwrap(), &[&g, &u], 2e-5);
        }
    }
}
