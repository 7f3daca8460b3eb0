//! The catalogue: models known by name, pinned by digest, with the sources to try.

use super::error::{ModelError, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The embedded catalogue; `RESIDUUM_MODELS` may name another file of the same form.
const EMBEDDED: &str = include_str!("../../assets/models.toml");

/// The model of the embedded study.
pub const DEFAULT: &str = "smollm2-135m-instruct";

/// One model: the file, its digest and its sources.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub about: String,
    pub licence: String,
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    pub hub: Option<HubFile>,
    pub wheel: Option<Wheel>,
}

/// A file of a hub repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    pub repo: String,
    pub revision: Option<String>,
    pub file: String,
}

/// A file inside a Python wheel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    pub package: String,
    pub version: String,
    pub member: String,
}

/// Name to entry.
pub fn entries() -> Result<BTreeMap<String, Entry>> {
    match std::env::var_os("RESIDUUM_MODELS") {
        None => parse(EMBEDDED, Path::new("assets/models.toml")),
        Some(file) => {
            let path = Path::new(&file);
            let text = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
                path: path.into(),
                source,
            })?;
            parse(&text, path)
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Entry>> {
    toml::from_str(text).map_err(|e| ModelError::File {
        path: path.into(),
        why: format!("not a model catalogue: {e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_holds_the_default_with_a_full_digest() {
        let all = parse(EMBEDDED, Path::new("embedded")).unwrap();
        assert_eq!(all[DEFAULT].sha256.len(), 64);
        assert!(all.values().all(|e| e.hub.is_some() || e.wheel.is_some()));
    }
}
