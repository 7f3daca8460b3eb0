//! Judging answers that exist: after sampling, and again later with another judge.
//!
//! `--rejudge` reads the answers of an earlier run from its folder and needs no model: each row
//! holds what a judge is shown. The run's record keeps its first command and gains the round.

use super::findings;
use super::judging::{Judge, Outcome};
use super::{BehaveArgs, Told};
use crate::behavior::judge::{Case, Ruling, Truth};
use crate::behavior::{Answer, Judged};
use crate::cli::state::BASE;
use crate::cli::Console;
use crate::export::inspect::{self, Log, Sample};
use crate::materials::Preference;
use crate::store::manifest::StageRecord;
use crate::store::{digest, time, Journal, Manifest};
use anyhow::{bail, Context, Result};
use serde_json::{json, Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Instant, UNIX_EPOCH};

/// All answers in a folder of journals, base first, then states by name.
fn answers_in(folder: &Path) -> Result<Vec<Answer>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "jsonl") {
                files.push(path);
            }
        }
    }
    files.sort_by_key(|p| (p.file_stem().is_none_or(|s| s != BASE), p.clone()));
    let mut all = Vec::new();
    for file in files {
        all.extend(Journal::read::<Answer>(&file)?);
    }
    Ok(all)
}

/// Judges the answers in `--out`.
pub fn run(
    args: &BehaveArgs,
    judge: Option<Judge>,
    battery: &[Preference],
    out: &Console,
) -> Result<()> {
    let begun = Instant::now();
    let folder = args.out.as_path();
    let answers = answers_in(&folder.join("answers"))?;
    let at_ends = answers_in(&folder.join("talk-answers"))?;
    let Some(judge) = judge.filter(|_| !answers.is_empty() || !at_ends.is_empty()) else {
        bail!(
            "{} holds no answers; sample some first: the same command without --rejudge",
            folder.display()
        );
    };
    let mut states: Vec<String> = answers.iter().map(|a| a.state.clone()).collect();
    states.dedup();
    if let Some(name) = args.against.iter().find(|n| !states.contains(n)) {
        bail!(
            "--against `{name}`: there are answers of {} only",
            states.join(", ")
        );
    }
    let references = findings::references(&states, &args.against);
    let cases: Vec<Case> = answers.iter().chain(&at_ends).map(Case::of).collect();
    let outcome = args.judge.run(&judge, cases, battery, folder, None, out)?;
    let mut told = Told {
        warnings: findings::doubts(&states, battery, &[]),
        ..Told::default()
    };
    tell(
        &mut told,
        &outcome,
        answers,
        at_ends,
        &references,
        args,
        battery,
    )?;
    record(folder, &told, &outcome, begun)?;
    told.finish(folder, out)
}

/// Adds a round of judging to the run's record.
fn record(folder: &Path, told: &Told, outcome: &Outcome, begun: Instant) -> Result<()> {
    let mut manifest = match Manifest::read(folder) {
        Ok(manifest) => manifest,
        Err(_) => Manifest::new(std::env::args().collect(), json!({})),
    };
    let judge = outcome.json();
    manifest.stages.push(StageRecord {
        name: "judge".into(),
        hash: digest::of_json(&json!([judge["judge"], judge["prompt_version"]])),
        seconds: begun.elapsed().as_secs_f64(),
        reused: false,
    });
    if let Some(config) = manifest.config.as_object_mut() {
        config.insert("judge".into(), judge);
    }
    for file in &told.files {
        manifest.add_output(folder, file)?;
    }
    manifest.warnings = told.sentences();
    manifest.finished = Some(time::utc_now());
    Ok(manifest.write(folder)?)
}

/// Rates, contrasts, conversation rates and logs of judged answers.
pub fn tell(
    told: &mut Told,
    outcome: &Outcome,
    answers: Vec<Answer>,
    at_ends: Vec<Answer>,
    references: &[String],
    args: &BehaveArgs,
    battery: &[Preference],
) -> Result<()> {
    let folder = args.out.as_path();
    let judged = findings::ruled(outcome, answers);
    let own = (outcome, judged.as_slice());
    told.rates(folder, own, references, battery, args.seed)?;
    if !at_ends.is_empty() {
        let talks = findings::ruled(outcome, at_ends);
        let table = super::tables::rates(&findings::rates_of(&talks, args.seed)?);
        let text = super::tables::rates_told(&table);
        let text = format!("at the end of conversations\n{text}");
        told.table(folder, "talk_rates", &table, text)?;
    }
    if args.inspect {
        let mut states: Vec<&str> = judged.iter().map(|j| j.answer.state.as_str()).collect();
        states.dedup();
        for state in states {
            let log = log(state, &judged, outcome, folder)?;
            let name = format!("inspect/{}", inspect::file_name(&log));
            inspect::write(&folder.join(&name), &log)?;
            told.files.push(name);
        }
    }
    Ok(())
}

/// The log of one state, dated by its answers, so that judging again replaces it.
fn log(state: &str, all: &[Judged], outcome: &Outcome, folder: &Path) -> Result<Log> {
    let file = folder.join(format!("answers/{state}.jsonl"));
    let drawn = std::fs::metadata(&file)
        .and_then(|m| m.modified())
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let seconds = drawn.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let own: Vec<&Judged> = all.iter().filter(|j| j.answer.state == state).collect();
    let Some(first) = own.first().map(|j| &j.answer.drawn) else {
        bail!("{} holds no answers of `{state}`", file.display());
    };
    Ok(Log {
        task: format!("residuum-behave-{state}"),
        model: format!("{}/{state}", first.model),
        created: time::utc(seconds),
        temperature: first.temperature,
        top_p: first.top_p,
        max_tokens: first.max_tokens,
        metadata: Map::from_iter([
            ("judge".to_string(), json!(outcome.judge)),
            ("drawn".to_string(), json!(first)),
        ]),
        samples: own.iter().map(|j| logged(j)).collect(),
    })
}

fn logged(j: &Judged) -> Sample {
    let a = &j.answer;
    let scores: BTreeMap<String, Value> = match j.ruling {
        Some(Ruling::Verdict(v)) => [
            ("coherent", json!(v.coherent)),
            ("fact", json!(v.fact == Truth::True)),
            ("fact word", json!(v.fact)),
            ("stance", json!(v.stance)),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into(),
        Some(Ruling::Unparsed) | None => BTreeMap::new(),
    };
    Sample {
        id: a.prompt_id.clone(),
        epoch: a.sample + 1,
        messages: a.messages.clone(),
        answer: a.answer.clone(),
        cut: a.cut,
        target: a.fact.clone(),
        scores,
        metadata: Map::from_iter([
            ("preference".to_string(), json!(a.preference)),
            ("group".to_string(), json!(a.group)),
            ("form".to_string(), json!(a.form)),
            (
                "unparsed".to_string(),
                json!(j.ruling == Some(Ruling::Unparsed)),
            ),
        ]),
    }
}
