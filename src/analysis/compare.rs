//! Two results files against each other: which quantities differ, by how much, and how the runs differ.
//!
//! A pure function of two files' records. Any record with an interval is compared, row by row: the texts and
//! places of a row say which quantity it is, its definition, unit, n and status must be the same in both, or
//! the two are not comparable and have no difference. Two runs are hardly ever independent: they share a
//! model, a battery, rows or a seed. Each difference therefore has two intervals, see
//! [`DifferenceRow`], and where anything is shared, or is not known not to be, the word comes from the one
//! that holds nevertheless.

use super::records::{
    distinct, ComparedRow, DifferenceRow, FindingRow, ProvenanceRow, Results, SharedRow,
};
use super::verdict::{self, Test};
use crate::stats::corrections::holm;
use crate::stats::interval::{difference, difference_of_any, normal_quantile};
use crate::stats::replicates::t_p_value;
use crate::stats::Interval;
use crate::store::{AttrValue, Frame, Record, ResultsReader, RootAttrs, Values};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The word of one number that both files have.
pub const IDENTICAL: &str = "identical";
/// The word of two numbers that are not of one quantity.
pub const NOT_COMPARABLE: &str = "not comparable";

/// Numbers that say which row it is, as texts do.
const PLACES: [&str; 4] = ["layer", "step", "k", "dose"];
/// Texts that say what was found, not of what.
const FOUND: [&str; 6] = ["verdict", "note", "explanation", "carried_by", "order", "null"];
/// Texts that must be the same in both files.
const DEFINING: [&str; 6] = ["definition", "unit", "n_of", "status", "others", "left_out"];
/// Attributes of a record that define it.
const DEFINITIONS: [&str; 4] = ["is", "estimator", "interval", "null"];
/// Inputs of a study that a quantity's error comes from.
const INPUTS: [&str; 5] = ["rows", "concepts", "battery", "claims", "neutral texts"];

/// One of the two files.
#[derive(Debug, Clone)]
pub struct Side {
    attrs: RootAttrs,
    results: Results,
    /// By record and attribute, as the file has them.
    definitions: BTreeMap<(&'static str, &'static str), String>,
}

impl Side {
    /// A file's records, with findings whether or not it holds them, and how it defines them.
    pub fn of(reader: &ResultsReader, results: Results) -> Self {
        let mut definitions = BTreeMap::new();
        for frame in results.frames().iter().filter(|f| !f.is_empty()) {
            for attr in DEFINITIONS {
                if let Ok(AttrValue::Text(text)) = reader.attr(frame.meta.path, attr) {
                    definitions.insert((frame.meta.path, attr), text);
                }
            }
        }
        Side { attrs: reader.root_attrs().clone(), results, definitions }
    }

    /// Records that it has, and that can be compared.
    pub fn records(&self) -> Vec<&'static str> {
        let frames = self.results.frames().into_iter();
        frames.filter(|f| is_compared(f) && !f.is_empty()).map(|f| f.meta.path).collect()
    }

    /// Attributes of the file.
    pub fn attrs(&self) -> &RootAttrs {
        &self.attrs
    }

    /// Whether another file defines a record in the same words; rows that were made just now have no words.
    fn defines_as(&self, other: &Side, path: &'static str) -> bool {
        let of = |side: &Side| DEFINITIONS.map(|attr| side.definitions.get(&(path, attr)).cloned());
        let (own, theirs) = (of(self), of(other));
        own[0].is_none() || theirs[0].is_none() || own == theirs
    }
}

impl DifferenceRow {
    /// The interval that its verdict is from.
    pub fn counting(&self, independent: bool) -> Interval {
        match independent {
            true => Interval { lo: self.lo, hi: self.hi },
            false => Interval { lo: self.any_lo, hi: self.any_hi },
        }
    }
}

/// What two files say of each other.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Every quantity that both have, findings first.
    pub differences: Vec<DifferenceRow>,
    /// Their counts, one row a record that either has.
    pub compared: Vec<ComparedRow>,
    /// What the runs share.
    pub shared: Vec<SharedRow>,
    /// How they were made, where that differs.
    pub provenance: Vec<ProvenanceRow>,
}

impl Comparison {
    /// Whether the runs are known to share nothing.
    pub fn is_independent(&self) -> bool {
        self.shared.iter().all(|s| s.shared == "no")
    }
}

/// Compares B with A.
pub fn compare(a: &Side, b: &Side) -> Comparison {
    let shared = shared(&a.attrs, &b.attrs);
    let mut all = Comparison { shared, provenance: provenance(a, b), ..Comparison::default() };
    let independent = all.is_independent();
    let mut frames: Vec<(Frame, Frame)> =
        a.results.frames().into_iter().zip(b.results.frames()).collect();
    frames.retain(|(x, y)| is_compared(x) && !(x.is_empty() && y.is_empty()));
    frames.sort_by_key(|(x, _)| x.meta.path != FindingRow::META.path);
    for (in_a, in_b) in &frames {
        let defined = a.defines_as(b, in_a.meta.path);
        let (rows, counts) = record((in_a, in_b), defined, independent);
        all.differences.extend(rows);
        all.compared.push(counts);
    }
    all
}

/// Whether a record is of estimates with their intervals, and no comparison itself.
fn is_compared(frame: &Frame) -> bool {
    frame.column("estimate").is_some()
        && frame.column("lo").is_some()
        && frame.column("a").is_none()
}

/// One row of a record.
struct Row {
    of: String,
    /// What must be the same in both files, by name.
    fixed: Vec<(&'static str, String)>,
    /// Rows that are adjusted for each other.
    family: String,
    unit: String,
    estimate: f64,
    interval: Interval,
    bound: f64,
    n: usize,
}

/// The rows of a frame, each quantity once.
fn rows(frame: &Frame) -> Vec<Row> {
    let number = |name: &str, i: usize| match frame.column(name) {
        Some(Values::Real(v)) => v[i],
        Some(Values::Int(v)) => v[i] as f64,
        _ => f64::NAN,
    };
    let text = |name: &str, i: usize| match frame.column(name) {
        Some(Values::Text(v)) => v[i].clone(),
        _ => String::new(),
    };
    let is_key = |name: &str, values: &Values| match values {
        Values::Text(_) => !FOUND.contains(&name) && !DEFINING.contains(&name),
        _ => PLACES.contains(&name),
    };
    let keys: Vec<_> = frame.columns().iter().filter(|(name, v)| is_key(name, v)).collect();
    // Of judged rates n, the answers that take a side, is an outcome; what was asked is not.
    let counts = match frame.column("answers") {
        Some(Values::Int(_)) => "answers",
        _ => "n",
    };
    let unit = frame.meta.fields.iter().find(|f| f.name == "estimate").map_or("", |f| f.unit);
    let one = |i: usize| {
        let parts = keys.iter().map(|(name, values)| (name, values.label(i)));
        let parts = parts.filter(|(_, label)| !label.is_empty() && label != "NaN");
        let parts: Vec<String> = parts.map(|(name, label)| format!("{name} {label}")).collect();
        let fixed =
            DEFINING.into_iter().filter(|d| matches!(frame.column(d), Some(Values::Text(_))));
        let mut fixed: Vec<_> = fixed.map(|d| (d, text(d, i))).collect();
        if let Some(values) = frame.column(counts) {
            fixed.push((counts, values.label(i)));
        }
        Row {
            of: parts.join(", "),
            fixed,
            family: text("quantity", i),
            unit: match frame.column("unit") {
                Some(_) => text("unit", i),
                None => unit.into(),
            },
            estimate: number("estimate", i),
            interval: Interval { lo: number("lo", i), hi: number("hi", i) },
            bound: number("bound", i),
            n: number("n", i) as usize,
        }
    };
    let mut seen = std::collections::HashSet::new();
    (0..frame.len()).map(one).filter(|row| seen.insert(row.of.clone())).collect()
}

/// The rows of one record in both files, and their counts.
fn record(
    (in_a, in_b): (&Frame, &Frame),
    defined: bool,
    independent: bool,
) -> (Vec<DifferenceRow>, ComparedRow) {
    let (of_a, of_b) = (rows(in_a), rows(in_b));
    let known: HashMap<&str, &Row> = of_b.iter().map(|r| (r.of.as_str(), r)).collect();
    let pairs: Vec<(&Row, &Row)> =
        of_a.iter().filter_map(|a| Some((a, *known.get(a.of.as_str())?))).collect();
    let path = in_a.meta.path;
    let mut out: Vec<DifferenceRow> =
        pairs.iter().map(|pair| apart(path, *pair, defined, independent)).collect();
    for family in distinct(pairs.iter().map(|(a, _)| a.family.as_str())) {
        let own: Vec<usize> = (0..pairs.len()).filter(|&i| pairs[i].0.family == family).collect();
        let p: Vec<f64> = own.iter().map(|&i| out[i].p).collect();
        for (&i, p) in own.iter().zip(holm(&p)) {
            judge(&mut out[i], p, pairs[i], independent);
        }
    }
    let count = |word: &str| out.iter().filter(|d| d.verdict == word).count();
    let counts = ComparedRow {
        record: path.into(),
        n: out.len(),
        identical: count(IDENTICAL),
        higher: count(verdict::HIGHER),
        lower: count(verdict::LOWER),
        equivalent: count(verdict::EQUIVALENT),
        none: count(verdict::NONE),
        untested: count(""),
        not_comparable: count(NOT_COMPARABLE),
        only_a: of_a.len() - pairs.len(),
        only_b: of_b.len() - pairs.len(),
    };
    (out, counts)
}

/// The difference of one quantity with its intervals and p, not yet adjusted.
fn apart(path: &str, (a, b): (&Row, &Row), defined: bool, independent: bool) -> DifferenceRow {
    let mut row = DifferenceRow {
        record: path.into(),
        of: a.of.clone(),
        unit: a.unit.clone(),
        a: a.estimate,
        a_lo: a.interval.lo,
        a_hi: a.interval.hi,
        b: b.estimate,
        b_lo: b.interval.lo,
        b_hi: b.interval.hi,
        n_a: a.n,
        n_b: b.n,
        ..DifferenceRow::NONE
    };
    let mut why: Vec<String> = Vec::new();
    if !defined {
        why.push("the files define the record in other words".into());
    }
    for ((name, x), (_, y)) in a.fixed.iter().zip(&b.fixed).filter(|(x, y)| x != y) {
        why.push(match *name {
            "definition" => "definitions differ".into(),
            name => format!("{name} {} and {}", or_none(x), or_none(y)),
        });
    }
    if !why.is_empty() {
        (row.verdict, row.why) = (NOT_COMPARABLE.into(), why.join("; "));
        return row;
    }
    row.estimate = b.estimate - a.estimate;
    if same(a, b) {
        row.verdict = IDENTICAL.into();
        return row;
    }
    let apart = difference((b.estimate, b.interval), (a.estimate, a.interval));
    let any = difference_of_any(b.interval, a.interval);
    (row.lo, row.hi, row.any_lo, row.any_hi) = (apart.lo, apart.hi, any.lo, any.hi);
    row.p = p_of(row.estimate, if independent { apart } else { any });
    row
}

fn or_none(text: &str) -> &str {
    if text.is_empty() {
        return "none";
    }
    text
}

/// Whether two rows are one number with one interval; missing equals missing.
fn same(a: &Row, b: &Row) -> bool {
    let numbers = |r: &Row| [r.estimate, r.interval.lo, r.interval.hi];
    let equal = |(x, y): (f64, f64)| x == y || x.is_nan() && y.is_nan();
    !a.estimate.is_nan() && numbers(a).into_iter().zip(numbers(b)).all(equal)
}

/// Two-sided p of a difference from the end of its 95 % interval that is nearer to 0; NaN without one.
fn p_of(difference: f64, interval: Interval) -> f64 {
    let reach = match difference > 0.0 {
        true => difference - interval.lo,
        false => interval.hi - difference,
    };
    t_p_value(normal_quantile(0.975) * difference / reach, f64::INFINITY)
}

/// The word of a difference from its adjusted p, or from bounds that both files fix.
fn judge(row: &mut DifferenceRow, p_max: f64, (a, b): (&Row, &Row), independent: bool) {
    if !row.verdict.is_empty() {
        return;
    }
    row.p_max = p_max;
    let counts = row.counting(independent);
    let word = verdict::word(row.estimate, Test { p: p_max, least: f64::NAN });
    row.verdict = match word {
        verdict::NONE if a.bound == b.bound && verdict::is_within(counts, a.bound) => {
            verdict::EQUIVALENT
        }
        word => word,
    }
    .into();
}

/// What two runs have in common.
fn shared(a: &RootAttrs, b: &RootAttrs) -> Vec<SharedRow> {
    let word = |a: &str, b: &str| match (a.is_empty() || b.is_empty(), a == b) {
        (true, _) => "not known",
        (_, true) => "yes",
        (_, false) => "no",
    };
    let row = |what: &str, shared: &str| SharedRow { what: what.into(), shared: shared.into() };
    let input = |of: &RootAttrs, name: &str| {
        of.config["inputs"][name].as_str().unwrap_or_default().to_owned()
    };
    let inputs = INPUTS.into_iter().map(|name| (name, input(a, name), input(b, name)));
    let inputs: Vec<_> = inputs.filter(|(_, x, y)| !(x.is_empty() && y.is_empty())).collect();
    let mut out = vec![
        row("base model", word(&a.model_sha256, &b.model_sha256)),
        row("seed", if a.seed == b.seed { "yes" } else { "no" }),
    ];
    out.extend(inputs.iter().map(|(name, x, y)| row(name, word(x, y))));
    if inputs.is_empty() {
        out.push(row("texts", "not known"));
    }
    out
}

/// How two runs were made, where that differs.
fn provenance(a: &Side, b: &Side) -> Vec<ProvenanceRow> {
    let of = |side: &Side| {
        let (attrs, mut all) = (&side.attrs, Vec::new());
        for (key, text) in [
            ("model_id", &attrs.model_id),
            ("model_sha256", &attrs.model_sha256),
            ("chat_template_sha256", &attrs.chat_template_sha256),
            ("version", &attrs.version),
            ("git", &attrs.git),
            ("command", &attrs.command),
        ] {
            all.push((key.to_owned(), text.clone()));
        }
        all.push(("seed".into(), attrs.seed.to_string()));
        flatten("config", &attrs.config, &mut all);
        all
    };
    let (of_a, of_b) = (of(a), of(b));
    let mut out = Vec::new();
    for key in distinct(of_a.iter().chain(&of_b).map(|(key, _)| key)) {
        let text = |of: &[(String, String)]| {
            of.iter().find(|(k, _)| k == key).map_or(String::new(), |(_, text)| text.clone())
        };
        out.push(ProvenanceRow { key: key.clone(), a: text(&of_a), b: text(&of_b) });
    }
    for ((key, x), (_, y)) in lists(&a.results).into_iter().zip(lists(&b.results)) {
        let less = |x: &[String], y: &[String]| {
            let only = x.iter().filter(|n| !y.contains(n)).cloned();
            only.collect::<Vec<_>>().join(", ")
        };
        out.push(ProvenanceRow { key: key.into(), a: less(&x, &y), b: less(&y, &x) });
    }
    out.retain(|row| row.a != row.b);
    out
}

/// Names of what a file is about.
fn lists(r: &Results) -> [(&'static str, Vec<String>); 5] {
    [
        ("states", r.states.iter().map(|s| s.state.clone()).collect()),
        ("conditions", r.conditions.iter().map(|c| c.condition.clone()).collect()),
        ("concepts", r.concepts.iter().map(|c| c.concept.clone()).collect()),
        ("preferences", r.preferences.iter().map(|p| p.preference.clone()).collect()),
        ("layers", r.all_layers().iter().map(usize::to_string).collect()),
    ]
}

/// The leaves of a configuration by their path. Entries of a list are told by their name, where they have
/// one. Keys of stages are left out: they differ wherever anything before them does.
fn flatten(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let own = map.iter().filter(|(key, _)| !key.starts_with("stage "));
            own.for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, out));
        }
        Value::Array(list) if !list.is_empty() && list.iter().all(|v| v["name"].is_string()) => {
            for v in list {
                flatten(&format!("{path}.{}", v["name"].as_str().unwrap_or_default()), v, out);
            }
        }
        Value::Null => {}
        Value::String(text) => out.push((path.into(), text.clone())),
        other => out.push((path.into(), other.to_string())),
    }
}
