//! A model from a `.gguf` file, or from the parts of a split one: its shape and its weights.

use super::config::Config;
use super::decoder::Decoder;
use super::error::{ModelError, Result};
use super::families;
use super::files::files_sha256;
use super::gguf_header::Entry;
use super::gguf_meta::Meta;
use super::gguf_parts::Parts;
use super::inventory::Inventory;
use super::names::Naming;
use super::placement::Placement;
use super::rope::RopeScaling;
use super::row_order::RowOrder;
use super::stored;
use super::tokenizer::{Fit, TextOptions, Tokenizer};
use super::tokenizer_files;
use super::warning::ModelWarning;
use super::weights::{host_values, Found, Held, Weights};
use std::ops::Range;
use std::path::Path;

/// Tensors of factors of the rotary frequencies; the last is for texts that are longer than those read.
const OF_ROPE: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// What a model's files give.
pub(super) struct Opened {
    pub sha256: String,
    pub decoder: Decoder,
    pub tokenizer: Tokenizer,
    pub warnings: Vec<ModelWarning>,
}

/// The tokenizer alone; the file need hold no weights.
pub(crate) fn tokenizer(path: &Path, options: &TextOptions) -> Result<Tokenizer> {
    let parts = Parts::open(path)?;
    let meta = Meta { path, map: parts.metadata() };
    let arch = meta.text("general.architecture").unwrap_or_default();
    let fit = Fit {
        context: meta.size(&format!("{arch}.context_length"))?.unwrap_or(usize::MAX),
        vocab: meta.texts("tokenizer.ggml.tokens")?.len(),
    };
    tokenizer_files::of_gguf(&meta, fit, options)
}

/// The shape. What no key says: the embeddings are the head where there is no other, and the factors of
/// rotary frequencies are a tensor.
fn config(path: &Path, parts: &Parts, order: RowOrder) -> Result<Config> {
    let meta = Meta { path, map: parts.metadata() };
    let mut config = families::of_gguf(&meta)?;
    config.interleaved = order.interleaved(config.interleaved);
    config.tied = parts.tensor("output.weight").is_none();
    let found = OF_ROPE[..2].iter().find_map(|name| parts.tensor(name));
    let Some(found) = found else {
        return Ok(config);
    };
    if config.rope.scaling != RopeScaling::None {
        let why = "holds factors of rotary frequencies, which keys rescale too";
        return Err(meta.missing(found.name, why));
    }
    let arch = meta.text("general.architecture").unwrap_or_default();
    let scale = meta.number(&format!("{arch}.rope.scaling.attn_factor"))?;
    let factors = host_values(&found.decoded()?)?.into_iter().map(f64::from).collect();
    config.rope.scaling = RopeScaling::Each { factors, scale: scale.unwrap_or(1.0) };
    config.checked(path, |key| match key {
        "rope_scaling.short_factor" => found.name.into(),
        key => format!("{arch}, {key}"),
    })
}

/// Rows of a tensor, where they lie.
fn rows<'a>(f: &Found<'a>, rows: Range<usize>) -> Result<Found<'a>> {
    let Entry { encoding, shape, bytes } = &f.entry;
    let all = shape.first().copied().unwrap_or(0);
    let row = bytes.len().checked_div(all).filter(|row| row * all == bytes.len());
    let why = || format!("tensor `{}` has no whole rows", f.name);
    let row = row.ok_or_else(|| ModelError::Gguf { path: f.path.into(), why: why() })?;
    let bytes = bytes.start + rows.start * row..bytes.start + rows.end * row;
    let shape = [&[rows.len()], &shape[1..]].concat();
    Ok(Found { entry: Entry { encoding: *encoding, shape, bytes }, ..*f })
}

/// The decoder of parts that are open.
fn decoder(
    path: &Path,
    config: Config,
    parts: &Parts,
    held: Held,
) -> Result<(Decoder, Vec<ModelWarning>)> {
    let found = parts.tensors(config.norms);
    let count = |f: &Found| f.entry.shape.first().copied().unwrap_or(0);
    let mut found = stored::split(found, &config, count, rows)?;
    found.retain(|name, _| !OF_ROPE.contains(&name.as_str()));
    let inventory = Inventory {
        path,
        naming: Naming::Gguf(config.norms),
        shapes: (found.iter()).map(|(name, f)| (name.clone(), f.entry.shape.clone())).collect(),
    };
    let plan = inventory.plan(&config)?;
    found.retain(|name, _| plan.wanted.contains(name));
    let weights = Weights::from_gguf(path, &found, &config, held)?;
    Ok((Decoder::new(config, weights)?, plan.warnings(path)))
}

pub(crate) fn load(path: &Path, options: &TextOptions, placement: &Placement) -> Result<Opened> {
    let mut parts = Parts::open(path)?;
    let config = config(path, &parts, placement.order)?;
    let held = placement.held;
    let meta = Meta { path, map: parts.metadata() };
    let tokenizer = tokenizer_files::of_gguf(&meta, config.fit(), options)?;
    parts.forget_metadata();
    let files = parts.paths();
    let (decoded, sha256) =
        rayon::join(|| decoder(path, config, &parts, held), || files_sha256(&files));
    let (decoder, warnings) = decoded?;
    Ok(Opened { sha256: sha256?, decoder, tokenizer, warnings })
}

/// The decoder of a file, without its tokenizer.
#[cfg(test)]
pub(super) fn decoder_of(path: &Path) -> Result<(Decoder, Vec<ModelWarning>)> {
    decoder_held(path, Held::Auto)
}

/// As [`decoder_of`], its weights held so.
#[cfg(test)]
pub(super) fn decoder_held(path: &Path, held: Held) -> Result<(Decoder, Vec<ModelWarning>)> {
    let parts = Parts::open(path)?;
    decoder(path, config(path, &parts, RowOrder::Model)?, &parts, held)
}
