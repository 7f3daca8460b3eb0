//! A balanced part of a file, drawn by seed, for smaller studies.
//!
//! Rows are drawn without replacement from the stream `(seed, "subset/<what>/<name>", 0)`, so two runs
//! of one study agree on their rows and two seeds do not; the first n of a file would be one author's
//! first afternoon. Pairs are stratified by template and polarity, items of a battery by form, neutral texts
//! by kind; both questions of an item go together. Results stand in file order, and none is given where more is asked for than there is.
//!
//! The draw is systematic: rows are shuffled within their strata, strata laid end to end in random order,
//! and every (N/n)-th row is taken from a random start. So each row has the same chance n/N, and each
//! stratum gives its share of n rounded up or down, as does each template over its polarities (Madow,
//! "On the theory of systematic sampling", 1949).

use super::{Concept, NeutralText, Preference, Split, Use};
use crate::stats::rng::stream;
use rand::seq::SliceRandom;
use rand::Rng;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// `n` main pairs, and every development pair, since those only choose layers.
pub fn pairs(concept: &Concept, n: usize, seed: u64) -> Option<Concept> {
    let rows = pair_rows(concept, n, seed).ok()?;
    Some(Concept { pairs: at(&concept.pairs, &rows), ..concept.clone() })
}

/// `n` items of a preference or a claim, never half of one.
pub fn items(preference: &Preference, n: usize, seed: u64) -> Option<Preference> {
    let rows = item_rows(preference, n, seed).ok()?;
    Some(Preference { prompts: at(&preference.prompts, &rows), ..preference.clone() })
}

/// `n` neutral texts of one use.
pub fn texts(all: &[NeutralText], n: usize, seed: u64, use_: Use) -> Option<Vec<NeutralText>> {
    Some(at(all, &text_rows(all, n, seed, use_).ok()?))
}

/// `n` of the first `all` numbers, such as the rows of a condition. Files whose rows answer one
/// another, as a claim and its denial, are drawn under one name, and so keep the same rows.
pub fn rows(all: usize, n: usize, seed: u64, name: &str) -> Option<Vec<usize>> {
    some_rows(all, n, seed, name).ok()
}

/// The rows that one fine-tune of a condition is trained on: two thirds, without replacement, another
/// third left out by each fine-tune. Conditions of as many rows leave out the same places.
pub fn two_thirds(rows: &[usize], seed: u64, fine_tune: u64) -> Vec<usize> {
    let mut kept = rows.to_vec();
    kept.shuffle(&mut stream(seed, "subset/two-thirds", fine_tune));
    kept.truncate((2 * rows.len() + 1) / 3);
    kept.sort_unstable();
    kept
}

/// `n` rows, whose `lengths` sum to within a tenth of `total`: a draw in which rows are exchanged until
/// it does. None where no rows do, or too few are there.
pub fn of_length(
    lengths: &[usize],
    n: usize,
    total: usize,
    seed: u64,
    name: &str,
) -> Option<Vec<usize>> {
    if n > lengths.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut stream(seed, &format!("subset/length/{name}"), 0));
    let (chosen, rest) = order.split_at_mut(n);
    let mut sum: usize = chosen.iter().map(|&i| lengths[i]).sum();
    let near = |sum: usize| 10 * sum.abs_diff(total) <= total;
    for &other in rest.iter() {
        if near(sum) {
            break;
        }
        let swapped = |i: &usize| sum - lengths[*i] + lengths[other];
        let best = chosen.iter_mut().min_by_key(|i| swapped(i).abs_diff(total))?;
        if swapped(best).abs_diff(total) < sum.abs_diff(total) {
            sum = swapped(best);
            *best = other;
        }
    }
    chosen.sort_unstable();
    near(sum).then(|| chosen.to_vec())
}

/// Rows that were drawn, or how many there are where that is too few.
type Drawn = std::result::Result<Vec<usize>, usize>;

pub(super) fn some_rows(all: usize, n: usize, seed: u64, name: &str) -> Drawn {
    draw(&vec![("", ()); all], n, seed, &format!("rows/{name}"))
}

pub(super) fn pair_rows(concept: &Concept, n: usize, seed: u64) -> Drawn {
    let all = &concept.pairs;
    let (main, dev): (Vec<usize>, Vec<usize>) =
        (0..all.len()).partition(|&i| all[i].split == Split::Main);
    let strata: Vec<_> =
        (main.iter()).map(|&i| (all[i].template.as_str(), all[i].polarity)).collect();
    let drawn = draw(&strata, n, seed, &format!("pairs/{}", concept.name))?;
    let mut rows: Vec<usize> = drawn.into_iter().map(|k| main[k]).chain(dev).collect();
    rows.sort_unstable();
    Ok(rows)
}

pub(super) fn item_rows(preference: &Preference, n: usize, seed: u64) -> Drawn {
    let items = preference.items();
    let form = |item: &Range<usize>| (preference.prompts[item.start].form.as_str(), ());
    let strata: Vec<_> = items.iter().map(form).collect();
    let (group, name) = (&preference.group, &preference.name);
    let drawn = draw(&strata, n, seed, &format!("prompts/{group}/{name}"))?;
    Ok(drawn.into_iter().flat_map(|k| items[k].clone()).collect())
}

pub(super) fn text_rows(all: &[NeutralText], n: usize, seed: u64, use_: Use) -> Drawn {
    let here: Vec<usize> = (0..all.len()).filter(|&i| all[i].use_ == use_).collect();
    let strata: Vec<_> = here.iter().map(|&i| (all[i].kind.as_str(), ())).collect();
    let drawn = draw(&strata, n, seed, &format!("texts/{}", use_.name()))?;
    Ok(drawn.into_iter().map(|k| here[k]).collect())
}

fn at<T: Clone>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&i| all[i].clone()).collect()
}

/// `n` rows, given by the stratum of each: an outer one and what divides it further.
fn draw<B: Copy + Eq + Hash>(strata: &[(&str, B)], n: usize, seed: u64, what: &str) -> Drawn {
    let all = strata.len();
    if n > all {
        return Err(all);
    }
    let mut rng = stream(seed, &format!("subset/{what}"), 0);
    let mut order: Vec<usize> = (0..all).collect();
    order.shuffle(&mut rng);
    // Strata in order of first appearance, which is random now.
    let (mut outer, mut inner) = (HashMap::new(), HashMap::new());
    for (place, &i) in order.iter().enumerate() {
        outer.entry(strata[i].0).or_insert(place);
        inner.entry(strata[i]).or_insert(place);
    }
    order.sort_by_key(|&i| (outer[strata[i].0], inner[&strata[i]]));
    let start = rng.random_range(0..all.max(1));
    let mut rows: Vec<usize> = (0..n).map(|k| order[(k * all + start) / n]).collect();
    rows.sort_unstable();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::embedded::CONCEPTS;
    use super::super::{
        load_concept, load_neutral_texts, load_preferences, BatteryPrompt, Key, Keyed, Pair,
    };
    use super::*;

    /// Each key with its rows in all and in some.
    fn shares<K: Eq + Hash>(all: Vec<K>, some: Vec<K>) -> Vec<(usize, usize)> {
        let mut counts: HashMap<K, (usize, usize)> = HashMap::new();
        all.into_iter().for_each(|k| counts.entry(k).or_default().0 += 1);
        some.into_iter().for_each(|k| counts.entry(k).or_default().1 += 1);
        counts.into_values().collect()
    }

    #[track_caller]
    fn proportional<K: Eq + Hash>(all: Vec<K>, some: Vec<K>) {
        let (of, n) = (all.len() as f64, some.len() as f64);
        for (size, taken) in shares(all, some) {
            let ideal = n * size as f64 / of;
            assert!((taken as f64 - ideal).abs() < 1.0, "{taken} of {ideal}");
        }
    }

    fn main_of(concept: &Concept) -> Vec<&Pair> {
        let main = concept.pairs.iter().filter(|p| p.split == Split::Main);
        main.collect()
    }

    #[test]
    fn every_stratum_gives_its_share_and_development_pairs_all_stay() {
        for name in CONCEPTS.names() {
            let concept = load_concept(name).unwrap();
            let all = main_of(&concept);
            for n in [0, 1, 8, 13, 24, 40, all.len()] {
                let part = pairs(&concept, n, 7).unwrap();
                let some = main_of(&part);
                assert_eq!(some.len(), n);
                assert_eq!(part.pairs.len() - n, concept.pairs.len() - all.len());
                let mut file = concept.pairs.iter();
                assert!(part.pairs.iter().all(|p| file.any(|q| q.id == p.id)));
                let template = |p: &&Pair| p.template.clone();
                let both = |p: &&Pair| (p.template.clone(), p.polarity);
                proportional(
                    all.iter().map(template).collect(),
                    some.iter().map(template).collect(),
                );
                proportional(all.iter().map(both).collect(), some.iter().map(both).collect());
            }
            assert_eq!(pairs(&concept, all.len() + 1, 7), None);
        }
    }

    #[test]
    fn items_cover_forms_and_texts_kinds_of_their_use() {
        for preference in load_preferences(None).unwrap() {
            let form = |p: &Preference| -> Vec<String> {
                p.items().into_iter().map(|i| p.prompts[i.start].form.clone()).collect()
            };
            for n in [3, 6, preference.items().len()] {
                let some = items(&preference, n, 1).unwrap();
                assert_eq!(some.items().len(), n);
                proportional(form(&preference), form(&some));
            }
            assert_eq!(items(&preference, 99, 1), None);
        }
        let all = load_neutral_texts(None).unwrap();
        let kinds =
            |texts: &[NeutralText]| texts.iter().map(|t| t.kind.clone()).collect::<Vec<_>>();
        for use_ in [Use::Shift, Use::SideEffects] {
            let some = texts(&all, 20, 1, use_).unwrap();
            assert!(some.iter().all(|t| t.use_ == use_));
            let of_use: Vec<_> = all.iter().filter(|t| t.use_ == use_).cloned().collect();
            proportional(kinds(&of_use), kinds(&some));
            assert_eq!(texts(&all, of_use.len() + 1, 1, use_), None);
        }
    }

    #[test]
    fn a_seed_gives_the_same_rows_and_another_seed_others() {
        let concept = load_concept("persona").unwrap();
        let ids = |seed| -> Vec<String> {
            let part = pairs(&concept, 24, seed).unwrap();
            part.pairs.into_iter().map(|p| p.id).collect()
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert_eq!(rows(300, 100, 1, "a"), rows(300, 100, 1, "a"));
        assert_ne!(rows(300, 100, 1, "a"), rows(300, 100, 1, "b"));
        assert_eq!(rows(0, 0, 1, "a"), Some(Vec::new()));
        assert_eq!(rows(5, 6, 1, "a"), None);
    }

    #[test]
    fn every_row_is_drawn_about_equally_often() {
        let concept = load_concept("persona").unwrap();
        let (all, n, seeds) = (main_of(&concept).len(), 30, 300);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for seed in 0..seeds {
            for pair in main_of(&pairs(&concept, n, seed).unwrap()) {
                *counts.entry(pair.id.clone()).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), all);
        let share = n as f64 / all as f64;
        let expected = seeds as f64 * share;
        let spread = (expected * (1.0 - share)).sqrt();
        for (id, count) in counts {
            let z = (count as f64 - expected) / spread;
            assert!(z.abs() < 5.0, "{id}: {count}, not about {expected}");
        }
    }

    #[test]
    fn both_questions_of_an_item_are_drawn_or_neither() {
        let mut p = load_preferences(None).unwrap().swap_remove(0);
        let row = p.prompts.swap_remove(0);
        let question = |k: usize| {
            let key = if k.is_multiple_of(2) { Key::Affirm } else { Key::Deny };
            let keyed = (k < 12).then(|| Keyed { item: format!("i{}", k / 2), key });
            let form = if k % 4 < 2 { "open" } else { "limits" };
            BatteryPrompt { id: k.to_string(), keyed, form: form.into(), ..row.clone() }
        };
        p.prompts = (0..14).map(question).collect();
        for seed in 0..50 {
            for n in 0..=8 {
                let some = items(&p, n, seed).unwrap();
                let mut halves: HashMap<&str, usize> = HashMap::new();
                some.prompts.iter().for_each(|p| *halves.entry(p.item()).or_default() += 1);
                assert_eq!(halves.len(), n);
                assert!(halves.iter().all(|(i, k)| *k == if i.starts_with('i') { 2 } else { 1 }));
            }
        }
        assert_eq!(items(&p, 9, 0), None);
    }

    #[test]
    fn a_fine_tune_leaves_out_a_third_of_its_own() {
        let all: Vec<usize> = (0..200).map(|i| 3 * i).collect();
        let first = two_thirds(&all, 4, 1);
        assert_eq!(first.len(), 133);
        assert!(first.windows(2).all(|w| w[0] < w[1]) && first.iter().all(|r| all.contains(r)));
        assert_eq!(first, two_thirds(&all, 4, 1));
        assert_ne!(first, two_thirds(&all, 4, 2));
        assert_ne!(first, two_thirds(&all, 5, 1));
    }

    #[test]
    fn rows_are_chosen_to_a_total_length() {
        let lengths: Vec<usize> = (0..640).map(|i| 4 + i * 7 % 60).collect();
        for total in [200 * 15, 200 * 33, 200 * 50] {
            let some = of_length(&lengths, 200, total, 1, "a").unwrap();
            let sum: usize = some.iter().map(|&i| lengths[i]).sum();
            assert!(10 * sum.abs_diff(total) <= total, "{sum} for {total}");
            assert!(some.windows(2).all(|w| w[0] < w[1]) && some.len() == 200);
        }
        assert_eq!(of_length(&lengths, 200, 200, 1, "a"), None);
        assert_eq!(of_length(&lengths, 641, 6400, 1, "a"), None);
    }
}
