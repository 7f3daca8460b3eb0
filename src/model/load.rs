//! A model ready to run: decoder, tokenizer, and the digests that identify it.
//!
//! From a `.gguf` file (weights, tokenizer and template of its metadata) or from a Hugging Face
//! folder. Where the files come from is [`super::resolve`]'s business; how texts become tokens and
//! where the model computes is said in [`Loading`].

use super::agreement::LEAST_COSINE;
use super::config::Config;
use super::contents::{self, INDEX, WEIGHTS};
use super::decoder::{Agreement, Decoder};
use super::error::{ModelError, Result};
use super::families;
use super::files::{folder_sha256, read_json};
use super::gguf::{self, Opened};
use super::inventory::Inventory;
use super::names::Naming;
use super::placement::{Place, Placement};
use super::row_order::RowOrder;
use super::stored;
use super::tokenizer::{TextOptions, Tokenizer};
use super::tokenizer_files;
use super::warning::{self, ModelWarning};
use super::weights::{entry, map_file, safetensors, Found, Held, Weights};
use crate::ops::simd::Simd;
use crate::ops::stored::Source;
use crate::store::digest;
use candle_core::DType;
use safetensors::tensor::TensorView;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a model is loaded; by default as its files say, to the CPU in f32.
#[derive(Debug, Clone, Default)]
pub struct Loading {
    /// How texts become tokens.
    pub text: TextOptions,
    /// Where the model computes, and in which numbers.
    pub placement: Placement,
}

/// A loaded model. The decoder may be replaced (an adapter merged); the rest stays.
pub struct Model {
    /// The name by which the user asked for it.
    pub id: String,
    /// The file or folder.
    pub path: PathBuf,
    /// SHA-256 of the GGUF file, or of the digests of several files (the parts of a split one, a
    /// folder's weight files) in name order.
    pub sha256: String,
    /// Weights and forward pass.
    pub decoder: Decoder,
    /// Tokenizer and chat template.
    pub tokenizer: Arc<Tokenizer>,
    /// What the files leave in doubt.
    pub warnings: Vec<ModelWarning>,
    /// Where it computes.
    pub placement: Placement,
}

impl Model {
    /// Loads a `.gguf` file or a Hugging Face folder; `id` is what outputs call the model.
    ///
    /// # Errors
    /// A file that is missing, damaged or of an architecture not supported, by name; a device that
    /// is not there.
    pub fn load(id: &str, path: &Path, loading: &Loading) -> Result<Self> {
        let placement = loading.placement;
        let device = placement.device()?;
        let mut opened = match path.is_dir() {
            true if placement.order != RowOrder::Model => {
                let why = "--gguf-order is for GGUF files; leave it away";
                return Err(ModelError::file(path, why));
            }
            true => folder(path, &loading.text, placement.held)?,
            false => gguf::load(path, &loading.text, &placement)?,
        };
        if opened.tokenizer.thinks_unasked() {
            opened.warnings.push(ModelWarning::Thinks { path: path.into() });
        }
        if (placement.place, placement.dtype) != (Place::Cpu, DType::F32) {
            opened.decoder = opened.decoder.placed(&device, placement.dtype)?;
        }
        Ok(Model {
            id: id.into(),
            path: path.into(),
            sha256: opened.sha256,
            decoder: opened.decoder,
            tokenizer: Arc::new(opened.tokenizer),
            warnings: opened.warnings,
            placement,
        })
    }

    /// How it was loaded: for another model that is to be read in the same way. The order of rows is its
    /// own file's affair.
    pub fn loading(&self) -> Loading {
        let placement = Placement { order: RowOrder::Model, ..self.placement };
        Loading { text: self.tokenizer.options(), placement }
    }

    /// What it multiplies in, by which kernels, and of bf16 on a CPU how far base is from f32 on texts of this
    /// run: null where none was read.
    pub fn numbers(&self) -> Value {
        let dtype = self.decoder.linear(0, 0).weight.dtype();
        let mut out = json!({ "products": dtype.as_str(), "kernels": Simd::here().name() });
        if self.placement.order != RowOrder::Model {
            out["gguf_order"] = self.placement.order.name().into();
        }
        if self.decoder.reference.is_some() {
            out["agreement"] = match self.decoder.agreement() {
                Ok(found) => json!(found),
                Err(e) => json!(e.to_string()),
            };
        }
        out
    }

    /// All doubts in words: what its files leave in doubt, and numbers that are too far from those in f32.
    pub fn doubts(&self) -> Vec<String> {
        let far = match self.decoder.agreement() {
            Ok(Some(Agreement { texts, tokens, cosine, deviation }))
                if cosine.is_nan() || cosine < LEAST_COSINE =>
            {
                Some(ModelWarning::Bf16 { cosine, deviation, texts, tokens }.to_string())
            }
            Err(e) => Some(format!("products in bf16 were not compared with f32: {e}")),
            Ok(_) => None,
        };
        warning::texts(&self.warnings).into_iter().chain(far).collect()
    }

    /// SHA-256 of the chat template's text, if there is one.
    pub fn template_sha256(&self) -> Option<String> {
        let source = self.tokenizer.template()?.source();
        Some(digest::of_bytes(source.as_bytes()))
    }
}

/// The tokenizer alone, of a model whose weights need not be there.
///
/// # Errors
/// A file that is missing, damaged or not supported, by name.
pub fn tokenizer(path: &Path, options: &TextOptions) -> Result<Tokenizer> {
    match path.is_dir() {
        false => gguf::tokenizer(path, options),
        true => {
            let config_path = path.join("config.json");
            let json = read_json(&config_path)?;
            let fit = Config::from_json(&json, &config_path)?.fit();
            tokenizer_files::of_folder(path, &json, fit, options)
        }
    }
}

fn folder(path: &Path, options: &TextOptions, held: Held) -> Result<Opened> {
    let bad = |why| ModelError::file(path, why);
    contents::model_folder(path).map_err(bad)?;
    let config_path = path.join("config.json");
    let json = read_json(&config_path)?;
    let (family, mut config) = families::of_json(&json, &config_path)?;
    let index = contents::index(path).map_err(bad)?;
    let files: BTreeSet<PathBuf> = match &index {
        None => [path.join(WEIGHTS)].into(),
        Some(map) => map.values().map(|file| path.join(file)).collect(),
    };
    let files: Vec<PathBuf> = files.into_iter().collect();
    let map = |f| -> Result<Source> { Ok(Arc::new(map_file(f)?)) };
    let maps = files.iter().map(|f| Ok((f.as_path(), map(f)?))).collect::<Result<Vec<_>>>()?;
    let views = views(&maps)?;
    for (name, file) in index.iter().flatten() {
        let file = path.join(file);
        if views.get(name).is_none_or(|(held, ..)| *held != file) {
            let why = format!("weight `{name}` is not in it, where {INDEX} says it is");
            return Err(ModelError::file(&file, why));
        }
    }
    let count = |(.., v): &View| v.shape().first().copied().unwrap_or(0);
    let views = stored::split(stored::language(views), &config, count, rows)?;
    let inventory = Inventory {
        path,
        naming: Naming::Hub,
        shapes: (views.iter()).map(|(name, (.., v))| (name.clone(), v.shape().to_vec())).collect(),
    };
    let plan = inventory.plan(&config)?;
    let tokenizer = tokenizer_files::of_folder(path, &json, config.fit(), options)?;
    let wanted = views.iter().filter(|(name, _)| plan.wanted.contains(*name));
    let found = wanted.map(|(name, (path, source, view))| {
        let bad = |e| ModelError::file(path, format!("weight `{name}`: {e}"));
        let entry = entry(view, (***source).as_ref()).map_err(bad)?;
        Ok((name.clone(), Found { path, source, name, entry }))
    });
    let found = found.collect::<Result<BTreeMap<_, _>>>()?;
    let (weights, sha256) =
        rayon::join(|| Weights::read(path, &found, |_| None, held), || folder_sha256(&files));
    let mut weights = weights?;
    if family.gains_from_one {
        weights.add_one(gains(&config))?;
    }
    let headed = head(&mut config, &weights, path)?;
    let mut warnings = plan.warnings(path);
    if tokenizer.bos_in_doubt()? {
        warnings.push(ModelWarning::BosInDoubt {
            path: path.join("tokenizer_config.json"),
            says: tokenizer.says_bos.unwrap_or_default(),
        });
    }
    warnings.extend(headed);
    if index.is_none() && path.join(INDEX).exists() {
        warnings.push(ModelWarning::TwoWeightFiles { path: path.into() });
    }
    Ok(Opened { sha256: sha256?, decoder: Decoder::new(config, weights)?, tokenizer, warnings })
}

/// A tensor of a safetensors file, with the file and the bytes of that.
type View<'a> = (&'a Path, &'a Source, TensorView<'a>);
type Views<'a> = BTreeMap<String, View<'a>>;

/// Names of the gains of all norms.
fn gains(c: &Config) -> Vec<String> {
    let of = |l| c.block_norms().all().map(move |(n, _)| format!("model.layers.{l}.{n}.weight"));
    (0..c.layers).flat_map(of).chain(["model.norm.weight".to_string()]).collect()
}

/// Rows of a tensor, where they lie.
fn rows<'a>((file, source, v): &View<'a>, rows: Range<usize>) -> Result<View<'a>> {
    let row = v.data().len() / v.shape()[0];
    let shape = [&[rows.len()], &v.shape()[1..]].concat();
    let view = TensorView::new(v.dtype(), shape, &v.data()[rows.start * row..rows.end * row]);
    Ok((*file, *source, view.map_err(|e| ModelError::file(file, e.to_string()))?))
}

/// Every tensor of safetensors files, each in the one file that holds it.
fn views<'a>(maps: &'a [(&'a Path, Source)]) -> Result<Views<'a>> {
    let mut all = Views::new();
    for (file, map) in maps {
        for (name, view) in safetensors(file, (**map).as_ref())?.tensors() {
            if let Some((other, ..)) = all.get(&name) {
                let why = format!("weight `{name}` is in {} too", other.display());
                return Err(ModelError::file(file, why));
            }
            all.insert(name, (file, map, view));
        }
    }
    Ok(all)
}

/// A head beside a tied flag: the embeddings again, or one of its own, which is then used.
fn head(config: &mut Config, weights: &Weights, path: &Path) -> Result<Option<ModelWarning>> {
    let (head, embed) = ("lm_head.weight", "model.embed_tokens.weight");
    if !config.tied || !weights.has(head) || weights.alike(head, embed)? {
        return Ok(None);
    }
    config.tied = false;
    Ok(Some(ModelWarning::HeadDiffers { path: path.into() }))
}
