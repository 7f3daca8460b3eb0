//! What an edit of a model does besides what it is for: the guard against mere damage.
//!
//! A steered model that scores differently may have changed its mind or may be broken. The KL
//! divergence from the unedited model on neutral responses and the edited model's perplexity on
//! them tell the two apart.

use super::BehaviorError;
use crate::model::packed::plan;
use crate::model::{Decoder, Hooks, Interventions, Packed, Role, Tokens};

/// Rows of a batch; each holds two rows of logits.
const BUDGET: usize = 256;

/// Mean KL divergence (nats a token) of a changed model from a reference over the responses of
/// texts, and the changed model's perplexity on them: the guard against mere damage.
pub fn side_effects(
    reference: &Decoder,
    changed: &Decoder,
    texts: &[Tokens],
    interventions: &Interventions,
) -> Result<(f64, f64), BehaviorError> {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let (mut kl, mut log_prob, mut n) = (0f64, 0f64, 0usize);
    let none = Interventions::none();
    for batch in plan(&ids, BUDGET) {
        let held: Vec<&Tokens> = batch.iter().map(|&i| &texts[i]).collect();
        let packed = Packed::of(&held);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (k, &i) in batch.iter().enumerate() {
            let path = packed.path(k);
            for t in texts[i].with_role(Role::Response) {
                rows.push(path[t - 1] as u32);
                targets.push(ids[i][t] as usize);
            }
        }
        let logits =
            |model: &Decoder, edits: &Interventions| -> Result<Vec<Vec<f32>>, BehaviorError> {
                let mut hooks = Hooks::none();
                edits.install(&mut hooks, model.layers(), model.hidden())?;
                let x = model.forward(&packed, &mut hooks)?;
                let z = model.logits(&x, &rows, &packed.places, &mut hooks)?;
                Ok(z.to_vec2()?)
            };
        let (p, q) = (logits(reference, &none)?, logits(changed, interventions)?);
        for ((p, q), &t) in p.iter().zip(&q).zip(&targets) {
            let (lp, lq) = (log_sum_exp(p), log_sum_exp(q));
            let pairs = p.iter().zip(q);
            kl += pairs
                .map(|(a, b)| {
                    let a = *a as f64 - lp;
                    a.exp() * (a - (*b as f64 - lq))
                })
                .sum::<f64>();
            log_prob += q[t] as f64 - lq;
            n += 1;
        }
    }
    Ok((kl / n as f64, (-log_prob / n as f64).exp()))
}

fn log_sum_exp(z: &[f32]) -> f64 {
    let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    top + z.iter().map(|v| (*v as f64 - top).exp()).sum::<f64>().ln()
}
