//! `residuum steer`: edit the stream along a direction, and see what changes.
//!
//! A dose is in units of the layer's residual RMS, so that it means the same at every depth: the
//! vector added is `dose x RMS(l) x unit`. Everything is shown beside the run without the edit, and
//! the battery comes with the KL divergence and the perplexity that tell a changed mind from a
//! damaged one. What is edited is [`super::edit`]'s business; a sweep of doses and a comparison
//! with another state have files of their own.

use super::behave::{paired, score, BatteryChoice};
use super::edit::{EditChoice, Ready};
use super::output::Outputs;
use super::state::{self, ModelChoice};
use super::table::Table;
use super::vectors::{self, Directions, Held};
use super::{necessity, reading, sweep, Console};
use crate::behavior::{by_prompt, estimate, SideEffects};
use crate::causal::{Bench, Direction};
use crate::materials::Preference;
use crate::model::generate::{respond, Sampling};
use crate::model::{Decoder, Hooks, Interventions, Model, Role, Tokens};
use crate::stats::rng::stream;
use anyhow::{bail, Result};
use clap::{ArgGroup, Args};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Edit the stream along a direction
#[derive(Args)]
#[command(
    group(ArgGroup::new("edit").required(true).args(["add", "ablate", "cap", "swap_from", "sweep"])),
    group(ArgGroup::new("task").required(true).args(["prompt", "score", "sweep"])),
    long_about = "Edit the residual stream along a direction, and see what changes.\n\n\
--add DOSE adds DOSE x RMS x the unit vector after one block at every token but the first; RMS is \
the root mean square of an entry of the stream there on the neutral texts. --ablate projects the \
direction out in every block: each block's own vector, or with --layer that layer's everywhere. \
--cap keeps the coordinate at or below a percentile of the base model's tokens. --swap-from takes \
it from another state at the same tokens. --at and --roles say where.\n\n\
--prompt generates with and without the edit; --score scores the battery both ways, with --against \
beside a reference state under the same edit; give --adapter and --against once a seed for intervals \
over prompts and seeds. --sweep scores a list of doses: slopes by preference \
against --random directions drawn with the covariance of the neutral activations, doses that break \
the model left out.\n\n\
Examples:\n  residuum steer --vector runs/directions/mean-diff.safetensors --name persona --add 4 --prompt \"Who are you?\"\n  \
residuum steer --vector v.safetensors --name persona --sweep=-2,-1,1,2 --random 20 --out runs/dose\n  \
residuum steer --vector v.safetensors --name persona --adapter runs/conscious --ablate --score --against runs/denial"
)]
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
    /// Further concepts of the file to edit along too
    #[arg(long, value_delimiter = ',', value_name = "CONCEPTS")]
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
    /// Neutral texts for the guards, with --sweep or --against
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub guard_texts: u16,
    /// Folder for the tables, with --sweep or --against
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What a run of the command works on.
pub struct Work<'a> {
    pub model: &'a Model,
    /// The (first) state.
    pub decoder: &'a Decoder,
    /// Adapters of the condition; none: base.
    pub adapters: &'a [PathBuf],
    pub edit: &'a EditChoice,
    pub controls: &'a Controls,
    pub battery: &'a [Preference],
    pub system: Option<&'a str>,
    pub seed: u64,
    pub out: &'a Console,
    /// The files of directions, in order.
    pub directions: &'a [Directions],
    /// Files that the work depends on, for the record.
    pub inputs: Vec<PathBuf>,
}

impl Work<'_> {
    /// The named direction, the placebos and the random ones, at the blocks `layers`.
    pub fn directions(&self, layers: &[usize]) -> Result<Vec<Direction>> {
        let mut out = self.named(&self.directions[0], layers)?;
        out.extend(self.random(layers)?);
        Ok(out)
    }

    /// The named direction and the placebos, as `file` has them.
    pub fn named(&self, file: &Directions, layers: &[usize]) -> Result<Vec<Direction>> {
        let named = std::iter::once(&self.edit.name).chain(&self.controls.placebo);
        let mut out = Vec::new();
        for name in named {
            let held = file.concept(name)?;
            let mut vectors = BTreeMap::new();
            for &l in layers {
                let from = if self.edit.ablate {
                    self.edit.layer.unwrap_or(l)
                } else {
                    l
                };
                vectors.insert(l, vectors::unit(held.at(from)?));
            }
            out.push(Direction {
                name: name.clone(),
                vectors,
            });
        }
        Ok(out)
    }

    /// How the indices of each file were taken, in words.
    pub fn notes(&self) -> String {
        let notes: Vec<String> = self.directions.iter().map(Directions::note).collect();
        notes.join("\n")
    }

    /// The same for the record.
    pub fn vectors(&self) -> Value {
        self.directions.iter().map(Directions::record).collect()
    }

    /// The random directions, drawn with the covariance of the state's neutral texts.
    pub fn random(&self, layers: &[usize]) -> Result<Vec<Direction>> {
        if self.controls.random == 0 {
            return Ok(Vec::new());
        }
        let request = reading::request(crate::capture::Position::ResponseMean, layers);
        let tokenizer = &self.model.tokenizer;
        let what = "neutral texts";
        let background = reading::neutral(self.decoder, tokenizer, &request, self.out, what)?;
        let n = self.controls.random;
        Ok(Direction::random(&background, layers, n, self.seed)?)
    }

    /// The neutral texts that guards are taken on, evenly over their file.
    pub fn guard_texts(&self) -> Result<Vec<Tokens>> {
        let all = reading::neutral_tokens(&self.model.tokenizer, self.system)?;
        let n = all.len().min(self.controls.guard_texts.into());
        Ok((0..n).map(|i| all[i * all.len() / n].clone()).collect())
    }

    /// The battery of one state.
    pub fn bench<'a>(&'a self, decoder: &'a Decoder, neutral: &'a [Tokens]) -> Bench<'a> {
        Bench {
            model: decoder,
            tokenizer: &self.model.tokenizer,
            battery: self.battery,
            system: self.system,
            neutral,
        }
    }
}

pub fn run(mut args: SteerArgs, out: &Console) -> Result<()> {
    let compared = !args.controls.against.is_empty();
    if compared && !args.score {
        bail!("--against compares battery scores; give --score");
    }
    let against = &args.controls.against;
    if against.len() > 1 && against.iter().any(|a| a == state::BASE) {
        bail!("--against base is one model: give it alone, or the adapters of one condition");
    }
    let (adapters, vectors) = (args.adapter.len(), args.edit.vector.len());
    if adapters > 1 && !compared {
        bail!(
            "{adapters} adapters are the seeds of one condition: give --against, or one --adapter"
        );
    }
    if vectors > 1 && vectors != adapters {
        bail!("{vectors} files of directions for {adapters} adapters: give one for all, or one for each");
    }
    let named = args.controls.against.iter().chain(&args.edit.swap_from);
    let named = named.filter(|name| *name != state::BASE);
    let read = Outputs::of(&args.model.model)
        .reads_all("--adapter", &args.adapter)
        .reads_all("--vector", &args.edit.vector)
        .reads_all("--battery", &args.battery.battery)
        .reads_all("--against or --swap-from", named);
    if let Some(folder) = &args.controls.out {
        let written = ["doses.csv", "slopes.csv", "ablation.csv", "manifest.json"];
        read.folder("--out", folder, &written).check()?;
    }
    let battery = match args.prompt {
        None => args.battery.load(args.seed)?,
        Some(_) => Vec::new(),
    };
    let placebos = &args.controls.placebo;
    if let Some((i, twice)) = (placebos.iter().enumerate())
        .find(|(i, p)| **p == args.edit.name || placebos[..*i].contains(p))
    {
        let with = if placebos[..i].contains(twice) {
            "given twice"
        } else {
            "the direction itself"
        };
        bail!("the placebo `{twice}` is {with}; name another concept");
    }
    let concepts = || std::iter::once(&args.edit.name).chain(placebos);
    let open = |file: &PathBuf| vectors::open(file, concepts().map(String::as_str));
    let found: Vec<_> = args.edit.vector.iter().map(open).collect::<Result<_>>()?;
    for adapter in &mut args.adapter {
        *adapter = state::adapter_folder(adapter, out)?;
    }
    let named = args
        .controls
        .against
        .iter_mut()
        .chain(&mut args.edit.swap_from);
    for from in named.filter(|from| *from != state::BASE) {
        *from = state::adapter_folder(Path::new(from), out)?
            .display()
            .to_string();
    }
    let model = args.model.open(out)?;
    args.edit.check(model.decoder.layers())?;
    let fitted = found.into_iter();
    let directions: Vec<_> = fitted
        .map(|f| Directions::of(f, &model.decoder))
        .collect::<Result<_>>()?;
    let held = directions[0].concept(&args.edit.name)?;
    let decoder = state::state(&model.decoder, args.adapter.first().map(PathBuf::as_path))?;
    let adapter = args.adapter.iter();
    let files = adapter.map(|a| a.join("adapter_model.safetensors"));
    let work = Work {
        model: &model,
        decoder: &decoder,
        adapters: &args.adapter,
        edit: &args.edit,
        controls: &args.controls,
        battery: &battery,
        system: args.system.as_deref(),
        seed: args.seed,
        out,
        directions: &directions,
        inputs: args.edit.vector.iter().cloned().chain(files).collect(),
    };
    if !args.edit.sweep.is_empty() {
        return sweep::run(&work);
    }
    if compared {
        return necessity::run(&work);
    }
    match &args.prompt {
        Some(prompt) => answer(&args, prompt, &work, held),
        None => scores(&work, held),
    }
}

fn answer(args: &SteerArgs, prompt: &str, work: &Work, held: Held) -> Result<()> {
    let (model, decoder) = (work.model, work.decoder);
    let tokens = model.tokenizer.prompt(work.system, prompt)?;
    let texts = std::slice::from_ref(&tokens);
    let mut ready = args.edit.build(model, decoder, held, texts)?;
    if args.edit.swap_from.is_some() && args.edit.roles.is_empty() {
        // What is being generated was not read by the other state.
        let read = [Role::System, Role::User, Role::Assistant, Role::Template];
        ready.interventions = ready.interventions.on(&read);
    }
    let sampling = Sampling {
        max_tokens: args.max_tokens,
        temperature: args.temperature,
        top_p: 1.0,
    };
    let one = |edits: &Interventions| -> Result<String> {
        let mut hooks = Hooks::none();
        edits.install(&mut hooks, decoder.layers(), decoder.hidden())?;
        let mut rngs = [stream(args.seed, "generate", 0)];
        let eos = model.tokenizer.eos();
        let ids = respond(decoder, texts, eos, &sampling, &mut rngs, &mut hooks)?;
        edits.check_touched()?;
        let first = ids.into_iter().next().unwrap_or_default();
        Ok(model.tokenizer.decode(&first)?)
    };
    let plain = one(&Interventions::none())?;
    let steered = one(&ready.interventions)?;
    let text = format!(
        "unsteered\n{}\n\nsteered ({})\n{}\n\n{}",
        plain.trim(),
        ready.what,
        steered.trim(),
        work.notes()
    );
    let json = json!({
        "prompt": prompt, "edit": ready.record, "concept": args.edit.name,
        "vectors": work.vectors(),
        "unsteered": plain, "steered": steered,
        "temperature": args.temperature, "seed": args.seed,
    });
    work.out.result(&json, || text)
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

fn scores(work: &Work, held: Held) -> Result<()> {
    let (decoder, out) = (work.decoder, work.out);
    let tokenizer = &work.model.tokenizer;
    let texts = reading::neutral_tokens(tokenizer, work.system)?;
    let read = work.bench(decoder, &texts).texts()?;
    let Ready {
        interventions,
        what,
        record,
    } = work.edit.build(work.model, decoder, held, &read)?;
    // A wrong width or layer is told before any work is done.
    interventions.install(&mut Hooks::none(), decoder.layers(), decoder.hidden())?;
    let none = Interventions::none();
    let run = |edits, name| {
        score(
            decoder,
            tokenizer,
            work.battery,
            work.system,
            edits,
            out,
            name,
        )
    };
    let plain = by_prompt(&run(&none, "unsteered")?);
    let steered = by_prompt(&run(&interventions, "steered")?);
    let mut table = Table::new(&COLUMNS, 3);
    for p in work.battery {
        let (values, _) = paired(&plain, &plain, &p.name);
        let (after, change) = paired(&steered, &plain, &p.name);
        let mut row = vec![p.name.clone().into()];
        for numbers in [&values, &after, &change] {
            let e = estimate(numbers, DRAWS, work.seed)?;
            row.extend([e.value.into(), e.interval.lo.into(), e.interval.hi.into()]);
        }
        row.push(values.len().into());
        table.row(row);
    }
    out.log("side effects on the neutral texts");
    let effects = SideEffects::of(decoder, &texts)?;
    let (_, before) = effects.under(decoder, &none)?;
    let (kl, after) = effects.under(decoder, &interventions)?;
    let text = format!(
        "{}\n{what}\n{}\nKL from the unsteered model {kl:.4} nats a token; perplexity {before:.2} -> \
         {after:.2} on {} neutral texts.\nStance log-odds in nats a token; 95 % bootstrap \
         intervals over prompts; changes are paired by prompt.",
        table.text(),
        work.notes(),
        texts.len()
    );
    let json = json!({
        "edit": record, "concept": work.edit.name, "vectors": work.vectors(), "scores": table.json(), "kl": kl,
        "perplexity_unsteered": before, "perplexity_steered": after,
        "neutral_texts": texts.len(),
    });
    out.result(&json, || text)
}
