//! The pair of interest, state by state and layer by layer: one table for the file, the JSON and,
//! in two parts that fit a screen, for the eyes. The change from base is that of the cosine
//! relative to its ceiling: the plain one also changes when a fine-tune makes a direction clearer.

use super::readings::Readings;
use crate::cli::table::{Cell, Table};
use crate::geometry::{contrast, Coupling, CouplingOptions, Over};
use anyhow::Result;
use ndarray::{s, Array2};

const COLUMNS: [&str; 29] = [
    "state",
    "layer",
    "cosine",
    "lo",
    "hi",
    "relative",
    "relative_lo",
    "relative_hi",
    "flip_lo",
    "flip_hi",
    "p_flip",
    "q_flip",
    "p_flip_max",
    "random_lo",
    "random_hi",
    "p_random",
    "q_random",
    "p_random_max",
    "placebo_lo",
    "placebo_hi",
    "p_placebo",
    "p_placebo_max",
    "cleaned",
    "whitened",
    "less_base",
    "less_base_lo",
    "less_base_hi",
    "less_base_p",
    "prompts",
];

/// The pair of interest in every state and layer.
pub fn table(
    c: &Coupling,
    readings: &Readings,
    layers: &[usize],
    options: &CouplingOptions,
) -> Result<Table> {
    let mut table = Table::new(&COLUMNS, 3);
    let relative: Array2<f64> = c.raw.relative.slice(s![.., 0, 1, ..]).to_owned(); // (state, layer)
    let prompts = readings.prompts();
    for (m, name) in readings.states.iter().enumerate() {
        let change = match m {
            0 => None,
            _ => {
                let sets = (&[m][..], &[0usize][..]);
                let draws = c.pair_draws.relative.view();
                let level = options.level;
                Some(contrast(
                    relative.view(),
                    draws,
                    sets,
                    Over::Prompts,
                    level,
                    options.seed,
                )?)
            }
        };
        for (l, &layer) in layers.iter().enumerate() {
            let at = [m, 0, 1, l];
            let mut row = vec![name.clone().into(), layer.into()];
            let f = &c.raw;
            row.extend(
                [
                    f.value[at],
                    f.lo[at],
                    f.hi[at],
                    f.relative[at],
                    f.relative_lo[at],
                    f.relative_hi[at],
                    c.flip_lo[at],
                    c.flip_hi[at],
                    c.p_flip[at],
                    c.q_flip[at],
                    c.p_flip_max[[m, l]],
                    c.random_lo[[m, 1, l]],
                    c.random_hi[[m, 1, l]],
                    c.p_random[at],
                    c.q_random[at],
                    c.p_random_max[[m, l]],
                    c.placebo_lo[[m, l]],
                    c.placebo_hi[[m, l]],
                    c.p_placebo[[m, l]],
                    c.p_placebo_max[[m, l]],
                    c.cleaned.value[at],
                    c.whitened.value[at],
                ]
                .map(Into::into),
            );
            let change = change
                .as_ref()
                .map(|k| [k.value[l], k.lo[l], k.hi[l], k.p[l]]);
            row.extend(change.unwrap_or([f64::NAN; 4]).map(Into::into));
            row.push(prompts.into());
            table.row(row);
        }
    }
    Ok(table)
}

/// The table in two parts that fit a screen, with intervals in brackets.
pub fn for_eyes(table: &Table) -> String {
    let mut first = Table::new(
        &[
            "state",
            "layer",
            "cosine",
            "relative to ceiling",
            "cleaned",
            "whitened",
            "less base",
            "n",
        ],
        3,
    );
    let mut second = Table::new(
        &[
            "state",
            "layer",
            "flip band",
            "p_flip",
            "q_flip",
            "random band",
            "p_random",
            "q_random",
        ],
        3,
    );
    for r in 0..table.len() {
        let cell = |name: &str| table.cell(r, name);
        let number = |name: &str| match cell(name) {
            Cell::Real(v) => v,
            _ => f64::NAN,
        };
        let spread = |value: &str, lo: &str, hi: &str| match number(value) {
            v if v.is_nan() => "-".to_string(),
            v => format!("{v:.3} [{:.3}, {:.3}]", number(lo), number(hi)),
        };
        let band = |lo: &str, hi: &str| format!("[{:.3}, {:.3}]", number(lo), number(hi));
        first.row(vec![
            cell("state"),
            cell("layer"),
            spread("cosine", "lo", "hi").into(),
            spread("relative", "relative_lo", "relative_hi").into(),
            cell("cleaned"),
            cell("whitened"),
            spread("less_base", "less_base_lo", "less_base_hi").into(),
            cell("prompts"),
        ]);
        second.row(vec![
            cell("state"),
            cell("layer"),
            band("flip_lo", "flip_hi").into(),
            cell("p_flip"),
            cell("q_flip"),
            band("random_lo", "random_hi").into(),
            cell("p_random"),
            cell("q_random"),
        ]);
    }
    format!("{}\n{}", first.text(), second.text())
}
