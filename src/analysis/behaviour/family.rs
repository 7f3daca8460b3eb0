//! Contrasts over several preferences, adjusted for each other.
//!
//! The contrasts of all sets and references of one measure and kind are one family: a claim of any of
//! them is held to the largest of all. An item has one sign a draw, in whichever contrasts it is, so that
//! the adjusted p knows how much they share; a statistic is the sum over the root of the sum of squares,
//! which flips leave as it is. Its largest possible value, had all items agreed, gives the least p.

use super::contrasts::ISOLATED;
use super::sets::ItemValue;
use crate::analysis::records::ContrastRow;
use crate::analysis::Draws;
use crate::materials::battery::CLAIM;
use crate::stats::corrections::max_t;
use crate::stats::permutation::sign_flips;
use crate::store::values::distinct;
use ndarray::Array2;
use std::collections::HashMap;

/// Sets `p_max` and `least_adjusted` of the rows over isolated preferences and of those of claims;
/// `behind` gives the differences that a row is of.
pub(super) fn adjust(
    rows: &mut [ContrastRow],
    draws: Draws,
    behind: impl Fn(&ContrastRow) -> Vec<ItemValue>,
) {
    let over = |r: &&ContrastRow| r.kind == ISOLATED || r.kind == CLAIM;
    let families = rows.iter().filter(over).map(|r| (r.measure.clone(), r.kind.clone()));
    for (measure, kind) in distinct(families) {
        let members: Vec<&mut ContrastRow> =
            rows.iter_mut().filter(|r| r.measure == measure && r.kind == kind).collect();
        let lists: Vec<Vec<ItemValue>> = members.iter().map(|r| behind(r)).collect();
        for (row, (p, least)) in members.into_iter().zip(largest(&lists, draws)) {
            // Never less than what it is alone.
            (row.p_max, row.least_adjusted) = (p.max(row.p), least.max(row.least_p));
        }
    }
}

/// p of each list's mean by max-T over the lists, the signs of items flipped, and the least that it could
/// be.
pub(super) fn largest(lists: &[Vec<ItemValue>], draws: Draws) -> Vec<(f64, f64)> {
    let mut places = HashMap::new();
    let mut placed = |v: &ItemValue| {
        let next = places.len();
        (*places.entry((v.preference.clone(), v.item.clone())).or_insert(next), v.value)
    };
    // Place of the item, and value.
    let lists: Vec<Vec<(usize, f64)>> =
        lists.iter().map(|list| list.iter().map(&mut placed).collect()).collect();
    let signs = sign_flips(places.len(), draws.null, draws.seed, "battery-flip-all");
    let units: Vec<f64> = (lists.iter())
        .map(|list| list.iter().map(|(_, value)| value * value).sum::<f64>().sqrt())
        .map(|unit| unit.max(f64::MIN_POSITIVE)) // of nothing that moves the statistic is 0
        .collect();
    let null = Array2::from_shape_fn((draws.null, lists.len()), |(draw, i)| {
        let signed = lists[i].iter().map(|&(item, value)| f64::from(signs[[draw, item]]) * value);
        signed.sum::<f64>() / units[i]
    });
    let each = |of: fn(f64) -> f64| -> Vec<f64> {
        let sum = |list: &Vec<(usize, f64)>| list.iter().map(|(_, value)| of(*value)).sum::<f64>();
        let observed: Vec<f64> = lists.iter().zip(&units).map(|(l, unit)| sum(l) / unit).collect();
        max_t(&observed, null.view())
    };
    each(|value| value).into_iter().zip(each(f64::abs)).collect()
}
