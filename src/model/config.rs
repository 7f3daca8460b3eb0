//! The shape of a decoder: what differs between families is data here, not code elsewhere.
//!
//! The same type comes from a GGUF header and from a Hugging Face `config.json`, by the readers of
//! [`super::families`]. What is said of files, not of models, ends at the loader, but for the order of
//! rows that a GGUF file may have.

use super::error::{ModelError, Result};
use super::rope::{Rope, Ropes};
use super::tokenizer::Fit;
use crate::ops::gated::Activation;
use std::path::Path;

/// Positions of a context at most; they are counted in 32 bits.
const MOST_POSITIONS: usize = 1 << 31;
/// Blocks of a decoder at most.
pub(super) const MOST_LAYERS: usize = 1 << 16;

/// Which linear maps have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Biases {
    /// Those whose bias is in the file.
    #[default]
    AsFound,
    /// By groups of maps.
    Declared {
        /// Queries, keys and values.
        qkv: bool,
        /// The output of attention.
        output: bool,
        /// All three maps of the feed-forward.
        mlp: bool,
    },
}

impl Biases {
    /// No map has a bias.
    pub const NONE: Biases = Biases::Declared { qkv: false, output: false, mlp: false };

    /// All of attention, all of the feed-forward, or none.
    pub fn declared(attention: bool, mlp: bool) -> Self {
        Biases::Declared { qkv: attention, output: attention, mlp }
    }

    /// Whether the map `linear` of a block has one, where that is declared.
    pub(super) fn of(self, linear: usize) -> Option<bool> {
        match self {
            Biases::AsFound => None,
            Biases::Declared { qkv, output, mlp } => Some(match linear {
                0..3 => qkv,
                3 => output,
                _ => mlp,
            }),
        }
    }
}

/// Where the RMS norms of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Norms {
    /// Before attention and before the feed-forward.
    #[default]
    Before,
    /// Before each, and on what each adds to the stream (Gemma).
    Around,
    /// Only on what each adds to the stream (OLMo 2).
    After,
}

/// RMS norms of queries and keys, before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QkNorm {
    /// There are none.
    #[default]
    None,
    /// On each head.
    Heads,
    /// On all heads at once.
    Whole,
}

/// Name and width of a norm, if there is one.
pub(super) type Named = Option<(&'static str, usize)>;

/// The norms of a block, by their Hugging Face names.
pub(super) struct BlockNorms {
    /// Before attention and before the feed-forward.
    pub before: [Named; 2],
    /// After them.
    pub after: [Named; 2],
    /// Of queries and of keys.
    pub qk: [Named; 2],
}

impl BlockNorms {
    /// Those that there are.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [self.before, self.after, self.qk].into_iter().flatten().flatten()
    }
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
    /// The rotary embedding.
    pub rope: Rope,
    /// That of layers with a window, where it is another.
    pub local_rope: Option<Rope>,
    /// Layers whose queries and keys are not rotated.
    pub unrotated: Vec<usize>,
    /// Non-linearity of the feed-forward.
    pub activation: Activation,
    /// The language head is the embedding matrix.
    pub tied: bool,
    /// Which maps have biases.
    pub biases: Biases,
    /// Where a block's norms stand.
    pub norms: Norms,
    /// Norms of queries and keys.
    pub qk_norm: QkNorm,
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
    /// Factor on what attention and feed-forward add to the stream (Granite).
    pub residual_scale: Option<f64>,
    /// Factor on logits (Granite).
    pub logit_scale: Option<f64>,
    /// Files hold q, k, v as one map, and gate and up as another.
    pub fused: bool,
    /// GGUF files of the family hold the rows of q and k as interleaved pairs.
    pub interleaved: bool,
}

impl Config {
    /// What a tokenizer must fit.
    pub(super) fn fit(&self) -> Fit {
        Fit { context: self.context, vocab: self.vocab }
    }

    /// Window of a layer.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// The rotary embeddings of its layers.
    pub(crate) fn ropes(&self) -> Ropes {
        let kinds: Vec<&Rope> = [&self.rope].into_iter().chain(&self.local_rope).collect();
        let local = |layer| self.local_rope.is_some() && self.window(layer).is_some();
        let kind = |layer| (!self.unrotated.contains(&layer)).then(|| usize::from(local(layer)));
        Ropes::new(&kinds, self.head_dim, (0..self.layers).map(kind).collect())
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
        for (name, n, most) in [
            ("max_position_embeddings", self.context, MOST_POSITIONS),
            ("num_hidden_layers", self.layers, MOST_LAYERS),
        ] {
            if n > most {
                return Err(bad(name, format!("is {n}, beyond {most}")));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let why = format!("{} is no multiple of {}", self.heads, self.kv_heads);
            return Err(bad("num_attention_heads", why));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(bad("head_dim", format!("is {}, not even", self.head_dim)));
        }
        for rope in [Some(&self.rope), self.local_rope.as_ref()].into_iter().flatten() {
            if let Some((key, why)) = rope.misfit(self.head_dim) {
                return Err(bad(key, why));
            }
        }
        if let Some(layer) = self.windows.iter().position(|w| *w == Some(0)) {
            return Err(bad("sliding_window", format!("is zero for layer {layer}")));
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

    /// The norms of a block.
    pub(super) fn block_norms(&self) -> BlockNorms {
        let d = |name| Some((name, self.hidden));
        let (first, second) = (d("post_attention_layernorm"), d("post_feedforward_layernorm"));
        let (before, after) = match self.norms {
            Norms::Before => ([d("input_layernorm"), first], [None; 2]),
            Norms::Around => {
                ([d("input_layernorm"), d("pre_feedforward_layernorm")], [first, second])
            }
            Norms::After => ([None; 2], [first, second]),
        };
        let h = self.head_dim;
        let widths = match self.qk_norm {
            QkNorm::None => None,
            QkNorm::Heads => Some([h, h]),
            QkNorm::Whole => Some([self.heads, self.kv_heads].map(|n| n.saturating_mul(h))),
        };
        let qk = |i: usize, name| widths.map(|w| (name, w[i]));
        BlockNorms { before, after, qk: [qk(0, "self_attn.q_norm"), qk(1, "self_attn.k_norm")] }
    }

    /// Every number with the least and the greatest that it can be.
    fn numbers(&self) -> Vec<(&'static str, f64, f64, f64)> {
        let mut all = vec![("rms_norm_eps", self.norm_eps, 0.0, 0.1)];
        all.extend(self.rope.numbers());
        all.extend(self.local_rope.iter().flat_map(Rope::numbers));
        let scales = [
            ("attn_logit_softcapping", self.attention_softcap.map(f64::from)),
            ("final_logit_softcapping", self.logit_softcap.map(f64::from)),
            ("embedding_multiplier", self.embed_scale),
            ("query_pre_attn_scalar", self.query_scale.map(f64::from)),
            ("residual_multiplier", self.residual_scale),
            ("logits_scaling", self.logit_scale),
        ];
        all.extend(scales.into_iter().filter_map(|(k, v)| Some((k, v?, 1e-12, 1e12))));
        all
    }

    /// The Llama family's choices, sizes zero.
    pub fn llama() -> Self {
        Config { norm_eps: 1e-5, interleaved: true, ..Config::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_layer_has_the_rotation_of_its_kind_or_none() {
        let c = Config {
            layers: 4,
            head_dim: 8,
            windows: vec![Some(4), Some(4), None, None],
            local_rope: Some(Rope::plain(50.0)),
            unrotated: vec![1, 3],
            ..Config::llama()
        };
        let (ropes, one) =
            (Arc::new(c.ropes()), Arc::new(Config { unrotated: vec![], ..c }.ropes()));
        let (at, all) = (ropes.at(&[0, 1]), one.at(&[0, 1]));
        assert!(at.of(1).is_none() && at.of(3).is_none());
        assert!(Arc::ptr_eq(all.of(0).unwrap(), all.of(1).unwrap()));
        assert!(Arc::ptr_eq(all.of(2).unwrap(), all.of(3).unwrap()));
        assert!(!Arc::ptr_eq(at.of(0).unwrap(), at.of(2).unwrap()));
    }
}
