//! `residuum model`: fetch models of the catalogue, list them, check one, hold it against another
//! implementation.

use super::{output::Outputs, Console};
use crate::materials::load::neutral_texts;
use crate::model::row_order::perplexity;
use crate::model::verify::verify;
use crate::model::{catalogue, folder, resolve, warning, Loading, Model, RowOrder};
use crate::record;
use crate::speed::Rates;
use crate::store::Frame;
use crate::study::cost::reading_bytes;
use anyhow::{bail, Result};
use clap::{Args, Subcommand};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Fetch, list, check and export models.
///
/// A model is a name of the catalogue, a hub model org/name[@rev], a folder in the Hugging Face
/// layout or a .gguf file. Catalogue models are pinned by SHA-256.
///
/// Example: residuum model pull smollm2-135m-instruct
#[derive(Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch a model and print where it lies
    Pull {
        /// Name of the catalogue, or hub model org/name[@rev]
        #[arg(default_value = catalogue::DEFAULT)]
        name: String,
    },
    /// List the catalogue
    List,
    /// Write a model as a Hugging Face folder, weights in f32, for PyTorch
    Export {
        /// Name of the catalogue, hub model org/name[@rev], folder or .gguf file
        #[arg(value_name = "NAME|PATH", default_value = catalogue::DEFAULT)]
        name: String,
        /// Folder to write
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// Largest weight file, in gigabytes
        #[arg(long, default_value_t = 4.0, value_name = "GB")]
        shard: f64,
    },
    /// Render conversations and print every token with its role: look at it before trusting a
    /// model
    Template(super::template::TemplateArgs),
    /// Load a model, check its digest and print what it is
    Check {
        /// Name of the catalogue, hub model org/name[@rev], folder or .gguf file
        #[arg(value_name = "NAME|PATH", default_value = catalogue::DEFAULT)]
        name: String,
    },
    /// Hold a model's activations against those that another implementation dumped for one text,
    /// up to the first hook point that differs
    Verify {
        /// Name of the catalogue, hub model org/name[@rev], folder or .gguf file
        #[arg(value_name = "NAME|PATH", default_value = catalogue::DEFAULT)]
        name: String,
        /// The dump: safetensors with ids, and activations named as hook points, or logits
        #[arg(long, value_name = "FILE.safetensors")]
        against: PathBuf,
        /// Largest deviation allowed, in units of a point's RMS
        #[arg(long, default_value_t = 1e-3)]
        limit: f64,
    },
}

pub fn run(args: ModelArgs, out: &Console) -> Result<()> {
    match args.action {
        Action::Pull { name } => {
            let path = resolve::pull(&name, &mut |line| out.log(line))?;
            let text = path.display().to_string();
            out.result(&json!({"name": name, "path": text}), || text.clone())
        }
        Action::List => list(out),
        Action::Export { name, out: to, shard } => {
            let config = ["config.json", "tokenizer.json", "tokenizer_config.json"];
            let all = Outputs::of(&name).folder("--out", &to, &config);
            let _taken = all.take(out.force)?;
            let model = super::state::open(&name, out)?;
            let files = folder::write(&model, &to, (shard * 1e9) as usize)?;
            let json = json!({"name": name, "folder": to, "files": files});
            let lines = files.iter().map(|f| f.display().to_string());
            out.result(&json, || lines.collect::<Vec<_>>().join("\n"))
        }
        Action::Template(args) => super::template::run(&args, out),
        Action::Check { name } => check(&name, out),
        Action::Verify { name, against, limit } => {
            let model = super::state::open(&name, out)?;
            let rows = verify(&model.decoder, &against, limit)?;
            let frame = Frame::of(&rows);
            out.result(&json!({"points": frame.json(), "limit": limit}), || frame.text())?;
            match rows.last().filter(|r| r.deviation > limit) {
                None => Ok(()),
                Some(r) => bail!(
                    "{name} and {} part at {}, token {}: by {:.1e} of the RMS, where {limit:.0e} is allowed",
                    against.display(), r.point, r.position, r.deviation
                ),
            }
        }
    }
}

record! {
    /// Models that the program knows by name.
    #[table("models/catalogue")]
    pub struct CatalogueRow {
        /// Name.
        pub name: String,
        /// Size of the file.
        pub megabytes: usize in "MB",
        /// Licence of the weights.
        pub licence: String,
        /// Whether it lies in the cache.
        pub fetched: bool,
        /// What it is.
        pub about: String,
    }
}

fn list(out: &Console) -> Result<()> {
    let entries = catalogue::entries()?.into_iter();
    let rows = entries.map(|(name, entry)| CatalogueRow {
        fetched: resolve::cached_path(&name, &entry).exists(),
        name,
        megabytes: (entry.bytes / 1_000_000) as usize,
        licence: entry.licence,
        about: entry.about,
    });
    let frame = Frame::of(&rows.collect::<Vec<_>>());
    out.result(&json!({"models": frame.json()}), || frame.text())
}

/// Texts on which two orders of rows are told apart.
const TEXTS_OF_ORDER: usize = 4;

/// Of a GGUF file that may hold the rows of q and k in either order: perplexity on neutral texts as it is
/// loaded and in the other order. A warning where the other is the better.
fn row_order(model: &Model, as_is: &Loading, warnings: &mut Vec<String>) -> Result<Option<Value>> {
    let interleaved = model.decoder.config.interleaved;
    let asked = model.placement.order != RowOrder::Model;
    if model.path.is_dir() || !(interleaved || asked) {
        return Ok(None);
    }
    let texts = neutral_texts(None)?.items;
    let texts: Vec<&str> = texts.iter().take(TEXTS_OF_ORDER).map(|t| t.response.as_str()).collect();
    let (this, that) = match interleaved {
        true => (RowOrder::Permuted, RowOrder::Plain),
        false => (RowOrder::Plain, RowOrder::Permuted),
    };
    let mut loading = as_is.clone();
    loading.placement.order = that;
    let other = Model::load(&model.id, &model.path, &loading)?;
    let of = |m: &Model| perplexity(&m.decoder, &m.tokenizer, &texts);
    let (here, there) = (of(model)?, of(&other)?);
    let said = format!(
        "{}: perplexity {here:.1} on {} neutral texts, {}: {there:.1}",
        this.name(),
        texts.len(),
        that.name()
    );
    if there < here {
        let that = that.name();
        warnings.push(format!(
            "the rows of q and k are read as {}, where {that} gives the lower perplexity ({there:.1} for {here:.1}); give --gguf-order {that}",
            this.name()
        ));
    }
    let json = json!({"order": this.name(), "perplexity": here, "other": there, "texts": texts.len(), "said": said});
    Ok(Some(json))
}

/// A rate in as many digits as it is worth.
fn digits(rate: f64) -> String {
    match rate < 10.0 {
        true => format!("{rate:.1}"),
        false => format!("{rate:.0}"),
    }
}

fn check(name: &str, out: &Console) -> Result<()> {
    let entry = catalogue::entries()?.remove(name);
    let path = resolve::resolve(name, &mut |line| out.log(line))?;
    if let Some(entry) = &entry {
        resolve::check(&path, entry)?;
    }
    let loading = Loading { placement: out.placement, ..Loading::default() };
    let model = Model::load(name, &path, &loading)?;
    let mut warnings = warning::texts(&model.warnings);
    let order = row_order(&model, &loading, &mut warnings)?;
    let c = &model.decoder.config;
    let (blocks, hidden, feed_forward, vocabulary, context) =
        (c.layers, c.hidden, c.intermediate, c.vocab, c.context);
    let (heads, kv_heads, head_dim) = (c.heads, c.kv_heads, c.head_dim);
    let (template, problem) = (model.template_sha256(), model.tokenizer.template_problem());
    let (held, stored) = (model.decoder.footprint(), model.decoder.is_stored());
    let encodings = model.decoder.encodings();
    let weights = match stored {
        true => format!("as stored ({}), {:.2} GB", encodings.join(", "), held.mapped as f64 / 1e9),
        false => format!("in f32, {:.2} GB", held.memory as f64 / 1e9),
    };
    let (pace, peak) = (Rates::typical(&model.decoder), reading_bytes(&model.decoder));
    let (path, sha256) = (path.display(), &model.sha256);
    let json = json!({
        "name": name, "path": path.to_string(), "sha256": sha256, "pinned": entry.is_some(),
        "blocks": blocks, "hidden": hidden, "heads": heads, "kv_heads": kv_heads,
        "head_dim": head_dim, "intermediate": feed_forward, "vocabulary": vocabulary,
        "context": context, "rope_theta": c.rope.theta, "tied_embeddings": c.tied,
        "weights": {"stored": stored, "encodings": encodings, "memory_bytes": held.memory,
            "mapped_bytes": held.mapped},
        "reading_bytes": peak, "pace_of_two_cores": {"captured": pace.captured,
            "trained": pace.trained, "generated": pace.generated,
            "generated_alone": pace.generated_alone},
        "chat_template_sha256": template, "chat_template_problem": problem,
        "gguf_order": order, "tokenizer": model.tokenizer.record(), "warnings": warnings,
    });
    let digest = match entry {
        Some(_) => "is the pinned one",
        None => "(no pinned digest to compare)",
    };
    let chat = match (&template, problem) {
        (Some(_), _) => "chat".to_string(),
        (None, Some(why)) => format!("cannot be used, give raw texts only: {why}"),
        (None, None) => "none: give raw texts only".to_string(),
    };
    let peak = peak / 1e9;
    let [captured, trained, together, alone] =
        [pace.captured, pace.trained, pace.generated, pace.generated_alone].map(digits);
    let mut text = format!(
        "{name} is usable\n\
         path          {path}\n\
         SHA-256       {sha256} {digest}\n\
         blocks        {blocks}\n\
         hidden        {hidden}\n\
         heads         {heads} of width {head_dim}, {kv_heads} for keys and values\n\
         feed-forward  {feed_forward}\n\
         vocabulary    {vocabulary}\n\
         context       {context}\n\
         weights       {weights}\n\
         memory        about {peak:.1} GB at most to capture or score\n\
         pace          of a 2-core machine, in tokens a second: capture {captured}, LoRA {trained}, generation {together} (32 prompts), {alone} (one); `residuum bench` measures yours\n\
         template      {chat}"
    );
    if let Some(order) = &order {
        text += &format!("\nrows of q, k  {}", order["said"].as_str().unwrap_or_default());
    }
    for warning in &warnings {
        text += &format!("\nwarning       {warning}");
    }
    out.result(&json, || text)
}
