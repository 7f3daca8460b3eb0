//! One file of vectors in whichever format its name says.
//!
//! `.safetensors` holds any number of concepts; `.npy` and `.gguf` hold one, which is
//! named by the file where the format has no name for it. For commands that take vectors
//! from anywhere and hand them on.

use std::path::Path;

use super::{gguf, npy, safetensors, ExportError, ExportWarning, Vectors};
use crate::store::schema::LAYER_CONVENTION;

/// A format of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Safetensors,
    Npy,
    Gguf,
}

impl Format {
    /// The format that the ending of a file name says.
    ///
    /// # Errors
    /// `UnknownFormat`.
    pub fn of(path: &Path) -> Result<Self, ExportError> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npy") => Ok(Self::Npy),
            Some("gguf") => Ok(Self::Gguf),
            _ => Err(ExportError::UnknownFormat {
                path: path.to_path_buf(),
            }),
        }
    }
}

/// Reads the vectors at `path`. The index of an array's row, and of a control vector of
/// another tool, is taken for that of a block whose output is meant.
///
/// # Errors
/// `UnknownFormat`, or the format's.
pub fn read(path: &Path) -> Result<Vectors, ExportError> {
    let stem = || {
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    };
    let or = |text: String, other: String| if text.is_empty() { other } else { text };
    let one = |concept: String, convention: String, layers| Vectors {
        layer_convention: or(convention, LAYER_CONVENTION.to_owned()),
        concepts: [(or(concept, stem()), layers)].into(),
        ..Vectors::default()
    };
    match Format::of(path)? {
        Format::Safetensors => safetensors::read(path),
        Format::Npy => Ok(one(String::new(), String::new(), npy::read(path)?)),
        Format::Gguf => {
            let vector = gguf::read(path)?;
            Ok(one(vector.concept, vector.layer_convention, vector.layers))
        }
    }
}

/// Writes vectors to `path` and says what the format could not hold. `model_hint` is the
/// architecture that a control vector names, such as `llama`.
///
/// # Errors
/// `UnknownFormat`, `OneConcept`, or the format's.
pub fn write(
    path: &Path,
    vectors: &Vectors,
    model_hint: &str,
) -> Result<Option<ExportWarning>, ExportError> {
    let format = Format::of(path)?;
    if format == Format::Safetensors {
        safetensors::write(path, vectors)?;
        return Ok(None);
    }
    let mut names = vectors.concepts.keys();
    let (Some(concept), None) = (names.next(), names.next()) else {
        let names: Vec<&str> = vectors.concepts.keys().map(String::as_str).collect();
        return Err(ExportError::OneConcept {
            path: path.to_path_buf(),
            present: match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            },
        });
    };
    match format {
        Format::Npy => npy::write(path, vectors, concept).map(Some),
        _ => gguf::write(path, vectors, concept, model_hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn vectors(names: &[&str]) -> Vectors {
        let layers = BTreeMap::from([(1, vec![1.0, -2.0]), (4, vec![0.5, 3.0])]);
        Vectors {
            model_id: String::new(),
            layer_convention: LAYER_CONVENTION.into(),
            concepts: names
                .iter()
                .map(|n| (n.to_string(), layers.clone()))
                .collect(),
        }
    }

    #[test]
    fn every_format_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let one = vectors(&["persona"]);
        for name in ["persona.safetensors", "persona.npy", "other.gguf"] {
            let path = dir.path().join(name);
            write(&path, &one, "llama").unwrap();
            assert_eq!(read(&path).unwrap(), one, "{name}");
        }
    }

    #[test]
    fn a_format_of_one_concept_refuses_two_and_an_unknown_ending_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let two = vectors(&["persona", "autonomy"]);
        for name in ["x.npy", "x.gguf"] {
            let error = write(&dir.path().join(name), &two, "llama").unwrap_err();
            assert!(error.to_string().contains("autonomy, persona"), "{error}");
        }
        let error = read(&dir.path().join("x.pt")).unwrap_err();
        assert!(error.to_string().contains(".safetensors"), "{error}");
    }
}
