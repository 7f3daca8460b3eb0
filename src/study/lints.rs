//! The rules of materials held against the user's files of a study, those that ship being held to them
//! elsewhere.

use super::manifest::Study;
use super::Result;
use crate::materials::lint::{lint, waive, Finding, Rule};
use crate::materials::set::Set;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is to be said of the files that the study names, but for the rules that it waives.
///
/// # Errors
/// A file that cannot be read.
pub fn lints(study: &Study) -> Result<Vec<Finding>> {
    let files: BTreeSet<PathBuf> =
        (study.used.iter()).map(|u| u.file.clone()).filter(|f| f.is_file()).collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let files: Vec<PathBuf> = files.into_iter().collect();
    let mut found = lint(&Set::read(&files)?)?;
    let waived = study.written.lint.waive.iter().filter_map(|rule| rule.parse().ok());
    waive(&mut found, &waived.collect::<Vec<Rule>>());
    Ok(found)
}
