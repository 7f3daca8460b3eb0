//! A model of one's own as the judge: no network, no key, the same verdict every time.
//!
//! It is not asked to write a reply but scored on the words that could answer each question: the
//! log-probability of each word behind the case, less that of the same word behind a case
//! without content (`N/A` for question and answer), which takes out the model's liking for a
//! word (contextual calibration: Zhao, Wallace, Feng, Klein and Singh 2021, arXiv 2102.09690).
//! The likeliest word is the verdict and the log-odds are stored. Small models judge badly, so
//! whoever uses this examines it with [`super::check`] first.

use super::store::{unsettled, Reply, Store};
use super::{prompt, Case, Tally, Verdict};
use crate::behavior::{response_log_probs, BehaviorError, Result};
use crate::model::{Decoder, Interventions, Message, Role, Tokenizer, Tokens};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Cases of a batch; each is eight short texts with a long common beginning.
const BATCH: usize = 8;

/// Log-probability of each word, question by question.
type Words = Vec<Vec<f64>>;

/// Judges every case that the store does not settle. `name` stands for the judge in the store
/// and must tell its weights apart. `watch` is told at the start and after every batch.
///
/// # Errors
/// A case too long for the model, a template that swallows the words, or a failing disk.
pub fn judge_locally(
    model: &Decoder,
    tokenizer: &Tokenizer,
    name: &str,
    cases: &[Case],
    store: &mut Store,
    watch: &mut dyn FnMut(&Tally),
) -> Result<Tally> {
    let (todo, mut tally) = unsettled(cases, name, store);
    watch(&tally);
    let mut blank: HashMap<&str, Words> = HashMap::new();
    for batch in todo.chunks(BATCH) {
        let mut asked: Vec<Case> = batch.iter().map(|c| (*c).clone()).collect();
        let facts = batch.iter().map(|c| c.fact.as_str());
        let fresh: BTreeSet<&str> = facts.filter(|f| !blank.contains_key(f)).collect();
        asked.extend(fresh.iter().map(|fact| Case {
            question: "N/A".into(),
            answer: "N/A".into(),
            fact: (*fact).into(),
        }));
        let mut words = score(model, tokenizer, &asked)?;
        blank.extend(fresh.into_iter().zip(words.split_off(batch.len())));
        for (case, words) in batch.iter().zip(words) {
            let prior = &blank[case.fact.as_str()];
            let (verdict, scores) = verdict(&words, prior);
            let mut row = Reply::new(name, case, verdict, "");
            row.scores = scores;
            store.append(&row)?;
            tally.settled += usize::from(verdict.is_some());
            tally.unparsed += usize::from(verdict.is_none());
        }
        watch(&tally);
    }
    Ok(tally)
}

/// Log-probability of every verdict word behind each case.
fn score(model: &Decoder, tokenizer: &Tokenizer, cases: &[Case]) -> Result<Vec<Words>> {
    let mut texts: Vec<Tokens> = Vec::new();
    for case in cases {
        let material = prompt::material(case);
        for (_, question, words) in prompt::SINGLE {
            for word in words {
                let messages = [
                    Message::new("system", prompt::SYSTEM),
                    Message::new("user", &format!("{material}\n\n{question}")),
                    Message::new("assistant", word),
                ];
                let tokens = tokenizer.chat(&messages, false)?;
                if tokens.with_role(Role::Response).is_empty() {
                    return Err(BehaviorError::NoVerdictTokens((*word).into()));
                }
                texts.push(tokens);
            }
        }
    }
    let means = response_log_probs(model, &texts, &Interventions::none())?;
    let mut sums =
        means.iter().zip(&texts).map(|(mean, t)| mean * t.with_role(Role::Response).len() as f64);
    let of_case = |_: &Case| {
        prompt::SINGLE.map(|(_, _, words)| sums.by_ref().take(words.len()).collect()).to_vec()
    };
    Ok(cases.iter().map(of_case).collect())
}

/// The likeliest word of each question above its prior, and `question/word -> log-odds` against
/// the other words.
fn verdict(words: &Words, prior: &Words) -> (Option<Verdict>, BTreeMap<String, f64>) {
    let mut scores = BTreeMap::new();
    let mut chosen = Vec::new();
    for ((name, _, options), (here, before)) in prompt::SINGLE.iter().zip(words.iter().zip(prior)) {
        let lift: Vec<f64> = here.iter().zip(before).map(|(a, b)| a - b).collect();
        for (i, option) in options.iter().enumerate() {
            let others = lift.iter().enumerate().filter(|(j, _)| *j != i);
            let rest: f64 = others.map(|(_, v)| (v - lift[i]).exp()).sum();
            scores.insert(format!("{name}/{option}"), -rest.ln());
        }
        let best = (0..lift.len()).max_by(|&i, &j| lift[i].total_cmp(&lift[j]));
        chosen.push(best.map_or("", |i| options[i]));
    }
    let whole = || {
        Some(Verdict {
            coherent: prompt::yes(chosen[0])?,
            fact: prompt::truth(chosen[1])?,
            stance: prompt::side(chosen[2])?,
        })
    };
    (whole(), scores)
}

#[cfg(test)]
mod tests {
    use super::super::{Side, Truth};
    use super::*;

    #[test]
    fn the_word_that_the_case_lifts_most_is_the_verdict() {
        // The prior favours `true` and `neither`; the case lifts `not sure` and `opposes`.
        let prior = vec![vec![-1.0, -2.0], vec![-0.5, -3.0, -6.0], vec![-4.0, -4.0, -0.1]];
        let words = vec![vec![-0.9, -2.5], vec![-0.5, -3.0, -4.0], vec![-4.0, -2.0, -1.1]];
        let (got, scores) = verdict(&words, &prior);
        let want = Verdict { coherent: true, fact: Truth::NotSure, stance: Side::Opposes };
        assert_eq!(got, Some(want));
        // Lifts of coherent: +.1 and -.5.
        assert!((scores["coherent/yes"] - 0.6).abs() < 1e-12);
        assert!((scores["coherent/no"] + 0.6).abs() < 1e-12);
        // fact: 0, 0, 2: odds of `not sure` are e^2 / 2.
        assert!((scores["fact/not sure"] - (2.0 - 2f64.ln())).abs() < 1e-12);
        assert_eq!(scores.len(), 8);
    }
}
