//! Weights by their Hugging Face names, from a GGUF file or from safetensors.
//!
//! Both sources yield `name -> f32 tensor` with the names and row orders of transformers, so the
//! decoder is built once. Quantised tensors are dequantised in parallel, one task a
//! tensor. GGUF files of architecture `llama` store the rows of q and k permuted for
//! interleaved rotation; they are put back into half-split order here.

use super::error::{nearest, ModelError, Result};
use crate::ops::quantised::{Quantised, Source};
use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
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

/// Head counts that undoing the q/k permutation needs.
#[derive(Clone, Copy)]
pub struct HeadCounts {
    pub heads: usize,
    pub kv_heads: usize,
}

pub(crate) fn map_file(path: &Path) -> Result<memmap2::Mmap> {
    let read = |source| ModelError::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is read only; a file changed by others meanwhile is beyond any reader.
    unsafe { memmap2::Mmap::map(&file) }.map_err(read)
}

impl Weights {
    /// Tensors that are in memory already.
    pub(crate) fn given(tensors: BTreeMap<String, Tensor>) -> Self {
        Weights {
            path: PathBuf::from("(in memory)"),
            tensors,
            quantised: BTreeMap::new(),
        }
    }

    /// All tensors of a GGUF file of architecture `llama`.
    pub fn from_gguf(path: &Path, content: &Content, counts: HeadCounts) -> Result<Self> {
        let gguf = |name: &str, e: candle_core::Error| ModelError::Gguf {
            path: path.into(),
            why: format!("tensor `{name}`: {e}"),
        };
        let names: Vec<&String> = content.tensor_infos.keys().collect();
        let tensors = names
            .into_par_iter()
            .filter_map(|name| hub_name(name).map(|hub| (name, hub)))
            .map(|(name, hub)| {
                // Read rather than mapped: pages of a map would stay resident beside the weights.
                let mut reader = File::open(path).map_err(|source| ModelError::Read {
                    path: path.into(),
                    source,
                })?;
                let t = content
                    .tensor(&mut reader, name, &Device::Cpu)
                    .and_then(|q| q.dequantize(&Device::Cpu))
                    .and_then(|t| {
                        if hub.ends_with("q_proj.weight") {
                            unpermute(&t, counts.heads)
                        } else if hub.ends_with("k_proj.weight") {
                            unpermute(&t, counts.kv_heads)
                        } else {
                            Ok(t)
                        }
                    })
                    .map_err(|e| gguf(name, e))?;
                Ok((hub, t))
            })
            .collect::<Result<BTreeMap<_, _>>>()?;
        // Mapped: none of it is in memory until a text is continued.
        let source: Source = Arc::new(map_file(path)?);
        let quantised = (content.tensor_infos.iter())
            .filter_map(|(name, info)| {
                let hub = hub_name(name)?;
                let heads = match () {
                    _ if hub.ends_with("q_proj.weight") => Some(counts.heads),
                    _ if hub.ends_with("k_proj.weight") => Some(counts.kv_heads),
                    _ => None,
                };
                let at = (content.tensor_data_offset + info.offset) as usize;
                let shape = info.shape.dims2().ok()?;
                let q = Quantised::new(source.clone(), at, info.ggml_dtype, shape, heads)?;
                let q = q.of(tensors.get(&hub)?);
                Some((hub, Arc::new(q)))
            })
            .collect();
        Ok(Weights {
            path: path.into(),
            tensors,
            quantised,
        })
    }

    /// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for file in shards(folder)? {
            let map = map_file(&file)?;
            let bad = |why: String| ModelError::File {
                path: file.clone(),
                why: format!("not a usable safetensors file ({why})"),
            };
            let st = safetensors::SafeTensors::deserialize(&map).map_err(|e| bad(e.to_string()))?;
            let loaded: Result<Vec<(String, Tensor)>> = st
                .tensors()
                .into_par_iter()
                .map(|(name, view)| {
                    let t = tensor_of(&view).map_err(|e| bad(format!("`{name}`: {e}")))?;
                    Ok((name, t))
                })
                .collect();
            tensors.extend(loaded?);
        }
        Ok(Weights {
            path: folder.into(),
            tensors,
            quantised: BTreeMap::new(),
        })
    }

    /// What a tensor was decoded from.
    pub fn quantised(&self, name: &str) -> Option<Arc<Quantised>> {
        self.quantised.get(name).cloned()
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Hands out a tensor and checks its shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(t) = self.tensors.remove(name) else {
            return Err(ModelError::MissingWeight {
                path: self.path.clone(),
                name: name.into(),
                nearest: nearest(name, self.tensors.keys().map(String::as_str)),
            });
        };
        if t.dims() != shape {
            return Err(ModelError::WeightShape {
                path: self.path.clone(),
                name: name.into(),
                got: t.dims().to_vec(),
                want: shape.to_vec(),
            });
        }
        Ok(t)
    }
}

/// An f32 tensor on the CPU of a safetensors view (F32, F16, BF16, F64).
pub(crate) fn tensor_of(view: &safetensors::tensor::TensorView) -> candle_core::Result<Tensor> {
    use safetensors::Dtype;
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F64 => DType::F64,
        other => candle_core::bail!("type {other:?} is not a supported weight type"),
    };
    Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?.to_dtype(DType::F32)
}

fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return if single.exists() {
            Ok(vec![single])
        } else {
            Err(ModelError::File {
                path: folder.into(),
                why: "holds neither model.safetensors nor model.safetensors.index.json".into(),
            })
        };
    }
    let text = std::fs::read_to_string(&index).map_err(|source| ModelError::Read {
        path: index.clone(),
        source,
    })?;
    let bad = |why: &str| ModelError::File {
        path: index.clone(),
        why: why.into(),
    };
    let names = super::contents::shards(&text).map_err(|why| bad(&why))?;
    Ok(names.into_iter().map(|n| folder.join(n)).collect())
}

/// GGUF tensor name to Hugging Face name; None for tensors the decoder does not use.
fn hub_name(gguf: &str) -> Option<String> {
    let plain = match gguf {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => "",
    };
    if !plain.is_empty() {
        return Some(plain.into());
    }
    let (layer, rest) = gguf.strip_prefix("blk.")?.split_once('.')?;
    let part = match rest.strip_suffix(".weight")? {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.weight"))
}

/// Rows (head, i, pair) back to (head, pair, i): interleaved to half-split rotation.
fn unpermute(w: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (o, i) = w.dims2()?;
    w.reshape((heads, o / heads / 2, 2, i))?
        .transpose(1, 2)?
        .reshape((o, i))?
        .contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpermute_turns_interleaved_pairs_into_halves() {
        // One head of 4 rows stored as (0, 2, 1, 3): pairs (0, 2) and (1, 3) side by side.
        let w = Tensor::new(&[[0f32], [2.], [1.], [3.]], &Device::Cpu).unwrap();
        let back: Vec<Vec<f32>> = unpermute(&w, 1).unwrap().to_vec2().unwrap();
        assert_eq!(back, vec![vec![0.], vec![1.], vec![2.], vec![3.]]);
    }
}
