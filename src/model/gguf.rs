//! A model from one `.gguf` file: its header, its shape and its weights.

use super::config::{Config, RopeScaling};
use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::load::{file_sha256, Model};
use super::tokenizer::{TextOptions, Tokenizer};
use super::tokenizer_files::{self, Fit};
use super::weights::{HeadCounts, Weights};
use candle_core::quantized::gguf_file::{Content, Value};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Metadata of a GGUF file with errors that name file and key.
pub(crate) struct Meta<'a> {
    pub path: &'a Path,
    pub map: &'a HashMap<String, Value>,
}

impl Meta<'_> {
    pub(crate) fn missing(&self, key: &str, why: &str) -> ModelError {
        ModelError::Key {
            path: self.path.into(),
            key: key.into(),
            why: why.into(),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.map
            .get(key)
            .and_then(|v| v.to_string().ok())
            .map(String::as_str)
    }

    pub(crate) fn count(&self, key: &str) -> Option<usize> {
        self.map
            .get(key)
            .and_then(|v| v.to_u64().ok())
            .map(|v| v as usize)
    }

    pub(crate) fn need(&self, key: &str) -> Result<usize> {
        self.count(key)
            .ok_or_else(|| self.missing(key, "is missing or not a whole number"))
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.map.get(key)? {
            Value::F32(v) => Some(*v as f64),
            Value::F64(v) => Some(*v),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let list = self.map.get(key).and_then(|v| v.to_vec().ok());
        let list = list.ok_or_else(|| self.missing(key, "is missing or not a list"))?;
        list.iter()
            .map(|v| {
                v.to_string()
                    .cloned()
                    .map_err(|_| self.missing(key, "holds a non-string"))
            })
            .collect()
    }
}

fn gguf_config(meta: &Meta) -> Result<Config> {
    let arch = meta.text("general.architecture").unwrap_or("(none)");
    if arch != "llama" {
        return Err(ModelError::Architecture {
            path: meta.path.into(),
            name: arch.into(),
        });
    }
    let need = |key: &str| meta.need(&format!("llama.{key}"));
    let heads = need("attention.head_count")?;
    let hidden = need("embedding_length")?;
    let scaling = match meta.text("llama.rope.scaling.type") {
        None | Some("none") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear {
            factor: meta.float("llama.rope.scaling.factor").unwrap_or(1.0),
        },
        Some(other) => {
            let why = format!("is `{other}`; none and linear are supported");
            return Err(meta.missing("llama.rope.scaling.type", &why));
        }
    };
    let vocab = match meta.count("llama.vocab_size") {
        Some(v) => v,
        None => meta.texts("tokenizer.ggml.tokens")?.len(),
    };
    Config {
        vocab,
        hidden,
        layers: need("block_count")?,
        heads,
        kv_heads: need("attention.head_count_kv").unwrap_or(heads),
        head_dim: need("attention.key_length").unwrap_or(hidden / heads.max(1)),
        intermediate: need("feed_forward_length")?,
        context: need("context_length")?,
        norm_eps: meta
            .float("llama.attention.layer_norm_rms_epsilon")
            .unwrap_or(1e-5),
        rope_theta: meta.float("llama.rope.freq_base").unwrap_or(10_000.0),
        rope_scaling: scaling,
        ..Config::llama()
    }
    .checked(meta.path)
}

/// The tokenizer alone; the file need hold no weights.
pub(crate) fn tokenizer(path: &Path, options: &TextOptions) -> Result<Tokenizer> {
    let content = header(path)?;
    let meta = Meta {
        path,
        map: &content.metadata,
    };
    let arch = meta.text("general.architecture").unwrap_or_default();
    let context = meta.count(&format!("{arch}.context_length"));
    let fit = Fit {
        context: context.unwrap_or(usize::MAX),
        vocab: meta.texts("tokenizer.ggml.tokens")?.len(),
    };
    tokenizer_files::of_gguf(&meta, fit, options)
}

fn header(path: &Path) -> Result<Content> {
    let file = std::fs::File::open(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    let bad = |why: String| ModelError::Gguf {
        path: path.into(),
        why,
    };
    Content::read(&mut std::io::BufReader::new(file)).map_err(|e| bad(e.to_string()))
}

pub(crate) fn load(id: &str, path: &Path, options: &TextOptions) -> Result<Model> {
    let mut content = header(path)?;
    let meta = Meta {
        path,
        map: &content.metadata,
    };
    let mut config = gguf_config(&meta)?;
    config.tied = !content.tensor_infos.contains_key("output.weight");
    if content.tensor_infos.contains_key("rope_freqs.weight") {
        let why = "holds per-frequency factors, which are not read; use the Hugging Face folder";
        return Err(meta.missing("rope_freqs.weight", why));
    }
    let tokenizer = tokenizer_files::of_gguf(&meta, config.fit(), options)?;
    let counts = HeadCounts {
        heads: config.heads,
        kv_heads: config.kv_heads,
    };
    content.metadata.clear();
    let (weights, sha256) = rayon::join(
        || Weights::from_gguf(path, &content, counts),
        || file_sha256(path),
    );
    Ok(Model {
        id: id.into(),
        path: path.into(),
        sha256: sha256?,
        decoder: Decoder::new(config, weights?)?,
        tokenizer: Arc::new(tokenizer),
    })
}
