//! Granite 3 (dense): Llama with factors on embeddings, attention scores, what is added to the
//! stream, and logits.

use super::super::config::Config;
use super::super::error::Result;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;
use candle_core::quantized::gguf_file::Value;

pub(super) const FAMILY: Family = Family {
    models: "Granite 3 (dense)",
    model_types: &["granite"],
    architecture: "granite",
    gains_from_one: false,
    of_json,
    of_gguf,
};

fn of_json(keys: &JsonKeys) -> Result<Config> {
    let defaults = Config { norm_eps: 1e-6, biases: keys.biases()?, ..Config::llama() };
    Ok(Config {
        embed_scale: keys.factor("embedding_multiplier")?,
        residual_scale: keys.factor("residual_multiplier")?,
        query_scale: Some(keys.number("attention_multiplier")?.unwrap_or(1.0) as f32),
        logit_scale: keys.factor("logits_scaling")?.map(f64::recip),
        ..keys.base(defaults)?
    })
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    const ROTATED: &str = "rope.scaling.finetuned";
    if matches!(keys.meta.map.get(&keys.key(ROTATED)), Some(Value::Bool(false))) {
        return Err(keys.bad(ROTATED, "is false: heads are not rotated, which is not supported"));
    }
    Ok(Config {
        embed_scale: keys.factor("embedding_scale")?,
        residual_scale: keys.factor("residual_scale")?,
        logit_scale: keys.factor("logit_scale")?.map(f64::recip),
        ..keys.base(Config::llama())?
    })
}
