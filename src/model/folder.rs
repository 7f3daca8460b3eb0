//! A model as a Hugging Face folder, for PyTorch: `config.json`, `tokenizer.json`,
//! `tokenizer_config.json`, `generation_config.json` and f32 safetensors in shards.
//!
//! What is written loads in transformers with `from_pretrained`, and here, to the same bits: a GGUF
//! file's weights are written as dequantised, so both sides of a comparison run the same numbers.

use super::config::Config;
use super::decoder::{module_path, Block, Decoder};
use super::error::{ModelError, Result};
use super::load::Model;
use super::rope::RopeScaling;
use super::weights::as_safetensors;
use crate::ops::weight::Weight;
use crate::store::atomic;
use candle_core::Tensor;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writes `model` below `folder`, weights in shards of at most `shard` bytes (a larger tensor stands
/// alone). Returns the files, in order.
///
/// # Errors
/// A family other than Llama's, or a file that cannot be written.
pub fn write(model: &Model, folder: &Path, shard: usize) -> Result<Vec<PathBuf>> {
    let c = &model.decoder.config;
    let plain = Config {
        vocab: c.vocab,
        hidden: c.hidden,
        layers: c.layers,
        heads: c.heads,
        kv_heads: c.kv_heads,
        head_dim: c.head_dim,
        intermediate: c.intermediate,
        context: c.context,
        norm_eps: c.norm_eps,
        rope: c.rope.clone(),
        tied: c.tied,
        biases: c.biases,
        interleaved: c.interleaved,
        ..Config::llama()
    };
    if plain != **c || c.rope.width.is_some() {
        let why = "would have to be another family than llama; only Llama models are written";
        return Err(ModelError::key(folder, "model_type", why));
    }
    std::fs::create_dir_all(folder).map_err(|e| ModelError::file(folder, e.to_string()))?;
    let mut files = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| -> Result<()> {
        let path = folder.join(name);
        atomic::write(&path, bytes)?;
        files.push(path);
        Ok(())
    };
    let text = |v: &Value| serde_json::to_vec_pretty(v).unwrap_or_default();
    put("config.json", &text(&config(&model.decoder, model.tokenizer.eos())))?;
    put("generation_config.json", &text(&json!({"eos_token_id": model.tokenizer.eos()})))?;
    put("tokenizer.json", model.tokenizer.json()?.as_bytes())?;
    put("tokenizer_config.json", &text(&tokenizer(model)))?;

    let tensors = named(&model.decoder)?;
    let mut shards: Vec<Vec<&(String, Weight)>> = vec![Vec::new()];
    let mut held = 0;
    for t in &tensors {
        let bytes = 4 * t.1.elem_count();
        if held > 0 && held + bytes > shard {
            shards.push(Vec::new());
            held = 0;
        }
        held += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(t);
        }
    }
    let mut map = BTreeMap::new();
    let n = shards.len();
    for (i, part) in shards.into_iter().enumerate() {
        let name = match n {
            1 => "model.safetensors".to_string(),
            _ => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let decoded = part.iter().map(|(key, w)| Ok((key.clone(), w.tensor()?)));
        let part = decoded.collect::<Result<Vec<(String, Tensor)>>>()?;
        map.extend(part.iter().map(|(key, _)| (key.clone(), name.clone())));
        let part: Vec<(String, &Tensor)> = part.iter().map(|(key, t)| (key.clone(), t)).collect();
        put(&name, &as_safetensors(&folder.join(&name), &part, &[])?)?;
    }
    if n > 1 {
        let total: usize = tensors.iter().map(|t| 4 * t.1.elem_count()).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        put("model.safetensors.index.json", &text(&index))?;
    }
    Ok(files)
}

/// Whether any map of attention, and of the feed-forward, has a bias.
fn biased(d: &Decoder) -> [bool; 2] {
    let any = |maps: std::ops::Range<usize>| {
        let of = |b: &Block| b.linears[maps.clone()].iter().any(|l| l.bias.is_some());
        d.blocks.iter().any(of)
    };
    [any(0..4), any(4..7)]
}

/// Every weight under its Hugging Face name; a tied head is the embedding and is left out. Where one
/// map of attention or of the feed-forward has a bias, transformers wants all of them: the others
/// get zeros.
fn named(d: &Decoder) -> candle_core::Result<Vec<(String, Weight)>> {
    let biased = biased(d);
    let mut out = vec![("model.embed_tokens.weight".to_string(), d.embed.clone())];
    for (l, block) in d.blocks.iter().enumerate() {
        let at = format!("model.layers.{l}");
        for (k, map) in block.linears.iter().enumerate() {
            out.push((format!("{at}.{}.weight", module_path(k)), map.weight.clone()));
            if biased[k / 4] {
                let w = &map.weight;
                let zeros = || Tensor::zeros(w.dims2()?.0, w.dtype(), w.device());
                let bias = map.bias.clone().map_or_else(zeros, Ok)?;
                out.push((format!("{at}.{}.bias", module_path(k)), bias.into()));
            }
        }
        for (name, norm) in
            [("input_layernorm", &block.attn_norm), ("post_attention_layernorm", &block.mlp_norm)]
        {
            out.extend(norm.clone().map(|n| (format!("{at}.{name}.weight"), n.into())));
        }
    }
    out.push(("model.norm.weight".into(), d.final_norm.clone().into()));
    if !d.config.tied {
        out.push(("lm_head.weight".into(), d.head.weight.clone()));
    }
    Ok(out)
}

fn config(d: &Decoder, eos: &[u32]) -> Value {
    let c = &d.config;
    let [attention_bias, mlp_bias] = biased(d);
    let scaling = match &c.rope.scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
        RopeScaling::Llama3 { factor, low, high, original_context } => {
            json!({"rope_type": "llama3", "factor": factor, "low_freq_factor": low,
            "high_freq_factor": high, "original_max_position_embeddings": original_context})
        }
        RopeScaling::Yarn { factor, fast, slow, original_context, scale } => {
            json!({"rope_type": "yarn", "factor": factor, "beta_fast": fast, "beta_slow": slow,
            "original_max_position_embeddings": original_context, "attention_factor": scale})
        }
        // Texts are never longer than the context, so that the long factors are not used.
        RopeScaling::Each { factors, scale } => {
            json!({"rope_type": "longrope", "short_factor": factors, "long_factor": factors,
            "original_max_position_embeddings": c.context, "attention_factor": scale})
        }
    };
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
        "vocab_size": c.vocab, "hidden_size": c.hidden, "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim,
        "intermediate_size": c.intermediate, "max_position_embeddings": c.context,
        "rms_norm_eps": c.norm_eps, "rope_theta": c.rope.theta, "rope_scaling": scaling,
        "hidden_act": "silu", "tie_word_embeddings": c.tied, "attention_bias": attention_bias,
        "mlp_bias": mlp_bias, "eos_token_id": eos,
    })
}

fn tokenizer(model: &Model) -> Value {
    let mut v = json!({"tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.decoder.config.context, "clean_up_tokenization_spaces": false});
    if let Some(template) = model.tokenizer.template() {
        v["chat_template"] = json!(template.source());
        v["bos_token"] = json!(template.special("bos_token"));
        v["eos_token"] = json!(template.special("eos_token"));
    }
    v
}
