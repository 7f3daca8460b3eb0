//! LoRA adapters in PEFT's format, read and written.
//!
//! `adapter_config.json` and `adapter_model.safetensors` as PEFT saves them. The file is held
//! against what the configuration declares ([`super::adapter_config`], [`super::adapter_keys`]). For
//! reading runs the branch is merged, `W + s B A`, into new tensors, unless weights are held as their file
//! stores them; for training it stays a branch.

use super::adapter_config::{scale, AdapterConfig};
use super::adapter_keys::{factors, Form};
use super::adapter_targets::module;
pub use super::adapter_targets::Target;
use super::decoder::{Branch, Decoder, LINEARS};
use super::error::{ModelError, Result};
use super::weights::{as_safetensors, map_file, safetensors};
use crate::ops::weight::Weight;
use crate::store::{atomic, manifest::hold_to_record};
use candle_core::{DType, Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The factors of every adapted map with the rank and scale that they share.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Rank r of the factors.
    pub rank: usize,
    /// `lora_alpha`: the product of the factors is scaled by alpha / r.
    pub alpha: f64,
    /// Whether the scale is alpha / sqrt(r) instead.
    pub rslora: bool,
    /// Name of the model it was trained on, as its config says.
    pub base: String,
    /// SHA-256 of that model, as the header of its weights says; empty where it says none.
    pub base_sha256: String,
    /// Blocks of the model that it is for.
    pub blocks: usize,
    /// `a (r, I)`, `b (O, r)`.
    pub factors: BTreeMap<Target, (Tensor, Tensor)>,
}

impl Adapter {
    /// alpha/r, or alpha/sqrt(r) with rank-stabilised scaling (arXiv 2312.03732).
    pub fn scale(&self) -> f32 {
        scale(self.alpha, self.rank, self.rslora)
    }

    /// A fresh adapter: A uniform in +-1/sqrt(I) (Kaiming with a = sqrt 5, as PEFT), B zero.
    pub fn init(
        model: &Decoder,
        base: &str,
        rank: usize,
        alpha: f64,
        targets: &[usize],
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let mut factors = BTreeMap::new();
        for layer in 0..model.layers() {
            for &t in targets {
                let (o, i) = model.linear(layer, t).weight.dims2()?;
                let bound = 1.0 / (i as f32).sqrt();
                let a: Vec<f32> = (0..rank * i).map(|_| rng.random_range(-bound..bound)).collect();
                let a = Tensor::from_vec(a, (rank, i), &Device::Cpu)?;
                let b = Tensor::zeros((o, rank), DType::F32, &Device::Cpu)?;
                factors.insert((layer, t), (a, b));
            }
        }
        Ok(Adapter {
            rank,
            alpha,
            rslora: false,
            base: base.into(),
            base_sha256: String::new(),
            blocks: model.layers(),
            factors,
        })
    }

    /// Reads `folder` and checks every key against the model and against what the configuration
    /// declares.
    ///
    /// # Errors
    /// `AdapterOption` for what is not supported; `Key`, `AdapterKey`, `MissingWeight` and
    /// `WeightShape` name the key that is too much, missing or wrong.
    pub fn read(folder: &Path, model: &Decoder) -> Result<Self> {
        let config = AdapterConfig::read(folder)?;
        let declared = config.targets.declared(model.layers())?;
        let file = folder.join("adapter_model.safetensors");
        refuse_pickle(folder, &file)?;
        hold_to_record(&file)?;
        let map = map_file(&file)?;
        let st = safetensors(&file, &map)?;
        Ok(Adapter {
            rank: config.rank,
            alpha: config.alpha,
            rslora: config.rslora,
            factors: factors(&file, &st, &declared, config.rank, model)?,
            base: config.base,
            base_sha256: base_sha256(&map),
            blocks: model.layers(),
        })
    }

    /// `target_modules`: last parts where they say it all, otherwise whole names.
    fn targets(&self) -> BTreeSet<String> {
        let linears: BTreeSet<usize> = self.factors.keys().map(|t| t.1).collect();
        match self.factors.len() == linears.len() * self.blocks {
            true => linears.into_iter().map(|t| LINEARS[t].into()).collect(),
            false => self.factors.keys().copied().map(module).collect(),
        }
    }

    /// Writes the two files PEFT reads, each whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let modules = self.targets();
        let config = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base, "r": self.rank, "lora_alpha": self.alpha,
            "lora_dropout": 0.0, "target_modules": modules, "bias": "none",
            "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
            "use_rslora": self.rslora, "use_dora": false, "modules_to_save": null,
            "layers_to_transform": null, "layers_pattern": null,
            "rank_pattern": {}, "alpha_pattern": {},
        });
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        for (&target, (a, b)) in &self.factors {
            tensors.extend([(Form::PEFT.key(target, false), a), (Form::PEFT.key(target, true), b)]);
        }
        let file = folder.join("adapter_model.safetensors");
        let known = [(BASE, self.base_sha256.as_str())];
        let more: &[(&str, &str)] = if self.base_sha256.is_empty() { &[] } else { &known };
        atomic::write(&file, &as_safetensors(&file, &tensors, more)?)?;
        let text = serde_json::to_vec_pretty(&config).unwrap_or_default();
        Ok(atomic::write(&folder.join("adapter_config.json"), &text)?)
    }
}

/// Key of the digest of the model that an adapter was trained on, in the header of its weights.
const BASE: &str = "base_model_sha256";

/// What a file's header says of it; empty where it says nothing.
fn base_sha256(bytes: &[u8]) -> String {
    let header = ::safetensors::SafeTensors::read_metadata(bytes).ok();
    let metadata = header.and_then(|(_, h)| h.metadata().clone());
    metadata.and_then(|mut m| m.remove(BASE)).unwrap_or_default()
}

/// Weights that are saved as a pickle alone.
fn refuse_pickle(folder: &Path, file: &Path) -> Result<()> {
    let pickle = folder.join("adapter_model.bin");
    if file.exists() || !pickle.exists() {
        return Ok(());
    }
    Err(ModelError::file(
        &pickle,
        "is a pickle, which is not read; convert it in Python: `from torch import load; from \
              safetensors.torch import save_file; save_file({k: v.contiguous() for k, v in \
              load(\"adapter_model.bin\", \"cpu\", weights_only=True).items()}, \
              \"adapter_model.safetensors\", {\"format\": \"pt\"})`",
    ))
}

impl Decoder {
    /// A decoder with the adapter folded into its weights, or beside those that are held as stored;
    /// unadapted ones are shared.
    pub fn merged(&self, adapter: &Adapter) -> Result<Self> {
        use rayon::prelude::*;
        let scale = adapter.scale();
        let merged: Vec<(Target, Weight)> = adapter
            .factors
            .par_iter()
            .map(|(&target, (a, b))| {
                let w = self.linear(target.0, target.1).weight.plus((a, b), scale)?;
                Ok((target, w.ok_or_else(|| ModelError::AdapterNotFinite(module(target)))?))
            })
            .collect::<Result<_>>()?;
        let mut out = self.clone();
        for ((layer, linear), weight) in merged {
            out.blocks[layer].linears[linear].weight = weight;
        }
        Ok(out)
    }

    /// A decoder whose adapted maps carry the given factors as branches.
    pub fn with_branches(&self, factors: &BTreeMap<Target, (Tensor, Tensor)>, scale: f32) -> Self {
        let mut out = self.clone();
        for (&(layer, linear), (a, b)) in factors {
            out.blocks[layer].linears[linear].branch =
                Some(Branch { a: a.clone(), b: b.clone(), scale });
        }
        out
    }
}
