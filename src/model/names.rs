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
    if let Some((_, hub)) = OUTER.iter().find(|(g, _)| *g == gguf) {
        return Some((*hub).into());
    }
    let (layer, rest) = gguf.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, hub, linear) = PARTS.iter().find(|(g, _, _)| *g == part)?;
    let known = kind == "weight" || (kind == "bias" && *linear);
    known.then(|| format!("model.layers.{layer}.{hub}.{kind}"))
}

/// The way back.
fn gguf_name(hub: &str) -> Option<String> {
    if let Some((gguf, _)) = OUTER.iter().find(|(_, h)| *h == hub) {
        return Some((*gguf).into());
    }
    let (layer, rest) = hub.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (gguf, _, _) = PARTS.iter().find(|(_, h, _)| *h == part)?;
    Some(format!("blk.{layer}.{gguf}.{kind}"))
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
