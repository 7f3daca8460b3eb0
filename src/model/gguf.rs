//! A model from a `.gguf` file, or from the parts of a split one: its shape and its weights.

use super::config::{Config, RopeScaling};
use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::files::files_sha256;
use super::gguf_meta::Meta;
use super::gguf_parts::Parts;
use super::inventory::Inventory;
use super::names::Naming;
use super::tokenizer::{Fit, TextOptions, Tokenizer};
use super::tokenizer_files;
use super::warning::ModelWarning;
use super::weights::{Held, Weights};
use candle_core::quantized::gguf_file::Value;
use std::path::Path;

/// What a model's files give.
pub(super) struct Opened {
    pub sha256: String,
    pub decoder: Decoder,
    pub tokenizer: Tokenizer,
    pub warnings: Vec<ModelWarning>,
}

/// The GGUF key of a Hugging Face one.
fn spelled(key: &str) -> String {
    let keys = [
        ("num_hidden_layers", "llama.block_count"),
        ("hidden_size", "llama.embedding_length"),
        ("vocab_size", "llama.vocab_size"),
        ("num_attention_heads", "llama.attention.head_count"),
        ("num_key_value_heads", "llama.attention.head_count_kv"),
        ("intermediate_size", "llama.feed_forward_length"),
        ("max_position_embeddings", "llama.context_length"),
        ("head_dim", "llama.attention.key_length"),
        ("rms_norm_eps", "llama.attention.layer_norm_rms_epsilon"),
        ("rope_theta", "llama.rope.freq_base"),
        ("rope_scaling.factor", "llama.rope.scaling.factor"),
    ];
    let found = keys.iter().find(|(hub, _)| *hub == key);
    found.map_or(key, |(_, gguf)| gguf).into()
}

/// A factor without a type is linear, as in llama.cpp; its key had another name once.
fn scaling(meta: &Meta) -> Result<RopeScaling> {
    const TYPE: &str = "llama.rope.scaling.type";
    let factor = match meta.number("llama.rope.scaling.factor")? {
        None => meta.number("llama.rope.scale_linear")?,
        found => found,
    };
    match (meta.map.get(TYPE), meta.text(TYPE)) {
        (_, Some("none")) => Ok(RopeScaling::None),
        (None, _) | (_, Some("linear")) => Ok(match factor {
            None => RopeScaling::None,
            Some(factor) => RopeScaling::Linear { factor },
        }),
        (Some(other), _) => {
            let why = format!("is {other:?}; none and linear are supported");
            Err(meta.missing(TYPE, &why))
        }
    }
}

/// Refuses keys that say of another computation than the decoder's.
fn refuse_unsupported(meta: &Meta, head_dim: usize) -> Result<()> {
    for (key, plain) in [
        ("llama.rope.dimension_count", head_dim),
        ("llama.attention.value_length", head_dim),
        ("llama.expert_count", 0),
        ("llama.attention.sliding_window", 0),
    ] {
        if let Some(n) = meta.size(key)?.filter(|n| *n != plain) {
            return Err(meta.missing(key, &format!("is {n}; only {plain} is supported")));
        }
    }
    if let Some(Value::Bool(false)) = meta.map.get("llama.attention.causal") {
        return Err(meta.missing("llama.attention.causal", "is false, which is not supported"));
    }
    match meta.text("general.type") {
        None | Some("model") => Ok(()),
        Some(other) => Err(meta.missing("general.type", &format!("is `{other}`, not `model`"))),
    }
}

fn gguf_config(meta: &Meta) -> Result<Config> {
    let arch = meta.text("general.architecture").unwrap_or("(none)");
    if arch != "llama" {
        return Err(ModelError::Architecture { path: meta.path.into(), name: arch.into() });
    }
    let need = |key: &str| meta.need(&format!("llama.{key}"));
    let heads = need("attention.head_count")?;
    let hidden = need("embedding_length")?;
    let vocab = match meta.size("llama.vocab_size")? {
        Some(v) => v,
        None => meta.texts("tokenizer.ggml.tokens")?.len(),
    };
    let head_dim = meta.size("llama.attention.key_length")?;
    let head_dim = head_dim.unwrap_or(hidden / heads.max(1));
    refuse_unsupported(meta, head_dim)?;
    Config {
        vocab,
        hidden,
        layers: need("block_count")?,
        heads,
        kv_heads: meta.size("llama.attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        intermediate: need("feed_forward_length")?,
        context: need("context_length")?,
        norm_eps: meta.number("llama.attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
        rope_theta: meta.number("llama.rope.freq_base")?.unwrap_or(10_000.0),
        rope_scaling: scaling(meta)?,
        query_scale: (meta.number("llama.attention.scale")?)
            .filter(|s| *s != 0.0)
            .map(|s| s as f32),
        ..Config::llama()
    }
    .checked(meta.path, spelled)
}

/// The tokenizer alone; the file need hold no weights.
pub(crate) fn tokenizer(path: &Path, options: &TextOptions) -> Result<Tokenizer> {
    let parts = Parts::open(path)?;
    let meta = Meta { path, map: parts.metadata() };
    let arch = meta.text("general.architecture").unwrap_or_default();
    let fit = Fit {
        context: meta.size(&format!("{arch}.context_length"))?.unwrap_or(usize::MAX),
        vocab: meta.texts("tokenizer.ggml.tokens")?.len(),
    };
    tokenizer_files::of_gguf(&meta, fit, options)
}

/// The shape, and whether the embeddings are the head: they are where there is no other.
fn config(path: &Path, parts: &Parts) -> Result<Config> {
    let meta = Meta { path, map: parts.metadata() };
    let mut config = gguf_config(&meta)?;
    let tensors = parts.tensors();
    config.tied = !tensors.contains_key("lm_head.weight");
    if tensors.contains_key("rope_freqs.weight") {
        let why = "holds per-frequency factors, which are not read; use the Hugging Face folder";
        return Err(meta.missing("rope_freqs.weight", why));
    }
    Ok(config)
}

/// The decoder of parts that are open.
fn decoder(
    path: &Path,
    config: Config,
    parts: &Parts,
    held: Held,
) -> Result<(Decoder, Vec<ModelWarning>)> {
    let mut stored = parts.tensors();
    let inventory = Inventory {
        path,
        naming: Naming::Gguf,
        shapes: (stored.iter()).map(|(name, s)| (name.clone(), s.entry.shape.clone())).collect(),
    };
    let plan = inventory.plan(&config)?;
    stored.retain(|name, _| plan.wanted.contains(name));
    let weights = Weights::from_gguf(path, &stored, &config, held)?;
    Ok((Decoder::new(config, weights)?, plan.warnings(path)))
}

pub(crate) fn load(path: &Path, options: &TextOptions, held: Held) -> Result<Opened> {
    let mut parts = Parts::open(path)?;
    let config = config(path, &parts)?;
    let meta = Meta { path, map: parts.metadata() };
    let tokenizer = tokenizer_files::of_gguf(&meta, config.fit(), options)?;
    parts.forget_metadata();
    let files = parts.paths();
    let (decoded, sha256) =
        rayon::join(|| decoder(path, config, &parts, held), || files_sha256(&files));
    let (decoder, warnings) = decoded?;
    Ok(Opened { sha256: sha256?, decoder, tokenizer, warnings })
}

/// The decoder of a file, without its tokenizer.
#[cfg(test)]
pub(super) fn decoder_of(path: &Path) -> Result<(Decoder, Vec<ModelWarning>)> {
    decoder_held(path, Held::Auto)
}

/// As [`decoder_of`], its weights held so.
#[cfg(test)]
pub(super) fn decoder_held(path: &Path, held: Held) -> Result<(Decoder, Vec<ModelWarning>)> {
    let parts = Parts::open(path)?;
    decoder(path, config(path, &parts)?, &parts, held)
}
