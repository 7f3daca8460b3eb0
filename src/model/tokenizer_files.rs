//! A tokenizer with its chat template and special tokens, from the files that hold them: the metadata
//! of a GGUF file, or the several files of a Hugging Face folder.

use super::error::{ModelError, Result};
use super::gguf::Meta;
use super::load::read_json;
use super::template::Template;
use super::tokenizer::{GgufTokens, Tokenizer};
use candle_core::quantized::gguf_file::Value;
use serde_json::Value as Json;
use std::path::Path;

/// From GGUF metadata.
pub(crate) fn of_gguf(meta: &Meta, context: usize) -> Result<Tokenizer> {
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
    Tokenizer::new(inner, template, eos.into_iter().collect(), context)
}

/// From a folder whose parsed `config.json` is given.
pub(crate) fn of_folder(path: &Path, config: &Json, context: usize) -> Result<Tokenizer> {
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
        false => config.clone(),
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
    Tokenizer::new(inner, template, ends, context)
}
