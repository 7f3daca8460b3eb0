//! What is measured beside the coupling: changes from base, and what a cohort is asked.

use super::readings::Readings;
use crate::geometry::{self, Beside, Cohort, Coupling, CouplingOptions, Over, Reading};
use crate::geometry_tables::{self as tables, Rows};
use anyhow::Result;

/// Everything beside the coupling; transfers, subspaces and regions, which cost more, for the
/// layers that are shown.
pub fn beside(
    readings: &Readings,
    layers: &[usize],
    shown: &[usize],
    options: &CouplingOptions,
) -> Result<Beside> {
    let at: Vec<usize> = (0..layers.len())
        .filter(|&l| shown.contains(&layers[l]))
        .collect();
    let states = (0..readings.states.len())
        .map(|m| {
            let side = |c: usize| {
                let read = &readings.concepts[m][c];
                (read.positive.view(), read.negative.view())
            };
            Reading {
                differences: &readings.differences[m],
                sides: [side(0), side(1)],
                neutral: readings.neutral[m].view(),
            }
        })
        .collect();
    let tuned = 1..readings.states.len();
    let others = (0..readings.states.len())
        .map(|m| match m {
            0 => Vec::new(),
            _ => tuned.clone().filter(|&o| o != m).collect(),
        })
        .collect();
    let cohort = Cohort {
        states,
        clusters: &readings.clusters,
        others,
        options,
    };
    Ok(cohort.beside(&at)?)
}

/// Change of every state's coupling from base.
pub fn changes(
    c: &Coupling,
    readings: &Readings,
    layers: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let mut found = Vec::new();
    for m in 1..readings.states.len() {
        for change in geometry::changes(c, (&[m], &[0]), Over::Prompts, options)? {
            found.push((m, change));
        }
    }
    let views: Vec<_> = (found.iter())
        .map(|(m, c)| {
            let (set, reference) = (&readings.states[*m], &readings.states[0]);
            (set.as_str(), reference.as_str(), c.form, &c.contrast)
        })
        .collect();
    Ok(tables::changes(&views, layers))
}
