//! `residuum behave`: which preferences every model state expresses.
//!
//! The score of a prompt is how much more likely the expressing completion is than the opposing
//! one; the prompt is the unit of replication. On request answers are sampled and judged, the
//! claims are scored as the manipulation check, and conversations are held. [`states`] says who is
//! measured, [`measure`] what is done with each, [`judging`] who judges, [`findings`] what
//! follows.

mod battery;
mod findings;
mod judging;
mod measure;
mod rejudge;
mod states;
mod tables;

pub use battery::{paired, score, BatteryChoice};

use super::output::Outputs;
use super::state::{self, ModelChoice, NamedAdapter, BASE};
use super::table::Table;
use super::vectors::{self, Directions};
use super::Console;
use crate::behavior::conversation::Replies;
use crate::behavior::judge::Case;
use crate::behavior::{warning, Ruler, Warning};
use crate::materials::{load_claims, load_scripts, Preference, ScriptSet};
use crate::store::Manifest;
use anyhow::{bail, Result};
use clap::Args;
use judging::{JudgeArgs, Outcome};
use measure::Measured;
use serde_json::{json, Map, Value};
use states::{Ablated, Plan, Steered};
use std::path::{Path, PathBuf};

/// Samples of a prompt when there is a judge and no number is given.
const SAMPLES: usize = 4;

/// Score the preference battery; sample answers and have them judged
#[derive(Args)]
#[command(
    long_about = "Score the preference battery in base, fine-tuned and steered states.\n\n\
A prompt's score is the mean token log-probability of a completion that expresses the preference \
less that of one that opposes it, averaged over the prompt's pairs. Means have 95 % bootstrap \
intervals over prompts; differences are paired by prompt. Compare with a fine-tune that denies \
(a state called `denial`): the format of the rows alone moves some preferences.\n\n\
With --judge, answers are sampled and judged against each preference's fact by a model behind an \
OpenAI-compatible address, or by one of your own (--judge local). Answers and verdicts are kept in \
--out as they come: the same command goes on where it was stopped and pays for nothing twice. The \
key is read from the environment.\n\n\
Examples:\n  residuum behave --adapter conscious=runs/conscious --adapter denial=runs/denial --claims --out runs/behaviour\n  \
residuum behave --judge http://127.0.0.1:8000/v1 --judge-model qwen --samples 8 --out runs/judged"
)]
pub struct BehaveArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state beside base; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    adapter: Vec<NamedAdapter>,
    /// State with a direction added, in layer RMS; may be given again
    #[arg(long, value_name = "NAME=FILE:CONCEPT:DOSE[@LAYER]")]
    steer: Vec<Steered>,
    /// State with a direction projected out; may be given again
    #[arg(long, value_name = "NAME=FILE:CONCEPT[@LAYER]")]
    ablate: Vec<Ablated>,
    /// State in which --steer and --ablate act
    #[arg(long, value_name = "NAME", default_value = BASE)]
    edit_on: String,
    /// System prompt put before every prompt, in every state
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    battery: BatteryChoice,
    /// Score the conditions' claims too: did each fine-tune take?
    #[arg(long)]
    claims: bool,
    /// Hold conversations in which a preference comes up: the embedded ones, or those of a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    conversations: Option<Option<PathBuf>>,
    /// Let the model write all replies in conversations
    #[arg(long, requires = "conversations")]
    own_replies: bool,
    /// Directions on which every assistant turn of the conversations is projected
    #[arg(long, value_name = "FILE", requires = "conversations")]
    directions: Option<PathBuf>,
    /// Answers to sample for each prompt [default: 0, or 4 with a judge]
    #[arg(long, value_name = "N")]
    samples: Option<u16>,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    max_tokens: u16,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    temperature: f64,
    /// Smallest set of tokens with this mass is sampled from
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = mass)]
    top_p: f64,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Only judge the answers in --out, with no model loaded
    #[arg(long, requires = "judge", conflicts_with_all = ["adapter", "steer", "ablate", "system", "samples", "claims", "conversations"])]
    rejudge: bool,
    /// Write judged answers as logs for `inspect view` too
    #[arg(long, requires = "judge")]
    inspect: bool,
    /// State to compare with; may be given again [default: the denial state]
    #[arg(long, value_name = "NAME")]
    against: Vec<String>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn temperature(s: &str) -> Result<f64, String> {
    let t = s.parse().ok().filter(|t: &f64| t.is_finite() && *t >= 0.0);
    t.ok_or_else(|| "write 0 or a number above".into())
}

fn mass(s: &str) -> Result<f64, String> {
    let p = s.parse().ok().filter(|p: &f64| *p > 0.0 && *p <= 1.0);
    p.ok_or_else(|| "write a number above 0, at most 1".into())
}

/// What every state is asked, and how.
pub struct Asking<'a> {
    pub battery: &'a [Preference],
    pub claims: &'a [Preference],
    pub scripts: &'a [ScriptSet],
    pub replies: Replies,
    pub rulers: &'a [Ruler],
    pub system: Option<&'a str>,
    pub samples: usize,
    pub seed: u64,
    pub temperature: f64,
    pub top_p: f64,
    pub max_tokens: usize,
    pub out: &'a Path,
}

/// Every vector of a file of directions.
fn rulers(directions: &Directions) -> Result<Vec<Ruler>> {
    let mut all = Vec::new();
    for (name, layers) in &directions.concepts {
        for &layer in layers.keys() {
            let direction = directions.concept(name)?.at(layer)?.to_vec();
            let name = name.clone();
            all.push(Ruler {
                name,
                layer,
                direction,
            });
        }
    }
    Ok(all)
}

/// Tables as they come, each with its file and its part of the result.
#[derive(Default)]
struct Told {
    files: Vec<String>,
    json: Map<String, Value>,
    text: Vec<String>,
    warnings: Vec<Warning>,
}

impl Told {
    /// Writes a table; `text` is what the terminal shows of it.
    fn table(&mut self, folder: &Path, name: &str, table: &Table, text: String) -> Result<()> {
        let file = format!("{name}.csv");
        table.write_csv(&folder.join(&file))?;
        self.files.push(file);
        self.json.insert(name.into(), table.json());
        self.text.push(text);
        Ok(())
    }

    /// Rates of judged answers, their contrasts and the doubts about them.
    fn rates(
        &mut self,
        folder: &Path,
        (outcome, judged): (&Outcome, &[crate::behavior::Judged]),
        references: &[String],
        battery: &[Preference],
        seed: u64,
    ) -> Result<()> {
        let all = findings::rates_of(judged, seed)?;
        let table = tables::rates(&all);
        self.table(folder, "rates", &table, tables::rates_told(&table))?;
        let contrasts = findings::rate_contrasts(&all, references, battery, seed)?;
        if !contrasts.is_empty() {
            let shown = tables::contrasts(contrasts.iter().filter(|c| tables::is_told(c)));
            let table = tables::contrasts(contrasts.iter());
            self.table(folder, "rate_contrasts", &table, shown.text())?;
        }
        let samples = judged.iter().map(|j| j.answer.sample + 1).max();
        self.warnings.extend(outcome.warnings.iter().cloned());
        self.warnings
            .extend(warning::of_rates(&all, samples.unwrap_or(0)));
        self.text.push(outcome.text());
        self.json.insert("judge".into(), outcome.json());
        if let Ok(inside) = outcome.store.path().strip_prefix(folder) {
            self.files.push(inside.display().to_string());
        }
        Ok(())
    }

    /// The doubts in words.
    fn sentences(&self) -> Vec<String> {
        self.warnings.iter().map(Warning::to_string).collect()
    }

    /// Ends the command: warnings, then the result.
    fn finish(mut self, folder: &Path, out: &Console) -> Result<()> {
        for w in &self.warnings {
            out.warn(&w.to_string());
        }
        let sentences = self.sentences();
        self.json.insert("out".into(), json!(folder));
        self.json.insert("files".into(), json!(self.files));
        self.json.insert("warnings".into(), json!(sentences));
        self.text.push(format!(
            "Stance log-odds in nats a token; 95 % bootstrap intervals over prompts; differences \
             are paired by prompt; q by Benjamini-Hochberg over isolated cells.\nwritten: {} in {}",
            self.files.join(", "),
            folder.display()
        ));
        self.text.retain(|t| !t.is_empty());
        let text = self.text.join("\n");
        out.result(&Value::Object(self.json), || text)
    }
}

/// What the command reads and writes.
fn outputs(args: &BehaveArgs, plan: &Plan) -> Outputs {
    const TABLES: [&str; 9] = [
        "behaviour.csv",
        "contrasts.csv",
        "claims.csv",
        "talks.csv",
        "turns.csv",
        "rates.csv",
        "rate_contrasts.csv",
        "talk_rates.csv",
        "manifest.json",
    ];
    let all = Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .reads_all("a state", plan.inputs())
        .reads_all("--battery", &args.battery.battery)
        .reads_all("--conversations", args.conversations.iter().flatten())
        .reads_all("--directions", &args.directions)
        .folder("--out", &args.out, &TABLES);
    match args.judge.judge {
        Some(_) => all.file("--verdicts", args.judge.file(&args.out)),
        None => all,
    }
}

pub fn run(args: &BehaveArgs, out: &Console) -> Result<()> {
    let adapters = state::located(&args.adapter, out)?;
    let plan = Plan {
        adapters: &adapters,
        steered: &args.steer,
        ablated: &args.ablate,
        on: &args.edit_on,
    };
    plan.check()?;
    let names = plan.names();
    if let Some(name) = args
        .against
        .iter()
        .find(|n| !args.rejudge && !names.contains(n))
    {
        bail!(
            "--against `{name}` is no state of this command; there are: {}",
            names.join(", ")
        );
    }
    let judge = args.judge.checked(out)?;
    outputs(args, &plan).check()?;
    let battery = args.battery.load(args.seed)?;
    if args.rejudge {
        return rejudge::run(args, judge, &battery, out);
    }
    let claims = match args.claims {
        true => load_claims(None)?,
        false => Vec::new(),
    };
    let mut scripts = match &args.conversations {
        Some(folder) => load_scripts(folder.as_deref())?,
        None => Vec::new(),
    };
    scripts.retain(|s| args.battery.takes(&s.preference));
    if args.conversations.is_some() && scripts.is_empty() {
        bail!("no conversation is about the chosen preferences; choose others, or give a folder");
    }
    let held = args.directions.as_deref().map(|f| vectors::open(f, []));
    let held = held.transpose()?;
    plan.check_files()?;
    let by_default = if judge.is_some() { SAMPLES } else { 0 };
    let samples = args.samples.map_or(by_default, usize::from);
    if judge.is_some() && samples == 0 {
        bail!("--samples 0 leaves the judge nothing to judge; give at least 1");
    }
    let model = args.model.open(out)?;
    let mut sources = plan.check_edits(&model)?;
    let mut rulers = Vec::new();
    if let Some(found) = held {
        let directions = Directions::of(found, &model.decoder)?;
        rulers = self::rulers(&directions)?;
        sources.push(directions);
    }
    let asking = Asking {
        battery: &battery,
        claims: &claims,
        scripts: &scripts,
        replies: match args.own_replies {
            true => Replies::Own,
            false => Replies::Scripted,
        },
        rulers: &rulers,
        system: args.system.as_deref(),
        samples,
        seed: args.seed,
        temperature: args.temperature,
        top_p: args.top_p,
        max_tokens: args.max_tokens.into(),
        out: &args.out,
    };
    state::make_folder(&args.out)?;
    let mut told = Told::default();
    let mut turns = tables::turns();
    let mut all: Vec<Measured> = Vec::new();
    for name in &names {
        let open = plan.open(name, &model)?;
        let files = &mut told.files;
        all.push(measure::measure(
            name, &open, &model, &asking, files, &mut turns, out,
        )?);
    }
    let references = findings::references(&names, &args.against);
    let folder = args.out.as_path();
    let table = findings::scores(&all, &battery, args.seed)?;
    told.table(folder, "behaviour", &table, table.text())?;
    if names.len() > 1 {
        let contrasts = findings::stance_contrasts(&all, &references, &battery, args.seed)?;
        let shown = tables::contrasts(contrasts.iter().filter(|c| tables::is_told(c)));
        let table = tables::contrasts(contrasts.iter());
        told.table(folder, "contrasts", &table, shown.text())?;
    }
    let mut took = Vec::new();
    if args.claims {
        let table;
        (table, took) = findings::claims(&all, &claims, args.seed)?;
        told.table(folder, "claims", &table, table.text())?;
        told.json.insert("took".into(), json!(took));
    }
    told.warnings = findings::doubts(&names, &battery, &took);
    let vectors: Vec<Value> = sources.iter().map(Directions::record).collect();
    if !vectors.is_empty() {
        told.json.insert("vectors".into(), json!(vectors));
        told.text.extend(sources.iter().map(Directions::note));
    }
    if !scripts.is_empty() {
        let table = findings::talks(&all, args.seed)?;
        told.table(folder, "talks", &table, table.text())?;
    }
    if !turns.is_empty() {
        told.table(folder, "turns", &turns, String::new())?;
    }
    if let Some(judge) = &judge {
        let take = |pick: fn(&mut Measured) -> &mut Vec<crate::behavior::Answer>,
                    all: &mut Vec<Measured>| {
            let each = all.iter_mut().flat_map(|m| std::mem::take(pick(m)));
            each.collect::<Vec<_>>()
        };
        let answers = take(|m| &mut m.answers, &mut all);
        let at_ends = take(|m| &mut m.talk_answers, &mut all);
        let cases: Vec<Case> = answers.iter().chain(&at_ends).map(Case::of).collect();
        let outcome = args
            .judge
            .run(judge, cases, &battery, folder, Some(&model), out)?;
        rejudge::tell(
            &mut told,
            &outcome,
            answers,
            at_ends,
            &references,
            args,
            &battery,
        )?;
    }
    let preferences: Vec<&str> = battery.iter().map(|p| p.name.as_str()).collect();
    let config = json!({
        "system": args.system, "preferences": preferences, "prompts": args.battery.prompts,
        "battery": args.battery.battery, "states": names, "references": references,
        "samples": asking.samples, "temperature": args.temperature, "top_p": args.top_p,
        "max_tokens": args.max_tokens, "replies": asking.replies,
        "judge": told.json.get("judge"), "vectors": vectors,
    });
    state::record(
        folder,
        &model,
        config,
        args.seed,
        &plan.inputs(),
        &told.files,
    )?;
    let mut manifest = Manifest::read(folder)?;
    manifest.warnings = told.sentences();
    manifest.write(folder)?;
    told.finish(folder, out)
}
