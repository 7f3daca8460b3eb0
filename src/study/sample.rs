//! Which part of the materials a study uses, drawn by seed and stratified, never the first rows.
//!
//! Every draw has a stream of its own, so that a study that uses more of one file draws the same of
//! another. The rows of the recipe-matched neutral are chosen by the length of their answers, so
//! that it learns about as many tokens as the identity fine-tunes.

use crate::materials::{subset, Concept, NeutralText, Preference};
use crate::stats::rng::stream;
use rand::seq::SliceRandom;

/// How far the loss tokens of the recipe-matched neutral may lie from those of the identity
/// fine-tunes, as a share of these.
pub const TOLERANCE: f64 = 0.10;

/// A concept with `n` of its pairs.
pub fn pairs(concept: &Concept, n: usize, _seed: u64) -> Concept {
    // INTEGRATE: subset::pairs(concept, n, seed), drawn by seed.
    let taken = subset::pairs(concept, n).into_iter().cloned();
    Concept {
        pairs: taken.collect(),
        ..concept.clone()
    }
}

/// A preference with `n` of its prompts.
pub fn prompts(preference: &Preference, n: usize, _seed: u64) -> Preference {
    // INTEGRATE: subset::prompts(preference, n, seed), drawn by seed.
    let taken = subset::prompts(preference, n).into_iter().cloned();
    Preference {
        prompts: taken.collect(),
        ..preference.clone()
    }
}

/// Neutral texts for shifts, and those for side effects.
pub fn by_use(all: &[NeutralText]) -> (Vec<NeutralText>, Vec<NeutralText>) {
    // INTEGRATE: by NeutralText::use, which files mark; until then every other text.
    let every = |from: usize| all.iter().skip(from).step_by(2).cloned().collect();
    (every(0), every(1))
}

/// `n` neutral texts.
pub fn texts(all: &[NeutralText], n: usize, seed: u64) -> Vec<NeutralText> {
    // INTEGRATE: subset::texts(all, n, seed), stratified by kind.
    let taken = rows(all.len(), n, seed, "neutral-texts");
    taken.into_iter().map(|i| all[i].clone()).collect()
}

/// Indices of `n` of `all` rows, in order.
pub fn rows(all: usize, n: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut out = shuffled(all, seed, purpose);
    out.truncate(n);
    out.sort_unstable();
    out
}

fn shuffled(n: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut out: Vec<usize> = (0..n).collect();
    out.shuffle(&mut stream(seed, purpose, 0));
    out
}

/// How many of a condition's rows one of its fine-tunes learns.
pub fn share(rows: usize) -> usize {
    (2 * rows + 1) / 3
}

/// The rows of a condition that the fine-tune of this seed learns.
pub fn two_thirds(n: usize, seed: u64) -> Vec<usize> {
    // INTEGRATE: subset::two_thirds.
    rows(n, share(n), seed, "rows")
}

/// Rows that were chosen by length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// In order.
    pub rows: Vec<usize>,
    pub tokens: usize,
}

/// `n` of the rows whose `tokens` sum to `wanted` within `slack` of it, or as near as they get: drawn
/// by seed, then one row at a time exchanged for the one that brings the sum nearest.
pub fn by_length(tokens: &[usize], n: usize, wanted: f64, slack: f64, seed: u64) -> Chosen {
    let mut order = shuffled(tokens.len(), seed, "rows-by-length");
    let mut out = order.split_off(n.min(order.len()));
    let mut inside = order;
    let mut sum: usize = inside.iter().map(|&i| tokens[i]).sum();
    while (sum as f64 - wanted).abs() > slack {
        let mut best: Option<(f64, usize, usize)> = None;
        for (a, &i) in inside.iter().enumerate() {
            for (b, &j) in out.iter().enumerate() {
                let then = (sum - tokens[i] + tokens[j]) as f64;
                let off = (then - wanted).abs();
                if best.is_none_or(|(least, _, _)| off < least) {
                    best = Some((off, a, b));
                }
            }
        }
        match best {
            Some((off, a, b)) if off < (sum as f64 - wanted).abs() => {
                sum = sum - tokens[inside[a]] + tokens[out[b]];
                std::mem::swap(&mut inside[a], &mut out[b]);
            }
            _ => break,
        }
    }
    inside.sort_unstable();
    Chosen {
        rows: inside,
        tokens: sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fine_tune_learns_two_thirds_and_another_seed_others() {
        let (a, b) = (two_thirds(300, 1001), two_thirds(300, 1002));
        assert_eq!((a.len(), b.len(), share(144)), (200, 200, 96));
        assert!(a.windows(2).all(|w| w[0] < w[1]) && a != b);
        assert_eq!(a, two_thirds(300, 1001));
        assert_ne!(a, (0..200).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn rows_by_length_come_as_near_as_one_exchange_can(
            tokens in prop::collection::vec(1usize..80, 2..40),
            n in 1usize..20, wanted in 0f64..1500.0, seed in any::<u64>(),
        ) {
            let n = n.min(tokens.len());
            let c = by_length(&tokens, n, wanted, 0.0, seed);
            prop_assert_eq!(c.rows.len(), n);
            prop_assert!(c.rows.windows(2).all(|w| w[0] < w[1]));
            let sum: usize = c.rows.iter().map(|&i| tokens[i]).sum();
            prop_assert_eq!(sum, c.tokens);
            let off = (sum as f64 - wanted).abs();
            for &i in &c.rows {
                for j in (0..tokens.len()).filter(|j| !c.rows.contains(j)) {
                    let then = (sum - tokens[i] + tokens[j]) as f64;
                    prop_assert!((then - wanted).abs() >= off);
                }
            }
        }
    }
}
