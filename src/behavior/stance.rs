//! Stance: how much more likely a model finds the expressing completion than the opposing one.
//!
//! Stance log-odds of a pair = mean token log-probability of `express` minus that of `oppose`,
//! given what stands before; works offline on any model. Pairs are averaged within a prompt, and
//! the prompt is the unit of replication. All completions of a prompt share its rows. What
//! stands before is one question of the battery or a whole conversation: an [`Asked`] says which.

use super::{BehaviorError, Result};
use crate::materials::{Preference, StancePair};
use crate::model::packed::plan;
use crate::model::tokenizer::prompt_messages;
use crate::model::{Decoder, Hooks, Interventions, Message, Packed, Role, Tokenizer, Tokens};
use crate::ops::loss::log_probs;
use crate::stats::bootstrap::{bootstrap_mean, grouped, Estimate};
use crate::stats::moments::mean;
use serde::{Deserialize, Serialize};

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

/// What a model is asked: the turns up to the question, and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub preference: String,
    pub group: String,
    pub prompt_id: String,
    pub form: String,
    /// What a judge looks for in the answer.
    pub fact: String,
    /// System prompt if any, earlier turns if any, the question last.
    pub messages: Vec<Message>,
    pub pairs: Vec<StancePair>,
    /// File and line of the prompt, or what it is where it is from no file.
    pub place: String,
}

impl Asked {
    /// Every prompt of a battery, in its order. `system` is put before each.
    pub fn battery(battery: &[Preference], system: Option<&str>) -> Vec<Asked> {
        let mut all = Vec::new();
        for preference in battery {
            for prompt in &preference.prompts {
                all.push(Asked {
                    preference: preference.name.clone(),
                    group: preference.group.clone(),
                    prompt_id: prompt.id.clone(),
                    form: prompt.form.clone(),
                    fact: preference.fact.clone(),
                    messages: prompt_messages(system, &prompt.prompt),
                    pairs: prompt.pairs.clone(),
                    place: prompt.place.clone(),
                });
            }
        }
        all
    }

    /// The question: the last turn.
    pub fn prompt(&self) -> &str {
        self.messages.last().map_or("", |m| m.content.as_str())
    }
}

/// Rows of a scoring batch.
const BUDGET: usize = 1024;

/// Texts packed, with the rows that predict a token of a response.
pub(super) struct Batch {
    pub packed: Packed,
    pub rows: Vec<u32>,
    /// The token that each row predicts.
    pub targets: Vec<u32>,
    /// Places of the texts, each with the tokens of its response.
    counts: Vec<(usize, usize)>,
}

/// Batches of texts by `budget` rows.
pub(super) fn batches(texts: &[Tokens], budget: usize) -> impl Iterator<Item = Batch> + '_ {
    let ids: Vec<&[u32]> = texts.iter().map(|t| t.ids.as_slice()).collect();
    plan(&ids, budget).into_iter().map(move |batch| {
        let held: Vec<&Tokens> = batch.iter().map(|&i| &texts[i]).collect();
        let packed = Packed::of(&held);
        let (mut rows, mut targets, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (k, &i) in batch.iter().enumerate() {
            let path = packed.path(k);
            let at = texts[i].with_role(Role::Response);
            counts.push((i, at.len()));
            rows.extend(at.iter().map(|t| path[t - 1] as u32));
            targets.extend(at.iter().map(|&t| texts[i].ids[t]));
        }
        Batch { packed, rows, targets, counts }
    })
}

/// Mean log-probability a token of the response of each text.
pub fn response_log_probs(
    model: &Decoder,
    texts: &[Tokens],
    interventions: &Interventions,
) -> Result<Vec<f64>> {
    let mut out = vec![f64::NAN; texts.len()];
    for Batch { packed, rows, targets, counts } in batches(texts, BUDGET) {
        let mut hooks = Hooks::none();
        interventions.install(&mut hooks, model.layers(), model.hidden())?;
        let x = model.forward(&packed, &mut hooks)?;
        let h = model.normalized(&x, &rows, &packed.places, &mut hooks)?;
        let mut lp = log_probs(&h, model.head(), &targets)?.into_iter();
        for (i, n) in counts {
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
) -> Result<Vec<PairScore>> {
    stance_of(model, tokenizer, &Asked::battery(battery, system), interventions)
}

/// Scores every pair of what is asked.
pub fn stance_of(
    model: &Decoder,
    tokenizer: &Tokenizer,
    asked: &[Asked],
    interventions: &Interventions,
) -> Result<Vec<PairScore>> {
    let texts = stance_texts(tokenizer, asked)?;
    if texts.is_empty() {
        return Err(BehaviorError::Empty);
    }
    let lp = response_log_probs(model, &texts, interventions)?;
    let pairs = asked.iter().flat_map(|a| a.pairs.iter().map(move |pair| (a, pair)));
    let score = |((a, pair), lp): ((&Asked, &StancePair), &[f64])| PairScore {
        preference: a.preference.clone(),
        group: a.group.clone(),
        prompt_id: a.prompt_id.clone(),
        form: a.form.clone(),
        prompt: a.prompt().to_string(),
        express: pair.express.clone(),
        oppose: pair.oppose.clone(),
        express_log_prob: lp[0],
        oppose_log_prob: lp[1],
        log_odds: lp[0] - lp[1],
    };
    Ok(pairs.zip(lp.chunks_exact(2)).map(score).collect())
}

/// The texts that scoring reads: of every pair the one that expresses and the one that opposes.
pub fn stance_texts(tokenizer: &Tokenizer, asked: &[Asked]) -> Result<Vec<Tokens>> {
    let mut texts = Vec::new();
    for a in asked {
        for completion in a.pairs.iter().flat_map(|pair| [&pair.express, &pair.oppose]) {
            let (preference, prompt) = (a.preference.clone(), a.prompt_id.clone());
            let mut messages = a.messages.clone();
            messages.push(Message::new("assistant", completion));
            let t = match tokenizer.chat(&messages, false) {
                Ok(t) if t.with_role(Role::Response).is_empty() => {
                    return Err(BehaviorError::NoTokens { preference, prompt });
                }
                Ok(t) => t,
                Err(source) => {
                    let place = a.place.clone();
                    return Err(BehaviorError::Refused { place, preference, prompt, source });
                }
            };
            texts.push(t);
        }
    }
    Ok(texts)
}

/// Averages pairs within prompts, in order of first appearance.
pub fn by_prompt(scores: &[PairScore]) -> Vec<PromptScore> {
    let by_prompt = grouped(scores.iter().map(|s| ((&s.preference, &s.prompt_id), s.log_odds)));
    let one = |((preference, prompt_id), values): ((&String, &String), Vec<f64>)| PromptScore {
        preference: preference.clone(),
        prompt_id: prompt_id.clone(),
        log_odds: mean(&values),
    };
    by_prompt.into_iter().map(one).collect()
}

/// Mean of values, one a prompt, with a 95 % bootstrap interval over prompts.
pub fn estimate(values: &[f64], draws: usize, seed: u64) -> Result<Estimate> {
    let clusters: Vec<usize> = (0..values.len()).collect();
    Ok(bootstrap_mean(values, &clusters, draws, 0.95, seed, "battery")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(preference: &str, prompt: &str, log_odds: f64) -> PairScore {
        PairScore {
            preference: preference.into(),
            group: "g".into(),
            prompt_id: prompt.into(),
            form: "open".into(),
            prompt: "Q?".into(),
            express: "A.".into(),
            oppose: "B.".into(),
            express_log_prob: log_odds - 1.0,
            oppose_log_prob: -1.0,
            log_odds,
        }
    }

    #[test]
    fn pairs_are_averaged_within_their_prompt_and_preference_only() {
        let scores = [
            score("p", "1", 1.0),
            score("p", "2", 5.0),
            score("p", "1", 2.0),
            score("q", "1", -4.0),
        ];
        let got = by_prompt(&scores);
        let want = [("p", "1", 1.5), ("p", "2", 5.0), ("q", "1", -4.0)];
        for (g, (preference, prompt, value)) in got.iter().zip(want) {
            assert_eq!((g.preference.as_str(), g.prompt_id.as_str()), (preference, prompt));
            assert_eq!(g.log_odds, value);
        }
        assert_eq!(got.len(), 3);
    }
}
