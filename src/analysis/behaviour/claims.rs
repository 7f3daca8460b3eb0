//! The manipulation check: every set on every claim, and whether each fine-tune took its own.
//!
//! A fine-tune that did not take its claim cannot have carried anything along. It took if its own claim
//! rose and no other rose more: a model that now says yes to everything raises its whole row. Claims
//! differ in how far any fine-tune moves them (a plain sentence in the first person gains against "I am
//! an AI"), so each cell is also given less what the other fine-tunes do to that claim.

use super::sets::{average, estimate, less, of, ItemValue, SetScores};
use crate::analysis::records::{ClaimRow, TookRow};
use crate::analysis::state::BASE;
use crate::analysis::{Draws, Result};
use crate::materials::Preference;
use crate::stats::bootstrap::Estimate;
use crate::stats::Interval;

/// What nothing was measured of.
pub(super) const NONE: Estimate =
    Estimate { value: f64::NAN, interval: Interval::UNDEFINED, n: 0, n_clusters: 0 };

/// Every set but base on every claim that it and base were scored on.
pub(super) fn claims(
    sets: &[SetScores],
    claims: &[Preference],
    draws: Draws,
) -> Result<Vec<ClaimRow>> {
    let Some(base) = sets.iter().find(|s| s.set == BASE) else {
        return Ok(Vec::new());
    };
    let moved: Vec<(&SetScores, Vec<ItemValue>)> = (sets.iter())
        .filter(|s| s.set != BASE)
        .map(|s| (s, less(&s.claims, &base.claims)))
        .collect();
    // Rows that train a claim, with how far they move every claim.
    let mut trained: Vec<(&str, Vec<ItemValue>)> = Vec::new();
    for claim in claims {
        let of: Vec<&[ItemValue]> = (moved.iter())
            .filter(|(s, _)| s.text == claim.name)
            .map(|(_, m)| m.as_slice())
            .collect();
        if !of.is_empty() {
            trained.push((&claim.name, average(&of)));
        }
    }
    let mut out = Vec::new();
    for (set, moved) in &moved {
        let others: Vec<&[ItemValue]> = (trained.iter())
            .filter(|(text, _)| *text != set.text)
            .map(|(_, m)| m.as_slice())
            .collect();
        let beyond = if others.is_empty() { Vec::new() } else { less(moved, &average(&others)) };
        for claim in claims {
            let on = |values: &[ItemValue]| of(values, |name| name == claim.name);
            let (moved, beyond) = (on(moved), on(&beyond));
            if moved.is_empty() {
                continue;
            }
            let (m, score) = (estimate(&moved, draws)?, estimate(&on(&set.claims), draws)?);
            let beyond = if beyond.is_empty() { NONE } else { estimate(&beyond, draws)? };
            out.push(ClaimRow {
                set: set.set.clone(),
                claim: claim.name.clone(),
                own: claim.name == set.text,
                estimate: m.value,
                lo: m.interval.lo,
                hi: m.interval.hi,
                score: score.value,
                score_lo: score.interval.lo,
                score_hi: score.interval.hi,
                beyond: beyond.value,
                beyond_lo: beyond.interval.lo,
                beyond_hi: beyond.interval.hi,
                n: m.n,
            });
        }
    }
    Ok(out)
}

/// Of every set with a claim of its own whether it took it.
pub(super) fn took(cells: &[ClaimRow]) -> Vec<TookRow> {
    let of = |own: &ClaimRow| {
        let row: Vec<&ClaimRow> = cells.iter().filter(|c| c.set == own.set).collect();
        let most_of = |value: fn(&ClaimRow) -> f64| {
            let known = row.iter().filter(|c| value(c).is_finite());
            known.max_by(|a, b| value(a).total_cmp(&value(b))).copied()
        };
        let most = most_of(|c| c.estimate).filter(|m| m.estimate > own.estimate);
        let most = most.unwrap_or(own);
        let rose = own.lo > 0.0;
        TookRow {
            set: own.set.clone(),
            claim: own.claim.clone(),
            rose,
            took: rose && most.claim == own.claim,
            most: most.claim.clone(),
            ahead: most.estimate - own.estimate,
            most_beyond: most_of(|c| c.beyond).map_or(String::new(), |c| c.claim.clone()),
        }
    };
    cells.iter().filter(|c| c.own).map(of).collect()
}
