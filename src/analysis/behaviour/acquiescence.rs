//! Acquiescence: does a set say "Yes" to more, or does it prefer more?
//!
//! A fine-tune that learns to say "Yes" raises its affirm-keyed questions and lowers the others: its
//! yes-bias moves and its stance does not. Both contrasts are over the isolated cells, tested by the same
//! flips of items' signs, each adjusted over all pairs of sets that are compared.

use super::sets::{less, status, tested, ItemValue, Scored, Sides};
use crate::analysis::records::AcquiescenceRow;
use crate::analysis::Draws;
use crate::materials::Preference;
use crate::stats::corrections::max_t;
use crate::stats::permutation::sign_flips;
use ndarray::Array2;
use std::collections::HashMap;

/// Adjusted p below which a contrast is said to move.
const LEVEL: f64 = 0.05;

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
    let (p_bias, p_stance) = (adjusted(&bias, draws), adjusted(&stance, draws));
    let (of, all) = (&scored.states, &scored.fine_tunes[..]);
    let row = |i: usize| {
        let (set, reference) = (&all[pairs[i].0], &all[pairs[i].1]);
        let sides = &[(set, 1.0), (reference, 1.0)];
        let [moved, stance] = [&bias[i], &stance[i]].map(|v| v.iter().collect::<Vec<_>>());
        let bias = tested(&moved, Sides { sides, all, each: &|m| &of[m].bias }, draws);
        let stance = tested(&stance, Sides { sides, all, each: &|m| &of[m].battery }, draws);
        let (b, s) = (bias.found, stance.found);
        let alone = p_bias[i] < LEVEL && p_stance[i] >= LEVEL;
        AcquiescenceRow {
            set: set.set.into(),
            reference: reference.set.into(),
            estimate: b.value,
            lo: b.interval.lo,
            hi: b.interval.hi,
            p_max: p_bias[i],
            stance: s.value,
            stance_lo: s.interval.lo,
            stance_hi: s.interval.hi,
            stance_p_max: p_stance[i],
            acquiesces: alone && b.value > 0.0,
            df: b.df,
            n: bias.n,
        }
    };
    (0..pairs.len()).map(row).collect()
}

/// p of each contrast's mean, its items' signs flipped, adjusted over the contrasts by max-T. An item has
/// one sign a draw, in whichever contrasts it is; a statistic is the sum over the root of the sum of
/// squares, which flips leave as it is.
fn adjusted(contrasts: &[Vec<ItemValue>], draws: Draws) -> Vec<f64> {
    let mut places = HashMap::new();
    for v in contrasts.iter().flatten() {
        let next = places.len();
        places.entry((&v.preference, &v.item)).or_insert(next);
    }
    let signs = sign_flips(places.len(), draws.null, draws.seed, "acquiescence");
    let statistic = |contrast: &[ItemValue], sign: &dyn Fn(usize) -> f64| -> f64 {
        let signed = contrast.iter().map(|v| sign(places[&(&v.preference, &v.item)]) * v.value);
        let squares: f64 = contrast.iter().map(|v| v.value * v.value).sum();
        // Nothing that moves has a statistic of 0.
        signed.sum::<f64>() / squares.sqrt().max(f64::MIN_POSITIVE)
    };
    let observed: Vec<f64> = contrasts.iter().map(|c| statistic(c, &|_| 1.0)).collect();
    let null = Array2::from_shape_fn((draws.null, contrasts.len()), |(draw, c)| {
        statistic(&contrasts[c], &|item| f64::from(signs[[draw, item]]))
    });
    max_t(&observed, null.view())
}
