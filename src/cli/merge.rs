//! `residuum merge`: the results of many runs as one file.

use super::{kept, kept::of_run, output::Outputs, Console};
use crate::analysis::merge::{merge, Part};
use crate::analysis::records::Results;
use crate::store::{time, Manifest, ResultsReader, RootAttrs};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Join the results of many runs of one model, such as those of a sweep, into one results.h5 that
/// `show`, `compare`, `h5` and the Python reader read: states and conditions of a run R are called R/NAME.
///
/// Numbers are copied, not computed again: p and q are those of their run. Base is one where all runs read
/// it alike to the bit. Rows about a run as a whole and activations are left out. Runs of different models,
/// concepts, preferences, bounds or layers are refused: merge those that agree, and compare the merged.
///
/// Example: residuum merge runs/grid/study-r8-s1 runs/grid/study-r16-s1 --out runs/merged
#[derive(Args)]
#[command(about = "Join the results of many runs of one model into one file")]
pub struct MergeArgs {
    /// Run folders, or their results.h5
    #[arg(value_name = "RUN", required = true, num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Folder for results.h5 with csv/
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(args: &MergeArgs, out: &Console) -> Result<()> {
    let files: Vec<PathBuf> = args.runs.iter().map(|r| of_run(r)).collect();
    let written = [kept::RESULTS, "manifest.json"];
    let outputs = Outputs::default().reads_all("RUN", &files);
    outputs.folder("--out", &args.out, &written).check(out.force)?;
    let (mut parts, mut sources, mut attrs) = (Vec::new(), Vec::new(), None);
    for (run, file) in args.runs.iter().zip(&files) {
        let reader = ResultsReader::open(file)?;
        let own = reader.root_attrs().clone();
        let name = name_of(run)?;
        sources.push(json!({"run": name, "seed": own.seed, "command": own.command,
            "created": own.created, "config": own.config}));
        let results = Results::read(&reader)?;
        parts.push(Part { name, model_sha256: own.model_sha256.clone(), results });
        attrs.get_or_insert(own);
    }
    let (results, left_out) = merge(&parts).map_err(anyhow::Error::msg)?;
    let first: RootAttrs = attrs.context("there are no runs to merge")?;
    let config = json!({"merged": sources});
    let line: Vec<String> = std::env::args().collect();
    let attrs = RootAttrs {
        model_id: first.model_id,
        model_sha256: first.model_sha256,
        layer_convention: first.layer_convention,
        chat_template_sha256: first.chat_template_sha256,
        warnings: first.warnings,
        ..RootAttrs::new(&line.join(" "), config.clone(), first.seed)
    };
    let names = kept::results(&args.out, &attrs, &[], |w| Ok(results.write(w)?))?;
    let mut manifest = Manifest::new(line, config);
    files.iter().try_for_each(|file| manifest.add_input(file))?;
    names.iter().try_for_each(|name| manifest.add_output(&args.out, name))?;
    manifest.finished = Some(time::utc_now());
    manifest.write(&args.out)?;
    let (n, states) = (parts.len(), results.states.len());
    let json = json!({"runs": n, "states": states, "findings": results.findings.len(),
        "left_out": left_out, "files": names});
    out.result(&json, || {
        let without = match left_out.is_empty() {
            true => String::new(),
            false => format!("\nleft out, as of whole runs: {}", left_out.join(", ")),
        };
        format!(
            "{n} runs, {states} model states in {}{without}",
            args.out.join(kept::RESULTS).display()
        )
    })
}

/// A run is called by its folder.
fn name_of(run: &Path) -> Result<String> {
    let run =
        std::fs::canonicalize(run).with_context(|| format!("{} is not there", run.display()))?;
    let folder = if run.is_dir() { Some(run.as_path()) } else { run.parent() };
    let name = folder.and_then(Path::file_name).unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}
