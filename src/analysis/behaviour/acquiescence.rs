//! Acquiescence: does a set say "Yes" to more, or does it prefer more?
//!
//! A fine-tune that learns to say "Yes" raises its affirm-keyed questions and lowers the others: its
//! yes-bias moves and its stance does not. Both contrasts are over the isolated cells, tested by the same
//! flips of items' signs, each adjusted over all pairs of sets that are compared. The flips hold the
//! fine-tunes fixed: it is said only where the interval, which counts them, lies above 0 too.

use super::family::largest;
use super::sets::{less, status, tested, ItemValue, Scored, Sides};
use crate::analysis::records::AcquiescenceRow;
use crate::analysis::verdict::LEVEL;
use crate::analysis::Draws;
use crate::materials::Preference;

/// Every pair of sets whose isolated preferences have items of two questions.
pub(super) fn acquiescence(
    scored: &Scored,
    compared: &[(usize, usize)],
    battery: &[Preference],
    draws: Draws,
) -> Vec<AcquiescenceRow> {
    let (mut pairs, mut bias, mut stance) = (Vec::new(), Vec::new(), Vec::new());
    for &(a, b) in compared {
        let (set, reference) = (&scored.sets[a], &scored.sets[b]);
        let texts = [set.text.as_str(), &reference.text];
        let isolated = |a: &[ItemValue], b: &[ItemValue]| -> Vec<ItemValue> {
            let mut left = less(a, b);
            left.retain(|v| status(battery, &v.preference, &texts) != "implied");
            left
        };
        let moved = isolated(&set.bias, &reference.bias);
        if !moved.is_empty() {
            pairs.push((a, b));
            bias.push(moved);
            stance.push(isolated(&set.battery, &reference.battery));
        }
    }
    let (p_bias, p_stance) = (largest(&bias, draws), largest(&stance, draws));
    let (of, all) = (&scored.states, &scored.fine_tunes[..]);
    let row = |i: usize| {
        let (set, reference) = (&all[pairs[i].0], &all[pairs[i].1]);
        let sides = &[(set, 1.0), (reference, 1.0)];
        let [moved, stance] = [&bias[i], &stance[i]].map(|v| v.iter().collect::<Vec<_>>());
        let bias = tested(&moved, Sides { sides, all, each: &|m| &of[m].bias }, draws);
        let stance = tested(&stance, Sides { sides, all, each: &|m| &of[m].battery }, draws);
        let (b, s) = (bias.found, stance.found);
        let alone = p_bias[i].0 <= LEVEL && p_stance[i].0 > LEVEL;
        AcquiescenceRow {
            set: set.set.into(),
            reference: reference.set.into(),
            estimate: b.value,
            lo: b.interval.lo,
            hi: b.interval.hi,
            p_max: p_bias[i].0,
            least_p: p_bias[i].1,
            stance: s.value,
            stance_lo: s.interval.lo,
            stance_hi: s.interval.hi,
            stance_p_max: p_stance[i].0,
            acquiesces: alone && b.interval.lo > 0.0,
            within_lo: b.within.lo,
            within_hi: b.within.hi,
            p_fine_tunes: b.p_fine_tunes,
            df: b.df,
            fine_tunes: set.count(),
            reference_fine_tunes: reference.count(),
            n: bias.n,
        }
    };
    (0..pairs.len()).map(row).collect()
}
