//! OLMo 2 and 3.
//!
//! There is no norm before attention or feed-forward, only on what they add; norms of q and k are over
//! the whole projection. OLMo 3 has windows on three of four layers and stretches the context on the
//! others only. In GGUF both are `olmo2`.

use super::super::config::{Config, Norms, QkNorm};
use super::super::error::Result;
use super::super::rope::Rope;
use super::family::Family;
use super::gguf_keys::GgufKeys;

pub(super) const OLMO2: Family = Family {
    models: "OLMo 2",
    model_types: &["olmo2"],
    architecture: "olmo2",
    gains_from_one: false,
    of_json: |keys| keys.base(Config { biases: keys.biases()?, ..olmo(10_000.0) }),
    of_gguf,
};

pub(super) const OLMO3: Family = Family {
    models: "OLMo 3",
    model_types: &["olmo3"],
    of_json: |keys| {
        let mut config = keys.base(Config { biases: keys.biases()?, ..olmo(500_000.0) })?;
        let window = match keys.json.get("sliding_window") {
            None => Some(4096),
            Some(_) => keys.size_if_given("sliding_window")?,
        };
        config.windows = keys.windows(config.layers, window, three_of_four)?;
        let theta = config.rope.theta;
        config.local_rope = Some(match keys.rope_by_kind() {
            true => keys.rope("sliding_attention", theta, config.head_dim, config.context)?,
            false => Rope::plain(theta),
        });
        Ok(config)
    },
    ..OLMO2
};

fn three_of_four(layer: usize) -> bool {
    !(layer + 1).is_multiple_of(4)
}

fn olmo(theta: f64) -> Config {
    Config {
        norm_eps: 1e-5,
        norms: Norms::After,
        qk_norm: QkNorm::Whole,
        rope: Rope::plain(theta),
        ..Config::default()
    }
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    let mut config = keys.windowed(olmo(10_000.0))?;
    config.windows = keys.windows(config.layers, keys.window()?, three_of_four)?;
    let local = keys.number("rope.freq_base_swa")?.unwrap_or(config.rope.theta);
    config.local_rope = (!config.windows.is_empty()).then(|| Rope::plain(local));
    Ok(config)
}
