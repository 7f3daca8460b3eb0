//! npy: one array `[layer, hidden]` of float32 per concept.
//!
//! The header is written by hand from NumPy's format note (NEP 1, version 1.0): a magic
//! string, the length of a Python dictionary padded so that the data begin at a multiple
//! of 64, then the dictionary. Row l is the output of block l; a layer without a
//! vector is a row of NaN, and reading takes such rows for absent. There is no place
//! for metadata, so writing always returns a warning that says what a row is.

use std::path::{Path, PathBuf};

use super::safetensors::read_file;
use super::vectors::{from_bytes, to_bytes, width, Layers, Vectors};
use super::{ExportError, ExportWarning};
use crate::store::atomic;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes before the dictionary in version 1.0.
const PREFIX: usize = 10;
const ALIGNMENT: usize = 64;

/// Writes the layers of one concept to `path`.
///
/// # Errors
/// `NoConcept`, `Empty`, `Width`, `BadConcept`, or the store's.
pub fn write(path: &Path, vectors: &Vectors, concept: &str) -> Result<ExportWarning, ExportError> {
    let layers = vectors.concept(concept, path)?;
    let hidden = width(concept, layers, path)?;
    let rows = layers.keys().next_back().map_or(0, |last| last + 1);
    let dictionary =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {hidden}), }}");
    let used = PREFIX + dictionary.len() + 1;
    let padding = used.next_multiple_of(ALIGNMENT) - used;
    let length = (dictionary.len() + padding + 1) as u16; // under 192 for any two numbers
    let mut bytes = Vec::with_capacity(used + padding + rows * hidden * 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(dictionary.as_bytes());
    bytes.extend(std::iter::repeat_n(b' ', padding));
    bytes.push(b'\n');
    let absent = vec![f32::NAN; hidden];
    for layer in 0..rows {
        bytes.extend(to_bytes(layers.get(&layer).unwrap_or(&absent)));
    }
    atomic::write(path, &bytes)?;
    Ok(ExportWarning::NoMetadata {
        path: path.to_path_buf(),
    })
}

/// Writes `<folder>/<concept>.npy` for every concept; returns the paths and warnings.
///
/// # Errors
/// As [`write`].
pub fn write_all(
    folder: &Path,
    vectors: &Vectors,
) -> Result<Vec<(PathBuf, ExportWarning)>, ExportError> {
    let one = |concept: &String| {
        let path = folder.join(format!("{concept}.npy"));
        write(&path, vectors, concept).map(|warning| (path, warning))
    };
    vectors.concepts.keys().map(one).collect()
}

/// Reads the layers at `path`; rows that are all NaN are absent layers.
///
/// # Errors
/// `Malformed` for anything but a two-dimensional, C-ordered, little-endian float32
/// array; or the store's.
pub fn read(path: &Path) -> Result<Layers, ExportError> {
    let bytes = read_file(path)?;
    let (rows, hidden, data) = parse(&bytes).map_err(|detail| ExportError::Malformed {
        path: path.to_path_buf(),
        format: "npy",
        detail,
    })?;
    let all = from_bytes(data);
    let row = |layer: usize| all[layer * hidden..(layer + 1) * hidden].to_vec();
    Ok((0..rows)
        .map(|layer| (layer, row(layer)))
        .filter(|(_, vector)| !vector.iter().all(|x| x.is_nan()))
        .collect())
}

/// Rows, columns and the bytes of the data.
fn parse(bytes: &[u8]) -> Result<(usize, usize, &[u8]), String> {
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
    let descr = value("'descr'").ok_or("no descr")?;
    if !descr.starts_with("'<f4'") {
        return Err("type is not little-endian float32 (<f4)".to_owned());
    }
    if !value("'fortran_order'").is_some_and(|v| v.starts_with("False")) {
        return Err("array is not in C order".to_owned());
    }
    let shape = value("'shape'")
        .and_then(|v| v.strip_prefix('(')?.split_once(')'))
        .ok_or("no shape")?
        .0;
    let shape: Option<Vec<usize>> = shape
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().ok())
        .collect();
    let Some([rows, hidden]) = shape.as_deref() else {
        return Err("shape is not [layer, hidden]".to_owned());
    };
    let size = rows
        .checked_mul(*hidden)
        .and_then(|n| n.checked_mul(4))
        .ok_or("a shape beyond memory")?;
    let data = &bytes[end..];
    if data.len() != size {
        return Err(format!("{} data bytes where {size} are due", data.len()));
    }
    // A width of nothing would let any number of rows pass without a byte.
    if *hidden == 0 {
        return Err("vectors of width 0".to_owned());
    }
    Ok((*rows, *hidden, data))
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
                prop_assert_eq!(&read(&path).unwrap(), &vectors.concepts[concept]);
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
            let mut bytes = [
                MAGIC.as_slice(),
                &[1, 0],
                &(text.len() as u16).to_le_bytes(),
            ]
            .concat();
            bytes.extend(text.as_bytes());
            bytes.extend([0; 24]);
            bytes
        };
        fs::write(&path, header("<f4", "False", "(2, 3)")).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        for (descr, order, shape) in [
            ("<f8", "False", "(1, 3)"),
            (">f4", "False", "(2, 3)"),
            ("<f4", "True", "(2, 3)"),
            ("<f4", "False", "(6,)"),
            ("<f4", "False", "(3, 3)"),
            ("<f4", "False", "(18446744073709551615, 2)"),
        ] {
            fs::write(&path, header(descr, order, shape)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(
                matches!(error, ExportError::Malformed { .. }),
                "{descr} {shape}: {error}"
            );
        }
    }
}
