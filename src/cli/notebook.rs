//! `residuum notebook`: notebooks that read a results file.

use super::{kept::of_run, output::Outputs, Console};
use crate::report::notebooks;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Write Jupyter notebooks for the results of a run: a tour; geometry, behaviour and cause computed again
/// in Python and held against the file; statistics and figures to change.
///
/// The file is named in the first cell of each, the Python reader and requirements.txt lie with them. Those
/// whose records the file lacks are left out.
///
/// Example: residuum notebook runs/quick --out notebooks
#[derive(Args)]
#[command(about = "Write Jupyter notebooks for the results of a run")]
pub struct NotebookArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder for the notebooks [default: notebooks, in the folder of the file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: NotebookArgs, out: &Console) -> Result<()> {
    let results = of_run(&args.run);
    let dir = args.out.unwrap_or_else(|| results.with_file_name("notebooks"));
    Outputs::default()
        .reads("RUN", &results)
        .folder("--out", &dir, &notebooks::names())
        .check(out.force)?;
    let made = notebooks::write(&results, &dir)?;
    let left_out = made.left_out.iter().map(|(name, lacks)| json!({"name": name, "lacks": lacks}));
    let json = json!({ "files": made.files, "left_out": left_out.collect::<Vec<_>>() });
    out.result(&json, || {
        let books = made.files.iter().filter(|f| f.extension().is_some_and(|e| e == "ipynb"));
        let mut lines: Vec<String> = books.map(|f| f.display().to_string()).collect();
        for (name, lacks) in &made.left_out {
            lines.push(format!("{name} is left out: the file has no {}", lacks.join(", ")));
        }
        let dir = dir.display();
        lines.push(format!("\npip install -r {dir}/requirements.txt, then open them in Jupyter"));
        lines.join("\n")
    })
}
