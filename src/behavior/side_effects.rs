//! What an edit of a model does besides what it is for: the guard against mere damage.
//!
//! A steered model that scores differently may have changed its mind or may be broken. The KL
//! divergence from the unedited model on neutral responses and the edited model's perplexity on
//! them tell the two apart. The unedited model reads the texts once, however many edits follow, and its
//! logits are kept where they are few enough; else they are made again of the stream that is kept.

use super::error::Result;
use super::stance::{batches, Batch, BUDGET};
use crate::model::{Decoder, Hooks, Interventions, Tokens};
use crate::ops::math::{exp, max};
use crate::ops::simd::vectorised;
use candle_core::Tensor;
use rayon::prelude::*;

/// Rows of logits that are made at a time.
const LOGITS: usize = 256;

/// Bytes of logits that are kept at most.
const KEPT: usize = 1 << 29;

/// Bytes of logits of the reference that are kept for so many tokens of responses.
pub fn kept_bytes(tokens: usize, vocab: usize) -> usize {
    Some(tokens.saturating_mul(4 * vocab)).filter(|n| *n <= KEPT).unwrap_or(0)
}

/// Neutral texts as a reference model reads them, to hold changed models against.
pub struct SideEffects<'a> {
    reference: &'a Decoder,
    batches: Vec<(Batch, Read)>,
}

/// What the reference makes of a batch.
enum Read {
    /// Logits of the rows that predict a token of a response, `(rows, vocabulary)`.
    Logits(Vec<Vec<f32>>),
    /// The stream after the last block, `(all rows, d)`.
    Stream(Tensor),
}

impl<'a> SideEffects<'a> {
    /// Reads the texts with the reference.
    ///
    /// # Errors
    /// The model's.
    pub fn of(reference: &'a Decoder, texts: &[Tokens]) -> Result<Self> {
        let batches: Vec<Batch> = batches(texts, BUDGET).collect();
        let tokens = batches.iter().map(|b| b.rows.len()).sum();
        let keep = kept_bytes(tokens, reference.config.vocab) > 0;
        Self::read(reference, batches, keep)
    }

    fn read(reference: &'a Decoder, batches: Vec<Batch>, keep: bool) -> Result<Self> {
        let read = |b: Batch| -> Result<(Batch, Read)> {
            let stream = reference.forward(&b.packed, &mut Hooks::none())?;
            let read = match keep {
                true => Read::Logits(logits(reference, &b, &b.rows, &stream, &mut Hooks::none())?),
                false => Read::Stream(stream),
            };
            Ok((b, read))
        };
        let batches = batches.into_iter().map(read).collect::<Result<_>>()?;
        Ok(SideEffects { reference, batches })
    }

    /// Mean KL divergence (nats a token) of a changed model from the reference over the responses,
    /// and the changed model's perplexity on them.
    ///
    /// # Errors
    /// An edit that fits no layer of the model; the model's.
    pub fn under(&self, changed: &Decoder, interventions: &Interventions) -> Result<(f64, f64)> {
        let (mut kl, mut log_prob, mut n) = (0f64, 0f64, 0usize);
        for (b, read) in &self.batches {
            let mut hooks = Hooks::none();
            interventions.install(&mut hooks, changed.layers(), changed.hidden())?;
            let x = changed.forward(&b.packed, &mut hooks)?;
            for (k, rows) in b.rows.chunks(LOGITS).enumerate() {
                let at = k * LOGITS..k * LOGITS + rows.len();
                let again;
                let p = match read {
                    Read::Logits(kept) => &kept[at.clone()],
                    Read::Stream(stream) => {
                        again = logits(self.reference, b, rows, stream, &mut Hooks::none())?;
                        &again[..]
                    }
                };
                let q = logits(changed, b, rows, &x, &mut hooks)?;
                let found: Vec<(f64, f64)> = (p.par_iter().zip(&q).zip(&b.targets[at]))
                    .map(|((p, q), &t)| {
                        let (kl, log_sum) = vectorised!(divergence(p, q));
                        (kl, q[t as usize] as f64 - log_sum)
                    })
                    .collect();
                for (row_kl, row_log_prob) in found {
                    kl += row_kl;
                    log_prob += row_log_prob;
                    n += 1;
                }
            }
        }
        Ok((kl / n as f64, (-log_prob / n as f64).exp()))
    }
}

/// Logits of chosen rows of a batch, from the stream after the last block.
fn logits(
    model: &Decoder,
    b: &Batch,
    rows: &[u32],
    stream: &Tensor,
    hooks: &mut Hooks,
) -> Result<Vec<Vec<f32>>> {
    Ok(model.logits(stream, rows, &b.packed.places, hooks)?.to_vec2::<f32>()?)
}

/// KL divergence of the distribution with logits `q` from that with logits `p`, and the log of the sum
/// of e^q: sum of P (p - q) less the difference of the two logs of sums.
#[inline(always)]
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
    use crate::behavior::response_log_probs;
    use crate::model::config::Config;
    use crate::model::Role;
    use crate::stats::rng::{fill_normal, stream};

    #[test]
    fn logits_that_are_kept_and_those_made_again_give_the_same() {
        let config = Config {
            vocab: 40,
            hidden: 24,
            layers: 2,
            heads: 3,
            kv_heads: 1,
            head_dim: 8,
            intermediate: 40,
            context: 64,
            ..Config::llama()
        };
        let [one, other] = [1, 2].map(|seed| Decoder::random(config.clone(), seed).unwrap());
        // More rows of logits than are made at a time.
        let text = |i: u32| {
            let mut roles = vec![Role::User; 50];
            roles[6..].fill(Role::Response);
            Tokens::new((0..50).map(|t| (i + t * t) % 40).collect(), roles)
        };
        let texts: Vec<Tokens> = (0..8).map(text).collect();
        let none = Interventions::none();
        let read = |keep| {
            let all = batches(&texts, BUDGET).collect();
            SideEffects::read(&one, all, keep).unwrap()
        };
        let kept = read(true);
        let found = kept.under(&other, &none).unwrap();
        assert_eq!(found, read(false).under(&other, &none).unwrap());
        let scores = response_log_probs(&other, &texts, &none).unwrap();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        assert!(found.0 > 0.0 && (found.1.ln() + mean).abs() < 1e-5);
        assert!(kept.under(&one, &none).unwrap().0.abs() < 1e-9);
    }

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
