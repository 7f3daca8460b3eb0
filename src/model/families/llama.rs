//! Llama 2 and 3, and what is built like them: SmolLM2, TinyLlama.
//!
//! In GGUF the rows of q and k are permuted, and the frequencies of Llama 3.1 and later are the
//! tensor `rope_freqs`, no key.

use super::super::config::Config;
use super::super::error::Result;
use super::family::Family;
use super::gguf_keys::GgufKeys;
use super::json_keys::JsonKeys;

pub(super) const FAMILY: Family = Family {
    models: "Llama 2 and 3, SmolLM2, TinyLlama",
    model_types: &["llama"],
    architecture: "llama",
    gains_from_one: false,
    of_json,
    of_gguf,
};

fn of_json(keys: &JsonKeys) -> Result<Config> {
    refuse_windows(keys)?;
    let biases = keys.biases()?;
    keys.base(Config { biases, norm_eps: 1e-6, ..Config::llama() })
}

/// Refuses windows.
fn refuse_windows(keys: &JsonKeys) -> Result<()> {
    let full = |v: &serde_json::Value| {
        v.as_array().is_some_and(|a| a.iter().all(|t| t == "full_attention"))
    };
    for key in ["sliding_window", "layer_types"] {
        if keys.given(key).is_some_and(|v| !full(v)) {
            return Err(keys.bad(key, "is set, which is not supported in this family"));
        }
    }
    Ok(())
}

fn of_gguf(keys: &GgufKeys) -> Result<Config> {
    keys.base(Config::llama())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serde_json::Value;
    use std::path::Path;

    fn smol() -> Value {
        json!({"model_type": "llama", "vocab_size": 49152, "hidden_size": 576,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "intermediate_size": 1536, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "rope_theta": 100000.0, "tie_word_embeddings": true})
    }

    #[test]
    fn rope_theta_is_read_from_either_place() {
        let mut moved = smol();
        moved.as_object_mut().unwrap().remove("rope_theta");
        moved["rope_parameters"] = json!({"rope_theta": 100000.0, "rope_type": "default"});
        let (a, b) = (
            Config::from_json(&smol(), Path::new("c")).unwrap(),
            Config::from_json(&moved, Path::new("c")).unwrap(),
        );
        assert_eq!(a, b);
        assert_eq!(a.head_dim, 64);
    }

    #[test]
    fn a_number_that_makes_every_result_nan_is_refused_by_its_key() {
        let linear = |factor: Value| json!({"rope_type": "linear", "factor": factor});
        let llama3 = |low: f64, high: f64, old: f64| {
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": low,
                "high_freq_factor": high, "original_max_position_embeddings": old})
        };
        for (key, value, named) in [
            ("rms_norm_eps", json!(-1e-5), "rms_norm_eps"),
            ("rms_norm_eps", json!(1e30), "rms_norm_eps"),
            ("rms_norm_eps", json!("1e-5"), "rms_norm_eps"),
            ("rope_theta", json!(0.0), "rope_theta"),
            ("rope_theta", json!(-10000.0), "rope_theta"),
            ("rope_theta", json!(1e300), "rope_theta"),
            ("rope_scaling", linear(json!(0.0)), "rope_scaling.factor"),
            ("rope_scaling", linear(json!(-2.0)), "rope_scaling.factor"),
            ("rope_scaling", linear(json!("2")), "rope_scaling.factor"),
            ("rope_scaling", llama3(4.0, 4.0, 8192.0), "high_freq_factor"),
            ("rope_scaling", llama3(4.0, 1.0, 8192.0), "high_freq_factor"),
            ("rope_scaling", llama3(1.0, 4.0, 0.0), "original_max_position_embeddings"),
            ("num_key_value_heads", json!("3"), "num_key_value_heads"),
            ("max_position_embeddings", json!(0), "max_position_embeddings"),
            ("max_position_embeddings", json!(u64::MAX), "max_position_embeddings"),
            ("head_dim", json!(63), "head_dim"),
            ("tie_word_embeddings", json!("yes"), "tie_word_embeddings"),
            ("partial_rotary_factor", json!(0.5), "partial_rotary_factor"),
            ("quantization_config", json!({"quant_method": "fp8"}), "quantization_config"),
        ] {
            let mut wrong = smol();
            wrong[key] = value.clone();
            match Config::from_json(&wrong, Path::new("c.json")) {
                Err(e) => assert!(e.to_string().contains(named), "{e}"),
                Ok(_) => panic!("{key} = {value} is taken"),
            }
        }
        for (eps, theta) in [(f64::NAN, 1e4), (1e-5, f64::NAN), (1e-5, f64::INFINITY)] {
            let mut c = Config::from_json(&smol(), Path::new("c")).unwrap();
            (c.norm_eps, c.rope.theta) = (eps, theta);
            assert!(c.checked(Path::new("c"), str::to_string).is_err());
        }
    }

    #[test]
    fn an_unknown_family_and_a_missing_key_are_named() {
        let mut other = smol();
        other["model_type"] = json!("mamba");
        let e = Config::from_json(&other, Path::new("c.json")).unwrap_err();
        assert!(e.to_string().contains("mamba"));
        let mut cut = smol();
        cut.as_object_mut().unwrap().remove("hidden_size");
        let e = Config::from_json(&cut, Path::new("c.json")).unwrap_err();
        assert!(e.to_string().contains("hidden_size"));
    }
}
