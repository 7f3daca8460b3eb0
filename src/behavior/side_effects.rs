//! What an edit of a model does besides what it is for: the guard against mere damage.
//!
//! A steered model that scores differently may have changed its mind or may be broken. The KL
//! divergence from the unedited model on neutral responses and the edited model's perplexity on
//! them tell the two apart. The unedited model reads the texts once, however many edits follow.

use super::error::Result;
use super::stance::{batches, Batch};
use crate::model::{Decoder, Hooks, Interventions, Tokens};
use candle_core::Tensor;

/// Rows of a batch; each holds two rows of logits.
const BUDGET: usize = 256;

/// Neutral texts as a reference model reads them, to hold changed models against.
pub struct SideEffects<'a> {
    reference: &'a Decoder,
    /// Each with the stream after the reference's last block, `(rows, d)`.
    batches: Vec<(Batch, Tensor)>,
}

impl<'a> SideEffects<'a> {
    /// Reads the texts with the reference.
    ///
    /// # Errors
    /// The model's.
    pub fn of(reference: &'a Decoder, texts: &[Tokens]) -> Result<Self> {
        let read = |b: Batch| {
            let stream = reference.forward(&b.packed, &mut Hooks::none())?;
            Ok((b, stream))
        };
        let batches = batches(texts, BUDGET).map(read).collect::<Result<_>>()?;
        Ok(SideEffects { reference, batches })
    }

    /// Mean KL divergence (nats a token) of a changed model from the reference over the responses,
    /// and the changed model's perplexity on them.
    ///
    /// # Errors
    /// An edit that fits no layer of the model; the model's.
    pub fn under(&self, changed: &Decoder, interventions: &Interventions) -> Result<(f64, f64)> {
        let (mut kl, mut log_prob, mut n) = (0f64, 0f64, 0usize);
        for (b, stream) in &self.batches {
            let none = &mut Hooks::none();
            let p = (self.reference).logits(stream, &b.rows, &b.packed.places, none)?;
            let mut hooks = Hooks::none();
            interventions.install(&mut hooks, changed.layers(), changed.hidden())?;
            let x = changed.forward(&b.packed, &mut hooks)?;
            let q = changed.logits(&x, &b.rows, &b.packed.places, &mut hooks)?;
            let (p, q) = (p.to_vec2::<f32>()?, q.to_vec2::<f32>()?);
            for ((p, q), &t) in p.iter().zip(&q).zip(&b.targets) {
                let (lp, lq) = (log_sum_exp(p), log_sum_exp(q));
                let term = |(a, b): (&f32, &f32)| {
                    let a = *a as f64 - lp;
                    a.exp() * (a - (*b as f64 - lq))
                };
                kl += p.iter().zip(q).map(term).sum::<f64>();
                log_prob += q[t as usize] as f64 - lq;
                n += 1;
            }
        }
        Ok((kl / n as f64, (-log_prob / n as f64).exp()))
    }
}

fn log_sum_exp(z: &[f32]) -> f64 {
    let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    top + z.iter().map(|v| (*v as f64 - top).exp()).sum::<f64>().ln()
}
