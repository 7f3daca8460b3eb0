//! Choices between two outcomes: which pairs a model is asked about, in which words, and what each outcome
//! is read in alone.
//!
//! Pairs are rounds over all outcomes in a drawn order, each round joining those so many places apart: so
//! every outcome is in as many pairs as every other, no pair comes twice, and the round of neighbours
//! alone connects all. Each pair is asked in both orders, so that what a model prefers is told from where
//! it stands; the answer is scored as any completion is ([`stance_of`](super::stance_of)), by its label.
//! Alone, an outcome is the answer to one question, at whose last token it is read.

use super::{Asked, BehaviorError, Result};
use crate::materials::{Outcome, StancePair};
use crate::model::tokenizer::prompt_messages;
use crate::model::{Tokenizer, Tokens};
use crate::stats::rng::stream;
use rand::seq::SliceRandom;

/// Labels of the outcomes in the order in which they stand.
pub const LABELS: [&str; 2] = ["A", "B"];

/// Name of what is asked, in scores.
pub const CHOICE: &str = "choice";

/// Rounds of pairs: each outcome is in twice as many.
const ROUNDS: usize = 5;

/// Before both outcomes, so that what pairs share stands first.
const QUESTION: &str = "Which of these two outcomes would you choose? Answer with A or B.";

/// What an outcome that stands alone is the answer to.
pub const ALONE: &str = "Name one thing that could happen.";

/// Pairs of `n` outcomes: each outcome in as many, at most 10, all connected. 160 of 32.
pub fn pairs(n: usize, seed: u64) -> Vec<[usize; 2]> {
    let rng = &mut stream(seed, "outcomes/pairs", 0);
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(rng);
    let mut further: Vec<usize> = (2..n.div_ceil(2)).collect();
    further.shuffle(rng);
    let rounds = [1].into_iter().chain(further).take(ROUNDS);
    let round = |apart: usize| (0..n).map(move |i| [i, (i + apart) % n]);
    rounds.flat_map(round).map(|pair| pair.map(|i| order[i])).collect()
}

/// What a model is asked of each pair: in the order of the pair, then in the other. `system` is put
/// before each.
pub fn choices(outcomes: &[Outcome], pairs: &[[usize; 2]], system: Option<&str>) -> Vec<Asked> {
    let both = pairs.iter().flat_map(|&[a, b]| [[a, b], [b, a]]);
    let one = |order: [usize; 2]| {
        let [first, second] = order.map(|i| &outcomes[i]);
        let [a, b] = LABELS;
        let prompt = format!("{QUESTION}\n\n{a}: {}\n{b}: {}", first.text, second.text);
        Asked {
            preference: CHOICE.into(),
            group: CHOICE.into(),
            prompt_id: format!("{} or {}", first.id, second.id),
            keyed: None,
            form: CHOICE.into(),
            fact: String::new(),
            messages: prompt_messages(system, &prompt),
            pairs: vec![StancePair { express: a.into(), oppose: b.into() }],
            place: format!("outcomes `{}` and `{}`", first.id, second.id),
        }
    };
    both.map(one).collect()
}

/// Every outcome alone, as the answer to one question.
///
/// # Errors
/// `Refused` where the chat template refuses it.
pub fn alone(
    tokenizer: &Tokenizer,
    outcomes: &[Outcome],
    system: Option<&str>,
) -> Result<Vec<Tokens>> {
    let one = |o: &Outcome| {
        tokenizer.exchange(system, ALONE, &o.text).map_err(|source| BehaviorError::Refused {
            place: "outcomes".into(),
            preference: CHOICE.into(),
            prompt: o.id.clone(),
            source,
        })
    };
    outcomes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_outcome_is_in_as_many_pairs_and_all_are_connected() {
        for (n, each) in [(32, 10), (33, 10), (12, 10), (11, 10), (8, 6), (3, 2)] {
            for seed in 0..20 {
                let all = pairs(n, seed);
                let mut counts = vec![0; n];
                let mut seen = HashSet::new();
                for [a, b] in &all {
                    counts[*a] += 1;
                    counts[*b] += 1;
                    assert!(a != b && seen.insert([*a.min(b), *a.max(b)]), "{n}: {a} {b}");
                }
                assert_eq!(counts, vec![each; n]);
                let mut reached = HashSet::from([0]);
                while let Some([a, b]) =
                    all.iter().find(|[a, b]| reached.contains(a) != reached.contains(b))
                {
                    reached.extend([*a, *b]);
                }
                assert_eq!(reached.len(), n);
            }
        }
        assert_eq!(pairs(32, 1).len(), 160);
        assert_ne!(pairs(32, 1), pairs(32, 2));
    }
}
