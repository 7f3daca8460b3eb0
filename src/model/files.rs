//! What is asked of any file of a model: its digest, or its JSON.

use super::error::{ModelError, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of a file, read in pieces.
pub fn file_sha256(path: &Path) -> Result<String> {
    let read = |source| ModelError::Read {
        path: path.into(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(read)?;
    let mut sha = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(read)? {
            0 => return Ok(hex(&sha.finalize())),
            n => sha.update(&piece[..n]),
        }
    }
}

pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| ModelError::File {
        path: path.into(),
        why: format!("not JSON ({e})"),
    })
}

/// SHA-256 of the digests of a folder's weight files in name order.
pub(crate) fn folder_sha256(files: &[PathBuf]) -> Result<String> {
    let mut all = Sha256::new();
    for f in files {
        all.update(file_sha256(f)?);
    }
    Ok(hex(&all.finalize()))
}

/// SHA-256 of one file, or of the digests of several.
pub(crate) fn files_sha256(files: &[PathBuf]) -> Result<String> {
    match files {
        [one] => file_sha256(one),
        several => folder_sha256(several),
    }
}
