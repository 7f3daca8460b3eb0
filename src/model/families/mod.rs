//! Families of models: one file says how the files of one are read, and this list names them.
//!
//! A reader turns keys into a [`Config`]; from there on no code knows a family. What Hugging Face
//! files store otherwise than the decoder takes it (fused maps, gains less 1, the names of a model
//! that also sees) is put right by [`super::stored`], from the names and the descriptor alone.

mod family;
mod gemma;
pub(crate) mod gguf_keys;
mod granite;
mod json_keys;
mod llama;
mod mistral;
mod olmo;
#[cfg(test)]
mod parity_tests;
mod phi;
mod qwen;
mod refused;
#[cfg(test)]
mod second_opinion_tests;
mod smollm3;

use super::config::Config;
use super::error::{ModelError, Result};
use super::gguf_meta::Meta;
pub(crate) use family::Family;
use gguf_keys::GgufKeys;
use json_keys::JsonKeys;
use serde_json::Value;
use std::path::Path;

/// Every family that is read. Of two with one GGUF architecture the first reads its files.
const ALL: [&Family; 11] = [
    &llama::FAMILY,
    &mistral::FAMILY,
    &smollm3::FAMILY,
    &qwen::QWEN2,
    &qwen::QWEN3,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &olmo::OLMO2,
    &olmo::OLMO3,
    &granite::FAMILY,
    &phi::FAMILY,
];

fn unsupported(path: &Path, name: &str, why: Option<&str>) -> ModelError {
    let models: Vec<&str> = ALL.iter().map(|f| f.models).collect();
    let why = why.unwrap_or("there is no reader for it");
    let why = format!("{why}; what is read: {}", models.join(", "));
    ModelError::Architecture { path: path.into(), name: name.into(), why }
}

/// The language model of a configuration: that of a model which also sees is a part of it.
fn language(json: &Value) -> Value {
    let Some(inner) = json.get("text_config").filter(|v| v.is_object()) else {
        return json.clone();
    };
    let mut inner = inner.clone();
    for key in ["tie_word_embeddings", "quantization_config"] {
        if let (None, Some(outer)) = (inner.get(key), json.get(key)) {
            inner[key] = outer.clone();
        }
    }
    inner
}

/// The family and the shape that a parsed `config.json` at `path` says.
pub(crate) fn of_json(json: &Value, path: &Path) -> Result<(&'static Family, Config)> {
    let json = &language(json);
    let name = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
    let family = ALL.into_iter().find(|f| f.model_types.contains(&name));
    let by_keys = refused::by_keys(json);
    let (Some(family), None) = (family, by_keys) else {
        return Err(unsupported(path, name, by_keys.or_else(|| refused::by_name(name))));
    };
    let config = (family.of_json)(&JsonKeys { json, path })?;
    Ok((family, config.checked(path, str::to_string)?))
}

/// The shape that the metadata of a GGUF file says.
pub(crate) fn of_gguf(meta: &Meta) -> Result<Config> {
    let arch = meta.text("general.architecture").unwrap_or("(none)");
    let family = ALL.into_iter().find(|f| f.architecture == arch);
    let family = family.ok_or_else(|| unsupported(meta.path, arch, refused::by_name(arch)))?;
    let keys = GgufKeys { meta, arch };
    keys.checked((family.of_gguf)(&keys)?)
}

impl Config {
    /// From a parsed Hugging Face `config.json` at `path`.
    ///
    /// # Errors
    /// An architecture that is not read, with the reason; a key that is missing or wrong, by its name.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        Ok(of_json(json, path)?.1)
    }
}
