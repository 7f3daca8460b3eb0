//! Tables of the page: finished text made from records.

use super::{ReferencePoint, ReportTable, RunFile};
use crate::analysis::behaviour::CONTRAST;
use crate::analysis::findings::cause::{ablated, is_control};
use crate::analysis::records::*;
use crate::analysis::BASE;
use crate::store::{frame::tidy, Frame};

/// Every table that has rows.
pub fn all(r: &Results, found: &[FindingRow]) -> Vec<ReportTable> {
    let mut tables = vec![findings(found)];
    tables.extend(r.pairs().into_iter().map(|pair| coupling(r, pair)));
    tables.extend(r.about().into_iter().map(|set| preferences(r, set)));
    tables.push(declining(r));
    tables.push(ablations(r));
    tables.retain(|t| !t.rows.is_empty());
    tables
}

/// A cell; layers are whole numbers.
fn cell(column: &str, text: &str) -> String {
    match column {
        "layer" => text.trim_end_matches(".000").into(),
        _ => text.into(),
    }
}

/// The rows of a frame without some of its columns; what the record is, is the caption's beginning.
pub fn table(title: String, caption: &str, frame: Frame, without: &[&str]) -> ReportTable {
    let caption = format!("{} {caption}", tidy(frame.meta.is));
    let (rows, shown) = (frame.len(), frame.without(without).shown());
    ReportTable {
        title,
        caption: caption.trim_end().into(),
        columns: shown.iter().map(|c| c.0.replace('_', " ")).collect(),
        rows: (0..rows).map(|i| shown.iter().map(|c| cell(&c.0, &c.2[i])).collect()).collect(),
    }
}

fn findings(found: &[FindingRow]) -> ReportTable {
    let without = ["least_p", "detectable", "bound", "definition", "note", "verdict"];
    let caption = "Notes and definitions are in findings.json.";
    table("What was found".into(), caption, Frame::of(found), &without)
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
    let rows: Vec<_> = own.cloned().collect();
    let without =
        ["measure", "set", "reference", "kind", "pooled", "newcombe_lo", "newcombe_hi", "z", "p_z"];
    let title = format!("Preferences of {set} against {reference}");
    table(title, "Stance log-odds, nats a token.", Frame::of(&rows), &without)
}

/// How far the conditions at hand decline harmless requests, against what they are compared with.
fn declining(r: &Results) -> ReportTable {
    let about = r.about();
    let own = r.declining.iter().filter(|d| d.kind == CONTRAST && about.contains(&&*d.set));
    let rows: Vec<_> = own.cloned().collect();
    table("Declining harmless requests".into(), "", Frame::of(&rows), &["kind"])
}

/// What every edit but the controls removes of a shift.
fn ablations(r: &Results) -> ReportTable {
    let rows = ["preferences", "claim"].into_iter().flat_map(|asked| ablated(r, asked));
    let rows: Vec<_> = rows.flatten().filter(|a| !is_control(&a.kind)).cloned().collect();
    let without =
        ["against", "concept", "total_lo", "total_hi", "left_lo", "left_hi", "on_reference"];
    let caption = "estimate: what is removed, in nats a token.";
    table("Ablations".into(), caption, Frame::of(&rows), &without)
}

/// A number; `-` where there is none.
fn number(value: f64, digits: usize) -> String {
    match value.is_nan() {
        true => "-".into(),
        false => format!("{value:+.digits$}"),
    }
}

/// A number, where there is one, with the ends of its interval.
fn both(value: f64, lo: f64, hi: f64) -> String {
    match lo.is_nan() || hi.is_nan() {
        true => number(value, 2),
        false => format!("{} [{lo:+.2}, {hi:+.2}]", number(value, 2)),
    }
}

/// A pair's cosine in every condition, its forms side by side with what they are read against.
fn coupling(r: &Results, (a, b): (&str, &str)) -> ReportTable {
    let own = r.condition_coupling.iter();
    let own: Vec<_> = own.filter(|c| (&*c.concept_a, &*c.concept_b) == (a, b)).collect();
    let reported = r.reported();
    let row = |raw: &&ConditionCouplingRow| {
        let (layer, condition) = (raw.layer, raw.condition.as_str());
        let form = |form: &str| {
            let mut same = own.iter().filter(|c| c.layer == layer && c.condition == condition);
            let found = same.find(|c| c.form == form);
            found.map_or("-".into(), |c| both(c.estimate, c.lo, c.hi))
        };
        let change = r.changes.iter().find(|c| {
            (&*c.set, &*c.reference, &*c.form, c.layer) == (condition, BASE, "relative", layer)
                && (&*c.concept_a, &*c.concept_b) == (a, b)
        });
        // Nulls are those of a condition's first model.
        let states = r.states_of(condition);
        let state = *states.first().unwrap_or(&condition);
        let flip = r.pair_nulls.iter().find(|n| {
            (&*n.state, &*n.null, n.layer) == (state, "flip", layer)
                && (&*n.concept_a, &*n.concept_b) == (a, b)
        });
        let flip = flip.map_or("-".into(), |n| format!("[{:+.2}, {:+.2}]", n.null_lo, n.null_hi));
        vec![
            layer.to_string(),
            condition.to_owned(),
            form("raw"),
            number(raw.ceiling, 2),
            form("relative"),
            form("cleaned"),
            form("whitened"),
            change.map_or("-".into(), |c| both(c.estimate, c.lo, c.hi)),
            flip,
            raw.states.to_string(),
        ]
    };
    let mut raw: Vec<_> = own.iter().filter(|c| c.form == "raw").copied().collect();
    raw.retain(|c| reported.contains(&c.layer));
    raw.sort_by_key(|c| c.layer);
    let columns = "layer|condition|cosine|ceiling|relative|cleaned|whitened|relative, less base|label flips|n";
    ReportTable {
        title: format!("Coupling of {a} and {b}"),
        caption: "Cosine of the two directions, re-extracted in every model, with its 95 % interval; the ceiling that noise sets; the cosine relative to it; cleaned of the nuisances; whitened by the layer's covariance; change of the relative cosine from base on paired draws; 95 % band of labels flipped. n: models.".into(),
        columns: columns.split('|').map(str::to_owned).collect(),
        rows: raw.iter().map(row).collect(),
    }
}

/// Numbers of earlier work, ours over layers in one cell.
pub fn references(rows: &[ReferencePointRow]) -> Vec<ReferencePoint> {
    let names = distinct(rows.iter().map(|r| (&*r.quantity, &*r.earlier, &*r.source)));
    let point = |(quantity, earlier, source): (&str, &str, &str)| {
        let own = rows.iter().filter(|r| r.quantity == quantity);
        let ours: Vec<String> = own
            .map(|r| format!("{} ({}, layer {:.0})", number(r.estimate, 3), r.state, r.layer))
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
        ("results.h5", "all records, with named dimensions and definitions"),
        ("csv/", "the same records as CSV"),
        ("figures/", "each figure as SVG, 300-dpi PNG and the CSV it draws from"),
        ("findings.json", "this report's findings as rows with their sentences"),
        ("activations/<state>.h5", "pooled residuals of each model, linked from results.h5"),
        ("adapters/<state>/", "LoRA adapters in PEFT's format with their training log"),
        (
            "behaviour/<state>.jsonl",
            "every scored pair of completions, and of answers that decline",
        ),
        (
            "behaviour/<state>.choices.jsonl",
            "every choice between outcomes, where the study has them",
        ),
        ("rows.json", "which rows of which files were used, by line and id"),
        ("distilled.jsonl", "the neutral rows, answered by the base model itself"),
        ("causal/", "scores of each model under every ablation, and of base under every dose"),
        ("manifest.json", "resolved configuration, seeds, versions, hardware, digests, timings"),
    ];
    all.map(|(path, what)| RunFile { path: path.into(), what: what.into() }).to_vec()
}
