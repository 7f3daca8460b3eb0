//! Sets against references: how much more a preference is expressed, and whether that is more than
//! chance.
//!
//! A reference that was trained on the same prompts in the same format is the one that counts, since the
//! format alone moves preferences. Differences are paired by item. Where two trained sets are compared
//! a cell is isolated if the rows of neither presuppose it. Benjamini-Hochberg runs over all isolated
//! cells of one measure and reference, those of all sets together. Beside the stance stands the yes-bias,
//! a result of its own that is in no correction of the stance's.

use super::sets::{less, names, status, tested, ItemValue, Scored, SetScores, Sides, Tested};
use crate::analysis::records::ContrastRow;
use crate::analysis::state::BASE;
use crate::analysis::verdict::{least_of_flips, least_q};
use crate::analysis::{Draws, FineTunes};
use crate::materials::battery::CLAIM;
use crate::materials::Preference;
use crate::stats::corrections::benjamini_hochberg;
use crate::store::{values::distinct, Record};

/// Measure of stance log-odds.
pub const LOG_ODDS: &str = "log-odds";
/// Kind of the row of one preference.
pub const PREFERENCE: &str = "preference";
/// Kind of the row over all items of isolated preferences.
pub const ISOLATED: &str = "isolated";
/// Kind of the rows of the yes-bias, of each preference and over all isolated ones.
pub const BIAS: &str = "bias";

/// Each set but base against each reference but itself.
pub fn pairings(sets: &[String], references: &[String]) -> Vec<(String, String)> {
    distinct(references.iter().flat_map(|reference| {
        let others = sets.iter().filter(move |s| *s != reference && *s != BASE);
        others.map(|set| (set.clone(), reference.clone()))
    }))
}

/// What is compared, on what measure.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub measure: &'a str,
    pub set: &'a FineTunes<'a>,
    pub reference: &'a FineTunes<'a>,
    /// All sets, by which the spread of fine-tunes is known.
    pub all: &'a [FineTunes<'a>],
    /// Values of a state by its index.
    pub each: &'a dyn Fn(usize) -> &'a [ItemValue],
    /// Rows that either was trained on.
    pub texts: [&'a str; 2],
    pub battery: &'a [Preference],
    pub draws: Draws,
}

/// Stance log-odds of a set against those of a reference, by their places: each preference, the set's own
/// claim, and the row over all isolated ones; then the yes-bias. Without q, see [`correct`].
pub(super) fn of_stance(
    scored: &Scored,
    (a, b): (usize, usize),
    battery: &[Preference],
    draws: Draws,
) -> Vec<ContrastRow> {
    let (set, reference) = (&scored.sets[a], &scored.sets[b]);
    let which = Compared {
        measure: LOG_ODDS,
        set: &scored.fine_tunes[a],
        reference: &scored.fine_tunes[b],
        all: &scored.fine_tunes,
        each: &|i| &scored.states[i].battery,
        texts: [&set.text, &reference.text],
        battery,
        draws,
    };
    let battery = less(&set.battery, &reference.battery);
    let mut out = of_cells(which, &names(&battery), &battery);
    let claims = less(&set.claims, &reference.claims);
    if claims.iter().any(|c| c.preference == set.text) {
        let which = Compared { each: &|i| &scored.states[i].claims, ..which };
        let mut row = one(which, CLAIM, &claims, |c| c == set.text);
        row.preference = set.text.clone();
        out.push(row);
    }
    let which = Compared { each: &|i| &scored.states[i].bias, ..which };
    let bias = less(&set.bias, &reference.bias);
    let mut bias = of_cells(which, &names(&bias), &bias);
    bias.iter_mut().for_each(|row| row.kind = BIAS.into());
    out.extend(bias);
    out
}

/// The differences that a row over isolated preferences, or of the set's own claim, is of.
pub(super) fn behind(
    row: &ContrastRow,
    sets: &[SetScores],
    battery: &[Preference],
) -> Vec<ItemValue> {
    let named = |name: &str| sets.iter().find(|s| s.set == name);
    let (Some(a), Some(b)) = (named(&row.set), named(&row.reference)) else {
        return Vec::new();
    };
    if row.kind == CLAIM {
        let mut own = less(&a.claims, &b.claims);
        own.retain(|v| v.preference == row.preference);
        return own;
    }
    let mut isolated = less(&a.battery, &b.battery);
    isolated.retain(|v| status(battery, &v.preference, &[&a.text, &b.text]) != "implied");
    isolated
}

/// Rows of the differences of each of these preferences, and of all isolated ones; n is 0 where none is
/// left of one.
pub(super) fn of_cells(which: Compared, cells: &[&str], less: &[ItemValue]) -> Vec<ContrastRow> {
    let status = |name: &str| match status(which.battery, name, &which.texts) {
        "implied" => "implied",
        _ => ISOLATED,
    };
    let mut out = Vec::new();
    for &name in cells {
        let mut row = one(which, PREFERENCE, less, |n| n == name);
        let known = which.battery.iter().find(|p| p.name == name);
        row.group = known.map_or(String::new(), |p| p.group.clone());
        row.preference = name.into();
        row.status = status(name).into();
        out.push(row);
    }
    let isolated = |name: &str| status(name) == ISOLATED;
    if cells.iter().any(|name| isolated(name)) {
        let mut row = one(which, ISOLATED, less, isolated);
        row.status = ISOLATED.into();
        out.push(row);
    }
    out
}

/// A row of the preferences that are kept.
pub(super) fn one(
    which: Compared,
    kind: &str,
    less: &[ItemValue],
    keep: impl Fn(&str) -> bool,
) -> ContrastRow {
    let kept: Vec<&ItemValue> = less.iter().filter(|v| keep(&v.preference)).collect();
    let (all, each) = (which.all, which.each);
    let sides = &[(which.set, 1.0), (which.reference, 1.0)];
    let Tested { found, p, n } = tested(&kept, Sides { sides, all, each }, which.draws);
    ContrastRow {
        measure: which.measure.into(),
        set: which.set.set.into(),
        reference: which.reference.set.into(),
        kind: kind.into(),
        estimate: found.value,
        lo: found.interval.lo,
        hi: found.interval.hi,
        within_lo: found.within.lo,
        within_hi: found.within.hi,
        p,
        p_fine_tunes: found.p_fine_tunes,
        df: found.df,
        fine_tunes: which.set.count(),
        reference_fine_tunes: which.reference.count(),
        least_p: least_of_flips(n, which.draws.null),
        n,
        ..ContrastRow::NONE
    }
}

/// Sets q of the isolated preferences, each measure and reference a family of its own: of z for rates,
/// of flipped signs for log-odds.
pub(super) fn correct(rows: &mut [ContrastRow]) {
    let families = distinct(rows.iter().map(|r| (r.measure.clone(), r.reference.clone())));
    for (measure, reference) in families {
        let mut members: Vec<&mut ContrastRow> = (rows.iter_mut())
            .filter(|r| r.measure == measure && r.reference == reference)
            .filter(|r| r.kind == PREFERENCE && r.status == ISOLATED)
            .collect();
        let p = |r: &&mut ContrastRow| if measure == LOG_ODDS { r.p } else { r.p_z };
        let q = benjamini_hochberg(&members.iter().map(p).collect::<Vec<_>>());
        if measure == LOG_ODDS {
            let (p, least): (Vec<f64>, Vec<f64>) = members.iter().map(|r| (r.p, r.least_p)).unzip();
            let least = least_q(&p, &q, &least);
            members.iter_mut().zip(least).for_each(|(r, least)| r.least_adjusted = least);
        }
        members.iter_mut().zip(q).for_each(|(r, q)| r.q = q);
    }
}
