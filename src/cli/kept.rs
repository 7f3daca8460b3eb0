//! What a command keeps in its folder: `results.h5` with `csv/`, the figures and the page that are made
//! from it, and `manifest.json`.
//!
//! File and manifest say which model, command and seed they came from, with the configuration that the command
//! resolved.

use crate::analysis::{self, records};
use crate::model::Model;
use crate::report;
use crate::store::{time, Frame, Manifest, ResultsReader, ResultsWriter, RootAttrs};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub use crate::study::layout::RESULTS;

/// What every folder of results holds, besides tables and figures.
pub const FILES: [&str; 5] =
    [RESULTS, "manifest.json", "report.html", "report.md", "findings.json"];

/// Where the results of a command on a model come from.
pub struct Origin<'a> {
    pub model: &'a Model,
    /// What the command did, every default filled in.
    pub config: Value,
    pub seed: u64,
}

impl Origin<'_> {
    /// Root attributes of an HDF5 file.
    pub fn attrs(&self) -> RootAttrs {
        let (command, model) = (std::env::args().collect::<Vec<_>>().join(" "), self.model);
        let mut config = self.config.clone();
        config["tokenizer"] = model.tokenizer.record();
        config["numbers"] = model.numbers();
        RootAttrs {
            model_id: model.id.clone(),
            model_sha256: model.sha256.clone(),
            chat_template_sha256: model.template_sha256().unwrap_or_default(),
            warnings: model.doubts(),
            ..RootAttrs::new(&command, config, self.seed)
        }
    }

    /// Writes `manifest.json`; `inputs` that are no files are left out, `outputs` lie in the folder.
    pub fn record(self, folder: &Path, inputs: &[PathBuf], outputs: &[String]) -> Result<()> {
        let (mut config, model) = (self.config, self.model);
        config["model"] = model.id.clone().into();
        config["model_sha256"] = model.sha256.clone().into();
        config["tokenizer"] = model.tokenizer.record();
        config["numbers"] = model.numbers();
        let mut manifest = Manifest::new(std::env::args().collect(), config);
        manifest.seeds.insert("run".into(), self.seed);
        manifest.warnings = model.doubts();
        for input in inputs.iter().filter(|p| p.is_file()) {
            manifest.add_input(input)?;
        }
        for output in outputs {
            manifest.add_output(folder, output)?;
        }
        manifest.finished = Some(time::utc_now());
        Ok(manifest.write(folder)?)
    }
}

/// Writes `results.h5` with the frames and what `more` adds, its figures and its page; the names of all
/// files. Tables and figures that an earlier call left in the folder and this one does not make are removed.
pub fn results(
    folder: &Path,
    attrs: &RootAttrs,
    frames: &[Frame],
    more: impl FnOnce(&mut ResultsWriter) -> analysis::Result<()>,
) -> Result<Vec<String>> {
    let file = folder.join(RESULTS);
    let earlier = match file.exists() {
        true => ResultsReader::open(&file).map(|r| records::present(&r)).unwrap_or_default(),
        false => Vec::new(),
    };
    let mut w = ResultsWriter::create(&file, attrs)?;
    for frame in frames {
        w.frame(frame)?;
    }
    more(&mut w)?;
    w.finish()?;
    let tables = records::present(&ResultsReader::open(&file)?);
    for gone in earlier.iter().filter(|m| tables.iter().all(|t| t.path != m.path)) {
        // One that is not there is gone already.
        let _ = std::fs::remove_file(folder.join(csv(gone.path)));
    }
    let tables = tables.into_iter().map(|m| csv(m.path));
    let made = report::render_written(&file, folder)?;
    let drawn = made.files().into_iter().map(|f| name(f.strip_prefix(folder).unwrap_or(f)));
    Ok([RESULTS.to_string()].into_iter().chain(tables).chain(drawn).collect())
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What was written and where, in one line: files by name, those of a folder in it by their count.
pub fn written(files: &[String], folder: &Path) -> String {
    let inner = |f: &String| f.split_once('/').map(|(dir, _)| dir.to_string());
    let mut named: Vec<String> = files.iter().filter(|f| inner(f).is_none()).cloned().collect();
    let mut dirs: Vec<String> = files.iter().filter_map(inner).collect();
    dirs.sort();
    dirs.dedup();
    for dir in dirs {
        let of = files.iter().filter(|f| inner(f).as_ref() == Some(&dir)).count();
        named.push(format!("{dir}/ ({of} files)"));
    }
    format!("written: {} in {}", named.join(", "), folder.display())
}

/// The CSV file of a record, below the folder.
pub fn csv(path: &str) -> String {
    format!("csv/{}.csv", path.replace('/', "."))
}

/// The results file of a run given as its folder or as the file.
pub fn of_run(run: &Path) -> PathBuf {
    match run.is_dir() {
        true => run.join(RESULTS),
        false => run.into(),
    }
}

/// Makes an output folder.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made; check the path", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::records::LayerRow;
    use crate::store::{Record, RootAttrs};

    #[test]
    fn tables_of_an_earlier_call_do_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let attrs = RootAttrs::new("test", serde_json::json!({}), 0);
        let layers = Frame::of(&[LayerRow { layer: 1, reported: true, rms: 1.0, n: 2 }]);
        let table = dir.path().join(csv(LayerRow::META.path));
        let files = results(dir.path(), &attrs, &[layers], |_| Ok(())).unwrap();
        assert!(table.exists() && files.contains(&csv(LayerRow::META.path)));
        assert!(files.iter().all(|f| dir.path().join(f).is_file()));
        std::fs::write(dir.path().join("csv/mine.csv"), "kept").unwrap();
        let files = results(dir.path(), &attrs, &[], |_| Ok(())).unwrap();
        assert_eq!(files, [RESULTS, "report.html", "report.md", "findings.json"]);
        assert!(!table.exists() && dir.path().join("csv/mine.csv").exists());
    }
}
