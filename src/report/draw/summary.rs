//! The study in one figure, and what was held to bounds of equivalence: both made of findings.

use super::{counts, estimate, Drawing};
use crate::analysis::findings::findings;
use crate::analysis::records::{distinct, ContrastRow, FindingRow, Results};
use crate::analysis::{verdict, BASE};
use crate::figures::forest::{ForestData, ForestPanel, ForestRow};
use crate::figures::{forest, Estimate, FigureError};

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    let made = d.r.findings.is_empty().then(|| findings(d.r).0);
    let rows = made.as_deref().unwrap_or(&d.r.findings);
    d.keep(forest::draw(&overview(d.r, rows), &d.conditions, d.out))?;
    d.keep(forest::draw(&equivalence(d.r, rows), &d.conditions, d.out))
}

const NONE: (f64, f64) = (f64::NAN, f64::NAN);

/// A row in the colour of a condition.
fn row(group: &str, name: String, of: &str, estimate: Estimate) -> ForestRow {
    let (group, of) = (group.into(), of.into());
    let (hollow, null, controls, text) = (false, NONE, Vec::new(), String::new());
    ForestRow { group, name, of, estimate, hollow, null, controls, text }
}

/// The row of a finding, with its verdict.
fn found(f: &FindingRow, group: &str, name: String) -> ForestRow {
    let text = if f.verdict == verdict::NONE { "not shown" } else { &f.verdict };
    ForestRow {
        // A range of controls beside an edit that is not counted among them is no null of it.
        null: if f.null.is_empty() { NONE } else { (f.null_lo, f.null_hi) },
        text: text.into(),
        ..row(group, name, &f.set, estimate(f.estimate, f.lo, f.hi))
    }
}

fn less(set: &str, reference: &str) -> String {
    format!("{set} less {reference}")
}

/// Whether a finding is of few enough: without a focus, every condition stands against the reference alone.
fn is_kept(r: &Results, f: &FindingRow) -> bool {
    r.focus().is_some() || f.reference == r.reference().unwrap_or(BASE)
}

/// Manipulation, inside, behaviour and cause, a panel each; what was not measured has none.
fn overview(r: &Results, rows: &[FindingRow]) -> ForestData {
    let parts = [manipulation(r), inside(r, rows), behaviour(r, rows), cause(rows)];
    let known = parts.into_iter().filter(|(panel, _)| !panel.rows.is_empty());
    let (mut panels, mut said) = (Vec::new(), Vec::new());
    for (letter, (panel, words)) in ('a'..).zip(known) {
        said.push(format!("{letter}: {words}"));
        panels.push(ForestPanel { title: format!("{letter}  {}", panel.title), ..panel });
    }
    ForestData {
        name: "overview".into(),
        title: "The study in one figure".into(),
        caption: format!(
            "{} Bars: 95 % intervals as the findings have them. Words: verdicts of the findings.",
            said.join(" ")
        ),
        hollow: "claim not taken".into(),
        null: "range of control directions".into(),
        controls: "other conditions on the same claim".into(),
        panels,
    }
}

fn panel(title: &str, x_label: String, bound: f64, rows: Vec<ForestRow>) -> ForestPanel {
    ForestPanel { title: title.into(), x_label, bound, rows }
}

/// How far each condition moved on its own claim, and the others on it.
fn manipulation(r: &Results) -> (ForestPanel, String) {
    let tuned = r.tuned();
    let taken = r.took.iter().filter(|t| tuned.is_empty() || tuned.contains(&&*t.set));
    let mut items = Vec::new();
    let rows = taken.filter_map(|t| {
        let on = || r.claims.iter().filter(|c| c.claim == t.claim);
        let own = on().find(|c| c.set == t.set)?;
        items.push(own.n);
        let others = on().filter(|c| !c.own && tuned.contains(&&*c.set));
        Some(ForestRow {
            hollow: !t.took,
            controls: others.map(|c| c.estimate).filter(|v| !v.is_nan()).collect(),
            text: if t.took { "taken".into() } else { "not taken".into() },
            ..row("", t.set.clone(), &t.set, estimate(own.estimate, own.lo, own.hi))
        })
    });
    let rows = rows.collect();
    let words = format!(
        "each condition on the claim that it was trained on, less base; n = {} items a claim.",
        counts(items.into_iter())
    );
    let label = "own claim less base (nats a token)";
    (panel("Manipulation", label.into(), f64::NAN, rows), words)
}

/// How the coupling changed; without couples, where the texts moved.
fn inside(r: &Results, rows: &[FindingRow]) -> (ForestPanel, String) {
    let changed = |f: &&FindingRow| f.quantity == "change-of-coupling" && f.form == "relative";
    let changes: Vec<&FindingRow> =
        rows.iter().filter(changed).filter(|f| is_kept(r, f) && f.estimate.is_finite()).collect();
    if let Some(first) = changes.first() {
        let several = changes.iter().any(|f| f.subject != first.subject);
        let group = |f: &FindingRow| match several {
            true => format!("{}, layer {}", f.subject, f.layer),
            false => format!("layer {}", f.layer),
        };
        let list = changes.iter().map(|f| found(f, &group(f), less(&f.set, &f.reference)));
        let subject = if several { "concepts" } else { &first.subject };
        let words = format!(
            "change of the cosine of {} over the ceiling that noise sets; n = {} prompts.",
            subject.replace(" x ", " and "),
            counts(changes.iter().map(|f| f.n))
        );
        let label = "change of the relative cosine";
        return (panel("Inside", label.into(), first.bound, list.collect()), words);
    }
    let (reported, coupled, position) = (r.reported(), r.coupled(), r.shift_position());
    let (compared, about) = (r.compared(), r.about());
    let shifts = r.shift_contrasts.iter().filter(|s| {
        compared.contains(&(&*s.set, &*s.reference))
            && about.contains(&&*s.set)
            && (r.focus().is_some() || s.reference == r.reference().unwrap_or(BASE))
            && s.position == position
            && s.beyond.is_empty()
            && reported.contains(&s.layer)
            && coupled.contains(&&*s.concept)
            && s.estimate.is_finite()
    });
    let own: Vec<_> = shifts.collect();
    let list = own.iter().map(|s| {
        let group = format!("{}, layer {}", s.concept, s.layer);
        row(&group, less(&s.set, &s.reference), &s.set, estimate(s.estimate, s.lo, s.hi))
    });
    let words = format!(
        "shift of neutral texts along base's directions; n = {} texts.",
        counts(own.iter().map(|s| s.n))
    );
    let label = "difference of shifts (layer RMS)";
    (panel("Inside", label.into(), f64::NAN, list.collect()), words)
}

/// What moved over all items of isolated preferences.
fn behaviour(r: &Results, rows: &[FindingRow]) -> (ForestPanel, String) {
    let own = |f: &&FindingRow| f.quantity == "isolated" && f.form == "log-odds";
    let kept: Vec<&FindingRow> =
        rows.iter().filter(own).filter(|f| is_kept(r, f) && f.estimate.is_finite()).collect();
    let (about, reference) = (r.about(), r.reference().unwrap_or(BASE));
    let others = r.contrasts.iter().filter(|c| {
        (&*c.kind, &*c.measure, &*c.reference) == ("isolated", "log-odds", reference)
            && !kept.iter().any(|f| f.set == c.set && f.reference == c.reference)
            && !about.contains(&&*c.set)
            && c.estimate.is_finite()
    });
    let others: Vec<&ContrastRow> = others.collect();
    let mut list: Vec<ForestRow> =
        kept.iter().map(|f| found(f, "", less(&f.set, &f.reference))).collect();
    list.extend(
        others
            .iter()
            .map(|c| row("", less(&c.set, &c.reference), &c.set, estimate(c.estimate, c.lo, c.hi))),
    );
    let words = format!(
        "stance over all items of preferences that the training presupposes in neither; n = {} items.",
        counts(kept.iter().map(|f| f.n).chain(others.iter().map(|c| c.n)).collect::<Vec<_>>().into_iter())
    );
    let label = "isolated preferences (nats a token)".to_owned();
    (panel("Behaviour", label, r.bound("preference"), list), words)
}

/// What ablations remove of the shift; without any, what doses do.
fn cause(rows: &[FindingRow]) -> (ForestPanel, String) {
    let of = |quantity: &str| -> Vec<&FindingRow> {
        rows.iter().filter(|f| f.quantity == quantity && f.estimate.is_finite()).collect()
    };
    let (totals, removed) = (of("ablation-total"), of("ablation"));
    let key = |f: &FindingRow| (f.set.clone(), f.reference.clone(), f.outcome.clone());
    let keys = distinct(removed.iter().map(|f| key(f)));
    if !keys.is_empty() {
        let list = keys.iter().flat_map(|own| {
            let (set, reference, outcome) = own;
            let group = match keys.iter().all(|k| k.2 == *outcome) {
                true => less(set, reference),
                false => format!("{}: {outcome}", less(set, reference)),
            };
            let total = totals.iter().filter(|f| key(f) == *own).map(|f| {
                let estimate = estimate(f.estimate, f.lo, f.hi);
                ForestRow {
                    text: "the shift".into(),
                    ..row(&group, "no edit".into(), "", estimate)
                }
            });
            let each = removed
                .iter()
                .filter(|f| key(f) == *own)
                .map(|f| ForestRow { of: String::new(), ..found(f, &group, f.subject.clone()) });
            total.chain(each).collect::<Vec<_>>()
        });
        let words = format!(
            "the shift between two conditions, and what projecting a direction out of both at every layer removes of it; n = {} items.",
            counts(removed.iter().map(|f| f.n))
        );
        let label = "shift, and what is removed (nats a token)";
        return (panel("Cause", label.into(), f64::NAN, list.collect()), words);
    }
    let doses = of("dose-response");
    let list = doses.iter().map(|f| {
        let group = format!("{}, layer {}: {}", f.set, f.layer, f.outcome);
        ForestRow { of: String::new(), ..found(f, &group, f.subject.clone()) }
    });
    let words = format!(
        "change of stance a unit of dose of a direction added after one block; n = {} items.",
        counts(doses.iter().map(|f| f.n))
    );
    (panel("Cause", "slope (nats a token a layer RMS)".into(), f64::NAN, list.collect()), words)
}

/// Findings with bounds, within them or not.
fn equivalence(r: &Results, rows: &[FindingRow]) -> ForestData {
    let bounded: Vec<&FindingRow> = (rows.iter())
        .filter(|f| f.bound > 0.0 && f.estimate.is_finite() && is_kept(r, f))
        .collect();
    let several = |quantity: &str| {
        let own = bounded.iter().filter(|f| f.quantity == quantity);
        distinct(own.map(|f| &f.subject)).len() > 1
    };
    let panels = distinct(bounded.iter().map(|f| &*f.quantity)).into_iter().map(|quantity| {
        let own = || bounded.iter().filter(|f| f.quantity == quantity);
        let row = |f: &&FindingRow| {
            let subject =
                if several(quantity) { format!("{}, ", f.subject) } else { String::new() };
            let group = match f.layer.is_nan() {
                true => String::new(),
                false => format!("{subject}layer {}", f.layer),
            };
            let form = match f.form.as_str() {
                "" | "log-odds" => String::new(),
                form => format!(", {form}"),
            };
            found(f, &group, less(&f.set, &f.reference) + &form)
        };
        let (title, label) = match quantity {
            "change-of-coupling" => ("Change of coupling", "change of the cosine"),
            "isolated" => ("Isolated preferences", "difference of stance (nats a token)"),
            other => (other, own().next().map_or("", |f| f.unit.as_str())),
        };
        let bound = own().next().map_or(f64::NAN, |f| f.bound);
        panel(title, label.into(), bound, own().map(row).collect())
    });
    ForestData {
        name: "equivalence".into(),
        title: "Effects against their bounds of equivalence".into(),
        caption: format!(
            "Bars: 95 % intervals as the findings have them, n = {}. An effect is equivalent to none where its whole interval lies within the bounds, which were fixed beforehand; the null is no change.",
            distinct(bounded.iter().map(|f| format!("{} {}", f.n, f.n_of))).join(", "),
        ),
        hollow: String::new(),
        null: String::new(),
        controls: String::new(),
        panels: panels.collect(),
    }
}
