//! `residuum compare`: two runs against each other.

use super::{kept::of_run, output::Outputs, show::screen, Console};
use crate::report::compare;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Compare two runs: how they were made, which findings and quantities differ, and by how much.
///
/// A difference is B less A. Runs that share a base model, a seed, rows or texts are not independent, which is
/// said, and their differences then have an interval that holds whatever is shared. What is defined
/// otherwise, or over another number of items, is not comparable. It reads the two results.h5 alone; `residuum
/// h5 diff` compares files cell by cell.
///
/// Example: residuum compare runs/one runs/two --out runs/one-two
#[derive(Args)]
#[command(about = "Compare two runs: what differs, by how much, with intervals")]
pub struct CompareArgs {
    /// Run folder A, or its results.h5
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Run folder B, or its results.h5
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Folder for compare.h5 with csv/, the figure and the page
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: CompareArgs, out: &Console) -> Result<()> {
    let (a, b) = (of_run(&args.a), of_run(&args.b));
    if let Some(folder) = &args.out {
        let outputs = Outputs::default().reads("A", &a).reads("B", &b);
        outputs.folder("--out", folder, &compare::FILES).check(out.force)?;
    }
    let compared = compare::of(&a, &b)?;
    let mut json = compared.json();
    let mut files = Vec::new();
    if let Some(folder) = &args.out {
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        files = compared.write(folder, &command)?;
    }
    json["files"] = files.iter().map(|f| f.display().to_string()).collect();
    out.result(&json, || {
        let page = files.first().map_or(String::new(), |f| format!("\n{}", f.display()));
        compared.text(&screen()) + &page
    })
}
