//! LEACE erasers: three tensors per concept and layer in one safetensors file.
//!
//! `<concept>.<layer>.mean` (d), `.left` (d, k) and `.right` (k, d), float32: activations x
//! (n, d) at the output of that block become `x - ((x - mean) right') left'`, and the concept
//! cannot be read from them linearly. The metadata are those of a file of vectors.

use std::collections::BTreeMap;
use std::path::Path;

use ::safetensors::tensor::Dtype;
use ndarray::{Array1, Array2};

use super::safetensors::{metadata, opened, read_file, write_tensors};
use super::vectors::{check_name, from_bytes, to_bytes};
use super::{ExportError, Result};
use crate::directions::Eraser;
use crate::store::tensors::Tensor32;

/// Erasers of one model, by concept and layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Erasers {
    /// Model that the erasers belong to.
    pub model_id: String,
    /// Which residual an index names, such as `block_output_0based`.
    pub layer_convention: String,
    /// Layer -> eraser, by concept.
    pub concepts: BTreeMap<String, BTreeMap<usize, Eraser>>,
}

/// Writes all erasers to `path`; their numbers are rounded to float32.
///
/// # Errors
/// `Empty`, `BadConcept`, or the store's.
pub fn write(path: &Path, erasers: &Erasers) -> Result<()> {
    let narrow = |values: &mut dyn Iterator<Item = &f64>| -> Vec<u8> {
        to_bytes(&values.map(|v| *v as f32).collect::<Vec<f32>>())
    };
    let mut tensors: Vec<Tensor32> = Vec::new();
    for (concept, layers) in &erasers.concepts {
        check_name(concept, path)?;
        for (layer, e) in layers {
            let (d, k) = (e.width(), e.rank());
            for (part, bytes, shape) in [
                ("mean", narrow(&mut e.mean.iter()), vec![d]),
                ("left", narrow(&mut e.left.iter()), vec![d, k]),
                ("right", narrow(&mut e.right.iter()), vec![k, d]),
            ] {
                tensors.push((format!("{concept}.{layer}.{part}"), shape, bytes));
            }
        }
    }
    let (model, convention) = (&erasers.model_id, &erasers.layer_convention);
    write_tensors(path, &tensors, metadata(model, convention))
}

/// Reads the erasers at `path`.
///
/// # Errors
/// `Malformed`, `NotADirection` for a tensor of another name, type or shape, or the store's.
pub fn read(path: &Path) -> Result<Erasers> {
    let bytes = read_file(path)?;
    let (file, metadata) = opened(&bytes, path)?;
    let text = |key: &str| metadata.get(key).cloned().unwrap_or_default();
    let mut erasers = Erasers {
        model_id: text("model_id"),
        layer_convention: text("layer_convention"),
        ..Erasers::default()
    };
    for (name, view) in file.tensors() {
        let refuse =
            |expected, found| Err(ExportError::not_a_direction(path, &name, expected, found));
        let Some((concept, layer, part)) = parts(&name) else {
            return refuse("named <concept>.<layer>.mean, left or right", "named otherwise");
        };
        check_name(concept, path)?;
        if part != "mean" {
            continue; // read with their mean
        }
        let matrix = |part: &str| -> Option<Array2<f64>> {
            let view = file.tensor(&format!("{concept}.{layer}.{part}")).ok()?;
            let (Dtype::F32, &[rows, columns]) = (view.dtype(), view.shape()) else {
                return None;
            };
            Array2::from_shape_vec((rows, columns), wide(view.data())).ok()
        };
        let mean = Array1::from(wide(view.data()));
        let shape = view.dtype() == Dtype::F32 && view.shape() == [mean.len()];
        let fits = |(left, right): &(Array2<f64>, Array2<f64>)| {
            let (d, k) = left.dim();
            shape && d == mean.len() && right.dim() == (k, d)
        };
        let Some((left, right)) = matrix("left").zip(matrix("right")).filter(fits) else {
            return refuse("next to left (d, k) and right (k, d), float32", "without them");
        };
        let layers = erasers.concepts.entry(concept.to_owned()).or_default();
        layers.insert(layer, Eraser { mean, left, right });
    }
    Ok(erasers)
}

fn wide(bytes: &[u8]) -> Vec<f64> {
    from_bytes(bytes).into_iter().map(f64::from).collect()
}

/// Concept, layer and part of a tensor's name; a concept may hold dots.
fn parts(name: &str) -> Option<(&str, usize, &str)> {
    let (rest, part) = name.rsplit_once('.')?;
    let (concept, layer) = rest.rsplit_once('.')?;
    let known = ["mean", "left", "right"].contains(&part);
    let layer = layer.parse().ok()?;
    known.then_some((concept, layer, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::safetensors::{serialize, tensor::TensorView};
    use ndarray::array;

    fn erasers() -> Erasers {
        let eraser = Eraser {
            mean: array![0.5, -1.0, 2.0],
            left: array![[1.0], [0.0], [0.25]],
            right: array![[1.0, 2.0, 0.0]],
        };
        Erasers {
            model_id: "m".into(),
            layer_convention: "block_output_0based".into(),
            concepts: [("formality.v2".into(), [(3, eraser)].into())].into(),
        }
    }

    #[test]
    fn erasers_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("erasers.safetensors");
        write(&path, &erasers()).unwrap();
        assert_eq!(read(&path).unwrap(), erasers());
    }

    #[test]
    fn factors_that_do_not_fit_and_files_of_vectors_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.safetensors");
        let bytes: Vec<u8> = vec![0; 12];
        let view = |shape| TensorView::new(Dtype::F32, shape, &bytes).unwrap();
        let tensors = [
            ("c.0.mean", view(vec![3])),
            ("c.0.left", view(vec![1, 3])),
            ("c.0.right", view(vec![1, 3])),
        ];
        std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("c.0.mean"), "{error}");
        std::fs::write(&path, serialize([("c.0", view(vec![3]))], None).unwrap()).unwrap();
        assert!(matches!(read(&path), Err(ExportError::NotADirection { .. })));
    }
}
