//! Families against the models of candle-transformers, in process: a second implementation that knows
//! nothing of the decoder, on the checkpoints of the fixtures.
//!
//! Windows there see one key more than in transformers, so texts are no longer than a window; and Gemma's
//! scale of attention is that of the heads' width, so queries are scaled in its weights. Left out is
//! what is not there or otherwise than in transformers: SmolLM3 and OLMo 3, Granite's multipliers,
//! LongRoPE, YaRN, linear rescaling.

use super::parity_tests::{fixtures, gap, run, Fixture};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{gemma2, gemma3, llama, mistral, olmo2, phi3, qwen2, qwen3};
use serde::de::DeserializeOwned;
use serde_json::{json, Value};
use std::collections::HashMap;

/// Fixtures with the tokens that are read of each.
const READ: [(&str, usize); 10] = [
    ("gemma2", 5),
    ("gemma2-plain", 7),
    ("gemma3-pattern", 4),
    ("llama-scaled", 24),
    ("mistral-wide", 24),
    ("mistral-window", 6),
    ("olmo2", 24),
    ("phi3-window", 6),
    ("qwen2", 24),
    ("qwen3", 24),
];

/// The configuration as it was written before `rope_parameters`.
fn config<C: DeserializeOwned>(of: &Value) -> C {
    let mut c = of.clone();
    let rope = c["rope_parameters"].take();
    c["rope_theta"] = rope["rope_theta"].clone();
    match c["model_type"].as_str().unwrap() {
        "llama" => c["rope_scaling"] = rope,
        "qwen2" => c["sliding_window"] = json!(128),
        "gemma3_text" => {
            c["rope_theta"] = rope["full_attention"]["rope_theta"].clone();
            c["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"].clone();
            c["sliding_window_pattern"] = json!(2);
        }
        _ => {}
    }
    serde_json::from_value(c).unwrap()
}

/// The weights, with the queries of Gemma scaled from its `query_pre_attn_scalar` to the heads' width.
fn weights(fixture: &Fixture) -> Result<HashMap<String, Tensor>> {
    let c = &fixture.json["config"];
    let mut all = fixture.tensors();
    let Some(scalar) = c["query_pre_attn_scalar"].as_f64() else { return Ok(all) };
    let factor = (c["head_dim"].as_f64().unwrap() / scalar).sqrt();
    for (name, w) in &mut all {
        // Norms of queries hold their gains less 1.
        if name.ends_with("q_norm.weight") {
            *w = (((&*w + 1.0)? * factor)? - 1.0)?;
        } else if name.ends_with("q_proj.weight") && c["model_type"] == "gemma2" {
            *w = (&*w * factor)?;
        }
    }
    Ok(all)
}

/// Logits of the last token, `(V)`.
fn theirs(fixture: &Fixture, ids: &[u32]) -> Result<Vec<f32>> {
    let c = &fixture.json["config"];
    let vb = VarBuilder::from_tensors(weights(fixture)?, DType::F32, &Device::Cpu);
    let x = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?; // (1, T)
    let z = match c["model_type"].as_str().unwrap() {
        "gemma2" => gemma2::Model::new(false, &config(c), vb)?.forward(&x, 0)?,
        "gemma3_text" => {
            // Its cache takes a token at a time.
            let mut model = gemma3::Model::new(false, &config(c), vb)?;
            let mut z = x.clone();
            for at in 0..ids.len() {
                z = model.forward(&x.narrow(1, at, 1)?, at)?;
            }
            z
        }
        "llama" => {
            let config = config::<llama::LlamaConfig>(c).into_config(false);
            let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
            llama::Llama::load(vb, &config)?.forward(&x, 0, &mut cache)?
        }
        "mistral" => mistral::Model::new(&config(c), vb)?.forward(&x, 0)?,
        "olmo2" => olmo2::Model::new(&config(c), vb)?.forward(&x, 0)?,
        "phi3" => phi3::Model::new(&config(c), vb)?.forward(&x, 0)?,
        "qwen2" => qwen2::ModelForCausalLM::new(&config(c), vb)?.forward(&x, 0)?,
        "qwen3" => qwen3::ModelForCausalLM::new(&config(c), vb)?.forward(&x, 0)?,
        other => panic!("{other} has no second implementation here"),
    };
    z.flatten_all()?.to_vec1()
}

#[test]
fn logits_of_families_equal_those_of_candle_transformers() {
    let mut seen = 0;
    for fixture in fixtures() {
        let Some((name, n)) = READ.iter().find(|(name, _)| fixture.name == *name) else {
            continue;
        };
        let ids = &fixture.ids()[..*n];
        let ours = run(&fixture.folder(), &[ids.to_vec()]).1;
        for last in 0..*n {
            let theirs = theirs(&fixture, &ids[..=last]).unwrap();
            let size = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
            let gap = gap(&ours[last], &theirs);
            assert!(size > 0.1 && gap < 1e-4 * f64::from(size), "{name}, token {last}: {gap}");
        }
        seen += 1;
    }
    assert_eq!(seen, READ.len());
}
