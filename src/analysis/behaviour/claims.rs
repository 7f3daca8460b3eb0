//! The manipulation check: every set on every claim, and whether each fine-tune took its own.
//!
//! A fine-tune that did not take its claim cannot have carried anything along. It took if its own claim
//! rose, no unrelated claim rose as much (a model that now says yes to everything raises its whole row), and
//! no unrelated condition raised it as much (a claim that any fine-tune raises, raises its whole column).
//! The parts of a claim are related to it and to each other, as the notes of claims say. Claims differ in how far any fine-tune moves them (a plain sentence in the first person gains against "I am
//! an AI"), so each cell is also given less what the other fine-tunes do to that claim.

use super::sets::{
    average, estimate, less, of, tested, ItemValue, Scored, SetScores, Sides, Tested,
};
use crate::analysis::records::{ClaimRow, TookRow};
use crate::analysis::state::BASE;
use crate::analysis::{Draws, FineTunes, Result};
use crate::materials::Preference;
use crate::stats::bootstrap::Estimate;
use crate::stats::Interval;

/// What nothing was measured of.
pub(super) const NONE: Estimate =
    Estimate { value: f64::NAN, interval: Interval::UNDEFINED, n: 0, n_clusters: 0 };

/// How far a set moved from base.
struct Moved<'a> {
    set: &'a SetScores,
    fine_tunes: &'a FineTunes<'a>,
    by: Vec<ItemValue>,
}

/// Every set but base on every claim that it and base were scored on.
pub(super) fn claims(
    scored: &Scored,
    claims: &[Preference],
    draws: Draws,
) -> Result<Vec<ClaimRow>> {
    let Some(base) = scored.sets.iter().find(|s| s.set == BASE) else {
        return Ok(Vec::new());
    };
    let moved: Vec<Moved> = (scored.sets.iter().zip(&scored.fine_tunes))
        .filter(|(s, _)| s.set != BASE)
        .map(|(set, fine_tunes)| Moved { set, fine_tunes, by: less(&set.claims, &base.claims) })
        .collect();
    let mut out = Vec::new();
    for own in &moved {
        // The sets that each of the other claims was trained in, and how far they move every claim.
        let others: Vec<Vec<&Moved>> = (claims.iter().filter(|c| c.name != own.set.text))
            .map(|c| moved.iter().filter(|m| m.set.text == c.name).collect::<Vec<_>>())
            .filter(|of| !of.is_empty())
            .collect();
        let mean = |of: &Vec<&Moved>| average(&of.iter().map(|m| &m.by[..]).collect::<Vec<_>>());
        let by_others: Vec<Vec<ItemValue>> = others.iter().map(mean).collect();
        let by_others = average(&by_others.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let beyond = less(&own.by, &by_others);
        let mut sides = vec![(own.fine_tunes, 1.0)];
        let against = others.iter().flat_map(|of| {
            let weight = 1.0 / (others.len() * of.len()) as f64;
            of.iter().map(move |m| (m.fine_tunes, weight))
        });
        sides.extend(against);
        for claim in claims {
            let on = |values: &[ItemValue], sides: &[(&FineTunes, f64)]| -> Option<Tested> {
                let kept: Vec<&ItemValue> =
                    values.iter().filter(|v| v.preference == claim.name).collect();
                let (all, each) =
                    (&scored.fine_tunes[..], &|i: usize| &scored.states[i].claims[..]);
                (!kept.is_empty()).then(|| tested(&kept, Sides { sides, all, each }, draws))
            };
            let Some(m) = on(&own.by, &sides[..1]) else {
                continue;
            };
            let score = estimate(&of(&own.set.claims, |name| name == claim.name), draws)?;
            let beyond = on(&beyond, &sides).map(|b| b.found);
            let ends = beyond.map_or(Interval::UNDEFINED, |b| b.interval);
            out.push(ClaimRow {
                set: own.set.set.clone(),
                claim: claim.name.clone(),
                own: claim.name == own.set.text,
                estimate: m.found.value,
                lo: m.found.interval.lo,
                hi: m.found.interval.hi,
                within_lo: m.found.within.lo,
                within_hi: m.found.within.hi,
                p: m.p,
                p_fine_tunes: m.found.p_fine_tunes,
                score: score.value,
                score_lo: score.interval.lo,
                score_hi: score.interval.hi,
                beyond: beyond.map_or(f64::NAN, |b| b.value),
                beyond_lo: ends.lo,
                beyond_hi: ends.hi,
                df: m.found.df,
                fine_tunes: own.fine_tunes.count(),
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
