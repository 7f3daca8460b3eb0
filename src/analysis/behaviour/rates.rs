//! Rates of judged answers as records, and their contrasts.

use super::contrasts::{correct, of_cells, Compared};
use super::family::adjust;
use super::sets::{less, status, By, ItemValue};
use crate::analysis::records::{ContrastRow, RateRow};
use crate::analysis::{Draws, FineTunes, State};
use crate::behavior::rates::Rate;
use crate::behavior::Rates;
use crate::materials::Preference;
use crate::stats::interval::{newcombe, two_proportion_z};
use std::collections::HashMap;

/// A measure by name, and what it takes of the rates.
type Measured = (&'static str, fn(&Rates) -> &Rate);

/// The measures of judged answers.
const MEASURES: [Measured; 2] = [("fact-rate", |r| &r.fact), ("stance-rate", |r| &r.stance)];

/// Both rates of every state and preference; `asked` says where the question stood.
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
    let both = |r: &Rates| MEASURES.map(|m| row(r, m));
    all.iter().flat_map(both).collect()
}

fn of_state<'a>(rates: &'a [Rates], id: &'a str) -> impl Iterator<Item = &'a Rates> {
    rates.iter().filter(move |r| r.state == id)
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
        for (set, reference) in contrasts {
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
            let paired = less(&values(set), &values(reference));
            let mut rows = of_cells(which, &paired);
            for row in &mut rows {
                let found = |id: &str| {
                    let r = of_state(rates, id).find(|r| r.preference == row.preference)?;
                    Some((pick(r).hits, pick(r).n))
                };
                if let (Some(a), Some(b)) = (found(set), found(reference)) {
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
