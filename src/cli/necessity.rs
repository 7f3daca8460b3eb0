//! `residuum steer --ablate --score --against`: how much of a shift an ablation takes away.

use super::state;
use super::steer::Work;
use super::table::{Cell, Table};
use crate::causal::dose::ALL;
use crate::causal::{
    doubts, harms, necessities, specificity, Direction, Edited, Guards, Harm, Mediation, Necessity,
};
use crate::model::{Adapter, Tokens};
use anyhow::Result;
use serde_json::json;
use std::path::{Path, PathBuf};

const DRAWS: usize = 2000;

const COLUMNS: [&str; 22] = [
    "edit",
    "preference",
    "total",
    "left",
    "left_lo",
    "left_hi",
    "share",
    "share_lo",
    "share_hi",
    "left_both",
    "left_both_lo",
    "left_both_hi",
    "share_both",
    "share_both_lo",
    "share_both_hi",
    "on_reference",
    "kl",
    "perplexity_ratio",
    "guards",
    "prompts",
    "models",
    "reference_models",
];

/// The directions ablated in each seed of both sides: a seed's own, and those of the seed in the same
/// place for the reference.
struct Plan {
    of_seed: Vec<Vec<Direction>>,
}

impl Plan {
    fn new(work: &Work) -> Result<Self> {
        let layers: Vec<usize> = (0..work.decoder.layers()).collect();
        let random = work.random(&layers)?;
        let of_seed = (work.directions.iter())
            .map(|file| Ok([work.named(file, &layers)?, random.clone()].concat()))
            .collect::<Result<_>>()?;
        Ok(Plan { of_seed })
    }

    fn at(&self, seed: usize) -> &[Direction] {
        &self.of_seed[seed % self.of_seed.len()]
    }
}

/// One state under every ablation.
fn ablated(
    work: &Work,
    folder: Option<&Path>,
    directions: &[Direction],
    neutral: &[Tokens],
) -> Result<Vec<Edited>> {
    let what = folder.map_or(state::BASE.into(), state::folder_name);
    // The first state is merged already.
    let decoder = match work.adapters.first().map(PathBuf::as_path) == folder {
        true => work.decoder.clone(),
        false => state::state(&work.model.decoder, folder)?,
    };
    let mut progress = work.out.bar(&what, directions.len() + 1);
    let bench = work.bench(&decoder, neutral);
    let roles = work.edit.roles();
    Ok(bench.ablate(directions, roles.as_deref(), &mut |edit| {
        progress.step(edit)
    })?)
}

fn row(preference: &str, n: &Necessity, harm: &Harm) -> Vec<Cell> {
    let five = |m: Option<&Mediation>| -> Vec<Cell> {
        let numbers = m.map_or([f64::NAN; 6], |m| {
            let (left, share) = (m.remaining_interval, m.share_interval);
            [m.remaining, left.lo, left.hi, m.share, share.lo, share.hi]
        });
        numbers.into_iter().map(Cell::from).collect()
    };
    let mut row: Vec<Cell> = vec![
        harm.edit.clone().into(),
        preference.into(),
        n.against_plain.total.into(),
    ];
    row.extend(five(Some(&n.against_plain)));
    row.extend(five(n.against_edited.as_ref()));
    row.push(n.on_reference.map_or(f64::NAN, |e| e.value).into());
    row.extend([harm.kl.into(), harm.perplexity_ratio.into()]);
    row.push(if harm.inside { "inside" } else { "outside" }.into());
    let m = &n.against_plain;
    row.extend([m.n_prompts.into(), m.n_seeds.into(), m.n_reference.into()]);
    row
}

pub fn run(work: &Work) -> Result<()> {
    let (out, controls) = (work.out, work.controls);
    let plan = Plan::new(work)?;
    let neutral = work.guard_texts()?;
    let side = |folders: &[Option<&Path>]| -> Result<Vec<Vec<Edited>>> {
        let each = folders.iter().enumerate();
        each.map(|(k, folder)| ablated(work, *folder, plan.at(k), &neutral))
            .collect()
    };
    let mut adapters: Vec<Option<&Path>> =
        work.adapters.iter().map(|a| Some(a.as_path())).collect();
    if adapters.is_empty() {
        adapters.push(None);
    }
    let against: Vec<Option<&Path>> = (controls.against.iter())
        .map(|a| (a != state::BASE).then(|| Path::new(a)))
        .collect();
    // Hours of scoring are not to end at a folder that cannot be read.
    for folder in adapters.iter().chain(&against).flatten() {
        Adapter::read(folder, &work.model.decoder)?;
    }
    let (tuned, reference) = (side(&adapters)?, side(&against)?);
    let mut table = Table::new(&COLUMNS, 3);
    let names = || work.battery.iter().map(|p| p.name.as_str());
    let mut judged = Vec::new();
    for preference in std::iter::once(ALL).chain(names()) {
        let keep = |name: &str| preference == ALL || name == preference;
        judged.push((
            preference,
            necessities(&tuned, &reference, &keep, DRAWS, work.seed)?,
        ));
    }
    let guards = Guards {
        kl: controls.max_kl,
        perplexity_ratio: controls.max_perplexity,
    };
    let harms = harms(tuned.iter().chain(&reference), guards);
    for k in 0..judged[0].1.len() {
        for (preference, edits) in &judged {
            table.row(row(preference, &edits[k], &harms[k]));
        }
    }
    let overall = &judged[0].1;
    let both = |n: &Necessity| n.against_edited.clone().unwrap_or(n.against_plain.clone());
    let random: Vec<Mediation> = overall.iter().map(both).filter(|m| m.random).collect();
    let named = overall
        .iter()
        .find(|n| n.against_plain.edit == work.edit.name);
    let mut closing = String::new();
    let mut specific = None;
    let mut warnings = Vec::new();
    if let Some(n) = named {
        warnings.extend(n.against_plain.warnings.clone());
        warnings.extend(doubts(&work.edit.name, &harms));
        if !random.is_empty() {
            let s = specificity(&both(n), &random);
            warnings.extend(s.warnings.clone());
            closing = format!(
                "\nAgainst the equally ablated reference, {} takes {:+.3} of {:+.3}; p = {:.3} \
                 among {} random directions.",
                s.edit,
                s.removed,
                n.against_plain.total,
                s.p,
                random.len()
            );
            specific = Some(s);
        }
    }
    for w in &warnings {
        out.warn(&w.to_string());
    }
    let mut files = Vec::new();
    let config = json!({
        "concept": work.edit.name, "placebos": controls.placebo, "random": controls.random,
        "vectors": work.vectors(), "ablate": true, "guards": guards, "guard_texts": neutral.len(), "layer": work.edit.layer, "adapters": work.adapters,
        "against": controls.against, "system": work.system, "roles": work.edit.roles(),
    });
    if let Some(folder) = &controls.out {
        state::make_folder(folder)?;
        table.write_csv(&folder.join("ablation.csv"))?;
        files.push("ablation.csv".to_string());
        let mut inputs = work.inputs.clone();
        inputs.extend(controls.against.iter().filter_map(|a| folder_weights(a)));
        state::record(
            folder,
            work.model,
            config.clone(),
            work.seed,
            &inputs,
            &files,
        )?;
        closing += &format!("\nwritten: {} in {}", files.join(", "), folder.display());
    }
    let mut short = Table::new(&COLUMNS, 3);
    for (k, n) in overall.iter().enumerate() {
        if !n.against_plain.random {
            short.row(row(ALL, n, &harms[k]));
        }
    }
    let text = format!(
        "{}\nShift of stance log-odds against {} in nats a token, and what is left of it with the \
         direction projected out in every block: of the tuned models alone, and of both sides \
         (left_both), which sets aside what the edit does to any model (on_reference). share is \
         what the edit takes; kl and perplexity_ratio are those of the model damaged most, on {} \
         neutral texts (guards: {} and {}); 95 % bootstrap intervals over prompts and over {} + {} \
         models, widened for few of either.\n{}{closing}",
        short.without("preference").text(),
        controls.against.join(", "),
        neutral.len(),
        guards.kl,
        guards.perplexity_ratio,
        tuned.len(),
        reference.len(),
        work.notes(),
    );
    let json = json!({
        "config": config, "ablation": table.json(), "specificity": specific,
        "warnings": warnings, "out": controls.out, "files": files,
    });
    out.result(&json, || text)
}

fn folder_weights(state: &str) -> Option<std::path::PathBuf> {
    let weights = Path::new(state).join("adapter_model.safetensors");
    weights.is_file().then_some(weights)
}
