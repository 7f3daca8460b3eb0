//! `residuum geometry explain`: how a number of the results came about.
//!
//! A number is named by its array or table (`cosine`, `geometry/projections`, `behaviour/score`) and
//! the labels that pick it out. What it is, its estimator, its interval and its nulls are read from
//! the attributes beside it, or from the notes that writers use, for a file that lacks them. The
//! cosine of two concepts is told with everything that belongs to it: reliabilities and ceiling,
//! the other forms, each null with its own p, the change from base, and the doubts.

mod numbers;
mod pair;
mod results;
mod told;

use crate::cli::Console;
use anyhow::Result;
use clap::Args;
use results::Results;
use serde_json::{json, Value};
use std::path::PathBuf;

/// Say how a number of the results came about
#[derive(Args)]
#[command(
    long_about = "Say how a number of the results came about: what it is, the estimator, n, the \
interval and what it is an interval for, each null with its own p, and the doubts. RUN is a run \
folder or a results.h5, of a study or of this command; NUMBER is an array or table in it, with or \
without its group. Without NUMBER, the cosine of the pair of interest.\n\n\
Example:\n  residuum geometry explain runs/quick --state conscious-s1 --concepts persona,autonomy --layer 10\n  \
residuum geometry explain runs/quick behaviour/shifts --where preference=memory"
)]
pub struct ExplainArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Array or table, such as cosine, projections or behaviour/score
    #[arg(value_name = "NUMBER", default_value = "cosine")]
    number: String,
    /// Model state [default: the first]
    #[arg(long, value_name = "NAME")]
    state: Option<String>,
    /// Concept, or two of them [default: the pair of interest]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    concepts: Vec<String>,
    /// Block number [default: 1/3 of the depth]
    #[arg(long, value_name = "N")]
    layer: Option<usize>,
    /// Further label that picks numbers out, such as axis=persona-base; may be given again
    #[arg(long = "where", value_name = "NAME=LABEL", value_parser = pick)]
    picks: Vec<(String, String)>,
    /// List the arrays and tables of the file
    #[arg(long)]
    list: bool,
}

fn pick(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, label)) if !name.is_empty() => Ok((name.into(), label.into())),
        _ => Err("write NAME=LABEL, such as axis=persona-base".into()),
    }
}

pub fn run(args: ExplainArgs, out: &Console) -> Result<()> {
    let file = match args.run.is_dir() {
        true => args.run.join("results.h5"),
        false => args.run.clone(),
    };
    let results = Results::open(&file)?;
    if args.list {
        let names: Vec<&str> = results.numbers.keys().map(String::as_str).collect();
        return out.result(&json!({ "numbers": names }), || names.join("\n"));
    }
    let path = results.resolve(&args.number)?;
    let told = match (path.as_str(), results.numbers[&path]) {
        ("geometry/cosine", _) => pair::pair(&results, &args)?,
        (_, true) => numbers::table(&results, &args, &path)?,
        (_, false) => numbers::array(&results, &args, &path)?,
    };
    out.result(&Value::Object(told.json), || told.lines.join("\n"))
}
