//! The judge on the command line: who judges, how it is asked, and what came of it.

use crate::behavior::judge::{
    self, endpoint, judge_locally, known, Agreement, Case, Clock, Endpoint, JudgeError, Key, Price,
    Store, Tally,
};
use crate::behavior::warning::{of_judging, Warning};
use crate::cli::{state, Console};
use crate::materials::Preference;
use crate::model::Model;
use crate::stats::Interval;
use anyhow::{bail, Error, Result};
use clap::Args;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `--judge` with this value judges by a local model.
const LOCAL: &str = "local";

/// The judge and how it is called.
#[derive(Args, Debug, Clone)]
pub struct JudgeArgs {
    /// Judge of sampled answers: base address of an OpenAI-compatible server, or `local`
    #[arg(long, value_name = "URL|local")]
    pub judge: Option<String>,
    /// Model that judges; for `local` as for --model [default there: --model]
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,
    /// Environment variable that holds the judge's key
    #[arg(long, value_name = "VARIABLE", default_value = "OPENAI_API_KEY", requires = "judge")]
    judge_key_env: String,
    /// Field of the request set otherwise, NAME=JSON, null to leave it out; may be given again
    #[arg(hide_short_help = true, long, value_name = "NAME=JSON", requires = "judge")]
    judge_set: Vec<String>,
    /// Requests under way at one time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    #[arg(hide_short_help = true, requires = "judge")]
    judge_threads: u16,
    /// Requests a minute [default: no limit]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = positive, requires = "judge")]
    judge_rate: Option<f64>,
    /// Further tries after a failure that may pass
    #[arg(hide_short_help = true, long, value_name = "N", default_value_t = 5, requires = "judge")]
    judge_retries: u32,
    /// Most replies requested in a run until one is a verdict; after a truncated one the next has more
    /// room
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(hide_short_help = true, requires = "judge")]
    judge_replies: u32,
    /// Seconds that a request may take
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(hide_short_help = true, requires = "judge")]
    judge_timeout: u64,
    /// Price of a million tokens, in and out, such as 0.4,1.6
    #[arg(hide_short_help = true, long, value_name = "IN,OUT", value_parser = price, requires = "judge")]
    judge_price: Option<Price>,
    /// Begin no request once this run has cost as much
    #[arg(long, value_name = "COST", requires = "judge_price", value_parser = positive)]
    judge_budget: Option<f64>,
    /// Prompts of each preference whose known completions examine the judge [default: 0, or 2
    /// for `local`]
    #[arg(long, value_name = "N", requires = "judge")]
    judge_check: Option<usize>,
    /// File of verdicts, which may serve several runs [default: verdicts.jsonl in --out]
    #[arg(long, value_name = "FILE", requires = "judge")]
    verdicts: Option<PathBuf>,
}

fn positive(s: &str) -> Result<f64, String> {
    let n = s.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    n.ok_or_else(|| "write a number above 0".into())
}

fn price(s: &str) -> Result<Price, String> {
    let number = |s: &str| s.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
    let both = s.split_once(',').and_then(|(a, b)| Some((number(a)?, number(b)?)));
    match both {
        Some((input, output)) => Ok(Price { input, output }),
        None => Err("write two numbers, such as 0.4,1.6".into()),
    }
}

/// A judge that has been checked as far as it can be without asking it.
pub enum Judge {
    Remote(Box<Endpoint>),
    /// A model by name; none: the model under test.
    Local(Option<String>),
}

/// What came of judging.
pub struct Outcome {
    /// The name under which verdicts are stored.
    pub judge: String,
    pub store: Store,
    pub tally: Tally,
    pub agreement: Option<Agreement>,
    pub warnings: Vec<Warning>,
}

impl JudgeArgs {
    /// The judge asked for, if any.
    pub fn checked(&self, out: &Console) -> Result<Option<Judge>> {
        let Some(judge) = &self.judge else {
            return Ok(None);
        };
        if judge == LOCAL {
            return Ok(Some(Judge::Local(self.judge_model.clone())));
        }
        let Some(model) = &self.judge_model else {
            bail!("--judge URL needs --judge-model NAME, the model that the server is to use");
        };
        let variable = &self.judge_key_env;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if variable.is_empty() || !variable.chars().all(named) {
            // Not shown: it may be a key.
            bail!("--judge-key-env takes the name of an environment variable, not the key itself");
        }
        let mut endpoint = Endpoint::new(judge, model, Key::from_env(variable)?)?;
        for text in &self.judge_set {
            let (name, value) = endpoint::option(text)?;
            endpoint.options.insert(name, value);
        }
        endpoint.concurrency = self.judge_threads.into();
        endpoint.per_minute = self.judge_rate;
        endpoint.retries = self.judge_retries;
        endpoint.replies = self.judge_replies;
        endpoint.timeout = Duration::from_secs(self.judge_timeout);
        endpoint.price = self.judge_price;
        endpoint.budget = self.judge_budget;
        if endpoint.key_in_the_open() {
            out.warn(&Warning::KeyInTheOpen.to_string());
        }
        if endpoint.key.is_none() {
            out.log(&format!("{variable} is not set: the judge is called without a key"));
        }
        Ok(Some(Judge::Remote(Box::new(endpoint))))
    }

    /// Where verdicts are kept.
    pub fn file(&self, folder: &Path) -> PathBuf {
        let own = || folder.join("verdicts.jsonl");
        self.verdicts.clone().unwrap_or_else(own)
    }

    /// Judges cases, those that examine the judge first. `tested` is the model under test.
    pub fn run(
        &self,
        judge: &Judge,
        cases: Vec<Case>,
        battery: &[Preference],
        folder: &Path,
        tested: Option<&Model>,
        out: &Console,
    ) -> Result<Outcome> {
        let mut store = Store::open(&self.file(folder))?;
        let by_default = if matches!(judge, Judge::Local(_)) { 2 } else { 0 };
        let known = known(battery, self.judge_check.unwrap_or(by_default));
        let mut all: Vec<Case> = known.iter().map(|(case, _)| case.clone()).collect();
        all.extend(cases);
        let opened;
        let model = match (judge, tested) {
            (Judge::Remote(endpoint), _) => Err(endpoint),
            (Judge::Local(None), Some(model)) => Ok(model),
            (Judge::Local(Some(name)), Some(model)) if *name == model.id => Ok(model),
            (Judge::Local(Some(name)), _) => {
                opened = state::open(name, out)?;
                Ok(&opened)
            }
            (Judge::Local(None), None) => {
                bail!("--judge local needs --judge-model NAME where no model is loaded")
            }
        };
        let name = match model {
            Err(endpoint) => endpoint.name(),
            Ok(model) => format!("local {}@{}", model.id, &model.sha256[..12]),
        };
        let mut progress = None;
        let watch = &mut |t: &Tally| {
            let bar = progress.get_or_insert_with(|| {
                let (left, n, known) = (t.cases - t.known, all.len(), t.known);
                out.log(&format!("judging {left} cases ({n} answers, {known} settled before)"));
                out.bar("judging", left)
            });
            bar.to(t.settled + t.unparsed + t.failed, &note(t));
        };
        let tally: Result<Tally> = match model {
            Err(endpoint) => judge::judge(endpoint, &Clock::system(), &all, &mut store, watch)
                .map_err(Error::from),
            Ok(Model { decoder, tokenizer, .. }) => {
                judge_locally(decoder, tokenizer, &name, &all, &mut store, watch)
                    .map_err(Error::from)
            }
        };
        let tally = tally.map_err(|error| match error.downcast_ref::<JudgeError>() {
            // The same command would be refused again.
            Some(JudgeError::Refused { .. }) => error.context("the answers are kept"),
            _ => error.context("the answers are kept; run the same command again to go on"),
        })?;
        drop(progress);
        let agreement = (!known.is_empty()).then(|| Agreement::of(&name, &known, &store));
        let warnings = of_judging(&name, &tally, agreement.as_ref());
        Ok(Outcome { judge: name, store, tally, agreement, warnings })
    }
}

/// Cost and trouble so far.
fn note(t: &Tally) -> String {
    let tokens = t.prompt_tokens + t.completion_tokens;
    let mut parts: Vec<String> = match t.cost {
        Some(cost) => vec![format!("cost {cost:.4}")],
        None if t.requests > 0 => vec![format!("{tokens} tokens")],
        None => Vec::new(),
    };
    let trouble = [(t.unparsed, "unparsed"), (t.failed, "failed")].into_iter();
    parts.extend(trouble.filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    parts.join(", ")
}

impl Outcome {
    /// One line on what judging did and cost, and one on how well the judge judges.
    pub fn text(&self) -> String {
        let (judge, t) = (&self.judge, &self.tally);
        let Tally { cases, known, settled, requests, unparsed, .. } = t;
        let (sent, came, without) = (t.prompt_tokens, t.completion_tokens, cases - known - settled);
        let mut text = format!(
            "judge {judge}: {cases} cases, {known} settled before, {settled} now with {requests} requests, {unparsed} unparsed, {without} without a verdict"
        );
        if sent + came > 0 {
            text += &format!("; {sent} tokens in, {came} out");
        }
        if let Some(cost) = t.cost {
            text += &format!(", cost {cost:.4}");
        }
        if let Some(a) = &self.agreement {
            let shown = |rate: f64, i: &Interval| format!("{rate:.2} ({:.2} to {:.2})", i.lo, i.hi);
            let stance = shown(a.stance_rate, &a.stance_interval);
            let fact = shown(a.fact_rate, &a.fact_interval);
            text += &format!(
                "\nexamined on {} completions whose side is known: side right {stance}, fact right {fact}",
                a.n
            );
        }
        text
    }

    pub fn json(&self) -> Value {
        json!({
            "judge": self.judge, "prompt_version": judge::prompt::VERSION,
            "verdicts": self.store.path(), "tally": self.tally, "agreement": self.agreement,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_and_limits_are_numbers_that_make_sense() {
        let both = Price { input: 0.4, output: 1.6 };
        assert_eq!(price("0.4, 1.6"), Ok(both));
        for wrong in ["0.4", "a,b", "-1,2", "1,inf"] {
            assert!(price(wrong).is_err(), "{wrong}");
        }
        assert!(positive("0").is_err() && positive("nan").is_err());
        assert_eq!(positive("90"), Ok(90.0));
    }
}
