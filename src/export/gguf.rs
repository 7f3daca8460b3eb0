//! GGUF control vectors, as llama.cpp and repeng read them: one concept a file.
//!
//! GGUF version 3 is little-endian: a magic word, counts, key-value pairs, tensor
//! records, padding to 32 bytes, data. A control vector has the architecture
//! `controlvector`, a model hint, a layer count and one float32 tensor `direction.{l}` per
//! layer, added to the output of block l; block 0 has no place, since such files number from
//! 1, and is answered with a warning. Keys of ours, which other readers skip, keep the concept's
//! name, the model, the layer convention and what is known of the vectors.
//!
//! The reader takes any control vector of this layout and nothing else; each length is
//! checked against what is left of the file.

use std::path::Path;

use super::safetensors::read_file;
use super::vectors::{to_bytes, width, Layers, Number, Vectors};
use super::{About, ExportError, ExportWarning, Result};
use crate::store::atomic;

const MAGIC: &[u8; 4] = b"GGUF";
const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;
/// Architecture that a control vector names where nothing else is said.
pub const HINT: &str = "llama";

const F32: u32 = 0;
const KIND_U32: u32 = 4;
const KIND_STRING: u32 = 8;
const KIND_ARRAY: u32 = 9;

/// A control vector read from a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ControlVector {
    /// Architecture the vector is meant for, such as `llama`.
    pub model_hint: String,
    /// Empty in files of other tools.
    pub concept: String,
    /// Empty in files of other tools, whose index is the same: the output of block l.
    pub layer_convention: String,
    /// Model that the vectors belong to; empty in files of other tools.
    pub model_id: String,
    /// What the file says of the vectors besides.
    pub about: About,
    /// Layer -> vector.
    pub layers: Layers,
}

/// Writes one concept to `path`. `model_hint` is the model's architecture, such as `llama`.
///
/// # Errors
/// `NoConcept`, `BadConcept`, `Width`, `Empty` if block 0 is all there is, or the store's.
pub fn write(
    path: &Path,
    vectors: &Vectors,
    concept: &str,
    model_hint: &str,
) -> Result<Option<ExportWarning>> {
    let all = vectors.concept(concept, path)?;
    let layers: Vec<(&usize, &Vec<f32>)> = all.iter().filter(|(layer, _)| **layer > 0).collect();
    if layers.is_empty() {
        return Err(ExportError::Empty { path: path.to_path_buf() });
    }
    let hidden = width(concept, all, path)?;
    let size = (4 * hidden).next_multiple_of(ALIGNMENT);
    let about = vectors.about.of(concept).text().unwrap_or_default();
    let texts = [
        ("general.architecture", "controlvector"),
        ("controlvector.model_hint", model_hint),
        ("residuum.concept", concept),
        ("residuum.layer_convention", &vectors.layer_convention),
        ("residuum.model_id", &vectors.model_id),
        ("residuum.about", &about),
    ];
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((layers.len() as u64).to_le_bytes());
    bytes.extend((texts.len() as u64 + 1).to_le_bytes());
    for (key, text) in texts {
        push_text(&mut bytes, key);
        bytes.extend(KIND_STRING.to_le_bytes());
        push_text(&mut bytes, text);
    }
    push_text(&mut bytes, "controlvector.layer_count");
    bytes.extend(KIND_U32.to_le_bytes());
    bytes.extend((layers.len() as u32).to_le_bytes());
    for (i, (layer, _)) in layers.iter().enumerate() {
        push_text(&mut bytes, &format!("direction.{layer}"));
        bytes.extend(1u32.to_le_bytes());
        bytes.extend((hidden as u64).to_le_bytes());
        bytes.extend(F32.to_le_bytes());
        bytes.extend(((i * size) as u64).to_le_bytes());
    }
    for (_, vector) in layers {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend(to_bytes(vector));
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    atomic::write(path, &bytes)?;
    let dropped = || ExportWarning::BlockZeroDropped { concept: concept.to_owned() };
    Ok(all.contains_key(&0).then(dropped))
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Reads the control vector at `path`.
///
/// # Errors
/// `Malformed`, `NotADirection` for a tensor of another name or type, or the store's.
pub fn read(path: &Path) -> Result<ControlVector> {
    parse(path, &read_file(path)?)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<ControlVector> {
    let mut at = Cursor { path, bytes, position: 0 };
    if at.take(4)? != MAGIC {
        return Err(at.bad("no GGUF magic word"));
    }
    let version = at.u32()?;
    if (2..=VERSION).contains(&version.swap_bytes()) {
        return Err(at.bad("it is big-endian; write it little-endian"));
    }
    if !(2..=VERSION).contains(&version) {
        return Err(at.bad(format!("GGUF version {version}")));
    }
    let (tensors, keys) = (at.u64()?, at.u64()?);
    let mut vector = ControlVector::default();
    let mut architecture = String::new();
    let mut alignment = ALIGNMENT;
    for _ in 0..keys {
        let key = at.text()?;
        let kind = at.u32()?;
        match (key.as_str(), kind) {
            ("general.architecture", KIND_STRING) => architecture = at.text()?,
            ("controlvector.model_hint", KIND_STRING) => vector.model_hint = at.text()?,
            ("residuum.concept", KIND_STRING) => vector.concept = at.text()?,
            ("residuum.layer_convention", KIND_STRING) => vector.layer_convention = at.text()?,
            ("residuum.model_id", KIND_STRING) => vector.model_id = at.text()?,
            ("residuum.about", KIND_STRING) => {
                vector.about = About::read(path, "GGUF control vector", &at.text()?)?;
            }
            ("general.alignment", KIND_U32) => alignment = at.u32()? as usize,
            _ => at.skip(kind)?,
        }
    }
    if architecture != "controlvector" {
        return Err(at.bad(format!("architecture `{architecture}`, not `controlvector`")));
    }
    if !alignment.is_power_of_two() {
        return Err(at.bad("an alignment that is no power of two"));
    }
    let mut records = Vec::new();
    for _ in 0..tensors {
        let name = at.text()?;
        let ndim = at.u32()?;
        let shape = (0..ndim).map(|_| at.u64()).collect::<Result<Vec<_>, _>>()?;
        let (kind, offset) = (at.u32()?, at.u64()?);
        let layer = name.strip_prefix("direction.").and_then(|l| l.parse::<usize>().ok());
        match (layer.filter(|l| *l > 0), shape.as_slice(), number(kind)) {
            (Some(layer), &[hidden], Some(kind)) if hidden > 0 => {
                records.push((layer, hidden, offset, kind));
            }
            _ => {
                let found = format!("type {kind} of shape {shape:?}");
                let expected = "a vector direction.<layer>, layer >= 1, of float16, bfloat16, float32 or float64";
                return Err(ExportError::not_a_direction(path, &name, expected, found));
            }
        }
    }
    let start = at.position.checked_next_multiple_of(alignment);
    let start = start.ok_or_else(|| at.bad("an alignment beyond the file"))?;
    for (layer, hidden, offset, kind) in records {
        let data = || {
            let size = usize::try_from(hidden).ok()?.checked_mul(kind.size())?;
            let from = start.checked_add(usize::try_from(offset).ok()?)?;
            bytes.get(from..from.checked_add(size)?)
        };
        let data = data().ok_or_else(|| at.bad("tensor data past the end of the file"))?;
        if vector.layers.insert(layer, kind.values(data)).is_some() {
            return Err(at.bad(format!("two vectors of layer {layer}")));
        }
    }
    Ok(vector)
}

/// The number of a tensor type of GGUF; none for integers and quantised types.
fn number(kind: u32) -> Option<Number> {
    match kind {
        F32 => Some(Number::F32),
        1 => Some(Number::F16),
        28 => Some(Number::F64),
        30 => Some(Number::Bf16),
        _ => None,
    }
}

/// A place in the file, which never moves past its end.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn bad(&self, detail: impl ToString) -> ExportError {
        ExportError::malformed(self.path, "GGUF control vector", detail)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(n).ok_or_else(|| self.beyond())?;
        let part = self.bytes.get(self.position..end);
        self.position = end;
        part.ok_or_else(|| self.bad("the file ends early"))
    }

    fn beyond(&self) -> ExportError {
        self.bad("a length beyond the file")
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut word = [0; N];
        word.copy_from_slice(self.take(N)?);
        Ok(word)
    }

    fn u32(&mut self) -> Result<u32> {
        self.word().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.word().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.u64()?;
        usize::try_from(length).map_err(|_| self.beyond())
    }

    fn text(&mut self) -> Result<String> {
        let length = self.length()?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.bad("a text that is not UTF-8"))
    }

    /// Passes over a value of this kind; arrays of arrays are not part of the format.
    fn skip(&mut self, kind: u32) -> Result<()> {
        let (kind, n) = match kind {
            KIND_ARRAY => (self.u32()?, self.length()?),
            scalar => (scalar, 1),
        };
        if kind == KIND_STRING {
            return (0..n).try_for_each(|_| self.text().map(drop));
        }
        // Bytes of a number or a boolean.
        let size: usize = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            _ => return Err(self.bad(format!("a value of unknown kind {kind}"))),
        };
        let all = size.checked_mul(n).ok_or_else(|| self.beyond())?;
        self.take(all).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::vectors::tests::any_vectors;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn all_but_block_zero_survives_a_round_trip(vectors in any_vectors()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.gguf");
            for (concept, layers) in &vectors.concepts {
                let mut kept = layers.clone();
                let zero = kept.remove(&0);
                let outcome = write(&path, &vectors, concept, "llama");
                if kept.is_empty() {
                    let empty = matches!(outcome, Err(ExportError::Empty { .. }));
                    prop_assert!(empty);
                    continue;
                }
                prop_assert_eq!(outcome.unwrap().is_some(), zero.is_some());
                let back = read(&path).unwrap();
                prop_assert_eq!(&back.layers, &kept);
                prop_assert_eq!(&back.concept, concept);
                prop_assert_eq!(back.model_hint, "llama");
                prop_assert_eq!(&back.about, &vectors.about);
                prop_assert_eq!(&back.layer_convention, &vectors.layer_convention);
            }
        }

        #[test]
        fn a_flipped_byte_never_makes_the_reader_panic(at in 0usize..400, byte in any::<u8>()) {
            let dir = tempfile::tempdir().unwrap();
            let mut bytes = sample(&dir.path().join("a.gguf"));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = parse(Path::new("a"), &bytes);
        }
    }

    fn sample(path: &Path) -> Vec<u8> {
        let layers = BTreeMap::from([(1, vec![0.5; 5]), (29, vec![-1.0; 5])]);
        let vectors = Vectors {
            concepts: BTreeMap::from([("persona".to_owned(), layers)]),
            ..Vectors::default()
        };
        write(path, &vectors, "persona", "llama").unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn a_file_cut_anywhere_before_its_last_value_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = sample(&dir.path().join("a.gguf"));
        let padding = ALIGNMENT - 20;
        for end in 0..bytes.len() - padding {
            assert!(parse(Path::new("a"), &bytes[..end]).is_err(), "{end}");
        }
        assert!(parse(Path::new("a"), &bytes).is_ok());
    }

    #[test]
    fn a_model_file_is_refused_by_its_architecture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gguf");
        let text = sample(&path);
        let at = text.windows(13).position(|w| w == b"controlvector").unwrap();
        let mut other = text.clone();
        other[at..at + 13].copy_from_slice(b"some_language");
        fs::write(&path, &other).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("some_language"), "{error}");
    }
}
