//! Which linear maps an adapter declares: `target_modules` and its companions, as PEFT reads them.
//!
//! A list names the last parts of modules, or whole names; a text is a pattern over whole names, or
//! `all-linear`. `exclude_modules` takes out, `layers_to_transform` chooses blocks for what a list
//! names by its last parts. A target or a layer that the model does not have is an error, so that
//! what is declared can be held against a file key by key.

use super::decoder::{module_path, LINEARS};
use super::error::{ModelError, Result};
use crate::store::names::nearest;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokenizers::utils::SysRegex;

/// Position of an adapted linear map: layer, index into [`LINEARS`].
pub type Target = (usize, usize);

pub(super) const MERGE: &str = "merge the adapter with peft and give the merged model";

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

/// What a configuration declares.
pub(super) struct Targets {
    /// The configuration, for errors.
    path: PathBuf,
    /// None: every linear map.
    names: Option<Names>,
    excluded: Option<Names>,
    /// `layers_to_transform`.
    only: Option<Vec<usize>>,
    /// `layers_pattern`.
    patterns: Vec<String>,
}

impl Targets {
    /// Reads the options of a configuration.
    ///
    /// # Errors
    /// `Key` for what is neither names nor a pattern, or no list of layers.
    pub fn of(path: &Path, map: &Map<String, Value>) -> Result<Self> {
        let names = match map.get("target_modules") {
            // What PEFT takes for the families that are read here.
            None | Some(Value::Null) => {
                Some(Names::List(["q_proj", "v_proj"].map(String::from).into()))
            }
            Some(Value::String(s)) if s.eq_ignore_ascii_case("all-linear") => None,
            // An empty text names nothing.
            _ => Some(names(path, map, "target_modules")?.unwrap_or(Names::List(Vec::new()))),
        };
        Ok(Targets {
            path: path.into(),
            names,
            excluded: self::names(path, map, "exclude_modules")?,
            only: indices(path, map)?,
            patterns: texts(path, map, "layers_pattern")?.unwrap_or_default(),
        })
    }

    /// The maps that are adapted, in a model of `layers` blocks.
    ///
    /// # Errors
    /// `Key` for a target or a layer that the model does not have, `AdapterOption` for the
    /// embedding or the head.
    pub fn declared(&self, layers: usize) -> Result<BTreeSet<Target>> {
        let path = &self.path;
        let all = || every(layers);
        let fault = |key: &str, why: String| Err(ModelError::key(path, key, why));
        if let Some(l) = self.only.iter().flatten().find(|l| **l >= layers) {
            let last = layers.saturating_sub(1);
            let why = format!("names layer {l}; the model has blocks 0 to {last}");
            return fault("layers_to_transform", why);
        }
        let excluded = |module: &str| self.excluded.as_ref().is_some_and(|e| e.has(module));
        if let Some(targets) = &self.names {
            for outer in ["model.embed_tokens", "lm_head"] {
                if targets.has(outer) && !excluded(outer) {
                    let option = format!("target_modules` with `{outer}");
                    return option_error(path, &option, MERGE);
                }
            }
        }
        if let Some(Names::List(names)) = &self.names {
            let near = |name: &str| all().any(|t| is_of(&module(t), name));
            if let Some(unknown) = names.iter().find(|n| !near(n)) {
                let paths = (0..LINEARS.len()).map(module_path);
                let known = LINEARS.iter().map(|l| l.to_string()).chain(paths);
                let known: Vec<String> = known.chain(all().map(module)).collect();
                let near = nearest(unknown, known.iter().map(String::as_str)).unwrap_or_default();
                let why = format!(
                    "names `{unknown}`, which is no linear map of this model; the nearest is `{near}`"
                );
                return fault("target_modules", why);
            }
        }
        let mut declared = BTreeSet::new();
        for target in all() {
            let module = module(target);
            if !excluded(&module) && self.names_it(target, &module)? {
                declared.insert(target);
            }
        }
        match declared.is_empty() {
            true => fault("target_modules", "names no linear map of this model".into()),
            false => Ok(declared),
        }
    }

    /// PEFT's rule: a pattern over the name, a whole name, or last parts in the chosen layers.
    fn names_it(&self, target: Target, module: &str) -> Result<bool> {
        let names = match &self.names {
            None => return Ok(true),
            Some(Names::List(names)) => names,
            Some(pattern) => return Ok(pattern.has(module)),
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

/// Every linear map of a model of `layers` blocks.
pub(super) fn every(layers: usize) -> impl Iterator<Item = Target> {
    (0..layers).flat_map(|l| (0..LINEARS.len()).map(move |t| (l, t)))
}

/// The name of a linear map in transformers.
pub(super) fn module((layer, linear): Target) -> String {
    format!("model.layers.{layer}.{}", module_path(linear))
}

/// One value or a list of them; none where the option is absent. `is` says what one has to be.
fn listed<T>(
    path: &Path,
    map: &Map<String, Value>,
    key: &str,
    one: impl Fn(&Value) -> Option<T>,
    is: &str,
) -> Result<Option<Vec<T>>> {
    let found = match map.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(all)) => all.iter().map(one).collect::<Option<Vec<_>>>(),
        Some(value) => one(value).map(|v| vec![v]),
    };
    found.map(Some).ok_or_else(|| ModelError::key(path, key, is))
}

/// A text or a list of texts; an empty text is none.
fn texts(path: &Path, map: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>> {
    let text = |v: &Value| v.as_str().map(String::from);
    let found = listed(path, map, key, text, "is neither a text nor a list of texts")?;
    Ok(found.filter(|_| map.get(key).and_then(Value::as_str) != Some("")))
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
    let why = |e| ModelError::key(path, key, format!("is no usable pattern ({e})"));
    SysRegex::new(pattern).map_err(why)
}

/// `layers_to_transform`: a number or a list of numbers; an empty list is none.
fn indices(path: &Path, map: &Map<String, Value>) -> Result<Option<Vec<usize>>> {
    let index = |v: &Value| v.as_u64().and_then(|l| usize::try_from(l).ok());
    let found = listed(path, map, "layers_to_transform", index, "is no list of layer numbers")?;
    Ok(found.filter(|all| !all.is_empty()))
}

pub(super) fn option_error<T>(path: &Path, option: &str, hint: &str) -> Result<T> {
    Err(ModelError::AdapterOption { path: path.into(), option: option.into(), hint: hint.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut change: Value) -> Result<BTreeSet<Target>> {
        let map = change.as_object_mut().unwrap();
        map.entry("target_modules").or_insert(json!(["q_proj", "v_proj"]));
        Targets::of(Path::new("adapter_config.json"), map)?.declared(3)
    }

    fn refusal(change: Value) -> String {
        match read(change.clone()) {
            Err(e) => e.to_string(),
            Ok(declared) => panic!("{change} is taken for {declared:?}"),
        }
    }

    fn declared(change: Value) -> Vec<Target> {
        let all = read(change.clone()).unwrap_or_else(|e| panic!("{change}: {e}"));
        all.into_iter().collect()
    }

    #[test]
    fn targets_are_declared_as_peft_reads_them() {
        let of = |linears: &[usize], layers: &[usize]| -> Vec<Target> {
            let each = layers.iter().flat_map(|l| linears.iter().map(move |t| (*l, *t)));
            each.collect()
        };
        let all = [0, 1, 2];
        let modules = |v: Value| json!({"target_modules": v});
        for (change, want) in [
            (modules(json!(["q_proj", "v_proj"])), of(&[0, 2], &all)),
            (modules(json!(null)), of(&[0, 2], &all)),
            (modules(json!(["self_attn.o_proj"])), of(&[3], &all)),
            (modules(json!(["model.layers.1.mlp.up_proj"])), of(&[5], &[1])),
            (modules(json!(["1.mlp.up_proj"])), of(&[5], &[1])),
            (modules(json!("all-linear")), of(&[0, 1, 2, 3, 4, 5, 6], &all)),
            (modules(json!(r".*\.(q|k)_proj")), of(&[0, 1], &all)),
            (modules(json!(r"model\.layers\.[12]\..*down_proj")), of(&[6], &[1, 2])),
            (json!({"layers_to_transform": [2, 0]}), of(&[0, 2], &[0, 2])),
            (json!({"layers_to_transform": 1}), of(&[0, 2], &[1])),
            (json!({"layers_to_transform": []}), of(&[0, 2], &all)),
            (json!({"layers_to_transform": [1], "layers_pattern": "layers"}), of(&[0, 2], &[1])),
            // The last part of a pattern is no last part of a name.
            (json!({"exclude_modules": ["v_proj"]}), of(&[0], &all)),
            (json!({"exclude_modules": r".*layers\.0.*"}), of(&[0, 2], &[1, 2])),
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
            (json!({"target_modules": ["model.layers.7.self_attn.q_proj"]}), "nearest"),
            (json!({"target_modules": "q_proj"}), "names no linear map"),
            (json!({"target_modules": "(q_proj"}), "no usable pattern"),
            (json!({"target_modules": []}), "names no linear map"),
            (json!({"target_modules": ""}), "names no linear map"),
            (json!({"target_modules": 3}), "neither a text"),
            (json!({"target_modules": ["q_proj", "lm_head"]}), "lm_head"),
            (json!({"target_modules": ".*"}), "embed_tokens"),
            (json!({"layers_to_transform": [0, 3]}), "layer 3"),
            (json!({"layers_to_transform": [-1]}), "layers_to_transform"),
            (json!({"layers_to_transform": [1], "layers_pattern": "h"}), "names no linear map"),
        ] {
            let text = refusal(change);
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
