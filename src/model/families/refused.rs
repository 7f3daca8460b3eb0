//! Why a model that is of no family here cannot be read, by what its configuration says.

use serde_json::Value;

const EXPERTS: &str = "it is a mixture of experts, whose routing this decoder does not have";
const DELTA: &str = "it has gated delta nets (linear attention) in place of attention";
const PER_LAYER: &str = "it feeds an input of its own to every layer (per-layer embeddings)";
const LATENT: &str = "it has multi-head latent attention (MLA), which compresses keys and values";
const STATE: &str = "it has state-space or recurrent layers in place of attention";
const TWO_STACKS: &str = "it is an encoder-decoder";

/// Parts of architecture names, the more special first, with the reason.
const NAMES: [(&str, &str); 26] = [
    ("qwen3_5", DELTA),
    ("qwen35", DELTA),
    ("qwen3_next", DELTA),
    ("qwen3next", DELTA),
    ("kimi_linear", DELTA),
    ("kimi-linear", DELTA),
    ("olmo_hybrid", DELTA),
    ("gemma3n", PER_LAYER),
    ("gemma4", PER_LAYER),
    ("deepseek", LATENT),
    ("minicpm3", LATENT),
    ("moe", EXPERTS),
    ("mixtral", EXPERTS),
    ("dbrx", EXPERTS),
    ("gpt_oss", EXPERTS),
    ("gpt-oss", EXPERTS),
    ("llama4", EXPERTS),
    ("mamba", STATE),
    ("rwkv", STATE),
    ("jamba", STATE),
    ("recurrent_gemma", STATE),
    ("hybrid", STATE),
    ("falcon_h1", STATE),
    ("lfm2", STATE),
    ("t5", TWO_STACKS),
    ("bart", TWO_STACKS),
];

/// Keys of config.json that say of another computation, with the reason.
const KEYS: [(&str, &str); 11] = [
    ("linear_num_key_heads", DELTA),
    ("hidden_size_per_layer_input", PER_LAYER),
    ("kv_lora_rank", LATENT),
    ("num_local_experts", EXPERTS),
    ("num_experts", EXPERTS),
    ("n_routed_experts", EXPERTS),
    ("moe_intermediate_size", EXPERTS),
    ("ssm_cfg", STATE),
    ("state_size", STATE),
    ("mamba_d_state", STATE),
    ("is_encoder_decoder", TWO_STACKS),
];

fn says(v: &Value) -> bool {
    match v {
        Value::Null | Value::Bool(false) => false,
        Value::Number(n) => n.as_f64().is_some_and(|n| n > 0.0),
        _ => true,
    }
}

/// The reason that a `config.json` gives by its keys.
pub(super) fn by_keys(json: &Value) -> Option<&'static str> {
    let linear =
        |v: &Value| v.as_array().is_some_and(|a| a.iter().any(|t| t == "linear_attention"));
    if json.get("layer_types").is_some_and(linear) {
        return Some(DELTA);
    }
    KEYS.into_iter().find(|(key, _)| json.get(*key).is_some_and(says)).map(|(_, why)| why)
}

/// The reason that an architecture's name gives.
pub(super) fn by_name(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|(part, _)| name.contains(part)).map(|(_, why)| why)
}
