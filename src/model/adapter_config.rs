//! `adapter_config.json` of PEFT: what an adapter says of itself, checked before its weights.
//!
//! An option that changes the mathematics and is not supported is refused by name, and so is an
//! initialisation that changed the base weights (PiSSA, OLoRA, CorDA, LoRA-GA, LoftQ): such an
//! adapter is a difference from weights that nobody has. Which maps are adapted is
//! [`super::adapter_targets`]'s business.

use super::adapter_targets::{option_error, Targets, MERGE};
use super::error::{ModelError, Result};
use super::files::read_text;
use serde_json::{Map, Value};
use std::path::Path;

/// Options that change the numbers and are not supported.
const REFUSED: &str = "use_dora modules_to_save rank_pattern alpha_pattern fan_in_fan_out \
    layer_replication trainable_token_indices target_parameters lora_bias alora_invocation_tokens \
    use_qalora use_bdlora arrow_config kasa_config monteclora_config";

/// Options that are read here, or that change nothing once an adapter is trained; last those of the
/// first versions of PEFT.
const KNOWN: &str = "peft_type peft_version task_type base_model_name_or_path revision \
    auto_mapping inference_mode r lora_alpha lora_dropout use_rslora bias init_lora_weights \
    target_modules exclude_modules layers_to_transform layers_pattern megatron_config \
    megatron_core loftq_config eva_config corda_config lora_ga_config velora_config \
    qalora_group_size ensure_weight_tying runtime_config \
    enable_lora merge_weights num_layers lora_target_modules";

/// A checked configuration.
pub(super) struct AdapterConfig {
    pub rank: usize,
    pub alpha: f64,
    pub rslora: bool,
    pub base: String,
    pub targets: Targets,
}

impl AdapterConfig {
    /// Reads and checks `adapter_config.json` of `folder`.
    ///
    /// # Errors
    /// `Read`, `File`; `AdapterOption` for what is not supported, `Key` for what is wrong.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("adapter_config.json");
        let map = object(&path)?;
        refuse_unsupported(&path, &map)?;
        refuse_changed_base(&path, &map)?;
        let fault = |key, why: &str| ModelError::key(&path, key, why);
        let rank = map.get("r").and_then(Value::as_u64).filter(|r| *r > 0);
        let rank = rank.and_then(|r| usize::try_from(r).ok());
        let rank = rank.ok_or_else(|| fault("r", "is missing or no positive whole number"))?;
        let alpha = map.get("lora_alpha").and_then(Value::as_f64);
        let alpha = alpha.ok_or_else(|| fault("lora_alpha", "is missing or not a number"))?;
        let rslora = match map.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on,
            Some(other) => {
                return Err(fault("use_rslora", &format!("is {other}, not true or false")))
            }
        };
        let scale = scale(alpha, rank, rslora);
        if !(alpha as f32).is_finite() || !scale.is_finite() || (scale == 0.0 && alpha != 0.0) {
            let why = format!("is {alpha}, which makes a scale of {scale:e} in float32");
            return Err(fault("lora_alpha", &why));
        }
        let base = map.get("base_model_name_or_path").and_then(Value::as_str);
        Ok(AdapterConfig {
            rank,
            alpha,
            rslora,
            base: base.unwrap_or_default().into(),
            targets: Targets::of(&path, &map)?,
        })
    }
}

fn object(path: &Path) -> Result<Map<String, Value>> {
    let text = read_text(path)?;
    let why = match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => return Ok(map),
        Ok(_) => "is not a JSON object".into(),
        Err(e) if text.contains("NaN") || text.contains("Infinity") => {
            format!("not JSON ({e}), which has no NaN and no Infinity; write a number")
        }
        Err(e) => format!("not JSON ({e})"),
    };
    Err(ModelError::file(path, why))
}

/// Whether an option is more than its default.
fn is_set(map: &Map<String, Value>, key: &str) -> bool {
    match map.get(key) {
        None | Some(Value::Null) | Some(Value::Bool(false)) => false,
        Some(Value::Array(a)) => !a.is_empty(),
        Some(Value::Object(o)) => !o.is_empty(),
        Some(_) => true,
    }
}

/// Options that would change the numbers if they were ignored.
fn refuse_unsupported(path: &Path, map: &Map<String, Value>) -> Result<()> {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if text("peft_type") != Some("LORA") {
        return option_error(path, "peft_type", "only LORA adapters are read");
    }
    if is_set(map, "bias") && text("bias") != Some("none") {
        return option_error(path, "bias", MERGE);
    }
    if let Some(key) = REFUSED.split(' ').find(|key| is_set(map, key)) {
        return option_error(path, key, MERGE);
    }
    let known = |key: &str| KNOWN.split(' ').chain(REFUSED.split(' ')).any(|k| k == key);
    if let Some(key) = map.keys().find(|key| !known(key) && is_set(map, key)) {
        let hint =
            "it is not known here what it changes; merge the adapter with peft and give the \
                    merged model, or take the key out if it changes no weight";
        return option_error(path, key, hint);
    }
    Ok(())
}

/// Initialisations after which base is no longer the model that the adapter was trained on.
fn refuse_changed_base(path: &Path, map: &Map<String, Value>) -> Result<()> {
    let value = match map.get("init_lora_weights") {
        None | Some(Value::Null) | Some(Value::Bool(_)) => return Ok(()),
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
    };
    let kind = value.to_lowercase();
    if ["gaussian", "eva", "orthogonal", "mica"].contains(&kind.as_str()) {
        return Ok(());
    }
    let option = format!("init_lora_weights: {value}");
    let converted = ["pissa", "olora", "corda", "lora_ga"];
    let hint = match () {
        _ if converted.iter().any(|name| kind.starts_with(name)) => {
            "it changed the base weights before training, so that the adapter is none to the model \
             itself; convert it where it was trained, with peft's `model.save_pretrained(OUT, \
             path_initial_model_for_weight_conversion=INITIAL)`, INITIAL being the adapter as it \
             was before the first step"
        }
        _ if kind.starts_with("loftq") => {
            "it replaced the base weights by quantised ones, so that the adapter is none to the \
             model itself; merge it with peft into those weights and give the merged model"
        }
        _ => {
            "whether this initialisation changed the base weights is not known here; merge the \
             adapter with peft and give the merged model"
        }
    };
    option_error(path, &option, hint)
}

/// alpha/r, or alpha/sqrt(r).
pub(super) fn scale(alpha: f64, rank: usize, rslora: bool) -> f32 {
    let r = rank as f64;
    (alpha / if rslora { r.sqrt() } else { r }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(change: Value) -> Result<AdapterConfig> {
        let dir = tempfile::tempdir().unwrap();
        let mut config = json!({
            "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"],
        });
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
        AdapterConfig::read(dir.path())
    }

    fn refusal(change: Value) -> String {
        let outcome = read(change.clone());
        match outcome {
            Err(e) => e.to_string(),
            Ok(_) => panic!("{change} is taken"),
        }
    }

    #[test]
    fn an_initialisation_that_changed_the_base_is_refused_with_its_conversion() {
        for name in ["pissa", "pissa_niter_16", "PiSSA", "olora", "OLoRA", "corda", "lora_ga"] {
            let text = refusal(json!({"init_lora_weights": name}));
            assert!(text.contains(name), "{text}");
            assert!(text.contains("path_initial_model_for_weight_conversion"), "{text}");
        }
        for other in [json!("loftq"), json!("new_kind"), json!(2)] {
            let text = refusal(json!({"init_lora_weights": other}));
            assert!(text.contains("init_lora_weights"), "{text}");
        }
        for fine in [
            json!(true),
            json!(false),
            json!(null),
            json!("gaussian"),
            json!("eva"),
            json!("orthogonal"),
        ] {
            read(json!({"init_lora_weights": fine})).unwrap();
        }
    }

    #[test]
    fn options_that_would_change_the_numbers_are_refused_by_name() {
        for (key, value) in [
            ("use_dora", json!(true)),
            ("bias", json!("all")),
            ("bias", json!(1)),
            ("modules_to_save", json!(["lm_head"])),
            ("rank_pattern", json!({"q_proj": 8})),
            ("alpha_pattern", json!({"q_proj": 8})),
            ("kasa_config", json!({"x": 1})),
            ("some_new_option", json!(1)),
            ("use_rslora", json!("true")),
            ("peft_type", json!("LOHA")),
        ] {
            let text = refusal(json!({key: value}));
            assert!(text.contains(key) && text.contains("adapter_config.json"), "{text}");
        }
        read(json!({"some_new_option": null, "loftq_config": {}, "peft_version": "0.21.2"}))
            .unwrap();
    }

    #[test]
    fn ranks_and_scales_that_are_no_numbers_are_refused() {
        for r in [json!(0), json!(-4), json!(4.5), json!("4"), json!(null)] {
            assert!(refusal(json!({"r": r})).contains("`r`"));
        }
        for alpha in [json!(1e39), json!(-1e39), json!("8"), json!(null), json!(1e-60)] {
            assert!(refusal(json!({"lora_alpha": alpha})).contains("`lora_alpha`"));
        }
    }
}
