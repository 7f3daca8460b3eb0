//! Models of a run: base, and the decoder of one other state at a time.
//!
//! What a model is made of goes by digest: its weights, and every small file of a folder that decides
//! how it is read (configuration, tokenizer, templates, settings of generation).

use super::files::{self, Digests};
use super::{Result, StudyError};
use crate::model::{Adapter, Decoder, Model, Place, RowOrder};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a state's weights come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// Those of base.
    Base,
    /// Base with an adapter merged into it.
    Adapter(PathBuf),
    /// Another model of the same shape.
    Other {
        /// What it is called.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
}

/// Base, and the decoder that was used last.
pub struct Models<'a> {
    /// The study's model.
    pub base: &'a Model,
    held: Option<(Weights, Decoder)>,
}

impl<'a> Models<'a> {
    /// Base alone.
    pub fn new(base: &'a Model) -> Self {
        Models { base, held: None }
    }

    /// The decoder of a state.
    ///
    /// # Errors
    /// An adapter or model that cannot be read or is of another shape.
    pub fn decoder(&mut self, weights: &Weights) -> Result<Decoder> {
        let base = &self.base.decoder;
        if let Some((held, d)) = &self.held {
            if held == weights {
                return Ok(d.clone());
            }
        }
        self.held = None;
        let decoder = match weights {
            Weights::Base => return Ok(base.clone()),
            Weights::Adapter(dir) => base.merged(&Adapter::read(dir, base)?)?,
            Weights::Other { name, path } => {
                let other = Model::load(name, path, &self.base.loading())?.decoder;
                let shape = |d: &Decoder| format!("{} x {}", d.layers(), d.hidden());
                if shape(&other) != shape(base) {
                    return Err(StudyError::OtherShape {
                        got: name.clone(),
                        got_shape: shape(&other),
                        want_shape: shape(base),
                    });
                }
                other
            }
        };
        self.held = Some((weights.clone(), decoder.clone()));
        Ok(decoder)
    }

    /// Forgets what is not base.
    pub fn release(&mut self) {
        self.held = None;
    }
}

/// What a loaded model's output depends on: its name, every file that is read, how its texts are
/// written, and the numbers that it computes in.
///
/// # Errors
/// A file that cannot be read.
pub fn record(model: &Model, digests: &Digests) -> Result<Value> {
    Ok(json!({
        "id": model.id,
        "weights": model.sha256,
        "files": small_files(&model.path, digests)?,
        "reading": model.tokenizer.reading(),
        "numbers": numbers(model),
    }))
}

/// The numbers that a decoder computes in. Where its weights stay as stored an adapter stays beside them,
/// and what it gives differs in rounding.
fn numbers(model: &Model) -> String {
    let d = &model.decoder;
    let stored = if d.is_stored() { " of stored weights" } else { "" };
    let order = match model.placement.order {
        RowOrder::Model => String::new(),
        other => format!(", rows {}", other.name()),
    };
    let place = match model.placement.place {
        Place::Cpu => "",
        Place::Cuda(_) => " on a GPU",
    };
    format!("{:?}{stored}{order}{place}", d.linear(0, 0).weight.dtype())
}

/// Digests of all that a model at `path` is read from, weights too.
///
/// # Errors
/// A file that cannot be read.
pub fn all_files(path: &Path, digests: &Digests) -> Result<BTreeMap<String, String>> {
    let mut out = small_files(path, digests)?;
    let weights = |name: &str| name.ends_with(".safetensors");
    match path.is_dir() {
        true => out.extend(listed(path, &weights, digests)?),
        false => out.extend(parts(path, digests)?),
    }
    Ok(out)
}

/// Of a folder, what is small: JSON and templates.
fn small_files(path: &Path, digests: &Digests) -> Result<BTreeMap<String, String>> {
    if !path.is_dir() {
        return Ok(BTreeMap::new());
    }
    let small = |name: &str| name.ends_with(".json") || name.ends_with(".jinja");
    let mut out = listed(path, &small, digests)?;
    let more = path.join("additional_chat_templates");
    if more.is_dir() {
        let templates = listed(&more, &small, digests)?.into_iter();
        out.extend(templates.map(|(name, d)| (format!("additional_chat_templates/{name}"), d)));
    }
    Ok(out)
}

/// A GGUF file, and the other parts of a split one.
fn parts(path: &Path, digests: &Digests) -> Result<BTreeMap<String, String>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (Some(folder), Some((stem, _))) = (path.parent(), name.rsplit_once("-of-")) else {
        return Ok(BTreeMap::from([(name.into_owned(), digests.of(path)?)]));
    };
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
    let part = |n: &str| n.starts_with(&stem) && n.ends_with(".gguf");
    let folder = if folder == Path::new("") { Path::new(".") } else { folder };
    listed(folder, &part, digests)
}

/// Digests of the files of a folder that are asked for, by name.
fn listed(
    folder: &Path,
    wanted: &dyn Fn(&str) -> bool,
    digests: &Digests,
) -> Result<BTreeMap<String, String>> {
    let all = files::listed(folder)?.into_iter().filter(|(name, _)| wanted(name));
    all.map(|(name, path)| Ok((name, digests.of(&path)?))).collect()
}
