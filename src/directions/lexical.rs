//! The lexical baseline: how far the words of the responses alone tell the sides apart.
//!
//! Each response becomes a bag of words (how often each lower-cased word occurs), and
//! a logistic regression, L2 with its penalty cross-validated over prompts, is fitted
//! on the rows of every fold that the directions are fitted on and scores the same
//! held-out rows. A word that the fitted rows do not hold has weight 0. The draws of
//! prompts are those of the directions, so that a direction's area less this one has a
//! paired interval. [`lexical_scores`] is the baseline of a direction that scores
//! another set of pairs. No layer and no model state enters: it is computed once a concept.

use super::held_out::{areas, folds, Held};
use super::{estimate, DirectionError, Estimator, Pairs, QualityOptions, Result};
use crate::materials::wording::plain;
use ndarray::{Array1, Array2};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What a bag of words reaches on held-out rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Lexical {
    /// Mean over folds; NaN without a fold, one half where both sides say the same.
    pub auroc: f64,
    /// Number of folds.
    pub(super) folds: usize,
    /// Of each bootstrap draw.
    pub(super) draws: Vec<f64>,
}

/// The baseline of pairs whose responses are `words`, positive and negative by turns;
/// `prompt` and `template` are those of the pairs.
///
/// # Errors
/// `Rows` where the numbers of entries do not fit; the logistic regression's.
pub fn lexical(
    words: &[String],
    prompt: &[usize],
    template: &[usize],
    options: QualityOptions,
) -> Result<Lexical> {
    let bags = bags(words, prompt, template);
    bags.check()?;
    let one = |(test, train): (Vec<usize>, Vec<usize>)| {
        let fitted = estimate(&bags.select(&train), Estimator::Logistic, options.seed);
        let unit = match fitted {
            Ok(direction) => direction.unit.mapv(f64::from),
            Err(DirectionError::Zero { .. }) => Array1::zeros(bags.width()),
            Err(error) => return Err(error),
        };
        Ok(Held { test, unit })
    };
    let held: Vec<Held> =
        folds(prompt, template).into_par_iter().map(one).collect::<Result<_, _>>()?;
    let scored = areas(&bags, &held, options);
    Ok(Lexical { auroc: scored.auroc, folds: scored.folds.len(), draws: scored.draws })
}

/// What a bag of words that is fitted on all responses of one set gives those of another, which has
/// other prompts: scores of the other's positive and negative responses. `from` and `to` are positive
/// and negative by turns, `prompt` is that of the fitted pairs.
///
/// # Errors
/// As [`lexical`].
pub fn lexical_scores(
    from: &[String],
    prompt: &[usize],
    to: &[String],
    seed: u64,
) -> Result<[Vec<f64>; 2]> {
    let n = prompt.len();
    let pairs: Vec<usize> = (0..n + to.len() / 2).collect();
    let all = bags(&[from, to].concat(), &pairs, &vec![0; pairs.len()]);
    all.check()?;
    let fitted = Pairs { prompt: prompt.to_vec(), ..all.select(&pairs[..n]) };
    let unit = match estimate(&fitted, Estimator::Logistic, seed) {
        Ok(direction) => direction.unit.mapv(f64::from),
        Err(DirectionError::Zero { .. }) => Array1::zeros(all.width()),
        Err(error) => return Err(error),
    };
    let to = all.select(&pairs[n..]);
    Ok([to.positive, to.negative].map(|side| side.mapv(f64::from).dot(&unit).to_vec()))
}

/// Counts of each word, `(n, words)` a side.
fn bags(words: &[String], prompt: &[usize], template: &[usize]) -> Pairs {
    let each: Vec<Vec<String>> = words.iter().map(|w| plain(w)).collect();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    for word in each.iter().flatten() {
        let next = place.len();
        place.entry(word).or_insert(next);
    }
    let side = |from: usize| {
        let rows: Vec<&Vec<String>> = each.iter().skip(from).step_by(2).collect();
        let mut counts = Array2::<f32>::zeros((rows.len(), place.len().max(1)));
        for (i, row) in rows.into_iter().enumerate() {
            for word in row {
                counts[[i, place[word.as_str()]]] += 1.0;
            }
        }
        counts
    };
    Pairs {
        positive: side(0),
        negative: side(1),
        prompt: prompt.to_vec(),
        template: template.to_vec(),
        is_dev: vec![false; prompt.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::tests::planted;
    use super::super::{profile, Quality};
    use super::*;
    use crate::stats::rng::stream;
    use rand::Rng;

    fn quick() -> QualityOptions {
        QualityOptions { draws: 200, splits: 10, ..QualityOptions::default() }
    }

    /// A response of six words out of forty that mean nothing, for each of `n`.
    fn said(n: usize) -> Vec<String> {
        let mut rng = stream(5, "test/words", 0);
        let mut one = || {
            let drawn = (0..6).map(|_| format!("w{} ", rng.random_range(0..40)));
            drawn.collect::<String>()
        };
        (0..n).map(|_| one()).collect()
    }

    fn beside(pairs: &Pairs, words: &[String]) -> Quality {
        let base = lexical(words, &pairs.prompt, &pairs.template, quick()).unwrap();
        let got = profile(pairs, Estimator::MeanDiff, &[], 1.0, Some(&base), quick()).unwrap();
        got.quality
    }

    #[test]
    fn a_direction_of_pairs_that_differ_in_one_word_gains_nothing_on_the_words() {
        let pairs = planted(60, 8, 2.0, 2, 1);
        let said = said(60);
        let both = |s: &String| [format!("{s} Good."), format!("{s} bad")];
        let got = beside(&pairs, &said.iter().flat_map(both).collect::<Vec<_>>());
        assert_eq!(got.lexical, 1.0);
        assert!(got.auroc < 1.0 && got.gain == got.auroc - 1.0);
        assert!(got.gain_interval.lo <= got.gain && got.gain_interval.hi <= 0.0);
    }

    #[test]
    fn words_that_carry_nothing_leave_the_whole_separation_as_gain() {
        let pairs = planted(120, 8, 4.0, 2, 1);
        let got = beside(&pairs, &said(240));
        assert!((got.lexical - 0.5).abs() < 0.12, "{}", got.lexical);
        assert!(got.gain_interval.lo > 0.25, "{:?}", got.gain_interval);
    }

    #[test]
    fn words_of_one_set_score_the_responses_of_another_by_those_that_both_have() {
        let both = |i: usize| [format!("good w{i}"), format!("bad w{i}")];
        let from: Vec<String> = (0..20).flat_map(both).collect();
        let prompt: Vec<usize> = (0..20).collect();
        let to = ["Good, as new.", "Bad, as old.", "strange", "stranger", "bad", "good"];
        let to = to.map(String::from);
        let [positive, negative] = lexical_scores(&from, &prompt, &to, 0).unwrap();
        assert!(positive[0] > negative[0] && positive[2] < negative[2]);
        assert_eq!((positive[1], negative[1]), (0.0, 0.0));
    }

    #[test]
    fn equal_words_are_exactly_at_chance_and_no_words_are_an_error() {
        let pairs = planted(24, 4, 4.0, 2, 1);
        let same = vec!["The same words.".to_string(); 48];
        assert_eq!(beside(&pairs, &same).lexical, 0.5);
        let none = lexical(&[], &pairs.prompt, &pairs.template, quick());
        assert!(matches!(none, Err(DirectionError::Rows { .. })), "{none:?}");
    }
}
