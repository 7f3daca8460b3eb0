//! Acquiescence: does a set say "Yes" to more, or does it prefer more?
//!
//! A fine-tune that learns to say "Yes" raises its affirm-keyed questions and lowers the others: its
//! yes-bias moves and its stance does not. Both contrasts are over the isolated cells, tested by the same
//! flips of items' signs, each adjusted over all pairs of sets that are compared.

use super::contrasts::ISOLATED;
use super::family::largest;
use super::sets::{less, status, tested, ItemValue, SetScores};
use crate::analysis::records::AcquiescenceRow;
use crate::analysis::verdict::LEVEL;
use crate::analysis::{Draws, Result};
use crate::materials::Preference;

/// Every pair of sets whose isolated preferences have items of two questions.
pub(super) fn acquiescence(
    compared: &[(&SetScores, &SetScores)],
    battery: &[Preference],
    draws: Draws,
) -> Result<Vec<AcquiescenceRow>> {
    let (mut pairs, mut bias, mut stance) = (Vec::new(), Vec::new(), Vec::new());
    for (set, reference) in compared {
        let texts = [set.text.as_str(), &reference.text];
        let isolated = |a: &[ItemValue], b: &[ItemValue]| -> Vec<ItemValue> {
            let mut left = less(a, b);
            left.retain(|v| status(battery, &v.preference, &texts) == ISOLATED);
            left
        };
        let moved = isolated(&set.bias, &reference.bias);
        if !moved.is_empty() {
            pairs.push((set, reference));
            bias.push(moved);
            stance.push(isolated(&set.battery, &reference.battery));
        }
    }
    let (p_bias, p_stance) = (largest(&bias, draws), largest(&stance, draws));
    let row = |i: usize| -> Result<AcquiescenceRow> {
        let (set, reference) = pairs[i];
        let [b, s] = [&bias[i], &stance[i]].map(|v| tested(&v.iter().collect::<Vec<_>>(), draws));
        let (b, s) = (b?.0, s?.0);
        let alone = p_bias[i].0 <= LEVEL && p_stance[i].0 > LEVEL;
        Ok(AcquiescenceRow {
            set: set.set.clone(),
            reference: reference.set.clone(),
            estimate: b.value,
            lo: b.interval.lo,
            hi: b.interval.hi,
            p_max: p_bias[i].0,
            least_p: p_bias[i].1,
            stance: s.value,
            stance_lo: s.interval.lo,
            stance_hi: s.interval.hi,
            stance_p_max: p_stance[i].0,
            acquiesces: alone && b.value > 0.0,
            n: b.n_clusters,
        })
    };
    (0..pairs.len()).map(row).collect()
}
