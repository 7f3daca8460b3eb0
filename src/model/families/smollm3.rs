//! SmolLM3: Llama whose every fourth layer does not rotate queries and keys.

use super::super::config::{Config, MOST_LAYERS};
use super::super::error::Result;
use super::super::rope::Rope;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

pub(super) const FAMILY: Family = Family {
    models: "SmolLM3",
    model_types: &["smollm3"],
    architecture: "smollm3",
    gains_from_one: false,
    of_json,
    of_gguf,
};

/// Layers between those that rotate nothing, which GGUF does not say.
const STEP: usize = 4;

fn every(step: usize, layers: usize) -> Vec<usize> {
    (0..layers.min(MOST_LAYERS)).filter(|i| (i + 1).is_multiple_of(step)).collect()
}

fn defaults() -> Config {
    Config {
        context: 32_768,
        norm_eps: 1e-6,
        rope: Rope::plain(2e6),
        tied: true,
        ..Config::llama()
    }
}

fn of_json(keys: &JsonKeys) -> Result<Config> {
    let config = keys.base(Config { biases: keys.biases()?, ..defaults() })?;
    let unrotated = match keys.given("no_rope_layers") {
        None => every(keys.size("no_rope_layer_interval", STEP)?.max(1), config.layers),
        Some(list) => {
            let bad = |why| keys.bad("no_rope_layers", why);
            let list = list.as_array().ok_or_else(|| bad("is no list"))?;
            if list.len() < config.layers {
                return Err(bad("is shorter than the model has layers"));
            }
            let off = list.iter().take(config.layers).enumerate();
            off.filter(|(_, v)| v.as_u64() == Some(0)).map(|(i, _)| i).collect()
        }
    };
    let on = keys.flag("use_sliding_window", false)?;
    let window = keys.size_if_given("sliding_window")?.filter(|_| on);
    let sliding = |i: usize| window.is_some() && unrotated.contains(&i);
    let windows = keys.windows(config.layers, window, sliding)?;
    Ok(Config { windows, unrotated, ..config })
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    let config = keys.base(defaults())?;
    Ok(Config { unrotated: every(STEP, config.layers), ..config })
}
