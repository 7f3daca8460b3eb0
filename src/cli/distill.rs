//! `residuum distill`: the model's own answers to neutral prompts, as rows to mix into fine-tunes.

use super::output::{Earlier, Outputs};
use super::{state::ModelChoice, Console};
use crate::finetune::Distil;
use crate::materials::load;
use crate::model::generate::Sampling;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::{path::PathBuf, time::Instant};

/// Let a model answer the neutral prompts itself, as chat rows for its fine-tunes.
///
/// The rows are this model's and no other's; the note of the file says which model and settings
/// wrote them. A run that is killed goes on when the command is given again. A study distils by
/// itself.
///
/// Example: residuum distill --out rows.jsonl
#[derive(Args)]
#[command(about = "Let a model answer the neutral prompts itself")]
pub struct DistillArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Prompts, JSON Lines of {"prompt": ...} [default: the embedded ones]
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Longest answer in tokens; it is cut at its last whole sentence
    #[arg(long, value_name = "N", default_value_t = Distil::default().sampling.max_tokens)]
    max_tokens: usize,
    /// Temperature of sampling; 0 is greedy
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// Sample from the smallest set of tokens that holds this mass
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f64,
    /// Seed of sampling; of no effect when greedy
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File for the rows
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: DistillArgs, out: &Console) -> Result<()> {
    if args.max_tokens == 0 {
        bail!("--max-tokens is 0; an answer needs at least 1");
    }
    if !(args.temperature >= 0.0 && args.temperature.is_finite()) {
        bail!("--temperature is {}; give 0 or more", args.temperature);
    }
    if !(args.top_p > 0.0 && args.top_p <= 1.0) {
        bail!("--top-p is {}; give a mass above 0, at most 1", args.top_p);
    }
    let mut partial = args.out.clone().into_os_string();
    partial.push(".partial");
    let _taken = Outputs::of(&args.model.model)
        .reads_all("--prompts", &args.prompts)
        .file("--out", &args.out)
        .file("the unfinished --out", &partial)
        .earlier(Earlier::TakenUp)
        .take(out.force)?;
    let read = load::neutral_prompts(args.prompts.as_deref())?;
    let prompts = read.items;
    let model = args.model.open(out)?;
    let (max_tokens, temperature, top_p) = (args.max_tokens, args.temperature, args.top_p);
    let sampling = Sampling { max_tokens, temperature, top_p };
    let settings = Distil { sampling, seed: args.seed };
    let begun = Instant::now();
    let mut progress = out.bar("answering", prompts.len());
    let watch = &mut |answered| progress.to(answered, "");
    let done = settings.write(&model, &prompts, &args.out, watch);
    let done = done.map_err(|e| e.in_file(&read.from.file, &read.from.lines))?;
    drop(progress);
    let seconds = begun.elapsed().as_secs_f64();
    let (rows, kept, silent, file) = (done.rows, done.kept, done.silent, args.out.display());
    let text = format!(
        "rows        {rows} in {file}\nmodel       {} ({})\nkept        {kept} answers of an earlier run\nsilent      {silent} prompts without an answer\nseconds     {seconds:.1}",
        model.id, model.sha256
    );
    let json = json!({
        "file": args.out, "rows": rows, "prompts": prompts.len(), "kept": kept,
        "silent": silent, "model": model.id, "model_sha256": model.sha256,
        "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p,
        "seed": args.seed, "seconds": seconds,
    });
    out.result(&json, || text)
}
