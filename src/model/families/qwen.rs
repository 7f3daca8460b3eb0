//! Qwen 2, 2.5 and dense Qwen 3.
//!
//! Qwen 2 has biases on q, k and v; Qwen 3 none, but norms on each query and key head. A window holds
//! only where it is switched on, from layer `max_window_layers` on.

use super::super::config::{Biases, Config, QkNorm};
use super::super::error::Result;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

pub(super) const QWEN2: Family = Family {
    models: "Qwen 2 and 2.5",
    model_types: &["qwen2"],
    architecture: "qwen2",
    gains_from_one: false,
    of_json: |keys| windowed(keys, qwen2()),
    of_gguf: |keys| keys.base(qwen2()),
};

pub(super) const QWEN3: Family = Family {
    models: "Qwen 3 (dense)",
    model_types: &["qwen3"],
    architecture: "qwen3",
    gains_from_one: false,
    of_json: |keys| {
        let attention = keys.flag("attention_bias", false)?;
        windowed(keys, Config { biases: Biases::declared(attention, false), ..qwen3() })
    },
    of_gguf: |keys: &GgufKeys| keys.base(qwen3()),
};

fn qwen2() -> Config {
    let biases = Biases::Declared { qkv: true, output: false, mlp: false };
    Config { context: 32_768, norm_eps: 1e-6, biases, ..Config::default() }
}

fn qwen3() -> Config {
    let qk_norm = QkNorm::Heads;
    Config { context: 32_768, norm_eps: 1e-6, qk_norm, head_dim: 128, ..Config::default() }
}

fn windowed(keys: &JsonKeys, defaults: Config) -> Result<Config> {
    let config = keys.base(defaults)?;
    let on = keys.flag("use_sliding_window", false)?;
    let window = keys.size_if_given("sliding_window")?.unwrap_or(4096);
    let first = keys.size("max_window_layers", 28)?;
    let windows = keys.windows(config.layers, on.then_some(window), |i| on && i >= first)?;
    Ok(Config { windows, ..config })
}
