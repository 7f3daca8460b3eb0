//! Findings as sentences: one row, one sentence that a person would write.
//!
//! A sentence has at most [`LONGEST`] words, one number with its interval, and no parenthesis within
//! another. What the number is read against (null, p, n, notes, definition) are its [`details`]. Nothing is
//! computed here; the words of each quantity are in [`wording`](super::wording).

use crate::analysis::records::{DeclaredContrastRow, DeclaredKeyRow, FindingRow, Results};
use crate::analysis::verdict::{EQUIVALENT, HIGHER, LOWER, NONE, UNTESTABLE};
use crate::analysis::BASE;
use serde::Serialize;

pub use super::wording::sentence;

/// Words of a sentence.
pub const LONGEST: usize = 30;
/// What the words of judgement mean, said once above the sentences.
pub const LEGEND: &str = "\"Neither shown nor excluded\" is no evidence of absence. \"Equivalent\" means that the whole interval lies within bounds that were fixed beforehand.";

/// A sentence and what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sentence {
    /// The sentence; now and then a second one behind it.
    pub text: String,
    /// Null, p, n, notes and definition, each with its name.
    pub details: Vec<(&'static str, String)>,
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Sentence { text, details: Vec::new() }
    }
}

impl From<&FindingRow> for Sentence {
    fn from(f: &FindingRow) -> Self {
        Sentence { text: sentence(f), details: details(f) }
    }
}

/// A heading with its sentences; no heading where nothing is set apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Said {
    /// What they have in common.
    pub heading: String,
    /// How many of them have which verdict; empty where it is not worth a line.
    pub tally: String,
    /// One a finding, or a difference from what was declared.
    pub sentences: Vec<Sentence>,
}

/// What a finding is about, in the order in which a reader asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Whether a condition took its claim.
    Manipulation,
    /// What moved in the stream.
    Inside,
    /// What moved in preferences and answers.
    Behaviour,
    /// What an edit of a direction does.
    Cause,
    /// What moved first, and links over conditions.
    Order,
    /// How well directions separate their sides.
    Directions,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 6] = [
        Topic::Manipulation,
        Topic::Inside,
        Topic::Behaviour,
        Topic::Cause,
        Topic::Order,
        Topic::Directions,
    ];

    /// Of a finding.
    pub fn of(f: &FindingRow) -> Topic {
        match f.quantity.as_str() {
            "untaken" | "took" | "own-claim" => Topic::Manipulation,
            "auroc" | "auroc-gain" => Topic::Directions,
            "ablation-total" | "ablation" | "side-effects" | "dose-response" => Topic::Cause,
            "half-way" | "lead" | "link" | "ranking" => Topic::Order,
            "coupling" | "change-of-coupling" | "shift" | "trace" | "stickiness" | "readout"
            | "utility-cosine" => Topic::Inside,
            _ => Topic::Behaviour,
        }
    }

    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Topic::Manipulation => "Manipulation check",
            Topic::Inside => "Inside the model",
            Topic::Behaviour => "Behaviour",
            Topic::Cause => "Cause",
            Topic::Order => "Order and links",
            Topic::Directions => "Quality of directions",
        }
    }
}

/// All that is said of a file: conditions that did not take their claim and what was declared, then
/// findings that were declared, then the others by topic. A file without a study has nothing declared.
pub fn said(r: &Results, rows: &[FindingRow]) -> Vec<Said> {
    let of = |heading: String, is: &dyn Fn(&FindingRow) -> bool| -> Said {
        let own: Vec<&FindingRow> = rows.iter().filter(|f| is_said(f) && is(f)).collect();
        let sentences = own.iter().map(|f| Sentence::from(*f)).collect();
        Said { heading, tally: tally(&own), sentences }
    };
    let study = !r.conditions.is_empty();
    let first = |f: &FindingRow| f.quantity == "untaken";
    let mut all = Vec::new();
    if study {
        let mut opening = of(String::new(), &first);
        opening.sentences.extend(declaration(r, rows));
        opening.tally.clear();
        all.push(opening);
        all.push(of("Declared before the run".into(), &|f| f.declared));
    }
    all.extend(Topic::ALL.map(|topic| {
        let heading = topic.name();
        let heading = if study { format!("Exploratory: {heading}") } else { heading.into() };
        of(heading, &|f| Topic::of(f) == topic && !(study && (f.declared || first(f))))
    }));
    all.retain(|s| !s.sentences.is_empty());
    all
}

/// Verdicts and how often each was given: `3 higher, 5 neither shown nor excluded`.
fn tally(rows: &[&FindingRow]) -> String {
    let words = [
        (HIGHER, "higher"),
        (LOWER, "lower"),
        ("more", "more than controls"),
        (EQUIVALENT, "equivalent"),
        (NONE, "neither shown nor excluded"),
        (UNTESTABLE, "not testable"),
    ];
    let count = |word: &str| rows.iter().filter(|f| f.verdict == word).count();
    let each = words.into_iter().map(|(word, said)| (count(word), said)).filter(|c| c.0 > 0);
    each.map(|(n, said)| format!("{n} {said}")).collect::<Vec<_>>().join(", ")
}

/// What was declared and when, in one line for a terminal; nothing where nothing was.
pub fn declared(r: &Results) -> Option<String> {
    let d = r.declaration.first()?;
    let all: Vec<String> = r.declared_contrasts.iter().map(contrast).collect();
    let texts = [opening(r)?.text, all.join("; "), format!("SHA-256 {}", d.sha256)];
    Some(texts.join(" "))
}

/// When and by what it was declared.
fn opening(r: &Results) -> Option<Sentence> {
    let d = r.declaration.first()?;
    let late = match d.late {
        true => " A stage had finished before it, or under another declaration. So it declares nothing: every finding is exploratory.",
        false => "",
    };
    let before = if d.late { "" } else { " before the run" };
    let text = format!(
        "Declared {} by residuum {}{before}: {} contrasts.{late}",
        d.created,
        d.version,
        r.declared_contrasts.len()
    );
    let all: Vec<String> = r.declared_contrasts.iter().map(contrast).collect();
    let details = [
        ("contrasts", all.join("; ")),
        ("commit", d.commit.clone()),
        ("SHA-256", d.sha256.clone()),
    ];
    Some(Sentence { text, details: details.into_iter().filter(|d| !d.1.is_empty()).collect() })
}

/// What was declared, and where the run or its results differ from it.
fn declaration(r: &Results, rows: &[FindingRow]) -> Vec<Sentence> {
    let Some(opening) = opening(r) else {
        let how = "residuum study plan MANIFEST --out FOLDER --declare";
        return vec![Sentence {
            text: "Nothing was declared before the run: every finding is exploratory.".into(),
            details: vec![("to declare before a run", how.into())],
        }];
    };
    let keys: Vec<&DeclaredKeyRow> =
        r.declared_keys.iter().filter(|k| k.declared != k.run).collect();
    let differs = match keys.len() {
        0 => "The run is as declared.".into(),
        n => format!("The run differs from it in {n} of {} keys.", r.declared_keys.len()),
    };
    let mut out = vec![opening, differs.into()];
    let or = |text: &str| if text.is_empty() { "nothing".into() } else { text.to_owned() };
    out.extend(keys.into_iter().map(|k| Sentence {
        text: format!("Differs from the declaration: {}.", k.key),
        details: vec![("declared", or(&k.declared)), ("run with", or(&k.run))],
    }));
    let found = |d: &&DeclaredContrastRow| {
        let same = |f: &&FindingRow| {
            (&f.quantity, &f.set, &f.reference) == (&d.quantity, &d.set, &d.reference)
                && (d.layer.is_nan() || d.layer == f.layer)
        };
        rows.iter().any(|f| same(&f) && f.estimate.is_finite())
    };
    let lost = r.declared_contrasts.iter().filter(|d| !found(d));
    let lost = lost.map(|d| format!("Declared, but not in these results: {}.", contrast(d)));
    out.extend(lost.map(Sentence::from));
    out
}

/// A declared contrast in words.
fn contrast(d: &DeclaredContrastRow) -> String {
    let at = if d.layer.is_nan() { String::new() } else { format!(" at layer {:.0}", d.layer) };
    format!("{} of {} less {}{at}", d.quantity, d.set, d.reference)
}

/// Whether a finding is said in a sentence; the coupling of every other condition is in its table.
pub fn is_said(f: &FindingRow) -> bool {
    f.quantity != "coupling" || f.set == BASE
}

/// What a number is read against: null with its band, p, what the test could show, n, notes, definition.
pub fn details(f: &FindingRow) -> Vec<(&'static str, String)> {
    let known = |v: f64| (!v.is_nan()).then_some(v);
    let band = match f.null_lo.is_nan() || f.null_hi.is_nan() {
        true => String::new(),
        false if f.null_lo == f.null_hi => format!(": {:+.3}", f.null_lo),
        false => format!(": {:+.3} to {:+.3}", f.null_lo, f.null_hi),
    };
    let tests = if f.declared { "the declared" } else { "all such" };
    let all = [
        known(f.p).map(p),
        known(f.p_max).map(|v| format!("adjusted for {tests} tests {}", p(v))),
        known(f.q).map(|v| format!("q = {}", p(v))),
        known(f.least_p).map(|v| format!("could be no less than {}", p(v))),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    let n = if f.n > 0 { format!("{} {}", f.n, f.n_of) } else { String::new() };
    let found = [
        ("read against", format!("{}{band}", f.null)),
        ("p", all.join(", ")),
        (
            "shows with a chance of .8",
            known(f.detectable).map_or(String::new(), |v| format!("an effect of {v:.3}")),
        ),
        ("bounds of equivalence", known(f.bound).map_or(String::new(), |v| format!("\u{b1}{v}"))),
        ("n", n),
        ("form", f.form.clone()),
        ("notes", f.note.clone()),
        ("definition", f.definition.clone()),
    ];
    found.into_iter().filter(|d| !d.1.is_empty()).collect()
}

/// A p or q.
fn p(p: f64) -> String {
    match p < 0.001 {
        true => format!("{p:.1e}"),
        false => format!("{p:.3}"),
    }
}
