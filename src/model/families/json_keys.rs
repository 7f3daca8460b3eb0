//! The keys of a Hugging Face `config.json`, read with errors that name file and key.
//!
//! Absent or null, and the family's default holds; of another kind, and nobody knows what was meant.

use super::super::config::{Biases, Config, MOST_LAYERS};
use super::super::error::{ModelError, Result};
use super::super::rope::{Rope, RopeScaling};
use crate::ops::gated::Activation;
use serde_json::Value;
use std::path::Path;

/// A parsed `config.json`, or the part of one that is about the language model.
pub(crate) struct JsonKeys<'a> {
    pub json: &'a Value,
    pub path: &'a Path,
}

impl JsonKeys<'_> {
    pub fn bad(&self, key: &str, why: &str) -> ModelError {
        ModelError::key(self.path, key, why)
    }

    pub fn given(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|v| !v.is_null())
    }

    /// A count; a default of 0 is none, and the key must be there.
    pub fn size(&self, key: &str, default: usize) -> Result<usize> {
        let whole = |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok());
        match self.given(key).map(whole) {
            Some(Some(n)) => Ok(n),
            Some(None) => Err(self.bad(key, "is not a whole number")),
            None if default == 0 => Err(self.bad(key, "is missing")),
            None => Ok(default),
        }
    }

    /// A count that may be absent.
    pub fn size_if_given(&self, key: &str) -> Result<Option<usize>> {
        self.given(key).map(|_| self.size(key, 0)).transpose()
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        let given = self.given(key).map_or(Some(default), Value::as_bool);
        given.ok_or_else(|| self.bad(key, "is neither true nor false"))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.number_of(key, self.given(key))
    }

    fn number_of(&self, key: &str, v: Option<&Value>) -> Result<Option<f64>> {
        v.map(|v| v.as_f64().ok_or_else(|| self.bad(key, "is not a number"))).transpose()
    }

    /// A factor; none where it is 1.
    pub fn factor(&self, key: &str) -> Result<Option<f64>> {
        Ok(self.number(key)?.filter(|f| *f != 1.0))
    }

    /// `attention_bias` and `mlp_bias`.
    pub fn biases(&self) -> Result<Biases> {
        Ok(Biases::declared(self.flag("attention_bias", false)?, self.flag("mlp_bias", false)?))
    }

    /// Refuses a flag that changes what is computed in a way that the decoder does not know.
    pub fn refuse_flag(&self, key: &str) -> Result<()> {
        match self.flag(key, false)? {
            true => Err(self.bad(key, "is set, which is not supported")),
            false => Ok(()),
        }
    }

    /// What families have under the same keys, of a model that rotates whole heads. `defaults` holds
    /// what transformers takes for a key that is absent; 0 where it must be there.
    pub fn base(&self, defaults: Config) -> Result<Config> {
        if self.partial()?.is_some_and(|f| f != 1.0) {
            return Err(self.bad("partial_rotary_factor", "is not 1, which is not supported"));
        }
        self.sizes(defaults)
    }

    /// As [`JsonKeys::base`], of any part of heads.
    pub fn sizes(&self, defaults: Config) -> Result<Config> {
        if self.given("quantization_config").is_some() {
            return Err(self.bad("quantization_config", "is set, which is not supported yet"));
        }
        let (key, known) = match defaults.activation {
            Activation::Silu => ("hidden_act", "silu"),
            Activation::Gelu => ("hidden_activation", "gelu_pytorch_tanh"),
        };
        if self.given(key).is_some_and(|a| a != known) {
            return Err(self.bad(key, &format!("is not {known}")));
        }
        let heads = self.size("num_attention_heads", defaults.heads)?;
        let hidden = self.size("hidden_size", defaults.hidden)?;
        let or = |default: usize, other: usize| if default > 0 { default } else { other };
        // Zero heads or sizes are refused when the whole is checked.
        let optional =
            |key: &str, n: usize| -> Result<usize> { Ok(self.size_if_given(key)?.unwrap_or(n)) };
        let head_dim = optional("head_dim", or(defaults.head_dim, hidden / heads.max(1)))?;
        let context = self.size("max_position_embeddings", or(defaults.context, 2048))?;
        let rope = self.rope("full_attention", defaults.rope.theta, head_dim, context)?;
        let trained = match &rope.scaling {
            // The factors beyond the original context would change every position of a text.
            RopeScaling::Each { .. } => {
                self.original(self.rope_table("full_attention"), context)?
            }
            _ => context as f64,
        };
        Ok(Config {
            vocab: self.size("vocab_size", defaults.vocab)?,
            hidden,
            layers: self.size("num_hidden_layers", defaults.layers)?,
            heads,
            kv_heads: optional("num_key_value_heads", or(defaults.kv_heads, heads))?,
            head_dim,
            intermediate: self.size("intermediate_size", defaults.intermediate)?,
            context: context.min(trained as usize),
            norm_eps: self.number("rms_norm_eps")?.unwrap_or(defaults.norm_eps),
            rope,
            tied: self.flag("tie_word_embeddings", defaults.tied)?,
            ..defaults
        })
    }

    /// Windows by layer: those of `layer_types`, or of layers that `sliding` says where it is absent.
    pub fn windows(
        &self,
        layers: usize,
        window: Option<usize>,
        sliding: impl Fn(usize) -> bool,
    ) -> Result<Vec<Option<usize>>> {
        if layers > MOST_LAYERS {
            return Err(self.bad("num_hidden_layers", &format!("is beyond {MOST_LAYERS}")));
        }
        let kinds: Vec<bool> = match self.given("layer_types") {
            None => (0..layers).map(sliding).collect(),
            Some(list) => {
                let kind = |v: &Value| match v.as_str() {
                    Some("sliding_attention") => Ok(true),
                    Some("full_attention") => Ok(false),
                    _ => Err(self.bad(
                        "layer_types",
                        &format!("holds {v}; sliding_attention and full_attention are supported"),
                    )),
                };
                let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
                if list.len() != layers {
                    let why = format!("lists {} layers of {layers}", list.len());
                    return Err(self.bad("layer_types", &why));
                }
                list.iter().map(kind).collect::<Result<_>>()?
            }
        };
        match window {
            _ if !kinds.contains(&true) => Ok(Vec::new()),
            None => Err(self.bad("sliding_window", "is missing, and layers have a window")),
            Some(w) => Ok(kinds.into_iter().map(|is| is.then_some(w)).collect()),
        }
    }

    /// `rope_parameters`, to which transformers 5 moved the rest, or `rope_scaling`.
    fn table(&self) -> Option<&Value> {
        self.given("rope_parameters").or_else(|| self.given("rope_scaling"))
    }

    /// Refuses two tables that say different things: transformers reads `rope_scaling` then, without the
    /// base of the other.
    fn one_table(&self) -> Result<()> {
        let keys = ["rope_scaling", "rope_parameters"];
        if let Some(key) = keys.iter().find(|k| self.given(k).is_some_and(|t| !t.is_object())) {
            return Err(self.bad(key, "is not an object"));
        }
        let without_base = |v: &Value| {
            let mut v = v.clone();
            v.as_object_mut().map(|t| t.remove("rope_theta"));
            v
        };
        let both = self.given("rope_scaling").zip(self.given("rope_parameters"));
        match both.is_some_and(|(old, new)| without_base(old) != without_base(new)) {
            false => Ok(()),
            true => Err(self.bad("rope_scaling", "differs from `rope_parameters`; leave one away")),
        }
    }

    /// Whether every kind of layer has its own table of rotary keys.
    pub fn rope_by_kind(&self) -> bool {
        self.table().and_then(|t| t.get("full_attention")).is_some()
    }

    fn rope_table(&self, kind: &str) -> Option<&Value> {
        let table = self.table();
        match self.rope_by_kind() {
            true => table?.get(kind).filter(|v| !v.is_null()),
            false => table,
        }
    }

    /// Part of a head that is rotated.
    pub fn partial(&self) -> Result<Option<f64>> {
        let key = "partial_rotary_factor";
        let inner = self.rope_table("full_attention").and_then(|t| t.get(key));
        self.number_of(key, inner.filter(|v| !v.is_null()).or_else(|| self.given(key)))
    }

    /// Positions before the context was stretched.
    fn original(&self, table: Option<&Value>, context: usize) -> Result<f64> {
        const KEY: &str = "original_max_position_embeddings";
        let inner = table.and_then(|t| t.get(KEY)).filter(|v| !v.is_null());
        let n = self.number_of(KEY, self.given(KEY).or(inner))?.unwrap_or(context as f64);
        match n >= 1.0 {
            true => Ok(n),
            false => Err(self.bad(KEY, "is below 1")),
        }
    }

    /// The rotary embedding of a kind of layer, in heads of `head_dim`.
    pub fn rope(&self, kind: &str, theta: f64, head_dim: usize, context: usize) -> Result<Rope> {
        let table = self.rope_table(kind);
        let inner = |key: &str| table.and_then(|t| t.get(key)).filter(|v| !v.is_null());
        self.one_table()?;
        let outer = self.number("rope_theta")?;
        let moved = self.number_of("rope_parameters.rope_theta", inner("rope_theta"))?;
        if !self.rope_by_kind() && outer.zip(moved).is_some_and(|(a, b)| a != b) {
            let why = "differs from the one in `rope_parameters`";
            return Err(self.bad("rope_theta", why));
        }
        if self.rope_by_kind() && outer.is_some() && moved.is_none() {
            let key = format!("rope_parameters.{kind}.rope_theta");
            return Err(self.bad(&key, "is missing, and `rope_theta` is of no kind of layer"));
        }
        let part = self.partial()?.filter(|f| *f != 1.0);
        Ok(Rope {
            theta: moved.or(outer).unwrap_or(theta),
            scaling: self.scaling(table, context)?,
            width: part.map(|f| (f * head_dim as f64) as usize),
        })
    }

    fn scaling(&self, table: Option<&Value>, context: usize) -> Result<RopeScaling> {
        let Some(table) = table else {
            return Ok(RopeScaling::None);
        };
        let bad = |key: &str, why: &str| self.bad(&format!("rope_scaling.{key}"), why);
        let given = |key: &str| table.get(key).filter(|v| !v.is_null());
        let kind = match given("rope_type").or_else(|| given("type")) {
            None => "default",
            Some(v) => v.as_str().ok_or_else(|| bad("rope_type", "is not a text"))?,
        };
        // Phi-3 gives LongRoPE's factors under either name.
        let of_phi = self.json.get("model_type").and_then(Value::as_str) == Some("phi3");
        let kind = if of_phi && kind == "yarn" { "longrope" } else { kind };
        let optional = |key: &str| self.number_of(&format!("rope_scaling.{key}"), given(key));
        let number = |key: &str| {
            let found = given(key).and_then(Value::as_f64);
            found.ok_or_else(|| bad(key, "is missing or not a number"))
        };
        Ok(match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: number("factor")? },
            "llama3" => RopeScaling::Llama3 {
                factor: number("factor")?,
                low: number("low_freq_factor")?,
                high: number("high_freq_factor")?,
                original_context: number("original_max_position_embeddings")?,
            },
            "yarn" => {
                if ["mscale", "mscale_all_dim"].into_iter().any(|key| given(key).is_some()) {
                    return Err(bad("mscale", "is set, which is not supported"));
                }
                if given("truncate").is_some_and(|v| v != true) {
                    return Err(bad("truncate", "is not true, which is not supported"));
                }
                let original_context = self.original(Some(table), context)?;
                let stretched = context as f64 / original_context;
                let factor = optional("factor")?.unwrap_or(stretched);
                RopeScaling::Yarn {
                    factor,
                    fast: optional("beta_fast")?.unwrap_or(32.0),
                    slow: optional("beta_slow")?.unwrap_or(1.0),
                    original_context,
                    scale: optional("attention_factor")?
                        .unwrap_or(1.0 + 0.1 * factor.max(1.0).ln()),
                }
            }
            "longrope" | "su" => {
                let list = given("short_factor").and_then(Value::as_array);
                let list = list.map(|l| l.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
                let why = "is missing or no list of numbers";
                let factors = list.flatten().ok_or_else(|| bad("short_factor", why))?;
                let original = self.original(Some(table), context)?;
                let factor = optional("factor")?.unwrap_or(context as f64 / original);
                let grown = (1.0 + factor.max(1.0).ln() / original.ln()).sqrt();
                RopeScaling::Each { factors, scale: optional("attention_factor")?.unwrap_or(grown) }
            }
            other => {
                let why = format!(
                    "is `{other}`; default, linear, llama3, yarn and longrope are supported"
                );
                return Err(bad("rope_type", &why));
            }
        })
    }
}
