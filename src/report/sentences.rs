//! Findings as sentences: one row, one sentence, with its interval, null, n and unit.
//!
//! Nothing is computed here: each number is a field of the row, and the word of judgement is its
//! verdict. A quantity that this file does not know is said plainly.

use crate::analysis::records::FindingRow;
use crate::analysis::BASE;

/// Whether a finding is said in a sentence; the coupling of every other condition is in its table.
pub fn is_said(f: &FindingRow) -> bool {
    f.quantity != "coupling" || f.set == BASE
}

/// The sentence of a finding.
pub fn sentence(f: &FindingRow) -> String {
    let (set, reference, subject) = (&f.set, &f.reference, &f.subject);
    let (outcome, unit, note) = (&f.outcome, &f.unit, &f.note);
    let (layer, tail) = (layer(f), tail(f));
    let (two, three) = (interval(f, 2), interval(f, 3));
    let (pair, form, compared) = (subject.replace(" x ", " and "), form(f), compared(f));
    match f.quantity.as_str() {
        "coupling" => format!("{layer}Cosine of {pair} in {set}{form} {two}{tail}."),
        "change-of-coupling" => format!("{layer}The cosine of {pair}{form} in {set} is {compared} {reference}'s: difference {two}{tail}."),
        "shift" => shift(f),
        "auroc" => format!("{layer}Held-out AUROC of {subject} in {set} {two}{tail}."),
        "auroc-gain" => format!("{layer}Held-out AUROC of {subject} in {set} less that of a bag of words on the same folds: {two}{tail}."),
        "took" => took(f),
        "own-claim" => format!("On its own claim ({outcome}), {set} is {compared} {reference}: {two} {unit}{tail}."),
        "isolated" => isolated(f),
        "preferences" => format!("Of {} isolated preferences, {:.0} differ between {set} and {reference} at q < .05; {note}.", f.n, f.estimate),
        "prevention" => format!("Prevention: {set} less {reference} on {outcome} {three} {unit}{tail}."),
        "one-factor" => format!("One factor carries {} of the squared shifts of {outcome}{}.", percent(f.estimate), shares(f)),
        "conversation" => format!("After conversations of ordinary turns, {set}{} on {outcome}: the conversation adds {three} {unit}{tail}.", with(" less ", reference)),
        "stickiness" => format!("{layer}Along {subject}, {set} keeps {two} of a deviation from one assistant turn to the next{tail}."),
        "ablation-total" => format!("Without an edit, {set} less {reference} on {outcome}: {three} {unit}{tail}."),
        "ablation" => ablation(f),
        "side-effects" => format!("Side effects of projecting {subject} out of {set} and {reference}, on neutral texts: {:.2} {unit} in the model damaged most ({note}){}; {} the guards.", f.estimate, band(f), f.verdict),
        "dose-response" => format!("{layer}A dose of {subject} ({}) in {set} moves {outcome} by {three} {unit}{tail}.", f.form),
        "half-way" => half_way(f),
        "lead" => lead(f),
        "link" => format!("{layer}Over conditions, the shift of {outcome} from base against the {} of {pair}: r = {:+.2}{tail}.", f.form, f.estimate),
        "ranking" => format!("Ranking by {}{}: {note} follow the order known of another model with rho = {:+.2}, p = {} of {}, n = {} {}.", f.form, with(" of ", &pair), f.estimate, p(f.p), f.null, f.n, f.n_of),
        other => format!("{layer}{other} of {set} {three} {unit}{tail}."),
    }
}

fn shift(f: &FindingRow) -> String {
    let (layer, set, subject) = (layer(f), &f.set, &f.subject);
    if f.estimate.is_nan() {
        return format!("{layer}The shift of {set} along {subject} has no estimate: the direction is not above its noise.");
    }
    let less = match f.reference.as_str() {
        "others" => ", less what the other identity fine-tunes share,",
        _ => "",
    };
    let (move_by, unit, tail) = (interval(f, 3), &f.unit, tail(f));
    format!("{layer}Neutral texts in {set}{less} move along {subject} of base by {move_by} {unit}{tail}.")
}

fn took(f: &FindingRow) -> String {
    let verdict = match f.verdict.as_str() {
        "took" => "took its claim",
        "rose" => "rose on its claim, but not on it most",
        _ => "did not take its claim",
    };
    let (set, outcome, unit, reference) = (&f.set, &f.outcome, &f.unit, &f.reference);
    let (moved, tail) = (interval(f, 2), tail(f));
    format!(
        "Manipulation check: {set} {verdict} ({outcome}): {moved} {unit} from {reference}{tail}."
    )
}

fn isolated(f: &FindingRow) -> String {
    let verdict = match f.verdict.as_str() {
        "towards" => ": towards the expressing side",
        "away" => ": away from the expressing side",
        "none" => ": no shift that can be told from zero",
        _ => "",
    };
    let on = match f.form.as_str() {
        "log-odds" => String::new(),
        measure => format!(" ({measure})"),
    };
    let (set, reference, unit) = (&f.set, &f.reference, &f.unit);
    let (moved, tail) = (interval(f, 3), tail(f));
    format!("Preferences that the training text does not presuppose{on}: {set} less {reference} {moved} {unit}{tail}{verdict}.")
}

fn ablation(f: &FindingRow) -> String {
    let read = match f.form.as_str() {
        "own" => "read in the fine-tune",
        "base" => "read in base",
        "placebo" => "a placebo",
        other => other,
    };
    let verdict = match f.p {
        p if p <= 0.05 => ": more than random directions do",
        p if p > 0.05 => ": not shown to be more than random directions do",
        _ => "",
    };
    let (subject, set, reference) = (&f.subject, &f.set, &f.reference);
    let (removed, tail) = (interval(f, 3), tail(f));
    format!("Projecting {subject} ({read}) out of {set} and {reference} at every layer removes {removed} {} on {}{tail}{verdict}.", f.unit, f.outcome)
}

/// What of a trajectory: quantity, subject and layer.
fn followed(f: &FindingRow) -> String {
    let at = if f.layer.is_nan() { String::new() } else { format!(" at layer {:.0}", f.layer) };
    let of = with(" of ", &f.subject.replace(" x ", " and "));
    format!("Trajectory of {} less {}: {}{of}{at}", f.set, f.reference, f.form)
}

fn half_way(f: &FindingRow) -> String {
    let half = match f.estimate.is_nan() {
        true => "no change that can be told from zero".into(),
        false => format!("half of its change at step {}", ends(f, 1)),
    };
    format!("{} has {half}; {}.", followed(f), f.note)
}

fn lead(f: &FindingRow) -> String {
    let verdict = match f.verdict.as_str() {
        "first" => "moves before",
        "second" => "moves after",
        _ => "is not shown to move before or after",
    };
    let (what, ratio) = (followed(f), ends(f, 2));
    format!("{what} {verdict} {}; ratio of half-way steps {ratio}, {}.", f.outcome, f.note)
}

/// `Layer 10: `, or nothing.
fn layer(f: &FindingRow) -> String {
    match f.layer.is_nan() {
        true => String::new(),
        false => format!("Layer {:.0}: ", f.layer),
    }
}

/// A text behind words, or nothing without it.
pub(super) fn with(words: &str, text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("{words}{text}"),
    }
}

fn form(f: &FindingRow) -> &'static str {
    match f.form.as_str() {
        "relative" => ", relative to the ceiling that noise sets,",
        "cleaned" => ", cleaned of nuisances,",
        "whitened" => ", whitened,",
        _ => "",
    }
}

/// The verdict before the name of what it is compared with.
fn compared(f: &FindingRow) -> &'static str {
    match f.verdict.as_str() {
        "higher" => "higher than",
        "lower" => "lower than",
        "none" => "not distinguishable from",
        _ => "beside",
    }
}

/// Estimate with its interval.
fn interval(f: &FindingRow, digits: usize) -> String {
    let estimate = format!("{:+.digits$}", f.estimate);
    match f.lo.is_nan() || f.hi.is_nan() {
        true => format!("{estimate} (no interval)"),
        false => format!("{estimate}, 95 % [{:+.digits$}, {:+.digits$}]", f.lo, f.hi),
    }
}

/// The same of what has no sign.
fn ends(f: &FindingRow, digits: usize) -> String {
    let estimate = format!("{:.digits$}", f.estimate);
    match f.lo.is_nan() || f.hi.is_nan() {
        true => estimate,
        false => format!("{estimate} [{:.digits$}, {:.digits$}]", f.lo, f.hi),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Band and p of a share, and what it is of.
fn shares(f: &FindingRow) -> String {
    let (lo, hi, p) = (percent(f.null_lo), percent(f.null_hi), p(f.p));
    format!("; with {}, {lo} to {hi}, p = {p}; n = {} {}, {}", f.null, f.n, f.n_of, f.note)
}

/// A p or q.
fn p(p: f64) -> String {
    match p < 0.001 {
        true => format!("{p:.1e}"),
        false => format!("{p:.3}"),
    }
}

/// The band of the null, where there is one.
fn band(f: &FindingRow) -> String {
    match (f.null.is_empty(), f.null_lo.is_nan() || f.null_hi.is_nan()) {
        (false, false) if f.null_lo == f.null_hi => format!("; {}: {:.2}", f.null, f.null_lo),
        (false, false) => format!("; {}: {:+.2} to {:+.2}", f.null, f.null_lo, f.null_hi),
        _ => String::new(),
    }
}

/// What an estimate is read against: the null with its p, how many units, and what else there is.
fn tail(f: &FindingRow) -> String {
    let mut out = band(f);
    if !f.p.is_nan() {
        let named = match out.is_empty() && !f.null.is_empty() {
            true => format!(" ({})", f.null),
            false => String::new(),
        };
        out += &format!(", p = {}{named}", p(f.p));
    }
    if !f.p_max.is_nan() {
        out += &format!(", max-T over layers {}", p(f.p_max));
    }
    if !f.q.is_nan() {
        out += &format!(", q = {}", p(f.q));
    }
    if f.n > 0 {
        out += &format!("; n = {} {}", f.n, f.n_of);
    }
    out + &with("; ", &f.note)
}
