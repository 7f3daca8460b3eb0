//! Datasets, written and read in one way.
//!
//! Every array, column and coordinate passes through here, so that layout, filters and
//! string type are decided once: variable-length UTF-8 strings, little-endian
//! numbers, shuffle and deflate, which every HDF5 build reads. Modification times are
//! not tracked: equal content gives equal files. Reading asks for the kind first, so
//! that text read as numbers is an error with a name and not one of libhdf5's.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Group};
use ndarray::{ArrayD, ArrayViewD};

use super::error::{from_hdf5, Result, StoreError};
use super::schema::object;
use super::values::{self, Number, Values};

/// Deflate level of results: small files, written once.
const DEFLATE: u8 = 4;

/// Bytes that a chunk of a results array holds at most.
const CHUNK_BYTES: usize = 1 << 20;

/// Arrays up to this many bytes are stored as they are.
const UNFILTERED_BYTES: usize = 1024;

/// Writes an n-dimensional array as the dataset `name` of `group`.
pub(crate) fn write_array<T: Number>(
    group: &Group,
    path: &Path,
    name: &str,
    data: &ArrayViewD<'_, T>,
) -> Result<Dataset> {
    let shape = data.shape();
    let bytes = data.len() * size_of::<T>();
    let builder = group.new_dataset::<T>().obj_track_times(false);
    let builder = if bytes > UNFILTERED_BYTES {
        builder.chunk(chunk_shape(shape, size_of::<T>())).shuffle().deflate(DEFLATE)
    } else {
        builder.no_chunk()
    };
    builder
        .shape(shape)
        .create(name)
        .and_then(|d| d.write(&data.as_standard_layout()).map(|()| d))
        .map_err(|e| from_hdf5(path, &object(group, name), &e))
}

/// Writes an n-dimensional array of texts as the dataset `name` of `group`.
pub(crate) fn write_texts(
    group: &Group,
    path: &Path,
    name: &str,
    data: &ArrayViewD<'_, String>,
) -> Result<Dataset> {
    let texts: Option<Vec<VarLenUnicode>> = data.iter().map(|t| values::to_hdf5(t)).collect();
    let texts = texts.ok_or_else(|| StoreError::NulInText {
        path: path.to_path_buf(),
        object: object(group, name),
    })?;
    group
        .new_dataset::<VarLenUnicode>()
        .obj_track_times(false)
        .no_chunk()
        .shape(data.shape())
        .create(name)
        .and_then(|d| d.write_raw(&texts).map(|()| d))
        .map_err(|e| from_hdf5(path, &object(group, name), &e))
}

/// Writes a column or a coordinate as the one-dimensional dataset `name` of `group`.
pub(crate) fn write_values(
    group: &Group,
    path: &Path,
    name: &str,
    data: &Values,
) -> Result<Dataset> {
    match data {
        Values::Text(v) => write_texts(group, path, name, &ndarray::aview1(v).into_dyn()),
        Values::Int(v) => write_array(group, path, name, &ndarray::aview1(v).into_dyn()),
        Values::Real(v) => write_array(group, path, name, &ndarray::aview1(v).into_dyn()),
    }
}

/// Reads a dataset of numbers, whatever their width, as f64.
pub(crate) fn read_numbers(dataset: &Dataset, path: &Path) -> Result<ArrayD<f64>> {
    if kind(dataset, path)? == Kind::Text {
        return Err(wrong_kind(dataset, path, "an array of numbers", "text"));
    }
    dataset.read_dyn().map_err(|e| from_hdf5(path, &dataset.name(), &e))
}

/// Reads a dataset of texts.
pub(crate) fn read_texts(dataset: &Dataset, path: &Path) -> Result<ArrayD<String>> {
    if kind(dataset, path)? != Kind::Text {
        return Err(wrong_kind(dataset, path, "an array of texts", "numbers"));
    }
    let read = dataset.read_dyn::<VarLenUnicode>();
    let read = read.map_err(|e| from_hdf5(path, &dataset.name(), &e))?;
    Ok(read.mapv(|t| values::from_hdf5(&t)))
}

/// Reads a one-dimensional dataset.
pub(crate) fn read_values(dataset: &Dataset, path: &Path) -> Result<Values> {
    if dataset.ndim() != 1 {
        let found = format!("an array of {} dimensions", dataset.ndim());
        return Err(wrong_kind(dataset, path, "one-dimensional", &found));
    }
    let fail = |e: hdf5::Error| from_hdf5(path, &dataset.name(), &e);
    Ok(match kind(dataset, path)? {
        Kind::Text => Values::Text(read_texts(dataset, path)?.into_iter().collect()),
        Kind::Int => Values::Int(dataset.read_raw().map_err(fail)?),
        Kind::Real => Values::Real(dataset.read_raw().map_err(fail)?),
    })
}

/// What a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Real,
}

pub(crate) fn kind(dataset: &Dataset, path: &Path) -> Result<Kind> {
    use hdf5::types::TypeDescriptor as Type;
    let descriptor = dataset
        .dtype()
        .and_then(|t| t.to_descriptor())
        .map_err(|e| from_hdf5(path, &dataset.name(), &e))?;
    match descriptor {
        Type::VarLenUnicode | Type::VarLenAscii => Ok(Kind::Text),
        Type::Integer(_) | Type::Unsigned(_) => Ok(Kind::Int),
        Type::Float(_) => Ok(Kind::Real),
        other => Err(wrong_kind(dataset, path, "text or numbers", &other.to_string())),
    }
}

fn wrong_kind(dataset: &Dataset, path: &Path, expected: &'static str, found: &str) -> StoreError {
    StoreError::wrong_kind(path, dataset.name(), expected, found)
}

/// A chunk of at most 1 MiB: leading dimensions are halved first, so that a chunk
/// keeps whole rows of the last one.
fn chunk_shape(shape: &[usize], element: usize) -> Vec<usize> {
    let mut chunk: Vec<usize> = shape.iter().map(|&n| n.max(1)).collect();
    while chunk.iter().product::<usize>() * element > CHUNK_BYTES {
        let Some(first) = chunk.iter_mut().find(|n| **n > 1) else {
            break;
        };
        *first = first.div_ceil(2);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::new_file::NewFile;
    use crate::store::schema::RootAttrs;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_chunk_is_within_its_bound_and_its_array(shape in prop::collection::vec(1usize..3000, 1..5)) {
            let chunk = chunk_shape(&shape, 8);
            prop_assert!(chunk.iter().product::<usize>() * 8 <= CHUNK_BYTES);
            prop_assert!(chunk.iter().zip(&shape).all(|(c, n)| (1..=*n).contains(c)));
        }
    }

    #[test]
    fn a_nul_in_a_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.h5");
        let attrs = RootAttrs::new("t", serde_json::Value::Null, 0);
        let file = NewFile::create(&path, &attrs).unwrap();
        let error = write_values(&file, &path, "x", &vec!["a\0b"].into()).unwrap_err();
        assert!(matches!(error, StoreError::NulInText { .. }), "{error}");
    }
}
