//! safetensors: one tensor per concept and layer, named `<concept>.<layer>`.
//!
//! The one format here that keeps everything: all concepts in a file, float32, with
//! `model_id`, `layer_convention`, `blocks` and what is known of the vectors (`residuum`) in the
//! header's metadata. The layer is what
//! follows the last dot, so a concept may hold dots itself. Other tools' float16, bfloat16 and
//! float64 are read as float32.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use ::safetensors::tensor::Dtype;
use ::safetensors::{SafeTensorError, SafeTensors};

use super::vectors::{check_name, to_bytes, Number, Vectors, DEEPEST};
use super::{About, ExportError, Result};
use crate::store::atomic;
use crate::store::error::from_io;
use crate::store::tensors::{safetensors, Tensor32};

/// Writes all vectors to `path`.
///
/// # Errors
/// `Empty`, `BadConcept`, `Width`, or the store's.
pub fn write(path: &Path, vectors: &Vectors) -> Result<()> {
    let mut tensors = Vec::new();
    for concept in vectors.concepts.keys() {
        for (layer, vector) in vectors.concept(concept, path)? {
            let name = format!("{concept}.{layer}");
            tensors.push((name, vec![vector.len()], to_bytes(vector)));
        }
    }
    let metadata = metadata(&vectors.model_id, &vectors.layer_convention);
    let blocks = vectors.blocks.map(|blocks| ("blocks".to_owned(), blocks.to_string()));
    let about = vectors.about.text().map(|text| (ABOUT.to_owned(), text));
    write_tensors(path, &tensors, metadata.into_iter().chain(blocks).chain(about).collect())
}

/// Key of what is known of the vectors besides.
const ABOUT: &str = "residuum";

/// The metadata that every file here has.
pub(super) fn metadata(model_id: &str, layer_convention: &str) -> BTreeMap<String, String> {
    let pairs = [("model_id", model_id), ("layer_convention", layer_convention)];
    pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into()
}

/// Writes float32 tensors.
pub(super) fn write_tensors(
    path: &Path,
    tensors: &[Tensor32],
    metadata: BTreeMap<String, String>,
) -> Result<()> {
    if tensors.is_empty() {
        return Err(ExportError::Empty { path: path.to_path_buf() });
    }
    let bytes = safetensors(tensors, &metadata).map_err(|e| malformed(path, e))?;
    Ok(atomic::write(path, &bytes)?)
}

/// Reads the vectors at `path`.
///
/// # Errors
/// `Malformed`, `NotADirection` for a tensor of another name or type, or the store's.
pub fn read(path: &Path) -> Result<Vectors> {
    let bytes = read_file(path)?;
    let (file, metadata) = opened(&bytes, path)?;
    let text = |key: &str| metadata.get(key).cloned().unwrap_or_default();
    let mut vectors = Vectors {
        model_id: text("model_id"),
        layer_convention: text("layer_convention"),
        blocks: text("blocks").parse().ok().filter(|b| *b < DEEPEST),
        about: About::read(path, "safetensors", &text(ABOUT))?,
        ..Vectors::default()
    };
    for (name, view) in file.tensors() {
        let refuse =
            |expected, found: &str| Err(ExportError::not_a_direction(path, &name, expected, found));
        let parts = name.rsplit_once('.');
        let parsed = parts.and_then(|(concept, layer)| Some((concept, layer.parse().ok()?)));
        let Some((concept, layer)) = parsed else {
            return refuse("named <concept>.<layer>", "named otherwise");
        };
        check_name(concept, path)?;
        let number = match view.dtype() {
            Dtype::F16 => Some(Number::F16),
            Dtype::BF16 => Some(Number::Bf16),
            Dtype::F32 => Some(Number::F32),
            Dtype::F64 => Some(Number::F64),
            _ => None,
        };
        let (Some(number), 1) = (number, view.shape().len()) else {
            let found = format!("{:?} {:?}", view.dtype(), view.shape());
            return refuse("a vector of float16, bfloat16, float32 or float64", &found);
        };
        let layers = vectors.concepts.entry(concept.to_owned()).or_default();
        if layers.insert(layer, number.values(view.data())).is_some() {
            let (path, concept) = (path.into(), concept.into());
            return Err(ExportError::Twice { path, concept, layer });
        }
    }
    Ok(vectors)
}

/// Bytes beyond which no file is one of directions.
const LARGEST: u64 = 1 << 31;

/// The bytes of a file, whose size is looked at first.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let about = fs::metadata(path).map_err(|e| from_io(path, e))?;
    if !about.is_file() {
        return Err(ExportError::malformed(path, "vector", "it is no regular file"));
    }
    if about.len() > LARGEST {
        let detail = format!("{} bytes are more than directions take", about.len());
        return Err(ExportError::malformed(path, "vector", detail));
    }
    Ok(fs::read(path).map_err(|e| from_io(path, e))?)
}

/// The tensors of a file's bytes, and its metadata.
pub(super) fn opened<'b>(
    bytes: &'b [u8],
    path: &Path,
) -> Result<(SafeTensors<'b>, HashMap<String, String>)> {
    let failed = |e| malformed(path, e);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(failed)?;
    let file = SafeTensors::deserialize(bytes).map_err(failed)?;
    Ok((file, header.metadata().clone().unwrap_or_default()))
}

fn malformed(path: &Path, error: SafeTensorError) -> ExportError {
    ExportError::malformed(path, "safetensors", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::vectors::tests::any_vectors;
    use ::safetensors::{serialize, tensor::TensorView};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn vectors_survive_a_round_trip(vectors in any_vectors()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("directions.safetensors");
            write(&path, &vectors).unwrap();
            prop_assert_eq!(read(&path).unwrap(), vectors);
        }
    }

    #[test]
    fn tensors_that_are_no_directions_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let zeros = [0; 16];
        for (name, shape) in [("model.norm.weight", vec![4]), ("persona.3", vec![2, 2])] {
            let view = TensorView::new(Dtype::F32, shape, &zeros).unwrap();
            fs::write(&path, serialize([(name, view)], None).unwrap()).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        fs::write(&path, b"not a tensor file").unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ExportError::Malformed { .. }), "{error}");
    }
}
