//! Weights by their Hugging Face names, from GGUF files or from safetensors.
//!
//! Both sources yield `name -> f32 tensor` with the names and row orders of transformers, so the
//! decoder is built once. Only what a plan asks for is read, each tensor in a task of its own, and one
//! that holds NaN or an infinity is refused. GGUF files of some families store the rows
//! of q and k, and the values of their biases, permuted for interleaved rotation; they are put back
//! into half-split order here.

use super::config::Config;
use super::contents;
use super::error::{ModelError, Result};
use super::gguf_header::Entry;
use crate::ops::quantised::{Quantised, Source};
use candle_core::quantized::gguf_file::TensorInfo;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::tensor::{SafeTensorError, SafeTensors, TensorView};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Named f32 tensors of one model; the decoder takes each once.
pub struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    /// What tensors were decoded from, where a kernel reads it.
    quantised: BTreeMap<String, Arc<Quantised>>,
}

/// Heads whose rows a GGUF file stores as interleaved pairs, of a weight or a bias.
fn interleaved(c: &Config, hub: &str) -> Option<usize> {
    if !c.interleaved {
        return None;
    }
    let found = [(".q_proj.", c.heads), (".k_proj.", c.kv_heads)];
    found.into_iter().find(|(map, _)| hub.contains(map)).map(|(_, heads)| heads)
}

/// Tensors of safetensors files by name, each with its file.
pub(crate) type Views<'a> = BTreeMap<String, (&'a Path, TensorView<'a>)>;

/// A tensor of a GGUF file: the file, its bytes mapped, the name there and where it lies.
pub(crate) struct Stored<'a> {
    pub path: &'a Path,
    pub source: &'a Source,
    pub name: &'a str,
    pub entry: Cow<'a, Entry>,
}

impl Stored<'_> {
    /// Its values in f32, as they are stored.
    pub(super) fn decoded(&self) -> Result<Tensor> {
        // Read rather than mapped: pages of a map would stay resident beside the weights.
        let mut reader = File::open(self.path).map_err(ModelError::read(self.path))?;
        let info = TensorInfo {
            ggml_dtype: self.entry.dtype,
            shape: self.entry.shape.clone().into(),
            offset: self.entry.bytes.start as u64,
        };
        let read = info.read(&mut reader, 0, &Device::Cpu).and_then(|q| q.dequantize(&Device::Cpu));
        let why = |e| format!("tensor `{}`: {e}", self.name);
        read.map_err(|e| ModelError::Gguf { path: self.path.into(), why: why(e) })
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
    let bad = |e| ModelError::file(path, format!("not a usable safetensors file ({e})"));
    SafeTensors::deserialize(bytes).map_err(bad)
}

/// The bytes of a safetensors file at `path` of these tensors in f32, as PyTorch names its format.
pub(super) fn as_safetensors(path: &Path, tensors: &[(String, &Tensor)]) -> Result<Vec<u8>> {
    let bad = |e: SafeTensorError| ModelError::file(path, format!("cannot be laid out ({e})"));
    let bytes = |t: &Tensor| -> Result<Vec<u8>> {
        Ok(host_values(t)?.iter().flat_map(|v| v.to_le_bytes()).collect())
    };
    let all = tensors.iter().map(|(_, t)| bytes(t)).collect::<Result<Vec<_>>>()?;
    let views = tensors.iter().zip(&all).map(|((name, t), bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, t.dims().to_vec(), bytes);
        Ok((name.clone(), view.map_err(bad)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let header = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(header)).map_err(bad)
}

/// The values of any tensor, on the CPU in f32.
pub fn host_values(x: &Tensor) -> candle_core::Result<Vec<f32>> {
    x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

impl Weights {
    /// Tensors that are in memory already.
    pub(crate) fn given(tensors: BTreeMap<String, Tensor>) -> Self {
        Weights { path: PathBuf::from("(in memory)"), tensors, quantised: BTreeMap::new() }
    }

    /// The tensors of GGUF files, by Hugging Face name.
    pub(crate) fn from_gguf(
        path: &Path,
        stored: &BTreeMap<String, Stored>,
        config: &Config,
    ) -> Result<Self> {
        let tensors = stored
            .par_iter()
            .map(|(hub, s)| {
                let mut t = s.decoded()?;
                if let Some(heads) = interleaved(config, hub) {
                    t = unpermute(&t, heads)?;
                }
                finite(&t, s.path, s.name)?;
                Ok((hub.clone(), t))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        let quantised = stored
            .iter()
            .filter_map(|(hub, s)| {
                let &[rows, width] = s.entry.shape.as_slice() else {
                    return None;
                };
                let (at, dtype) = (s.entry.bytes.start, s.entry.dtype);
                let heads = interleaved(config, hub);
                let q = Quantised::new(s.source.clone(), at, dtype, (rows, width), heads)?;
                Some((hub.clone(), Arc::new(q.of(tensors.get(hub)?))))
            })
            .collect();
        Ok(Weights { path: path.into(), tensors, quantised })
    }

    /// The wanted of the tensors that stand in safetensors files.
    pub(crate) fn from_views(
        path: &Path,
        views: &Views,
        wanted: &BTreeSet<String>,
    ) -> Result<Self> {
        let tensors = views
            .par_iter()
            .filter(|(name, _)| wanted.contains(*name))
            .map(|(name, (file, view))| {
                let bad = |e| ModelError::file(file, format!("weight `{name}`: {e}"));
                let t = tensor_of(view).map_err(bad)?;
                finite(&t, file, name)?;
                Ok((name.clone(), t))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Weights { path: path.into(), tensors, quantised: BTreeMap::new() })
    }

    /// What a tensor was decoded from.
    pub fn quantised(&self, name: &str) -> Option<Arc<Quantised>> {
        self.quantised.get(name).cloned()
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether two tensors hold the same values; false where one is not there.
    pub(crate) fn alike(&self, a: &str, b: &str) -> Result<bool> {
        let (Some(a), Some(b)) = (self.tensors.get(a), self.tensors.get(b)) else {
            return Ok(false);
        };
        Ok(crate::ops::with_all([a, b], |[a, b]| Ok(a == b))?)
    }

    /// Adds 1 to the named tensors: gains that are stored as their distance from it.
    pub(crate) fn add_one(&mut self, names: impl IntoIterator<Item = String>) -> Result<()> {
        for name in names {
            if let Some(t) = self.tensors.get_mut(&name) {
                *t = (&*t + 1.0)?;
            }
        }
        Ok(())
    }

    /// Hands out a tensor, which has its shape: a plan held the file against it.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let t = self.tensors.remove(name).filter(|t| t.dims() == shape);
        t.ok_or_else(|| ModelError::MissingWeight {
            path: self.path.clone(),
            name: name.into(),
            nearest: None,
        })
    }
}

/// An f32 tensor on the CPU of a safetensors view (F32, F16, BF16, F64).
pub(crate) fn tensor_of(view: &TensorView) -> candle_core::Result<Tensor> {
    use safetensors::Dtype;
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F64 => DType::F64,
        other => {
            let why = format!("type {other:?} cannot be read; F32, F16, BF16 and F64 can");
            return Err(candle_core::Error::Msg(why));
        }
    };
    Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?.to_dtype(DType::F32)
}

/// Values of a task that looks for NaN.
const SCANNED: usize = 1 << 18;

/// Refuses a tensor with a value that is NaN or infinite, by its name in the file.
fn finite(t: &Tensor, path: &Path, name: &str) -> Result<()> {
    const EXPONENT: u32 = 0x7f80_0000;
    let wrong = |v: &f32| v.to_bits() & EXPONENT == EXPONENT;
    let found = crate::ops::with_values(t, |x| {
        // Without a way out of the loop, it runs as vectors.
        let any = |part: &[f32]| part.iter().fold(false, |any, v| any | wrong(v));
        let first = || x.iter().copied().enumerate().find(|(_, v)| wrong(v));
        Ok(x.par_chunks(SCANNED).any(any).then(first).flatten())
    })?;
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
                let e = finite(&t, Path::new("m"), "w").unwrap_err().to_string();
                assert!(e.contains("`w`") && e.contains(&at.to_string()), "{e}");
            }
        }
        let t = Tensor::from_vec(vec![f32::MIN_POSITIVE; 9], 9, &Device::Cpu).unwrap();
        finite(&t, Path::new("m"), "w").unwrap();
    }
}
