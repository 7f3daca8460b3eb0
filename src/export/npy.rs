//! npy: one array `[layer, hidden]` of float32 per concept.
//!
//! The header is written by hand from NumPy's format note (NEP 1, version 1.0): a magic
//! string, the length of a Python dictionary padded so that the data begin at a multiple
//! of 64, then the dictionary. Row l is the output of block l; a layer without a
//! vector is a row of NaN, and reading takes such rows for absent. There is no place
//! for metadata, so writing always returns a warning that says what a row is, and the number
//! of rows is all that a reader has to tell conventions apart: there is one for every block
//! of the model where its depth is known. Arrays of other tools may be float16, float32 or
//! float64 and in either order.

use std::path::{Path, PathBuf};

use super::safetensors::read_file;
use super::vectors::{to_bytes, width, Layers, Number, Vectors};
use super::{ExportError, ExportWarning, Result};
use crate::store::atomic;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes before the dictionary in version 1.0.
const PREFIX: usize = 10;
const ALIGNMENT: usize = 64;

/// Writes the layers of one concept to `path`.
///
/// # Errors
/// `NoConcept`, `Empty`, `Width`, `BadConcept`, or the store's.
pub fn write(path: &Path, vectors: &Vectors, concept: &str) -> Result<ExportWarning> {
    let (bytes, rows) = bytes(path, vectors, concept)?;
    atomic::write(path, &bytes)?;
    let whole = vectors.blocks == Some(rows);
    Ok(ExportWarning::NoMetadata { path: path.to_path_buf(), rows, whole })
}

/// The array of one concept as a file holds it, and its rows.
pub(super) fn bytes(path: &Path, vectors: &Vectors, concept: &str) -> Result<(Vec<u8>, usize)> {
    let layers = vectors.concept(concept, path)?;
    let hidden = width(concept, layers, path)?;
    let last = layers.keys().next_back().map_or(0, |last| last + 1);
    let rows = vectors.blocks.map_or(last, |blocks| blocks.max(last));
    let dictionary =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {hidden}), }}");
    let used = PREFIX + dictionary.len() + 1;
    let padding = used.next_multiple_of(ALIGNMENT) - used;
    let length = (dictionary.len() + padding + 1) as u16; // under 192 for any two numbers
    let padded = dictionary + &" ".repeat(padding) + "\n";
    let mut bytes = [MAGIC, &[1, 0][..], &length.to_le_bytes(), padded.as_bytes()].concat();
    let absent = vec![f32::NAN; hidden];
    for layer in 0..rows {
        bytes.extend(to_bytes(layers.get(&layer).unwrap_or(&absent)));
    }
    Ok((bytes, rows))
}

/// Writes `<folder>/<concept>.npy` for every concept; returns the paths and warnings.
///
/// # Errors
/// As [`write()`].
pub fn write_all(folder: &Path, vectors: &Vectors) -> Result<Vec<(PathBuf, ExportWarning)>> {
    let paths = vectors.concepts.keys().map(|c| (c, folder.join(format!("{c}.npy"))));
    paths.map(|(c, path)| write(&path, vectors, c).map(|warning| (path, warning))).collect()
}

/// An array read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Rows, those of NaN included.
    pub rows: usize,
    /// By row.
    pub layers: Layers,
}

/// Reads the array at `path`; rows that are all NaN are absent layers.
///
/// # Errors
/// `Malformed` for anything but a two-dimensional, little-endian array of floats; or the store's.
pub fn read(path: &Path) -> Result<Array> {
    parse(&read_file(path)?).map_err(|detail| ExportError::malformed(path, "npy", detail))
}

/// The array of a file's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Array, String> {
    let head = header(bytes)?;
    let (rows, hidden) = head.shape;
    let size = rows
        .checked_mul(hidden)
        .and_then(|n| n.checked_mul(head.number.size()))
        .ok_or("a shape beyond memory")?;
    let data = &bytes[head.end..];
    if data.len() != size {
        return Err(format!("{} data bytes where {size} are due", data.len()));
    }
    // A width of nothing would let any number of rows pass without a byte.
    if hidden == 0 {
        return Err("vectors of width 0".to_owned());
    }
    let all = head.number.values(data);
    let row = |l: usize| -> Vec<f32> {
        match head.by_columns {
            false => all[l * hidden..(l + 1) * hidden].to_vec(),
            true => all.iter().skip(l).step_by(rows).copied().collect(),
        }
    };
    let mut layers: Layers = (0..rows).map(|l| (l, row(l))).collect();
    layers.retain(|_, vector| !vector.iter().all(|x| x.is_nan()));
    Ok(Array { rows, layers })
}

/// What a header says of the data behind it.
struct Header {
    number: Number,
    /// In Fortran's order.
    by_columns: bool,
    /// Rows and columns.
    shape: (usize, usize),
    /// Where the data begin.
    end: usize,
}

fn header(bytes: &[u8]) -> Result<Header, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("no NumPy magic string".to_owned());
    }
    let (start, length) = match bytes.get(6..12) {
        Some([1, _, a, b, ..]) => (PREFIX, usize::from(u16::from_le_bytes([*a, *b]))),
        Some([2 | 3, _, a, b, c, d]) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err("unknown version or a cut header".to_owned()),
    };
    let end = start.checked_add(length).ok_or("a header without end")?;
    let header = bytes.get(start..end).ok_or("a cut header")?;
    let header = std::str::from_utf8(header).map_err(|_| "a header that is not text")?;
    let value = |key: &str| {
        let after = header.split_once(key)?.1.split_once(':')?.1;
        Some(after.trim_start())
    };
    let number = value("'descr'").ok_or("no descr").map(number)??;
    let by_columns = match value("'fortran_order'") {
        Some(v) if v.starts_with("False") => false,
        Some(v) if v.starts_with("True") => true,
        _ => return Err("no fortran_order".to_owned()),
    };
    let shape = value("'shape'").and_then(|v| v.strip_prefix('(')?.split_once(')'));
    let (shape, _) = shape.ok_or("no shape")?;
    let sizes = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
    let sizes: Option<Vec<usize>> = sizes.map(|n| n.parse().ok()).collect();
    let Some(&[rows, hidden]) = sizes.as_deref() else {
        return Err(format!("shape ({shape}) is not [layer, hidden]"));
    };
    Ok(Header { number, by_columns, shape: (rows, hidden), end })
}

/// The numbers that `descr` names.
fn number(descr: &str) -> Result<Number, String> {
    let name = descr.strip_prefix('\'').and_then(|d| d.split_once('\''));
    match name.map_or("a record", |(name, _)| name) {
        "<f2" => Ok(Number::F16),
        "<f4" => Ok(Number::F32),
        "<f8" => Ok(Number::F64),
        big if big.starts_with('>') => Err(format!(
            "big-endian numbers, {big}; save it with `.astype(\"<f4\")`"
        )),
        other => Err(format!(
            "type {other} is not float16, float32 or float64 (<f2, <f4, <f8); save it with `.astype(\"<f4\")`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::vectors::tests::any_vectors;
    use proptest::prelude::*;
    use std::fs;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn layers_survive_a_round_trip(vectors in any_vectors()) {
            let dir = tempfile::tempdir().unwrap();
            for (path, _) in write_all(dir.path(), &vectors).unwrap() {
                let concept = path.file_stem().unwrap().to_str().unwrap();
                let array = read(&path).unwrap();
                prop_assert_eq!(&array.layers, &vectors.concepts[concept]);
                prop_assert_eq!(array.rows, array.layers.keys().max().unwrap() + 1);
                let bytes = fs::read(&path).unwrap();
                let start = PREFIX + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
                prop_assert_eq!(start % ALIGNMENT, 0);
                prop_assert_eq!(bytes[start - 1], b'\n');
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 1u8..4) {
            let _ = parse(&bytes);
            let mut head = [MAGIC.as_slice(), &[version, 0]].concat();
            head.append(&mut bytes);
            let _ = parse(&head);
        }
    }

    #[test]
    fn arrays_of_another_kind_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let header = |descr: &str, order: &str, shape: &str| {
            let text =
                format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
            let mut bytes =
                [MAGIC.as_slice(), &[1, 0], &(text.len() as u16).to_le_bytes()].concat();
            bytes.extend(text.as_bytes());
            bytes.extend([0; 24]);
            bytes
        };
        fs::write(&path, header("<f4", "False", "(2, 3)")).unwrap();
        assert_eq!(read(&path).unwrap().layers.len(), 2);
        for (descr, order, shape) in [
            ("<f8", "False", "(2, 3)"),
            (">f4", "False", "(2, 3)"),
            ("<i4", "False", "(2, 3)"),
            ("|V4", "False", "(2, 3)"),
            ("<f4", "Maybe", "(2, 3)"),
            ("<f4", "False", "(1, 2, 3)"),
            ("<f4", "False", "(6,)"),
            ("<f4", "False", "(3, 3)"),
            ("<f4", "False", "(18446744073709551615, 2)"),
        ] {
            fs::write(&path, header(descr, order, shape)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, ExportError::Malformed { .. }), "{descr} {shape}: {error}");
        }
    }

    #[test]
    fn half_and_double_and_either_order_hold_the_same_rows() {
        let rows = [[1.0f64, -2.5, 0.25], [3.0, 0.5, -8.0]];
        let file = |descr: &str, order: &str, data: Vec<u8>| {
            let text =
                format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3), }}\n");
            let length = (text.len() as u16).to_le_bytes();
            [MAGIC.as_slice(), &[1, 0], &length, text.as_bytes(), &data].concat()
        };
        let by_rows: Vec<f64> = rows.concat();
        let by_columns: Vec<f64> = (0..3).flat_map(|c| rows.map(|r| r[c])).collect();
        for (order, values) in [("False", &by_rows), ("True", &by_columns)] {
            let each = |of: fn(&f64) -> Vec<u8>| values.iter().flat_map(of).collect::<Vec<u8>>();
            for (descr, data) in [
                ("<f2", each(|v| half::f16::from_f64(*v).to_le_bytes().to_vec())),
                ("<f4", each(|v| (*v as f32).to_le_bytes().to_vec())),
                ("<f8", each(|v| v.to_le_bytes().to_vec())),
            ] {
                let got = parse(&file(descr, order, data)).unwrap();
                for (l, row) in rows.iter().enumerate() {
                    let got: Vec<f64> = got.layers[&l].iter().map(|x| f64::from(*x)).collect();
                    assert_eq!(got, row, "{descr} {order}");
                }
            }
        }
    }

    #[test]
    fn an_array_has_a_row_for_every_block_of_a_known_model() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let vectors = Vectors {
            blocks: Some(7),
            concepts: [("a".to_owned(), [(2, vec![1.0f32; 3])].into())].into(),
            ..Vectors::default()
        };
        write(&path, &vectors, "a").unwrap();
        let array = read(&path).unwrap();
        assert_eq!((array.rows, array.layers.len()), (7, 1));
    }
}
