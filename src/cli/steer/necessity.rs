//! `residuum steer --ablate --score --against`: how much of a shift an ablation takes away.

use super::super::state;
use super::work::{named_state, Work};
use crate::analysis::behaviour::common_isolated;
use crate::analysis::cause::{judge_ablations, Ablated, Sides, ISOLATED, PREFERENCES};
use crate::analysis::records::AblationRow;
use crate::analysis::State;
use crate::causal::{Direction, ALL};
use crate::model::{Adapter, Tokens};
use crate::store::Frame;
use anyhow::Result;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The directions ablated in each seed of both sides: a seed's own, and those of the seed in the same
/// place for the reference.
struct Plan {
    of_seed: Vec<(String, Vec<Direction>)>,
}

impl Plan {
    fn new(work: &Work) -> Result<Self> {
        let layers: Vec<usize> = (0..work.decoder.layers()).collect();
        let random = work.random(&layers)?;
        let files = work.directions.iter().zip(&work.edit.vector);
        let of_seed = files.map(|(directions, file)| {
            let all = [work.named(directions, &layers)?, random.clone()].concat();
            Ok((file.display().to_string(), all))
        });
        Ok(Plan { of_seed: of_seed.collect::<Result<_>>()? })
    }

    fn at(&self, seed: usize) -> &(String, Vec<Direction>) {
        &self.of_seed[seed % self.of_seed.len()]
    }
}

/// One state under every ablation.
fn ablated(
    work: &Work,
    folder: Option<&Path>,
    (file, directions): &(String, Vec<Direction>),
    neutral: &[Tokens],
) -> Result<Ablated> {
    // The first state is merged already.
    let decoder = match work.adapters.first().map(PathBuf::as_path) == folder {
        true => work.decoder.clone(),
        false => state::state(&work.model.decoder, folder)?,
    };
    let (state, roles) = (named_state(folder), work.edit.roles());
    let mut progress = work.out.bar(&state.id, directions.len() + 1);
    let watch = &mut |edit: &str| progress.step(edit);
    let edits = work.bench(&decoder, neutral).ablate(directions, roles.as_deref(), watch)?;
    let (directions_of, asked) = (file.clone(), PREFERENCES.into());
    Ok(Ablated { state: state.id, directions_of, asked, edits })
}

/// One state by its name, the seeds of one condition by its name, others by all of their names.
fn name(states: &[State]) -> String {
    match states {
        [one] => one.id.clone(),
        [first, rest @ ..] if rest.iter().all(|s| s.condition == first.condition) => {
            first.condition.clone()
        }
        all => {
            let names: Vec<&str> = all.iter().map(|s| s.id.as_str()).collect();
            names.join(", ")
        }
    }
}

pub fn run(work: &Work) -> Result<()> {
    let controls = work.controls;
    let plan = Plan::new(work)?;
    let neutral = work.guard_texts()?;
    let mut adapters: Vec<Option<&Path>> = work.adapters.iter().map(|a| Some(&**a)).collect();
    if adapters.is_empty() {
        adapters.push(None);
    }
    let against: Vec<Option<&Path>> =
        (controls.against.iter()).map(|a| (a != state::BASE).then(|| Path::new(a))).collect();
    // Hours of scoring are not to end at a folder that cannot be read.
    for folder in adapters.iter().chain(&against).flatten() {
        Adapter::read(folder, &work.model.decoder)?;
    }
    let run_all = |folders: &[Option<&Path>]| -> Result<Vec<Ablated>> {
        let each = folders.iter().enumerate();
        each.map(|(k, folder)| ablated(work, *folder, plan.at(k), &neutral)).collect()
    };
    let (tuned, reference) = (run_all(&adapters)?, run_all(&against)?);
    let states = |folders: &[Option<&Path>]| -> Vec<State> {
        folders.iter().map(|f| named_state(*f)).collect()
    };
    let (tuned_states, reference_states) = (states(&adapters), states(&against));
    let both = || tuned_states.iter().chain(&reference_states);
    let isolated: Vec<String> =
        (common_isolated(work.battery, both()).into_iter()).map(String::from).collect();
    let (set, versus) = (name(&tuned_states), name(&reference_states));
    let sides = Sides {
        set: &set,
        reference: &versus,
        tuned: &tuned,
        against: &reference,
        isolated: &isolated,
    };
    let mut r = judge_ablations(&sides, work.guards(), work.draws())?;
    let config = work.config(json!({
        "ablate": true, "layer": work.edit.layer, "against": controls.against,
    }));
    let weights = |a: &&Path| a.join("adapter_model.safetensors");
    let mut inputs = work.inputs.clone();
    inputs.extend(against.iter().flatten().map(weights));
    r.states = both().map(state::row).collect();
    let written = work.keep(&config, &r, &inputs)?;
    let text = format!(
        "{}\nShift of stance log-odds of {set} against {versus} in nats a token (total), what is left of it with the \
         direction projected out of both sides in every block, and what is removed (estimate); \
         on_reference is what the edit does to the reference; kl and perplexity_ratio are those of the \
         model damaged most, on {} neutral texts (guards: {} and {}); 95 % bootstrap intervals over \
         prompts and over {} + {} models, widened for few of either; p among {} random directions.\n{}{written}",
        shown(&r.ablation),
        neutral.len(),
        controls.max_kl,
        controls.max_perplexity,
        tuned.len(),
        reference.len(),
        controls.random,
        work.notes(),
    );
    let json = json!({
        "config": config, "ablation": Frame::of(&r.ablation).json(),
        "warnings": r.warnings, "out": controls.out,
    });
    work.out.result(&json, || text)
}

/// Every named edit over isolated cells, or all where there are none, against the edited reference.
fn shown(rows: &[AblationRow]) -> String {
    let any = rows.iter().any(|r| r.preference == ISOLATED);
    let over = if any { ISOLATED } else { ALL };
    let kept =
        |r: &&AblationRow| r.preference == over && r.against == "edited" && r.kind != "random";
    let kept: Vec<AblationRow> = rows.iter().filter(kept).cloned().collect();
    let same = [
        "set",
        "reference",
        "asked",
        "kind",
        "concept",
        "against",
        "total_lo",
        "total_hi",
        "left_lo",
        "left_hi",
        "random",
        "models",
        "reference_models",
    ];
    Frame::of(&kept).without(&same).text()
}
