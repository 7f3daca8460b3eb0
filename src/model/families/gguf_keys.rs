//! The keys of a GGUF file's metadata that say of the model's shape, below its architecture's name.

use super::super::config::{Config, MOST_LAYERS};
use super::super::error::{ModelError, Result};
use super::super::gguf_meta::Meta;
use super::super::rope::{Rope, RopeScaling};
use candle_core::quantized::gguf_file::Value;

/// Metadata of a file of architecture `arch`.
pub(crate) struct GgufKeys<'a> {
    pub meta: &'a Meta<'a>,
    pub arch: &'a str,
}

/// The GGUF key of a Hugging Face one.
fn spelled(arch: &str, key: &str) -> String {
    let keys = [
        ("num_hidden_layers", "block_count"),
        ("hidden_size", "embedding_length"),
        ("vocab_size", "vocab_size"),
        ("num_attention_heads", "attention.head_count"),
        ("num_key_value_heads", "attention.head_count_kv"),
        ("intermediate_size", "feed_forward_length"),
        ("max_position_embeddings", "context_length"),
        ("head_dim", "attention.key_length"),
        ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        ("rope_theta", "rope.freq_base"),
        ("rope_scaling.factor", "rope.scaling.factor"),
        ("partial_rotary_factor", "rope.dimension_count"),
        ("sliding_window", "attention.sliding_window"),
        ("embedding_multiplier", "embedding_scale"),
        ("residual_multiplier", "residual_scale"),
        ("query_pre_attn_scalar", "attention.scale"),
        ("logits_scaling", "logit_scale"),
    ];
    let found = keys.iter().find(|(hub, _)| *hub == key);
    found.map_or(key.into(), |(_, gguf)| format!("{arch}.{gguf}"))
}

impl GgufKeys<'_> {
    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    pub fn bad(&self, key: &str, why: &str) -> ModelError {
        self.meta.missing(&self.key(key), why)
    }

    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        self.meta.size(&self.key(key))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.meta.number(&self.key(key))
    }

    /// A factor; none where it is 0, which stands for absent, or 1.
    pub fn factor(&self, key: &str) -> Result<Option<f64>> {
        Ok(self.number(key)?.filter(|f| *f != 0.0 && *f != 1.0))
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.meta.need(&self.key(key))
    }

    /// What families have under the same keys, of a model that rotates whole heads and sees the
    /// whole text; `defaults` holds what a family takes for a key that is absent.
    pub fn base(&self, defaults: Config) -> Result<Config> {
        if let Some(n) = self.window()? {
            let why = format!("is {n}; only 0 is supported");
            return Err(self.bad("attention.sliding_window", &why));
        }
        self.windowed(defaults)
    }

    /// As [`GgufKeys::base`], of a model that may have windows.
    pub fn windowed(&self, defaults: Config) -> Result<Config> {
        let config = self.sizes(defaults)?;
        match config.rope.width {
            None => Ok(config),
            Some(n) => {
                let why = format!("is {n}; only {} is supported", config.head_dim);
                Err(self.bad("rope.dimension_count", &why))
            }
        }
    }

    /// As [`GgufKeys::base`], of any model.
    pub fn sizes(&self, defaults: Config) -> Result<Config> {
        let heads = self.need("attention.head_count")?;
        let hidden = self.need("embedding_length")?;
        let vocab = match self.size("vocab_size")? {
            Some(v) => v,
            None => self.meta.texts("tokenizer.ggml.tokens")?.len(),
        };
        let head_dim = self.size("attention.key_length")?.unwrap_or(hidden / heads.max(1));
        self.refuse_unsupported(head_dim)?;
        let context = self.need("context_length")?;
        let rotated = self.size("rope.dimension_count")?.filter(|n| *n != head_dim);
        Ok(Config {
            vocab,
            hidden,
            layers: self.need("block_count")?,
            heads,
            kv_heads: self.size("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            intermediate: self.need("feed_forward_length")?,
            context,
            norm_eps: self.number("attention.layer_norm_rms_epsilon")?.unwrap_or(defaults.norm_eps),
            rope: Rope {
                theta: self.number("rope.freq_base")?.unwrap_or(defaults.rope.theta),
                scaling: self.scaling(context)?,
                width: rotated,
            },
            query_scale: (self.number("attention.scale")?)
                .filter(|s| *s != 0.0)
                .map(|s| s as f32)
                .or(defaults.query_scale),
            ..defaults
        })
    }

    /// The checked shape, with errors that name the file's own keys.
    pub fn checked(&self, config: Config) -> Result<Config> {
        config.checked(self.meta.path, |key| spelled(self.arch, key))
    }

    /// The window, if layers have one.
    pub fn window(&self) -> Result<Option<usize>> {
        Ok(self.size("attention.sliding_window")?.filter(|n| *n > 0))
    }

    /// Windows by layer: as the file says of each, or `sliding` where it does not.
    pub fn windows(
        &self,
        layers: usize,
        window: Option<usize>,
        sliding: impl Fn(usize) -> bool,
    ) -> Result<Vec<Option<usize>>> {
        let Some(window) = window.filter(|_| layers <= MOST_LAYERS) else {
            return Ok(Vec::new());
        };
        const PATTERN: &str = "attention.sliding_window_pattern";
        let kinds: Vec<bool> = match self.meta.map.get(&self.key(PATTERN)) {
            None => (0..layers).map(sliding).collect(),
            Some(Value::Array(list)) if list.len() == layers => {
                let flag = |v: &Value| v.to_bool().map_err(|_| self.bad(PATTERN, "is no flag"));
                list.iter().map(flag).collect::<Result<_>>()?
            }
            Some(other) => {
                let step = super::super::gguf_header::whole(other).filter(|n| *n > 0);
                let why = format!("is {other:?}, neither a step nor a list of {layers} flags");
                let step = step.ok_or_else(|| self.bad(PATTERN, &why))? as usize;
                (0..layers).map(|i| !(i + 1).is_multiple_of(step)).collect()
            }
        };
        Ok(kinds.into_iter().map(|is| is.then_some(window)).collect())
    }

    /// A factor without a type is linear, as in llama.cpp; its key had another name once.
    fn scaling(&self, context: usize) -> Result<RopeScaling> {
        const TYPE: &str = "rope.scaling.type";
        let factor = match self.number("rope.scaling.factor")? {
            None => self.number("rope.scale_linear")?,
            found => found,
        };
        let kind = self.meta.map.get(&self.key(TYPE));
        match (kind, self.meta.text(&self.key(TYPE))) {
            (_, Some("none" | "longrope")) => Ok(RopeScaling::None),
            (None, _) | (_, Some("linear")) => Ok(match factor {
                None => RopeScaling::None,
                Some(factor) => RopeScaling::Linear { factor },
            }),
            (_, Some("yarn")) => {
                let factor = factor.ok_or_else(|| self.bad("rope.scaling.factor", "is missing"))?;
                let original = self.number("rope.scaling.original_context_length")?;
                Ok(RopeScaling::Yarn {
                    factor,
                    fast: self.number("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                    slow: self.number("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                    original_context: original.unwrap_or(context as f64),
                    scale: (self.number("rope.scaling.yarn_attn_factor")?)
                        .unwrap_or(1.0 + 0.1 * factor.max(1.0).ln()),
                })
            }
            (Some(other), _) => {
                let why = format!("is {other:?}; none, linear, yarn and longrope are supported");
                Err(self.bad(TYPE, &why))
            }
        }
    }

    /// Refuses keys that say of another computation than the decoder's.
    fn refuse_unsupported(&self, head_dim: usize) -> Result<()> {
        for (key, plain) in [("attention.value_length", head_dim), ("expert_count", 0)] {
            if let Some(n) = self.size(key)?.filter(|n| *n != plain) {
                return Err(self.bad(key, &format!("is {n}; only {plain} is supported")));
            }
        }
        if let Some(Value::Bool(false)) = self.meta.map.get(&self.key("attention.causal")) {
            return Err(self.bad("attention.causal", "is false, which is not supported"));
        }
        match self.meta.text("general.type") {
            None | Some("model") => Ok(()),
            Some(other) => {
                Err(self.meta.missing("general.type", &format!("is `{other}`, not `model`")))
            }
        }
    }
}
