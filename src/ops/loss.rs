//! Log-probabilities of chosen tokens through the language head, without keeping the logits.
//!
//! Only rows that predict something reach the head, in blocks, so the `(rows, vocabulary)` logits
//! never exist whole. For training the gradient with respect to the hidden rows is analytic,
//! `(softmax(z) - onehot(y)) W / n`, and is taken in the same block in which the loss is.

use super::clock::{clock, Op};
use super::simd::vectorised;
use super::weight::Weight;
use super::{fused, math, values, with_values, Computed};
use candle_core::{bail, CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, D};
use rayon::prelude::*;
use std::sync::Mutex;

/// Rows whose logits are held at once; the head is read once a block.
const BLOCK: usize = 128;

/// The head: `(V, D)` weight, optional `c tanh(z / c)` on its logits.
#[derive(Debug, Clone)]
pub struct Head {
    /// `(V, D)`.
    pub weight: Weight,
    /// c of `c tanh(z / c)`.
    pub softcap: Option<f32>,
}

/// Log-probabilities of a block of rows, and their gradient.
type Losses = (Vec<f32>, Option<Vec<f32>>);

impl Head {
    /// Log-probability of token `t` given logits `z (V)`; with `grad`, z becomes the gradient of its negative.
    #[inline(always)]
    fn row(&self, z: &mut [f32], t: u32, grad: bool) -> f32 {
        if let Some(c) = self.softcap {
            z.iter_mut().for_each(|z| *z = c * math::tanh(*z / c));
        }
        let top = math::max(z);
        let hit = z[t as usize];
        let slopes = |c: f32| z.iter().map(|z| 1.0 - (z / c).powi(2)).collect();
        let capped: Option<Vec<f32>> = self.softcap.filter(|_| grad).map(slopes);
        // Sums in f64 by pieces: 49,152 terms in f32 would lose three digits.
        let sum: f64 = z.chunks_mut(1024).map(|c| math::exp_sum(c, top) as f64).sum();
        if grad {
            let inv = (1.0 / sum) as f32;
            z.iter_mut().for_each(|z| *z *= inv);
            z[t as usize] -= 1.0;
            if let Some(slopes) = capped {
                z.iter_mut().zip(slopes).for_each(|(z, s)| *z *= s);
            }
        }
        hit - top - sum.ln() as f32
    }

    /// Log-probabilities of `h (m, D)`, one target a row, and their gradient if asked for, which is of `-sum(log p)` with respect to h.
    fn block(&self, h: &[f32], targets: &[u32], grad: bool) -> Result<Losses> {
        let _clock = clock(Op::Head);
        let (m, (v, _)) = (targets.len(), self.weight.dims2()?);
        let mut z = self.weight.product(h, m)?; // (m, V)
        let log_probs = z
            .par_chunks_mut(v)
            .zip(targets)
            .map(|(z, &t)| vectorised!(self.row(z, t, grad)))
            .collect();
        let grad = grad.then(|| self.weight.back(&z, m)).transpose()?;
        Ok((log_probs, grad))
    }

    fn check(&self, rows: usize, targets: &[u32]) -> Result<()> {
        let (v, _) = self.weight.dims2()?;
        if rows != targets.len() || rows == 0 {
            bail!("{rows} hidden rows for {} target tokens", targets.len());
        }
        if let Some(t) = targets.iter().find(|&&t| t as usize >= v) {
            bail!("target token {t} is outside the vocabulary of {v}");
        }
        Ok(())
    }
}

/// Natural log-probability of `targets[i]` given hidden row i; `hidden (n, D)` after the final norm.
pub fn log_probs(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Vec<f32>> {
    head.check(hidden.dim(0)?, targets)?;
    if !fused(hidden) {
        return log_probs_twin(hidden, head, targets)?.to_vec1();
    }
    let d = hidden.dim(1)?;
    with_values(hidden, |h| {
        let blocks = h.chunks(BLOCK * d).zip(targets.chunks(BLOCK));
        let found = blocks.map(|(h, t)| Ok(head.block(h, t, false)?.0));
        Ok(found.collect::<Result<Vec<_>>>()?.concat())
    })
}

/// The composed, differentiable twin of [`log_probs`] -> `(n)`.
pub fn log_probs_twin(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Tensor> {
    let mut z = hidden.matmul(&head.weight.tensor()?.detach().t()?)?.to_dtype(DType::F32)?; // (n, V)
    if let Some(c) = head.softcap {
        z = ((z / c as f64)?.tanh()? * c as f64)?;
    }
    let z = z.broadcast_sub(&z.max_keepdim(D::Minus1)?.detach())?;
    let lse = z.exp()?.sum_keepdim(D::Minus1)?.log()?;
    let ids = Tensor::from_slice(targets, (targets.len(), 1), hidden.device())?;
    (z.gather(&ids, 1)? - lse)?.squeeze(1)
}

struct CrossEntropy {
    head: Head,
    targets: Vec<u32>,
    /// Gradient of the mean loss with respect to the hidden rows, left by forward.
    grad: Mutex<Option<Vec<f32>>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Computed {
        let (n, d) = super::rows_cols(l)?;
        let h = values(s, l)?;
        let (mut loss, mut dh) = (0f64, Vec::with_capacity(n * d));
        for (h, t) in h.chunks(BLOCK * d).zip(self.targets.chunks(BLOCK)) {
            let (log_probs, grad) = self.head.block(h, t, true)?;
            loss -= log_probs.iter().map(|&p| p as f64).sum::<f64>();
            dh.extend(grad.unwrap_or_default().iter().map(|g| g / n as f32));
        }
        if let Ok(mut slot) = self.grad.lock() {
            *slot = Some(dh);
        }
        let loss = (loss / n as f64) as f32;
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, h: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dh = self.grad.lock().ok().and_then(|mut g| g.take());
        let Some(dh) = dh else {
            bail!("backward through a cross-entropy that ran no forward");
        };
        let dh = Tensor::from_vec(dh, h.shape(), h.device())?;
        Ok(Some(dh.broadcast_mul(grad)?))
    }
}

/// Mean cross-entropy of `targets` given `hidden (n, D)` after the final norm; a scalar.
pub fn cross_entropy(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Tensor> {
    head.check(hidden.dim(0)?, targets)?;
    if !fused(hidden) {
        return log_probs_twin(hidden, head, targets)?.mean_all()?.neg();
    }
    hidden.contiguous()?.apply_op1(CrossEntropy {
        head: head.clone(),
        targets: targets.to_vec(),
        grad: Mutex::new(None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{max_diff, random};

    #[test]
    fn loss_and_its_twin_agree_in_value_and_gradient() {
        for softcap in [None, Some(1.5)] {
            let (h, w) = (random(1, 130, 12), random(2, 50, 12));
            let head = Head { weight: w.as_tensor().clone().into(), softcap };
            let targets: Vec<u32> = (0..130).map(|i| (i * 7 % 50) as u32).collect();
            let a = cross_entropy(&h, &head, &targets).unwrap();
            let lp = log_probs_twin(&h, &head, &targets).unwrap();
            let b = lp.mean_all().unwrap().neg().unwrap();
            assert!(max_diff(&a, &b) < 1e-5);
            let (ga, gb) = (a.backward().unwrap(), b.backward().unwrap());
            assert!(max_diff(ga.get(&h).unwrap(), gb.get(&h).unwrap()) < 1e-7);
            let fast = log_probs(&h, &head, &targets).unwrap();
            let fast = Tensor::from_vec(fast, 130, h.device()).unwrap();
            assert!(max_diff(&fast, &lp) < 1e-5);
        }
    }
}
