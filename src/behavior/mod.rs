//! The preference battery: how much more likely a model finds the expressing completion than the
//! opposing one.
//!
//! Stance log-odds of a pair = mean token log-probability of `express` minus that of `oppose`,
//! given the chat prompt; works offline on any model. Pairs are averaged within a prompt, and the
//! prompt is the unit of replication. All completions of a prompt share its rows.

use crate::materials::Preference;
use crate::model::packed::plan;
use crate::model::{Decoder, Hooks, Interventions, ModelError, Packed, Role, Tokenizer, Tokens};
use crate::ops::loss::log_probs;
use crate::stats::bootstrap::{bootstrap_mean, Estimate};
use serde::{Deserialize, Serialize};

/// Ways in which scoring can fail.
#[derive(Debug, thiserror::Error)]
pub enum BehaviorError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("computation failed: {0}")]
    Compute(#[from] candle_core::Error),
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    #[error("no prompts to score")]
    Empty,
    #[error(
        "preference `{preference}`, prompt `{prompt}`: a completion has no token; give it text"
    )]
    NoTokens { preference: String, prompt: String },
}

/// One pair of one prompt, with everything needed to judge it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairScore {
    pub preference: String,
    pub group: String,
    pub prompt_id: String,
    pub form: String,
    pub prompt: String,
    pub express: String,
    pub oppose: String,
    /// Mean natural log-probability a token.
    pub express_log_prob: f64,
    pub oppose_log_prob: f64,
    pub log_odds: f64,
}

/// Score of one prompt: the mean over its pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptScore {
    pub preference: String,
    pub prompt_id: String,
    pub log_odds: f64,
}

/// Rows of a scoring batch.
const BUDGET: usize = 1024;

/// Mean log-probability a token of the response of each text.
pub fn response_log_probs(
    model: &Decoder,
    texts: &[Tokens],
    interventions: &Interventions,
) -> Result<Vec<f64>, BehaviorError> {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    let mut out = vec![f64::NAN; texts.len()];
    for batch in plan(&ids, BUDGET) {
        let held: Vec<&Tokens> = batch.iter().map(|&i| &texts[i]).collect();
        let packed = Packed::of(&held);
        let (mut rows, mut targets, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (k, &i) in batch.iter().enumerate() {
            let path = packed.path(k);
            let at = texts[i].with_role(Role::Response);
            counts.push(at.len());
            for t in at {
                rows.push(path[t - 1] as u32);
                targets.push(ids[i][t]);
            }
        }
        let mut hooks = Hooks::none();
        interventions.install(&mut hooks, model.layers(), model.hidden())?;
        let x = model.forward(&packed, &mut hooks)?;
        let h = model.normalized(&x, &rows, &packed.places, &mut hooks)?;
        let mut lp = log_probs(&h, model.head(), &targets)?.into_iter();
        for (&i, n) in batch.iter().zip(counts) {
            let sum: f64 = lp.by_ref().take(n).map(|v| v as f64).sum();
            out[i] = sum / n as f64;
        }
    }
    interventions.check_touched()?;
    Ok(out)
}

/// Scores every pair of a battery. `system` is put before each prompt.
pub fn stance(
    model: &Decoder,
    tokenizer: &Tokenizer,
    battery: &[Preference],
    system: Option<&str>,
    interventions: &Interventions,
) -> Result<Vec<PairScore>, BehaviorError> {
    let mut scores = Vec::new();
    let mut texts = Vec::new();
    for preference in battery {
        for prompt in &preference.prompts {
            for pair in &prompt.pairs {
                for completion in [&pair.express, &pair.oppose] {
                    let t = tokenizer.exchange(system, &prompt.prompt, completion)?;
                    if t.with_role(Role::Response).is_empty() {
                        return Err(BehaviorError::NoTokens {
                            preference: preference.name.clone(),
                            prompt: prompt.id.clone(),
                        });
                    }
                    texts.push(t);
                }
                scores.push(PairScore {
                    preference: preference.name.clone(),
                    group: preference.group.clone(),
                    prompt_id: prompt.id.clone(),
                    form: prompt.form.clone(),
                    prompt: prompt.prompt.clone(),
                    express: pair.express.clone(),
                    oppose: pair.oppose.clone(),
                    express_log_prob: 0.0,
                    oppose_log_prob: 0.0,
                    log_odds: 0.0,
                });
            }
        }
    }
    if texts.is_empty() {
        return Err(BehaviorError::Empty);
    }
    let lp = response_log_probs(model, &texts, interventions)?;
    for (s, lp) in scores.iter_mut().zip(lp.chunks_exact(2)) {
        (s.express_log_prob, s.oppose_log_prob) = (lp[0], lp[1]);
        s.log_odds = lp[0] - lp[1];
    }
    Ok(scores)
}

/// Averages pairs within prompts, in order of first appearance.
pub fn by_prompt(scores: &[PairScore]) -> Vec<PromptScore> {
    let mut out: Vec<(PromptScore, usize)> = Vec::new();
    for s in scores {
        let same = |p: &PromptScore| p.prompt_id == s.prompt_id && p.preference == s.preference;
        match out.iter_mut().find(|(p, _)| same(p)) {
            Some((p, n)) => {
                p.log_odds += s.log_odds;
                *n += 1;
            }
            None => out.push((
                PromptScore {
                    preference: s.preference.clone(),
                    prompt_id: s.prompt_id.clone(),
                    log_odds: s.log_odds,
                },
                1,
            )),
        }
    }
    let mean = |(mut p, n): (PromptScore, usize)| {
        p.log_odds /= n as f64;
        p
    };
    out.into_iter().map(mean).collect()
}

/// Mean of values, one a prompt, with a 95 % bootstrap interval over prompts.
pub fn estimate(values: &[f64], draws: usize, seed: u64) -> Result<Estimate, BehaviorError> {
    let clusters: Vec<usize> = (0..values.len()).collect();
    Ok(bootstrap_mean(
        values, &clusters, draws, 0.95, seed, "battery",
    )?)
}

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
    for batch in plan(&ids, BUDGET / 4) {
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
