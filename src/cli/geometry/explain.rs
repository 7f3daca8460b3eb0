//! `residuum geometry explain`: how a number of the results came about.
//!
//! A number is named by its record (`coupling`, `geometry/shifts`, `behaviour/scores`) and the labels
//! that pick rows out. What it is, its estimator, interval, null and units are those of the record. A
//! coupling is told with all that belongs to it: its nulls, reliabilities, changes and doubts.

use crate::analysis::records::{self, CoupleRow, StateRow, WarningRow};
use crate::analysis::State;
use crate::cli::{kept::of_run, layers::reported, Console};
use crate::store::{frame::tidy, names::nearest, Frame, Meta, ResultsReader, Values};
use anyhow::{bail, Context, Result};
use clap::Args;
use serde_json::{json, Map, Value};
use std::{collections::BTreeSet, path::PathBuf};

/// Most rows that are printed of one record.
const MOST: usize = 24;
/// The record that is told with what belongs to it.
const COUPLING: &str = "geometry/coupling";
/// What belongs to a coupling.
const RELATED: [&str; 4] =
    ["geometry/nulls", "geometry/pair_nulls", "geometry/precision", "geometry/changes"];

/// Say how a number of the results came about: what it is, the estimator, n, the interval and what
/// it is an interval for, each null with its own p, and the warnings. RUN is a run folder or a
/// results.h5, of a study or of a command; NUMBER is a record in it, with or without its group.
/// Without NUMBER, the coupling of the first couple.
///
/// Example: residuum geometry explain runs/quick --state conscious-s1 --concept persona,autonomy --layer 10
///
/// Example: residuum geometry explain runs/quick behaviour/scores --where preference=memory
#[derive(Args)]
#[command(about = "Say how a number of the results came about")]
pub struct ExplainArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Record, such as coupling, shifts or behaviour/scores
    #[arg(value_name = "NUMBER", default_value = COUPLING)]
    number: String,
    /// Model state [default: base for a coupling, else all]
    #[arg(long, value_name = "NAME")]
    state: Option<String>,
    /// Concept, or two of them [default: the first couple for a coupling, else all]
    #[arg(long = "concept", alias = "concepts", value_delimiter = ',', value_name = "NAMES")]
    concepts: Vec<String>,
    /// Block number [default: 1/3 of the depth]
    #[arg(long, value_name = "N")]
    layer: Option<usize>,
    /// Further label that picks rows out, such as form=raw; may be given again
    #[arg(long = "where", value_name = "NAME=LABEL", value_parser = pick)]
    picks: Vec<(String, String)>,
    /// List the records of the file
    #[arg(long)]
    list: bool,
}

/// NAME=LABEL.
pub fn pick(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, label)) if !name.is_empty() => Ok((name.into(), label.into())),
        _ => Err("write NAME=LABEL, such as form=raw".into()),
    }
}

pub fn run(mut args: ExplainArgs, out: &Console) -> Result<()> {
    let reader = ResultsReader::open(&of_run(&args.run))?;
    let present = records::present(&reader);
    if args.list {
        let names: Vec<&str> = present.iter().map(|m| m.path).collect();
        return out.result(&json!({ "numbers": names }), || names.join("\n"));
    }
    let path = resolve(&present, &args.number)?;
    let mut parts = vec![path];
    if path == COUPLING {
        if args.concepts.len() == 1 {
            bail!("a coupling has two concepts; write --concept A,B");
        }
        if args.concepts.is_empty() {
            let couples = reader.records::<CoupleRow>()?.into_iter().take(1);
            args.concepts = couples.flat_map(|c| [c.concept_a, c.concept_b]).collect();
        }
        let first = reader.records::<StateRow>()?.into_iter().next();
        args.state = args.state.or(first.map(|s| s.state));
        parts.extend(RELATED.iter().filter(|p| present.iter().any(|m| m.path == **p)));
    }
    let mut condition = None;
    if let Some(state) = &args.state {
        let known = reader.records::<StateRow>()?.into_iter().find(|s| s.state == *state);
        condition = Some(known.map_or_else(|| State::named(state).condition, |s| s.condition));
    }
    let (mut text, mut told) = (String::new(), Map::new());
    for (i, path) in parts.into_iter().enumerate() {
        let Some(frame) = records::frame(&reader, path)? else {
            continue;
        };
        let picked = match picked(frame, &args, condition.as_deref(), i == 0) {
            Err(e) if i == 0 => return Err(e),
            Err(_) => continue,
            Ok(frame) => frame,
        };
        text += &said(&picked);
        told.insert(path.into(), object(&picked));
    }
    let doubts: Vec<WarningRow> = (reader.records::<WarningRow>()?.into_iter())
        .filter(|w| path == COUPLING && concerns(w, &args))
        .collect();
    for doubt in &doubts {
        text += &format!("warning, {}: {}\n", doubt.about, doubt.text);
    }
    told.insert("warnings".into(), Frame::of(&doubts).json());
    told.insert("number".into(), path.into());
    out.result(&Value::Object(told), || text)
}

/// The path of a record given with or without its group.
fn resolve(present: &[&'static Meta], name: &str) -> Result<&'static str> {
    let name = name.trim_matches('/');
    let last = |path: &'static str| path.rsplit('/').next().unwrap_or(path);
    let paths = || present.iter().map(|m| m.path);
    let found: Vec<&'static str> = match paths().find(|p| *p == name) {
        Some(exact) => vec![exact],
        None => paths().filter(|p| last(p) == name).collect(),
    };
    match found[..] {
        [only] => Ok(only),
        [] => {
            let near = nearest(name, paths().map(last)).unwrap_or_default();
            bail!("the file has no `{name}`; did you mean `{near}`? `--list` lists what it has")
        }
        _ => bail!("`{name}` could be {}; name it with its group", found.join(" or ")),
    }
}

/// The rows that the labels pick out.
fn picked(
    frame: Frame,
    args: &ExplainArgs,
    condition: Option<&str>,
    with_picks: bool,
) -> Result<Frame> {
    let path = frame.meta.path;
    let column = |name: &str| frame.column(name).map(labels);
    let mut wanted = vec![true; frame.len()];
    let mut keep = |values: &[String], labels: &[&str]| {
        let each = wanted.iter_mut().zip(values);
        each.for_each(|(w, value)| *w &= labels.contains(&value.as_str()));
    };
    if let (Some(values), Some(state)) = (column("state"), &args.state) {
        check("state", &values, state)?;
        keep(&values, &[state]);
    }
    for name in ["set", "condition"] {
        if let (Some(values), Some(condition), None) = (column(name), condition, column("state")) {
            keep(&values, &[condition]);
        }
    }
    let concepts: Vec<&str> = args.concepts.iter().map(String::as_str).collect();
    for name in ["concept", "concept_a", "concept_b", "direction", "pairs"] {
        let is_text = matches!(frame.column(name), Some(Values::Text(_)));
        let Some(values) = column(name).filter(|_| is_text) else {
            continue;
        };
        let mut known = values.clone();
        if name == "concept_a" {
            known.extend(column("concept_b").into_iter().flatten());
        }
        for concept in concepts.iter().filter(|_| matches!(name, "concept" | "concept_a")) {
            check("concept", &known, concept)?;
        }
        match (name, &concepts[..]) {
            (_, []) => {}
            // A coupling is symmetric, and its grid holds both orders.
            ("concept_a", [a, _]) if path == COUPLING => keep(&values, &[*a]),
            ("concept_b", [_, b]) if path == COUPLING => keep(&values, &[*b]),
            _ => keep(&values, &concepts),
        }
    }
    for (name, label) in args.picks.iter().filter(|_| with_picks) {
        let Some(values) = column(name) else {
            let names: Vec<&str> = frame.meta.fields.iter().map(|f| f.name).collect();
            bail!("{path} has no column `{name}`; it has {}", names.join(", "));
        };
        check(name, &values, label)?;
        keep(&values, &[label]);
    }
    if let Some(values) = column("layer") {
        let layer = args.layer.map_or_else(|| third(&values), |l| l.to_string());
        check("layer", &values, &layer)?;
        keep(&values, &[&layer]);
    }
    if let (Some(a), Some(b)) = (column("concept_a"), column("concept_b")) {
        wanted.iter_mut().zip(a.iter().zip(&b)).for_each(|(w, (a, b))| *w &= a != b);
    }
    let frame = frame.only(|i| wanted[i]);
    let found = Some(frame).filter(|f| !f.is_empty());
    found.with_context(|| format!("{path} has no row at these labels"))
}

fn labels(values: &Values) -> Vec<String> {
    (0..values.len()).map(|i| values.label(i)).collect()
}

/// Refuses a label that is not among the known ones.
fn check(what: &str, known: &[String], asked: &str) -> Result<()> {
    let all: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    if all.contains(asked) {
        return Ok(());
    }
    let near = nearest(asked, all.iter().copied()).unwrap_or_default();
    let all = all.into_iter().collect::<Vec<_>>().join(", ");
    bail!("there is no {what} `{asked}`; did you mean `{near}`? There are: {all}")
}

/// The layer at 1/3 of the depth, or the first there is.
fn third(values: &[String]) -> String {
    let layers: Vec<usize> = values.iter().filter_map(|l| l.parse().ok()).collect();
    let depth = layers.iter().max().map_or(0, |l| l + 1);
    let wanted = reported(depth).into_iter().find(|l| layers.contains(l));
    wanted.map_or_else(|| values.first().cloned().unwrap_or_default(), |l| l.to_string())
}

/// Whether a doubt is about the state, the layer and the concepts of a coupling.
fn concerns(doubt: &WarningRow, args: &ExplainArgs) -> bool {
    let parts: Vec<&str> = doubt.about.split(", ").collect();
    let layer = args.layer.map(|l| format!("layer {l}"));
    let couple = args.concepts.join(" x ");
    match parts[..] {
        ["coupling", pair] => pair == couple,
        ["coupling", state, at, pair] => {
            pair == couple
                && args.state.as_deref().is_none_or(|s| s == state)
                && layer.is_none_or(|l| l == at)
        }
        _ => false,
    }
}

/// Definition, rows and the meaning of the columns.
fn said(frame: &Frame) -> String {
    let mut text = format!("{}\n", frame.meta.path);
    for (name, value) in frame.meta.attributes() {
        text += &format!("  {name:<9} {value}\n");
    }
    let more = frame.len().saturating_sub(MOST);
    for line in frame.clone().only(|i| i < MOST).text().lines() {
        text += &format!("  {line}\n");
    }
    if more > 0 {
        text += &format!("  and {more} more; pick with --state, --concept, --layer, --where\n");
    }
    let numbers = |name: &str| !matches!(frame.column(name), Some(Values::Text(_)));
    for field in frame.meta.fields.iter().filter(|f| numbers(f.name)) {
        let unit = Some(field.unit).filter(|u| !matches!(*u, "" | "1"));
        let unit = unit.map_or(String::new(), |u| format!(" ({u})"));
        text += &format!("    {}{unit}: {}\n", field.name, tidy(field.is));
    }
    text + "\n"
}

fn object(frame: &Frame) -> Value {
    let mut about: Map<String, Value> =
        (frame.meta.attributes()).map(|(name, value)| (name.to_string(), value.into())).collect();
    about.insert("rows".into(), frame.json());
    Value::Object(about)
}
