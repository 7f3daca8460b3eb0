//! The end of a study: tables, findings, figures and report from what the stages left.

use super::findings::{self, Findings};
use super::run::Run;
use super::{draw, measure, tables, StudyError};
use crate::store::atomic;

/// Which rows of which files the study used.
const ROWS: &str = "rows.json";

/// Writes everything; returns the findings and the files below the run folder.
pub fn write(run: &Run) -> Result<(Findings, Vec<String>), StudyError> {
    let m = measure::measured(run)?;
    let mut files = tables::write(run, &m)?;
    let found = Findings::new(run, &m)?;
    let text = serde_json::to_vec_pretty(&found).unwrap_or_default();
    atomic::write(&run.out.join(findings::FILE), &text)?;
    files.push(findings::FILE.into());
    let text = serde_json::to_vec_pretty(&run.study.used).unwrap_or_default();
    atomic::write(&run.out.join(ROWS), &text)?;
    files.push(ROWS.into());
    files.extend(draw::all(run, &m, &found)?);
    remove_others(run, &files)?;
    Ok((found, files))
}

/// Removes figures of an earlier form of the manifest: those that stand in the folder are those that
/// the report is about.
fn remove_others(run: &Run, files: &[String]) -> Result<(), StudyError> {
    let Ok(entries) = std::fs::read_dir(run.out.join("figures")) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = format!("figures/{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_file() && !files.contains(&name) {
            std::fs::remove_file(&path).map_err(|source| StudyError::Write { path, source })?;
        }
    }
    Ok(())
}
