//! The words of a finding: one row, one sentence that a person would write.
//!
//! Each number is a field of the row, and the word of judgement is its verdict; no sentence says of a number
//! in other words that it moved. A quantity that this file does not know is said plainly.

use crate::analysis::findings::UNTAKEN;
use crate::analysis::records::FindingRow;
use crate::analysis::verdict::{EQUIVALENT, HIGHER, LOWER, NONE, UNTESTABLE};

/// Names that a sentence lists before it counts the others.
const LISTED: usize = 8;

/// The sentence of a finding.
pub fn sentence(f: &FindingRow) -> String {
    let (set, reference, outcome, form) = (&f.set, &f.reference, &f.outcome, &f.form);
    let (two, three) = (interval(f, 2), interval(f, 3));
    let (subject, word, why, tuned) = (bare(&f.subject), word(f), explained(f), form_of(f));
    let measure = if form == "log-odds" { String::new() } else { format!(" by {form}") };
    let guards = match f.verdict.is_empty() {
        true => String::new(),
        false => format!(", {} the guards", f.verdict),
    };
    let presupposed = "preferences that the training text does not presuppose";
    let text = match f.quantity.as_str() {
        "coupling" => {
            let against = with(" against ", &f.null);
            format!("the cosine of {subject} in {set}{tuned} is {two}{against}.")
        }
        "change-of-coupling" => {
            against(f, &format!("the cosine of {subject} in {set}{tuned}"), &two)
        }
        "untaken" if f.verdict == "not checked" => format!("whether {} took what it was trained to claim is not checked: no claim of the materials is of its rows.", f.note),
        "untaken" => format!("these did not take their claim: {}. What else is found of them is not the claim's doing.", few(&f.note)),
        "towards" => format!("over preferences isolated in {}, {set} less {reference} is {three}: {word}.{why}", listed(&[set, reference, form])),
        "shift" if f.estimate.is_nan() => format!("the shift of {set} along {subject} has no estimate: the direction is not above its noise."),
        "shift" if reference == "others" => format!("neutral texts in {set}, less what other identity fine-tunes share, shift along {subject} by {three}{word}."),
        "shift" => format!("neutral texts in {set} shift along {subject} of base by {three}{word}."),
        "trace" => format!("on text unrelated to the training, {set} lies furthest from base along {subject} at {form}: {three}{word}."),
        "mixing" => format!("{outcome}{} changes by {three} for a whole share of {set} in the training.", with(" along ", &subject)),
        "auroc" => format!("the held-out AUROC of {subject} in {set} is {two}."),
        "auroc-gain" => format!("the held-out AUROC of {subject} in {set} less that of {} is {two}.", f.null),
        "took" => format!("manipulation check: {set} {word}{}: {two} from {reference}.", claimed(f)),
        "own-claim" => against(f, &format!("{set} on its own claim"), &two),
        "isolated" if f.estimate.is_nan() => format!("no item can be seen to move: {presupposed}{measure} have no estimate for {set} less {reference}."),
        "isolated" => isolated(f, presupposed, &measure, &three) + &why,
        "preferences" if f.verdict == UNTESTABLE => format!("whether any of {} isolated preferences differs between {set} and {reference} is not testable at this n.", f.n),
        "preferences" => format!("of {} isolated preferences, {} differ between {set} and {reference} at q <= .05.{why}", f.n, number(f.estimate, 0)),
        "acquiescence" => format!("yes-bias on {outcome}: {set} less {reference} is {three}{word}."),
        "prevention" => format!("prevention: {set} less {reference} on {outcome} is {three}{word}.{why}"),
        "one-factor" if f.estimate.is_nan() => format!("how far one factor carries the shifts of {outcome} has no estimate."),
        "one-factor" => format!("one factor carries {:.0} % of the squared shifts of {outcome}{word}.", 100.0 * f.estimate),
        "utility" => format!("utility of outcomes of the kind {outcome}: {set} less {reference} is {three}{word}."),
        "readout" => format!("held out over outcomes, the stream of {set} predicts their utility with r = {two}{word}."),
        "utility-cosine" => format!("the cosine of the utility direction with {subject} in {set} is {two}{word}."),
        "conversation" => format!("ordinary turns add to {set}{} on {outcome}: {three}{word}.", with(" less ", reference)),
        "stickiness" => format!("along {subject}, {set} keeps {two} of a deviation from one assistant turn to the next."),
        "ablation-total" => format!("without an edit, {set} less {reference} on {outcome} is {three}."),
        "ablation" => format!("projecting {subject}{tuned} out of {set} and {reference} at every layer removes {three} on {outcome}.{word}"),
        "side-effects" => format!("projecting {subject}{tuned} out of {set} and {reference} costs {} {} on neutral texts in the model damaged most{guards}.", number(f.estimate, 2), f.unit),
        "dose-response" => format!("dose response of {outcome} in {set} to {subject}{tuned} is {three}{word}."),
        "half-way" if f.estimate.is_nan() => format!("over training, {} has no change that can be distinguished from zero.", followed(f)),
        "half-way" => format!("over training, {} has half of its change at step {}.", followed(f), ends(f, 1)),
        "lead" => lead(f),
        "link" => format!("over conditions, the correlation of {outcome} with the {form} of {subject} is {two}{word}."),
        "ranking" if f.estimate.is_nan() => format!("whether the {form}{} ranks the conditions in an order known of another model has no estimate.", with(" of ", &subject)),
        "ranking" => format!("ranked by the {form}{}, the conditions follow the order known of another model with rho = {:+.2}{word}.", with(" of ", &subject), f.estimate),
        other => format!("{other} of {set} is {three}{word}."),
    };
    let untaken = match f.note.contains(UNTAKEN) {
        true => " The claim was not taken, so this is not the claim's.",
        false => "",
    };
    opened(f, &text) + untaken
}

/// The layer, or else a capital, before a text that begins with words of this file.
fn opened(f: &FindingRow, text: &str) -> String {
    let own = ["half-way", "lead"].contains(&&*f.quantity); // said where the quantity is named
    if !f.layer.is_nan() && !own {
        return format!("Layer {:.0}: {text}", f.layer);
    }
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// What is compared with the reference, by its verdict.
fn against(f: &FindingRow, what: &str, number: &str) -> String {
    let other = &f.reference;
    match f.verdict.as_str() {
        HIGHER => format!("{what} is higher than {other}'s: {number}."),
        LOWER => format!("{what} is lower than {other}'s: {number}."),
        EQUIVALENT => format!("{what} is equivalent to {other}'s within the bounds: {number}."),
        NONE => {
            format!(
                "whether {what} differs from {other}'s is neither shown nor excluded: {number}."
            )
        }
        UNTESTABLE => {
            format!("whether {what} differs from {other}'s is not testable at this n: {number}.")
        }
        _ => format!("{what} less {other}'s is {number}."),
    }
}

/// Preferences of a condition and of the reference, by the verdict.
fn isolated(f: &FindingRow, what: &str, measure: &str, number: &str) -> String {
    let (set, other) = (&f.set, &f.reference);
    match f.verdict.as_str() {
        HIGHER => format!("{what}{measure} are higher in {set} than in {other}: {number}."),
        LOWER => format!("{what}{measure} are lower in {set} than in {other}: {number}."),
        EQUIVALENT => {
            format!("{what}{measure} are equivalent within the bounds in {set} and {other}: {number}.")
        }
        NONE => format!("whether {what}{measure} differ between {set} and {other} is neither shown nor excluded: {number}."),
        UNTESTABLE => format!("{what}{measure} are not testable at this n for {set} less {other}: {number}."),
        _ => format!("{what}{measure} are {number} for {set} less {other}."),
    }
}

/// Which of two moves first over training.
fn lead(f: &FindingRow) -> String {
    let (what, outcome, ratio) = (quantity(f), &f.outcome, ends(f, 2));
    let between = format!("in {} less {}", f.set, f.reference);
    match f.verdict.as_str() {
        _ if f.estimate.is_nan() => format!("{between}, whether {what} or {outcome} moves first is not known: one has no half-way step."),
        "first" => format!("{between}, {what} moves before {outcome}: ratio of half-way steps {ratio}."),
        "second" => format!("{between}, {what} moves after {outcome}: ratio of half-way steps {ratio}."),
        _ => format!("{between}, whether {what} or {outcome} moves first is not shown: half-way ratio {ratio}."),
    }
}

/// The verdict in words, where the sentence does not say it otherwise.
fn word(f: &FindingRow) -> String {
    let (set, reference) = (&f.set, &f.reference);
    let text = match (f.quantity.as_str(), f.verdict.as_str()) {
        ("took", "took") => "took its claim",
        ("took", "rose") => "rose on its claim, but did not take it",
        ("took", _) => "did not take its claim",
        ("acquiescence", "acquiescence") => {
            ": acquiescence, it says Yes to more and is not shown to prefer more"
        }
        ("towards", "towards") => return format!("{set} moved towards the expressing side"),
        ("towards", "away") => return format!("{set} moved away from the expressing side"),
        ("towards", "reference towards") => {
            return format!("{reference} moved towards the expressing side")
        }
        ("towards", "reference away") => {
            return format!("{reference} moved away from the expressing side")
        }
        ("towards", _) => "which side moved is not shown",
        ("ablation", "more") => " That is more than its controls remove.",
        ("ablation", EQUIVALENT) => " That is less than a third of the shift.",
        ("ablation", NONE) => {
            " Whether it is more than its controls remove is neither shown nor excluded."
        }
        ("ablation", UNTESTABLE) => {
            " Whether it is more than its controls remove is not testable at this n."
        }
        ("ablation", _) => "",
        ("ranking", HIGHER | LOWER) => ": more than chance",
        ("shift" | "trace", HIGHER) => ": it moves towards it",
        ("shift" | "trace", LOWER) => ": it moves away from it",
        (_, HIGHER) => ": higher",
        (_, LOWER) => ": lower",
        (_, EQUIVALENT) => ": equivalent to none",
        (_, NONE) => ": neither shown nor excluded",
        (_, UNTESTABLE) => ": not testable at this n",
        _ => "",
    };
    text.into()
}

/// What else moved and may explain a contrast.
fn explained(f: &FindingRow) -> String {
    match f.explanation.is_empty() {
        true => String::new(),
        false => {
            let (first, rest) = f.explanation.split_at(1);
            format!(" {}{rest} moved as well, a possible explanation.", first.to_uppercase())
        }
    }
}

/// What of a trajectory: sides, quantity, subject and layer.
fn followed(f: &FindingRow) -> String {
    format!("{} of {} less {}", quantity(f), f.set, f.reference)
}

/// A quantity of a trajectory with its subject and layer.
fn quantity(f: &FindingRow) -> String {
    let at = if f.layer.is_nan() { String::new() } else { format!(" at layer {:.0}", f.layer) };
    format!("{}{}{at}", f.form, with(" of ", &bare(&f.subject)))
}

/// A claim by its name, where that is not the condition's.
fn claimed(f: &FindingRow) -> String {
    match f.outcome == f.set {
        true => String::new(),
        false => with(" of ", &f.outcome),
    }
}

/// A text behind words, or nothing without it.
pub(super) fn with(words: &str, text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("{words}{text}"),
    }
}

/// A subject without what its form says again: `a x b` is a pair, `sentiment (placebo)` sentiment.
fn bare(subject: &str) -> String {
    let subject = subject.split_once(" (").map_or(subject, |(name, _)| name);
    subject.replace(" x ", " and ")
}

/// Names as a list.
fn listed(names: &[&String]) -> String {
    let names: Vec<&str> = names.iter().map(|n| n.as_str()).filter(|n| !n.is_empty()).collect();
    match names[..] {
        [] => String::new(),
        [one] => one.into(),
        [ref front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// A list of names without most of a long one.
fn few(names: &str) -> String {
    let all: Vec<&str> = names.split(", ").collect();
    match all.len().saturating_sub(LISTED) {
        0 => names.into(),
        more => format!("{} and {more} more", all[..LISTED].join(", ")),
    }
}

fn form_of(f: &FindingRow) -> &'static str {
    match f.form.as_str() {
        "own" => ", read in the fine-tune,",
        "base" => ", read in base,",
        "placebo" => ", a placebo,",
        "relative" => ", relative to its ceiling,",
        "cleaned" => ", cleaned of nuisances,",
        "whitened" => ", whitened,",
        _ => "",
    }
}

/// Estimate with its unit and its interval.
fn interval(f: &FindingRow, digits: usize) -> String {
    if f.estimate.is_nan() {
        return "without an estimate".into();
    }
    let unit = match f.unit.as_str() {
        "cosine" | "AUROC" | "r" | "Pearson's r" | "rate" | "share" | "share a turn" => "",
        unit => unit,
    };
    let estimate = format!("{:+.digits$}{}", f.estimate, with(" ", unit));
    match f.lo.is_nan() || f.hi.is_nan() {
        true => format!("{estimate} (no interval)"),
        false => format!("{estimate}, 95 % [{:+.digits$}, {:+.digits$}]", f.lo, f.hi),
    }
}

/// The same of what has no sign and no unit.
fn ends(f: &FindingRow, digits: usize) -> String {
    let estimate = number(f.estimate, digits);
    match f.lo.is_nan() || f.hi.is_nan() {
        true => estimate,
        false => format!("{estimate}, 95 % [{:.digits$}, {:.digits$}]", f.lo, f.hi),
    }
}

/// A number that may not be there.
fn number(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => "an unknown number".into(),
        false => format!("{value:.digits$}"),
    }
}
