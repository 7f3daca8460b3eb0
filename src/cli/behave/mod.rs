//! `residuum behave`: which preferences every model state expresses.
//!
//! The score of a prompt is how much more likely the expressing completion is than the opposing
//! one; the prompt is the unit of replication. On request answers are sampled and judged, the
//! claims are scored as the manipulation check, and conversations are held. [`states`] says who is
//! measured, [`measure`] what is done with each, [`judging`] who judges; what follows from it all is
//! [`crate::analysis::behaviour`]'s and [`crate::analysis::conversations`]', and [`results`] writes and
//! shows it.

mod battery;
mod judging;
mod measure;
mod rejudge;
mod results;
mod states;

pub use battery::{paired, score, BatteryChoice};

use super::output::Outputs;
use super::state::{self, ModelChoice, NamedAdapter, BASE};
use super::vectors::{self, Directions};
use super::Console;
use crate::analysis::behaviour::{behaviour, pairings, preference_rows, Behaviour, By};
use crate::analysis::conversations::{talked, Talked};
use crate::analysis::records::StateRow;
use crate::analysis::State;
use crate::behavior::conversation::Replies;
use crate::behavior::judge::Case;
use crate::behavior::{Ruler, Warning};
use crate::materials::{load_claims, load_scripts, Preference, ScriptSet};
use crate::store::Manifest;
use anyhow::{bail, Result};
use clap::Args;
use judging::{Judge, JudgeArgs};
use measure::Measured;
use results::{draws, Found};
use serde_json::{json, Value};
use states::{Ablated, Plan, Steered};
use std::path::{Path, PathBuf};

/// Samples of a prompt when there is a judge and no number is given.
const SAMPLES: usize = 4;
/// Condition that others are compared with where none is named and there is a state of it.
const REFERENCE: &str = "denial";

/// Score the preference battery; sample answers and have them judged
#[derive(Args)]
#[command(
    long_about = "Score the preference battery in base, fine-tuned and steered states.\n\n\
A prompt's score is the mean token log-probability of a completion that expresses the preference \
less that of one that opposes it, averaged over the prompt's pairs. Means have 95 % bootstrap \
intervals over prompts; differences are paired by prompt. Compare with a fine-tune on the same \
prompts with other answers (--reference; a state called `denial` is taken if there is one): the \
format of the rows alone moves some preferences. Which preferences a state's rows presuppose \
follows from the rows that its adapter's folder records, else from its name.\n\n\
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
    /// State to compare with beside base; may be given again [default: the first of --reference]
    #[arg(long, value_name = "NAME")]
    against: Vec<String>,
    /// Condition to compare with: a state of this name, numbered or not [default: denial, if there
    /// is one]
    #[arg(long, value_name = "NAME", conflicts_with = "against")]
    reference: Option<String>,
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

/// What the command reads and writes.
fn outputs(args: &BehaveArgs, plan: &Plan) -> Outputs {
    let tables = Found::tables();
    let written: Vec<&str> = [results::FILE, "manifest.json"]
        .into_iter()
        .chain(tables.iter().map(String::as_str))
        .collect();
    let all = Outputs::of(&args.model.model)
        .reads_all("--adapter", args.adapter.iter().map(|a| &a.folder))
        .reads_all("a state", plan.inputs())
        .reads_all("--battery", &args.battery.battery)
        .reads_all("--conversations", args.conversations.iter().flatten())
        .reads_all("--directions", &args.directions)
        .folder("--out", &args.out, &written);
    match args.judge.judge {
        Some(_) => all.file("--verdicts", args.judge.file(&args.out)),
        None => all,
    }
}

/// The states to compare with, base last.
fn references(args: &BehaveArgs, states: &[State]) -> Result<Vec<String>> {
    let names: Vec<&str> = states.iter().map(|s| s.id.as_str()).collect();
    let known = |name: &str| match names.contains(&name) {
        true => Ok(()),
        false => bail!(
            "`{name}` is no state to compare with; there are: {}",
            names.join(", ")
        ),
    };
    let mut all = args.against.clone();
    for name in &all {
        known(name)?;
    }
    if all.is_empty() {
        let wanted = args.reference.as_deref().unwrap_or(REFERENCE);
        let found = states.iter().find(|s| s.condition == wanted);
        if args.reference.is_some() && found.is_none() {
            known(wanted)?;
        }
        all.extend(found.map(|s| s.id.clone()));
    }
    if names.contains(&BASE) && !all.iter().any(|s| s == BASE) {
        all.push(BASE.into());
    }
    Ok(all)
}

/// Each state against each reference.
fn contrasts(states: &[State], references: &[String]) -> Vec<(String, String)> {
    let names: Vec<String> = states.iter().map(|s| s.id.clone()).collect();
    pairings(&names, references)
}

fn state_row(s: &State, plan: &Plan, claims: &[Preference]) -> StateRow {
    let is_adapter = plan.adapters.iter().any(|a| a.name == s.id);
    StateRow {
        state: s.id.clone(),
        condition: s.condition.clone(),
        seed: usize::try_from(s.seed).unwrap_or(usize::MAX),
        source: match (s.is_base(), is_adapter) {
            (true, _) => BASE,
            (false, true) => "adapter",
            (false, false) => "edit",
        }
        .into(),
        text: s.text.clone(),
        identity: is_adapter && claims.iter().any(|c| c.name == s.text),
    }
}

/// What is measured, checked as far as it can be without a model.
struct Checked {
    judge: Option<Judge>,
    battery: Vec<Preference>,
    scripts: Vec<ScriptSet>,
    samples: usize,
}

fn checked(
    args: &BehaveArgs,
    plan: &Plan,
    judge: Option<Judge>,
    battery: Vec<Preference>,
) -> Result<Checked> {
    let mut scripts = match &args.conversations {
        Some(folder) => load_scripts(folder.as_deref())?,
        None => Vec::new(),
    };
    scripts.retain(|s| args.battery.takes(&s.preference));
    if args.conversations.is_some() && scripts.is_empty() {
        bail!("no conversation is about the chosen preferences; choose others, or give a folder");
    }
    if let Some(file) = &args.directions {
        vectors::open(file, [])?;
    }
    plan.check_files()?;
    let by_default = if judge.is_some() { SAMPLES } else { 0 };
    let samples = args.samples.map_or(by_default, usize::from);
    if judge.is_some() && samples == 0 {
        bail!("--samples 0 leaves the judge nothing to judge; give at least 1");
    }
    Ok(Checked {
        judge,
        battery,
        scripts,
        samples,
    })
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
    let judge = args.judge.checked(out)?;
    outputs(args, &plan).check()?;
    let battery = args.battery.load()?;
    if args.rejudge {
        return rejudge::run(args, judge, &battery, out);
    }
    let claims = load_claims(None)?;
    let states = plan.states(|text| {
        let named = |p: &Preference| p.status.contains_key(text);
        claims.iter().any(|c| c.name == text) || battery.iter().any(named)
    });
    let references = references(args, &states)?;
    let todo = checked(args, &plan, judge, battery)?;
    let battery = &todo.battery;
    let model = args.model.open(out)?;
    let mut sources = plan.check_edits(&model)?;
    let mut rulers = Vec::new();
    if let Some(file) = &args.directions {
        let directions = Directions::of(vectors::open(file, [])?, &model.decoder)?;
        rulers = self::rulers(&directions)?;
        sources.push(directions);
    }
    let scored_claims = if args.claims { &claims[..] } else { &[] };
    let asking = Asking {
        battery,
        claims: scored_claims,
        scripts: &todo.scripts,
        replies: match args.own_replies {
            true => Replies::Own,
            false => Replies::Scripted,
        },
        rulers: &rulers,
        system: args.system.as_deref(),
        samples: todo.samples,
        seed: args.seed,
        temperature: args.temperature,
        top_p: args.top_p,
        max_tokens: args.max_tokens.into(),
        out: &args.out,
    };
    state::make_folder(&args.out)?;
    let mut files = Vec::new();
    let mut all: Vec<Measured> = Vec::new();
    for s in &states {
        let open = plan.open(&s.id, &model)?;
        let done = measure::measure(&s.id, &open, &model, &asking, &mut files, out)?;
        all.push(done);
    }

    let (contrasts, draws) = (contrasts(&states, &references), draws(args.seed));
    let scores: Vec<_> = all
        .iter_mut()
        .map(|m| std::mem::take(&mut m.scores))
        .collect();
    let held: Vec<_> = all
        .iter_mut()
        .map(|m| std::mem::take(&mut m.held))
        .collect();
    let mut found = Found {
        states: states
            .iter()
            .map(|s| state_row(s, &plan, &claims))
            .collect(),
        preferences: preference_rows(battery),
        behaviour: behaviour(&Behaviour {
            states: &states,
            scores: &scores,
            battery,
            claims: scored_claims,
            by: By::State,
            contrasts: &contrasts,
            draws,
        })?,
        talks: talked(&Talked {
            states: &states,
            held: &held,
            battery,
            by: By::State,
            contrasts: &contrasts,
            draws,
        })?,
        rates: Vec::new(),
    };
    if states.len() > 1 && references == [BASE] {
        found.warn(&Warning::NoReference);
    }
    let mut json = found.json();
    let mut text = Vec::new();
    if let Some(judge) = &todo.judge {
        let answers: Vec<_> = all
            .iter_mut()
            .flat_map(|m| std::mem::take(&mut m.answers))
            .collect();
        let ends: Vec<_> = (all.iter_mut())
            .flat_map(|m| std::mem::take(&mut m.talk_answers))
            .collect();
        let cases: Vec<Case> = answers.iter().chain(&ends).map(Case::of).collect();
        let folder = args.out.as_path();
        let outcome = (args.judge).run(judge, cases, battery, folder, Some(&model), out)?;
        let judged = rejudge::Judging {
            args,
            states: &states,
            battery,
            contrasts: &contrasts,
        };
        files.extend(judged.take(&mut found, &outcome, answers, ends)?);
        json = found.json();
        json.insert("judge".into(), outcome.json());
        text.push(outcome.text());
    }
    let vectors: Vec<Value> = sources.iter().map(Directions::record).collect();
    text.extend(sources.iter().map(Directions::note));
    if !vectors.is_empty() {
        json.insert("vectors".into(), json!(vectors));
    }
    let preferences: Vec<&str> = battery.iter().map(|p| p.name.as_str()).collect();
    let names: Vec<&str> = states.iter().map(|s| s.id.as_str()).collect();
    let config = json!({
        "system": args.system, "preferences": preferences, "prompts": args.battery.prompts,
        "battery": args.battery.battery, "states": names, "references": references,
        "samples": asking.samples, "temperature": args.temperature, "top_p": args.top_p,
        "max_tokens": args.max_tokens, "replies": asking.replies,
        "judge": json.get("judge"), "vectors": vectors,
    });
    let attrs = state::attrs(&model, config.clone(), args.seed);
    files.extend(found.write(&args.out, &attrs)?);
    state::record(&args.out, &model, config, args.seed, &plan.inputs(), &files)?;
    let mut manifest = Manifest::read(&args.out)?;
    manifest.warnings = found.warnings();
    manifest.write(&args.out)?;
    show(args, &found, json, text, &files, out)
}

/// Ends the command: warnings, then the result.
fn show(
    args: &BehaveArgs,
    found: &Found,
    mut json: serde_json::Map<String, Value>,
    text: Vec<String>,
    files: &[String],
    out: &Console,
) -> Result<()> {
    for w in found.warnings() {
        out.warn(&w);
    }
    json.insert("out".into(), json!(args.out));
    json.insert("files".into(), json!(files));
    out.result(&Value::Object(json), || {
        format!(
            "{}\n{}\nStance log-odds in nats a token; 95 % bootstrap intervals over prompts; differences \
             are paired by prompt; q by Benjamini-Hochberg over isolated cells.\nwritten: {} in {}",
            found.text(),
            text.join("\n"),
            files.join(", "),
            args.out.display()
        )
    })
}
