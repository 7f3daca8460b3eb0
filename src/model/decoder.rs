//! The decoder: one forward pass for plain, captured, steered and trained runs.
//!
//! Pre-norm blocks of rotary grouped-query attention and a gated feed-forward, over packed rows.
//! What is unusual: rows are a forest of shared prefixes, so there is neither padding nor mask;
//! the pass stops at the last layer that anyone asked for; the language head is applied by the
//! caller, to the rows that predict something. A linear map carries its LoRA branch, if any, so a
//! model in training is the same type as a plain one and cloning shares every tensor.

use super::config::{BlockNorms, Config, Named};
use super::error::Result;
use super::hooks::{HookPoint, Hooks, Site};
use super::packed::Packed;
use super::places::Places;
use super::rope::{Ropes, Rotations};
use super::weights::Weights;
use crate::ops::attention::{attention, Heads};
use crate::ops::gated::gated;
use crate::ops::linear;
use crate::ops::loss::Head;
use crate::ops::norm::rms_norm;
use crate::ops::residual::add;
use crate::ops::rope::rope;
use crate::ops::weight::Weight;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// The linear maps of a block, by their Hugging Face names, in the order of the forward pass.
pub const LINEARS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// The module path of a linear map below its layer: `self_attn.q_proj`, `mlp.up_proj`.
pub fn module_path(linear: usize) -> String {
    let room = if linear < 4 { "self_attn" } else { "mlp" };
    format!("{room}.{}", LINEARS[linear])
}

/// A low-rank branch: `a (r, I)`, `b (O, r)`, factor on their product.
#[derive(Debug, Clone)]
pub struct Branch {
    /// `(r, I)`.
    pub a: Tensor,
    /// `(O, r)`.
    pub b: Tensor,
    /// Factor on `b a x`.
    pub scale: f32,
}

/// A frozen linear map `(O, I)` with its branch if it has one.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `(O, I)`.
    pub weight: Weight,
    /// `(O)`.
    pub bias: Option<Tensor>,
    /// Low-rank change beside it, not folded in.
    pub branch: Option<Branch>,
}

impl Linear {
    /// `x (N, I)` -> `(N, O)`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        Ok(match &self.branch {
            None => linear::frozen(x, &self.weight, bias)?,
            Some(b) => linear::lora(x, &self.weight, bias, (&b.a, &b.b), b.scale)?,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Norms before attention and before the feed-forward.
    pub(crate) attn_norm: Option<Tensor>,
    pub(crate) mlp_norm: Option<Tensor>,
    /// Norms after attention and feed-forward.
    pub(crate) post_norms: Option<(Tensor, Tensor)>,
    /// Norms of query and key heads.
    pub(crate) qk_norms: Option<(Tensor, Tensor)>,
    /// In the order of [`LINEARS`].
    pub(crate) linears: [Linear; 7],
}

/// Base in bf16 on a CPU and what it is compared with; states that were made of it share both.
#[derive(Debug)]
pub(crate) struct Reference {
    /// Base in bf16.
    pub(crate) halves: Decoder,
    /// Its twin in f32.
    pub(crate) full: Decoder,
    pub(crate) read: Mutex<Read>,
}

/// What was read by a decoder in bf16.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Beginnings of the first texts.
    pub(crate) texts: Vec<Vec<u32>>,
    /// What was found on these.
    pub(crate) found: Option<Agreement>,
}

/// The residual stream in bf16 beside that in f32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Texts compared.
    pub texts: usize,
    /// Tokens compared: those of the texts but the first of each.
    pub tokens: usize,
    /// Cosine of the two streams of a token, its mean over tokens, the smallest of all layers.
    pub cosine: f64,
    /// Largest difference of two entries in units of the layer's RMS in f32 over these tokens, of all layers.
    pub deviation: f64,
}

/// A decoder with its weights. Cloning is cheap: tensors are shared.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// The model's shape and options.
    pub config: Arc<Config>,
    pub(crate) embed: Weight,
    pub(crate) blocks: Vec<Block>,
    pub(crate) final_norm: Tensor,
    pub(crate) head: Head,
    pub(crate) ropes: Arc<Ropes>,
    /// The twin in f32 of a decoder that multiplies in bf16 on a CPU.
    pub(crate) reference: Option<Arc<Reference>>,
}

impl Decoder {
    /// Takes the weights it needs; a missing or misshapen one is an error that names it.
    pub fn new(config: Config, mut w: Weights) -> Result<Self> {
        let c = &config;
        let d = c.hidden;
        let wide = || candle_core::Error::Msg("its sizes multiply beyond any memory".into());
        let shapes = c.maps().ok_or_else(wide)?;
        let embed = w.matrix("model.embed_tokens.weight", (c.vocab, d))?;
        let mut blocks = Vec::with_capacity(c.layers);
        for l in 0..c.layers {
            let at = format!("model.layers.{l}");
            let mut linears = Vec::with_capacity(7);
            for (i, (o, n)) in shapes.iter().enumerate() {
                let name = format!("{at}.{}", module_path(i));
                let (bias, weight) = (format!("{name}.bias"), format!("{name}.weight"));
                linears.push(Linear {
                    weight: w.matrix(&weight, (*o, *n))?,
                    bias: w.has(&bias).then(|| w.vector(&bias, *o)).transpose()?,
                    branch: None,
                });
            }
            let linears = <[Linear; 7]>::try_from(linears)
                .map_err(|_| candle_core::Error::Msg("a block has seven linear maps".into()))?;
            let mut norm = |named: Named| {
                let take = |(name, n)| w.vector(&format!("{at}.{name}.weight"), n);
                named.map(take).transpose()
            };
            let BlockNorms { before, after, qk } = c.block_norms();
            blocks.push(Block {
                qk_norms: norm(qk[0])?.zip(norm(qk[1])?),
                post_norms: norm(after[0])?.zip(norm(after[1])?),
                attn_norm: norm(before[0])?,
                mlp_norm: norm(before[1])?,
                linears,
            });
        }
        let head = match c.tied {
            true => embed.clone(),
            false => w.matrix("lm_head.weight", (c.vocab, d))?,
        };
        Ok(Decoder {
            embed,
            blocks,
            final_norm: w.vector("model.norm.weight", d)?,
            head: Head { weight: head, softcap: c.logit_softcap },
            ropes: Arc::new(c.ropes()),
            config: Arc::new(config),
            reference: None,
        })
    }

    /// Number of blocks.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// Width of the residual stream.
    pub fn hidden(&self) -> usize {
        self.config.hidden
    }

    /// The language head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The linear map `linear` (index into [`LINEARS`]) of a layer.
    pub fn linear(&self, layer: usize, linear: usize) -> &Linear {
        &self.blocks[layer].linears[linear]
    }

    /// Floating-point operations of one row in the linear maps of all blocks.
    pub fn row_flops(&self) -> f64 {
        let maps = self.blocks.iter().flat_map(|b| &b.linears);
        2.0 * maps.map(|m| m.weight.elem_count() as f64).sum::<f64>()
    }

    pub(crate) fn heads(&self, layer: usize) -> Heads {
        let c = &self.config;
        Heads {
            heads: c.heads,
            kv_heads: c.kv_heads,
            head_dim: c.head_dim,
            scale: c.query_scale.unwrap_or(1.0 / (c.head_dim as f32).sqrt()),
            softcap: c.attention_softcap,
            window: c.window(layer),
        }
    }

    /// The part of a block before attention: queries, keys and values of `x (N, D)`, rotated.
    pub(crate) fn queries_keys_values(
        &self,
        layer: usize,
        x: &Tensor,
        rotations: &Rotations,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (block, eps) = (&self.blocks[layer], self.config.norm_eps);
        let n = self.normed(x, block.attn_norm.as_ref())?; // (N, D)
        let mut q = block.linears[0].forward(&n)?; // (N, heads * h)
        let mut k = block.linears[1].forward(&n)?; // (N, kv_heads * h)
        let v = block.linears[2].forward(&n)?; // (N, kv_heads * h)
        if let Some((qn, kn)) = &block.qk_norms {
            q = rms_norm(&q, qn, eps)?;
            k = rms_norm(&k, kn, eps)?;
        }
        Ok(match rotations.of(layer) {
            Some(angles) => (rope(&q, angles)?, rope(&k, angles)?, v),
            None => (q, k, v),
        })
    }

    /// A norm, where there is one.
    fn normed(&self, x: &Tensor, gain: Option<&Tensor>) -> Result<Tensor> {
        Ok(match gain {
            Some(gain) => rms_norm(x, gain, self.config.norm_eps)?,
            None => x.clone(),
        })
    }

    /// What a sublayer adds to the stream, of its output.
    fn added(&self, out: Tensor, norm: Option<&Tensor>) -> Result<Tensor> {
        let out = self.normed(&out, norm)?;
        Ok(match self.config.residual_scale {
            Some(scale) => (out * scale)?,
            None => out,
        })
    }

    /// The part of a block after attention: `x` the stream, `mixed (N, heads * h)`.
    pub(crate) fn after_attention(
        &self,
        layer: usize,
        x: Tensor,
        mixed: &Tensor,
        places: &Places,
        hooks: &mut Hooks,
    ) -> Result<Tensor> {
        let block = &self.blocks[layer];
        let at = |site| HookPoint::new(site, layer);
        let after = block.post_norms.as_ref();
        let out = block.linears[3].forward(mixed)?; // (N, D)
        let out = self.added(out, after.map(|n| &n.0))?;
        let out = hooks.apply(at(Site::AttnOut), out, places)?;
        let x = hooks.apply(at(Site::ResidMid), add(&x, &out)?, places)?;
        let n = self.normed(&x, block.mlp_norm.as_ref())?;
        let gate = block.linears[4].forward(&n)?; // (N, F)
        let up = block.linears[5].forward(&n)?; // (N, F)
        let out = block.linears[6].forward(&gated(&gate, &up, self.config.activation)?)?;
        let out = self.added(out, after.map(|n| &n.1))?;
        let out = hooks.apply(at(Site::MlpOut), out, places)?;
        hooks.apply(at(Site::ResidPost), add(&x, &out)?, places)
    }

    /// The residual stream after the last block computed, `(N, D)`.
    pub fn forward(&self, batch: &Packed, hooks: &mut Hooks) -> Result<Tensor> {
        self.note(batch);
        let rotations = self.rotations(&batch.places);
        let mut x = self.embedded(&batch.tokens, &batch.places, hooks)?;
        for l in 0..self.layers() {
            x = self.block(l, x, batch, &rotations, hooks)?;
            if hooks.ends_at(l) {
                break;
            }
        }
        Ok(x)
    }

    /// Rotations of rows at these places.
    pub(crate) fn rotations(&self, places: &Places) -> Rotations {
        self.ropes.at(&places.positions)
    }

    /// The stream of these tokens before the first block, `(N, D)`.
    pub(crate) fn embedded(
        &self,
        tokens: &[u32],
        places: &Places,
        hooks: &mut Hooks,
    ) -> Result<Tensor> {
        let mut x = self.embed.rows(tokens)?;
        if let Some(scale) = self.config.embed_scale {
            x = (x * scale)?;
        }
        hooks.apply(HookPoint::new(Site::Embed, 0), x, places)
    }

    /// The stream after one block, of the stream `x (N, D)` before it.
    pub(crate) fn block(
        &self,
        layer: usize,
        x: Tensor,
        batch: &Packed,
        rotations: &Rotations,
        hooks: &mut Hooks,
    ) -> Result<Tensor> {
        let x = hooks.apply(HookPoint::new(Site::ResidPre, layer), x, &batch.places)?;
        let (q, k, v) = self.queries_keys_values(layer, &x, rotations)?;
        let mixed = attention(&q, &k, &v, &batch.forest, &self.heads(layer))?;
        self.after_attention(layer, x, &mixed, &batch.places, hooks)
    }

    /// The final norm of chosen rows of the stream, ready for the language head: with the factor on
    /// logits, which the hook point does not see.
    /// `places` are those of all rows of `x`.
    pub fn normalized(
        &self,
        x: &Tensor,
        rows: &[u32],
        places: &Places,
        hooks: &mut Hooks,
    ) -> Result<Tensor> {
        let ids = Tensor::new(rows, x.device())?;
        let n = rms_norm(&x.index_select(&ids, 0)?, &self.final_norm, self.config.norm_eps)?;
        let n = hooks.apply(HookPoint::new(Site::FinalNorm, 0), n, &places.select(rows))?;
        Ok(match self.config.logit_scale {
            Some(scale) => (n * scale)?,
            None => n,
        })
    }

    /// Logits `(rows, V)` of chosen rows of the stream.
    pub fn logits(
        &self,
        x: &Tensor,
        rows: &[u32],
        places: &Places,
        hooks: &mut Hooks,
    ) -> Result<Tensor> {
        let n = self.normalized(x, rows, places, hooks)?;
        let z = linear::frozen(&n, &self.head.weight, None)?;
        Ok(match self.head.softcap {
            Some(c) => ((z / c as f64)?.tanh()? * c as f64)?,
            None => z,
        })
    }
}
