//! The first screen: the question of a file, its answer in three sentences, and what not to conclude.
//!
//! All three are chosen by rule from findings, roles and verdicts, so a study of other concepts asks its
//! own question and gives its own answer. A topic speaks through one family of findings (a quantity of the
//! same set, reference, subject and form over layers, and of every set where the study has no focus):
//! declared ones go first, then those against the study's reference, then those that the file has first. Within a family a finding that is
//! shown after its correction for all tests speaks for it; the others are given with it, so that a layer
//! that says otherwise is never out of sight.

use super::sentences::{is_said, Sentence, Topic};
use crate::analysis::findings::doubts;
use crate::analysis::records::{distinct, FindingRow, Results};
use crate::analysis::verdict::{EQUIVALENT, HIGHER, LOWER, NONE, UNTESTABLE};
use crate::analysis::BASE;
use serde::Serialize;

/// Sentences of an answer.
const SENTENCES: usize = 3;
/// Topics by how much they answer.
const ORDER: [Topic; 6] = [
    Topic::Behaviour,
    Topic::Inside,
    Topic::Cause,
    Topic::Manipulation,
    Topic::Directions,
    Topic::Order,
];
/// Quantities that a topic speaks through first.
const FIRST: [&str; 8] = [
    "isolated",
    "change-of-coupling",
    "ablation",
    "took",
    "dose-response",
    "shift",
    "coupling",
    "auroc",
];

/// What stands first in a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answer {
    /// The question that the design asks.
    pub question: String,
    /// At most three, from different topics where there are so many.
    pub parts: Vec<Part>,
    /// What not to conclude, most important first.
    pub cautions: Vec<String>,
}

/// One sentence of the answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Part {
    /// Its topic.
    pub topic: &'static str,
    /// The sentence, with what it rests on.
    pub said: Sentence,
    /// The rest of its family, such as other layers.
    pub others: Vec<String>,
}

/// The first screen of a file with these findings.
pub fn answer(r: &Results, rows: &[FindingRow], model: &str) -> Answer {
    let parts = leads(r, rows);
    Answer {
        question: question(r, rows, model),
        cautions: cautions(r, rows, &parts, model),
        parts: parts.iter().map(|family| part(family)).collect(),
    }
}

fn part(family: &[&FindingRow]) -> Part {
    let [lead, others @ ..] = family else {
        return Part::default();
    };
    Part {
        topic: Topic::of(lead).name(),
        said: Sentence::from(*lead),
        others: others.iter().map(|f| Sentence::from(*f).text).collect(),
    }
}

/// The families that answer, each with its lead first.
fn leads<'a>(r: &Results, rows: &'a [FindingRow]) -> Vec<Vec<&'a FindingRow>> {
    let mut rows: Vec<&FindingRow> =
        rows.iter().filter(|f| is_said(f) && !f.estimate.is_nan()).collect();
    let reference = r.reference().unwrap_or(BASE);
    rows.sort_by_key(|f| {
        let first = FIRST.iter().position(|q| *q == f.quantity).unwrap_or(FIRST.len());
        let about = r.about().contains(&&*f.set) || r.about().is_empty();
        // A placebo or a form that is read otherwise answers nothing alone.
        let own = !["placebo", "raw"].contains(&&*f.form) || f.quantity == "coupling";
        (!f.declared || first == FIRST.len(), first, !about, !own, f.reference != reference)
    });
    let mut families: Vec<Vec<&FindingRow>> = Vec::new();
    let one_set = r.focus().is_some();
    for f in rows {
        match families.iter_mut().find(|family| same(family[0], f, one_set)) {
            Some(family) => family.push(f),
            None => families.push(vec![f]),
        }
    }
    for family in &mut families {
        // Stable: what is shown moves before what is not.
        family.sort_by_key(|f| ![HIGHER, LOWER, "more"].contains(&&*f.verdict));
    }
    let mut taken: Vec<Vec<&FindingRow>> = Vec::new();
    // One of each topic, then second ones.
    for _ in 0..SENTENCES {
        for topic in ORDER {
            let next = families.iter().position(|family| Topic::of(family[0]) == topic);
            if let Some(i) = next.filter(|_| taken.len() < SENTENCES) {
                taken.push(families.remove(i));
            }
        }
    }
    taken.sort_by_key(|family| Topic::ALL.iter().position(|t| *t == Topic::of(family[0])));
    taken
}

/// Whether two findings differ in nothing but their layer, their null, their numbers and, if it may be, their
/// set and so their own claim.
fn same(a: &FindingRow, b: &FindingRow, one_set: bool) -> bool {
    let rest = (&a.quantity, &a.reference, &a.subject, &a.form)
        == (&b.quantity, &b.reference, &b.subject, &b.form);
    rest && (!one_set || (&a.set, &a.outcome) == (&b.set, &b.outcome))
}

/// What the design asks, from its roles and from what was measured.
fn question(r: &Results, rows: &[FindingRow], model: &str) -> String {
    let has = |topic: Topic| rows.iter().any(|f| Topic::of(f) == topic);
    let pairs: Vec<String> =
        r.pairs().iter().take(2).map(|(a, b)| format!("{a} and {b}")).collect();
    let compared = rows.iter().any(|f| !f.reference.is_empty());
    if !compared {
        return match pairs.first() {
            Some(pair) => format!("How are {pair} coupled in {model}?"),
            None if has(Topic::Directions) => {
                format!("How well do directions separate their concepts in {model}?")
            }
            None => format!("What was measured in {model}?"),
        };
    }
    let about = match (r.about().len(), r.focus()) {
        (_, Some(focus)) => focus.to_owned(),
        (1, None) => r.about()[0].to_owned(),
        (0, None) => "the condition".to_owned(),
        (n, None) => format!("each of the {n} conditions"),
    };
    let against = r.reference().unwrap_or(BASE);
    let inside = match pairs.first() {
        Some(pair) if has(Topic::Inside) => Some(format!("how {pair} are coupled")),
        _ if has(Topic::Inside) => Some("the stream".into()),
        _ => None,
    };
    let behaviour = has(Topic::Behaviour).then(|| "untrained preferences".to_owned());
    let what: Vec<String> = inside.into_iter().chain(behaviour).collect();
    let why = if has(Topic::Cause) { ", and do directions carry it" } else { "" };
    match what.is_empty() {
        true => format!("How does {about} differ from {against}{why}?"),
        false => format!("Does {about} differ from {against} in {}{why}?", what.join(" and in ")),
    }
}

/// What a reader might conclude and must not.
fn cautions(
    r: &Results,
    rows: &[FindingRow],
    parts: &[Vec<&FindingRow>],
    model: &str,
) -> Vec<String> {
    let mut out = Vec::new();
    let untaken = rows.iter().filter(|f| f.quantity == "untaken");
    out.extend(untaken.map(|f| match f.verdict.as_str() {
        "not checked" => format!(
            "That {} learnt what it was trained to claim: no claim of the materials checks it.",
            f.note
        ),
        _ => format!(
            "That findings about {} are the claim's doing: the claim was not taken.",
            counted(&f.note)
        ),
    }));
    let few = distinct(doubts(r).into_iter().map(|w| w.about));
    if !few.is_empty() {
        let names = counted(&few.join(", "));
        out.push(format!("That other fine-tunes of {names} would do the same: too few seeds were trained to know."));
    }
    let moved = rows.iter().filter(|f| !f.explanation.is_empty());
    out.extend(distinct(moved.map(|f| (&*f.set, &*f.explanation))).into_iter().map(
        |(set, why)| {
            format!("That {set} prefers otherwise: {why} moved as well and may explain it.")
        },
    ));
    let with = |word: &str| rows.iter().filter(|f| f.verdict == word).count();
    let answers = |word: &str| parts.iter().any(|family| family[0].verdict == word);
    if with(NONE) > 0 {
        out.push(format!("That there is no effect: what is neither shown nor excluded ({} findings) is no evidence of absence.", with(NONE)));
    }
    if with(UNTESTABLE) > 0 {
        out.push(format!("Anything from findings that are not testable ({}): at this n no data could have shown them.", with(UNTESTABLE)));
    }
    if answers(EQUIVALENT) {
        out.push("That equivalent means equal: it means a difference within the bounds that were fixed beforehand.".into());
    }
    let words =
        rows.iter().filter(|f| f.quantity == "auroc-gain" && (f.lo.is_nan() || f.lo <= 0.0));
    let words = distinct(words.map(|f| f.subject.as_str()));
    if !words.is_empty() {
        let names = counted(&words.join(", "));
        out.push(format!("That the direction of {names} is more than its words: a bag of words may separate them as well."));
    }
    if r.conditions.len() > 1 && !rows.iter().any(|f| Topic::of(f) == Topic::Cause) {
        out.push("That a direction causes a change: no direction was edited here.".into());
    }
    if !r.conditions.is_empty() && !r.declaration.iter().any(|d| !d.late) {
        out.push("That a finding was predicted: nothing was declared before the run.".into());
    }
    if !rows.is_empty() {
        out.push(format!("That other models do the same: all numbers are of {model}."));
    }
    out
}

/// Names, or how many there are of a long list.
fn counted(names: &str) -> String {
    let all: Vec<&str> = names.split(", ").collect();
    match all[..] {
        [ref front @ .., last] if (1..5).contains(&front.len()) => {
            format!("{} and {last}", front.join(", "))
        }
        [one] => one.into(),
        _ => format!("{} and {} more", all[..3].join(", "), all.len() - 3),
    }
}
