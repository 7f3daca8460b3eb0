//! Phi-3 and Phi-4-mini: Llama with fused maps, which are split when they are read, heads that may
//! rotate in part, and LongRoPE.
//!
//! LongRoPE has a second set of factors for texts beyond the original context, which would change
//! every position of such a text; texts up to the original context are read, with the first set.

use super::super::config::{Biases, Config};
use super::super::error::Result;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

pub(super) const FAMILY: Family = Family {
    models: "Phi-3, Phi-4-mini",
    model_types: &["phi3"],
    architecture: "phi3",
    gains_from_one: false,
    of_json,
    of_gguf,
};

fn defaults() -> Config {
    let biases = Biases::NONE;
    Config { context: 4096, norm_eps: 1e-5, biases, fused: true, ..Config::default() }
}

fn of_json(keys: &JsonKeys) -> Result<Config> {
    let config = keys.sizes(defaults())?;
    let window = keys.size_if_given("sliding_window")?;
    let windows = keys.windows(config.layers, window, |_| window.is_some())?;
    Ok(Config { windows, ..config })
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    let config = keys.sizes(Config { biases: Biases::AsFound, ..defaults() })?;
    let original = keys.size("rope.scaling.original_context_length")?;
    let context = config.context.min(original.unwrap_or(config.context));
    let windows = keys.windows(config.layers, keys.window()?, |_| true)?;
    Ok(Config { context, windows, ..config })
}
