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
mod options;
mod rejudge;
mod results;
mod states;

pub use battery::BatteryChoice;
pub use options::BehaveArgs;

use super::state::{self, BASE};
use super::vectors::{self, Directions};
use super::Console;
use crate::analysis::behaviour::{behaviour, pairings, preference_rows, Behaviour, By};
use crate::analysis::conversations::{talked, Talked};
use crate::analysis::records::StateRow;
use crate::analysis::State;
use crate::behavior::conversation::Replies;
use crate::behavior::{Ruler, Warning};
use crate::materials::{load_claims, Preference, ScriptSet};
use crate::store::Manifest;
use anyhow::Result;
use measure::Measured;
use results::{draws, Found};
use serde_json::{json, Value};
use states::Plan;
use std::path::Path;

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
            all.push(Ruler { name, layer, direction });
        }
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
    args.outputs(&plan).check()?;
    let battery = args.battery.load(args.seed)?;
    if args.rejudge {
        return rejudge::run(args, judge, &battery, out);
    }
    let claims = load_claims(None)?;
    let states = plan.states(|text| {
        let named = |p: &Preference| p.status.contains_key(text);
        claims.iter().any(|c| c.name == text) || battery.iter().any(named)
    });
    let references = args.references(&states)?;
    let todo = args.checked(&plan, judge, battery)?;
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

    let contrasts = contrasts(&states, &references);
    let mut found = analysed(&mut all, &states, &asking, &contrasts)?;
    found.states = (states.iter()).map(|s| state_row(s, &plan, &claims)).collect();
    if states.len() > 1 && references == [BASE] {
        found.warn(&Warning::NoReference);
    }
    let mut text = Vec::new();
    let mut verdict = None;
    if let Some(judge) = &todo.judge {
        let answers = take(&mut all, |m| &mut m.answers);
        let ends = take(&mut all, |m| &mut m.talk_answers);
        let judging = rejudge::Judging { args, states: &states, battery, contrasts: &contrasts };
        let outcome =
            judging.run(judge, &mut found, (answers, ends), Some(&model), &mut files, out)?;
        verdict = Some(outcome.json());
        text.push(outcome.text());
    }
    let mut json = found.json();
    json.extend(verdict.map(|v| ("judge".to_string(), v)));
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

/// One part of what every state did, taken out.
fn take<T>(all: &mut [Measured], part: fn(&mut Measured) -> &mut Vec<T>) -> Vec<T> {
    let each = all.iter_mut().flat_map(|m| std::mem::take(part(m)));
    each.collect()
}

/// What follows from the scores and conversations of all states.
fn analysed(
    all: &mut [Measured],
    states: &[State],
    asking: &Asking,
    contrasts: &[(String, String)],
) -> Result<Found> {
    let scores: Vec<_> = (all.iter_mut()).map(|m| std::mem::take(&mut m.scores)).collect();
    let held: Vec<_> = (all.iter_mut()).map(|m| std::mem::take(&mut m.held)).collect();
    let (battery, draws) = (asking.battery, draws(asking.seed));
    Ok(Found {
        preferences: preference_rows(battery),
        behaviour: behaviour(&Behaviour {
            states,
            scores: &scores,
            battery,
            claims: asking.claims,
            by: By::State,
            contrasts,
            draws,
        })?,
        talks: talked(&Talked { states, held: &held, battery, by: By::State, contrasts, draws })?,
        ..Found::default()
    })
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
