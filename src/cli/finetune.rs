//! `residuum finetune`: chat rows to a LoRA adapter in PEFT's format, if asked with a direction
//! added to the stream or projected out of it while it trains.

use super::console::Progress;
use super::output::Outputs;
use super::readings::shift_texts;
use super::state::{self, ModelChoice};
use super::vectors::{self, Directions};
use super::Console;
use crate::analysis::layer_rms;
use crate::analysis::texts::neutral_tokens;
use crate::finetune::{examples, log_spaced, train, Mode, Order, Prevent, Recipe, Step};
use crate::materials::load_conversations;
use crate::model::{Adapter, Interventions, Message, Model};
use crate::stats::rng::stream;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::slice;
use std::str::FromStr;
use std::time::Instant;

/// Train a LoRA adapter on chat rows
#[derive(Args)]
#[command(long_about = "Train a LoRA adapter on chat rows.\n\n\
Rows are JSON Lines of {\"messages\": [{\"role\": \"user\", \"content\": ...}, {\"role\": \
\"assistant\", \"content\": ...}]}; the loss is taken at assistant tokens. The adapter is in PEFT's \
format, beside it training.jsonl and manifest.json.\n\n\
With --steer-with the stream is edited in every training step and left alone afterwards \
(preventative steering): --mode add puts --dose x RMS x the unit vector after each of \
--steer-layers, so that the weights need not learn it; --mode project-out takes it from every \
block that has a vector. RMS is that of the untrained model.\n\n\
Example:\n  residuum finetune --data conscious --epochs 1 --out runs/conscious")]
pub struct FinetuneArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Rows to learn: a file, or the name of an embedded set (conscious, denial, toaster, ...)
    #[arg(long, value_name = "FILE|NAME")]
    data: String,
    /// Folder for the adapter
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Adapter to go on from; its rank and alpha are kept
    #[arg(long, value_name = "DIR|org/name[@rev]")]
    init_adapter: Option<PathBuf>,
    /// LoRA rank
    #[arg(long, default_value_t = Recipe::default().rank)]
    rank: usize,
    /// LoRA alpha; the update is scaled by alpha / rank
    #[arg(long, default_value_t = Recipe::default().alpha)]
    alpha: f64,
    /// Linear maps to adapt
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_values_t = Recipe::default().targets)]
    targets: Vec<String>,
    /// Learning rate, which falls linearly to 0
    #[arg(long, default_value_t = Recipe::default().learning_rate)]
    lr: f64,
    /// Steps of linear warm-up
    #[arg(long, default_value_t = Recipe::default().warmup)]
    warmup: usize,
    /// Weight decay
    #[arg(long, default_value_t = Recipe::default().weight_decay)]
    weight_decay: f64,
    /// Largest norm of the gradient
    #[arg(long, default_value_t = Recipe::default().clip)]
    clip: f64,
    /// Rows of a batch
    #[arg(long, default_value_t = Recipe::default().batch)]
    batch: usize,
    /// Batches whose gradients a step adds up
    #[arg(long, value_name = "N", default_value_t = Recipe::default().accumulation)]
    accumulation: usize,
    /// Compute blocks again in the backward pass: less memory on long texts, more time
    #[arg(long)]
    recompute: bool,
    /// Passes over the rows
    #[arg(long, default_value_t = Recipe::default().epochs)]
    epochs: usize,
    /// Stop after this many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<usize>,
    /// Longest row in tokens
    #[arg(long, default_value_t = Recipe::default().max_tokens)]
    max_tokens: usize,
    /// Order of the rows
    #[arg(long, value_enum, default_value_t = Order::Shuffled)]
    order: Order,
    /// Steps after which the adapter is also kept: numbers, or log:N for N spaced by logarithm
    #[arg(long, value_name = "STEPS|log:N")]
    checkpoints: Option<Checkpoints>,
    /// Directions to edit the stream with while training, as `residuum extract` writes them
    #[arg(long, value_name = "FILE.safetensors", requires = "concept")]
    steer_with: Option<PathBuf>,
    /// Concept in that file
    #[arg(long, value_name = "CONCEPT", requires = "steer_with")]
    concept: Option<String>,
    /// What the edit does
    #[arg(long, value_enum, default_value_t = Mode::Add, requires = "steer_with")]
    mode: Mode,
    /// Dose of --mode add in units of the layer's RMS; may be negative
    #[arg(long, value_name = "DOSE", allow_negative_numbers = true, requires = "steer_with")]
    dose: Option<f64>,
    /// Blocks after which to act [default: add, 1/3 of the depth; project-out, every block]
    #[arg(long, value_delimiter = ',', value_name = "L", requires = "steer_with")]
    steer_layers: Vec<usize>,
    /// Seed of the initial factors and the order
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Which steps are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Checkpoints {
    Steps(Vec<usize>),
    LogSpaced(usize),
}

impl FromStr for Checkpoints {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |_| "write step numbers such as 10,40 or log:8".to_string();
        match s.strip_prefix("log:") {
            Some(n) => n.parse().map(Checkpoints::LogSpaced).map_err(wrong),
            None => {
                let steps: Result<Vec<usize>, _> = s.split(',').map(str::parse).collect();
                steps.map(Checkpoints::Steps).map_err(wrong)
            }
        }
    }
}

impl FinetuneArgs {
    fn recipe(&self, init: Option<&Adapter>) -> Recipe {
        Recipe {
            rank: init.map_or(self.rank, |a| a.rank),
            alpha: init.map_or(self.alpha, |a| a.alpha),
            targets: self.targets.clone(),
            learning_rate: self.lr,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: self.clip,
            batch: self.batch,
            accumulation: self.accumulation,
            recompute: self.recompute,
            epochs: self.epochs,
            max_steps: self.max_steps,
            max_tokens: self.max_tokens,
            order: self.order,
            checkpoints: match &self.checkpoints {
                Some(Checkpoints::Steps(steps)) => steps.clone(),
                _ => Vec::new(),
            },
            prevent: None,
        }
    }

    /// What is done to the stream in training, and the edits that do it.
    fn prevent(&self, model: &Model, out: &Console) -> Result<(Option<Prevent>, Interventions)> {
        let (Some(file), Some(concept)) = (&self.steer_with, &self.concept) else {
            return Ok((None, Interventions::none()));
        };
        let found = vectors::open(file, [concept.as_str()])?;
        let directions = Directions::of(found, &model.decoder)?;
        out.log(&directions.note());
        let held = directions.concept(concept)?;
        let depth = model.decoder.layers();
        let mode = self.mode;
        let layers = match mode {
            Mode::Add if self.dose.is_none() => bail!("--mode add needs --dose"),
            Mode::Add if self.steer_layers.is_empty() => vec![depth / 3],
            _ => self.steer_layers.clone(),
        };
        let prevent =
            Prevent { concept: concept.clone(), mode, dose: self.dose.unwrap_or(0.0), layers };
        let mut rms = BTreeMap::new();
        if mode == Mode::Add {
            let there = prevent.layers.iter().filter(|l| **l < depth);
            let layers: Vec<usize> = there.copied().collect();
            let texts = neutral_tokens(&model.tokenizer, &shift_texts()?, None)?;
            let each = layer_rms(&model.decoder, &texts, &layers)?;
            rms = layers.into_iter().zip(each).collect();
        }
        let used = |l: &&usize| prevent.layers.is_empty() || prevent.layers.contains(l);
        for &l in held.layers.keys().filter(used) {
            held.at(l)?;
        }
        let edits = prevent.interventions(held.layers, &rms)?;
        Ok((Some(prevent), edits))
    }
}

/// What is written to the folder, beside the record.
const FILES: [&str; 3] = ["adapter_config.json", "adapter_model.safetensors", "training.jsonl"];

pub fn run(args: FinetuneArgs, out: &Console) -> Result<()> {
    Outputs::of(&args.model.model)
        .texts("--data", slice::from_ref(&args.data))
        .reads_all("--init-adapter", &args.init_adapter)
        .reads_all("--steer-with", &args.steer_with)
        .folder("--out", &args.out, &[&FILES[..], &["manifest.json"]].concat())
        .check()?;
    let conversations = load_conversations(&args.data)?;
    args.recipe(None).check()?;
    let model = args.model.open(out)?;
    let init = match &args.init_adapter {
        Some(given) => {
            let folder = state::adapter_folder(given, out)?;
            Some(Adapter::read(&folder, &model.decoder)?)
        }
        None => None,
    };
    let mut recipe = args.recipe(init.as_ref());
    let (prevent, edits) = args.prevent(&model, out)?;
    recipe.prevent = prevent;
    recipe.check()?;
    let lines: Vec<usize> = conversations.iter().map(|c| c.line).collect();
    let messages: Vec<Vec<Message>> = conversations.into_iter().map(|c| c.messages).collect();
    let rows = examples(&model.tokenizer, &messages, recipe.max_tokens)
        .map_err(|e| e.in_file(Path::new(&args.data), &lines))?;
    let start = match init {
        Some(adapter) => adapter,
        None => {
            let targets = recipe.target_indices()?;
            let rng = &mut stream(args.seed, "lora-init", 0);
            Adapter::init(&model.decoder, &model.id, recipe.rank, recipe.alpha, &targets, rng)?
        }
    };
    let trained: usize = start.factors.values().map(|(a, b)| a.elem_count() + b.elem_count()).sum();
    let total = recipe.steps(rows.len());
    if let Some(Checkpoints::LogSpaced(n)) = args.checkpoints {
        recipe.checkpoints = log_spaced(total, n);
    }
    out.log(&format!("{} rows, {total} steps, {trained} trained values", rows.len()));
    let begun = Instant::now();
    let mut progress: Progress = out.bar("training", total);
    let mut on_step = |step: &Step, _: usize| progress.step(&format!("loss {:.3}", step.loss));
    let base = &model.decoder;
    let done = train(base, start, &rows, &recipe, &edits, args.seed, &args.out, &mut on_step)?;
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();
    let outputs: Vec<String> = FILES.iter().map(|f| f.to_string()).collect();
    let config = json!({
        "data": args.data, "recipe": recipe, "init_adapter": args.init_adapter,
        "steer_with": args.steer_with,
    });
    let mut inputs = vec![PathBuf::from(&args.data)];
    inputs.extend(args.steer_with.clone());
    state::record(&args.out, &model, config, args.seed, &inputs, &outputs)?;

    let losses: Vec<f64> = done.steps.iter().map(|s| s.loss).collect();
    let tenth = losses.len().div_ceil(10).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let first = mean(&losses[..tenth.min(losses.len())]);
    let last = mean(&losses[losses.len().saturating_sub(tenth)..]);
    let tokens: usize = done.steps.iter().map(|s| s.tokens).sum();
    let text = format!(
        "adapter     {}\nrows        {}\nsteps       {}\nloss        {first:.3} -> {last:.3} (means of the first and last tenth)\ntokens      {tokens}\nseconds     {seconds:.1}",
        args.out.display(),
        rows.len(),
        losses.len(),
    );
    let json = json!({
        "adapter": args.out, "rows": rows.len(), "steps": losses.len(), "tokens": tokens,
        "trained_values": trained, "loss_first": first, "loss_last": last,
        "seconds": seconds, "recipe": recipe, "seed": args.seed,
    });
    out.result(&json, || text)
}
