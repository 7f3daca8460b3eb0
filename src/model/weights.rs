//! Weights by their Hugging Face names, from GGUF files or from safetensors.
//!
//! Both sources yield `name -> weight` with the names and row orders of transformers, so the decoder is
//! built once. Matrices stay in the mapped file or are decoded to f32, as [`Held`] says; all else is
//! decoded. Only what a plan asks for is read, each tensor in a task of its own, and one that holds NaN or
//! an infinity is refused. GGUF files of some families store the rows of q and k, and the values of their
//! biases, permuted for interleaved rotation; they are put back into half-split order here.

use super::config::Config;
use super::contents;
use super::error::{ModelError, Result};
use super::gguf_header::Entry;
use crate::ops::blocks::Encoding;
use crate::ops::stored::{Source, Stored};
use crate::ops::weight::Weight;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::tensor::{SafeTensorError, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// How the matrices of a model are held in memory. Outputs of a model are the same to the bit; of one with
/// an adapter to rounding, since the adapter stays beside what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Held {
    /// In f32 where that takes [`Held::SMALL`] bytes at most, otherwise as stored.
    #[default]
    Auto,
    /// Decoded to f32 when the model is loaded.
    F32,
    /// As the file stores them: mapped, and decoded as they are read.
    Stored,
}

impl Held {
    /// Bytes in f32 up to which a model is small.
    pub const SMALL: u64 = 1_000_000_000;

    /// Whether matrices of so many values are decoded when they are loaded.
    fn decodes(self, values: u64) -> bool {
        match self {
            Held::Auto => 4 * values <= Held::SMALL,
            Held::F32 => true,
            Held::Stored => false,
        }
    }
}

impl FromStr for Held {
    type Err = String;

    /// `auto`, `f32` or `stored`.
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "auto" => Ok(Held::Auto),
            "f32" => Ok(Held::F32),
            "stored" => Ok(Held::Stored),
            _ => Err("write auto, f32 or stored".into()),
        }
    }
}

/// Named weights of one model; the decoder takes each once.
pub struct Weights {
    path: PathBuf,
    all: BTreeMap<String, Weight>,
}

/// Heads whose rows a GGUF file stores as interleaved pairs, of a weight or a bias.
fn interleaved(c: &Config, hub: &str) -> Option<usize> {
    if !c.interleaved {
        return None;
    }
    let found = [(".q_proj.", c.heads), (".k_proj.", c.kv_heads)];
    found.into_iter().find(|(map, _)| hub.contains(map)).map(|(_, heads)| heads)
}

/// A tensor of a file: the file, its bytes mapped, the name there and where it lies.
pub(crate) struct Found<'a> {
    pub path: &'a Path,
    pub source: &'a Source,
    pub name: &'a str,
    pub entry: Entry,
}

impl Found<'_> {
    fn values(&self) -> u64 {
        self.entry.shape.iter().map(|n| *n as u64).product()
    }

    /// The weight, its rows or values put in order where they are those of interleaved `heads`; a matrix
    /// that is not `decoded` stays in the file.
    fn weight(&self, heads: Option<usize>, decoded: bool) -> Result<Weight> {
        let Entry { encoding, shape, bytes } = &self.entry;
        let matrix = <[usize; 2]>::try_from(shape.as_slice()).ok();
        let dims = matrix.unwrap_or([1, self.values() as usize]).into();
        let of_rows = heads.filter(|_| matrix.is_some());
        let stored = Stored::new(self.source.clone(), bytes.start, *encoding, dims, of_rows);
        let stored = stored.ok_or_else(|| {
            let why = format!("tensor `{}`: shape {shape:?} does not fit the model", self.name);
            ModelError::file(self.path, why)
        })?;
        if matrix.is_some() && !decoded {
            return Ok(stored.into());
        }
        let mut values = Tensor::from_vec(stored.values(), shape.as_slice(), &Device::Cpu)?;
        if let Some(heads) = heads.filter(|_| matrix.is_none()) {
            values = unpermute(&values, heads)?;
        }
        let few = (matrix.is_some() && !encoding.is_plain()).then(|| Arc::new(stored));
        Ok(Weight::Dense { values, few })
    }

    /// Its values in f32, as they are stored.
    pub(super) fn decoded(&self) -> Result<Tensor> {
        Ok(self.weight(None, true)?.tensor()?)
    }
}

pub(crate) fn map_file(path: &Path) -> Result<memmap2::Mmap> {
    if contents::is_pointer(path).unwrap_or(false) {
        return Err(ModelError::file(path, contents::POINTED));
    }
    let file = File::open(path).map_err(ModelError::read(path))?;
    // SAFETY: the map is read only; a file changed by others meanwhile is beyond any reader.
    unsafe { memmap2::Mmap::map(&file) }.map_err(ModelError::read(path))
}

/// The tensors of a safetensors file's bytes.
pub(super) fn safetensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    let bad = |e| {
        ModelError::file(
            path,
            format!("not a usable safetensors file ({e}); fetch or write it again"),
        )
    };
    SafeTensors::deserialize(bytes).map_err(bad)
}

/// The bytes of a safetensors file at `path` of these tensors in f32, as PyTorch names its format, with
/// further metadata.
pub(super) fn as_safetensors(
    path: &Path,
    tensors: &[(String, &Tensor)],
    more: &[(&str, &str)],
) -> Result<Vec<u8>> {
    let bad = |e: SafeTensorError| ModelError::file(path, format!("cannot be laid out ({e})"));
    let all = tensors.iter().map(|(name, t)| {
        let bytes = host_values(t)?.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok((name.clone(), t.dims().to_vec(), bytes))
    });
    let all = all.collect::<Result<Vec<_>>>()?;
    let header = [("format", "pt")].iter().chain(more);
    let header = header.map(|(key, text)| (key.to_string(), text.to_string())).collect();
    crate::store::tensors::safetensors(&all, &header).map_err(bad)
}

/// The values of any tensor, on the CPU in f32.
pub fn host_values(x: &Tensor) -> candle_core::Result<Vec<f32>> {
    x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

impl Weights {
    /// Tensors that are in memory already.
    pub(crate) fn given(tensors: BTreeMap<String, Tensor>) -> Self {
        let all = tensors.into_iter().map(|(name, t)| (name, t.into())).collect();
        Weights { path: PathBuf::from("(in memory)"), all }
    }

    /// The tensors of GGUF files, by Hugging Face name.
    pub(crate) fn from_gguf(
        path: &Path,
        found: &BTreeMap<String, Found>,
        config: &Config,
        held: Held,
    ) -> Result<Self> {
        Self::read(path, found, |hub| interleaved(config, hub), held)
    }

    /// Tensors by name; of those for which it gives `heads`, rows are interleaved.
    pub(crate) fn read(
        path: &Path,
        found: &BTreeMap<String, Found>,
        heads: impl Fn(&str) -> Option<usize> + Sync,
        held: Held,
    ) -> Result<Self> {
        let decoded = held.decodes(found.values().map(Found::values).sum());
        let one = |(name, f): (&String, &Found)| {
            let weight = f.weight(heads(name), decoded)?;
            finite(&weight, f.path, f.name)?;
            Ok((name.clone(), weight))
        };
        let all = found.par_iter().map(one).collect::<Result<_>>()?;
        Ok(Weights { path: path.into(), all })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Whether two matrices hold the same values; false where one is not there.
    pub(crate) fn alike(&self, a: &str, b: &str) -> Result<bool> {
        let (Some(a), Some(b)) = (self.all.get(a), self.all.get(b)) else {
            return Ok(false);
        };
        let (rows, width) = a.dims2()?;
        if b.dims2()? != (rows, width) {
            return Ok(false);
        }
        // Some rows at a time: neither need fit into memory.
        let ids: Vec<u32> = (0..rows as u32).collect();
        for ids in ids.chunks((SCANNED / width.max(1)).max(1)) {
            let (a, b) = (a.rows(ids)?, b.rows(ids)?);
            if !crate::ops::with_all([&a, &b], |[a, b]| Ok(a == b))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds 1 to the named vectors: gains that are stored as their distance from it.
    pub(crate) fn add_one(&mut self, names: impl IntoIterator<Item = String>) -> Result<()> {
        for name in names {
            if let Some(Weight::Dense { values, .. }) = self.all.get_mut(&name) {
                *values = (&*values + 1.0)?;
            }
        }
        Ok(())
    }

    /// Hands out a matrix, which has its shape: a plan held the file against it.
    pub fn matrix(&mut self, name: &str, shape: (usize, usize)) -> Result<Weight> {
        let w = self.all.remove(name).filter(|w| w.dims2().is_ok_and(|dims| dims == shape));
        w.ok_or_else(|| self.missing(name))
    }

    /// As [`Weights::matrix`], a vector of so many values.
    pub fn vector(&mut self, name: &str, len: usize) -> Result<Tensor> {
        match self.all.remove(name) {
            Some(Weight::Dense { values, .. }) if values.dims() == [len] => Ok(values),
            _ => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> ModelError {
        let (path, name) = (self.path.clone(), name.into());
        ModelError::MissingWeight { path, name, nearest: None }
    }
}

/// Where the values of a safetensors view lie in the file whose bytes they are part of.
///
/// # Errors
/// In words, of a type that is not read.
pub(crate) fn entry(view: &TensorView, file: &[u8]) -> std::result::Result<Entry, String> {
    use safetensors::Dtype;
    let encoding = match view.dtype() {
        Dtype::F32 => Encoding::F32,
        Dtype::F16 => Encoding::F16,
        Dtype::BF16 => Encoding::Bf16,
        Dtype::F64 => Encoding::F64,
        other => {
            return Err(format!("type {other:?} cannot be read; F32, F16, BF16 and F64 can"));
        }
    };
    let start = view.data().as_ptr() as usize - file.as_ptr() as usize;
    Ok(Entry { encoding, shape: view.shape().to_vec(), bytes: start..start + view.data().len() })
}

/// An f32 tensor on the CPU of a safetensors view (F32, F16, BF16, F64).
pub(crate) fn tensor_of(view: &TensorView) -> candle_core::Result<Tensor> {
    let Entry { encoding, shape, .. } =
        entry(view, view.data()).map_err(candle_core::Error::Msg)?;
    let mut values = vec![0f32; shape.iter().product()];
    encoding.decode(view.data(), &mut values);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Values of a task that looks for NaN.
const SCANNED: usize = 1 << 18;

/// Refuses a weight with a value that is NaN or infinite, by its name in the file.
fn finite(w: &Weight, path: &Path, name: &str) -> Result<()> {
    const EXPONENT: u32 = 0x7f80_0000;
    let wrong = |v: &f32| v.to_bits() & EXPONENT == EXPONENT;
    let first = |from: usize, part: &[f32]| {
        // Without a way out of the loop, it runs as vectors.
        let any = part.iter().fold(false, |any, v| any | wrong(v));
        let at = || part.iter().position(wrong).map(|i| (from + i, part[i]));
        any.then(at).flatten()
    };
    let found = match w {
        Weight::Stored { stored, .. } => stored.find(first),
        Weight::Dense { values, .. } => crate::ops::with_values(values, |x| {
            let parts = x.par_chunks(SCANNED).enumerate();
            Ok(parts.find_map_first(|(i, part)| first(i * SCANNED, part)))
        })?,
    };
    let refused =
        |(at, value)| ModelError::NotFinite { path: path.into(), name: name.into(), value, at };
    found.map(refused).map_or(Ok(()), Err)
}

/// Rows (head, i, pair) back to (head, pair, i): interleaved to half-split rotation.
fn unpermute(w: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let o = w.dim(0)?;
    let width = w.elem_count() / o.max(1);
    w.reshape((heads, o / heads.max(1) / 2, 2, width))?
        .transpose(1, 2)?
        .reshape(w.shape())?
        .contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_in_place_of_weights_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
            .unwrap();
        let e = map_file(&path).unwrap_err();
        assert!(e.to_string().contains("git lfs pull"), "{e}");
    }

    #[test]
    fn unpermute_turns_interleaved_pairs_into_halves() {
        // One head of 4 rows stored as (0, 2, 1, 3): pairs (0, 2) and (1, 3) side by side.
        let w = Tensor::new(&[[0f32], [2.], [1.], [3.]], &Device::Cpu).unwrap();
        let back: Vec<Vec<f32>> = unpermute(&w, 1).unwrap().to_vec2().unwrap();
        assert_eq!(back, vec![vec![0.], vec![1.], vec![2.], vec![3.]]);
        let bias = w.flatten_all().unwrap();
        let back: Vec<f32> = unpermute(&bias, 1).unwrap().to_vec1().unwrap();
        assert_eq!(back, vec![0., 1., 2., 3.]);
    }

    #[test]
    fn a_value_that_is_not_finite_is_found_wherever_it_stands() {
        let n = 3 * SCANNED + 5;
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, SCANNED, n - 1] {
                let mut values = vec![f32::MAX; n];
                values[at] = wrong;
                let t = Tensor::from_vec(values, n, &Device::Cpu).unwrap();
                let e = finite(&t.into(), Path::new("m"), "w").unwrap_err().to_string();
                assert!(e.contains("`w`") && e.contains(&at.to_string()), "{e}");
            }
        }
        let t = Tensor::from_vec(vec![f32::MIN_POSITIVE; 9], 9, &Device::Cpu).unwrap();
        finite(&t.into(), Path::new("m"), "w").unwrap();
    }
}
