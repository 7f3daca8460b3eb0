//! The keys of an adapter's file, each held against the map that it names.
//!
//! Every declared map has both its factors and there is nothing else: what is left over is named as
//! what it is. Keys may be written as a state dictionary has them, with an adapter's name
//! (`lora_A.default.weight`) or other wrappers in front, in one way throughout a file.

use super::adapter_targets::{every, Target, MERGE};
use super::decoder::{module_path, Decoder, LINEARS};
use super::error::{ModelError, Result};
use super::weights::{host_values, tensor_of};
use crate::store::names::nearest;
use candle_core::Tensor;
use safetensors::SafeTensors;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How a file writes its keys: `PREFIX layers.L.MODULE.lora_A[.NAME].weight`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Form<'a> {
    prefix: &'a str,
    /// Of the adapter; PEFT leaves it away when it saves.
    name: &'a str,
}

/// What may stand in front of `layers.`; a model with two stacks of layers has other names.
const WRAPPERS: [&str; 6] =
    ["base_model", "model", "language_model", "module", "_orig_mod", "_fsdp_wrapped_module"];

impl<'a> Form<'a> {
    /// What PEFT saves.
    pub const PEFT: Form<'static> = Form { prefix: "base_model.model.model.", name: "" };

    /// The key of one half of a map.
    pub fn key(&self, (layer, linear): Target, is_b: bool) -> String {
        let half = if is_b { "lora_B" } else { "lora_A" };
        let dot = if self.name.is_empty() { "" } else { "." };
        let module = module_path(linear);
        format!("{}layers.{layer}.{module}.{half}{dot}{}.weight", self.prefix, self.name)
    }

    /// The form, the map and the half that a key names; none for any other key.
    fn parse(key: &'a str) -> Option<(Self, Target, bool)> {
        let at = key.find("layers.")?;
        let (prefix, rest) = key.split_at(at);
        let wrapped = prefix.is_empty()
            || prefix.strip_suffix('.')?.split('.').all(|p| WRAPPERS.contains(&p));
        let rest = rest.strip_prefix("layers.")?.strip_suffix(".weight").filter(|_| wrapped)?;
        let (layer, rest) = rest.split_once('.')?;
        let half = |t| Some((t, rest.strip_prefix(&module_path(t))?.strip_prefix(".lora_")?));
        let (linear, half) = (0..LINEARS.len()).find_map(half)?;
        let is_b = half.starts_with('B');
        let name = half.strip_prefix(if is_b { 'B' } else { 'A' })?;
        let form = Form { prefix, name: name.strip_prefix('.').unwrap_or(name) };
        let target = (layer.parse().ok()?, linear);
        // No two spellings of one number.
        (form.key(target, is_b) == key).then_some((form, target, is_b))
    }
}

/// The factors of a file, every one that is declared and no other.
pub(super) fn factors(
    file: &Path,
    st: &SafeTensors,
    declared: &BTreeSet<Target>,
    r: usize,
    model: &Decoder,
) -> Result<BTreeMap<Target, (Tensor, Tensor)>> {
    let fault = |key: &str, why: String| ModelError::key(file, key, why);
    let mut form: Option<Form> = None;
    let mut halves: BTreeMap<Target, [Option<Tensor>; 2]> = BTreeMap::new();
    let mut names = st.names();
    names.sort_unstable();
    for name in names {
        let Some((this, target, is_b)) = Form::parse(name) else {
            return Err(stranger(file, name, model));
        };
        let form = *form.get_or_insert(this);
        if form != this {
            let other = form.key(target, is_b);
            return Err(fault(name, format!("is written otherwise than the rest of the file; `{other}` would be of one form")));
        }
        if target.0 >= model.layers() {
            let last = model.layers().saturating_sub(1);
            let why = format!("is of block {}; the model has blocks 0 to {last}", target.0);
            return Err(fault(name, why));
        }
        if !declared.contains(&target) {
            return Err(fault(name, "is in the file, but target_modules and layers_to_transform of adapter_config.json do not declare it".into()));
        }
        let view = st.tensor(name).map_err(|e| fault(name, format!("cannot be read ({e})")))?;
        let (o, i) = model.linear(target.0, target.1).weight.dims2()?;
        let want = if is_b { vec![o, r] } else { vec![r, i] };
        if view.shape() != want {
            return Err(ModelError::WeightShape {
                path: file.into(),
                name: name.into(),
                got: view.shape().to_vec(),
                want,
            });
        }
        let t = tensor_of(&view).map_err(|e| fault(name, format!("cannot be read ({e})")))?;
        if host_values(&t)?.iter().any(|v| !v.is_finite()) {
            return Err(fault(name, "holds a value that is not finite".into()));
        }
        halves.entry(target).or_default()[is_b as usize] = Some(t);
    }
    let form = form.unwrap_or(Form::PEFT);
    let missing: Vec<Target> =
        declared.iter().copied().filter(|t| !halves.contains_key(t)).collect();
    if let Some(first) = missing.first() {
        let (n, all) = (missing.len(), declared.len());
        return Err(fault(
            &form.key(*first, false),
            format!("is missing: {n} of the {all} maps that target_modules of adapter_config.json declares have no weights; save the adapter again"),
        ));
    }
    let mut found = BTreeMap::new();
    for (target, [a, b]) in halves {
        let missing = |is_b| ModelError::MissingWeight {
            path: file.into(),
            name: form.key(target, is_b),
            nearest: Some(form.key(target, !is_b)),
        };
        let a = a.ok_or_else(|| missing(false))?;
        found.insert(target, (a, b.ok_or_else(|| missing(true))?));
    }
    Ok(found)
}

/// The error for a key that is no factor of a linear map.
fn stranger(file: &Path, key: &str, model: &Decoder) -> ModelError {
    let what = match key {
        k if k.contains("lora_magnitude_vector") => "is a magnitude of DoRA, which is not supported",
        k if k.contains("lora_embedding_") => "adapts the embedding, which is not supported",
        k if k.contains("lm_head.") && k.contains("lora_") => {
            "adapts the output head, which is not supported"
        }
        k if k.contains("lora_") && k.ends_with(".bias") => "is a bias, which is not supported",
        k if !k.contains("lora_") => {
            "is a whole weight saved next to the adapter (modules_to_save, or a resized vocabulary), \
             which is not supported"
        }
        _ => {
            let halves = |t| [Form::PEFT.key(t, false), Form::PEFT.key(t, true)];
            let known: Vec<String> = every(model.layers()).flat_map(halves).collect();
            return ModelError::AdapterKey {
                path: file.into(),
                nearest: nearest(key, known.iter().map(String::as_str)),
                key: key.into(),
            };
        }
    };
    ModelError::key(file, key, format!("{what}; {MERGE}"))
}
