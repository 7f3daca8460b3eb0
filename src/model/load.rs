//! A model ready to run: decoder, tokenizer, and the digests that identify it.
//!
//! From one `.gguf` file (weights, tokenizer and template of its metadata) or from a Hugging Face
//! folder. Where the files come from is [`super::resolve`]'s business.

use super::config::{Config, RopeScaling};
use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::placement::{self, Placement};
use super::template::Template;
use super::tokenizer::{GgufTokens, Tokenizer};
use super::weights::{HeadCounts, Weights};
use candle_core::quantized::gguf_file::{Content, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A loaded model. The decoder may be replaced (an adapter merged); the rest stays.
pub struct Model {
    /// The name by which the user asked for it.
    pub id: String,
    pub path: PathBuf,
    /// SHA-256 of the GGUF file, or of the digests of a folder's weight files in name order.
    pub sha256: String,
    pub decoder: Decoder,
    pub tokenizer: Arc<Tokenizer>,
}

impl Model {
    /// Loads a `.gguf` file or a Hugging Face folder to where models are placed.
    pub fn load(id: &str, path: &Path) -> Result<Self> {
        crate::ops::calm_candle();
        let placement = placement::chosen();
        let device = placement.device()?;
        let mut model = match path.is_dir() {
            true => folder(id, path)?,
            false => gguf(id, path)?,
        };
        if placement != Placement::default() {
            model.decoder = model.decoder.placed(&device, placement.dtype)?;
        }
        Ok(model)
    }

    /// SHA-256 of the chat template's text, if there is one.
    pub fn template_sha256(&self) -> Option<String> {
        let source = self.tokenizer.template()?.source();
        Some(hex(&Sha256::digest(source.as_bytes())))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of a file, read in pieces.
pub fn file_sha256(path: &Path) -> Result<String> {
    let read = |source| ModelError::Read {
        path: path.into(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(read)?;
    let mut sha = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(read)? {
            0 => return Ok(hex(&sha.finalize())),
            n => sha.update(&piece[..n]),
        }
    }
}

/// Metadata of a GGUF file with errors that name file and key.
struct Meta<'a> {
    path: &'a Path,
    map: &'a HashMap<String, Value>,
}

impl Meta<'_> {
    fn missing(&self, key: &str, why: &str) -> ModelError {
        ModelError::Key {
            path: self.path.into(),
            key: key.into(),
            why: why.into(),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.map
            .get(key)
            .and_then(|v| v.to_string().ok())
            .map(String::as_str)
    }

    fn count(&self, key: &str) -> Option<usize> {
        self.map
            .get(key)
            .and_then(|v| v.to_u64().ok())
            .map(|v| v as usize)
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.count(key)
            .ok_or_else(|| self.missing(key, "is missing or not a whole number"))
    }

    fn float(&self, key: &str) -> Option<f64> {
        match self.map.get(key)? {
            Value::F32(v) => Some(*v as f64),
            Value::F64(v) => Some(*v),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
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

fn gguf(id: &str, path: &Path) -> Result<Model> {
    let file = std::fs::File::open(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    let bad = |why: String| ModelError::Gguf {
        path: path.into(),
        why,
    };
    let mut reader = std::io::BufReader::new(file);
    let mut content = Content::read(&mut reader).map_err(|e| bad(e.to_string()))?;
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
    let tokens = meta.texts("tokenizer.ggml.tokens")?;
    let types = match meta.map.get("tokenizer.ggml.token_type").map(Value::to_vec) {
        Some(Ok(list)) => list.iter().map(|v| v.to_i32().unwrap_or(1)).collect(),
        _ => vec![1; tokens.len()],
    };
    let eos = meta.count("tokenizer.ggml.eos_token_id").map(|v| v as u32);
    let special = |key: &str| {
        let id = meta.count(key);
        id.and_then(|i| tokens.get(i)).cloned().unwrap_or_default()
    };
    let template = match meta.text("tokenizer.chat_template") {
        None => None,
        Some(source) => Some(Template::new(
            source,
            &special("tokenizer.ggml.bos_token_id"),
            &special("tokenizer.ggml.eos_token_id"),
        )?),
    };
    let inner = Tokenizer::from_gguf(GgufTokens {
        kind: meta.text("tokenizer.ggml.model").unwrap_or_default().into(),
        pre: meta.text("tokenizer.ggml.pre").unwrap_or_default().into(),
        merges: meta.texts("tokenizer.ggml.merges")?,
        types,
        tokens,
    })?;
    let tokenizer = Tokenizer::new(inner, template, eos.into_iter().collect(), config.context)?;
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

fn read_json(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| ModelError::File {
        path: path.into(),
        why: format!("not JSON ({e})"),
    })
}

fn folder(id: &str, path: &Path) -> Result<Model> {
    use serde_json::Value as Json;
    let config_path = path.join("config.json");
    let json = read_json(&config_path)?;
    let config = Config::from_json(&json, &config_path)?;
    let inner = Tokenizer::from_file(&path.join("tokenizer.json"))?;
    let settings_path = path.join("tokenizer_config.json");
    let settings = match settings_path.exists() {
        true => read_json(&settings_path)?,
        false => Json::Null,
    };
    // A special token is a string or an object with `content`.
    let special = |key: &str| {
        let v = settings.get(key)?;
        v.as_str()
            .or_else(|| v.get("content")?.as_str())
            .map(str::to_string)
    };
    let (bos, eos) = (special("bos_token"), special("eos_token"));
    let jinja = path.join("chat_template.jinja");
    let source = match jinja.exists() {
        true => Some(
            std::fs::read_to_string(&jinja).map_err(|source| ModelError::Read {
                path: jinja.clone(),
                source,
            })?,
        ),
        false => settings
            .get("chat_template")
            .and_then(Json::as_str)
            .map(str::to_string),
    };
    let template = source
        .map(|s| {
            let (bos, eos) = (
                bos.clone().unwrap_or_default(),
                eos.clone().unwrap_or_default(),
            );
            Template::new(&s, &bos, &eos)
        })
        .transpose()?;
    let generation = path.join("generation_config.json");
    let listed = match generation.exists() {
        true => read_json(&generation)?,
        false => json,
    };
    let mut ends: Vec<u32> = match listed.get("eos_token_id") {
        Some(Json::Number(n)) => n.as_u64().map(|v| v as u32).into_iter().collect(),
        Some(Json::Array(a)) => a
            .iter()
            .filter_map(Json::as_u64)
            .map(|v| v as u32)
            .collect(),
        _ => Vec::new(),
    };
    ends.extend(eos.and_then(|t| inner.token_to_id(&t)));
    ends.sort_unstable();
    ends.dedup();
    let tokenizer = Tokenizer::new(inner, template, ends, config.context)?;
    let (weights, sha256) = rayon::join(|| Weights::from_folder(path), || folder_sha256(path));
    Ok(Model {
        id: id.into(),
        path: path.into(),
        sha256: sha256?,
        decoder: Decoder::new(config, weights?)?,
        tokenizer: Arc::new(tokenizer),
    })
}

fn folder_sha256(path: &Path) -> Result<String> {
    let entries = std::fs::read_dir(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    let mut all = Sha256::new();
    for f in files {
        all.update(file_sha256(&f)?);
    }
    Ok(hex(&all.finalize()))
}
