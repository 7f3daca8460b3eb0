//! SHA-256 of bytes, files and configurations.
//!
//! Hashes are lower-case hexadecimal. The hash of a JSON value is taken over its
//! canonical form: object keys sorted by bytes, no spaces, numbers as serde_json
//! prints them. Two configurations that say the same thing in another key order so
//! have the same hash, which is what keys a stage of the plan. `1` and `1.0` stay
//! different: a checked configuration has one type per field and never mixes them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{from_io, StoreError};

const BLOCK: usize = 1 << 20;

/// SHA-256 of `bytes`, in hexadecimal.
pub fn of_bytes(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// SHA-256 of the file at `path`.
///
/// # Errors
/// `Missing` or `Io`.
pub fn of_file(path: &Path) -> Result<String, StoreError> {
    read_file(path).map_err(|e| from_io(path, e))
}

/// As [`of_file`], read in blocks of 1 MiB, with the error as it came.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut BufReader::with_capacity(BLOCK, File::open(path)?), &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// SHA-256 of the canonical form of `value`: the content hash of a stage.
pub fn of_json(value: &Value) -> String {
    of_bytes(canonical(value).as_bytes())
}

/// The canonical form of a JSON value: sorted keys, no spaces.
pub fn canonical(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_vectors_are_reproduced() {
        // FIPS 180-4, examples for the empty string and "abc".
        assert_eq!(
            of_bytes(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            of_bytes(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_streamed_file_hashes_as_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let bytes: Vec<u8> = (0..3 * BLOCK + 17).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(of_file(&path).unwrap(), of_bytes(&bytes));
        let error = of_file(&dir.path().join("none")).unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    }

    #[test]
    fn key_order_does_not_change_a_hash_and_content_does() {
        let a: Value = serde_json::from_str(r#"{"b":[1,{"y":2,"x":"é\n"}],"a":0.5}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":0.5,"b":[1,{"x":"é\n","y":2}]}"#).unwrap();
        assert_eq!(of_json(&a), of_json(&b));
        assert_eq!(canonical(&a), r#"{"a":0.5,"b":[1,{"x":"é\n","y":2}]}"#);
        for other in [json!({"a": 0.5}), json!([]), json!({"a": 1}), json!({"a": 1.0})] {
            assert_ne!(of_json(&a), of_json(&other));
        }
        assert_ne!(of_json(&json!([1, 2])), of_json(&json!([2, 1])));
    }
}
