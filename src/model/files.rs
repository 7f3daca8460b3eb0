//! What is asked of any file of a model: its digest, or its JSON.

use super::error::{ModelError, Result};
use crate::store::digest;
use std::path::{Path, PathBuf};

/// SHA-256 of a file.
pub fn file_sha256(path: &Path) -> Result<String> {
    digest::read_file(path).map_err(ModelError::read(path))
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(ModelError::read(path))
}

pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value> {
    let bad = |e| ModelError::file(path, format!("not JSON ({e})"));
    serde_json::from_str(&read_text(path)?).map_err(bad)
}

/// SHA-256 of the digests of a folder's weight files in name order.
pub(crate) fn folder_sha256(files: &[PathBuf]) -> Result<String> {
    let all: Vec<String> = files.iter().map(|f| file_sha256(f)).collect::<Result<_>>()?;
    Ok(digest::of_bytes(all.concat().as_bytes()))
}

/// SHA-256 of one file, or of the digests of several.
pub(crate) fn files_sha256(files: &[PathBuf]) -> Result<String> {
    match files {
        [one] => file_sha256(one),
        several => folder_sha256(several),
    }
}
