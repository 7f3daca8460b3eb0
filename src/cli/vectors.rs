//! Directions from a user's file: one concept's vectors by block.

use crate::export::safetensors;
use crate::model::error::nearest;
use anyhow::{bail, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Vectors by block.
pub use crate::export::vectors::Layers as ByLayer;

/// All concepts of a file that `residuum extract` or `residuum study` wrote.
pub fn all(file: &Path) -> Result<BTreeMap<String, ByLayer>> {
    Ok(safetensors::read(file)?.concepts)
}

/// The vectors of one concept.
///
/// # Errors
/// The file holds no such concept; the nearest is named.
pub fn read(file: &Path, concept: &str) -> Result<ByLayer> {
    pick(all(file)?, concept, file)
}

/// One concept of those that a file holds.
pub fn pick(mut all: BTreeMap<String, ByLayer>, concept: &str, file: &Path) -> Result<ByLayer> {
    if let Some(vectors) = all.remove(concept) {
        return Ok(vectors);
    }
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    let near = nearest(concept, names.iter().copied()).unwrap_or_default();
    bail!(
        "{} holds no concept `{concept}`; did you mean `{near}`? It holds: {}",
        file.display(),
        names.join(", ")
    );
}

/// The vector of one block.
///
/// # Errors
/// There is none; those that there are, are named.
pub fn at<'a>(vectors: &'a ByLayer, layer: usize, what: &str) -> Result<&'a [f32]> {
    let Some(v) = vectors.get(&layer) else {
        let held: Vec<String> = vectors.keys().map(usize::to_string).collect();
        bail!(
            "there is no vector of `{what}` at layer {layer}, only at {}: choose one with --layer",
            held.join(", ")
        );
    };
    Ok(v)
}

/// One vector a block: each block's own, or with `layer` that one's at every depth.
pub fn per_block(
    vectors: &ByLayer,
    layer: Option<usize>,
    depth: usize,
    what: &str,
) -> Result<Vec<Vec<f32>>> {
    let blocks = 0..depth;
    blocks
        .map(|l| Ok(at(vectors, layer.unwrap_or(l), what)?.to_vec()))
        .collect()
}

/// The vector at length 1.
pub fn unit(v: &[f32]) -> Vec<f32> {
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    v.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}
