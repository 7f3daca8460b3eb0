//! `residuum steer --ablate --score --against`: how much of a shift an ablation takes away.

use super::work::Work;
use crate::analysis::cause::{judge_ablations, Ablated, Sides, ISOLATED, PREFERENCES};
use crate::analysis::findings::cause::is_control;
use crate::analysis::{behaviour::common_isolated, records::AblationRow, State};
use crate::causal::{Direction, Form, ALL};
use crate::cli::state;
use crate::model::Tokens;
use crate::store::Frame;
use anyhow::Result;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The directions ablated in each seed of both sides, with their file: a seed's own, and those of the
/// seed in the same place for the reference.
type Plan = Vec<(String, Vec<Direction>)>;

fn plan(work: &Work) -> Result<Plan> {
    let layers: Vec<usize> = (0..work.decoder.layers()).collect();
    let random = work.random(&layers)?;
    let of_seed = work.directions.iter().map(|directions| {
        let (named, permuted) =
            (work.named(directions, &layers)?, work.permuted(directions, &layers)?);
        let all = [named, permuted, random.clone()].concat();
        Ok((directions.file.display().to_string(), all))
    });
    of_seed.collect()
}

/// One state under every ablation.
fn ablated(
    work: &Work,
    folder: Option<&Path>,
    (file, directions): &(String, Vec<Direction>),
    neutral: &[Tokens],
) -> Result<Ablated> {
    // The first state is merged already.
    let decoder = match work.args.adapter.first().map(PathBuf::as_path) == folder {
        true => work.decoder.clone(),
        false => state::state(&work.model.decoder, folder)?,
    };
    let (state, roles) = (work.state_of(folder), work.edit.roles());
    let mut progress = work.out.bar(&state.id, 1 + directions.len() + work.more(directions));
    let watch = &mut |edit: &str| progress.step(edit);
    let (bench, roles) = (work.bench(&decoder, neutral), roles.as_deref());
    let mut edits = bench.ablate(directions, roles, watch)?;
    if work.controls.matched {
        edits.extend(bench.matched(
            (Form::Ablate, work.guards()),
            &edits,
            directions,
            roles,
            watch,
        )?);
    }
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
        all => all.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", "),
    }
}

pub fn run(work: &Work) -> Result<()> {
    let controls = work.controls;
    let plan = plan(work)?;
    let neutral = work.guard_texts()?;
    let base = work.args.adapter.is_empty().then_some(None);
    let adapters = work.args.adapter.iter().map(|a| Some(&**a)).chain(base);
    let adapters: Vec<Option<&Path>> = adapters.collect();
    let references: Vec<Option<&Path>> =
        (controls.against.iter()).map(|a| (a != state::BASE).then(|| Path::new(a))).collect();
    let run_all = |folders: &[Option<&Path>]| -> Result<Vec<Ablated>> {
        let each = folders.iter().enumerate();
        each.map(|(k, folder)| ablated(work, *folder, &plan[k % plan.len()], &neutral)).collect()
    };
    let (tuned, against) = (run_all(&adapters)?, run_all(&references)?);
    let states = |folders: &[Option<&Path>]| -> Vec<State> {
        folders.iter().map(|f| work.state_of(*f)).collect()
    };
    let (tuned_states, reference_states) = (states(&adapters), states(&references));
    let both = || tuned_states.iter().chain(&reference_states);
    let isolated: Vec<String> =
        (common_isolated(&work.battery, both()).into_iter()).map(String::from).collect();
    let (set, reference) = (&name(&tuned_states), &name(&reference_states));
    let recipe = |states: &[State]| states.first().map_or(String::new(), |s| s.recipe.clone());
    let (of_tuned, of_reference) = (recipe(&tuned_states), recipe(&reference_states));
    let sides = Sides {
        set,
        reference,
        tuned: &tuned,
        against: &against,
        isolated: &isolated,
        recipes: [&of_tuned, &of_reference],
    };
    let mut r = judge_ablations(&sides, work.guards())?;
    let config = work.config(json!({
        "ablate": true, "layer": work.edit.layer, "against": controls.against,
    }));
    let weights = references.iter().flatten().map(|a| state::weights(a));
    r.states = both().map(state::row).collect();
    let written = work.keep(&config, &r, weights)?;
    let (table, notes) = (shown(&r.ablation), work.notes());
    let (kl, perplexity) = (controls.max_kl, controls.max_perplexity);
    let (random, permuted) = (controls.random, controls.permuted);
    let (texts, models, others) = (neutral.len(), tuned.len(), against.len());
    let text = format!(
        "{table}\nShift of stance log-odds of {set} against {reference} in nats a token (total), what is left of it with the \
         direction projected out of both sides in every block, and what is removed (estimate); \
         on_reference is what the edit does to the reference; kl and perplexity_ratio are those of the \
         model damaged most, on {texts} neutral texts (guards: {kl} and {perplexity}); 95 % intervals over \
         items and over {models} + {others} models, over items alone where df is 0; p among {random} random and {permuted} label-permuted directions; \
         matched: as much of each as does the same to the neutral texts.\n{notes}{written}"
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
        |r: &&AblationRow| r.preference == over && r.against == "edited" && !is_control(&r.kind);
    let kept: Vec<AblationRow> = rows.iter().filter(kept).cloned().collect();
    let same = ["set", "reference", "asked", "kind", "concept", "against"];
    let counts = ["random", "permuted", "fine_tunes", "reference_fine_tunes", "p_fine_tunes"];
    let bounds = ["within_lo", "within_hi", "total_lo", "total_hi", "left_lo", "left_hi"];
    Frame::of(&kept).without(&same).without(&counts).without(&bounds).text()
}
