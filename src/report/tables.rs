//! Tables of the page: finished text made from records.

use super::sentences::p;
use super::{ReferencePoint, ReportTable, RunFile};
use crate::analysis::findings::cause::ablated;
use crate::analysis::records::{distinct, FindingRow, ReferencePointRow, Results};
use crate::analysis::BASE;

/// Every table that has rows.
pub fn all(r: &Results, found: &[FindingRow]) -> Vec<ReportTable> {
    let mut tables = vec![findings(found)];
    tables.extend(r.pairs().into_iter().map(|pair| coupling(r, pair)));
    tables.extend(r.about().into_iter().map(|set| preferences(r, set)));
    tables.push(ablations(r));
    tables.retain(|t| !t.rows.is_empty());
    tables
}

fn table(title: String, caption: String, columns: &[&str], rows: Vec<Vec<String>>) -> ReportTable {
    ReportTable {
        title,
        caption,
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows,
    }
}

/// A number; `-` where there is none.
fn number(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => "-".into(),
        false => format!("{value:+.digits$}"),
    }
}

/// The ends of an interval or band.
fn ends(lo: f64, hi: f64, digits: usize) -> String {
    match lo.is_nan() || hi.is_nan() {
        true => "-".into(),
        false => format!("[{lo:+.digits$}, {hi:+.digits$}]"),
    }
}

fn both(value: f64, lo: f64, hi: f64, digits: usize) -> String {
    match lo.is_nan() || hi.is_nan() {
        true => number(value, digits),
        false => format!("{} {}", number(value, digits), ends(lo, hi, digits)),
    }
}

fn layer(layer: f64) -> String {
    match layer.is_nan() {
        true => String::new(),
        false => format!("{layer:.0}"),
    }
}

/// `word value` of the numbers that exist.
fn tests(f: &FindingRow) -> String {
    let numbers = [("p", f.p), ("max-T", f.p_max), ("q", f.q)];
    let known = numbers.into_iter().filter(|(_, v)| !v.is_nan());
    let mut parts: Vec<String> = known.map(|(name, v)| format!("{name} {}", p(v))).collect();
    if !f.null_lo.is_nan() && !f.null.is_empty() {
        parts.insert(0, format!("{} {}", f.null, ends(f.null_lo, f.null_hi, 2)));
    }
    parts.join("; ")
}

fn findings(found: &[FindingRow]) -> ReportTable {
    let rows = found.iter().map(|f| {
        let set = match f.reference.is_empty() {
            true => f.set.clone(),
            false => format!("{} less {}", f.set, f.reference),
        };
        let named = [&f.outcome, &f.subject, &f.form].map(String::as_str);
        let named: Vec<&str> = named.into_iter().filter(|t| !t.is_empty()).collect();
        vec![
            f.quantity.clone(),
            set,
            named.join(", "),
            layer(f.layer),
            number(f.estimate, 3),
            ends(f.lo, f.hi, 3),
            f.unit.clone(),
            tests(f),
            match f.n {
                0 => String::new(),
                n => format!("{n} {}", f.n_of),
            },
        ]
    });
    table(
        "What was found".into(),
        "Estimates with 95 % intervals, the null or test beside them, and n. Definitions are in findings.json and results.h5.".into(),
        &["quantity", "of", "on", "layer", "estimate", "95 % interval", "unit", "null or test", "n"],
        rows.collect(),
    )
}

/// A pair's cosine in every condition with everything that it is to be read against.
fn coupling(r: &Results, (a, b): (&str, &str)) -> ReportTable {
    let own: Vec<_> = (r.condition_coupling.iter())
        .filter(|c| c.concept_a == a && c.concept_b == b)
        .collect();
    let conditions = distinct(own.iter().map(|c| c.condition.as_str()));
    let mut rows = Vec::new();
    for l in r.reported() {
        for condition in &conditions {
            let form = |form: &str| {
                let at = own
                    .iter()
                    .find(|c| c.layer == l && c.condition == *condition && c.form == form);
                at.copied()
            };
            let Some(raw) = form("raw") else { continue };
            let change = r.changes.iter().find(|c| {
                c.set == *condition
                    && c.reference == BASE
                    && c.form == "relative"
                    && c.layer == l
                    && c.concept_a == a
                    && c.concept_b == b
            });
            // Nulls are those of a condition's first model.
            let states = r.states_of(condition);
            let state = states.first().unwrap_or(condition);
            let flip = r.pair_nulls.iter().find(|n| {
                n.state == *state
                    && n.null == "flip"
                    && n.layer == l
                    && n.concept_a == a
                    && n.concept_b == b
            });
            let of = |name: &str| form(name).map_or("-".into(), |c| number(c.estimate, 2));
            rows.push(vec![
                l.to_string(),
                (*condition).to_owned(),
                both(raw.estimate, raw.lo, raw.hi, 2),
                match raw.ceiling.is_nan() {
                    true => "-".into(),
                    false => format!("{:.2}", raw.ceiling),
                },
                form("relative").map_or("-".into(), |c| both(c.estimate, c.lo, c.hi, 2)),
                of("cleaned"),
                of("whitened"),
                change.map_or("-".into(), |c| both(c.estimate, c.lo, c.hi, 2)),
                flip.map_or("-".into(), |n| ends(n.null_lo, n.null_hi, 2)),
                raw.states.to_string(),
            ]);
        }
    }
    let nuisances = r.concepts.iter().filter(|c| c.nuisance);
    let nuisances: Vec<&str> = nuisances.map(|c| c.concept.as_str()).collect();
    let cleaned = match nuisances.is_empty() {
        true => "cleaned".into(),
        false => format!("cleaned of {}", nuisances.join(", ")),
    };
    table(
        format!("Coupling of {a} and {b}"),
        format!("Cosine of the two directions, re-extracted in every model, with its 95 % interval; the ceiling that noise sets; the cosine relative to it; {cleaned}; whitened by the layer's covariance; change of the relative cosine from base on paired draws; 95 % band of labels flipped. n: models."),
        &["layer", "condition", "cosine", "ceiling", "relative", "cleaned", "whitened", "relative, less base", "label flips", "n"],
        rows,
    )
}

/// Preferences of a condition against the reference.
fn preferences(r: &Results, set: &str) -> ReportTable {
    let reference = r.reference().unwrap_or(BASE);
    let own = r.contrasts.iter().filter(|c| {
        c.set == set
            && c.reference == reference
            && c.kind == "preference"
            && c.measure == "log-odds"
    });
    let rows = own.map(|c| {
        vec![
            c.preference.clone(),
            c.group.clone(),
            c.status.clone(),
            number(c.estimate, 3),
            ends(c.lo, c.hi, 3),
            match c.q.is_nan() {
                true => "-".into(),
                false => p(c.q),
            },
            c.n.to_string(),
        ]
    });
    table(
        format!("Preferences of {set} against {reference}"),
        "Difference of stance log-odds, nats a token, paired by prompt; q: Benjamini-Hochberg over isolated preferences of sign-flip p values.".into(),
        &["preference", "group", "status", "difference", "95 % interval", "q", "n prompts"],
        rows.collect(),
    )
}

/// What every edit but the random ones removes and leaves.
fn ablations(r: &Results) -> ReportTable {
    let rows = ["preferences", "claim"]
        .into_iter()
        .flat_map(|asked| ablated(r, asked));
    let rows = rows.flatten().filter(|a| a.kind != "random").map(|a| {
        vec![
            format!("{} less {}", a.set, a.reference),
            match a.asked.as_str() {
                "claim" => format!("claim {}", a.preference),
                _ => format!("{} preferences", a.preference),
            },
            match a.kind.as_str() {
                "none" => "no edit".into(),
                kind => format!("{} ({kind})", a.edit),
            },
            both(a.left, a.left_lo, a.left_hi, 3),
            match a.kind.as_str() {
                "none" => "-".into(),
                _ => both(a.estimate, a.lo, a.hi, 3),
            },
            match a.share.is_nan() || a.kind == "none" {
                true => "-".into(),
                false => format!("{:.0} %", 100.0 * a.share),
            },
            match a.p.is_nan() {
                true => "-".into(),
                false => p(a.p),
            },
            number(a.kl, 2),
            a.n.to_string(),
        ]
    });
    table(
        "Ablations".into(),
        "Shift in nats a token under each edit, and what the edit removes of it; p: random directions that remove as much; KL on neutral texts in the model damaged most.".into(),
        &["shift", "of", "edit", "left", "removed", "share", "p", "KL", "n prompts"],
        rows.collect(),
    )
}

/// Numbers of earlier work, ours over layers in one cell.
pub fn references(rows: &[ReferencePointRow]) -> Vec<ReferencePoint> {
    let names = distinct(rows.iter().map(|r| (&*r.quantity, &*r.earlier, &*r.source)));
    let point = |(quantity, earlier, source): (&str, &str, &str)| {
        let own = rows.iter().filter(|r| r.quantity == quantity);
        let ours: Vec<String> = own
            .map(|r| {
                format!(
                    "{} ({}, layer {})",
                    number(r.estimate, 3),
                    r.state,
                    layer(r.layer)
                )
            })
            .collect();
        ReferencePoint {
            quantity: quantity.into(),
            earlier: earlier.into(),
            source: source.into(),
            ours: ours.join(", "),
        }
    };
    names.into_iter().map(point).collect()
}

/// What a run folder holds, in words.
pub fn files() -> Vec<RunFile> {
    let all = [
        (
            "results.h5",
            "all records, with named dimensions and definitions",
        ),
        ("csv/", "the same records as CSV"),
        (
            "figures/",
            "each figure as SVG, 300-dpi PNG and the CSV it draws from",
        ),
        (
            "findings.json",
            "this report's findings as rows with their sentences",
        ),
        (
            "activations/<state>.h5",
            "pooled residuals of each model, linked from results.h5",
        ),
        (
            "adapters/<state>/",
            "LoRA adapters in PEFT's format with their training log",
        ),
        (
            "behaviour/<state>.jsonl",
            "every scored pair of completions",
        ),
        (
            "rows.json",
            "which rows of which files were used, by line and id",
        ),
        (
            "distilled.jsonl",
            "the neutral rows, answered by the base model itself",
        ),
        (
            "causal/",
            "scores of each model under every ablation, and of base under every dose",
        ),
        (
            "manifest.json",
            "resolved configuration, seeds, versions, hardware, digests, timings",
        ),
    ];
    all.map(|(path, what)| RunFile {
        path: path.into(),
        what: what.into(),
    })
    .to_vec()
}
