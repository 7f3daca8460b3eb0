//! The shape of a decoder: what differs between families is data here, not code elsewhere.
//!
//! The same type comes from a GGUF header and from a Hugging Face `config.json`. The fields that
//! the Llama family does not use (query and key norms, soft caps, windows, post-norms, embedding
//! scale) are read by the decoder already, so that a further family is a further reader.

use super::error::{ModelError, Result};
use super::tokenizer::Fit;
use crate::ops::gated::Activation;
use crate::ops::rope::Frequencies;
use serde_json::Value;
use std::path::Path;

/// Positions of a context at most; they are counted in 32 bits.
const MOST_POSITIONS: usize = 1 << 31;

/// Rescaling of rotary frequencies for long contexts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RopeScaling {
    /// As trained.
    #[default]
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// Positions are read as position / factor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided, high kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths beyond original_context / low are divided.
        low: f64,
        /// Wavelengths below original_context / high are kept.
        high: f64,
        /// Positions of the context before it was stretched.
        original_context: f64,
    },
}

/// Which linear maps have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Biases {
    /// Those whose bias is in the file.
    #[default]
    AsFound,
    /// All of attention, all of the feed-forward, or none.
    Declared {
        /// All four maps of attention.
        attention: bool,
        /// All three maps of the feed-forward.
        mlp: bool,
    },
}

impl Biases {
    /// No map has a bias.
    pub const NONE: Biases = Biases::Declared { attention: false, mlp: false };
}

/// Everything the decoder needs to know besides the weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Tokens V.
    pub vocab: usize,
    /// Width D of the residual stream.
    pub hidden: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves heads / kv_heads query heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the feed-forward.
    pub intermediate: usize,
    /// Positions of a text at most.
    pub context: usize,
    /// Added to the mean square in RMS norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Their rescaling.
    pub rope_scaling: RopeScaling,
    /// Non-linearity of the feed-forward.
    pub activation: Activation,
    /// The language head is the embedding matrix.
    pub tied: bool,
    /// Which maps have biases.
    pub biases: Biases,
    /// RMS norm on each query and key head.
    pub qk_norm: bool,
    /// Further norms after attention and feed-forward, before the residual sum.
    pub post_norms: bool,
    /// `c tanh(s / c)` on attention scores (Gemma 2).
    pub attention_softcap: Option<f32>,
    /// `c tanh(z / c)` on logits.
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
            RopeScaling::Llama3 { factor, low, high, original_context } => base
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
        Fit { context: self.context, vocab: self.vocab }
    }

    /// Window of a layer.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// Refuses what no decoder can compute with: sizes of zero, a norm epsilon, rotary base or
    /// factor that makes every number NaN. `spelled` gives the file's own name of a Hugging Face key.
    pub fn checked(self, path: &Path, spelled: impl Fn(&str) -> String) -> Result<Self> {
        let bad = |key: &str, why: String| ModelError::key(path, spelled(key), why);
        let sizes = [
            ("num_hidden_layers", self.layers),
            ("hidden_size", self.hidden),
            ("vocab_size", self.vocab),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("intermediate_size", self.intermediate),
            ("max_position_embeddings", self.context),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, n)| *n == 0) {
            return Err(bad(name, "is zero".into()));
        }
        if self.context > MOST_POSITIONS {
            let why = format!("is {}, beyond {MOST_POSITIONS}", self.context);
            return Err(bad("max_position_embeddings", why));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let why = format!("{} is no multiple of {}", self.heads, self.kv_heads);
            return Err(bad("num_attention_heads", why));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(bad("head_dim", format!("is {}, not even", self.head_dim)));
        }
        if let Some((key, v, low, high)) =
            self.numbers().into_iter().find(|(_, v, low, high)| !(*low..=*high).contains(v))
        {
            let why = format!("is {v}, with which nothing can be computed; {low} to {high} can be");
            return Err(bad(key, why));
        }
        Ok(self)
    }

    /// (O, I) of the linear maps of a block; none beyond any memory.
    pub(super) fn maps(&self) -> Option<[(usize, usize); 7]> {
        let (d, f) = (self.hidden, self.intermediate);
        let qw = self.heads.checked_mul(self.head_dim)?;
        let kw = self.kv_heads.checked_mul(self.head_dim)?;
        Some([(qw, d), (kw, d), (kw, d), (d, qw), (f, d), (f, d), (d, f)])
    }

    /// Every number with the least and the greatest that it can be.
    fn numbers(&self) -> Vec<(&'static str, f64, f64, f64)> {
        let mut all = vec![
            ("rms_norm_eps", self.norm_eps, 0.0, 0.1),
            ("rope_theta", self.rope_theta, 1.0, 1e15),
        ];
        match &self.rope_scaling {
            RopeScaling::None => (),
            RopeScaling::Linear { factor } => all.push(("rope_scaling.factor", *factor, 1e-3, 1e6)),
            RopeScaling::Llama3 { factor, low, high, original_context } => all.extend([
                ("rope_scaling.factor", *factor, 1e-3, 1e6),
                ("rope_scaling.low_freq_factor", *low, 1e-3, 1e6),
                // Above the low one, or the ramp between the two divides by zero.
                ("rope_scaling.high_freq_factor", *high, low * (1.0 + 1e-6), 1e6),
                ("rope_scaling.original_max_position_embeddings", *original_context, 1.0, 1e12),
            ]),
        }
        let scales = [
            ("attn_logit_softcapping", self.attention_softcap.map(f64::from)),
            ("final_logit_softcapping", self.logit_softcap.map(f64::from)),
            ("embedding_multiplier", self.embed_scale),
            ("query_pre_attn_scalar", self.query_scale.map(f64::from)),
        ];
        all.extend(scales.into_iter().filter_map(|(k, v)| Some((k, v?, 1e-12, 1e12))));
        all
    }

    /// From a parsed Hugging Face `config.json` at `path`.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let arch = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        if arch != "llama" && arch != "mistral" {
            return Err(ModelError::Architecture { path: path.into(), name: arch.into() });
        }
        let bad = |key: &str, why: &str| ModelError::key(path, key, why);
        // Absent or null, and the default holds; of another kind, and nobody knows what was meant.
        let given = |key: &str| json.get(key).filter(|v| !v.is_null());
        let whole = |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok());
        let size = |key: &str, default: usize| {
            let given = given(key).map_or(Some(default), whole);
            given.ok_or_else(|| bad(key, "is not a whole number"))
        };
        let count = |key: &str| match given(key) {
            None => Err(bad(key, "is missing")),
            Some(_) => size(key, 0),
        };
        let flag = |key: &str| {
            let given = given(key).map_or(Some(false), Value::as_bool);
            given.ok_or_else(|| bad(key, "is neither true nor false"))
        };
        for key in ["sliding_window", "quantization_config", "layer_types"] {
            let full =
                |v: &Value| v.as_array().is_some_and(|a| a.iter().all(|t| t == "full_attention"));
            if given(key).is_some_and(|v| !full(v)) {
                return Err(bad(key, "is set, which is not supported yet"));
            }
        }
        let biases =
            Biases::Declared { attention: flag("attention_bias")?, mlp: flag("mlp_bias")? };
        if arch == "mistral" && biases != Biases::NONE {
            let why = "or `mlp_bias` is set, which Mistral models do not have";
            return Err(bad("attention_bias", why));
        }
        let activation = json.get("hidden_act").and_then(Value::as_str);
        if !matches!(activation, None | Some("silu")) {
            return Err(bad("hidden_act", "is not silu"));
        }
        let heads = count("num_attention_heads")?;
        let hidden = count("hidden_size")?;
        // transformers 5 moved rope_theta into rope_parameters.
        let rope = given("rope_parameters").or_else(|| given("rope_scaling"));
        let inner = |key: &str| rope.and_then(|r| r.get(key)).filter(|v| !v.is_null());
        for v in [given("partial_rotary_factor"), inner("partial_rotary_factor")] {
            if v.is_some_and(|v| v.as_f64() != Some(1.0)) {
                return Err(bad("partial_rotary_factor", "is not 1, which is not supported"));
            }
        }
        let number = |key: &str, v: Option<&Value>| {
            v.map(|v| v.as_f64().ok_or_else(|| bad(key, "is not a number"))).transpose()
        };
        let theta = number("rope_theta", given("rope_theta"))?;
        let moved = number("rope_parameters.rope_theta", inner("rope_theta"))?;
        if theta.zip(moved).is_some_and(|(a, b)| a != b) {
            return Err(bad("rope_theta", "differs from the one in `rope_parameters`"));
        }
        Config {
            vocab: count("vocab_size")?,
            hidden,
            layers: count("num_hidden_layers")?,
            heads,
            kv_heads: size("num_key_value_heads", heads)?,
            head_dim: size("head_dim", hidden / heads.max(1))?,
            intermediate: count("intermediate_size")?,
            context: size("max_position_embeddings", 2048)?,
            norm_eps: number("rms_norm_eps", given("rms_norm_eps"))?.unwrap_or(1e-6),
            rope_theta: theta.or(moved).unwrap_or(10_000.0),
            rope_scaling: scaling(rope, path)?,
            activation: Activation::Silu,
            tied: flag("tie_word_embeddings")?,
            biases,
            ..Config::llama()
        }
        .checked(path, str::to_string)
    }

    /// The Llama family's choices, sizes zero.
    pub fn llama() -> Self {
        Config { norm_eps: 1e-5, rope_theta: 10_000.0, ..Config::default() }
    }
}

fn scaling(rope: Option<&Value>, path: &Path) -> Result<RopeScaling> {
    let Some(rope) = rope else {
        return Ok(RopeScaling::None);
    };
    let bad = |key: &str, why: &str| ModelError::key(path, format!("rope_scaling.{key}"), why);
    let kind = match rope.get("rope_type").or_else(|| rope.get("type")) {
        None | Some(Value::Null) => "default",
        Some(v) => v.as_str().ok_or_else(|| bad("rope_type", "is not a text"))?,
    };
    let number = |key: &str| {
        rope.get(key).and_then(Value::as_f64).ok_or_else(|| bad(key, "is missing or not a number"))
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original_context: number("original_max_position_embeddings")?,
        }),
        other => {
            let why = format!("is `{other}`; default, linear and llama3 are supported");
            Err(bad("rope_type", &why))
        }
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
        c.rope_scaling =
            RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 8192.0 };
        let scaled = c.frequencies().0;
        assert_eq!(plain[0], scaled[0]);
        let last = plain.len() - 1;
        assert!((plain[last] / scaled[last] - 8.0).abs() < 1e-9);
        assert!(plain.iter().zip(&scaled).all(|(p, s)| s <= p));
    }

    #[test]
    fn a_number_that_makes_every_result_nan_is_refused_by_its_key() {
        let linear = |factor: Value| json!({"rope_type": "linear", "factor": factor});
        let llama3 = |low: f64, high: f64, old: f64| {
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": low,
                "high_freq_factor": high, "original_max_position_embeddings": old})
        };
        for (key, value, named) in [
            ("rms_norm_eps", json!(-1e-5), "rms_norm_eps"),
            ("rms_norm_eps", json!(1e30), "rms_norm_eps"),
            ("rms_norm_eps", json!("1e-5"), "rms_norm_eps"),
            ("rope_theta", json!(0.0), "rope_theta"),
            ("rope_theta", json!(-10000.0), "rope_theta"),
            ("rope_theta", json!(1e300), "rope_theta"),
            ("rope_scaling", linear(json!(0.0)), "rope_scaling.factor"),
            ("rope_scaling", linear(json!(-2.0)), "rope_scaling.factor"),
            ("rope_scaling", linear(json!("2")), "rope_scaling.factor"),
            ("rope_scaling", llama3(4.0, 4.0, 8192.0), "high_freq_factor"),
            ("rope_scaling", llama3(4.0, 1.0, 8192.0), "high_freq_factor"),
            ("rope_scaling", llama3(1.0, 4.0, 0.0), "original_max_position_embeddings"),
            ("num_key_value_heads", json!("3"), "num_key_value_heads"),
            ("max_position_embeddings", json!(0), "max_position_embeddings"),
            ("max_position_embeddings", json!(u64::MAX), "max_position_embeddings"),
            ("head_dim", json!(63), "head_dim"),
            ("tie_word_embeddings", json!("yes"), "tie_word_embeddings"),
            ("partial_rotary_factor", json!(0.5), "partial_rotary_factor"),
            ("quantization_config", json!({"quant_method": "fp8"}), "quantization_config"),
        ] {
            let mut wrong = smol();
            wrong[key] = value.clone();
            match Config::from_json(&wrong, Path::new("c.json")) {
                Err(e) => assert!(e.to_string().contains(named), "{e}"),
                Ok(_) => panic!("{key} = {value} is taken"),
            }
        }
        for (eps, theta) in [(f64::NAN, 1e4), (1e-5, f64::NAN), (1e-5, f64::INFINITY)] {
            let mut c = Config::from_json(&smol(), Path::new("c")).unwrap();
            (c.norm_eps, c.rope_theta) = (eps, theta);
            assert!(c.checked(Path::new("c"), str::to_string).is_err());
        }
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
