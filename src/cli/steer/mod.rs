//! `residuum steer`: edit the stream along a direction, and see what changes.
//!
//! A dose is in units of the layer's residual RMS in base, so that it means the same at every depth and
//! in every state: the vector added is `dose x RMS(l) x unit`. Everything is shown beside the run
//! without the edit, and the battery comes with the KL divergence and the perplexity that tell a
//! changed mind from a damaged one. What is edited is [`super::edit`]'s business; a sweep of doses and
//! a comparison with another state have files of their own, and what all share is [`work`]'s. Numbers are [`crate::analysis::cause`]'s.

mod answers;
mod necessity;
mod sweep;
mod work;

use super::state::{self, ModelChoice};
use super::vectors::{self, Directions};
use super::{
    behave::BatteryChoice, edit::EditChoice, kept::FILES, output::Outputs, output::Taken, Console,
};
use crate::analysis::{cause::judge_edit, records::EditRow};
use crate::model::Hooks;
use crate::store::{names::twice, Frame};
use anyhow::{bail, Result};
use clap::{ArgGroup, Args};
use serde_json::json;
use std::path::{Path, PathBuf};
use work::Work;

/// Edit the residual stream along a direction, and see what changes.
///
/// --add adds DOSE x RMS x the unit vector after a block; RMS is that of the stream there on neutral
/// texts in base. --ablate projects the direction out in every block, --cap bounds its coordinate,
/// --swap-from takes it from another state.
///
/// --prompt and --prompts-from answer without and under the edit, at every layer and dose given, with the
/// side effects of each; --score scores the battery, with --against also that of a reference under the
/// same edit; --sweep scores a list of doses against random and label-permuted directions.
/// `residuum help steering` has more.
///
/// Example: residuum steer --vector runs/directions/mean-diff.safetensors --concept persona --add 4 --prompt "Who are you?"
///
/// Example: residuum steer --vector v.safetensors --concept persona --sweep=-2,-1,1,2 --random 20 --out runs/dose
#[derive(Args)]
#[command(about = "Edit the stream along a direction")]
#[command(group(ArgGroup::new("edit").required(true).args(["add", "ablate", "cap", "swap_from", "sweep"])))]
#[command(group(ArgGroup::new("task").required(true).args(["prompt", "prompts_from", "score", "sweep"])))]
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
    /// Prompts to answer, JSON Lines of {"id", "prompt"} or {"id", "messages"}
    #[arg(long, value_name = "FILE")]
    prompts_from: Option<PathBuf>,
    /// Answers to each prompt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(conflicts_with_all = ["score", "sweep"])]
    samples: u16,
    /// Score the preference battery
    #[arg(long)]
    score: bool,
    /// System prompt put before every prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(conflicts_with_all = ["score", "sweep"])]
    max_tokens: u16,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = crate::cli::edit::temperature)]
    #[arg(conflicts_with_all = ["score", "sweep"])]
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
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["prompt", "prompts_from"])]
    pub random: usize,
    /// Label-permuted directions of the concept too, likewise: the first N that `residuum extract
    /// --permuted` wrote to the file
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["prompt", "prompts_from"])]
    pub permuted: usize,
    /// Every random and permuted direction a second time, as much of it as damages the neutral texts
    /// like the direction itself (KL divergence within 10 %)
    #[arg(long, conflicts_with_all = ["prompt", "prompts_from"])]
    pub matched: bool,
    /// Further concepts of the file to edit along too
    #[arg(long = "placebos", alias = "placebo", value_delimiter = ',', value_name = "CONCEPTS")]
    #[arg(conflicts_with_all = ["prompt", "prompts_from"])]
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
    /// Folder for results.h5, csv/, the answers (answers.jsonl) and the record of the command
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

pub fn run(mut args: SteerArgs, out: &Console) -> Result<()> {
    let _taken = check(&args, out)?;
    let prompts = answers::prompts(&args)?;
    let battery = match prompts.is_empty() {
        true => args.battery.load(args.seed)?,
        false => Vec::new(),
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
    let depth = model.decoder.layers();
    args.edit.check(depth)?;
    let directions = found.into_iter().map(|f| Directions::of(f, &model.decoder));
    let directions: Vec<Directions> = directions.collect::<Result<_>>()?;
    directions[0].concept(&args.edit.name)?;
    directions.iter().filter_map(|d| d.doubt(&model)).for_each(|doubt| out.warn(&doubt));
    let named = args.controls.against.iter().chain(&args.edit.swap_from);
    let named = named.filter(|n| *n != state::BASE).map(Path::new);
    state::check(&model, args.adapter.iter().map(|a| &**a).chain(named), out)?;
    let layers = args.edit.acting(&directions[0], depth)?;
    args.edit.layer = layers.first().copied();
    if layers.len() > 1 && (prompts.is_empty() || args.edit.add.is_empty()) {
        bail!("--layers are {} blocks, and only --add with --prompt or --prompts-from goes through several: give one", layers.len());
    }
    let decoder = state::state(&model.decoder, args.adapter.first().map(PathBuf::as_path))?;
    let (edit, controls) = (&args.edit, &args.controls);
    let work =
        Work { args: &args, edit, controls, model: &model, decoder, battery, directions, out };
    match () {
        () if !prompts.is_empty() => answers::run(&work, &prompts, &layers),
        () if !edit.sweep.is_empty() => sweep::run(&work),
        () if !controls.against.is_empty() => necessity::run(&work),
        () => scores(&work),
    }
}

/// Refuses options that do not go together, and places that must not be written.
fn check(args: &SteerArgs, out: &Console) -> Result<Option<Taken>> {
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
    if controls + placebos.len() > 0 && !compared {
        bail!("--random, --permuted and --placebos are compared with the direction under --sweep or --ablate --score --against: leave them out here");
    }
    let answering = args.prompt.is_some() || args.prompts_from.is_some();
    let battery = &args.battery;
    if answering
        && (battery.battery.is_some()
            || battery.prompts.is_some()
            || !battery.preferences.is_empty())
    {
        bail!("--battery, --preferences and --prompts choose what --score and --sweep score: leave them out with --prompt and --prompts-from");
    }
    if args.edit.add.len() > 1 && !answering {
        bail!("--add has several doses, which --prompt and --prompts-from go through: give one, or have them scored by --sweep");
    }
    let named = against.iter().chain(&args.edit.swap_from);
    let read = Outputs::of(&args.model.model)
        .reads_all("--adapter", &args.adapter)
        .reads_all("--vector", &args.edit.vector)
        .reads_all("--battery", &args.battery.battery)
        .reads_all("--prompts-from", &args.prompts_from)
        .reads_all("--against or --swap-from", named.filter(|n| *n != state::BASE));
    let files = [&FILES[..], &[answers::FILE]].concat();
    let folder = args.controls.out.as_ref();
    folder.map(|folder| read.folder("--out", folder, &files).take(out.force)).transpose()
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
