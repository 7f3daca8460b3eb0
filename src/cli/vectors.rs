//! Directions from a user's file, as vectors of the model at hand.
//!
//! Any format that is exported is read. [`open`] looks at the file alone, before a model is loaded;
//! [`Directions`] holds it against the model, so that an index past the last block, a width or a
//! shape that is not the model's never gets further. How the indices were taken goes into every
//! output.

use super::layers::Layers;
use crate::export::{file, vectors::Layers as ByLayer, About, Convention, Found, Vectors};
use crate::model::{Decoder, Model};
use crate::store::names::nearest;
use anyhow::{bail, Result};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The vectors of a file, which holds these concepts.
///
/// # Errors
/// The file's; a concept that it lacks, with the nearest.
pub fn open<'a>(file: &Path, concepts: impl IntoIterator<Item = &'a str>) -> Result<Found> {
    let found = file::read(file)?;
    for concept in concepts {
        concept_of(file, &found.concepts, concept)?;
    }
    Ok(found)
}

/// What a file holds of a concept.
///
/// # Errors
/// It lacks the concept; the nearest that it holds is named.
pub fn concept_of<'a, T>(
    file: &Path,
    held: &'a BTreeMap<String, T>,
    concept: &str,
) -> Result<&'a T> {
    let names = || held.keys().map(String::as_str);
    match held.get(concept) {
        Some(found) => Ok(found),
        None => bail!(
            "{} holds no concept `{concept}`; did you mean `{}`? It holds: {}",
            file.display(),
            nearest(concept, names()).unwrap_or_default(),
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The file of an input, and the concept named behind the colon.
pub fn split(input: &str) -> (&Path, Option<&str>) {
    let whole = Path::new(input);
    match input.rsplit_once(':') {
        Some((path, concept)) if !whole.exists() => (Path::new(path), Some(concept)),
        _ => (whole, None),
    }
}

/// Refuses a block that the model does not have.
pub fn check_block(layer: Option<usize>, depth: usize) -> Result<()> {
    Layers::List(layer.into_iter().collect()).of(depth)?;
    Ok(())
}

/// The vectors of one file by block of a model.
pub struct Directions {
    pub file: PathBuf,
    pub concepts: BTreeMap<String, ByLayer>,
    /// What the file says of them besides.
    pub about: About,
    model_id: String,
    convention: Convention,
}

impl Directions {
    /// Holds a file against a model.
    ///
    /// # Errors
    /// A shape, width or block that is not the model's.
    pub fn of(found: Found, decoder: &Decoder) -> Result<Self> {
        let file = found.path.clone();
        let (vectors, convention) = found.of_model(decoder.layers(), decoder.hidden())?;
        let Vectors { concepts, about, model_id, .. } = vectors;
        Ok(Directions { file, concepts, about, model_id, convention })
    }

    /// A doubt where the file says that its vectors are of other weights than the model's.
    pub fn doubt(&self, model: &Model) -> Option<String> {
        let (theirs, ours) = (&self.about.model_sha256, &model.sha256);
        (!theirs.is_empty() && theirs != ours).then(|| {
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            format!(
                "the vectors of {} are of {} (weights {}), and the model is {} (weights {}): a direction of other weights need not mean the same here",
                self.file.display(),
                self.model_id,
                short(theirs),
                model.id,
                short(ours)
            )
        })
    }

    /// One concept of the file.
    ///
    /// # Errors
    /// The file holds no such concept.
    pub fn concept<'a>(&'a self, name: &'a str) -> Result<Held<'a>> {
        let layers = concept_of(&self.file, &self.concepts, name)?;
        Ok(Held { file: &self.file, concept: name, layers })
    }

    /// How the indices were taken, in words.
    pub fn note(&self) -> String {
        format!("vectors of {}: {}", self.file.display(), self.convention)
    }

    /// The same for the record.
    pub fn record(&self) -> Value {
        json!({
            "file": self.file,
            "layer_convention": self.convention.name(),
            "meaning": self.convention.to_string(),
            "model": self.model_id, "about": self.about,
        })
    }
}

/// The vectors of one concept.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    file: &'a Path,
    concept: &'a str,
    pub layers: &'a ByLayer,
}

impl<'a> Held<'a> {
    /// The vector of one block, which is not zero.
    ///
    /// # Errors
    /// There is none; those that there are, are named.
    pub fn at(&self, layer: usize) -> Result<&'a [f32]> {
        let (concept, file) = (self.concept, self.file.display());
        let Some(v) = self.layers.get(&layer) else {
            let held: Vec<String> = self.layers.keys().map(usize::to_string).collect();
            bail!(
                "{file}: there is no vector of `{concept}` at layer {layer}, only at {}: choose one of these",
                held.join(", ")
            );
        };
        if v.iter().all(|x| *x == 0.0) {
            bail!("{file}: the vector of `{concept}` at layer {layer} is zero, so it has no direction");
        }
        Ok(v)
    }

    /// One vector a block: each block's own, or with `layer` that one's at every depth.
    pub fn per_block(&self, layer: Option<usize>, depth: usize) -> Result<Vec<Vec<f32>>> {
        (0..depth).map(|l| Ok(self.at(layer.unwrap_or(l))?.to_vec())).collect()
    }
}
