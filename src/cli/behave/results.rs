//! What the command found, as records: frames on the terminal, JSON, and what a round of judging adds.

use crate::analysis::behaviour::{
    rate_contrasts, rate_rows, BIAS, COMMON, LOG_ODDS, PREFERENCE, UTILITY,
};
use crate::analysis::records::{self, ContrastRow, Results, WarningRow};
use crate::analysis::{Draws, State};
use crate::behavior::conversation::{AFTER, FRESH};
use crate::behavior::{rates, warning, Judged, Warning};
use crate::cli::kept::csv;
use crate::materials::Preference;
use crate::report::sentences::sentence;
use crate::store::{Frame, Meta};
use anyhow::Result;
use serde_json::{Map, Value};

/// What the doubts of a round of judging are about; another round replaces them.
const JUDGED: &str = "judged answers";

/// Bootstrap draws and flips of signs.
pub fn draws(seed: u64) -> Draws {
    Draws { bootstrap: 2000, null: 2000, seed }
}

/// Whether the command makes a kind of record.
fn is_own(meta: &Meta) -> bool {
    match meta.path {
        "study/states"
        | "study/preferences"
        | "study/warnings"
        | "geometry/stickiness"
        | "report/findings" => true,
        path => path.starts_with("behaviour/"),
    }
}

/// Names of every table's CSV file, below the output folder.
pub fn tables() -> Vec<String> {
    records::all().into_iter().filter(|m| is_own(m)).map(|m| csv(m.path)).collect()
}

/// The doubts in words.
pub fn doubts(found: &Results) -> Vec<String> {
    found.warnings.iter().map(|w| w.text.clone()).collect()
}

/// Takes the rates of a round of judging, their contrasts and the doubts about them, in place of
/// an earlier round's.
pub fn judged(
    found: &mut Results,
    (fresh, at_ends): (&[Judged], &[Judged]),
    (states, battery): (&[State], &[Preference]),
    contrasts: &[(String, String)],
    draws: Draws,
    doubts: &[Warning],
) -> Result<()> {
    let of = |judged| rates(judged, draws.bootstrap, draws.seed);
    let all = of(fresh)?;
    found.rates = [rate_rows(&all, FRESH), rate_rows(&of(at_ends)?, AFTER)].concat();
    found.contrasts.retain(|c| [LOG_ODDS, UTILITY].contains(&&*c.measure));
    found.contrasts.extend(rate_contrasts(&all, states, battery, contrasts, draws));
    found.warnings.retain(|w| w.about != JUDGED);
    let samples = fresh.iter().map(|j| j.answer.sample + 1).max().unwrap_or(0);
    for w in doubts.iter().chain(&warning::of_rates(&all, samples)) {
        found.warnings.push(WarningRow { about: JUDGED.into(), text: w.to_string() });
    }
    Ok(())
}

/// Every table by its name.
pub fn json(found: &Results) -> Map<String, Value> {
    let own = found.frames().into_iter().filter(|f| is_own(f.meta));
    own.map(|f| (f.name().to_string(), f.json())).collect()
}

/// What the terminal shows: contrasts over all and those that survive correction, and no turns.
pub fn text(found: &Results) -> String {
    let shown = |c: &&ContrastRow| match c.kind.as_str() {
        PREFERENCE => c.q < 0.05,
        BIAS => c.preference.is_empty(),
        COMMON => false, // in the sentences of which side moved
        _ => true,
    };
    let contrasts: Vec<ContrastRow> = found.contrasts.iter().filter(shown).cloned().collect();
    let of_rates: &[&str] = if found.rates.is_empty() { &["pooled", "p_z"] } else { &[] };
    let ends = ["after_lo", "after_hi", "fresh_lo", "fresh_hi"];
    // Every set is one state: what it is compared with is known within them only.
    let within = ["within_lo", "within_hi", "p_fine_tunes", "df", "fine_tunes"];
    let frames = [
        Frame::of(&found.scores).without(&["pairs"]),
        Frame::of(&contrasts)
            .without(&["group", "cells_of", "least_p", "newcombe_lo", "newcombe_hi", "z"])
            .without(&within)
            .without(&["reference_fine_tunes"])
            .without(of_rates),
        Frame::of(&found.acquiescence).without(&within).without(&["reference_fine_tunes"]),
        Frame::of(&found.claims).without(&within).without(&[
            "score_lo",
            "score_hi",
            "beyond_lo",
            "beyond_hi",
        ]),
        Frame::of(&found.took),
        Frame::of(&found.one_factor),
        Frame::of(&found.choices),
        Frame::of(&found.utilities),
        Frame::of(&found.conversations)
            .without(&ends)
            .without(&within)
            .without(&["reference_fine_tunes"]),
        Frame::of(&found.stickiness),
        Frame::of(&found.rates).without(&["group", "not_sure", "neither", "cut"]),
    ];
    let shown = frames.iter().filter(|f| !f.is_empty());
    let tables = shown.map(|f| format!("{}\n{}", f.name(), f.text()));
    let moved = found.findings.iter().map(|f| sentence(f) + "\n");
    tables.chain(moved).collect::<Vec<_>>().join("\n")
}
