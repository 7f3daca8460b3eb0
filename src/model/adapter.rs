//! LoRA adapters in PEFT's format, read and written.
//!
//! `adapter_config.json` and `adapter_model.safetensors` as PEFT saves them. What changes the
//! mathematics and is not supported (DoRA, biases, saved modules, ...) is refused by name; a key
//! that fits no linear map of the model, and a target without a key, are errors. For reading runs
//! the branch is merged, `W + s B A`, into new tensors; for training it stays a branch.

use super::decoder::{module_path, Branch, Decoder, LINEARS};
use super::error::{nearest, ModelError, Result};
use super::placement::host_values;
use super::weights::{map_file, tensor_of};
use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{json, Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Position of an adapted linear map: layer, index into [`LINEARS`].
pub type Target = (usize, usize);

/// The factors of every adapted map with the rank and scale that they share.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub rank: usize,
    pub alpha: f64,
    pub rslora: bool,
    pub base: String,
    /// `a (r, I)`, `b (O, r)`.
    pub factors: BTreeMap<Target, (Tensor, Tensor)>,
}

impl Adapter {
    /// alpha/r, or alpha/sqrt(r) with rank-stabilised scaling (arXiv 2312.03732).
    pub fn scale(&self) -> f32 {
        let r = self.rank as f64;
        (self.alpha / if self.rslora { r.sqrt() } else { r }) as f32
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
                let a: Vec<f32> = (0..rank * i)
                    .map(|_| rng.random_range(-bound..bound))
                    .collect();
                let a = Tensor::from_vec(a, (rank, i), &Device::Cpu)?;
                let b = Tensor::zeros((o, rank), candle_core::DType::F32, &Device::Cpu)?;
                factors.insert((layer, t), (a, b));
            }
        }
        Ok(Adapter {
            rank,
            alpha,
            rslora: false,
            base: base.into(),
            factors,
        })
    }

    /// Reads `folder` and checks every key against the model.
    pub fn read(folder: &Path, model: &Decoder) -> Result<Self> {
        let (config_path, config) = read_config(folder)?;
        let key_error = |key: &str, why: &str| ModelError::Key {
            path: config_path.clone(),
            key: key.into(),
            why: why.into(),
        };
        refuse_unsupported(&config_path, &config)?;
        let rank = config.get("r").and_then(Value::as_u64).filter(|r| *r > 0);
        let rank = rank.ok_or_else(|| key_error("r", "is missing or no positive whole number"))?;
        let alpha = config.get("lora_alpha").and_then(Value::as_f64);
        let alpha = alpha.ok_or_else(|| key_error("lora_alpha", "is missing or not a number"))?;
        let file = folder.join("adapter_model.safetensors");
        let map = map_file(&file)?;
        let st = safetensors::SafeTensors::deserialize(&map).map_err(|e| ModelError::File {
            path: file.clone(),
            why: format!("not a usable safetensors file ({e})"),
        })?;
        let known: HashMap<String, (Target, bool)> = (0..model.layers())
            .flat_map(|l| (0..LINEARS.len()).map(move |t| (l, t)))
            .flat_map(|t| [(key(t, false), (t, false)), (key(t, true), (t, true))])
            .collect();
        let mut halves: BTreeMap<Target, [Option<Tensor>; 2]> = BTreeMap::new();
        for (name, view) in st.tensors() {
            let Some(&(target, is_b)) = known.get(&name) else {
                return Err(ModelError::AdapterKey {
                    path: file.clone(),
                    nearest: nearest(&name, known.keys().map(String::as_str)),
                    key: name,
                });
            };
            let (o, i) = model.linear(target.0, target.1).weight.dims2()?;
            let r = rank as usize;
            let want = if is_b { vec![o, r] } else { vec![r, i] };
            if view.shape() != want {
                return Err(ModelError::WeightShape {
                    path: file.clone(),
                    name,
                    got: view.shape().to_vec(),
                    want,
                });
            }
            halves.entry(target).or_default()[is_b as usize] = Some(tensor_of(&view)?);
        }
        let mut factors = BTreeMap::new();
        for (target, [a, b]) in halves {
            let missing = |is_b| ModelError::MissingWeight {
                path: file.clone(),
                name: key(target, is_b),
                nearest: Some(key(target, !is_b)),
            };
            let a = a.ok_or_else(|| missing(false))?;
            factors.insert(target, (a, b.ok_or_else(|| missing(true))?));
        }
        if factors.is_empty() {
            return Err(ModelError::File {
                path: file,
                why: "holds no adapter weights".into(),
            });
        }
        Ok(Adapter {
            rank: rank as usize,
            alpha,
            rslora: config.get("use_rslora").and_then(Value::as_bool) == Some(true),
            base: config
                .get("base_model_name_or_path")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .into(),
            factors,
        })
    }

    /// Writes the two files PEFT reads, each whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |path: &Path, bytes: &[u8]| {
            let partial = path.with_extension("partial");
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&partial, bytes))
                .and_then(|()| std::fs::rename(&partial, path))
                .map_err(|source| {
                    let _ = std::fs::remove_file(&partial);
                    ModelError::Write {
                        path: path.into(),
                        source,
                    }
                })
        };
        let modules: BTreeSet<&str> = self.factors.keys().map(|t| LINEARS[t.1]).collect();
        let config = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base, "r": self.rank, "lora_alpha": self.alpha,
            "lora_dropout": 0.0, "target_modules": modules, "bias": "none",
            "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
            "use_rslora": self.rslora, "use_dora": false, "modules_to_save": null,
            "layers_to_transform": null, "layers_pattern": null,
            "rank_pattern": {}, "alpha_pattern": {},
        });
        let mut bytes: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (&target, (a, b)) in &self.factors {
            for (t, is_b) in [(a, false), (b, true)] {
                let values = host_values(t)?;
                let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                bytes.push((key(target, is_b), t.dims().to_vec(), raw));
            }
        }
        let file = folder.join("adapter_model.safetensors");
        let bad = |e: safetensors::SafeTensorError| ModelError::File {
            path: file.clone(),
            why: format!("cannot be laid out ({e})"),
        };
        let views = bytes
            .iter()
            .map(|(name, shape, raw)| {
                let dtype = safetensors::Dtype::F32;
                safetensors::tensor::TensorView::new(dtype, shape.clone(), raw)
                    .map(|v| (name.clone(), v))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(bad)?;
        let header = HashMap::from([("format".to_string(), "pt".to_string())]);
        let raw = safetensors::serialize(views, Some(header)).map_err(bad)?;
        write(&file, &raw)?;
        let text = serde_json::to_vec_pretty(&config).unwrap_or_default();
        write(&folder.join("adapter_config.json"), &text)
    }
}

/// PEFT's name of one factor.
fn key((layer, linear): Target, is_b: bool) -> String {
    let half = if is_b { "lora_B" } else { "lora_A" };
    format!(
        "base_model.model.model.layers.{layer}.{}.{half}.weight",
        module_path(linear)
    )
}

fn read_config(folder: &Path) -> Result<(std::path::PathBuf, Map<String, Value>)> {
    let path = folder.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| ModelError::Read {
        path: path.clone(),
        source,
    })?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok((path, map)),
        Ok(_) => Err(ModelError::File {
            path,
            why: "is not a JSON object".into(),
        }),
        Err(e) => Err(ModelError::File {
            path,
            why: format!("not JSON ({e})"),
        }),
    }
}

/// Options that would change the numbers if they were ignored.
fn refuse_unsupported(path: &Path, config: &Map<String, Value>) -> Result<()> {
    let refuse = |option: &str, hint: &str| {
        Err(ModelError::AdapterOption {
            path: path.into(),
            option: option.into(),
            hint: hint.into(),
        })
    };
    let set = |key: &str| match config.get(key) {
        None | Some(Value::Null) | Some(Value::Bool(false)) => false,
        Some(Value::Array(a)) => !a.is_empty(),
        Some(Value::Object(o)) => !o.is_empty(),
        Some(_) => true,
    };
    if config.get("peft_type").and_then(Value::as_str) != Some("LORA") {
        return refuse("peft_type", "only LORA adapters are read");
    }
    if set("use_dora") {
        return refuse(
            "use_dora",
            "merge the adapter with peft and give the merged model",
        );
    }
    if !matches!(
        config.get("bias").and_then(Value::as_str),
        None | Some("none")
    ) {
        return refuse(
            "bias",
            "merge the adapter with peft and give the merged model",
        );
    }
    for key in [
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
    ] {
        if set(key) {
            return refuse(key, "merge the adapter with peft and give the merged model");
        }
    }
    Ok(())
}

impl Decoder {
    /// A decoder with the adapter folded into its weights; unadapted tensors are shared.
    pub fn merged(&self, adapter: &Adapter) -> Result<Self> {
        use rayon::prelude::*;
        let scale = adapter.scale();
        let merged: Vec<(Target, Tensor)> = adapter
            .factors
            .par_iter()
            .map(|(&target, (a, b))| {
                let w = &self.linear(target.0, target.1).weight;
                let delta = (b.matmul(a)? * scale as f64)?;
                let delta = delta.to_device(w.device())?.to_dtype(w.dtype())?;
                Ok((target, (w + delta)?))
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
            out.blocks[layer].linears[linear].branch = Some(Branch {
                a: a.clone(),
                b: b.clone(),
                scale,
            });
        }
        out
    }
}
