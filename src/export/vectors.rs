//! The vectors that are exported.
//!
//! A concept has one vector per layer, layers need not be contiguous, and all vectors
//! of one model have the same width. Unit or raw norm is the caller's choice, which [`About`] says.
//! Index l is the output of block l.

use std::collections::BTreeMap;
use std::path::Path;

use super::{About, ExportError, Result};

/// Layer -> vector, (hidden).
pub type Layers = BTreeMap<usize, Vec<f32>>;

/// Directions of one model, by concept and layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vectors {
    /// Model that the vectors belong to.
    pub model_id: String,
    /// Which residual an index names, such as `block_output_0based`.
    pub layer_convention: String,
    /// Blocks of that model, where known: an array has a row for each.
    pub blocks: Option<usize>,
    /// Layer -> vector, by concept.
    pub concepts: BTreeMap<String, Layers>,
    /// What is known of them besides.
    pub about: About,
}

/// An index below this can be a layer's.
pub(crate) const DEEPEST: usize = 10_000;

impl Vectors {
    /// Vectors of one concept.
    pub(crate) fn concept(&self, concept: &str, path: &Path) -> Result<&Layers> {
        let Some(layers) = self.concepts.get(concept) else {
            let present = self.concepts.keys().cloned().collect::<Vec<_>>().join(", ");
            let (path, concept) = (path.into(), concept.into());
            return Err(ExportError::NoConcept { path, concept, present });
        };
        check_name(concept, path)?;
        check_depth(concept, layers, path)?;
        width(concept, layers, path)?;
        Ok(layers)
    }
}

/// The common width of a concept's vectors.
pub(crate) fn width(concept: &str, layers: &Layers, path: &Path) -> Result<usize> {
    let Some(expected) = layers.values().next().map(Vec::len) else {
        return Err(ExportError::Empty { path: path.to_path_buf() });
    };
    match layers.iter().find(|(_, v)| v.len() != expected) {
        None => Ok(expected),
        Some((&layer, vector)) => {
            let (concept, found) = (concept.into(), vector.len());
            Err(ExportError::Width { concept, layer, expected, found })
        }
    }
}

/// Refuses concept names that could not be a file name.
pub(crate) fn check_name(concept: &str, path: &Path) -> Result<()> {
    if concept.is_empty() || concept.starts_with('.') || concept.contains(['/', '\\', '\0']) {
        return Err(ExportError::BadConcept { path: path.into(), concept: concept.into() });
    }
    Ok(())
}

/// Refuses indices that would make an array of that many rows.
pub(crate) fn check_depth(concept: &str, layers: &Layers, path: &Path) -> Result<()> {
    match layers.range(DEEPEST..).next() {
        None => Ok(()),
        Some((&layer, _)) => {
            Err(ExportError::TooDeep { path: path.into(), concept: concept.into(), layer })
        }
    }
}

/// How a number is kept in a file, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    /// Bytes of one.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Values as float32; bytes past the last whole value are ignored.
    pub(crate) fn values(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = bytes.as_chunks().0.iter();
        match self {
            Self::F16 => pairs.map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
            Self::Bf16 => pairs.map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect(),
            Self::F32 => from_bytes(bytes),
            Self::F64 => {
                bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()
            }
        }
    }
}

/// Little-endian bytes of a vector.
pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A vector from its little-endian bytes; bytes past the last whole value are ignored.
pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any vectors over up to three concepts, four layers and width up to 9.
    pub(crate) fn any_vectors() -> impl Strategy<Value = Vectors> {
        let name = prop::sample::select(vec!["persona", "autonomy", "formality.v2", "überdruß"]);
        (1usize..9).prop_flat_map(move |width| {
            let vector = prop::collection::vec(-1e6f32..1e6, width);
            let layers = prop::collection::btree_map(0usize..40, vector, 1..4);
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), layers, 1..4)
                .prop_map(|concepts| Vectors {
                    model_id: "org/model".into(),
                    layer_convention: "block_output_0based".into(),
                    blocks: None,
                    concepts,
                    about: About { estimator: "mean-diff".into(), ..About::default() },
                })
        })
    }

    #[test]
    fn layers_of_different_width_are_refused() {
        let mut vectors = Vectors::default();
        let layers = BTreeMap::from([(0, vec![1.0; 4]), (7, vec![1.0; 5])]);
        vectors.concepts.insert("persona".into(), layers);
        let error = vectors.concept("persona", Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("layer 7"), "{error}");
        let error = vectors.concept("person", Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("persona"), "{error}");
    }
}
