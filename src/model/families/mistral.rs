//! Mistral 7B, Nemo and Small (the language model of those that also see).
//!
//! A window, which only the first 7B has, holds for every layer. GGUF files are of architecture
//! `llama`, those of Small 3.1 and later of `mistral3`.

use super::super::config::{Biases, Config};
use super::super::error::Result;
use super::super::rope::Rope;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

pub(super) const FAMILY: Family = Family {
    models: "Mistral 7B, Nemo, Small",
    model_types: &["mistral"],
    architecture: "mistral3",
    gains_from_one: false,
    of_json,
    of_gguf,
};

fn of_json(keys: &JsonKeys) -> Result<Config> {
    if keys.biases()? != Biases::NONE {
        let why = "or `mlp_bias` is set, which Mistral models do not have";
        return Err(keys.bad("attention_bias", why));
    }
    let defaults = Config {
        biases: Biases::NONE,
        context: 131_072,
        norm_eps: 1e-6,
        rope: Rope::plain(10_000.0),
        ..Config::llama()
    };
    let config = keys.base(defaults)?;
    // Absent is 4096, null is none.
    let window = match keys.json.get("sliding_window") {
        None => Some(4096),
        Some(_) => keys.size_if_given("sliding_window")?,
    };
    if window.is_some() && keys.given("layer_types").is_some() {
        return Err(keys.bad("layer_types", "is set, which transformers does not read here"));
    }
    let windows = match window {
        None => Vec::new(),
        Some(_) => keys.windows(config.layers, window, |_| true)?,
    };
    Ok(Config { windows, ..config })
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    for key in ["attention.temperature_scale", "rope.scaling.yarn_log_multiplier"] {
        if keys.number(key)?.is_some_and(|v| v != 0.0) {
            return Err(keys.bad(key, "is set (Ministral 3), which is not supported"));
        }
    }
    keys.base(Config::llama())
}
