//! `residuum report`: the page, the figures and the findings of a results file.

use super::{kept::of_run, output::Outputs, Console};
use crate::report;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Make the report of a run again: page, figures and findings, from its results.h5 alone.
///
/// No model and no other file of the run is read, so a copied results.h5 gives the same report on
/// another machine. report.html needs no other file.
///
/// Example: residuum report runs/quick --out report
#[derive(Args)]
#[command(about = "Make the report of a run again from its results.h5")]
pub struct ReportArgs {
    /// Run folder, or its results.h5
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder for the report [default: the folder of the file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: ReportArgs, out: &Console) -> Result<()> {
    let results = of_run(&args.run);
    let beside = match results.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let dir = args.out.unwrap_or(beside);
    let names = ["report.html", "report.md", "findings.json"];
    Outputs::default()
        .of_study()
        .reads("RUN", &results)
        .folder("--out", &dir, &names)
        .check(out.force)?;
    let made = report::render(&results, &dir)?;
    let files: Vec<String> = made.files().iter().map(|f| f.display().to_string()).collect();
    let json = json!({
        "report": made.html, "sentences": made.sentences, "warnings": made.warnings, "files": files,
    });
    out.result(&json, || {
        let (sentences, page) = (made.sentences.join("\n"), made.html.display());
        let counts = (made.figures.len(), made.findings.len(), made.warnings.len());
        let (figures, findings, warnings) = counts;
        let text = format!(
            "{sentences}\n\n{figures} figures, {findings} findings, {warnings} warnings: {page}"
        );
        text.trim_start().to_owned()
    })
}
