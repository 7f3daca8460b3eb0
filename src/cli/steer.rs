//! `residuum steer`: add a direction to the stream or project it out, and see what changes.
//!
//! The dose is in units of the layer's residual RMS, so that it means the same at every depth:
//! the vector added is `dose x RMS(l) x unit`. Everything is shown beside the unsteered run, and
//! the battery comes with the KL divergence and the perplexity that tell a changed mind from a
//! damaged one.

use super::behave::{paired, score, BatteryChoice};
use super::state::{self, ModelChoice};
use super::table::Table;
use super::{layers, reading, Console};
use crate::behavior::{by_prompt, estimate, side_effects};
use crate::export::safetensors;
use crate::model::error::nearest;
use crate::model::generate::{generate, Sampling};
use crate::model::{Decoder, Hooks, Interventions, Model};
use crate::stats::rng::stream;
use anyhow::{bail, Result};
use clap::{ArgGroup, Args};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Add a direction or project it out
#[derive(Args)]
#[command(
    group(ArgGroup::new("edit").required(true).args(["add", "ablate"])),
    group(ArgGroup::new("task").required(true).args(["prompt", "score"])),
    long_about = "Add a direction to the residual stream, or project it out, and see what changes.\n\n\
--add DOSE adds DOSE x RMS x the unit vector after one block at every token but the first; RMS is \
the root mean square of an entry of the stream there on the neutral texts. --ablate projects the \
direction out in every block: each block's own vector, or with --layer that layer's everywhere. \
--prompt generates unsteered and steered; --score scores the battery both ways.\n\n\
Example:\n  residuum steer --vector runs/directions/mean-diff.safetensors --name persona --add 4 --prompt \"Who are you?\""
)]
pub struct SteerArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// PEFT adapter to merge first
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Directions, as `residuum extract` writes them
    #[arg(long, value_name = "FILE.safetensors")]
    vector: PathBuf,
    /// Concept in that file
    #[arg(long, value_name = "CONCEPT")]
    name: String,
    /// Block after which to act [default: 1/3 of the depth]
    #[arg(long, value_name = "L")]
    layer: Option<usize>,
    /// Dose in units of the layer's RMS; may be negative
    #[arg(long, value_name = "DOSE", allow_negative_numbers = true)]
    add: Option<f64>,
    /// Project the direction out in every block
    #[arg(long)]
    ablate: bool,
    /// Prompt to answer
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Score the preference battery
    #[arg(long)]
    score: bool,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 80)]
    max_tokens: usize,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    #[command(flatten)]
    battery: BatteryChoice,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(args: SteerArgs, out: &Console) -> Result<()> {
    let battery = match args.score {
        true => args.battery.load()?,
        false => Vec::new(),
    };
    let mut file = safetensors::read(&args.vector)?;
    let names: Vec<String> = file.concepts.keys().cloned().collect();
    let Some(vectors) = file.concepts.remove(&args.name) else {
        let near = nearest(&args.name, names.iter().map(String::as_str)).unwrap_or_default();
        bail!(
            "{} holds no concept `{}`; did you mean `{near}`? It holds: {}",
            args.vector.display(),
            args.name,
            names.join(", ")
        );
    };
    let model = state::open(&args.model.model, out)?;
    let decoder = state::state(&model.decoder, args.adapter.as_deref())?;
    let (interventions, what, edit) = match args.add {
        Some(dose) => {
            let depth = decoder.layers();
            let layer = args.layer.unwrap_or(layers::reported(depth)[0]);
            let unit = unit(vector(&vectors, layer, &args)?);
            let rms = reading::rms(&decoder, &model.tokenizer, layer)?;
            let what = format!("{dose} x RMS {rms:.3} x {} after block {layer}", args.name);
            let edit =
                json!({"add": dose, "layer": layer, "rms": rms, "norm_added": dose.abs() * rms});
            (
                Interventions::none().add(layer, &unit, dose * rms)?,
                what,
                edit,
            )
        }
        None => ablation(&args, &vectors, &decoder)?,
    };
    // A wrong width or layer is told before any work is done.
    interventions.install(&mut Hooks::none(), decoder.layers(), decoder.hidden())?;
    match &args.prompt {
        Some(prompt) => answer(
            &args,
            prompt,
            &model,
            &decoder,
            &interventions,
            &what,
            edit,
            out,
        ),
        None => scores(
            &args,
            &battery,
            &model,
            &decoder,
            &interventions,
            &what,
            edit,
            out,
        ),
    }
}

type Plan = (Interventions, String, serde_json::Value);

fn vector<'a>(
    vectors: &'a BTreeMap<usize, Vec<f32>>,
    layer: usize,
    args: &SteerArgs,
) -> Result<&'a [f32]> {
    let Some(v) = vectors.get(&layer) else {
        let held: Vec<String> = vectors.keys().map(usize::to_string).collect();
        bail!(
            "{} holds no vector of `{}` at layer {layer}; it holds layers {}: choose one with --layer",
            args.vector.display(),
            args.name,
            held.join(", ")
        );
    };
    Ok(v)
}

fn unit(v: &[f32]) -> Vec<f32> {
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    v.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}

fn ablation(
    args: &SteerArgs,
    vectors: &BTreeMap<usize, Vec<f32>>,
    decoder: &Decoder,
) -> Result<Plan> {
    let blocks = 0..decoder.layers();
    let per_block: Vec<Vec<f32>> = blocks
        .map(|l| Ok(vector(vectors, args.layer.unwrap_or(l), args)?.to_vec()))
        .collect::<Result<_>>()?;
    let what = match args.layer {
        Some(l) => format!("{} of layer {l} projected out in every block", args.name),
        None => format!("{} projected out, each block's own vector", args.name),
    };
    let edit = json!({"ablate": true, "layer": args.layer});
    let interventions = Interventions::none().project_out_everywhere(&per_block)?;
    Ok((interventions, what, edit))
}

#[allow(clippy::too_many_arguments)]
fn answer(
    args: &SteerArgs,
    prompt: &str,
    model: &Model,
    decoder: &Decoder,
    interventions: &Interventions,
    what: &str,
    edit: serde_json::Value,
    out: &Console,
) -> Result<()> {
    let tokens = model.tokenizer.prompt(None, prompt)?;
    let sampling = Sampling {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        top_p: 1.0,
    };
    let one = |edits: &Interventions| -> Result<String> {
        let mut hooks = Hooks::none();
        edits.install(&mut hooks, decoder.layers(), decoder.hidden())?;
        let prompts = [tokens.ids.clone()];
        let mut rngs = [stream(args.seed, "generate", 0)];
        let eos = model.tokenizer.eos();
        let ids = generate(decoder, &prompts, eos, &sampling, &mut rngs, &mut hooks)?;
        let first = ids.into_iter().next().unwrap_or_default();
        Ok(model.tokenizer.decode(&first)?)
    };
    let plain = one(&Interventions::none())?;
    let steered = one(interventions)?;
    let text = format!(
        "unsteered\n{}\n\nsteered ({what})\n{}",
        plain.trim(),
        steered.trim()
    );
    let json = json!({
        "prompt": prompt, "edit": edit, "concept": args.name,
        "unsteered": plain, "steered": steered,
        "temperature": args.temperature, "seed": args.seed,
    });
    out.result(&json, || text)
}

const DRAWS: usize = 2000;
const COLUMNS: [&str; 11] = [
    "preference",
    "unsteered",
    "lo",
    "hi",
    "steered",
    "steered_lo",
    "steered_hi",
    "change",
    "change_lo",
    "change_hi",
    "prompts",
];

#[allow(clippy::too_many_arguments)]
fn scores(
    args: &SteerArgs,
    battery: &[crate::materials::Preference],
    model: &Model,
    decoder: &Decoder,
    interventions: &Interventions,
    what: &str,
    edit: serde_json::Value,
    out: &Console,
) -> Result<()> {
    let tokenizer = &model.tokenizer;
    let none = Interventions::none();
    let run = |edits, name| score(decoder, tokenizer, battery, None, edits, out, name);
    let plain = by_prompt(&run(&none, "unsteered")?);
    let steered = by_prompt(&run(interventions, "steered")?);
    let mut table = Table::new(&COLUMNS, 3);
    for p in battery {
        let (values, _) = paired(&plain, &plain, &p.name);
        let (after, change) = paired(&steered, &plain, &p.name);
        let mut row = vec![p.name.clone().into()];
        for numbers in [&values, &after, &change] {
            let e = estimate(numbers, DRAWS, args.seed)?;
            row.extend([e.value.into(), e.interval.lo.into(), e.interval.hi.into()]);
        }
        row.push(values.len().into());
        table.row(row);
    }
    out.log("side effects on the neutral texts");
    let texts = reading::neutral_tokens(tokenizer, None)?;
    let (_, before) = side_effects(decoder, decoder, &texts, &none)?;
    let (kl, after) = side_effects(decoder, decoder, &texts, interventions)?;
    let text = format!(
        "{}\n{what}\nKL from the unsteered model {kl:.4} nats a token; perplexity {before:.2} -> \
         {after:.2} on {} neutral texts.\nStance log-odds in nats a token; 95 % bootstrap \
         intervals over prompts; changes are paired by prompt.",
        table.text(),
        texts.len()
    );
    let json = json!({
        "edit": edit, "concept": args.name, "scores": table.json(), "kl": kl,
        "perplexity_unsteered": before, "perplexity_steered": after,
        "neutral_texts": texts.len(),
    });
    out.result(&json, || text)
}
