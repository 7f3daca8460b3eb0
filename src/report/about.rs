//! How the numbers of a file came about and where they are from: methods, provenance, citation.
//!
//! A method is the definition that its kind of record carries, which `residuum geometry explain` prints
//! as well; nothing is defined here.

use crate::analysis::records::{self, distinct};
use crate::store::{digest, frame::tidy, ResultsReader, RootAttrs, StoreError};
use serde::Serialize;
use std::path::Path;

/// A kind of record with its definitions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Method {
    /// Its path in the file.
    pub path: String,
    /// What it is, estimator, interval, null, source; each with its name.
    pub says: Vec<(String, String)>,
    /// Name, unit and definition of each column.
    pub columns: Vec<[String; 3]>,
}

/// Where a file is from.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Provenance {
    /// Versions, seed, machine, time, command, digests.
    pub facts: Vec<(String, String)>,
    /// Digest of each input by its name.
    pub inputs: Vec<(String, String)>,
    /// The resolved configuration as indented JSON.
    pub config: String,
}

/// How to cite.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Citation {
    /// In words.
    pub text: String,
    /// As BibTeX.
    pub bibtex: String,
    /// Works that the methods are from.
    pub sources: Vec<String>,
}

/// The methods behind a file.
pub fn methods(reader: &ResultsReader) -> Vec<Method> {
    let method = |m: &'static crate::store::Meta| Method {
        path: m.path.into(),
        says: m.attributes().map(|(name, text)| (name.into(), text)).collect(),
        columns: (m.fields.iter()).map(|f| [f.name.into(), f.unit.into(), tidy(f.is)]).collect(),
    };
    records::present(reader).into_iter().map(method).collect()
}

/// Where the file at `path` is from.
///
/// # Errors
/// The file cannot be read.
pub fn provenance(attrs: &RootAttrs, path: &Path) -> Result<Provenance, StoreError> {
    let known = [
        ("Version", attrs.version.clone()),
        ("Commit", attrs.git.clone()),
        ("Written", attrs.created.clone()),
        ("Command", attrs.command.clone()),
        ("Machine", attrs.hardware.clone()),
        ("Seed", attrs.seed.to_string()),
        ("Model", attrs.model_id.clone()),
        ("SHA-256 of its weights", attrs.model_sha256.clone()),
        ("SHA-256 of its chat template", attrs.chat_template_sha256.clone()),
        ("Layer convention", attrs.layer_convention.clone()),
        ("SHA-256 of the results file", digest::of_file(path)?),
    ];
    let known = known.into_iter().filter(|(_, text)| !text.is_empty());
    let mut config = attrs.config.clone();
    let inputs = config.as_object_mut().and_then(|c| c.remove("inputs"));
    let inputs = inputs.as_ref().and_then(|i| i.as_object()).into_iter().flatten();
    Ok(Provenance {
        facts: known.map(|(name, text)| (name.into(), text)).collect(),
        inputs: inputs
            .filter_map(|(name, digest)| Some((name.clone(), digest.as_str()?.into())))
            .collect(),
        config: format!("{config:#}"),
    })
}

/// How to cite a file and what made it.
pub fn citation(attrs: &RootAttrs, title: &str, from: &Provenance, methods: &[Method]) -> Citation {
    let year: String = attrs.created.chars().take(4).collect();
    let commit = super::wording::with(", commit ", &attrs.git);
    let digest = from.facts.last().map_or("", |f| f.1.as_str());
    let tool = format!("residuum {}{commit}", attrs.version);
    let text = format!(
        "{title} ({}, {}). Made with {tool}. Results file: SHA-256 {digest}.",
        attrs.model_id, attrs.created
    );
    // What BibTeX would read as its own is taken out.
    let plain = |text: &str| text.replace(['{', '}', '\\', '%', '"', '#', '&', '$'], "");
    let bibtex = format!(
        "@misc{{residuum-results,\n  title = {{{}}},\n  year = {{{}}},\n  note = {{Model: {}. Made with {}. SHA-256 of results.h5: {digest}}}\n}}",
        plain(title), plain(&year), plain(&attrs.model_id), plain(&tool),
    );
    let sources = methods.iter().flat_map(|m| &m.says).filter(|s| s.0 == "source");
    let sources = distinct(sources.flat_map(|s| s.1.split("; ").map(str::to_owned)));
    Citation { text, bibtex, sources }
}
