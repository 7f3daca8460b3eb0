//! `residuum steer`: edit the stream along a direction, and see what changes.
//!
//! A dose is in units of the layer's residual RMS in base, so that it means the same at every depth and
//! in every state: the vector added is `dose x RMS(l) x unit`. Everything is shown beside the run
//! without the edit, and the battery comes with the KL divergence and the perplexity that tell a
//! changed mind from a damaged one. What is edited is [`super::edit`]'s business; a sweep of doses and
//! a comparison with another state have files of their own, and what all share is [`work`]'s. Numbers are [`crate::analysis::cause`]'s.

mod necessity;
mod sweep;
mod work;

use super::state::{self, ModelChoice};
use super::vectors::{self, Directions};
use super::{behave::BatteryChoice, edit::EditChoice, kept::RESULTS, output::Outputs, Console};
use crate::analysis::{cause::judge_edit, records::EditRow};
use crate::model::generate::{respond, Sampling};
use crate::model::{Hooks, Interventions, Role};
use crate::stats::rng::stream;
use crate::store::{names::twice, Frame};
use anyhow::{bail, Result};
use clap::{ArgGroup, Args};
use serde_json::json;
use std::path::{Path, PathBuf};
use work::Work;

/// Edit the residual stream along a direction, and see what changes.
///
/// --add DOSE adds DOSE x RMS x the unit vector after one block at every token but the first; RMS
/// is the root mean square of an entry of the stream there on the neutral texts in base. --ablate
/// projects the direction out in every block: each block's own vector, or with --layer that layer's
/// everywhere. --cap keeps the coordinate at or below a percentile of the base model's tokens.
/// --swap-from takes it from another state at the same tokens. --sites and --roles say where.
///
/// --prompt generates with and without the edit; --score scores the battery both ways, with
/// --against also that of a reference state under the same edit; give --adapter and --against once a seed
/// for intervals over items and seeds. --sweep scores a list of doses: slopes by preference
/// against --random directions drawn with the covariance of the neutral activations and --permuted
/// ones, the concept's own pairs with labels permuted; doses that break the model left out. --matched
/// adds each of these at the strength at which it damages the model as much. --out keeps the numbers
/// as results.h5 and csv/.
///
/// Example: residuum steer --vector runs/directions/mean-diff.safetensors --concept persona --add 4 --prompt "Who are you?"
///
/// Example: residuum steer --vector v.safetensors --concept persona --sweep=-2,-1,1,2 --random 20 --out runs/dose
///
/// Example: residuum steer --vector v.safetensors --concept persona --permuted 39 --matched --adapter runs/conscious --ablate --score --against runs/denial
#[derive(Args)]
#[command(about = "Edit the stream along a direction")]
#[command(group(ArgGroup::new("edit").required(true).args(["add", "ablate", "cap", "swap_from", "sweep"])))]
#[command(group(ArgGroup::new("task").required(true).args(["prompt", "score", "sweep"])))]
pub struct SteerArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// PEFT adapter to merge first; with --against also several, the seeds of one condition
    #[arg(long, value_name = "DIR|org/name[@rev]")]
    adapter: Vec<PathBuf>,
    #[command(flatten)]
    edit: EditChoice,
    /// Prompt to answer
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Score the preference battery
    #[arg(long)]
    score: bool,
    /// System prompt put before every prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 80)]
    max_tokens: usize,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    #[command(flatten)]
    battery: BatteryChoice,
    #[command(flatten)]
    controls: Controls,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What an edit is compared with.
#[derive(Args, Debug, Clone)]
pub struct Controls {
    /// Random directions to edit along too, with --sweep or --ablate --score
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub random: usize,
    /// Label-permuted directions of the concept too, likewise: the first N that `residuum extract
    /// --permuted` wrote to the file
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub permuted: usize,
    /// Every random and permuted direction a second time, as much of it as damages the neutral texts
    /// like the direction itself (KL divergence within 10 %)
    #[arg(long)]
    pub matched: bool,
    /// Further concepts of the file to edit along too
    #[arg(long = "placebos", alias = "placebo", value_delimiter = ',', value_name = "CONCEPTS")]
    pub placebo: Vec<String>,
    /// Reference of a shift that an ablation may take away, with --ablate --score: base, or the
    /// adapters of its seeds
    #[arg(long, value_name = "base|DIR|org/name[@rev]", requires = "ablate")]
    pub against: Vec<String>,
    /// Guard: largest KL divergence of an edit, nats a token on the neutral texts; a dose beyond it
    /// does not count, an ablation is marked
    #[arg(long, value_name = "NATS", default_value_t = crate::causal::Guards::default().kl)]
    pub max_kl: f64,
    /// Guard: largest perplexity under an edit, over that without it
    #[arg(long, value_name = "RATIO", default_value_t = crate::causal::Guards::default().perplexity_ratio)]
    pub max_perplexity: f64,
    /// Neutral texts that the guards are taken on
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub guard_texts: u16,
    /// Folder for results.h5, csv/ and the record of the command
    #[arg(long, value_name = "DIR", conflicts_with = "prompt")]
    pub out: Option<PathBuf>,
}

pub fn run(mut args: SteerArgs, out: &Console) -> Result<()> {
    check(&args)?;
    let battery = match args.prompt {
        None => args.battery.load(args.seed)?,
        Some(_) => Vec::new(),
    };
    let concepts = || std::iter::once(&args.edit.name).chain(&args.controls.placebo);
    let open = |file: &PathBuf| vectors::open(file, concepts().map(String::as_str));
    let found: Vec<_> = args.edit.vector.iter().map(open).collect::<Result<_>>()?;
    for adapter in &mut args.adapter {
        *adapter = state::adapter_folder(adapter, out)?;
    }
    let named = (args.controls.against.iter_mut()).chain(&mut args.edit.swap_from);
    for from in named.filter(|from| *from != state::BASE) {
        *from = state::adapter_folder(Path::new(from), out)?.display().to_string();
    }
    let model = args.model.open(out)?;
    args.edit.check(model.decoder.layers())?;
    let directions = found.into_iter().map(|f| Directions::of(f, &model.decoder));
    let directions: Vec<Directions> = directions.collect::<Result<_>>()?;
    directions[0].concept(&args.edit.name)?;
    let decoder = state::state(&model.decoder, args.adapter.first().map(PathBuf::as_path))?;
    let (edit, controls) = (&args.edit, &args.controls);
    let work =
        Work { args: &args, edit, controls, model: &model, decoder, battery, directions, out };
    match &args.prompt {
        _ if !edit.sweep.is_empty() => sweep::run(&work),
        _ if !controls.against.is_empty() => necessity::run(&work),
        Some(prompt) => answer(prompt, &work),
        None => scores(&work),
    }
}

/// Refuses options that do not go together, and places that must not be written.
fn check(args: &SteerArgs) -> Result<()> {
    let against = &args.controls.against;
    if !against.is_empty() && !args.score {
        bail!("--against compares battery scores; give --score");
    }
    if against.len() > 1 && against.iter().any(|a| a == state::BASE) {
        bail!("--against base is one model: give it alone, or the adapters of one condition");
    }
    let (adapters, vectors) = (args.adapter.len(), args.edit.vector.len());
    if adapters > 1 && against.is_empty() {
        bail!(
            "{adapters} adapters are the seeds of one condition: give --against, or one --adapter"
        );
    }
    if vectors > 1 && vectors != adapters {
        bail!("{vectors} files of directions for {adapters} adapters: give one for all, or one for each");
    }
    let placebos = &args.controls.placebo;
    if let Some(p) = placebos.iter().find(|p| **p == args.edit.name) {
        bail!("the placebo `{p}` is the direction itself; name another concept");
    }
    if let Some(p) = twice(placebos) {
        bail!("the placebo `{p}` is given twice; name another concept");
    }
    let controls = args.controls.random + args.controls.permuted;
    let compared = !args.edit.sweep.is_empty() || !against.is_empty();
    if args.controls.matched && (controls == 0 || !compared) {
        bail!("--matched is about controls: give --random or --permuted, with --sweep or --ablate --score --against");
    }
    let named = against.iter().chain(&args.edit.swap_from);
    let read = Outputs::of(&args.model.model)
        .reads_all("--adapter", &args.adapter)
        .reads_all("--vector", &args.edit.vector)
        .reads_all("--battery", &args.battery.battery)
        .reads_all("--against or --swap-from", named.filter(|n| *n != state::BASE));
    let out = args.controls.out.as_ref();
    out.map_or(Ok(()), |out| read.folder("--out", out, &[RESULTS, "manifest.json"]).check())
}

fn answer(prompt: &str, work: &Work) -> Result<()> {
    let (model, decoder, args) = (work.model, &work.decoder, work.args);
    let tokens = model.tokenizer.prompt(args.system.as_deref(), prompt)?;
    let texts = std::slice::from_ref(&tokens);
    let mut ready = work.ready(texts)?;
    if args.edit.swap_from.is_some() && args.edit.roles.is_empty() {
        // What is being generated was not read by the other state.
        let read = [Role::System, Role::User, Role::Assistant, Role::Template];
        ready.interventions = ready.interventions.on(&read);
    }
    let (max_tokens, temperature) = (args.max_tokens, args.temperature);
    let sampling = Sampling { max_tokens, temperature, top_p: 1.0 };
    let one = |edits: &Interventions| -> Result<String> {
        let mut hooks = Hooks::none();
        edits.install(&mut hooks, decoder.layers(), decoder.hidden())?;
        let mut rngs = [stream(args.seed, "generate", 0)];
        let eos = model.tokenizer.eos();
        let ids = respond(decoder, texts, eos, &sampling, &mut rngs, &mut hooks)?;
        edits.check_touched()?;
        let first = ids.into_iter().next().unwrap_or_default();
        Ok(model.tokenizer.decode_answer(&first)?)
    };
    let plain = one(&Interventions::none())?;
    let steered = one(&ready.interventions)?;
    let (before, after, notes) = (plain.trim(), steered.trim(), work.notes());
    let text = format!("unsteered\n{before}\n\nsteered ({})\n{after}\n\n{notes}", ready.what);
    let json = json!({
        "prompt": prompt, "config": work.config(json!({"edit": ready.record})),
        "unsteered": plain, "steered": steered,
        "temperature": temperature, "seed": args.seed,
    });
    work.out.result(&json, || text)
}

fn scores(work: &Work) -> Result<()> {
    let decoder = &work.decoder;
    let neutral = work.guard_texts()?;
    let bench = work.bench(decoder, &neutral);
    let ready = work.ready(&bench.texts()?)?;
    // A wrong width or layer is told before any work is done.
    (ready.interventions).install(&mut Hooks::none(), decoder.layers(), decoder.hidden())?;
    let mut progress = work.out.bar("battery", 2);
    let watch = &mut |what: &str| progress.step(what);
    let (plain, edited) = bench.both(&ready.what, &ready.interventions, watch)?;
    let state = work.state();
    let mut found = judge_edit(&state.id, &plain, &edited, work.guards(), work.draws())?;
    let config = work.config(json!({"edit": ready.record}));
    found.states = vec![state::row(&state)];
    let written = work.keep(&config, &found, std::iter::empty())?;
    let bounds = ["plain_lo", "plain_hi", "edited_lo", "edited_hi"];
    let same = ["state", "edit", "kl", "perplexity_ratio", "inside"];
    let frame = Frame::of(&found.edits);
    let EditRow { kl, perplexity_ratio, .. } = &found.edits[0];
    let table = frame.clone().without(&bounds).without(&same).text();
    let (what, notes, n) = (ready.what, work.notes(), neutral.len());
    let text = format!(
        "{table}\n{what}\n{notes}\nKL from the unsteered model {kl:.4} nats a token, perplexity {perplexity_ratio:.2} times that without \
         the edit, on {n} neutral texts.\nStance log-odds in nats a token; 95 % bootstrap intervals \
         over items; changes (estimate) are paired by item.{written}"
    );
    let json = json!({
        "config": config, "edits": frame.json(), "warnings": found.warnings, "out": work.controls.out,
    });
    work.out.result(&json, || text)
}
