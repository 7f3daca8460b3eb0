//! Findings as sentences: one row, one sentence, with its interval, null, n and unit.
//!
//! Nothing is computed here: each number is a field of the row, and the word of judgement is its
//! verdict; no sentence says of a number in other words that it moved. A quantity that this file does not
//! know is said plainly.

use crate::analysis::records::{DeclaredContrastRow, DeclaredKeyRow, FindingRow, Results};
use crate::analysis::verdict::{EQUIVALENT, HIGHER, LOWER, NONE, UNTESTABLE};
use crate::analysis::BASE;
use serde::Serialize;

/// A heading with its sentences; no heading where nothing is set apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// What they have in common.
    pub heading: &'static str,
    /// One a finding, or a difference from what was declared.
    pub sentences: Vec<String>,
}

/// All that is said of a file: conditions that did not take their claim and what was declared, then
/// findings that were declared and those that were not. A file without a study is not divided.
pub fn said(r: &Results, rows: &[FindingRow]) -> Vec<Said> {
    let of = |is: &dyn Fn(&&FindingRow) -> bool| -> Vec<String> {
        rows.iter().filter(|f| is_said(f)).filter(is).map(sentence).collect()
    };
    let first = |f: &FindingRow| f.quantity == "untaken";
    let all = match r.conditions.is_empty() {
        true => vec![("", of(&|_| true))],
        false => vec![
            ("", [of(&|f| first(f)), declaration(r, rows)].concat()),
            ("Declared before the run", of(&|f| f.declared)),
            ("Exploratory", of(&|f| !f.declared && !first(f))),
        ],
    };
    let all = all.into_iter().filter(|(_, sentences)| !sentences.is_empty());
    all.map(|(heading, sentences)| Said { heading, sentences }).collect()
}

/// What was declared and when; nothing where nothing was.
pub fn declared(r: &Results) -> Option<String> {
    let d = r.declaration.first()?;
    let all: Vec<String> = r.declared_contrasts.iter().map(contrast).collect();
    let (by, all) = (with(" at commit ", &d.commit), all.join("; "));
    let (when, late) = match d.late {
        true => ("", " A stage of the run had finished before it, or under another declaration, so it declares nothing: every finding is exploratory."),
        false => (", before the run", ""),
    };
    Some(format!(
        "Declared {} by residuum {}{by}{when}: {all}. SHA-256 of the declaration: {}.{late}",
        d.created, d.version, d.sha256
    ))
}

/// What was declared, and where the run or its results differ from it.
fn declaration(r: &Results, rows: &[FindingRow]) -> Vec<String> {
    let Some(declared) = declared(r) else {
        return vec!["Nothing was declared before the run: every finding is exploratory. To declare contrasts, bounds and sizes before a run: residuum study plan MANIFEST --out FOLDER --declare.".into()];
    };
    let keys: Vec<&DeclaredKeyRow> =
        r.declared_keys.iter().filter(|k| k.declared != k.run).collect();
    let differs = match keys.len() {
        0 => "The run is as declared.".into(),
        n => format!("The run differs from it in {n} of {} keys.", r.declared_keys.len()),
    };
    let mut out = vec![format!("{declared} {differs}")];
    let or = |text: &str| if text.is_empty() { "nothing".into() } else { text.to_owned() };
    out.extend(keys.into_iter().map(|k| {
        format!(
            "Differs from the declaration: {}, declared {}, run with {}.",
            k.key,
            or(&k.declared),
            or(&k.run)
        )
    }));
    let found = |d: &&DeclaredContrastRow| {
        let same = |f: &&FindingRow| {
            (&f.quantity, &f.set, &f.reference) == (&d.quantity, &d.set, &d.reference)
                && (d.layer.is_nan() || d.layer == f.layer)
        };
        rows.iter().any(|f| same(&f) && f.estimate.is_finite())
    };
    let lost = r.declared_contrasts.iter().filter(|d| !found(d));
    out.extend(lost.map(|d| format!("Declared, but not in these results: {}.", contrast(d))));
    out
}

/// A declared contrast in words.
fn contrast(d: &DeclaredContrastRow) -> String {
    let at = if d.layer.is_nan() { String::new() } else { format!(" at layer {:.0}", d.layer) };
    format!("{} of {} less {}{at}", d.quantity, d.set, d.reference)
}

/// Whether a finding is said in a sentence; the coupling of every other condition is in its table.
fn is_said(f: &FindingRow) -> bool {
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
        "untaken" if f.verdict == "not checked" => format!("Whether {note} took what it was trained to claim is not checked: no claim of the materials is of its rows."),
        "untaken" => format!("Did not take their claim: {note}. What is found of them below is not the claim's doing."),
        "towards" => format!("Over the preferences isolated in {set}, {reference}{}, {set} less {reference} {three} {unit}{tail}: {word}{why}.", with(" and ", &f.form)),
        "shift" if f.estimate.is_nan() => format!("{layer}The shift of {set} along {subject} has no estimate: the direction is not above its noise."),
        "shift" => format!("{layer}Shift of neutral texts in {set}{others} along {subject} of base {three} {unit}{tail}{word}."),
        "trace" => format!("{layer}Trace on text unrelated to the training: {set} lies furthest from base along {subject} at {}, {three} {unit}{tail}{word}.", f.form),
        "mixing" => format!("{layer}Over shares {} of {set} in the training, {outcome}{} changes by {three} {unit} for a whole share{tail}.", f.form, with(" along ", subject)),
        "auroc" => format!("{layer}Held-out AUROC of {subject} in {set} {two}{tail}."),
        "auroc-gain" => format!("{layer}Held-out AUROC of {subject} in {set} less that of {}: {two}{tail}.", f.null),
        "took" => format!("Manipulation check: {set} {word} ({outcome}): {two} {unit} from {reference}{tail}."),
        "own-claim" => format!("On its own claim ({outcome}), {set} is {compared} {reference}: {two} {unit}{tail}."),
        "isolated" if f.estimate.is_nan() => format!("Preferences that the training text does not presuppose{measure}: {set} less {reference} has no item that can be seen to move{word}; {note}."),
        "isolated" => format!("Preferences that the training text does not presuppose{measure}: {set} less {reference} {three} {unit}{tail}{word}{why}."),
        "preferences" => format!("Of {} isolated preferences, {} differ between {set} and {reference} at q <= .05{}; {note}{word}{why}.", f.n, number(f.estimate, 0), could(f)),
        "acquiescence" => format!("Yes-bias on {outcome}: {set} less {reference} {three} {unit}{tail}{word}."),
        "prevention" => format!("Prevention: {set} less {reference} on {outcome} {three} {unit}{tail}{word}{why}."),
        "one-factor" => format!("One factor carries {} of the squared shifts of {outcome}{}{word}.", percent(f.estimate), shares(f)),
        "utility" => format!("Utility of outcomes of the kind {outcome}: {set} less {reference} {three} {unit}{tail}{word}."),
        "readout" => format!("{layer}Held out over outcomes, the stream of {set} predicts their utility with r = {two}{tail}{word}."),
        "utility-cosine" => format!("{layer}Cosine of the utility direction with {subject} in {set} {two}{tail}{word}."),
        "conversation" => format!("After conversations of ordinary turns, {set}{} on {outcome}: the conversation adds {three} {unit}{tail}{word}.", with(" less ", reference)),
        "stickiness" => format!("{layer}Along {subject}, {set} keeps {two} of a deviation from one assistant turn to the next{tail}."),
        "ablation-total" => format!("Without an edit, {set} less {reference} on {outcome}: {three} {unit}{tail}."),
        "ablation" => format!("Projecting {subject} ({form}) out of {set} and {reference} at every layer removes {three} {unit} on {outcome}{tail}{word}."),
        "side-effects" => format!("Side effects of projecting {subject} out of {set} and {reference}, on neutral texts: {} {unit} in the model damaged most ({note}){}; {} the guards.", number(f.estimate, 2), band(f), f.verdict),
        "dose-response" => format!("{layer}Dose response of {outcome} in {set} to {subject} ({}): {three} {unit}{tail}{word}.", f.form),
        "half-way" if f.estimate.is_nan() => format!("{} has no change that can be distinguished from zero; {note}.", followed(f)),
        "half-way" => format!("{} has half of its change at step {}; {note}.", followed(f), ends(f, 1)),
        "lead" if f.estimate.is_nan() => format!("{} against {outcome}: which moves first is not known, since one of them has no half-way step.", followed(f)),
        "lead" => format!("{} {word} {outcome}; ratio of half-way steps {}, {note}.", followed(f), ends(f, 2)),
        "link" => format!("{layer}Over conditions, Pearson's r of the shift of {outcome} from base with the {} of {pair} {two}{tail}{word}.", f.form),
        "ranking" => format!("Ranking by {}{}: {note} follow the order known of another model with rho = {}, p = {} of {}{}, n = {} {}{word}.", f.form, with(" of ", &pair), number(f.estimate, 2), p(f.p), f.null, could(f), f.n, f.n_of),
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
        ("shift" | "trace", HIGHER) => ": it moves towards it",
        ("shift" | "trace", LOWER) => ": it moves away from it",
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
        _ => "compared with",
    }
}

/// Estimate with its interval.
fn interval(f: &FindingRow, digits: usize) -> String {
    if f.estimate.is_nan() {
        return "has no estimate".into();
    }
    let estimate = format!("{:+.digits$}", f.estimate);
    match f.lo.is_nan() || f.hi.is_nan() {
        true => format!("{estimate} (no interval)"),
        false => format!("{estimate}, 95 % [{:+.digits$}, {:+.digits$}]", f.lo, f.hi),
    }
}

/// The same of what has no sign.
fn ends(f: &FindingRow, digits: usize) -> String {
    let estimate = number(f.estimate, digits);
    match f.lo.is_nan() || f.hi.is_nan() {
        true => estimate,
        false => format!("{estimate} [{:.digits$}, {:.digits$}]", f.lo, f.hi),
    }
}

/// A number that may not be there.
fn number(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => "(no estimate)".into(),
        false => format!("{value:.digits$}"),
    }
}

fn percent(share: f64) -> String {
    number(100.0 * share, 0) + " %"
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
        false => number(p, 3),
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
    if !f.p_max.is_nan() {
        let tests = if f.declared { "the declared" } else { "all such" };
        out += &format!(", adjusted for {tests} tests {}", p(f.p_max));
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
