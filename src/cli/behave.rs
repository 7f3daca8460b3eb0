//! `residuum behave`: the preference battery in every model state.
//!
//! The score of a prompt is how much more likely the expressing completion is than the opposing
//! one; the prompt is the unit of replication, and a difference to base is paired by prompt.

use super::state::{self, ModelChoice, NamedAdapter};
use super::table::Table;
use super::Console;
use crate::behavior::{by_prompt, estimate, stance, PairScore, PromptScore};
use crate::materials::{load_preferences, subset, Preference, Status};
use crate::model::error::nearest;
use crate::model::{Decoder, Interventions, Tokenizer};
use crate::store::atomic;
use anyhow::{bail, Result};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Draws of the bootstrap.
const DRAWS: usize = 2000;

/// Which part of the battery is scored.
#[derive(Args, Debug, Clone)]
pub struct BatteryChoice {
    /// Folder of preference files instead of the embedded battery
    #[arg(long, value_name = "DIR")]
    pub battery: Option<PathBuf>,
    /// Preferences to score [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub preferences: Vec<String>,
    /// Prompts of each preference, evenly over their forms [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub prompts: Option<u16>,
}

impl BatteryChoice {
    /// The chosen preferences with the chosen prompts.
    pub fn load(&self) -> Result<Vec<Preference>> {
        let mut all = load_preferences(self.battery.as_deref())?;
        for name in &self.preferences {
            if all.iter().all(|p| p.name != *name) {
                let near = nearest(name, all.iter().map(|p| p.name.as_str()));
                let known: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
                bail!(
                    "no preference is named \"{name}\"; did you mean \"{}\"? Known: {}",
                    near.unwrap_or_default(),
                    known.join(", ")
                );
            }
        }
        all.retain(|p| self.preferences.is_empty() || self.preferences.contains(&p.name));
        if let Some(n) = self.prompts {
            for p in &mut all {
                let kept = subset::prompts(p, n.into()).into_iter().cloned();
                p.prompts = kept.collect();
            }
        }
        Ok(all)
    }
}

/// Score the preference battery
#[derive(Args)]
#[command(
    long_about = "Score the preference battery in base and fine-tuned states.\n\n\
A prompt's score is the mean token log-probability of a completion that expresses the preference \
less that of one that opposes it, averaged over the prompt's pairs. Means have 95 % bootstrap \
intervals over prompts; differences to base are paired by prompt. Compare fine-tunes with one \
another too: the format of the rows alone moves some preferences.\n\n\
Example:\n  residuum behave --adapter conscious=runs/conscious --out runs/behaviour"
)]
pub struct BehaveArgs {
    #[command(flatten)]
    model: ModelChoice,
    /// Fine-tuned state to score beside base; may be given again
    #[arg(long, value_name = "NAME=DIR")]
    adapter: Vec<NamedAdapter>,
    /// System prompt put before every prompt, in every state
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    battery: BatteryChoice,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

const COLUMNS: [&str; 11] = [
    "state",
    "preference",
    "status",
    "score",
    "lo",
    "hi",
    "less_base",
    "less_base_lo",
    "less_base_hi",
    "prompts",
    "pairs",
];

/// Scores one preference after the other, with progress.
pub fn score(
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    battery: &[Preference],
    system: Option<&str>,
    interventions: &Interventions,
    out: &Console,
    what: &str,
) -> Result<Vec<PairScore>> {
    let mut progress = out.bar(what, battery.len());
    let mut all = Vec::new();
    for preference in battery {
        let one = std::slice::from_ref(preference);
        all.extend(stance(decoder, tokenizer, one, system, interventions)?);
        progress.step("");
    }
    Ok(all)
}

/// Prompt scores of a preference, and the same less the reference's, in one order.
pub fn paired(
    scores: &[PromptScore],
    reference: &[PromptScore],
    preference: &str,
) -> (Vec<f64>, Vec<f64>) {
    let of = |all: &[PromptScore]| -> Vec<f64> {
        let own = all.iter().filter(|s| s.preference == preference);
        own.map(|s| s.log_odds).collect()
    };
    let values = of(scores);
    let less = values
        .iter()
        .zip(of(reference))
        .map(|(a, b)| a - b)
        .collect();
    (values, less)
}

pub fn run(args: BehaveArgs, out: &Console) -> Result<()> {
    state::distinct(&args.adapter)?;
    let battery = args.battery.load()?;
    let model = state::open(&args.model.model, out)?;
    state::make_folder(&args.out)?;
    let mut table = Table::new(&COLUMNS, 3);
    let mut reference: Vec<PromptScore> = Vec::new();
    let mut files = Vec::new();
    let none = Interventions::none();
    for (name, folder) in state::states(&args.adapter) {
        let decoder = state::state(&model.decoder, folder.as_deref())?;
        let system = args.system.as_deref();
        let pairs = score(
            &decoder,
            &model.tokenizer,
            &battery,
            system,
            &none,
            out,
            &name,
        )?;
        let mut lines = String::new();
        for pair in &pairs {
            lines += &serde_json::to_string(pair)?;
            lines.push('\n');
        }
        let file = format!("{name}.jsonl");
        atomic::write(&args.out.join(&file), lines.as_bytes())?;
        files.push(file);
        let prompts = by_prompt(&pairs);
        if folder.is_none() {
            reference = prompts.clone();
        }
        for p in &battery {
            let (values, less) = paired(&prompts, &reference, &p.name);
            let own = estimate(&values, DRAWS, args.seed)?;
            let change = estimate(&less, DRAWS, args.seed)?;
            let tuned = folder.is_some();
            let or_none = |v: f64| if tuned { v } else { f64::NAN };
            let status = match p.status.get(&name) {
                Some(Status::Implied) => "implied",
                Some(Status::Isolated) => "isolated",
                None => "",
            };
            table.row(vec![
                name.clone().into(),
                p.name.clone().into(),
                status.into(),
                own.value.into(),
                own.interval.lo.into(),
                own.interval.hi.into(),
                or_none(change.value).into(),
                or_none(change.interval.lo).into(),
                or_none(change.interval.hi).into(),
                own.n.into(),
                pairs
                    .iter()
                    .filter(|s| s.preference == p.name)
                    .count()
                    .into(),
            ]);
        }
    }
    table.write_csv(&args.out.join("behaviour.csv"))?;
    files.push("behaviour.csv".into());
    let names: Vec<&str> = battery.iter().map(|p| p.name.as_str()).collect();
    let config = json!({
        "system": args.system, "preferences": names, "prompts": args.battery.prompts,
        "battery": args.battery.battery,
    });
    let inputs = state::adapter_files(&args.adapter);
    state::record(&args.out, &model, config, args.seed, &inputs, &files)?;
    let text = format!(
        "{}\nStance log-odds in nats a token; 95 % bootstrap intervals over prompts; differences \
         to base are paired by prompt.\nwritten: {} in {}",
        table.text(),
        files.join(", "),
        args.out.display()
    );
    let json = json!({"out": args.out, "files": files, "scores": table.json()});
    out.result(&json, || text)
}
