//! `study init`: a commented manifest and example files to edit.

use super::manifest::QUICK;
use super::{Result, StudyError};
use std::path::Path;

const ROWS: &str = include_str!("../../examples/materials/gardener.jsonl");
const CONCEPT: &str = include_str!("../../examples/materials/tidiness.jsonl");
const PREFERENCE: &str = include_str!("../../examples/materials/gardens.jsonl");

/// Writes `study.toml` and an example of each kind of text into a folder that must not hold any of
/// them.
///
/// # Errors
/// `Exists` for a file that is there; `Write` for one that cannot be written.
pub fn write(folder: &Path) -> Result<Vec<String>> {
    let files = [
        ("study.toml", QUICK),
        ("examples/gardener.jsonl", ROWS),
        ("examples/tidiness.jsonl", CONCEPT),
        ("examples/gardens.jsonl", PREFERENCE),
    ];
    let paths = files.iter().map(|(name, _)| folder.join(name));
    if let Some(path) = paths.into_iter().find(|p| p.exists() || p.is_symlink()) {
        return Err(StudyError::Exists { path });
    }
    for (name, text) in &files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|source| StudyError::Write { path: path.clone(), source })?;
    }
    Ok(files.iter().map(|f| f.0.to_string()).collect())
}
