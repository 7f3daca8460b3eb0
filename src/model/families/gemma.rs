//! Gemma 2 and the text of Gemma 3.
//!
//! Norms stand before attention and feed-forward and on what they add; safetensors files hold their
//! gains less 1. Embeddings are multiplied by the root of the width, in the numbers that the model
//! computes with. Layers with a window alternate with full ones, 1 : 1 in Gemma 2, 5 : 1 in Gemma 3,
//! which gives them a rotary base of their own.

use super::super::config::{Config, Norms, QkNorm};
use super::super::error::Result;
use super::super::rope::Rope;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;
use crate::ops::gated::Activation;

pub(super) const GEMMA2: Family = Family {
    models: "Gemma 2",
    model_types: &["gemma2"],
    architecture: "gemma2",
    gains_from_one: true,
    of_json: |keys| {
        let caps = ["attn_logit_softcapping", "final_logit_softcapping"].map(|k| keys.json.get(k));
        // Absent is the default, null is none.
        let defaults = caps.map(|v| v.is_none());
        let config = of_json(keys, gemma2(defaults))?;
        let windows = keys.windows(config.layers, window(keys)?, even)?;
        Ok(Config { windows, ..config })
    },
    of_gguf: |keys| {
        let config = of_gguf(keys, gemma2([true; 2]), BLOCKS_27B[0])?;
        let window = keys.window()?.or(Some(4096));
        Ok(Config { windows: keys.windows(config.layers, window, even)?, ..config })
    },
};

pub(super) const GEMMA3: Family = Family {
    models: "Gemma 3 (text)",
    model_types: &["gemma3_text"],
    architecture: "gemma3",
    gains_from_one: true,
    of_json: |keys| {
        let mut config = of_json(keys, gemma3())?;
        let step = keys.size("sliding_window_pattern", 6)?.max(1);
        let sliding = |i: usize| !(i + 1).is_multiple_of(step);
        config.windows = keys.windows(config.layers, window(keys)?, sliding)?;
        let local = keys.number("rope_local_base_freq")?.unwrap_or(LOCAL_THETA);
        config.local_rope = Some(match keys.rope_by_kind() {
            true => keys.rope("sliding_attention", local, config.head_dim, config.context)?,
            false => Rope::plain(local),
        });
        Ok(config)
    },
    of_gguf: |keys| {
        let mut config = of_gguf(keys, gemma3(), BLOCKS_27B[1])?;
        let sliding = |i: usize| !(i + 1).is_multiple_of(6);
        config.windows = keys.windows(config.layers, keys.window()?, sliding)?;
        let local = keys.number("rope.freq_base_swa")?.unwrap_or(LOCAL_THETA);
        config.local_rope = Some(Rope::plain(local));
        Ok(config)
    },
};

/// Base of the rotary frequencies of Gemma 3's layers with a window.
const LOCAL_THETA: f64 = 10_000.0;
/// Blocks of the models of 27 B, by which llama.cpp tells them; GGUF does not hold their scale of
/// attention.
const BLOCKS_27B: [usize; 2] = [46, 62];

fn even(layer: usize) -> bool {
    layer.is_multiple_of(2)
}

fn gemma() -> Config {
    Config {
        norm_eps: 1e-6,
        head_dim: 256,
        activation: Activation::Gelu,
        tied: true,
        norms: Norms::Around,
        ..Config::default()
    }
}

fn gemma2([attention, logits]: [bool; 2]) -> Config {
    Config {
        vocab: 256_000,
        context: 8192,
        attention_softcap: attention.then_some(50.0),
        logit_softcap: logits.then_some(30.0),
        ..gemma()
    }
}

/// Folders of the larger models leave out what is as in the one of 4 B.
fn gemma3() -> Config {
    Config {
        vocab: 262_208,
        hidden: 2304,
        layers: 26,
        heads: 8,
        kv_heads: 4,
        intermediate: 9216,
        context: 131_072,
        qk_norm: QkNorm::Heads,
        rope: Rope::plain(1e6),
        ..gemma()
    }
}

/// The window: 4096 where the key is absent.
fn window(keys: &JsonKeys) -> Result<Option<usize>> {
    match keys.json.get("sliding_window") {
        None => Ok(Some(4096)),
        Some(_) => keys.size_if_given("sliding_window"),
    }
}

fn of_json(keys: &JsonKeys, defaults: Config) -> Result<Config> {
    keys.refuse_flag("use_bidirectional_attention")?;
    let config = keys.base(Config { biases: keys.biases()?, ..defaults })?;
    let cap = |key: &str, default: Option<f32>| -> Result<Option<f32>> {
        Ok(keys.number(key)?.map(|c| c as f32).or(default))
    };
    let scalar = keys.number("query_pre_attn_scalar")?.unwrap_or(256.0);
    Ok(Config {
        attention_softcap: cap("attn_logit_softcapping", config.attention_softcap)?,
        logit_softcap: cap("final_logit_softcapping", config.logit_softcap)?,
        embed_scale: Some((config.hidden as f64).sqrt()),
        query_scale: Some(scalar.powf(-0.5) as f32),
        ..config
    })
}

fn of_gguf(keys: &GgufKeys, defaults: Config, blocks_27b: usize) -> Result<Config> {
    let config = keys.windowed(defaults)?;
    let cap = |key: &str, default: Option<f32>| -> Result<Option<f32>> {
        Ok(keys.number(key)?.map(|c| c as f32).or(default))
    };
    let of_27b = (config.layers == blocks_27b)
        .then(|| (config.hidden as f32 / config.heads.max(1) as f32).sqrt().recip());
    Ok(Config {
        attention_softcap: cap("attn_logit_softcapping", config.attention_softcap)?,
        logit_softcap: cap("final_logit_softcapping", config.logit_softcap)?,
        embed_scale: Some((config.hidden as f64).sqrt()),
        query_scale: config.query_scale.or(of_27b),
        ..config
    })
}
