//! An extraction for the eye: the shown layers, intervals in brackets, estimators as a matrix,
//! and each doubt once.

use super::measure::{Measured, Plan};
use super::tables::{cosines, is_chosen, Tables};
use crate::cli::table::Table;
use crate::stats::Interval;

/// All tables of the shown layers.
pub fn text(tables: &Tables, plan: &Plan, measured: &Measured, shown: &[usize]) -> String {
    let mut text = for_eyes(plan, measured, shown);
    if plan.estimators.len() > 1 {
        text += &matrices(plan, measured, shown);
    }
    for (title, table) in [
        ("The nuisances", &tables.nuisance_quality),
        ("Base's direction in the other states", &tables.carried),
        ("The directions at other positions", &tables.roles),
        ("Left by the erasers on held-out rows", &tables.erasers),
    ] {
        if !table.is_empty() {
            text += &format!("\n{title}\n{}", table.only("layer", shown).text());
        }
    }
    for (c, of_concept) in measured.choices.iter().enumerate() {
        for (e, choice) in of_concept.iter().enumerate() {
            text += &format!(
                "\n{}, {}: layer {} of {} was chosen on {} development pairs, where its sides are {:.1} deviations apart.",
                plan.concepts[c].name,
                plan.estimators[e],
                plan.layers[choice.chosen],
                plan.layers.len(),
                choice.n_pairs,
                choice.separation[choice.chosen],
            );
        }
    }
    text
}

/// The directions, and below them what is left without the nuisances.
fn for_eyes(plan: &Plan, measured: &Measured, shown: &[usize]) -> String {
    const KEY: [&str; 4] = ["state", "concept", "estimator", "layer"];
    let mut raw = Table::new(
        &[
            &KEY[..],
            &["norm/RMS", "AUROC", "reliability", "pairs", "prompts"],
        ]
        .concat(),
        3,
    );
    let mut cleaned = Table::new(
        &[
            &KEY[..],
            &["length left", "AUROC", "reliability", "cosine with"],
        ]
        .concat(),
        3,
    );
    let spread = |v: f64, i: Interval| format!("{v:.3} [{:.3}, {:.3}]", i.lo, i.hi);
    for state in &measured.states {
        for (c, concept) in plan.concepts.iter().enumerate() {
            for (e, estimator) in plan.estimators.iter().enumerate() {
                for (l, layer) in plan.layers.iter().enumerate() {
                    let wanted = match plan.choose {
                        true => is_chosen(measured, c, e, l),
                        false => shown.contains(layer),
                    };
                    if !wanted {
                        continue;
                    }
                    let key = || {
                        vec![
                            state.name.clone().into(),
                            concept.name.clone().into(),
                            estimator.name().into(),
                            (*layer).into(),
                        ]
                    };
                    let profile = &state.found[c][l][e].profile;
                    let q = &profile.quality;
                    let mut row = key();
                    row.push(q.relative_norm.into());
                    row.push(spread(q.auroc, q.auroc_interval).into());
                    row.push(q.reliability.into());
                    row.extend([q.n_pairs, q.n_prompts].map(Into::into));
                    raw.row(row);
                    let others = plan.nuisances.iter().filter(|n| n.name() != concept.name);
                    let cosines: Vec<String> = others
                        .zip(&profile.nuisance_cosines)
                        .map(|(n, v)| format!("{} {v:.2}", n.name()))
                        .collect();
                    let mut row = key();
                    match &profile.cleaned {
                        Some(left) => {
                            let q = &left.quality;
                            row.push((left.direction.raw_norm / profile.direction.raw_norm).into());
                            row.push(spread(q.auroc, q.auroc_interval).into());
                            row.push(q.reliability.into());
                        }
                        None => row.extend([f64::NAN.into(), "-".into(), f64::NAN.into()]),
                    }
                    row.push(cosines.join(", ").into());
                    cleaned.row(row);
                }
            }
        }
    }
    match plan.nuisances.is_empty() {
        true => raw.text(),
        false => format!("{}\nWithout the nuisances\n{}", raw.text(), cleaned.text()),
    }
}

/// The estimators' cosines with one another, a matrix for each state, concept and shown layer.
fn matrices(plan: &Plan, measured: &Measured, shown: &[usize]) -> String {
    let mut columns = vec!["cosine"];
    columns.extend(plan.estimators.iter().map(|e| e.name()));
    let mut text = String::new();
    for state in &measured.states {
        for (c, concept) in plan.concepts.iter().enumerate() {
            for (l, layer) in plan.layers.iter().enumerate() {
                if !shown.contains(layer) {
                    continue;
                }
                let mut table = Table::new(&columns, 3);
                for (estimator, row) in plan.estimators.iter().zip(cosines(&state.found[c][l])) {
                    let mut cells = vec![estimator.name().into()];
                    cells.extend(row.into_iter().map(Into::into));
                    table.row(cells);
                }
                let (state, concept) = (&state.name, &concept.name);
                text += &format!(
                    "\nEstimators, {state}, {concept}, layer {layer}\n{}",
                    table.text()
                );
            }
        }
    }
    text
}

/// Doubts about the shown layers: each sentence once, with what it is about.
pub fn notes(plan: &Plan, measured: &Measured, shown: &[usize]) -> Vec<String> {
    const NAMED: usize = 4;
    let mut by_sentence: Vec<(String, Vec<String>)> = Vec::new();
    for state in &measured.states {
        for (c, concept) in plan.concepts.iter().enumerate() {
            for (l, layer) in plan.layers.iter().enumerate() {
                if !shown.contains(layer) {
                    continue;
                }
                for (e, estimator) in plan.estimators.iter().enumerate() {
                    let about = format!("{} {} {estimator} {layer}", state.name, concept.name);
                    for warning in &state.found[c][l][e].profile.quality.warnings {
                        let sentence = warning.to_string();
                        match by_sentence.iter_mut().find(|(s, _)| *s == sentence) {
                            Some((_, subjects)) => subjects.push(about.clone()),
                            None => by_sentence.push((sentence, vec![about.clone()])),
                        }
                    }
                }
            }
        }
    }
    let told = |(sentence, subjects): (String, Vec<String>)| {
        let more = subjects.len().saturating_sub(NAMED);
        let named = subjects[..subjects.len() - more].join(", ");
        match more {
            0 => format!("{named}: {sentence}"),
            _ => format!("{named} and {more} more: {sentence}"),
        }
    };
    by_sentence.into_iter().map(told).collect()
}
