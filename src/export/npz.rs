//! npz: a ZIP of npy arrays, one `[layer, hidden]` a concept, as `numpy.savez` writes it.
//!
//! Read only. The name of a member is that of its concept. What a member says of its size is held
//! against bounds before it is unpacked, since a few bytes of a ZIP can stand for gigabytes.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use super::npy::{self, Array};
use super::safetensors::read_file;
use super::vectors::check_name;
use super::ExportError;

/// Bytes that all members together may unpack to.
const LARGEST: u64 = 1 << 29;

/// Reads every array at `path`, by concept.
///
/// # Errors
/// `Malformed` for what is no ZIP of two-dimensional float arrays, `BadConcept`, or the store's.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>, ExportError> {
    let malformed = |detail: String| ExportError::malformed(path, "npz", detail);
    let bytes = read_file(path)?;
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(e.to_string()))?;
    let mut found = BTreeMap::new();
    let mut left = LARGEST;
    for i in 0..zip.len() {
        let member = zip.by_index(i).map_err(|e| malformed(e.to_string()))?;
        let name = member.name().map_err(|e| malformed(e.to_string()))?;
        let name = name.into_owned();
        let Some(concept) = name.strip_suffix(".npy") else {
            return Err(malformed(format!("its member `{name}` is no .npy")));
        };
        check_name(concept, path)?;
        let size = member.size();
        left = left.checked_sub(size).ok_or_else(|| {
            malformed(format!("`{name}` unpacks to {size} bytes, more than directions take"))
        })?;
        let mut data = Vec::new();
        let read = member.take(size.saturating_add(1)).read_to_end(&mut data);
        read.map_err(|e| malformed(format!("`{name}`: {e}")))?;
        if data.len() as u64 != size {
            return Err(malformed(format!("`{name}` is not of the {size} bytes that it says")));
        }
        let array = npy::parse(&data).map_err(|e| malformed(format!("`{name}`: {e}")))?;
        if found.insert(concept.to_owned(), array).is_some() {
            return Err(malformed(format!("it holds `{name}` twice")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Vectors;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn packed(path: &Path, members: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        for (name, bytes) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    fn array(folder: &Path) -> Vec<u8> {
        let layers = BTreeMap::from([(0, vec![1.0, 2.0]), (2, vec![3.0, 4.0])]);
        let vectors = Vectors { concepts: [("a".to_owned(), layers)].into(), ..Vectors::default() };
        let path = folder.join("a.npy");
        npy::write(&path, &vectors, "a").unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_member_is_its_concept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, a) = (dir.path().join("v.npz"), array(dir.path()));
        packed(&path, &[("persona.npy", &a), ("tone.npy", &a)]);
        let got = read(&path).unwrap();
        assert_eq!(got.keys().collect::<Vec<_>>(), ["persona", "tone"]);
        assert_eq!(got["tone"], npy::parse(&a).unwrap());
    }

    #[test]
    fn members_that_are_no_arrays_or_unpack_to_too_much_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (path, a) = (dir.path().join("v.npz"), array(dir.path()));
        let large = vec![0u8; LARGEST as usize + 1];
        for (name, bytes) in [
            ("readme.txt", &a[..]),
            ("../a.npy", &a[..]),
            ("cut.npy", &a[..a.len() - 1]),
            ("large.npy", &large),
        ] {
            packed(&path, &[(name, bytes)]);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(name.trim_end_matches(".npy")), "{error}");
            assert!(error.contains("v.npz"), "{error}");
        }
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(matches!(read(&path), Err(ExportError::Malformed { .. })));
    }
}
