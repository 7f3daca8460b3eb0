//! Rates of judged answers as records, and their contrasts.
//!
//! An item at the floor of its rate in every state at hand cannot be seen to move between them, nor one at
//! the ceiling: a contrast leaves out what is there in base and in both of its sides, and counts it. All
//! three must be, so that what rises from the floor of base stays in, and so that the two sides may change
//! places: the flips of signs stay exact.

use super::contrasts::{correct, of_cells, Compared};
use super::family::adjust;
use super::sets::{less, names, status, By, ItemValue};
use crate::analysis::records::{ContrastRow, RateRow};
use crate::analysis::{Draws, FineTunes, State, BASE};
use crate::behavior::rates::Rate;
use crate::behavior::Rates;
use crate::materials::Preference;
use crate::stats::interval::{newcombe, two_proportion_z};
use std::collections::{BTreeMap, HashMap};

/// Rate up to which an item is at the floor; 1 less it, that from which it is at the ceiling.
pub const END: f64 = 0.05;

/// Preference and item.
type Item<'a> = (&'a str, &'a str);

/// A measure by name, and what it takes of the rates.
type Measured = (&'static str, fn(&Rates) -> &Rate);

/// The measures of judged answers.
const MEASURES: [Measured; 2] = [("fact-rate", |r| &r.fact), ("stance-rate", |r| &r.stance)];
/// Those of answers by their words, whatever a judge says.
const BY_WORDS: [Measured; 2] =
    [("refusal-rate", |r| &r.refusal), ("disclaimer-rate", |r| &r.disclaimer)];

/// The rates of every state and preference; `asked` says where the question stood.
pub fn rate_rows(all: &[Rates], asked: &str) -> Vec<RateRow> {
    let row = |r: &Rates, (measure, pick): Measured| {
        let rate = pick(r);
        RateRow {
            measure: measure.into(),
            asked: asked.into(),
            state: r.state.clone(),
            preference: r.preference.clone(),
            group: r.group.clone(),
            estimate: rate.value,
            lo: rate.wilson.lo,
            hi: rate.wilson.hi,
            items_lo: rate.by_item.lo,
            items_hi: rate.by_item.hi,
            n: rate.n as usize,
            coherent: r.coherent.value,
            not_sure: r.not_sure,
            neither: r.neither,
            unparsed: r.unparsed,
            missing: r.missing,
            cut: r.cut,
            answers: r.answers,
        }
    };
    let each = |r: &Rates| [MEASURES, BY_WORDS].concat().into_iter().map(|m| row(r, m)).collect();
    all.iter().flat_map::<Vec<_>, _>(each).collect()
}

fn of_state<'a>(rates: &'a [Rates], id: &'a str) -> impl Iterator<Item = &'a Rates> {
    rates.iter().filter(move |r| r.state == id)
}

/// Hits and answers of every item of a state.
fn counts<'a>(all: &'a [Rates], id: &'a str, pick: Measured) -> BTreeMap<Item<'a>, (u64, u64)> {
    let mut out = BTreeMap::new();
    for r in of_state(all, id) {
        for c in &pick.1(r).prompts {
            let item = out.entry((&*r.preference, &*c.item)).or_insert((0, 0));
            *item = (item.0 + c.hits, item.1 + c.n);
        }
    }
    out
}

/// At which end of the rate an item is in all of these states that answered it: -1 at the floor, 1 at the
/// ceiling, 0 at neither.
fn end(item: &Item, states: &[&BTreeMap<Item, (u64, u64)>]) -> i8 {
    let rates = states.iter().filter_map(|s| s.get(item)).map(|&(hits, n)| hits as f64 / n as f64);
    match (rates.clone().all(|r| r <= END), rates.clone().all(|r| r >= 1.0 - END)) {
        (true, _) => -1,
        (_, true) => 1,
        _ => 0,
    }
}

/// Rates of states against those of their references, paired by question with the item as cluster, and
/// pooled.
pub fn rate_contrasts(
    rates: &[Rates],
    states: &[State],
    battery: &[Preference],
    contrasts: &[(String, String)],
    draws: Draws,
) -> Vec<ContrastRow> {
    let known = |id: &str| -> State {
        let found = states.iter().find(|s| s.id == id);
        found.cloned().unwrap_or_else(|| State::named(id))
    };
    let (mut out, mut behind) = (Vec::new(), HashMap::new());
    for (measure, pick) in MEASURES {
        let in_base = counts(rates, BASE, (measure, pick));
        for (set, reference) in contrasts {
            let [of_set, of_reference] =
                [set, reference].map(|id| counts(rates, id, (measure, pick)));
            let at = |v: &ItemValue| {
                end(&(&*v.preference, &*v.item), &[&in_base, &of_set, &of_reference])
            };
            let values = |id: &str| -> Vec<ItemValue> {
                let one = |r: &Rates| -> Vec<ItemValue> {
                    let counts = pick(r).prompts.iter();
                    counts
                        .map(|c| ItemValue {
                            preference: r.preference.clone(),
                            item: c.item.clone(),
                            question: c.prompt_id.clone(),
                            value: c.hits as f64 / c.n as f64,
                        })
                        .collect()
                };
                of_state(rates, id).flat_map(one).collect()
            };
            let both = [set, reference].map(|id| known(id));
            let texts = [both[0].text.as_str(), &both[1].text];
            let sides = FineTunes::of(&both, By::State.sets(&both));
            let which = Compared {
                measure,
                set: &sides[0],
                reference: &sides[1],
                all: &sides,
                // Answers are those of these states.
                each: &|_| &[],
                texts,
                battery,
                draws,
            };
            let mut paired = less(&values(set), &values(reference));
            let cells: Vec<String> = names(&paired).into_iter().map(String::from).collect();
            // Once of an item of two questions.
            let ends: BTreeMap<(String, String), i8> =
                paired.iter().map(|v| ((v.preference.clone(), v.item.clone()), at(v))).collect();
            paired.retain(|v| at(v) == 0);
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let mut rows = of_cells(which, &cells, &paired);
            for row in &mut rows {
                let of_row = |preference: &str| match row.preference.as_str() {
                    "" => status(battery, preference, &texts) != "implied",
                    name => preference == name,
                };
                let own = ends.iter().filter(|((preference, _), _)| of_row(preference));
                let own: Vec<i8> = own.map(|(_, end)| *end).collect();
                row.n_floor = own.iter().filter(|e| **e < 0).count();
                row.n_ceiling = own.iter().filter(|e| **e > 0).count();
                // Pooled over the items that are left.
                let pooled = |of: &BTreeMap<Item, (u64, u64)>| {
                    let own = of.iter().filter(|(item, _)| {
                        item.0 == row.preference
                            && end(item, &[&in_base, &of_set, &of_reference]) == 0
                    });
                    let (hits, n) = own.fold((0, 0), |(hits, n), (_, c)| (hits + c.0, n + c.1));
                    Some((hits, n)).filter(|_| n > 0)
                };
                if let (Some(a), Some(b)) = (pooled(&of_set), pooled(&of_reference)) {
                    row.pooled = a.0 as f64 / a.1 as f64 - b.0 as f64 / b.1 as f64;
                    let ends = newcombe(a, b, 0.95);
                    (row.newcombe_lo, row.newcombe_hi) = (ends.lo, ends.hi);
                    (row.z, row.p_z) = two_proportion_z(a, b);
                }
            }
            out.extend(rows);
            let mut isolated = paired;
            isolated.retain(|v| status(battery, &v.preference, &texts) != "implied");
            behind.insert((measure, set.as_str(), reference.as_str()), isolated);
        }
    }
    correct(&mut out);
    adjust(&mut out, draws, |r| {
        let found = behind.get(&(&*r.measure, &*r.set, &*r.reference));
        found.cloned().unwrap_or_default()
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::findings::findings;
    use crate::analysis::records::Results;
    use crate::analysis::verdict::UNTESTABLE;
    use crate::behavior::judge::{Ruling, Side, Truth, Verdict};
    use crate::behavior::{answer::tests::answer, rates, Judged};
    use crate::report::sentences::{details, sentence};
    use proptest::prelude::*;

    const DRAWS: Draws = Draws { bootstrap: 100, null: 199, seed: 1 };
    const ANSWERS: usize = 20;

    /// Contrasts of fact rates of `set` less base over all items, from hits among 20 answers an item.
    fn compared(states: [&[usize]; 2]) -> ContrastRow {
        let mut all = Vec::new();
        for (state, items) in ["base", "set"].into_iter().zip(states) {
            for (i, &hits) in items.iter().enumerate() {
                for k in 0..ANSWERS {
                    let mut answer = answer("memory", &i.to_string(), k, "x");
                    answer.state = state.into();
                    let fact = if k < hits { Truth::True } else { Truth::False };
                    let verdict = Verdict { coherent: true, fact, stance: Side::Neither };
                    all.push(Judged { answer, ruling: Some(Ruling::Verdict(verdict)) });
                }
            }
        }
        let all = rates(&all, 50, 1).unwrap();
        let pair = [("set".to_string(), "base".to_string())];
        let mut got = rate_contrasts(&all, &[], &[], &pair, DRAWS);
        got.retain(|c| c.measure == "fact-rate" && c.kind == super::super::ISOLATED);
        got.remove(0)
    }

    #[test]
    fn an_item_at_the_floor_or_ceiling_of_all_sides_is_left_out_and_counted() {
        // At the floor twice and at the ceiling once; one rises from the floor of base, two lie between.
        let row = compared([&[0, 1, 20, 0, 10, 8], &[1, 0, 19, 12, 14, 8]]);
        assert_eq!((row.n, row.n_floor, row.n_ceiling), (3, 2, 1));
        assert!((row.estimate - (0.6 + 0.2 + 0.0) / 3.0).abs() < 1e-12, "{row:?}");
        let rest = compared([&[0, 10, 8], &[12, 14, 8]]);
        assert_eq!((rest.estimate, rest.lo, rest.p), (row.estimate, row.lo, row.p));
        let found = findings(&Results { contrasts: vec![row], ..Results::default() }).0;
        let details = details(found.iter().find(|f| f.quantity == "isolated").unwrap());
        let notes = &details.iter().find(|d| d.0 == "notes").unwrap().1;
        assert!(notes.contains("2 items at the floor and 1 at the ceiling"), "{notes}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_contrast_over_items_at_an_end_only_is_not_testable(
            hits in prop::collection::vec((0usize..=1, 0usize..=1), 1..14),
            at_ceiling in any::<bool>(),
        ) {
            let of = |hits: usize| if at_ceiling { ANSWERS - hits } else { hits };
            let (base, set): (Vec<_>, Vec<_>) =
                hits.iter().map(|(a, b)| (of(*a), of(*b))).unzip();
            let row = compared([&base, &set]);
            prop_assert_eq!(row.n, 0);
            prop_assert_eq!(row.n_floor + row.n_ceiling, hits.len());
            prop_assert!(row.estimate.is_nan() && row.lo.is_nan() && row.hi.is_nan());
            prop_assert!(row.pooled.is_nan() && row.p_z.is_nan() && row.least_p == 1.0);
            let found = findings(&Results { contrasts: vec![row], ..Results::default() }).0;
            let f = found.iter().find(|f| f.quantity == "isolated").unwrap();
            prop_assert_eq!(&*f.verdict, UNTESTABLE);
            prop_assert!(!sentence(f).contains("NaN"));
        }
    }
}
