//! `residuum steer --ablate --score --against`: how much of a shift an ablation takes away.

use super::state;
use super::steer::Work;
use super::table::{Cell, Table};
use super::Console;
use crate::causal::dose::ALL;
use crate::causal::{necessity, specificity, Arms, Bench, Direction, Edited, Mediation, Necessity};
use crate::model::Role;
use anyhow::Result;
use ndarray::Array2;
use serde_json::json;
use std::path::Path;

const DRAWS: usize = 2000;

const COLUMNS: [&str; 18] = [
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
    "prompts",
];

fn ablated(
    bench: &Bench,
    directions: &[Direction],
    roles: Option<&[Role]>,
    out: &Console,
    what: &str,
) -> Result<Vec<Edited>> {
    let mut progress = out.bar(what, directions.len() + 1);
    let edited = bench.ablate(directions, roles, &mut |edit| progress.step(edit))?;
    Ok(edited)
}

/// Scores of one preference, or of all, as one seed.
fn cells(edited: &Edited, preference: &str) -> Array2<f64> {
    let of = |s: &&(String, String, f64)| preference == ALL || s.0 == preference;
    let own: Vec<f64> = edited.scores.iter().filter(of).map(|s| s.2).collect();
    Array2::from_shape_fn((1, own.len()), |(_, p)| own[p])
}

fn row(edit: &str, preference: &str, n: &Necessity, kl: f64) -> Vec<Cell> {
    let five = |m: Option<&Mediation>| -> Vec<Cell> {
        let numbers = m.map_or([f64::NAN; 6], |m| {
            let (left, share) = (m.remaining_interval, m.share_interval);
            [m.remaining, left.lo, left.hi, m.share, share.lo, share.hi]
        });
        numbers.into_iter().map(Cell::from).collect()
    };
    let mut row: Vec<Cell> = vec![edit.into(), preference.into(), n.against_plain.total.into()];
    row.extend(five(Some(&n.against_plain)));
    row.extend(five(n.against_edited.as_ref()));
    row.push(n.on_reference.map_or(f64::NAN, |e| e.value).into());
    row.push(kl.into());
    row.push(n.against_plain.n_prompts.into());
    row
}

pub fn run(work: &Work) -> Result<()> {
    let (decoder, out, controls) = (work.decoder, work.out, work.controls);
    let against = controls.against.as_deref().unwrap_or(state::BASE);
    let folder = (against != state::BASE).then(|| Path::new(against));
    let layers: Vec<usize> = (0..decoder.layers()).collect();
    let directions = work.directions(&layers)?;
    let neutral = work.guard_texts()?;
    let roles = work.edit.roles();
    let roles = roles.as_deref();
    let tuned = ablated(
        &work.bench(decoder, &neutral),
        &directions,
        roles,
        out,
        "tuned",
    )?;
    let other = state::state(&work.model.decoder, folder)?;
    let reference = ablated(
        &work.bench(&other, &neutral),
        &directions,
        roles,
        out,
        "reference",
    )?;
    let mut table = Table::new(&COLUMNS, 3);
    let mut overall = Vec::new();
    let preferences: Vec<&str> = work.battery.iter().map(|p| p.name.as_str()).collect();
    for (t, r) in tuned.iter().zip(&reference) {
        for preference in std::iter::once(ALL).chain(preferences.iter().copied()) {
            let (tuned_edited, reference_edited) = (cells(t, preference), cells(r, preference));
            let (plain, plain_reference) = (
                cells(&tuned[0], preference),
                cells(&reference[0], preference),
            );
            let arms = Arms {
                tuned: plain.view(),
                reference: plain_reference.view(),
                tuned_edited: tuned_edited.view(),
                reference_edited: Some(reference_edited.view()),
            };
            let n = necessity(&t.edit, &arms, DRAWS, work.seed)?;
            table.row(row(&t.edit, preference, &n, t.kl));
            if preference == ALL {
                overall.push(n);
            }
        }
    }
    let both = |n: &Necessity| n.against_edited.clone().unwrap_or(n.against_plain.clone());
    let random: Vec<Mediation> = overall.iter().map(both).filter(|m| m.random).collect();
    let named = overall
        .iter()
        .find(|n| n.against_plain.edit == work.edit.name);
    let mut closing = String::new();
    let mut specific = None;
    if let Some(n) = named {
        for w in &n.against_plain.warnings {
            out.warn(&w.to_string());
        }
        if !random.is_empty() {
            let s = specificity(&both(n), &random);
            for w in &s.warnings {
                out.warn(&w.to_string());
            }
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
    let mut files = Vec::new();
    let config = json!({
        "concept": work.edit.name, "placebos": controls.placebo, "random": controls.random,
        "ablate": true, "layer": work.edit.layer, "against": against, "system": work.system,
        "roles": roles,
    });
    if let Some(folder) = &controls.out {
        state::make_folder(folder)?;
        table.write_csv(&folder.join("ablation.csv"))?;
        files.push("ablation.csv".to_string());
        let mut inputs = work.inputs.clone();
        inputs.extend(folder_weights(against));
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
    for n in overall.iter().filter(|n| !n.against_plain.random) {
        let kl = tuned.iter().find(|t| t.edit == n.against_plain.edit);
        short.row(row(
            &n.against_plain.edit,
            ALL,
            n,
            kl.map_or(f64::NAN, |t| t.kl),
        ));
    }
    let text = format!(
        "{}\nShift of stance log-odds against {against} in nats a token, and what is left of it \
         with the direction projected out in every block: of the tuned model alone, and of both \
         (left_both), which sets aside what the edit does to any model (on_reference). share is \
         what the edit takes; 95 % bootstrap intervals over prompts, one pair of models.{closing}",
        short.without("preference").text(),
    );
    let json = json!({
        "config": config, "ablation": table.json(), "specificity": specific,
        "warnings": named.map(|n| &n.against_plain.warnings), "out": controls.out, "files": files,
    });
    out.result(&json, || text)
}

fn folder_weights(state: &str) -> Option<std::path::PathBuf> {
    let weights = Path::new(state).join("adapter_model.safetensors");
    weights.is_file().then_some(weights)
}
