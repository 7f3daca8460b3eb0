//! `residuum show`: the answer of a results file as one page in the terminal.

use super::{kept::of_run, Console};
use crate::report::show::{self, Screen};
use anyhow::Result;
use clap::Args;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Columns where the environment names none.
const COLUMNS: usize = 80;

/// Show what a run found as one page: what was run, the answer in three sentences, coupling by layer,
/// preferences with their intervals, warnings by kind.
///
/// It reads results.h5 alone, and its sentences are those of the report. The page is as wide as COLUMNS says,
/// else 80; there is no colour where stdout is no terminal, or with NO_COLOR.
///
/// Example: residuum show runs/quick
#[derive(Args)]
#[command(about = "Show what a run found as one page in the terminal")]
pub struct ShowArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

pub fn run(args: ShowArgs, out: &Console) -> Result<()> {
    let shown = show::of(&of_run(&args.run))?;
    out.result(&shown.json(), || shown.text(&screen()))
}

/// The screen that stdout is.
pub fn screen() -> Screen {
    let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let columns = set("COLUMNS").and_then(|c| c.parse().ok()).unwrap_or(COLUMNS);
    let dumb = set("TERM").is_some_and(|t| t == "dumb");
    let colour = std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb;
    Screen::new(columns, colour)
}
