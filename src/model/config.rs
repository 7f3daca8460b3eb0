//! The shape of a decoder: what differs between families is data here, not code elsewhere.
//!
//! The same type comes from a GGUF header and from a Hugging Face `config.json`. The fields that
//! the Llama family does not use (query and key norms, soft caps, windows, post-norms, embedding
//! scale) are read by the decoder already, so that a further family is a further reader.

use super::error::{ModelError, Result};
use super::tokenizer_files::Fit;
use crate::ops::gated::Activation;
use crate::ops::rope::Frequencies;
use serde_json::Value;
use std::path::Path;

/// Rescaling of rotary frequencies for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    None,
    /// All frequencies divided by the factor.
    Linear {
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high kept, a ramp between.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original_context: f64,
    },
}

/// Everything the decoder needs to know besides the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    pub context: usize,
    pub norm_eps: f64,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    pub activation: Activation,
    /// The language head is the embedding matrix.
    pub tied: bool,
    /// RMS norm on each query and key head.
    pub qk_norm: bool,
    /// Further norms after attention and feed-forward, before the residual sum.
    pub post_norms: bool,
    pub attention_softcap: Option<f32>,
    pub logit_softcap: Option<f32>,
    /// Sliding window by layer; empty: full attention everywhere.
    pub windows: Vec<Option<usize>>,
    /// Factor on embeddings.
    pub embed_scale: Option<f64>,
    /// Factor on q.k if not 1/sqrt(head_dim).
    pub query_scale: Option<f32>,
}

impl Config {
    /// Rotary frequencies of one head, `head_dim / 2`, radians a position.
    pub fn frequencies(&self) -> Frequencies {
        let h = self.head_dim;
        let base = (0..h / 2).map(|i| self.rope_theta.powf(-2.0 * i as f64 / h as f64));
        Frequencies(match &self.rope_scaling {
            RopeScaling::None => base.collect(),
            RopeScaling::Linear { factor } => base.map(|f| f / factor).collect(),
            RopeScaling::Llama3 {
                factor,
                low,
                high,
                original_context,
            } => base
                .map(|f| {
                    let turns = original_context * f / std::f64::consts::TAU;
                    let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    keep * f + (1.0 - keep) * f / factor
                })
                .collect(),
        })
    }

    /// What a tokenizer must fit.
    pub(super) fn fit(&self) -> Fit {
        Fit {
            context: self.context,
            vocab: self.vocab,
        }
    }

    /// Window of a layer.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// Refuses sizes that no decoder can have.
    pub fn checked(self, path: &Path) -> Result<Self> {
        let bad = |key: &str, why: String| ModelError::Key {
            path: path.into(),
            key: key.into(),
            why,
        };
        let sizes = [
            ("layers", self.layers),
            ("hidden size", self.hidden),
            ("vocabulary size", self.vocab),
            ("attention heads", self.heads),
            ("key-value heads", self.kv_heads),
            ("feed-forward size", self.intermediate),
        ];
        for (name, n) in sizes {
            if n == 0 {
                return Err(bad(name, "is zero".into()));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let why = format!("{} is no multiple of {}", self.heads, self.kv_heads);
            return Err(bad("attention heads", why));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(bad("head size", format!("is {}, not even", self.head_dim)));
        }
        Ok(self)
    }

    /// From a parsed Hugging Face `config.json` at `path`.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let arch = json
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or("(none)");
        if arch != "llama" && arch != "mistral" {
            return Err(ModelError::Architecture {
                path: path.into(),
                name: arch.into(),
            });
        }
        let bad = |key: &str, why: &str| ModelError::Key {
            path: path.into(),
            key: key.into(),
            why: why.into(),
        };
        let count = |key: &str| {
            json.get(key)
                .and_then(Value::as_u64)
                .map(|v| v as usize)
                .ok_or_else(|| bad(key, "is missing or not a whole number"))
        };
        let float = |key: &str| json.get(key).and_then(Value::as_f64);
        let flag = |key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
        if json.get("sliding_window").is_some_and(|v| !v.is_null()) {
            return Err(bad("sliding_window", "is set, which is not supported yet"));
        }
        if flag("attention_bias") || flag("mlp_bias") {
            return Err(bad("attention_bias", "is set, which is not supported yet"));
        }
        let activation = json.get("hidden_act").and_then(Value::as_str);
        if !matches!(activation, None | Some("silu")) {
            return Err(bad("hidden_act", "is not silu"));
        }
        let heads = count("num_attention_heads")?;
        let hidden = count("hidden_size")?;
        // transformers 5 moved rope_theta into rope_parameters.
        let rope = json
            .get("rope_parameters")
            .or_else(|| json.get("rope_scaling"))
            .filter(|v| !v.is_null());
        let theta = float("rope_theta")
            .or_else(|| {
                rope.and_then(|r| r.get("rope_theta"))
                    .and_then(Value::as_f64)
            })
            .unwrap_or(10_000.0);
        Config {
            vocab: count("vocab_size")?,
            hidden,
            layers: count("num_hidden_layers")?,
            heads,
            kv_heads: count("num_key_value_heads").unwrap_or(heads),
            head_dim: count("head_dim").unwrap_or(hidden / heads.max(1)),
            intermediate: count("intermediate_size")?,
            context: count("max_position_embeddings").unwrap_or(2048),
            norm_eps: float("rms_norm_eps").unwrap_or(1e-6),
            rope_theta: theta,
            rope_scaling: scaling(rope, path)?,
            activation: Activation::Silu,
            tied: flag("tie_word_embeddings"),
            ..Config::llama()
        }
        .checked(path)
    }

    /// The Llama family's choices, sizes zero.
    pub fn llama() -> Self {
        Config {
            vocab: 0,
            hidden: 0,
            layers: 0,
            heads: 0,
            kv_heads: 0,
            head_dim: 0,
            intermediate: 0,
            context: 0,
            norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            activation: Activation::Silu,
            tied: false,
            qk_norm: false,
            post_norms: false,
            attention_softcap: None,
            logit_softcap: None,
            windows: Vec::new(),
            embed_scale: None,
            query_scale: None,
        }
    }
}

fn scaling(rope: Option<&Value>, path: &Path) -> Result<RopeScaling> {
    let Some(rope) = rope else {
        return Ok(RopeScaling::None);
    };
    let kind = rope
        .get("rope_type")
        .or_else(|| rope.get("type"))
        .and_then(Value::as_str)
        .unwrap_or("default");
    let number = |key: &str| {
        rope.get(key)
            .and_then(Value::as_f64)
            .ok_or(ModelError::Key {
                path: path.into(),
                key: format!("rope_scaling.{key}"),
                why: "is missing".into(),
            })
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear {
            factor: number("factor")?,
        }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original_context: number("original_max_position_embeddings")?,
        }),
        other => Err(ModelError::Key {
            path: path.into(),
            key: "rope_scaling.rope_type".into(),
            why: format!("is `{other}`; default, linear and llama3 are supported"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn smol() -> Value {
        json!({"model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "intermediate_size": 1536, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "rope_theta": 100000.0, "tie_word_embeddings": true})
    }

    #[test]
    fn rope_theta_is_read_from_either_place() {
        let mut moved = smol();
        moved.as_object_mut().unwrap().remove("rope_theta");
        moved["rope_parameters"] = json!({"rope_theta": 100000.0, "rope_type": "default"});
        let (a, b) = (
            Config::from_json(&smol(), Path::new("c")).unwrap(),
            Config::from_json(&moved, Path::new("c")).unwrap(),
        );
        assert_eq!(a, b);
        assert_eq!(a.head_dim, 64);
    }

    #[test]
    fn llama3_scaling_keeps_high_and_divides_low_frequencies() {
        let mut c = Config::from_json(&smol(), Path::new("c")).unwrap();
        let plain = c.frequencies().0;
        c.rope_scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low: 1.0,
            high: 4.0,
            original_context: 8192.0,
        };
        let scaled = c.frequencies().0;
        assert_eq!(plain[0], scaled[0]);
        let last = plain.len() - 1;
        assert!((plain[last] / scaled[last] - 8.0).abs() < 1e-9);
        assert!(plain.iter().zip(&scaled).all(|(p, s)| s <= p));
    }

    #[test]
    fn an_unknown_family_and_a_missing_key_are_named() {
        let mut other = smol();
        other["model_type"] = json!("mamba");
        let e = Config::from_json(&other, Path::new("c.json")).unwrap_err();
        assert!(e.to_string().contains("mamba"));
        let mut cut = smol();
        cut.as_object_mut().unwrap().remove("hidden_size");
        let e = Config::from_json(&cut, Path::new("c.json")).unwrap_err();
        assert!(e.to_string().contains("hidden_size"));
    }
}
