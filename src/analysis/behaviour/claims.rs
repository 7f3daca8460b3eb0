//! The manipulation check: every set on every claim, and whether each fine-tune took its own.
//!
//! A fine-tune that did not take its claim cannot have carried anything along. It took if its own claim
//! rose, no unrelated claim rose as much (a model that now says yes to everything raises its whole row), and
//! no unrelated condition raised it as much (a claim that any fine-tune raises, raises its whole column).
//! The parts of a claim are related to it and to each other, as the notes of claims say. Claims differ in how far any fine-tune moves them (a plain sentence in the first person gains against "I am
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
pub(super) fn took(cells: &[ClaimRow], sets: &[SetScores], claims: &[Preference]) -> Vec<TookRow> {
    let names = |a: &str, b: &str| {
        let note = claims.iter().find(|c| c.name == a);
        note.is_some_and(|c| c.related.iter().any(|r| r == b))
    };
    let related = |a: &str, b: &str| a == b || names(a, b) || names(b, a);
    let text = |set: &str| sets.iter().find(|s| s.set == set).map_or("", |s| &s.text);
    let of = |own: &ClaimRow| {
        let most = |ahead: &dyn Fn(&ClaimRow) -> bool| {
            let ahead = cells.iter().filter(|c| c.estimate >= own.estimate && ahead(c));
            ahead.max_by(|a, b| a.estimate.total_cmp(&b.estimate))
        };
        let claim = most(&|c| c.set == own.set && !related(&own.claim, &c.claim));
        let condition = most(&|c| c.claim == own.claim && !related(&own.claim, text(&c.set)));
        let by = |c: Option<&ClaimRow>| c.map_or(f64::NAN, |c| c.estimate - own.estimate);
        let beyond = (cells.iter().filter(|c| c.set == own.set && c.beyond.is_finite()))
            .max_by(|a, b| a.beyond.total_cmp(&b.beyond));
        let rose = own.lo > 0.0;
        TookRow {
            set: own.set.clone(),
            claim: own.claim.clone(),
            rose,
            took: rose && claim.is_none() && condition.is_none(),
            claim_ahead: claim.map_or(String::new(), |c| c.claim.clone()),
            claim_by: by(claim),
            condition_ahead: condition.map_or(String::new(), |c| c.set.clone()),
            condition_by: by(condition),
            most_beyond: beyond.map_or(String::new(), |c| c.claim.clone()),
        }
    };
    cells.iter().filter(|c| c.own).map(of).collect()
}

/// Why a set did not take its claim, in words.
pub fn missed(t: &TookRow) -> String {
    let mut all = Vec::new();
    if !t.rose {
        all.push(format!("it is not shown to rise on {}", t.claim));
    }
    if !t.claim_ahead.is_empty() {
        all.push(format!("it moved {:.2} more on {}", t.claim_by, t.claim_ahead));
    }
    if !t.condition_ahead.is_empty() {
        all.push(format!("{} moved {:.2} more on {}", t.condition_ahead, t.condition_by, t.claim));
    }
    all.join("; ")
}
