//! Judging answers that exist: after sampling, and again later with another judge.
//!
//! `--rejudge` reads the answers of an earlier run from its folder and needs no model: each row
//! holds what a judge is shown. The run's record keeps its first command and gains the round.

use super::judging::{Judge, Outcome};
use super::results::{self, draws};
use super::BehaveArgs;
use crate::analysis::{records::Results, State};
use crate::behavior::judge::{Case, Ruling, Truth};
use crate::behavior::{judged, Answer, Judged};
use crate::cli::kept::{self, RESULTS};
use crate::cli::{state::BASE, Console};
use crate::export::inspect::{self, Log, Sample};
use crate::materials::Preference;
use crate::model::Model;
use crate::store::{
    digest, manifest::StageRecord, time, Journal, Manifest, ResultsReader, RootAttrs,
};
use anyhow::{bail, Context, Result};
use serde_json::{json, Map, Value};
use std::path::Path;
use std::time::{Instant, UNIX_EPOCH};

/// All answers in a folder of journals, base first, then states by name.
fn answers_in(folder: &Path) -> Result<Vec<Answer>> {
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
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
    let ends = answers_in(&folder.join("talk-answers"))?;
    let Some(judge) = judge.filter(|_| !answers.is_empty() || !ends.is_empty()) else {
        let folder = folder.display();
        bail!("{folder} holds no answers; sample some first: the same command without --rejudge");
    };
    let file = folder.join(RESULTS);
    let command = || std::env::args().collect::<Vec<String>>();
    let (mut found, attrs) = match file.exists() {
        true => {
            let reader = ResultsReader::open(&file)?;
            (Results::read(&reader)?, reader.root_attrs().clone())
        }
        false => {
            let attrs = RootAttrs::new(&command().join(" "), json!({}), args.seed);
            (Results::default(), attrs)
        }
    };
    let mut names: Vec<&str> = answers.iter().map(|a| a.state.as_str()).collect();
    names.dedup();
    let state = |id: &&str| match found.states.iter().find(|s| s.state == *id) {
        Some(s) => State { text: s.text.clone(), ..State::named(id) },
        None => State::named(id),
    };
    let states: Vec<State> = names.iter().map(state).collect();
    let references = args.references(&states)?.all;
    let contrasts = &super::contrasts(&states, &references);
    let judging = Judging { args, states: &states, battery, contrasts };
    let mut files = Vec::new();
    let outcome = judging.run(&judge, &mut found, (answers, ends), None, &mut files, out)?;
    files.extend(kept::results(folder, &attrs, &[], |w| Ok(found.write(w)?))?);
    // The run's record gains a round of judging.
    let mut manifest =
        Manifest::read(folder).unwrap_or_else(|_| Manifest::new(command(), json!({})));
    let judge = outcome.json();
    manifest.stages.push(StageRecord {
        name: "judge".into(),
        hash: digest::of_json(&json!([judge["judge"], judge["prompt_version"]])),
        seconds: begun.elapsed().as_secs_f64(),
        reused: false,
    });
    if let Some(config) = manifest.config.as_object_mut() {
        config.insert("judge".into(), judge.clone());
    }
    for file in &files {
        manifest.add_output(folder, file)?;
    }
    manifest.warnings = results::doubts(&found);
    manifest.finished = Some(time::utc_now());
    manifest.write(folder)?;
    let mut json = results::json(&found);
    json.insert("judge".into(), judge);
    super::show(args, &found, json, vec![outcome.text()], &files, out)
}

/// What judged answers are held against.
pub struct Judging<'a> {
    pub args: &'a BehaveArgs,
    pub states: &'a [State],
    pub battery: &'a [Preference],
    pub contrasts: &'a [(String, String)],
}

impl Judging<'_> {
    /// Has answers judged, those to the battery and those at the end of conversations, and adds their
    /// rates and contrasts; `files` grows by what was written.
    pub fn run(
        &self,
        judge: &Judge,
        found: &mut Results,
        (answers, ends): (Vec<Answer>, Vec<Answer>),
        tested: Option<&Model>,
        files: &mut Vec<String>,
        out: &Console,
    ) -> Result<Outcome> {
        let args = self.args;
        let folder = args.out.as_path();
        let cases: Vec<Case> = answers.iter().chain(&ends).map(Case::of).collect();
        let outcome = (args.judge).run(judge, cases, self.battery, folder, tested, out)?;
        let ruled = |answers| judged(&outcome.judge, answers, &outcome.store);
        let (answers, ends) = (ruled(answers), ruled(ends));
        let (asked, contrasts, draws) =
            ((self.states, self.battery), self.contrasts, draws(args.seed));
        results::judged(found, (&answers, &ends), asked, contrasts, draws, &outcome.warnings)?;
        if let Ok(inside) = outcome.store.path().strip_prefix(folder) {
            files.push(inside.display().to_string());
        }
        for s in self.states.iter().filter(|_| args.inspect) {
            let log = log(&s.id, &answers, &outcome, folder)?;
            let name = format!("inspect/{}", inspect::file_name(&log));
            inspect::write(&folder.join(&name), &log)?;
            files.push(name);
        }
        Ok(outcome)
    }
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
        metadata: object([("judge", json!(outcome.judge)), ("drawn", json!(first))]),
        samples: own.iter().map(|j| logged(j)).collect(),
    })
}

fn logged(j: &Judged) -> Sample {
    let a = &j.answer;
    let scores: Map<String, Value> = match j.ruling {
        Some(Ruling::Verdict(v)) => object([
            ("coherent", json!(v.coherent)),
            ("fact", json!(v.fact == Truth::True)),
            ("fact word", json!(v.fact)),
            ("stance", json!(v.stance)),
        ]),
        Some(Ruling::Unparsed) | None => Map::new(),
    };
    Sample {
        id: a.prompt_id.clone(),
        epoch: a.sample + 1,
        messages: a.messages.clone(),
        answer: a.answer.clone(),
        cut: a.cut,
        target: a.fact.clone(),
        scores: scores.into_iter().collect(),
        metadata: object([
            ("preference", json!(a.preference)),
            ("group", json!(a.group)),
            ("form", json!(a.form)),
            ("unparsed", json!(j.ruling == Some(Ruling::Unparsed))),
        ]),
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
