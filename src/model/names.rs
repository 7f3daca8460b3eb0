//! Names of weights: those of transformers, which the decoder goes by, and those of GGUF files.
//!
//! A trap: `post_attention_layernorm` of Hugging Face stands before the feed-forward in Llama, where
//! GGUF calls it `ffn_norm`, and behind attention in Gemma and OLMo 2, where it is
//! `post_attention_norm`; so names need to know where a family's norms stand.

use super::config::Norms;

/// Parts of a block: GGUF name, Hugging Face name, whether it is a linear map.
const PARTS: [(&str, &str, bool); 11] = [
    ("attn_norm", "input_layernorm", false),
    ("attn_q", "self_attn.q_proj", true),
    ("attn_k", "self_attn.k_proj", true),
    ("attn_v", "self_attn.v_proj", true),
    ("attn_output", "self_attn.o_proj", true),
    ("attn_q_norm", "self_attn.q_norm", false),
    ("attn_k_norm", "self_attn.k_norm", false),
    ("attn_qkv", "self_attn.qkv_proj", true),
    ("ffn_gate", "mlp.gate_proj", true),
    ("ffn_up", "mlp.up_proj", true),
    ("ffn_down", "mlp.down_proj", true),
];

/// Norms whose names depend on where they stand.
fn norms(placed: Norms) -> &'static [(&'static str, &'static str, bool)] {
    static AFTER: [(&str, &str, bool); 3] = [
        ("post_attention_norm", "post_attention_layernorm", false),
        ("post_ffw_norm", "post_feedforward_layernorm", false),
        ("ffn_norm", "pre_feedforward_layernorm", false),
    ];
    match placed {
        Norms::Before => &[("ffn_norm", "post_attention_layernorm", false)],
        Norms::Around => &AFTER,
        Norms::After => &AFTER[..2],
    }
}

/// Weights outside of blocks.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

const HUB_BLOCK: &str = "model.layers.";
const GGUF_BLOCK: &str = "blk.";

/// Which names a model's files use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Hub,
    Gguf(Norms),
}

impl Naming {
    /// The file's name of a weight whose Hugging Face name is given.
    pub(crate) fn of(self, hub: &str) -> String {
        match self {
            Naming::Hub => hub.into(),
            Naming::Gguf(norms) => gguf_name(hub, norms).unwrap_or_else(|| hub.into()),
        }
    }

    /// What blocks are called.
    pub(crate) fn block(self) -> &'static str {
        match self {
            Naming::Hub => HUB_BLOCK,
            Naming::Gguf(_) => GGUF_BLOCK,
        }
    }
}

/// GGUF name to Hugging Face name; none for tensors that no family here has.
pub(crate) fn hub_name(gguf: &str, placed: Norms) -> Option<String> {
    renamed(gguf, |gguf, hub| [gguf, hub], placed, GGUF_BLOCK, HUB_BLOCK)
}

/// The way back.
fn gguf_name(hub: &str, placed: Norms) -> Option<String> {
    renamed(hub, |gguf, hub| [hub, gguf], placed, HUB_BLOCK, GGUF_BLOCK)
}

/// A name in the other naming; `turned` puts the given naming first.
fn renamed(
    name: &str,
    turned: fn(&'static str, &'static str) -> [&'static str; 2],
    placed: Norms,
    block: &str,
    other: &str,
) -> Option<String> {
    let outer = OUTER.iter().map(|(gguf, hub)| turned(gguf, hub)).find(|n| n[0] == name);
    if let Some([_, to]) = outer {
        return Some(to.into());
    }
    let (layer, rest) = name.strip_prefix(block)?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let mut parts =
        PARTS.iter().chain(norms(placed)).map(|(gguf, hub, linear)| (turned(gguf, hub), linear));
    let ([_, to], linear) = parts.find(|(n, _)| n[0] == part)?;
    let known = kind == "weight" || (kind == "bias" && *linear);
    known.then(|| format!("{other}{layer}.{to}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_translate_both_ways_and_only_linear_maps_have_biases() {
        for (gguf, _, linear) in PARTS.iter().chain(norms(Norms::Before)).copied() {
            for kind in ["weight", "bias"] {
                let name = format!("blk.7.{gguf}.{kind}");
                let hub = hub_name(&name, Norms::Before);
                assert_eq!(hub.is_some(), linear || kind == "weight", "{name}");
                if let Some(hub) = hub {
                    assert_eq!(Naming::Gguf(Norms::Before).of(&hub), name);
                }
            }
        }
        for (gguf, hub) in OUTER {
            assert_eq!(hub_name(gguf, Norms::Before).as_deref(), Some(hub));
            assert_eq!(Naming::Gguf(Norms::Before).of(hub), gguf);
        }
        for none in ["blk.0.post_attention_norm.weight", "blk.0.attn_sinks.weight", "output.bias"] {
            assert_eq!(hub_name(none, Norms::Before), None);
        }
    }

    #[test]
    fn a_norm_is_called_by_where_it_stands() {
        let hub = "model.layers.3.post_attention_layernorm.weight";
        for (placed, gguf) in [
            (Norms::Before, "blk.3.ffn_norm.weight"),
            (Norms::Around, "blk.3.post_attention_norm.weight"),
            (Norms::After, "blk.3.post_attention_norm.weight"),
        ] {
            assert_eq!(Naming::Gguf(placed).of(hub), gguf);
            assert_eq!(hub_name(gguf, placed).as_deref(), Some(hub));
        }
        let before = "model.layers.3.pre_feedforward_layernorm.weight";
        assert_eq!(hub_name("blk.3.ffn_norm.weight", Norms::Around).as_deref(), Some(before));
    }
}
