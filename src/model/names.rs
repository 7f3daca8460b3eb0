//! Names of weights: those of transformers, which the decoder goes by, and those of GGUF files.

/// Parts of a block: GGUF name, Hugging Face name, whether it is a linear map.
const PARTS: [(&str, &str, bool); 9] = [
    ("attn_norm", "input_layernorm", false),
    ("attn_q", "self_attn.q_proj", true),
    ("attn_k", "self_attn.k_proj", true),
    ("attn_v", "self_attn.v_proj", true),
    ("attn_output", "self_attn.o_proj", true),
    ("ffn_norm", "post_attention_layernorm", false),
    ("ffn_gate", "mlp.gate_proj", true),
    ("ffn_up", "mlp.up_proj", true),
    ("ffn_down", "mlp.down_proj", true),
];

/// Weights outside of blocks.
const OUTER: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Which names a model's files use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Hub,
    Gguf,
}

impl Naming {
    /// The file's name of a weight whose Hugging Face name is given.
    pub(crate) fn of(self, hub: &str) -> String {
        match self {
            Naming::Hub => hub.into(),
            Naming::Gguf => gguf_name(hub).unwrap_or_else(|| hub.into()),
        }
    }

    /// What blocks are called.
    pub(crate) fn block(self) -> &'static str {
        match self {
            Naming::Hub => "model.layers.",
            Naming::Gguf => "blk.",
        }
    }
}

/// GGUF name to Hugging Face name; none for tensors that no Llama has.
pub(crate) fn hub_name(gguf: &str) -> Option<String> {
    renamed(gguf, |gguf, hub| [gguf, hub], Naming::Gguf.block(), Naming::Hub.block())
}

/// The way back.
fn gguf_name(hub: &str) -> Option<String> {
    renamed(hub, |gguf, hub| [hub, gguf], Naming::Hub.block(), Naming::Gguf.block())
}

/// A name in the other naming; `turned` puts the given naming first.
fn renamed(
    name: &str,
    turned: fn(&'static str, &'static str) -> [&'static str; 2],
    block: &str,
    other: &str,
) -> Option<String> {
    let outer = OUTER.iter().map(|(gguf, hub)| turned(gguf, hub)).find(|n| n[0] == name);
    if let Some([_, to]) = outer {
        return Some(to.into());
    }
    let (layer, rest) = name.strip_prefix(block)?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let mut parts = PARTS.iter().map(|(gguf, hub, linear)| (turned(gguf, hub), linear));
    let ([_, to], linear) = parts.find(|(n, _)| n[0] == part)?;
    let known = kind == "weight" || (kind == "bias" && *linear);
    known.then(|| format!("{other}{layer}.{to}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_translate_both_ways_and_only_linear_maps_have_biases() {
        for (gguf, _, linear) in PARTS {
            for kind in ["weight", "bias"] {
                let name = format!("blk.7.{gguf}.{kind}");
                let hub = hub_name(&name);
                assert_eq!(hub.is_some(), linear || kind == "weight", "{name}");
                if let Some(hub) = hub {
                    assert_eq!(Naming::Gguf.of(&hub), name);
                }
            }
        }
        for (gguf, hub) in OUTER {
            assert_eq!(hub_name(gguf).as_deref(), Some(hub));
            assert_eq!(Naming::Gguf.of(hub), gguf);
        }
        assert_eq!(hub_name("blk.0.attn_q_norm.weight"), None);
        assert_eq!(hub_name("output.bias"), None);
    }
}
