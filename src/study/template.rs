//! `study init`: a commented manifest and example files to edit.

use super::manifest::QUICK;
use super::StudyError;
use crate::materials::embedded;
use std::path::Path;

/// Writes `study.toml` and an example of each kind of text into a folder that must not hold one.
pub fn write(folder: &Path) -> Result<Vec<String>, StudyError> {
    let manifest = folder.join("study.toml");
    if manifest.exists() {
        return Err(StudyError::Exists { path: manifest });
    }
    let rows = embedded::finetune("conscious").unwrap_or_default();
    let head = |text: &str, n: usize| text.lines().take(n).collect::<Vec<_>>().join("\n") + "\n";
    let concept = embedded::concept("persona").unwrap_or_default();
    let files = [
        ("study.toml", QUICK.to_string()),
        ("examples/rows.jsonl", head(rows, 6)),
        ("examples/concept.jsonl", head(concept, 17)),
    ];
    for (name, text) in &files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|source| StudyError::Write {
                path: path.clone(),
                source,
            })?;
    }
    Ok(files.iter().map(|f| f.0.to_string()).collect())
}
