//! What files store otherwise than the decoder takes it, put right without reading a value: maps that
//! are stored as one, and the names of a model that also sees.

use super::config::Config;
use super::decoder::LINEARS;
use super::error::Result;
use std::collections::BTreeMap;
use std::ops::Range;

/// Maps that are stored as one, by their rows, and their parts in order.
const FUSED: [(&str, &[&str]); 2] = [
    ("self_attn.qkv_proj.", &["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."]),
    (GATE_UP, &["mlp.gate_proj.", UP]),
];
const GATE_UP: &str = "mlp.gate_up_proj.";
const UP: &str = "mlp.up_proj.";

/// Beginnings of names in a model that also sees, and what its language model alone calls them.
const LANGUAGE: [(&str, &str); 3] = [
    ("language_model.model.", "model."),
    ("model.language_model.", "model."),
    ("language_model.lm_head.", "lm_head."),
];

/// Beginnings of names of what is not the language model.
const SEEING: [&str; 4] = [
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
];

/// The weights of the language model, by the names that it has alone.
pub(super) fn language<T>(all: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let named = |(name, t): (String, T)| {
        let inner = LANGUAGE.iter().find_map(|(from, to)| {
            let rest = name.strip_prefix(from)?;
            Some(format!("{to}{rest}"))
        });
        (inner.unwrap_or(name), t)
    };
    let seeing = |name: &str| SEEING.iter().any(|s| name.starts_with(s));
    all.into_iter().filter(|(name, _)| !seeing(name)).map(named).collect()
}

/// The names of a fused weight's parts, with their rows; none where it is none or of another size.
fn parts(name: &str, rows: usize, c: &Config) -> Option<Vec<(String, Range<usize>)>> {
    let (fused, parts) = FUSED.iter().find(|(fused, _)| name.contains(fused))?;
    let maps = c.maps()?;
    let mut from = 0usize;
    let mut out = Vec::new();
    for part in *parts {
        let linear = LINEARS.iter().position(|l| part.trim_end_matches('.').ends_with(l))?;
        let to = from.checked_add(maps[linear].0)?;
        out.push((name.replace(fused, part), from..to));
        from = to;
    }
    (from == rows).then_some(out)
}

/// Fused maps as their parts. `rows_of` counts the rows of a weight, `narrow` takes some of them.
pub(super) fn split<T>(
    all: BTreeMap<String, T>,
    c: &Config,
    rows_of: impl Fn(&T) -> usize,
    narrow: impl Fn(&T, Range<usize>) -> Result<T>,
) -> Result<BTreeMap<String, T>> {
    let gated = all.keys().any(|name| name.contains(FUSED[1].1[0]));
    let mut out = BTreeMap::new();
    for (name, t) in all {
        // GGUF files of Phi-3 call gate and up together `ffn_up`.
        let renamed = match name.contains(UP) && !gated {
            true => name.replace(UP, GATE_UP),
            false => name.clone(),
        };
        match parts(&renamed, rows_of(&t), c) {
            None => {
                out.insert(name, t);
            }
            Some(parts) => {
                for (part, rows) in parts {
                    out.insert(part, narrow(&t, rows)?);
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { hidden: 8, heads: 2, kv_heads: 1, head_dim: 4, intermediate: 6, ..Config::llama() }
    }

    fn names(all: &[(&str, usize)]) -> Vec<(String, Range<usize>)> {
        let all = all.iter().map(|(name, rows)| (name.to_string(), 0..*rows)).collect();
        let out = split(all, &config(), |r| r.len(), |_, rows| Ok(rows)).unwrap();
        out.into_iter().collect()
    }

    #[test]
    fn fused_maps_are_split_into_rows_and_others_left() {
        let q = "model.layers.0.self_attn.qkv_proj.weight";
        let got = names(&[(q, 16), ("model.layers.0.mlp.gate_up_proj.weight", 12)]);
        let want = [
            ("model.layers.0.mlp.gate_proj.weight", 0..6),
            ("model.layers.0.mlp.up_proj.weight", 6..12),
            ("model.layers.0.self_attn.k_proj.weight", 8..12),
            ("model.layers.0.self_attn.q_proj.weight", 0..8),
            ("model.layers.0.self_attn.v_proj.weight", 12..16),
        ];
        let owned = |(name, rows): (&str, Range<usize>)| (name.to_string(), rows);
        assert_eq!(got, want.clone().map(owned));
        assert_eq!(names(&[(q, 15)]), [(q.to_string(), 0..15)]);
        let up = "model.layers.0.mlp.up_proj.weight";
        let of_gate: Vec<_> = want.into_iter().take(2).map(owned).collect();
        assert_eq!(names(&[(up, 12)]), of_gate);
        assert_eq!(names(&[(up, 6)]), [(up.to_string(), 0..6)]);
    }

    #[test]
    fn a_model_that_also_sees_is_read_as_its_language_model() {
        let all = [
            "language_model.model.norm.weight",
            "language_model.lm_head.weight",
            "model.language_model.layers.0.input_layernorm.weight",
            "vision_tower.norm.weight",
            "model.multi_modal_projector.norm.weight",
        ];
        let all = all.into_iter().map(|name| (name.to_string(), ())).collect();
        let want = ["lm_head.weight", "model.layers.0.input_layernorm.weight", "model.norm.weight"];
        assert!(language(all).into_keys().eq(want));
    }
}
