//! The files of a GGUF model: one, or the parts of one that was split.
//!
//! llama.cpp splits as `NAME-00001-of-00003.gguf`: each part has a header of its own with `split.no`
//! (from 0) and `split.count`, the first has the model's metadata too, and a tensor's place is counted
//! from its own part's data. Any part leads to all of them.

use super::config::Norms;
use super::error::{ModelError, Result};
use super::gguf_header::{self, whole, Entry, Header};
use super::names::hub_name;
use super::weights::{map_file, Found};
use crate::ops::stored::Source;
use candle_core::quantized::gguf_file::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Parts of a model at most, as the five digits of their names allow.
const MOST_PARTS: u64 = 99_999;

struct Part {
    path: PathBuf,
    source: Source,
    header: Header,
}

/// All files of a model, in order; the first has its metadata.
pub(crate) struct Parts(Vec<Part>);

fn bad(path: &Path, why: impl Into<String>) -> ModelError {
    ModelError::Gguf { path: path.into(), why: why.into() }
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        // Mapped: of what is not read nothing comes into memory.
        let map = map_file(path)?;
        let header = gguf_header::read(&map).map_err(|e| bad(path, e))?;
        Ok(Part { path: path.into(), source: Arc::new(map), header })
    }

    fn found<'a>(&'a self, name: &'a str, entry: &Entry) -> Found<'a> {
        Found { path: &self.path, source: &self.source, name, entry: entry.clone() }
    }

    /// A count of the `split.` keys.
    fn count(&self, key: &str) -> Result<Option<u64>> {
        let count = |value| {
            let none = || bad(&self.path, format!("key `{key}` is {value:?}, no count"));
            whole(value).ok_or_else(none)
        };
        self.header.metadata.get(key).map(count).transpose()
    }
}

impl Parts {
    /// Opens the file at `path` and, if it is a part, all others.
    ///
    /// # Errors
    /// A part that is missing, by its name; one that does not belong; a tensor in two parts.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let given = Part::open(path)?;
        let count = match given.count("split.count")? {
            None | Some(0 | 1) => return Ok(Parts(vec![given])),
            Some(n) if n > MOST_PARTS => return Err(bad(path, format!("split.count is {n}"))),
            Some(n) => n,
        };
        let no = given.count("split.no")?.filter(|no| *no < count);
        let no =
            no.ok_or_else(|| bad(path, "key `split.no` is missing or beyond `split.count`"))?;
        let sibling = siblings(path, no, count)?;
        let mut given = Some(given);
        let mut parts = Vec::new();
        for i in 0..count {
            let file = sibling(i);
            let part = match given.take_if(|_| i == no) {
                Some(given) => given,
                None if !file.exists() => {
                    let why = format!("part {} of the {count} of this model is not there; put all parts in one folder", i + 1);
                    return Err(ModelError::file(&file, why));
                }
                None => Part::open(&file)?,
            };
            if (part.count("split.no")?, part.count("split.count")?) != (Some(i), Some(count)) {
                let why = format!("it is not part {} of {count}, as its name says", i + 1);
                return Err(bad(&file, why));
            }
            parts.push(part);
        }
        let parts = Parts(parts);
        parts.agree()?;
        Ok(parts)
    }

    /// Refuses a tensor in two parts, and parts that together hold another number than they say.
    fn agree(&self) -> Result<()> {
        let mut seen: HashMap<&str, &Path> = HashMap::new();
        for part in &self.0 {
            for name in part.header.tensors.keys() {
                if let Some(other) = seen.insert(name, &part.path) {
                    let why = format!("tensor `{name}` is in {} too", other.display());
                    return Err(bad(&part.path, why));
                }
            }
        }
        let held = seen.len();
        for part in &self.0 {
            if let Some(n) = part.count("split.tensors.count")?.filter(|n| *n != held as u64) {
                let why = format!("the parts hold {held} tensors where {n} are named");
                return Err(bad(&part.path, why));
            }
        }
        Ok(())
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|p| p.path.clone()).collect()
    }

    /// The model's metadata.
    pub(crate) fn metadata(&self) -> &HashMap<String, Value> {
        &self.0[0].header.metadata
    }

    /// Lets go of the vocabulary and the rest of the metadata.
    pub(crate) fn forget_metadata(&mut self) {
        self.0.iter_mut().for_each(|p| p.header.metadata = HashMap::new());
    }

    /// A tensor by its name in the file.
    pub(crate) fn tensor(&self, name: &str) -> Option<Found<'_>> {
        self.0.iter().find_map(|part| {
            let (name, entry) = part.header.tensors.get_key_value(name)?;
            Some(part.found(name, entry))
        })
    }

    /// Every tensor by its Hugging Face name, or its own where it has none.
    pub(crate) fn tensors(&self, norms: Norms) -> BTreeMap<String, Found<'_>> {
        let mut all = BTreeMap::new();
        for part in &self.0 {
            for (name, entry) in &part.header.tensors {
                let found = part.found(name, entry);
                all.insert(hub_name(name, norms).unwrap_or_else(|| name.clone()), found);
            }
        }
        all
    }
}

/// Paths of the parts by number from 0, from the path of part `no`.
fn siblings(path: &Path, no: u64, count: u64) -> Result<impl Fn(u64) -> PathBuf + '_> {
    let ending = move |i: u64| format!("-{:05}-of-{count:05}.gguf", i + 1);
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(&ending(no)) else {
        let why = format!("it is part {} of {count}, and its name does not end in `{}`, by which the others are found; give it back its name", no + 1, ending(no));
        return Err(bad(path, why));
    };
    let stem = stem.to_string();
    Ok(move |i| path.with_file_name(format!("{stem}{}", ending(i))))
}
