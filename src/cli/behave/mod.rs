//! `residuum behave`: which preferences every model state expresses.
//!
//! The score of a prompt is how much more likely the expressing completion is than the opposing
//! one; the prompt is the unit of replication. On request answers are sampled and judged, the
//! claims are scored as the manipulation check, states choose between outcomes, and conversations are held. [`states`] says who is
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

use super::kept::{self, Origin};
use super::state::{self, BASE};
use super::vectors::{self, Directions};
use super::Console;
use crate::analysis::behaviour::{
    behaviour, common, doubt, pairings, preference_rows, revealed, Behaviour, By, Chosen,
};
use crate::analysis::conversations::{talked, Talked};
use crate::analysis::findings::{beside_declining, towards};
use crate::analysis::records::{Results, StateRow};
use crate::analysis::State;
use crate::behavior::{Ruler, Warning};
use crate::materials::{load_claims, Preference};
use crate::store::{Manifest, ResultsWriter};
use anyhow::Result;
use measure::Measured;
use options::References;
use results::draws;
use serde_json::{json, Value};
use states::Plan;
use std::mem::take;

/// Every vector of a file of directions.
fn rulers(directions: &Directions) -> Result<Vec<Ruler>> {
    let concepts = directions.concepts.iter();
    let all = concepts.flat_map(|(name, layers)| layers.keys().map(move |layer| (name, *layer)));
    let ruler = |(name, layer): (&String, usize)| {
        let direction = directions.concept(name)?.at(layer)?.to_vec();
        Ok(Ruler { name: name.clone(), layer, direction })
    };
    all.map(ruler).collect()
}

/// Each state against each reference.
fn contrasts(states: &[State], references: &[String]) -> Vec<(String, String)> {
    let names: Vec<String> = states.iter().map(|s| s.id.clone()).collect();
    pairings(&names, references)
}

fn state_row(s: &State, plan: &Plan, claims: &[Preference]) -> StateRow {
    let is_adapter = plan.adapters.iter().any(|a| a.name == s.id);
    let mut row = state::row(s);
    if !is_adapter && !s.is_base() {
        row.source = "edit".into();
    }
    row.identity = is_adapter && claims.iter().any(|c| c.name == s.text);
    row
}

pub fn run(args: &BehaveArgs, out: &Console) -> Result<()> {
    let adapters = state::located(args.adapter.clone(), out)?;
    let edits = args.steer.iter().chain(&args.ablate).collect();
    let plan = Plan { adapters: &adapters, edits, on: &args.edit_on };
    plan.check()?;
    let judge = args.judge.checked(out)?;
    let _taken = args.outputs(&plan).take(out.force)?;
    let battery = args.battery.load(args.seed)?;
    if args.rejudge {
        return rejudge::run(args, judge, &battery, out);
    }
    let claims = load_claims(None)?;
    let states = plan.states(|text| {
        let named = |p: &Preference| p.status.contains_key(text);
        claims.iter().any(|c| c.name == text) || battery.iter().any(named)
    });
    let References { primary, neutral, all: references } = args.references(&states)?;
    let mut asking = args.asking(&plan, judge.is_some(), battery, &claims)?;
    let model = args.model.open(out)?;
    state::check(&model, adapters.iter().map(|a| &*a.folder), out)?;
    let mut sources = plan.check_edits(&model.decoder)?;
    if let Some(file) = &args.directions {
        let directions = Directions::of(vectors::open(file, [])?, &model.decoder)?;
        asking.rulers = rulers(&directions)?;
        sources.push(directions);
    }
    sources.iter().filter_map(|s| s.doubt(&model)).for_each(|doubt| out.warn(&doubt));
    kept::make_folder(&args.out)?;
    let mut files = Vec::new();
    let mut all: Vec<Measured> = Vec::new();
    for s in &states {
        let open = plan.open(&s.id, &model)?;
        all.push(measure::measure(&s.id, &open, &model, (args, &asking), &mut files, out)?);
    }

    let contrasts = contrasts(&states, &references);
    let (battery, by, draws) = (&asking.battery, By::State, draws(args.seed));
    let scores: Vec<_> = (all.iter_mut()).map(|m| take(&mut m.scores)).collect();
    let held: Vec<_> = (all.iter_mut()).map(|m| take(&mut m.held)).collect();
    let choices: Vec<_> = (all.iter_mut()).map(|m| take(&mut m.choices)).collect();
    let (states, contrasts, claimed) = (&states[..], &contrasts[..], &asking.claims);
    let (scores, held) = (&scores, &held);
    let input = Behaviour { states, scores, battery, claims: claimed, by, contrasts, draws };
    let mut found = behaviour(&input)?;
    if neutral.is_some() {
        let sets: Vec<&str> = states.iter().map(|s| s.id.as_str()).collect();
        found.contrasts.extend(common(&input, &primary, neutral.as_deref())?);
        let mut said = towards(&found, &sets, &primary, neutral.as_deref());
        beside_declining(&found, &mut said);
        found.findings = said;
    }
    found.extend(talked(&Talked { states, held, battery, by, contrasts, draws })?);
    if !asking.outcomes.is_empty() {
        let (outcomes, scores) = (&asking.outcomes[..], &choices[..]);
        found.extend(revealed(&Chosen { states, outcomes, scores, by, contrasts, draws })?);
    }
    found.preferences = preference_rows(battery);
    found.states = (states.iter()).map(|s| state_row(s, &plan, &claims)).collect();
    if states.len() > 1 && primary == BASE {
        found.warnings.push(doubt(&Warning::NoReference));
    }
    let mut text = Vec::new();
    let mut verdict = None;
    if let Some(judge) = &judge {
        let answers = all.iter_mut().flat_map(|m| take(&mut m.answers)).collect();
        let ends = all.iter_mut().flat_map(|m| take(&mut m.talk_answers)).collect();
        let judging = rejudge::Judging { args, states, battery, contrasts };
        let outcome =
            judging.run(judge, &mut found, (answers, ends), Some(&model), &mut files, out)?;
        verdict = Some(outcome.json());
        text.push(outcome.text());
    }
    let mut json = results::json(&found);
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
        "battery": args.battery.battery, "outcomes": args.outcomes, "states": names, "references": references,
        "neutral": neutral,
        "samples": asking.samples, "temperature": args.temperature, "top_p": args.top_p,
        "max_tokens": args.max_tokens, "replies": args.replies(),
        "judge": json.get("judge"), "vectors": vectors,
    });
    let origin = Origin { model: &model, config, seed: args.seed };
    let write = |w: &mut ResultsWriter| Ok(found.write(w)?);
    files.extend(kept::results(&args.out, &origin.attrs(), &[], write)?);
    origin.record(&args.out, &plan.inputs(), &files)?;
    let mut manifest = Manifest::read(&args.out)?;
    manifest.warnings = results::doubts(&found);
    manifest.write(&args.out)?;
    show(args, &found, json, text, &files, out)
}

/// Ends the command: warnings, then the result.
fn show(
    args: &BehaveArgs,
    found: &Results,
    mut json: serde_json::Map<String, Value>,
    text: Vec<String>,
    files: &[String],
    out: &Console,
) -> Result<()> {
    found.warnings.iter().for_each(|w| out.warn(&w.text));
    json.insert("out".into(), json!(args.out));
    json.insert("files".into(), json!(files));
    out.result(&Value::Object(json), || {
        let (tables, notes) = (results::text(found), text.join("\n"));
        let written = kept::written(files, &args.out);
        format!(
            "{tables}\n{notes}\nStance log-odds in nats a token, 95 % intervals over items: of means by bootstrap, of differences \
             (paired by item) by t; q by Benjamini-Hochberg over isolated cells.\n{written}"
        )
    })
}
