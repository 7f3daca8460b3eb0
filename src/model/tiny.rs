//! For tests: a model of 2 blocks and 64 dimensions with random weights, as a folder and as GGUF.

use super::config::Norms;
use super::decoder::{module_path, Decoder};
use super::load::{Loading, Model};
use super::names::Naming;
use super::{Hooks, Packed};
use crate::stats::rng::{fill_normal, stream};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::{json, Value as Json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub(super) const V: usize = 24;
pub(super) const D: usize = 64;
pub(super) const F: usize = 96;
pub(super) const LAYERS: usize = 2;
pub(super) const HEADS: usize = 4;
pub(super) const KV: usize = 2;
/// (O, I) of the linear maps of a block.
pub(super) const MAPS: [(usize, usize); 7] =
    [(D, D), (32, D), (32, D), (D, D), (F, D), (F, D), (D, F)];

pub(super) type Named = BTreeMap<String, Tensor>;

pub(super) fn drawn(name: &str, shape: &[usize], scale: f32, centre: f32) -> Tensor {
    let mut v = vec![0f32; shape.iter().product()];
    fill_normal(&mut stream(4, name, 0), &mut v);
    v.iter_mut().for_each(|x| *x = centre + scale * *x);
    Tensor::from_vec(v, shape, &Device::Cpu).unwrap()
}

/// A tied Llama; `biased` says which maps have a bias.
pub(super) fn model(biased: impl Fn(usize) -> bool) -> Named {
    let mut all = Named::new();
    let mut put = |name: String, shape: &[usize], scale, centre| {
        let t = drawn(&name, shape, scale, centre);
        all.insert(name, t);
    };
    put("model.embed_tokens.weight".into(), &[V, D], 0.5, 0.0);
    put("model.norm.weight".into(), &[D], 0.1, 1.0);
    for l in 0..LAYERS {
        let at = format!("model.layers.{l}");
        for (i, (o, n)) in MAPS.into_iter().enumerate() {
            let name = format!("{at}.{}", module_path(i));
            put(format!("{name}.weight"), &[o, n], 0.15, 0.0);
            if biased(i) {
                put(format!("{name}.bias"), &[o], 0.3, 0.0);
            }
        }
        put(format!("{at}.input_layernorm.weight"), &[D], 0.1, 1.0);
        put(format!("{at}.post_attention_layernorm.weight"), &[D], 0.1, 1.0);
    }
    all
}

pub(super) fn config() -> Json {
    json!({"model_type": "llama", "vocab_size": V, "hidden_size": D, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV, "intermediate_size": F,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "tie_word_embeddings": true})
}

pub(super) fn save(weights: &Named, path: &Path) {
    let all: HashMap<String, Tensor> = weights.clone().into_iter().collect();
    candle_core::safetensors::save(&all, path).unwrap();
}

/// A folder of these weights, its `config.json` changed by `edit`.
pub(super) fn as_folder(weights: &Named, edit: impl Fn(&mut Json)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut json = config();
    edit(&mut json);
    let vocab: BTreeMap<String, usize> = (0..V).map(|i| (format!("w{i}"), i)).collect();
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}});
    std::fs::write(dir.path().join("config.json"), json.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    save(weights, &dir.path().join("model.safetensors"));
    dir
}

/// Rows (head, half, pair) to (head, pair, half), as GGUF files store q and k.
fn interleaved(t: &Tensor, heads: usize) -> Tensor {
    let o = t.dim(0).unwrap();
    let width = t.elem_count() / o;
    t.reshape((heads, 2, o / heads / 2, width))
        .and_then(|t| t.transpose(1, 2)?.contiguous()?.reshape(t.shape()))
        .and_then(|x| x.reshape(t.shape()))
        .unwrap()
}

/// The tensors of a GGUF file, in f32 or, the matrices, in `dtype`.
pub(super) fn gguf_tensors(weights: &Named, dtype: GgmlDType) -> Vec<(String, QTensor)> {
    let stored = weights.iter().map(|(hub, t)| {
        let t = match () {
            _ if hub.contains(".q_proj.") => interleaved(t, HEADS),
            _ if hub.contains(".k_proj.") => interleaved(t, KV),
            _ => t.clone(),
        };
        let dtype = if t.rank() == 2 { dtype } else { GgmlDType::F32 };
        (Naming::Gguf(Norms::Before).of(hub), QTensor::quantize(&t, dtype).unwrap())
    });
    stored.collect()
}

pub(super) fn metadata() -> Vec<(String, Value)> {
    let size = |key: &str, n: usize| (format!("llama.{key}"), Value::U32(n as u32));
    vec![
        ("general.architecture".into(), Value::String("llama".into())),
        size("vocab_size", V),
        size("embedding_length", D),
        size("block_count", LAYERS),
        size("attention.head_count", HEADS),
        size("attention.head_count_kv", KV),
        size("feed_forward_length", F),
        size("context_length", 128),
    ]
}

pub(super) fn write_gguf(path: &Path, metadata: &[(String, Value)], tensors: &[(String, QTensor)]) {
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, t)| (k.as_str(), t)).collect();
    let mut bytes = std::io::Cursor::new(Vec::new());
    gguf_file::write(&mut bytes, &metadata, &tensors).unwrap();
    std::fs::write(path, bytes.into_inner()).unwrap();
}

pub(super) fn as_gguf(weights: &Named, dtype: GgmlDType) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    write_gguf(&path, &metadata(), &gguf_tensors(weights, dtype));
    (dir, path)
}

/// The stream after the last block and the logits of a text.
pub(super) fn numbers(d: &Decoder) -> super::Result<Vec<f32>> {
    let batch = Packed::new(&[vec![1u32, 5, 3, 7, 2]]);
    let x = d.forward(&batch, &mut Hooks::none())?;
    let rows: Vec<u32> = (0..5).collect();
    let z = d.logits(&x, &rows, &batch.places, &mut Hooks::none())?;
    let mut all: Vec<f32> = x.flatten_all()?.to_vec1()?;
    all.extend(z.flatten_all()?.to_vec1::<f32>()?);
    Ok(all)
}

pub(super) fn loaded(dir: &Path) -> Model {
    Model::load("tiny", dir, &Loading::default()).unwrap()
}

pub(super) fn refusal(dir: &Path) -> String {
    match Model::load("tiny", dir, &Loading::default()) {
        Ok(_) => panic!("it is taken"),
        Err(e) => e.to_string(),
    }
}
