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
    Ok((found, files))
}
