//! `adapter_config.json` of PEFT: what an adapter says of itself, checked before its weights.
//!
//! An option that changes the mathematics and is not supported is refused by name, and so is an
//! initialisation that changed the base weights (PiSSA, OLoRA, CorDA, LoRA-GA, LoftQ): such an
//! adapter is a difference from weights that nobody has. `target_modules` with its companions
//! declares which linear maps are adapted; it is read as PEFT reads it, so that a file can be held
//! against it.

use super::adapter::Target;
use super::decoder::{module_path, LINEARS};
use super::error::{nearest, ModelError, Result};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokenizers::utils::SysRegex;

const MERGE: &str = "merge the adapter with peft and give the merged model";

/// Options that change the numbers and are not supported.
const REFUSED: [&str; 15] = [
    "use_dora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "lora_bias",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
];

/// Options that are read here, or that change nothing once an adapter is trained.
const KNOWN: [&str; 31] = [
    "peft_type",
    "peft_version",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "auto_mapping",
    "inference_mode",
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "bias",
    "init_lora_weights",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "megatron_config",
    "megatron_core",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "velora_config",
    "qalora_group_size",
    "ensure_weight_tying",
    "runtime_config",
    // Of the first versions of PEFT.
    "enable_lora",
    "merge_weights",
    "num_layers",
    "lora_target_modules",
];

/// Module names, as a list of last parts or as a pattern over the whole name.
enum Names {
    List(Vec<String>),
    Pattern(SysRegex),
}

impl Names {
    fn has(&self, module: &str) -> bool {
        match self {
            Names::Pattern(pattern) => pattern.find_iter(module).next().is_some(),
            Names::List(names) => names.iter().any(|n| is_of(module, n)),
        }
    }
}

/// Whether `module` is called `name`, or its last parts are.
fn is_of(module: &str, name: &str) -> bool {
    let front = module.strip_suffix(name);
    front.is_some_and(|f| !name.is_empty() && (f.is_empty() || f.ends_with('.')))
}

/// A checked configuration.
pub(super) struct AdapterConfig {
    path: PathBuf,
    pub rank: usize,
    pub alpha: f64,
    pub rslora: bool,
    pub base: String,
    /// None: every linear map.
    targets: Option<Names>,
    excluded: Option<Names>,
    /// `layers_to_transform`.
    only: Option<Vec<usize>>,
    /// `layers_pattern`.
    patterns: Vec<String>,
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
        let fault = |key: &str, why: String| key_error(&path, key, why);
        let rank = map.get("r").and_then(Value::as_u64).filter(|r| *r > 0);
        let rank = rank.and_then(|r| usize::try_from(r).ok());
        let rank =
            rank.ok_or_else(|| fault("r", "is missing or no positive whole number".into()))?;
        let alpha = map.get("lora_alpha").and_then(Value::as_f64);
        let alpha =
            alpha.ok_or_else(|| fault("lora_alpha", "is missing or not a number".into()))?;
        let rslora = match map.get("use_rslora") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on,
            Some(other) => {
                return Err(fault(
                    "use_rslora",
                    format!("is {other}, not true or false"),
                ))
            }
        };
        let scale = super::adapter::scale(alpha, rank, rslora);
        if !(alpha as f32).is_finite() || !scale.is_finite() || (scale == 0.0 && alpha != 0.0) {
            let why = format!("is {alpha}, which makes a scale of {scale:e} in float32");
            return Err(fault("lora_alpha", why));
        }
        let base = map.get("base_model_name_or_path").and_then(Value::as_str);
        let targets = match map.get("target_modules") {
            // What PEFT takes for the families that are read here.
            None | Some(Value::Null) => {
                Some(Names::List(["q_proj", "v_proj"].map(String::from).into()))
            }
            Some(Value::String(s)) if s.eq_ignore_ascii_case("all-linear") => None,
            _ => names(&path, &map, "target_modules")?,
        };
        Ok(AdapterConfig {
            rank,
            alpha,
            rslora,
            base: base.unwrap_or_default().into(),
            targets,
            excluded: names(&path, &map, "exclude_modules")?,
            only: indices(&path, &map)?,
            patterns: texts(&path, &map, "layers_pattern")?.unwrap_or_default(),
            path,
        })
    }

    /// The maps that are adapted, in a model of `layers` blocks.
    ///
    /// # Errors
    /// `Key` for a target or a layer that the model does not have, `AdapterOption` for the
    /// embedding or the head.
    pub fn declared(&self, layers: usize) -> Result<BTreeSet<Target>> {
        let all = || (0..layers).flat_map(|l| (0..LINEARS.len()).map(move |t| (l, t)));
        let fault = |key: &str, why: String| Err(key_error(&self.path, key, why));
        if let Some(l) = self.only.iter().flatten().find(|l| **l >= layers) {
            let last = layers.saturating_sub(1);
            let why = format!("names layer {l}; the model has blocks 0 to {last}");
            return fault("layers_to_transform", why);
        }
        let excluded = |module: &str| self.excluded.as_ref().is_some_and(|e| e.has(module));
        if let Some(targets) = &self.targets {
            for outer in ["model.embed_tokens", "lm_head"] {
                if targets.has(outer) && !excluded(outer) {
                    let option = format!("target_modules` with `{outer}");
                    return option_error(&self.path, &option, MERGE);
                }
            }
        }
        if let Some(Names::List(names)) = &self.targets {
            let near = |name: &str| all().any(|t| is_of(&module(t), name));
            if let Some(unknown) = names.iter().find(|n| !near(n)) {
                let modules: Vec<String> = all().map(module).collect();
                let paths: Vec<String> = (0..LINEARS.len()).map(module_path).collect();
                let known = LINEARS
                    .iter()
                    .copied()
                    .chain(paths.iter().map(String::as_str));
                let known = known.chain(modules.iter().map(String::as_str));
                let near = nearest(unknown, known).unwrap_or_default();
                let why = format!(
                    "names `{unknown}`, which is no linear map of this model; the nearest is `{near}`"
                );
                return fault("target_modules", why);
            }
        }
        let mut declared = BTreeSet::new();
        for target in all() {
            let module = module(target);
            if !excluded(&module) && self.targets_it(target, &module)? {
                declared.insert(target);
            }
        }
        match declared.is_empty() {
            true => fault("target_modules", "names no linear map of this model".into()),
            false => Ok(declared),
        }
    }

    /// PEFT's rule: a pattern over the name, a whole name, or last parts in the chosen layers.
    fn targets_it(&self, target: Target, module: &str) -> Result<bool> {
        let names = match &self.targets {
            None => return Ok(true),
            Some(Names::Pattern(_)) => {
                return Ok(self.targets.as_ref().is_some_and(|t| t.has(module)))
            }
            Some(Names::List(names)) => names,
        };
        if names.iter().any(|n| n == module) {
            return Ok(true);
        }
        let Some(only) = &self.only else {
            return Ok(names.iter().any(|n| is_of(module, n)));
        };
        let mut numbered = self.patterns.is_empty();
        for pattern in &self.patterns {
            let whole = format!(r"\A(?:|.*?\.){pattern}\.{}\.", target.0);
            let regex = regex(&self.path, "layers_pattern", &whole)?;
            numbered |= regex.find_iter(module).next().is_some();
        }
        Ok(numbered && only.contains(&target.0) && names.iter().any(|n| is_of(module, n)))
    }
}

/// The name of a linear map in transformers.
pub(super) fn module((layer, linear): Target) -> String {
    format!("model.layers.{layer}.{}", module_path(linear))
}

fn object(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
        path: path.into(),
        source,
    })?;
    let why = match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => return Ok(map),
        Ok(_) => "is not a JSON object".into(),
        Err(e) => format!("not JSON ({e})"),
    };
    Err(ModelError::File {
        path: path.into(),
        why,
    })
}

fn key_error(path: &Path, key: &str, why: String) -> ModelError {
    ModelError::Key {
        path: path.into(),
        key: key.into(),
        why,
    }
}

fn option_error<T>(path: &Path, option: &str, hint: &str) -> Result<T> {
    Err(ModelError::AdapterOption {
        path: path.into(),
        option: option.into(),
        hint: hint.into(),
    })
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
    if let Some(key) = REFUSED.iter().find(|key| is_set(map, key)) {
        return option_error(path, key, MERGE);
    }
    let known = |key: &str| KNOWN.contains(&key) || REFUSED.contains(&key);
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

/// A text or a list of texts; none where the option is absent.
fn texts(path: &Path, map: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>> {
    let text = |v: &Value| v.as_str().map(String::from);
    let found = match map.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(s)) if s.is_empty() => return Ok(None),
        Some(Value::Array(all)) => all.iter().map(text).collect::<Option<Vec<_>>>(),
        Some(one) => text(one).map(|s| vec![s]),
    };
    let why = || key_error(path, key, "is neither a text nor a list of texts".into());
    found.map(Some).ok_or_else(why)
}

/// Module names: a list, or a text that is a pattern.
fn names(path: &Path, map: &Map<String, Value>, key: &str) -> Result<Option<Names>> {
    match (map.get(key), texts(path, map, key)?) {
        (Some(Value::String(pattern)), Some(_)) => {
            let whole = format!(r"\A(?:{pattern})\z");
            Ok(Some(Names::Pattern(regex(path, key, &whole)?)))
        }
        (_, list) => Ok(list.map(Names::List)),
    }
}

fn regex(path: &Path, key: &str, pattern: &str) -> Result<SysRegex> {
    let why = |e| key_error(path, key, format!("is no usable pattern ({e})"));
    SysRegex::new(pattern).map_err(why)
}

/// `layers_to_transform`: a number or a list of numbers; an empty list is none.
fn indices(path: &Path, map: &Map<String, Value>) -> Result<Option<Vec<usize>>> {
    let key = "layers_to_transform";
    let index = |v: &Value| v.as_u64().and_then(|l| usize::try_from(l).ok());
    let found = match map.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(all)) if all.is_empty() => return Ok(None),
        Some(Value::Array(all)) => all.iter().map(index).collect(),
        Some(one) => index(one).map(|l| vec![l]),
    };
    let why = || key_error(path, key, "is no list of layer numbers".into());
    found.map(Some).ok_or_else(why)
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
        let outcome = read(change.clone()).and_then(|c| c.declared(3));
        match outcome {
            Err(e) => e.to_string(),
            Ok(declared) => panic!("{change} is taken for {declared:?}"),
        }
    }

    fn declared(change: Value) -> Vec<Target> {
        let config = read(change.clone()).and_then(|c| c.declared(3));
        let all = config.unwrap_or_else(|e| panic!("{change}: {e}"));
        all.into_iter().collect()
    }

    #[test]
    fn an_initialisation_that_changed_the_base_is_refused_with_its_conversion() {
        for name in [
            "pissa",
            "pissa_niter_16",
            "PiSSA",
            "olora",
            "OLoRA",
            "corda",
            "lora_ga",
        ] {
            let text = refusal(json!({"init_lora_weights": name}));
            assert!(text.contains(name), "{text}");
            assert!(
                text.contains("path_initial_model_for_weight_conversion"),
                "{text}"
            );
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
            declared(json!({"init_lora_weights": fine}));
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
            assert!(
                text.contains(key) && text.contains("adapter_config.json"),
                "{text}"
            );
        }
        declared(json!({"some_new_option": null, "loftq_config": {}, "peft_version": "0.21.2"}));
    }

    #[test]
    fn ranks_and_scales_that_are_no_numbers_are_refused() {
        for r in [json!(0), json!(-4), json!(4.5), json!("4"), json!(null)] {
            assert!(refusal(json!({"r": r})).contains("`r`"));
        }
        for alpha in [
            json!(1e39),
            json!(-1e39),
            json!("8"),
            json!(null),
            json!(1e-60),
        ] {
            assert!(refusal(json!({"lora_alpha": alpha})).contains("`lora_alpha`"));
        }
    }

    #[test]
    fn targets_are_declared_as_peft_reads_them() {
        let of = |linears: &[usize], layers: &[usize]| -> Vec<Target> {
            let each = layers
                .iter()
                .flat_map(|l| linears.iter().map(move |t| (*l, *t)));
            each.collect()
        };
        let all = [0, 1, 2];
        let modules = |v: Value| json!({"target_modules": v});
        for (change, want) in [
            (modules(json!(["q_proj", "v_proj"])), of(&[0, 2], &all)),
            (modules(json!(null)), of(&[0, 2], &all)),
            (modules(json!(["self_attn.o_proj"])), of(&[3], &all)),
            (
                modules(json!(["model.layers.1.mlp.up_proj"])),
                of(&[5], &[1]),
            ),
            (modules(json!(["1.mlp.up_proj"])), of(&[5], &[1])),
            (
                modules(json!("all-linear")),
                of(&[0, 1, 2, 3, 4, 5, 6], &all),
            ),
            (modules(json!(r".*\.(q|k)_proj")), of(&[0, 1], &all)),
            (
                modules(json!(r"model\.layers\.[12]\..*down_proj")),
                of(&[6], &[1, 2]),
            ),
            (json!({"layers_to_transform": [2, 0]}), of(&[0, 2], &[0, 2])),
            (json!({"layers_to_transform": 1}), of(&[0, 2], &[1])),
            (json!({"layers_to_transform": []}), of(&[0, 2], &all)),
            (
                json!({"layers_to_transform": [1], "layers_pattern": "layers"}),
                of(&[0, 2], &[1]),
            ),
            // The last part of a pattern is no last part of a name.
            (json!({"exclude_modules": ["v_proj"]}), of(&[0], &all)),
            (
                json!({"exclude_modules": r".*layers\.0.*"}),
                of(&[0, 2], &[1, 2]),
            ),
            // A whole name is taken in any layer.
            (
                json!({"target_modules": ["v_proj", "model.layers.2.self_attn.q_proj"], "layers_to_transform": [0]}),
                vec![(0, 2), (2, 0)],
            ),
        ] {
            assert_eq!(declared(change.clone()), want, "{change}");
        }
    }

    #[test]
    fn targets_that_the_model_lacks_are_answered_with_the_nearest() {
        for (change, part) in [
            (json!({"target_modules": ["q_proj", "v_prj"]}), "`v_proj`"),
            (json!({"target_modules": ["_proj"]}), "nearest"),
            (
                json!({"target_modules": ["model.layers.7.self_attn.q_proj"]}),
                "nearest",
            ),
            (json!({"target_modules": "q_proj"}), "names no linear map"),
            (json!({"target_modules": "(q_proj"}), "no usable pattern"),
            (json!({"target_modules": []}), "names no linear map"),
            (json!({"target_modules": 3}), "neither a text"),
            (json!({"target_modules": ["q_proj", "lm_head"]}), "lm_head"),
            (json!({"target_modules": ".*"}), "embed_tokens"),
            (json!({"layers_to_transform": [0, 3]}), "layer 3"),
            (json!({"layers_to_transform": [-1]}), "layers_to_transform"),
            (
                json!({"layers_to_transform": [1], "layers_pattern": "h"}),
                "names no linear map",
            ),
        ] {
            let text = refusal(change);
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
