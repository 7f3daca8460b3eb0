//! Findings: what a report says, as rows made from the records of a results file.
//!
//! A pure function of [`Results`]: no model, no folder, no draw. Each finding is one number with its
//! interval, null and n, taken from the record that its definition names. What is reported is chosen by
//! roles: a finding is about the focus, or about every condition where there is none, against base, the
//! reference and the recipe-matched neutral where there are such. Kinds of record that a file lacks give
//! no finding. The word of each comes from [`super::verdict`] alone. Conditions that did not take their
//! claim stand before all but which side moved, and every other finding of them says that it is not the claim's.

mod behaviour;
pub mod cause;
mod inside;

pub use behaviour::{beside_declining, towards, UNTAKEN};

use super::behaviour::UTILITY;
use super::records::{same_pair, FindingRow, ReferencePointRow, Results, WarningRow};
use super::verdict::{self, Test};
use super::BASE;
use crate::stats::corrections::holm;
use crate::stats::Interval;
use crate::store::{frame::tidy, Record};
use serde::Deserialize;

/// Fine-tunes that a claim about a condition needs.
const SEEDS: usize = 3;

/// Numbers of earlier work: which of ours each stands beside.
const EARLIER: &str = include_str!("../../assets/earlier.json");

/// All findings of a results file, and numbers of earlier work beside ours.
pub fn findings(r: &Results) -> (Vec<FindingRow>, Vec<ReferencePointRow>) {
    let mut rows = Vec::new();
    // Which side moved is the first sentence of a report.
    if let Some(reference) = r.reference() {
        rows.extend(towards(r, &r.about(), reference, r.neutral()));
    }
    behaviour::took(r, &mut rows);
    inside::changes(r, &mut rows);
    inside::shifts(r, &mut rows);
    inside::trace(r, &mut rows);
    inside::mixing(r, &mut rows);
    behaviour::contrasts(r, &mut rows);
    behaviour::acquiescence(r, &mut rows);
    behaviour::one_factor(r, &mut rows);
    behaviour::revealed(r, &mut rows);
    cause::ablations(r, &mut rows);
    cause::slopes(r, &mut rows);
    behaviour::prevented(r, &mut rows);
    behaviour::conversations(r, &mut rows);
    inside::stickiness(r, &mut rows);
    cause::trajectory(r, &mut rows);
    cause::links(r, &mut rows);
    inside::coupling(r, &mut rows);
    inside::quality(r, &mut rows);
    settle(&mut rows);
    beside_declining(r, &mut rows);
    behaviour::disclaim(r, &mut rows);
    (rows, earlier(r))
}

/// Doubts that the design of a study raises, whatever was measured.
pub fn doubts(r: &Results) -> Vec<WarningRow> {
    let tuned = |of: &str| r.states.iter().any(|s| s.condition == of && s.source == "data");
    let few = r.conditions.iter().filter(|c| c.n < SEEDS && tuned(&c.condition));
    few.map(|c| WarningRow {
        about: c.condition.clone(),
        text: format!(
            "{} fine-tune(s): a claim about the condition, not this model, needs at least {SEEDS} seeds.",
            c.n
        ),
    })
    .collect()
}

/// A finding of the record `R` in which nothing is known yet.
fn of<R: Record>(quantity: &str) -> FindingRow {
    FindingRow {
        quantity: quantity.into(),
        definition: format!("{}: {}", R::META.path, tidy(R::META.is)),
        ..FindingRow::NONE
    }
}

impl FindingRow {
    /// Of a condition or state against another.
    fn between(mut self, set: &str, reference: &str) -> Self {
        (self.set, self.reference) = (set.into(), reference.into());
        self
    }

    /// A number with its interval, which alone is no verdict.
    fn estimated(mut self, estimate: f64, (lo, hi): (f64, f64), unit: &str) -> Self {
        (self.estimate, self.lo, self.hi, self.unit) = (estimate, lo, hi, unit.into());
        self
    }

    fn interval(&self) -> Interval {
        Interval { lo: self.lo, hi: self.hi }
    }

    /// Its test, p as it stands alone; the verdict follows from the adjusted p.
    fn tested(mut self, p: f64, test: Test) -> Self {
        self.p = p;
        self.detectable = verdict::detectable(self.interval());
        self.judge(test);
        self
    }

    /// A p over items, texts or labels holds the fine-tunes fixed, so a word needs the interval, which counts
    /// them, on one side of 0 as well.
    fn judge(&mut self, test: Test) {
        (self.p_max, self.least_p) = (test.p, test.least);
        let around = self.lo <= 0.0 && 0.0 <= self.hi;
        self.verdict = match verdict::word(self.estimate, test) {
            verdict::HIGHER | verdict::LOWER if around => verdict::NONE,
            word => word,
        }
        .into();
    }

    /// Adds to the note.
    fn noted(&mut self, text: &str) {
        if !self.note.is_empty() && !text.is_empty() {
            self.note += "; ";
        }
        self.note += text;
    }

    fn counted(mut self, n: usize, of: &str) -> Self {
        (self.n, self.n_of) = (n, of.into());
        self
    }

    fn at(mut self, layer: usize) -> Self {
        self.layer = layer as f64;
        self
    }
}

/// Adjusts declared findings for each other, whatever their quantity, and holds every finding to its
/// bounds of equivalence; a direction that is shown stays the verdict.
fn settle(rows: &mut [FindingRow]) {
    let mut declared: Vec<&mut FindingRow> =
        rows.iter_mut().filter(|f| f.declared && !f.p.is_nan()).collect();
    let alone: Vec<(f64, f64)> = declared.iter().map(|f| (f.p, f.least_p)).collect();
    declared.iter_mut().zip(family(&alone)).for_each(|(f, test)| f.judge(test));
    for f in rows.iter_mut().filter(|f| verdict::is_within(f.interval(), f.bound)) {
        match [verdict::HIGHER, verdict::LOWER].contains(&&*f.verdict) {
            true => f.noted("within the bounds of equivalence all the same"),
            false => f.verdict = verdict::EQUIVALENT.into(),
        }
    }
}

/// Tests of one family that have no draws in common, by Holm; each its p and the least that it could be.
fn family(tests: &[(f64, f64)]) -> Vec<Test> {
    let p: Vec<f64> = tests.iter().map(|t| t.0).collect();
    let least = |(i, test): (usize, &(f64, f64))| verdict::least_adjusted(&p, i, test.1, holm);
    let least: Vec<f64> = tests.iter().enumerate().map(least).collect();
    holm(&p).into_iter().zip(least).map(|(p, least)| Test { p, least }).collect()
}

/// What is to be said of conditions that were left out.
fn without(left_out: &str) -> String {
    match left_out.is_empty() {
        true => String::new(),
        false => format!("without {left_out}: the same rows as another's, at another share"),
    }
}

/// Unit of stance log-odds, of utilities, and of rates.
fn unit(measure: &str) -> &'static str {
    match measure {
        "log-odds" => "nats a token",
        UTILITY => "nats",
        _ => "rate",
    }
}

/// A number of earlier work, and where ours is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    /// Record that holds ours: coupling, stability, alignment or shift-cosine.
    record: String,
    /// Concepts that it is of; none for any.
    concepts: Vec<String>,
    /// Conditions that it is of; none for the focus, or for base.
    conditions: Vec<String>,
    /// Whether it is of the first reported layer alone.
    middle: bool,
    quantity: String,
    earlier: String,
    source: String,
}

/// Numbers of earlier work on the concepts and conditions at hand, beside ours.
fn earlier(r: &Results) -> Vec<ReferencePointRow> {
    let mut out = Vec::new();
    // The embedded table is held to this form by a test.
    let Ok(table) = serde_json::from_str::<Vec<Earlier>>(EARLIER) else {
        return out;
    };
    for e in &table {
        for &layer in r.reported().iter().take(if e.middle { 1 } else { usize::MAX }) {
            if let Some((state, estimate)) = ours(r, e, layer) {
                out.push(ReferencePointRow {
                    quantity: e.quantity.clone(),
                    earlier: e.earlier.clone(),
                    source: e.source.clone(),
                    state,
                    layer: layer as f64,
                    estimate,
                });
            }
        }
    }
    out
}

/// State and number that stand beside one of earlier work.
fn ours(r: &Results, e: &Earlier, layer: usize) -> Option<(String, f64)> {
    let focus = || -> Option<&str> {
        let named = e.conditions.first();
        let focus = r.focus().filter(|f| named.is_none_or(|c| c == f))?;
        r.states_of(focus).first().copied()
    };
    match (e.record.as_str(), e.concepts.as_slice()) {
        ("coupling", [a, b]) => {
            let mut rows = r.coupling.iter().filter(|c| c.form == "raw" && c.layer == layer);
            let row =
                rows.find(|c| c.state == BASE && same_pair((&c.concept_a, &c.concept_b), (a, b)))?;
            Some((row.state.clone(), row.estimate))
        }
        ("stability", [concept]) => {
            let of = (focus()?, concept.as_str(), layer);
            let row = r.stability.iter().find(|s| (&*s.state, &*s.concept, s.layer) == of)?;
            Some((row.state.clone(), row.estimate))
        }
        ("alignment", []) => {
            let of = (focus()?, layer);
            let row = r.alignment.iter().find(|s| (&*s.state, s.layer) == of)?;
            Some((row.state.clone(), row.estimate))
        }
        ("shift-cosine", []) => {
            let (a, b) = (focus()?, *r.states_of(e.conditions.get(1)?).first()?);
            let mut rows = r.shift_cosines.iter().filter(|s| s.layer == layer);
            let row = rows.find(|s| same_pair((&s.state_a, &s.state_b), (a, b)))?;
            Some((format!("{a} and {b}"), row.estimate))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
