//! `residuum finetune`: chat rows to a LoRA adapter in PEFT's format, if asked with a direction
//! added to the stream or projected out of it while it trains.

use super::state::{self, ModelChoice};
use super::vectors::{self, Directions};
use super::{kept::Origin, output::Outputs, readings::scale_texts, Console};
use crate::analysis::layer_rms;
use crate::finetune::{examples, log_spaced, train, Example, Mode, Prevent, Recipe, Step};
use crate::materials::{load_conversations, Conversation};
use crate::model::{resolve, Adapter, Interventions, Message, Model};
use crate::stats::rng::stream;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, slice, time::Instant};

/// Train a LoRA adapter on chat rows.
///
/// Rows are JSON Lines of {"messages": [{"role": "user", "content": ...}, {"role": "assistant",
/// "content": ...}]}; the loss is taken at assistant tokens. The adapter is in PEFT's format,
/// with training.jsonl and manifest.json in the same folder.
///
/// Rows of --neutral are mixed in, or with --share fill a fixed part of each batch: the same steps
/// at any share, as often over either kind as they need.
///
/// With --steer-with the stream is edited in every training step and left alone afterwards
/// (preventative steering): --mode add puts --dose x RMS x the unit vector after each of
/// --steer-layers, so that the weights need not learn it; --mode project-out takes it from every
/// block that has a vector. RMS is that of the untrained model.
///
/// Example: residuum finetune --data conscious --epochs 1 --out runs/conscious
#[derive(Args)]
pub struct FinetuneArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Rows to learn: a file, or the name of an embedded set (conscious, denial, toaster, ...)
    #[arg(long, value_name = "FILE|NAME")]
    data: String,
    /// Folder for the adapter
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Neutral rows to mix in, such as `residuum distill` writes
    #[arg(long, value_name = "FILE")]
    neutral: Option<String>,
    /// Adapter to go on from; its rank, alpha and targets are kept
    #[arg(long, value_name = "DIR|org/name[@rev]", conflicts_with_all = ["rank", "alpha", "targets"])]
    init_adapter: Option<PathBuf>,
    #[command(flatten)]
    recipe: Recipe,
    /// Steps after which the adapter is also kept: numbers, or log:N for N spaced by logarithm
    #[arg(long, value_name = "STEPS|log:N", value_parser = checkpoints)]
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

fn checkpoints(s: &str) -> Result<Checkpoints, String> {
    let parsed = match s.strip_prefix("log:") {
        Some(n) => n.parse().map(Checkpoints::LogSpaced),
        None => s.split(',').map(str::parse).collect::<Result<_, _>>().map(Checkpoints::Steps),
    };
    parsed.map_err(|_| "write step numbers such as 10,40 or log:8".into())
}

impl FinetuneArgs {
    /// What is done to the stream in training, and the edits that do it.
    fn prevent(&self, model: &Model, out: &Console) -> Result<(Option<Prevent>, Interventions)> {
        let (Some(file), Some(concept)) = (&self.steer_with, &self.concept) else {
            return Ok((None, Interventions::none()));
        };
        let found = vectors::open(file, [concept.as_str()])?;
        let directions = Directions::of(found, &model.decoder)?;
        out.log(&directions.note());
        directions.doubt(model).iter().for_each(|doubt| out.warn(doubt));
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
            let layers: Vec<usize> =
                prevent.layers.iter().copied().filter(|l| *l < depth).collect();
            let each = layer_rms(&model.decoder, &scale_texts(model)?, &layers)?;
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

/// Says that checkpoints of an earlier training stay beside what is written by force.
fn earlier_checkpoints(folder: &Path) -> Option<String> {
    let names = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.file_name());
    let n = names.filter(|n| n.to_string_lossy().starts_with("checkpoint-")).count();
    (n > 0).then(|| {
        format!(
            "{} holds {n} checkpoints of an earlier training, which stay but where a step is the same: remove them if they are not wanted",
            folder.display()
        )
    })
}

pub fn run(args: FinetuneArgs, out: &Console) -> Result<()> {
    let _taken = Outputs::of(&args.model.model)
        .texts("--data", slice::from_ref(&args.data))
        .reads_all("--neutral", &args.neutral)
        .reads_all("--init-adapter", &args.init_adapter)
        .reads_all("--steer-with", &args.steer_with)
        .folder("--out", &args.out, &[&FILES[..], &["manifest.json"]].concat())
        .take(out.force)?;
    earlier_checkpoints(&args.out).iter().for_each(|told| out.warn(told));
    let conversations = load_conversations(&args.data)?;
    let neutral = args.neutral.as_deref().map(load_conversations).transpose()?;
    let mut recipe = args.recipe.clone();
    if let Some(Checkpoints::Steps(steps)) = &args.checkpoints {
        recipe.checkpoints.clone_from(steps);
    }
    recipe.check()?;
    let model = args.model.open(out)?;
    if model.decoder.config.fused {
        out.warn("the adapter will name q_proj, k_proj, v_proj, gate_proj and up_proj, which files of this model hold as fused maps: residuum reads it, and peft on such a model leaves these out; do not use it there");
    }
    let mut init = None;
    if let Some(given) = &args.init_adapter {
        let folder = state::adapter_folder(given, out)?;
        state::check(&model, [&*folder], out)?;
        let adapter = Adapter::read(&folder, &model.decoder)?;
        (recipe.rank, recipe.alpha) = (adapter.rank, adapter.alpha);
        init = Some(adapter);
    }
    let (prevent, edits) = args.prevent(&model, out)?;
    recipe.prevent = prevent;
    recipe.check()?;
    let encoded = |name: &str, all: Vec<Conversation>| {
        let (lines, messages): (Vec<usize>, Vec<Vec<Message>>) =
            all.into_iter().map(|c| (c.line, c.messages)).unzip();
        examples(&model.tokenizer, &messages, recipe.max_tokens)
            .map_err(|e| e.in_file(Path::new(name), &lines))
    };
    let mut rows = encoded(&args.data, conversations)?;
    let own = rows.len();
    if let (Some(name), Some(all)) = (&args.neutral, neutral) {
        let mixed = encoded(name, all)?.into_iter();
        rows.extend(mixed.map(|e| Example { mixed: true, ..e }));
    }
    let mut start = match init {
        Some(adapter) => adapter,
        None => {
            let targets = recipe.target_indices()?;
            let rng = &mut stream(args.seed, "lora-init", 0);
            let base = resolve::base_name(&model.id, &model.path);
            Adapter::init(&model.decoder, &base, recipe.rank, recipe.alpha, &targets, rng)?
        }
    };
    start.base_sha256.clone_from(&model.sha256);
    let trained: usize = start.factors.values().map(|(a, b)| a.elem_count() + b.elem_count()).sum();
    let pass = recipe.pass([own, rows.len() - own]);
    let total = recipe.fits(pass)?;
    if let Some(Checkpoints::LogSpaced(n)) = args.checkpoints {
        recipe.checkpoints = log_spaced(total, n);
    }
    out.log(&format!("{} rows, {total} steps, {trained} trained values", rows.len()));
    let begun = Instant::now();
    let mut progress = out.bar("training", total);
    let mut on_step = |step: &Step, _: usize| progress.step(&format!("loss {:.3}", step.loss));
    let base = &model.decoder;
    let done = train(base, start, &rows, &recipe, &edits, args.seed, &args.out, &mut on_step)?;
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();
    let config = json!({
        "data": args.data, "neutral": args.neutral, "recipe": recipe,
        "init_adapter": args.init_adapter, "steer_with": args.steer_with,
    });
    let mut inputs = vec![PathBuf::from(&args.data)];
    inputs.extend(args.neutral.as_ref().map(PathBuf::from));
    inputs.extend(args.steer_with.clone());
    let origin = Origin { model: &model, config, seed: args.seed };
    origin.record(&args.out, &inputs, &FILES.map(String::from))?;

    let losses: Vec<f64> = done.steps.iter().map(|s| s.loss).collect();
    let tenth = losses.len().div_ceil(10).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let first = mean(&losses[..tenth.min(losses.len())]);
    let last = mean(&losses[losses.len().saturating_sub(tenth)..]);
    let tokens: usize = done.steps.iter().map(|s| s.tokens).sum();
    let (adapter, rows, steps) = (args.out.display(), rows.len(), losses.len());
    let text = format!(
        "adapter     {adapter}\nrows        {rows}\nsteps       {steps}\nloss        {first:.3} -> {last:.3} (means of the first and last tenth)\ntokens      {tokens}\nseconds     {seconds:.1}"
    );
    let json = json!({
        "adapter": args.out, "rows": rows, "seen": recipe.seen(pass), "steps": steps,
        "tokens": tokens, "trained_values": trained, "loss_first": first, "loss_last": last,
        "seconds": seconds, "recipe": recipe, "seed": args.seed,
    });
    out.result(&json, || text)
}
