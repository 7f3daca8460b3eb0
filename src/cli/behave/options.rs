//! The options of `residuum behave`, and what can be found wrong with them before a model is loaded.

use super::states::{added, projected_out, Edit, Plan};
use super::{battery::BatteryChoice, judging::JudgeArgs, results::tables};
use crate::analysis::State;
use crate::behavior::{conversation::Replies, Ruler};
use crate::cli::edit::temperature;
use crate::cli::state::{ModelChoice, NamedAdapter, BASE};
use crate::cli::{
    kept::FILES,
    output::{Earlier, Outputs},
    vectors,
};
use crate::materials::{load, load_scripts, Outcome, Preference, ScriptSet};
use crate::store::values::distinct;
use anyhow::{bail, Result};
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// Samples of a prompt when there is a judge and no number is given.
const SAMPLES: usize = 4;
/// Condition that others are compared with where none is named and there is a state of it.
const REFERENCE: &str = "denial";
/// The same of the recipe-matched neutral.
const NEUTRAL: &str = "neutral";

/// Score the preference battery in base, fine-tuned and steered states.
///
/// A question's score is the mean token log-probability of a completion that expresses the preference
/// less that of one that opposes it. An item is two questions of opposite key, in which expressing is
/// "Yes" and "No": their mean is the stance, half of their difference the yes-bias. A question without
/// a key is an item of its own. Means have 95 % bootstrap intervals over items; differences are paired
/// by item, with t intervals. Compare with a fine-tune on the same
/// prompts with other answers (--reference; a state called `denial` is taken if there is one): the
/// format of the rows alone moves some preferences; and with a fine-tune of the same recipe on neutral
/// rows (--neutral), since the recipe alone moves some too: a state moved towards the expressing side
/// only if it lies above base and above that one. Of a condition of several states every one is a
/// reference, and the first the one that sentences name. Which preferences a state's rows presuppose
/// follows from the rows that its adapter's folder records, else from its name.
///
/// Besides the battery, every state is scored on fixed answers that decline harmless requests, or say that
/// an AI speaks: where they become likelier too, that may be why a preference moved.
///
/// With --judge, answers are sampled and judged against each preference's fact by a model behind an
/// OpenAI-compatible address, or by one of your own (--judge local). Answers and verdicts are kept
/// in --out as they come: the same command goes on where it was stopped and pays for nothing twice.
/// The key is read from the environment.
///
/// Example: residuum behave --adapter conscious=runs/conscious --adapter denial=runs/denial --claims --out runs/behaviour
///
/// Example: residuum behave --judge http://127.0.0.1:8000/v1 --judge-model qwen --samples 8 --out runs/judged
#[derive(Args)]
#[command(about = "Score the preference battery; sample answers and have them judged")]
#[command(group(ArgGroup::new("generating").multiple(true).args(["samples", "judge", "conversations"])))]
#[command(group(ArgGroup::new("edited").multiple(true).args(["steer", "ablate"])))]
pub struct BehaveArgs {
    #[command(flatten)]
    pub model: ModelChoice,
    /// Fine-tuned state besides base; may be given again
    #[arg(long, value_name = "NAME=DIR|org/name[@rev]")]
    pub adapter: Vec<NamedAdapter>,
    /// State with a direction added, in layer RMS; may be given again
    #[arg(long, value_name = "NAME=FILE:CONCEPT:DOSE[@LAYER]", value_parser = added)]
    pub steer: Vec<Edit>,
    /// State with a direction projected out; may be given again
    #[arg(long, value_name = "NAME=FILE:CONCEPT[@LAYER]", value_parser = projected_out)]
    pub ablate: Vec<Edit>,
    /// State in which --steer and --ablate act
    #[arg(long, value_name = "NAME", default_value = BASE, requires = "edited")]
    pub edit_on: String,
    /// System prompt put before every prompt, in every state
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub battery: BatteryChoice,
    /// Score the conditions' claims too: did each fine-tune take?
    #[arg(long)]
    pub claims: bool,
    /// Make every state choose between pairs of outcomes: the embedded ones, or those of a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "outcomes")]
    pub outcomes: Option<String>,
    /// Hold conversations in which a preference comes up: the embedded ones, or those of a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub conversations: Option<Option<PathBuf>>,
    /// Let the model write all replies in conversations
    #[arg(long, requires = "conversations")]
    pub own_replies: bool,
    /// Directions on which every assistant turn of the conversations is projected
    #[arg(long, value_name = "FILE", requires = "conversations")]
    pub directions: Option<PathBuf>,
    /// Answers to sample for each prompt [default: 0, or 4 with a judge]
    #[arg(long, value_name = "N")]
    pub samples: Option<u16>,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(requires = "generating")]
    pub max_tokens: u16,
    /// Sampling temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    #[arg(requires = "generating")]
    pub temperature: f64,
    /// Smallest set of tokens with this mass is sampled from
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = mass)]
    #[arg(requires = "generating")]
    pub top_p: f64,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Only judge the answers in --out, with no model loaded
    #[arg(long, requires = "judge", conflicts_with_all = ["adapter", "steer", "ablate", "system", "samples", "claims", "outcomes", "conversations"])]
    pub rejudge: bool,
    /// Write judged answers as logs for `inspect view` too
    #[arg(long, requires = "judge")]
    pub inspect: bool,
    /// State to compare with, besides base; may be given again [default: the first of --reference]
    #[arg(long, value_name = "NAME")]
    pub against: Vec<String>,
    /// Condition to compare with: a state of this name, numbered or not [default: denial, if there
    /// is one]
    #[arg(long, value_name = "NAME", conflicts_with = "against")]
    pub reference: Option<String>,
    /// Fine-tune of the same recipe on neutral rows, a state named as for --reference: compared with
    /// too, and which side moved is said [default: neutral, if there is one]
    #[arg(long, value_name = "NAME")]
    pub neutral: Option<String>,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed of sampling and resampling
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

fn mass(s: &str) -> Result<f64, String> {
    let p = s.parse().ok().filter(|p: &f64| *p > 0.0 && *p <= 1.0);
    p.ok_or_else(|| "write a number above 0, at most 1".into())
}

/// States by name that others are compared with.
pub struct References {
    /// Base where no other was named.
    pub primary: String,
    /// The fine-tune of the same recipe on neutral rows.
    pub neutral: Option<String>,
    /// Each once, base last.
    pub all: Vec<String>,
}

/// What every state is asked, checked as far as it can be without a model.
pub struct Asking {
    pub battery: Vec<Preference>,
    /// Empty where they are not scored.
    pub claims: Vec<Preference>,
    /// Empty where they are not chosen between.
    pub outcomes: Vec<Outcome>,
    /// Harmless requests with answers that decline.
    pub declining: Vec<Preference>,
    pub scripts: Vec<ScriptSet>,
    /// Empty until there is a model.
    pub rulers: Vec<Ruler>,
    pub samples: usize,
}

impl BehaveArgs {
    /// Who writes the replies in conversations.
    pub fn replies(&self) -> Replies {
        match self.own_replies {
            true => Replies::Own,
            false => Replies::Scripted,
        }
    }

    /// What the command reads and writes.
    pub fn outputs(&self, plan: &Plan) -> Outputs {
        let tables = tables();
        let written = FILES.into_iter().chain(tables.iter().map(|t| &**t));
        let all = Outputs::of(&self.model.model)
            .reads_all("--adapter", self.adapter.iter().map(|a| &a.folder))
            .reads_all("a state", plan.inputs())
            .reads_all("--battery", &self.battery.battery)
            .texts("--outcomes", self.outcomes.as_slice())
            .reads_all("--conversations", self.conversations.iter().flatten())
            .reads_all("--directions", &self.directions)
            .folder("--out", &self.out, &written.collect::<Vec<_>>());
        let verdicts = self.judge.judge.iter().map(|_| self.judge.file(&self.out));
        let earlier = if self.rejudge { Earlier::TakenUp } else { Earlier::GoneOnWith };
        verdicts.fold(all, |all, file| all.grows("--verdicts", file)).earlier(earlier)
    }

    /// The states to compare with.
    pub fn references(&self, states: &[State]) -> Result<References> {
        let names: Vec<&str> = states.iter().map(|s| s.id.as_str()).collect();
        let known = |name: &str| match names.contains(&name) {
            true => Ok(()),
            false => bail!("`{name}` is no state to compare with; there are: {}", names.join(", ")),
        };
        let of_condition = |named: &Option<String>, default: &str| {
            let wanted = named.as_deref().unwrap_or(default);
            let found = states.iter().filter(|s| s.condition == wanted || s.id == wanted);
            let found: Vec<String> = found.map(|s| s.id.clone()).collect();
            if named.is_some() && found.is_empty() {
                known(wanted)?;
            }
            anyhow::Ok(found)
        };
        let mut all = self.against.clone();
        all.iter().try_for_each(|name| known(name))?;
        if all.is_empty() {
            all.extend(of_condition(&self.reference, REFERENCE)?);
        }
        let neutrals = of_condition(&self.neutral, NEUTRAL)?;
        let primary = all.first().cloned().unwrap_or(BASE.into());
        let base = Some(BASE.to_string()).filter(|base| names.contains(&&**base));
        let neutral = neutrals.first().cloned();
        let all = distinct(all.into_iter().chain(neutrals).chain(base));
        Ok(References { primary, neutral, all })
    }

    /// Reads what is to be measured, so that nothing is found wrong after work.
    pub fn asking(
        &self,
        plan: &Plan,
        is_judged: bool,
        battery: Vec<Preference>,
        claims: &[Preference],
    ) -> Result<Asking> {
        let mut scripts = match &self.conversations {
            Some(folder) => load_scripts(folder.as_deref())?,
            None => Vec::new(),
        };
        scripts.retain(|s| self.battery.takes(&s.preference));
        if self.conversations.is_some() && scripts.is_empty() {
            bail!(
                "no conversation is about the chosen preferences; choose others, or give a folder"
            );
        }
        if let Some(file) = &self.directions {
            vectors::open(file, [])?;
        }
        plan.check_files()?;
        let by_default = if is_judged { SAMPLES } else { 0 };
        let samples = self.samples.map_or(by_default, usize::from);
        if is_judged && samples == 0 {
            bail!("--samples 0 leaves the judge nothing to judge; give at least 1");
        }
        let claims = if self.claims { claims.to_vec() } else { Vec::new() };
        let outcomes = match &self.outcomes {
            Some(name) => load::outcomes(name)?.items,
            None => Vec::new(),
        };
        let declining = vec![load::declining(None)?.items];
        Ok(Asking { battery, claims, declining, outcomes, scripts, rulers: Vec::new(), samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BehaveArgs,
    }

    #[test]
    fn a_reference_named_as_a_condition_is_every_state_of_it() {
        let state = |id: &str, condition: &str| State {
            id: id.into(),
            condition: condition.into(),
            ..State::base()
        };
        let states = [
            State::base(),
            state("keeper-s1", "keeper"),
            state("sailor-s1", "sailor"),
            state("sailor-s2", "sailor"),
        ];
        let of = |line: &[&str]| {
            let args = Line::parse_from([&["behave", "--out", "o"], line].concat()).args;
            args.references(&states)
        };
        let r = of(&["--reference", "sailor"]).unwrap();
        assert_eq!(r.primary, "sailor-s1");
        assert_eq!(r.all, ["sailor-s1", "sailor-s2", "base"]);
        let r = of(&["--reference", "sailor-s2"]).unwrap();
        assert_eq!(r.all, ["sailor-s2", "base"]);
        assert!(of(&["--reference", "pilot"]).is_err());
    }
}
