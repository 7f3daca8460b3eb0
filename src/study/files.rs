//! JSON and JSON lines of a run folder, written whole or not at all, and their digests.

use super::layout::Layout;
use super::{Result, StudyError};
use crate::store::{atomic, digest};
use serde::{de::DeserializeOwned, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> StudyError + '_ {
    move |source| StudyError::Read { path: path.into(), source }
}

fn not_ours(path: &Path) -> impl FnOnce(serde_json::Error) -> StudyError + '_ {
    move |e| StudyError::Stage { path: path.into(), why: e.to_string() }
}

/// The text of a file below the run folder.
///
/// # Errors
/// `Read`.
pub fn text(layout: &Layout, name: &str) -> Result<String> {
    let path = layout.at(name);
    std::fs::read_to_string(&path).map_err(unreadable(&path))
}

/// Reads JSON below the run folder.
///
/// # Errors
/// `Read`; `Stage` where it holds something else.
pub fn json<T: DeserializeOwned>(layout: &Layout, name: &str) -> Result<T> {
    serde_json::from_str(&text(layout, name)?).map_err(not_ours(&layout.at(name)))
}

/// Reads JSON lines below the run folder.
///
/// # Errors
/// As [`json`].
pub fn lines<T: DeserializeOwned>(layout: &Layout, name: &str) -> Result<Vec<T>> {
    let path = layout.at(name);
    let text = text(layout, name)?;
    let each = text.lines();
    each.map(|l| serde_json::from_str(l).map_err(not_ours(&path))).collect()
}

/// Writes JSON below the run folder.
///
/// # Errors
/// The store's.
pub fn write_json<T: Serialize>(layout: &Layout, name: &str, what: &T) -> Result<()> {
    let path = layout.at(name);
    let text = serde_json::to_vec_pretty(what).map_err(not_ours(&path))?;
    Ok(atomic::write(&path, &text)?)
}

/// Writes rows as JSON lines below the run folder.
///
/// # Errors
/// The store's.
pub fn write_lines<T: Serialize>(layout: &Layout, name: &str, rows: &[T]) -> Result<()> {
    let path = layout.at(name);
    let mut lines = String::new();
    for row in rows {
        lines += &serde_json::to_string(row).map_err(not_ours(&path))?;
        lines.push('\n');
    }
    Ok(atomic::write(&path, lines.as_bytes())?)
}

/// Names and paths of the files in a folder, in order.
///
/// # Errors
/// `Read`.
pub fn listed(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            out.push((name, path));
        }
    }
    out.sort();
    Ok(out)
}

/// Length and time of a file, by which one process knows it again.
type Seen = (u64, Option<SystemTime>);

/// Digests of files, each taken once in a process as long as length and time stay.
#[derive(Debug, Default)]
pub struct Digests {
    known: Mutex<HashMap<PathBuf, (Seen, String)>>,
}

impl Digests {
    /// SHA-256 of a file.
    ///
    /// # Errors
    /// `Missing` or `Io` of the store.
    pub fn of(&self, path: &Path) -> Result<String> {
        let seen = std::fs::metadata(path).ok().map(|m| (m.len(), m.modified().ok()));
        // A lock that a panic left behind still holds whole entries.
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        if let (Some(seen), Some((then, digest))) = (seen, known.get(path)) {
            if *then == seen && seen.1.is_some() {
                return Ok(digest.clone());
            }
        }
        let digest = digest::of_file(path)?;
        if let Some(seen) = seen {
            known.insert(path.into(), (seen, digest.clone()));
        }
        Ok(digest)
    }
}
