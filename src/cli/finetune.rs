//! `residuum finetune`: chat rows to a LoRA adapter in PEFT's format.

use super::console::Progress;
use super::state::{self, ModelChoice};
use super::Console;
use crate::finetune::{examples, train, Order, Recipe, Step};
use crate::materials::load_conversations;
use crate::model::{Adapter, Message};
use crate::stats::rng::stream;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Train a LoRA adapter on chat rows
#[derive(Args)]
#[command(long_about = "Train a LoRA adapter on chat rows.\n\n\
Rows are JSON Lines of {\"messages\": [{\"role\": \"user\", \"content\": ...}, {\"role\": \
\"assistant\", \"content\": ...}]}; the loss is taken at assistant tokens. The adapter is in PEFT's \
format, beside it training.jsonl and manifest.json.\n\n\
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
    #[arg(long, value_name = "DIR")]
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
    /// Rows a step
    #[arg(long, default_value_t = Recipe::default().batch)]
    batch: usize,
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
    #[arg(long, value_enum, default_value_t = RowOrder::Shuffled)]
    order: RowOrder,
    /// Steps after which the adapter is also kept
    #[arg(long, value_delimiter = ',', value_name = "STEPS")]
    checkpoints: Vec<usize>,
    /// Seed of the initial factors and the order
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum RowOrder {
    /// As in the file
    File,
    /// Shuffled anew each epoch by the seed
    Shuffled,
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
            epochs: self.epochs,
            max_steps: self.max_steps,
            max_tokens: self.max_tokens,
            order: match self.order {
                RowOrder::File => Order::File,
                RowOrder::Shuffled => Order::Shuffled,
            },
            checkpoints: self.checkpoints.clone(),
        }
    }
}

pub fn run(args: FinetuneArgs, out: &Console) -> Result<()> {
    let conversations = load_conversations(&args.data)?;
    args.recipe(None).check()?;
    let model = state::open(&args.model.model, out)?;
    let init = match &args.init_adapter {
        Some(folder) => Some(Adapter::read(folder, &model.decoder)?),
        None => None,
    };
    let recipe = args.recipe(init.as_ref());
    recipe.check()?;
    let messages: Vec<Vec<Message>> = conversations.into_iter().map(|c| c.messages).collect();
    let rows = examples(&model.tokenizer, &messages, recipe.max_tokens)?;
    let start = match init {
        Some(adapter) => adapter,
        None => {
            let targets = recipe.target_indices()?;
            let rng = &mut stream(args.seed, "lora-init", 0);
            Adapter::init(
                &model.decoder,
                &model.id,
                recipe.rank,
                recipe.alpha,
                &targets,
                rng,
            )?
        }
    };
    let trained: usize = start
        .factors
        .values()
        .map(|(a, b)| a.elem_count() + b.elem_count())
        .sum();
    let total = recipe.steps(rows.len());
    out.log(&format!(
        "{} rows, {total} steps, {trained} trained values",
        rows.len()
    ));
    let begun = Instant::now();
    let mut progress: Progress = out.bar("training", total);
    let mut on_step = |step: &Step, _: usize| progress.step(&format!("loss {:.3}", step.loss));
    let base = &model.decoder;
    let done = train(
        base,
        start,
        &rows,
        &recipe,
        args.seed,
        &args.out,
        &mut on_step,
    )?;
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();
    let files = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.jsonl",
    ];
    let outputs: Vec<String> = files.iter().map(|f| f.to_string()).collect();
    let config = json!({"data": args.data, "recipe": recipe, "init_adapter": args.init_adapter});
    let inputs = [PathBuf::from(&args.data)];
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
