//! One file of vectors in whichever format its name says.
//!
//! `.safetensors` and `.npz` hold any number of concepts; `.npy` and `.gguf` hold one, which is
//! named by the file where the format has no name for it. For commands that take vectors
//! from anywhere and hand them on.

use std::collections::BTreeMap;
use std::path::Path;

use super::vectors::{check_depth, width};
use super::{
    gguf, npy, npz, results, safetensors, Convention, ExportError, ExportWarning, Found, Result,
    Vectors,
};

/// A format of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One tensor a concept and layer, with metadata.
    Safetensors,
    /// One array a concept, a row a block.
    Npy,
    /// An array a concept, with metadata.
    Npz,
    /// A control vector of llama.cpp, one concept.
    Gguf,
    /// Read only: the unit vectors of a results file.
    Results,
}

impl Format {
    /// The format that the ending of a file name says.
    ///
    /// # Errors
    /// `UnknownFormat`, or `Pickle` for a file of PyTorch's.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npy") => Ok(Self::Npy),
            Some("npz") => Ok(Self::Npz),
            Some("gguf") => Ok(Self::Gguf),
            Some("h5" | "hdf5") => Ok(Self::Results),
            Some("pt" | "pth" | "bin" | "pkl") if path.exists() => {
                Err(ExportError::Pickle { path: path.into(), stem: stem(path) })
            }
            _ => {
                let known = ".safetensors, .npz, .npy or .gguf (.h5 of results is read too)";
                Err(ExportError::UnknownFormat { path: path.into(), known })
            }
        }
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Reads the vectors at `path`, indexed as they are in it; [`Found`] makes them a model's.
///
/// # Errors
/// `UnknownFormat`, `NotFinite`, `Width`, `NoVectors`, or the format's.
pub fn read(path: &Path) -> Result<Found> {
    let mut found = Found { path: path.to_path_buf(), ..Found::default() };
    let array = |found: &mut Found, concept: String, array: npy::Array| {
        found.rows.insert(concept.clone(), array.rows);
        found.concepts.insert(concept, array.layers);
    };
    match Format::of(path)? {
        Format::Safetensors => {
            let held = safetensors::read(path)?;
            found.says = said(path, &held.layer_convention)?;
            found.model_id = held.model_id;
            found.blocks = held.blocks;
            found.concepts = held.concepts;
            found.about = held.about;
        }
        Format::Results => {
            let held = results::read(path)?;
            found.says = said(path, &held.layer_convention)?;
            (found.model_id, found.concepts, found.about) =
                (held.model_id, held.concepts, held.about);
        }
        Format::Npy => array(&mut found, stem(path), npy::read(path)?),
        Format::Npz => {
            let (arrays, held) = npz::read(path)?;
            for (concept, one) in arrays {
                array(&mut found, concept, one);
            }
            found.says = said(path, &held.layer_convention)?;
            (found.model_id, found.blocks, found.about) = (held.model_id, held.blocks, held.about);
        }
        Format::Gguf => {
            let held = gguf::read(path)?;
            let says = said(path, &held.layer_convention)?;
            found.says = says.or(Some(Convention::BlockOutput));
            (found.model_id, found.about) = (held.model_id, held.about);
            let named = Some(held.concept).filter(|name| !name.is_empty());
            found.concepts.insert(named.unwrap_or_else(|| stem(path)), held.layers);
        }
    }
    check(&found)?;
    Ok(found)
}

/// The convention of a name in a file's metadata; none for no name.
fn said(path: &Path, name: &str) -> Result<Option<Convention>> {
    let unknown = |_| ExportError::UnknownConvention { path: path.into(), found: name.into() };
    (!name.is_empty()).then(|| name.parse().map_err(unknown)).transpose()
}

/// Finite vectors of one width a concept, and one at least.
fn check(found: &Found) -> Result<()> {
    let path = &found.path;
    if found.concepts.values().all(BTreeMap::is_empty) {
        return Err(ExportError::NoVectors { path: path.clone() });
    }
    for (concept, layers) in found.concepts.iter().filter(|(_, l)| !l.is_empty()) {
        check_depth(concept, layers, path)?;
        width(concept, layers, path)?;
        let bad = |v: &[f32]| v.iter().any(|x| !x.is_finite());
        if let Some((&layer, _)) = layers.iter().find(|(_, v)| bad(v)) {
            let (path, concept) = (path.clone(), concept.clone());
            return Err(ExportError::NotFinite { path, concept, layer });
        }
    }
    Ok(())
}

/// Writes vectors to `path` and says what the format could not hold. `model_hint` is the
/// architecture that a control vector names, such as `llama`.
///
/// # Errors
/// `UnknownFormat`, `OneConcept`, or the format's.
pub fn write(path: &Path, vectors: &Vectors, model_hint: &str) -> Result<Option<ExportWarning>> {
    let format = Format::of(path)?;
    match format {
        Format::Safetensors => return safetensors::write(path, vectors).map(|()| None),
        Format::Npz => return npz::write(path, vectors).map(|()| None),
        Format::Results => {
            let known = ".safetensors, .npz, .npy or .gguf";
            return Err(ExportError::UnknownFormat { path: path.into(), known });
        }
        Format::Npy | Format::Gguf => {}
    }
    let mut names = vectors.concepts.keys();
    let (Some(concept), None) = (names.next(), names.next()) else {
        let names: Vec<&str> = vectors.concepts.keys().map(String::as_str).collect();
        let present = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(ExportError::OneConcept { path: path.into(), present });
    };
    match format {
        Format::Npy => npy::write(path, vectors, concept).map(Some),
        _ => gguf::write(path, vectors, concept, model_hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{About, OfConcept, OfLayer};
    use crate::store::schema::LAYER_CONVENTION;

    fn vectors(names: &[&str]) -> Vectors {
        let layers = BTreeMap::from([(1, vec![1.0, -2.0]), (4, vec![0.5, 3.0])]);
        Vectors {
            model_id: String::new(),
            layer_convention: LAYER_CONVENTION.into(),
            blocks: Some(6),
            concepts: names.iter().map(|n| (n.to_string(), layers.clone())).collect(),
            about: About::default(),
        }
    }

    #[test]
    fn every_format_reads_back_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let one = vectors(&["persona"]);
        for name in ["persona.safetensors", "persona.npy", "other.gguf"] {
            let path = dir.path().join(name);
            write(&path, &one, "llama").unwrap();
            let (back, how) = read(&path).unwrap().of_model(6, 2).unwrap();
            assert_eq!((back, how), (one.clone(), Convention::BlockOutput), "{name}");
        }
    }

    #[test]
    fn every_format_with_metadata_says_whose_its_vectors_are() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = vectors(&["persona"]);
        one.model_id = "org/model".into();
        let auroc = OfLayer { auroc: Some(0.75), raw_norm: Some(2.5), layer_rms: None };
        let of = OfConcept { chosen_layer: Some(4), layers: [(4, auroc)].into() };
        one.about = About {
            model_sha256: "ab".into(),
            estimator: "lda".into(),
            position: "response-mean".into(),
            norm: "unit".into(),
            concepts: [("persona".to_owned(), of)].into(),
            ..About::default()
        };
        for name in ["a.safetensors", "a.npz", "a.gguf"] {
            let path = dir.path().join(name);
            write(&path, &one, "llama").unwrap();
            let back = read(&path).unwrap();
            assert_eq!(
                (back.about.chosen_layer("persona"), back.about),
                (Some(4), one.about.clone())
            );
            assert_eq!(back.model_id, "org/model", "{name}");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_named_with_file_concept_and_layer() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bad) in
            [("a.safetensors", f32::NAN), ("a.npy", f32::INFINITY), ("a.gguf", f32::NAN)]
        {
            let mut one = vectors(&["a"]);
            one.concepts.get_mut("a").unwrap().get_mut(&4).unwrap()[1] = bad;
            let path = dir.path().join(name);
            write(&path, &one, "llama").unwrap();
            let text = read(&path).unwrap_err().to_string();
            for part in [name, "`a`", "index 4", "finite"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn a_convention_that_is_not_known_is_refused_and_hidden_states_are_shifted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.safetensors", "a.gguf"] {
            let path = dir.path().join(name);
            let mut one = vectors(&["a"]);
            one.layer_convention = "block_input".into();
            write(&path, &one, "llama").unwrap();
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains("`block_input`") && text.contains(name), "{text}");
            one.layer_convention = Convention::HiddenStates.name().into();
            write(&path, &one, "llama").unwrap();
            let (back, how) = read(&path).unwrap().of_model(6, 2).unwrap();
            assert_eq!(how, Convention::HiddenStates);
            assert_eq!(back.concepts["a"][&3], one.concepts["a"][&4]);
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
