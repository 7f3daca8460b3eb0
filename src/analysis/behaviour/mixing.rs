//! Slopes of what is said over the identity share of the training: of the own claim and of isolated
//! preferences, paired by item.

use super::sets::{average, status, tested, ItemValue, Scored, SetScores, Sides};
use super::{Behaviour, By};
use crate::analysis::mixing::Ladder;
use crate::analysis::records::MixingRow;
use crate::analysis::FineTunes;
use crate::materials::battery::CLAIM;

/// The slopes of every ladder; of an outcome without items there is none.
pub fn mixing(input: &Behaviour, ladders: &[Ladder]) -> Vec<MixingRow> {
    let scored = Scored::new(input.states, input.scores, By::Condition);
    let mut rows = Vec::new();
    for ladder in ladders {
        let places = ladder.places(&scored.fine_tunes);
        let sides: Vec<(&FineTunes, f64)> =
            places.iter().map(|&(i, w)| (&scored.fine_tunes[i], w)).collect();
        let mut one = |outcome: &str, pick: fn(&SetScores) -> &Vec<ItemValue>| {
            // Item by item: the sum over conditions by their weights is the slope of the item.
            let weighed: Vec<Vec<ItemValue>> = (places.iter())
                .map(|&(i, w)| scaled(pick(&scored.sets[i]), w * places.len() as f64))
                .collect();
            let slopes = average(&weighed.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let own = |v: &&ItemValue| match outcome {
                CLAIM => v.preference == ladder.data,
                _ => status(input.battery, &v.preference, &[ladder.data.as_str()]) != "implied",
            };
            let kept: Vec<&ItemValue> = slopes.iter().filter(own).collect();
            if kept.is_empty() {
                return;
            }
            let each = |state: usize| pick(&scored.states[state]).as_slice();
            let all = &scored.fine_tunes;
            let t = tested(&kept, Sides { sides: &sides, all, each: &each }, input.draws);
            let subject = if outcome == CLAIM { ladder.data.as_str() } else { "" };
            rows.push(ladder.row(all, (outcome, subject), (t.found, t.p, t.n)));
        };
        one(CLAIM, |s| &s.claims);
        one(super::ISOLATED, |s| &s.battery);
    }
    rows
}

fn scaled(values: &[ItemValue], by: f64) -> Vec<ItemValue> {
    values.iter().map(|v| ItemValue { value: by * v.value, ..v.clone() }).collect()
}
