//! What an edit of a model does besides what it is for: the guard against mere damage.
//!
//! A steered model that scores differently may have changed its mind or may be broken. The KL
//! divergence from the unedited model on neutral responses and the edited model's perplexity on
//! them tell the two apart. The unedited model reads the texts once, however many edits follow.

use super::error::Result;
use super::stance::{batches, Batch};
use crate::model::{Decoder, Hooks, Interventions, Tokens};
use crate::ops::math::{exp, max};
use candle_core::Tensor;
use rayon::prelude::*;

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
            let found: Vec<(f64, f64)> = (p.par_iter().zip(&q).zip(&b.targets))
                .map(|((p, q), &t)| {
                    let (kl, log_sum) = divergence(p, q);
                    (kl, q[t as usize] as f64 - log_sum)
                })
                .collect();
            for (row_kl, row_log_prob) in found {
                kl += row_kl;
                log_prob += row_log_prob;
                n += 1;
            }
        }
        Ok((kl / n as f64, (-log_prob / n as f64).exp()))
    }
}

/// KL divergence of the distribution with logits `q` from that with logits `p`, and the log of the sum
/// of e^q: sum of P (p - q) less the difference of the two logs of sums.
fn divergence(p: &[f32], q: &[f32]) -> (f64, f64) {
    let (top_p, top_q) = (max(p), max(q));
    // Sums of e^p, of e^q and of e^p (p - q), in lanes that the compiler makes vectors of.
    let mut lanes = [[0f64; 16]; 3];
    let mut add = |p: &[f32], q: &[f32]| {
        for (i, (&p, &q)) in p.iter().zip(q).enumerate() {
            let e = exp(p - top_p);
            lanes[0][i] += f64::from(e);
            lanes[1][i] += f64::from(exp(q - top_q));
            lanes[2][i] += f64::from(e * (p - q));
        }
    };
    p.chunks(16).zip(q.chunks(16)).for_each(|(p, q)| add(p, q));
    let [p_sum, q_sum, apart] = lanes.map(|l| l.iter().sum::<f64>());
    let (log_p, log_q) = (f64::from(top_p) + p_sum.ln(), f64::from(top_q) + q_sum.ln());
    (apart / p_sum - (log_p - log_q), log_q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};

    #[test]
    fn divergences_are_those_of_f64_sums() {
        for (n, spread, apart) in [(7, 1.0, 0.1), (1000, 8.0, 1.0), (49_152, 4.0, 0.01)] {
            let mut x = vec![0f32; 2 * n];
            fill_normal(&mut stream(1, "divergence", n as u64), &mut x);
            let p: Vec<f32> = x[..n].iter().map(|v| spread * v).collect();
            let q: Vec<f32> = p.iter().zip(&x[n..]).map(|(p, v)| p + apart * v - 3.0).collect();
            let log_sum = |z: &[f32]| z.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
            let (lp, lq) = (log_sum(&p), log_sum(&q));
            let terms = p.iter().zip(&q).map(|(&p, &q)| {
                let (p, q) = (f64::from(p) - lp, f64::from(q) - lq);
                p.exp() * (p - q)
            });
            let (kl, log_q) = divergence(&p, &q);
            assert!((kl - terms.sum::<f64>()).abs() < 2e-6 && (log_q - lq).abs() < 1e-6);
        }
    }
}
