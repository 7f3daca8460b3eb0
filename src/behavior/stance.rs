//! Stance: how much more likely a model finds the expressing completion than the opposing one.
//!
//! Stance log-odds of a pair = mean token log-probability of `express` minus that of `oppose`,
//! given what stands before; works offline on any model. Pairs are averaged within a question, and
//! the two questions of an item are told apart by their key ([`by_item`]): what they share is its stance,
//! in what they differ is "Yes". The item is the unit of replication. All completions of a prompt share
//! its rows. What stands before is one question of the battery or a whole conversation: an [`Asked`] says
//! which.

use super::{BehaviorError, Result};
use crate::materials::{Key, Keyed, Preference, StancePair};
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
    /// Name of the preference.
    pub preference: String,
    /// Group of preferences that it is reported with.
    pub group: String,
    /// Id of the question, unique in its file.
    pub prompt_id: String,
    /// Item and key of the question; none: an item of its own.
    #[serde(flatten)]
    pub keyed: Option<Keyed>,
    /// Form of the question, such as `open` or `scenario`.
    pub form: String,
    /// The question, without what stood before it.
    pub prompt: String,
    /// The completion that expresses the preference.
    pub express: String,
    /// The completion that opposes it.
    pub oppose: String,
    /// Mean natural log-probability a token of `express`.
    pub express_log_prob: f64,
    /// The same of `oppose`.
    pub oppose_log_prob: f64,
    /// `express_log_prob` less `oppose_log_prob`, nats a token.
    pub log_odds: f64,
}

/// Scores of one item, nats a token.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemScore {
    /// Name of the preference.
    pub preference: String,
    /// Its name; the id of a question without a key.
    pub item: String,
    /// (a + d) / 2, a and d the log-odds of its affirm- and its deny-keyed question; the log-odds of a
    /// question without a key.
    pub stance: f64,
    /// Yes-bias, (a - d) / 2; none for a question without a key.
    pub bias: Option<f64>,
}

/// What a model is asked: the turns up to the question, and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Name of the preference that is asked about.
    pub preference: String,
    /// Group of preferences that it is reported with.
    pub group: String,
    /// Id of the question, unique in its file.
    pub prompt_id: String,
    /// Item and key of the question; none: an item of its own.
    pub keyed: Option<Keyed>,
    /// Form of the question, such as `open` or `scenario`.
    pub form: String,
    /// What a judge looks for in the answer.
    pub fact: String,
    /// System prompt if any, earlier turns if any, the question last.
    pub messages: Vec<Message>,
    /// Completions to score behind the messages.
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
                    keyed: prompt.keyed.clone(),
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
pub(super) const BUDGET: usize = 1024;

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

/// Mean natural log-probability a token of the response of each text.
///
/// # Errors
/// The model's; an intervention that touches nothing.
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
///
/// # Errors
/// As [`stance_of`].
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
///
/// # Errors
/// `Empty` without pairs; `HalfAsked` where an item of two questions has one alone; those of
/// [`stance_texts`] and [`response_log_probs`].
pub fn stance_of(
    model: &Decoder,
    tokenizer: &Tokenizer,
    asked: &[Asked],
    interventions: &Interventions,
) -> Result<Vec<PairScore>> {
    whole_items(asked)?;
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
        keyed: a.keyed.clone(),
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

/// Refuses an item of two questions of which one alone would be scored.
fn whole_items(asked: &[Asked]) -> Result<()> {
    let scored = asked.iter().filter(|a| !a.pairs.is_empty());
    let keyed = scored.filter_map(|a| Some((a, a.keyed.as_ref()?)));
    let items = grouped(keyed.map(|(a, k)| ((&a.preference, &k.item), (a, k.key))));
    let half = items.into_iter().find(|(_, of)| of.iter().all(|(_, key)| *key == of[0].1));
    half.map_or(Ok(()), |((preference, item), of)| {
        let (place, preference) = (of[0].0.place.clone(), preference.clone());
        Err(BehaviorError::HalfAsked { place, preference, item: item.clone() })
    })
}

/// The texts that scoring reads: of every pair the one that expresses and the one that opposes.
///
/// # Errors
/// `Refused` where the chat template refuses the messages, `NoTokens` for a completion without one.
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

/// Stance and yes-bias of every item, in order of first appearance; pairs are averaged within their
/// question. An item of two questions of which one was not scored is left out: it has no stance.
pub fn by_item(scores: &[PairScore]) -> Vec<ItemScore> {
    let item = |s: &PairScore| s.keyed.as_ref().map_or(s.prompt_id.clone(), |k| k.item.clone());
    let each = grouped(scores.iter().map(|s| ((&s.preference, item(s)), s)));
    let one = |((preference, item), own): ((&String, String), Vec<&PairScore>)| {
        let of = |key: Option<Key>| -> Option<f64> {
            let asked = own.iter().filter(|s| s.keyed.as_ref().map(|k| k.key) == key);
            let asked: Vec<f64> = asked.map(|s| s.log_odds).collect();
            (!asked.is_empty()).then(|| mean(&asked))
        };
        let (stance, bias) = match own[0].keyed {
            None => (of(None)?, None),
            Some(_) => {
                let (a, d) = (of(Some(Key::Affirm))?, of(Some(Key::Deny))?);
                ((a + d) / 2.0, Some((a - d) / 2.0))
            }
        };
        Some(ItemScore { preference: preference.clone(), item, stance, bias })
    };
    each.into_iter().filter_map(one).collect()
}

/// Mean of values, one an item, with a 95 % bootstrap interval over items.
///
/// # Errors
/// No values.
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
            keyed: None,
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
    fn pairs_are_averaged_within_their_question_and_preference_only() {
        let scores = [
            score("p", "1", 1.0),
            score("p", "2", 5.0),
            score("p", "1", 2.0),
            score("q", "1", -4.0),
        ];
        let got = by_item(&scores);
        let want = [("p", "1", 1.5), ("p", "2", 5.0), ("q", "1", -4.0)];
        for (g, (preference, item, stance)) in got.iter().zip(want) {
            assert_eq!((g.preference.as_str(), g.item.as_str()), (preference, item));
            assert_eq!((g.stance, g.bias), (stance, None));
        }
        assert_eq!(got.len(), 3);
    }

    #[test]
    fn a_yes_that_knows_no_preference_is_all_bias_and_a_preference_has_none() {
        let asked = |id: &str, key: Key, log_odds: f64| PairScore {
            keyed: Some(Keyed { item: id[..1].into(), key }),
            ..score("p", id, log_odds)
        };
        let (a, d) = (Key::Affirm, Key::Deny);
        // One item is said Yes to, one is preferred, one is both, one was half scored.
        let scores = [
            asked("1a", a, 0.75),
            asked("1d", d, -0.75),
            asked("2d", d, 0.5),
            asked("2a", a, 0.5),
            asked("3a", a, 1.25),
            asked("3d", d, -0.25),
            asked("4a", a, 1.0),
            score("p", "5", 2.0),
        ];
        let got = by_item(&scores);
        let pick = |s: &ItemScore| (s.stance, s.bias);
        assert_eq!(pick(&got[0]), (0.0, Some(0.75)));
        assert_eq!(pick(&got[1]), (0.5, Some(0.0)));
        assert_eq!(pick(&got[2]), (0.5, Some(0.75)));
        assert_eq!((got.len(), pick(&got[3])), (4, (2.0, None)));
        let line = serde_json::to_string(&scores[0]).unwrap();
        assert!(line.contains(r#""item":"1","key":"affirm""#), "{line}");
        for score in &scores {
            let line = serde_json::to_string(score).unwrap();
            assert_eq!(serde_json::from_str::<PairScore>(&line).unwrap(), *score);
        }
    }

    #[test]
    fn an_item_asked_by_one_of_its_questions_is_refused_by_its_place() {
        let mut battery = crate::materials::load_preferences(None).unwrap();
        battery.truncate(2);
        let asked = Asked::battery(&battery, None);
        assert!(whole_items(&asked).is_ok());
        let half = asked.iter().position(|a| a.keyed.is_some()).unwrap();
        let place = &asked[half + 1].place;
        let mut without = asked.clone();
        without.remove(half);
        let mut silent = asked.clone();
        silent[half].pairs.clear();
        for asked in [without, silent] {
            let said = whole_items(&asked).unwrap_err().to_string();
            assert!(said.starts_with(place) && said.contains("key affirm"), "{said}");
        }
    }
}
