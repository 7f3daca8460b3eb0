//! npz: a ZIP of npy arrays, one `[layer, hidden]` a concept, as `numpy.savez` writes it.
//!
//! The name of a member is that of its concept. A member `residuum.json`, which NumPy gives as bytes, says
//! whose vectors they are; files of other tools have none. What a member says of its size is held
//! against bounds before it is unpacked, since a few bytes of a ZIP can stand for gigabytes.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;

use super::npy::{self, Array};
use super::safetensors::read_file;
use super::vectors::{check_name, DEEPEST};
use super::{About, ExportError, Result, Vectors};
use crate::store::atomic;

/// Bytes that all members together may unpack to.
const LARGEST: u64 = 1 << 29;

/// Member that says whose the vectors are.
const SAYS: &str = "residuum.json";

/// What that member holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Says {
    /// Model that the vectors belong to.
    pub model_id: String,
    /// Which residual an index names.
    pub layer_convention: String,
    /// Blocks of that model, where known.
    pub blocks: Option<usize>,
    /// What is known of the vectors besides.
    pub about: About,
}

/// Writes all vectors to `path`: an array a concept, and what is known of them.
///
/// # Errors
/// `Empty`, `BadConcept`, `Width`, or the store's.
pub fn write(path: &Path, vectors: &Vectors) -> Result<()> {
    if vectors.concepts.is_empty() {
        return Err(ExportError::Empty { path: path.to_path_buf() });
    }
    let says = Says {
        model_id: vectors.model_id.clone(),
        layer_convention: vectors.layer_convention.clone(),
        blocks: vectors.blocks,
        about: vectors.about.clone(),
    };
    let says = serde_json::to_vec(&says).unwrap_or_default();
    let mut members = vec![(SAYS.to_owned(), says)];
    for concept in vectors.concepts.keys() {
        members.push((format!("{concept}.npy"), npy::bytes(path, vectors, concept)?.0));
    }
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let packed = members.iter().try_for_each(|(name, bytes)| -> zip::result::ZipResult<()> {
        zip.start_file(name.as_str(), SimpleFileOptions::default())?;
        Ok(zip.write_all(bytes)?)
    });
    let failed = |e: zip::result::ZipError| ExportError::malformed(path, "npz", e);
    packed.map_err(failed)?;
    Ok(atomic::write(path, zip.finish().map_err(failed)?.get_ref())?)
}

/// Reads every array at `path`, by concept, and what the file says of them.
///
/// # Errors
/// `Malformed` for what is no ZIP of two-dimensional float arrays, `BadConcept`, or the store's.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Array>, Says)> {
    let malformed = |detail: String| ExportError::malformed(path, "npz", detail);
    let bytes = read_file(path)?;
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(e.to_string()))?;
    let (mut found, mut says) = (BTreeMap::new(), Says::default());
    let mut left = LARGEST;
    for i in 0..zip.len() {
        let member = zip.by_index(i).map_err(|e| malformed(e.to_string()))?;
        let name = member.name().map_err(|e| malformed(e.to_string()))?;
        let name = name.into_owned();
        let concept = name.strip_suffix(".npy");
        match concept {
            Some(concept) => check_name(concept, path)?,
            None if name == SAYS => {}
            None => return Err(malformed(format!("its member `{name}` is no .npy"))),
        }
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
        let Some(concept) = concept else {
            let read = serde_json::from_slice(&data);
            says = read.map_err(|e| malformed(format!("`{name}` is not readable: {e}")))?;
            continue;
        };
        let array = npy::parse(&data).map_err(|e| malformed(format!("`{name}`: {e}")))?;
        if found.insert(concept.to_owned(), array).is_some() {
            return Err(malformed(format!("it holds `{name}` twice")));
        }
    }
    says.blocks = says.blocks.filter(|b| *b < DEEPEST);
    Ok((found, says))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::vectors::tests::any_vectors;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn vectors_and_what_is_known_of_them_survive_a_round_trip(vectors in any_vectors()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("v.npz");
            write(&path, &vectors).unwrap();
            let (arrays, says) = read(&path).unwrap();
            let layers = arrays.into_iter().map(|(c, a)| (c, a.layers));
            prop_assert_eq!(layers.collect::<BTreeMap<_, _>>(), vectors.concepts);
            prop_assert_eq!((says.model_id, says.about), (vectors.model_id, vectors.about));
        }
    }

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
        let got = read(&path).unwrap().0;
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
