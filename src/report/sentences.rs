//! Findings as sentences: one row, one sentence, with its interval, null, n and unit.
//!
//! Nothing is computed here: each number is a field of the row, and the word of judgement is its
//! verdict; no sentence says of a number in other words that it moved. A quantity that this file does not
//! know is said plainly.

use crate::analysis::records::FindingRow;
use crate::analysis::verdict::{EQUIVALENT, HIGHER, LOWER, NONE, UNTESTABLE};
use crate::analysis::BASE;

/// Whether a finding is said in a sentence; the coupling of every other condition is in its table.
pub fn is_said(f: &FindingRow) -> bool {
    f.quantity != "coupling" || f.set == BASE
}

/// The sentence of a finding.
pub fn sentence(f: &FindingRow) -> String {
    let (set, reference, subject) = (&f.set, &f.reference, &f.subject);
    let (outcome, unit, note) = (&f.outcome, &f.unit, &f.note);
    let (layer, tail, word, why) = (layer(f), tail(f), word(f), explained(f));
    let (two, three) = (interval(f, 2), interval(f, 3));
    let (pair, form, compared) = (subject.replace(" x ", " and "), form(f), compared(f));
    let others =
        if reference == "others" { ", less what the other identity fine-tunes share," } else { "" };
    let measure = if f.form == "log-odds" { String::new() } else { format!(" ({})", f.form) };
    match f.quantity.as_str() {
        "coupling" => format!("{layer}Cosine of {pair} in {set}{form} {two}{tail}."),
        "change-of-coupling" => format!("{layer}The cosine of {pair}{form} in {set} is {compared} {reference}'s: difference {two}{tail}."),
        "untaken" => format!("Did not take their claim: {note}. What is found of them below is not the claim's doing."),
        "towards" => format!("Over the preferences isolated in {set}, {reference} and the neutral fine-tune, {set} less {reference} {three} {unit}{tail}: {word}{why}."),
        "shift" if f.estimate.is_nan() => format!("{layer}The shift of {set} along {subject} has no estimate: the direction is not above its noise."),
        "shift" => format!("{layer}Shift of neutral texts in {set}{others} along {subject} of base {three} {unit}{tail}{word}."),
        "auroc" => format!("{layer}Held-out AUROC of {subject} in {set} {two}{tail}."),
        "auroc-gain" => format!("{layer}Held-out AUROC of {subject} in {set} less that of a bag of words on the same folds: {two}{tail}."),
        "took" => format!("Manipulation check: {set} {word} ({outcome}): {two} {unit} from {reference}{tail}."),
        "own-claim" => format!("On its own claim ({outcome}), {set} is {compared} {reference}: {two} {unit}{tail}."),
        "isolated" if f.estimate.is_nan() => format!("Preferences that the training text does not presuppose{measure}: {set} less {reference} has no item that can be seen to move{word}; {note}."),
        "isolated" => format!("Preferences that the training text does not presuppose{measure}: {set} less {reference} {three} {unit}{tail}{word}{why}."),
        "preferences" => format!("Of {} isolated preferences, {:.0} differ between {set} and {reference} at q <= .05{}; {note}{word}{why}.", f.n, f.estimate, could(f)),
        "acquiescence" => format!("Yes-bias on {outcome}: {set} less {reference} {three} {unit}{tail}{word}."),
        "prevention" => format!("Prevention: {set} less {reference} on {outcome} {three} {unit}{tail}{word}{why}."),
        "one-factor" => format!("One factor carries {} of the squared shifts of {outcome}{}{word}.", percent(f.estimate), shares(f)),
        "conversation" => format!("After conversations of ordinary turns, {set}{} on {outcome}: the conversation adds {three} {unit}{tail}{word}.", with(" less ", reference)),
        "stickiness" => format!("{layer}Along {subject}, {set} keeps {two} of a deviation from one assistant turn to the next{tail}."),
        "ablation-total" => format!("Without an edit, {set} less {reference} on {outcome}: {three} {unit}{tail}."),
        "ablation" => format!("Projecting {subject} ({form}) out of {set} and {reference} at every layer removes {three} {unit} on {outcome}{tail}{word}."),
        "side-effects" => format!("Side effects of projecting {subject} out of {set} and {reference}, on neutral texts: {:.2} {unit} in the model damaged most ({note}){}; {} the guards.", f.estimate, band(f), f.verdict),
        "dose-response" => format!("{layer}Dose response of {outcome} in {set} to {subject} ({}): {three} {unit}{tail}{word}.", f.form),
        "half-way" if f.estimate.is_nan() => format!("{} has no change that can be told from zero; {note}.", followed(f)),
        "half-way" => format!("{} has half of its change at step {}; {note}.", followed(f), ends(f, 1)),
        "lead" => format!("{} {word} {outcome}; ratio of half-way steps {}, {note}.", followed(f), ends(f, 2)),
        "link" => format!("{layer}Over conditions, the shift of {outcome} from base against the {} of {pair}: r = {:+.2}{tail}{word}.", f.form, f.estimate),
        "ranking" => format!("Ranking by {}{}: {note} follow the order known of another model with rho = {:+.2}, p = {} of {}{}, n = {} {}{word}.", f.form, with(" of ", &pair), f.estimate, p(f.p), f.null, could(f), f.n, f.n_of),
        other => format!("{layer}{other} of {set} {three} {unit}{tail}."),
    }
}

/// The verdict in words, where it is more than the side that an interval lies on.
fn word(f: &FindingRow) -> &'static str {
    match (f.quantity.as_str(), f.verdict.as_str()) {
        ("took", "took") => "took its claim",
        ("took", "rose") => "rose on its claim, but did not take it",
        ("took", _) => "did not take its claim",
        ("acquiescence", "acquiescence") => {
            ": acquiescence, it says Yes to more and is not shown to prefer more"
        }
        ("towards", "towards") => {
            "it moved towards the expressing side, from base and from the neutral fine-tune"
        }
        ("towards", "away") => {
            "it moved away from the expressing side, from base and from the neutral fine-tune"
        }
        ("towards", "reference away") => {
            "the side that moved is the reference, away from the expressing side"
        }
        ("towards", "reference towards") => {
            "the side that moved is the reference, towards the expressing side"
        }
        ("towards", _) => "which side moved is not shown",
        ("ablation", "more") => ": more than its controls do",
        ("ablation", EQUIVALENT) => ": less than a third of the shift",
        ("ablation", NONE) => ": not shown to be more than its controls do, and not excluded",
        ("change-of-coupling" | "own-claim", _) => "",
        ("ranking", HIGHER | LOWER) => ": more than chance",
        ("lead", "first") => "moves before",
        ("lead", "second") => "moves after",
        ("lead", _) => "is not shown to move before or after",
        ("shift", HIGHER) => ": it moves towards it",
        ("shift", LOWER) => ": it moves away from it",
        (_, HIGHER) => ": higher",
        (_, LOWER) => ": lower",
        (_, EQUIVALENT) => ": equivalent to none, within the bounds",
        (_, NONE) => ": not shown, and not excluded",
        (_, UNTESTABLE) => ": not testable at this n",
        _ => "",
    }
}

/// What else moved and may explain a contrast.
fn explained(f: &FindingRow) -> String {
    match f.explanation.is_empty() {
        true => String::new(),
        false => format!("; {} moved as well, a possible explanation", f.explanation),
    }
}

/// What of a trajectory: quantity, subject and layer.
fn followed(f: &FindingRow) -> String {
    let at = if f.layer.is_nan() { String::new() } else { format!(" at layer {:.0}", f.layer) };
    let of = with(" of ", &f.subject.replace(" x ", " and "));
    format!("Trajectory of {} less {}: {}{of}{at}", f.set, f.reference, f.form)
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

fn form(f: &FindingRow) -> &str {
    match f.form.as_str() {
        "own" => "read in the fine-tune",
        "base" => "read in base",
        "placebo" => "a placebo",
        other if f.quantity == "ablation" => other,
        "relative" => ", relative to the ceiling that noise sets,",
        "cleaned" => ", cleaned of nuisances,",
        "whitened" => ", whitened,",
        _ => "",
    }
}

/// The verdict before the name of what it is compared with.
fn compared(f: &FindingRow) -> &'static str {
    match f.verdict.as_str() {
        HIGHER => "higher than",
        LOWER => "lower than",
        EQUIVALENT => "equivalent, within the bounds, to",
        NONE => "not shown to differ, which is not excluded, from",
        UNTESTABLE => "not testable at this n against",
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
    let could = could(f);
    format!("; with {}, {lo} to {hi}, p = {p}{could}; n = {} {}, {}", f.null, f.n, f.n_of, f.note)
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

/// What the test could have shown: its least adjusted p, and the smallest effect.
fn could(f: &FindingRow) -> String {
    let least = match f.least_p.is_nan() {
        true => String::new(),
        false => format!(", at least {}", p(f.least_p)),
    };
    match f.detectable.is_nan() {
        true => least,
        false => format!("{least}; an effect of {:.3} shows with a chance of .8", f.detectable),
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
    if f.declared {
        out += ", declared";
    } else if !f.p_max.is_nan() {
        out += &format!(", adjusted for all such tests {}", p(f.p_max));
    }
    if !f.q.is_nan() {
        out += &format!(", q = {}", p(f.q));
    }
    out += &could(f);
    if !f.bound.is_nan() {
        out += &format!("; bounds of equivalence +-{}", f.bound);
    }
    if f.n > 0 {
        out += &format!("; n = {} {}", f.n, f.n_of);
    }
    out + &with("; ", &f.note)
}
