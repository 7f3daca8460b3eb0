//! Concept heat maps: cosines of every pair of concepts, and what became of them.
//!
//! One row of square maps a layer: the first state's, then of each other state its map and its difference to
//! the first. A cell prints its number on a blue-white-red ground with white at 0; a missing cosine is a
//! grey cell without a number. Differences have a scale of their own, up to the largest of them. Where 7 pt
//! numbers do not fit, cells stay without; the CSV always holds them. Rows of maps break where the names
//! of concepts would not fit beside them.

use std::fmt::Display;

use super::axes;
use super::canvas::{Anchor, Canvas, Point, Type};
use super::page::{self, Page, Table};
use super::theme::{self, GAP, HAIR, NORMAL, PAPER, RULE, SMALL};
use super::values::Check;
use super::{Output, Result, Written};
use crate::store::values::distinct;

/// Cosines between concepts, in panels.
#[derive(Debug, Clone)]
pub struct HeatmapData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Rows and columns.
    pub concepts: Vec<String>,
    /// The panels, in the order in which they are read.
    pub panels: Vec<HeatmapPanel>,
}

/// One state at one layer.
#[derive(Debug, Clone)]
pub struct HeatmapPanel {
    /// Block, from 0.
    pub layer: usize,
    /// Model state.
    pub state: String,
    /// (concepts, concepts), in [-1, 1]; NaN where not measured.
    pub cosine: Vec<Vec<f64>>,
}

const HEAD: f64 = 14.0;
const GAP_X: f64 = 8.0;
const GAP_Y: f64 = 10.0;
/// Least height of a row with a name beside it.
const LEAST: f64 = 7.3;
const LARGEST: f64 = 24.0;
const BAR: f64 = 30.0;

/// One map: the state's cosines, or its differences to the first state's.
struct Map<'d> {
    panel: &'d HeatmapPanel,
    difference: Option<Vec<Vec<f64>>>,
}

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &HeatmapData, out: &Output) -> Result<Written> {
    check(data)?;
    let rows = maps(data);
    let most = rows.iter().map(Vec::len).max().unwrap_or(1);
    let count = data.concepts.len() as f64;
    let label = page::label_width(data.concepts.iter().map(String::as_str), out.name()) + 5.0;
    let inner = out.points() - 2.0 * page::MARGIN;
    let cell_of = |across: usize| {
        let columns = across as f64;
        ((inner - label - GAP_X * (columns - 1.0)) / columns / count).min(LARGEST)
    };
    let across = (1..=most).rev().find(|n| cell_of(*n) >= LEAST).unwrap_or(1);
    let cell = cell_of(across);
    let side = cell * count;
    let lines: Vec<&[Map]> = rows.iter().flat_map(|row| row.chunks(across)).collect();
    let down = lines.len();
    let body = down as f64 * (HEAD + side + GAP_Y) - GAP_Y + 4.0 + label + BAR;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, Vec::new(), (out.points(), body));
    let whole = page.body;
    let name = |name: &str| theme::shorten(name, SMALL, false, label - 5.0);
    let limit = limit(&rows);

    page.draw(out, &table(data, &rows), |canvas| {
        for (row, line) in lines.iter().enumerate() {
            for (column, map) in line.iter().enumerate() {
                let left = whole.left + label + column as f64 * (side + GAP_X);
                let top = whole.top + HEAD + row as f64 * (HEAD + side + GAP_Y);
                draw_map(canvas, map, (left, top), cell, limit);
                axes::heading(canvas, (left, top - 7.0), &title(data, map, side), side);
                for (i, concept) in data.concepts.iter().enumerate() {
                    let middle = (i as f64 + 0.5) * cell;
                    let face = Type::small(Anchor::Right);
                    if column == 0 {
                        canvas.text((left - 3.5, top + middle), &name(concept), face);
                    }
                    if row + 1 == down {
                        let upward = Type { upward: true, ..face };
                        canvas.text((left + middle, top + side + 4.0), &name(concept), upward);
                    }
                }
            }
        }
        // The number at the end of a bar is half beside it.
        let (left, top) = (whole.left + 8.0, whole.bottom - BAR + 8.0);
        let wide = (inner / 2.0 - 16.0).min(170.0);
        colour_bar(canvas, (left, top), "cosine", 1.0, wide);
        if let Some(limit) = limit {
            let left = left + wide + 16.0;
            let label = format!("difference to {}", data.panels[0].state);
            colour_bar(canvas, (left, top), &label, limit, wide);
        }
    })
}

/// The maps of each layer in order.
fn maps(data: &HeatmapData) -> Vec<Vec<Map<'_>>> {
    let row = |layer: usize| {
        let own: Vec<&HeatmapPanel> = data.panels.iter().filter(|p| p.layer == layer).collect();
        let mut maps = Vec::new();
        for &panel in &own {
            maps.push(Map { panel, difference: None });
            if panel.state != data.panels[0].state && own[0].state == data.panels[0].state {
                let less = |(a, b): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
                    a.iter().zip(b).map(|(a, b)| a - b).collect()
                };
                let difference = panel.cosine.iter().zip(&own[0].cosine).map(less).collect();
                maps.push(Map { panel, difference: Some(difference) });
            }
        }
        maps
    };
    distinct(data.panels.iter().map(|p| p.layer)).into_iter().map(row).collect()
}

/// The largest difference; none where there is no map of differences.
fn limit(rows: &[Vec<Map>]) -> Option<f64> {
    let all = rows.iter().flatten().filter_map(|m| m.difference.as_ref());
    let largest = all.flatten().flatten().map(|v| v.abs()).reduce(f64::max)?;
    Some(if largest > 0.0 { largest } else { 1.0 })
}

/// As long as there is room for.
fn title(data: &HeatmapData, map: &Map, width: f64) -> String {
    let (state, layer, base) = (&map.panel.state, map.panel.layer, &data.panels[0].state);
    let all = match map.difference {
        None => [format!("{state}, layer {layer}"), format!("{state}, {layer}")],
        Some(_) => {
            [format!("{state} less {base}, layer {layer}"), format!("less {base}, layer {layer}")]
        }
    };
    let fits = |text: &&String| theme::text_width(text, NORMAL, true) <= width;
    all.iter().find(fits).unwrap_or(&all[1]).clone()
}

fn draw_map(canvas: &mut Canvas, map: &Map, (left, top): Point, cell: f64, limit: Option<f64>) {
    let (values, limit) = match (&map.difference, limit) {
        (Some(values), Some(limit)) => (values, limit),
        _ => (&map.panel.cosine, 1.0),
    };
    // All or none, lest only numbers without a sign are shown.
    let numbers = theme::text_width("\u{2212}.88", SMALL, false) <= cell - 1.0;
    for (i, line) in values.iter().enumerate() {
        for (j, &value) in line.iter().enumerate() {
            let from = (left + j as f64 * cell, top + i as f64 * cell);
            // A cosine of a concept with itself says nothing, nor does its difference.
            let text = match i == j || !numbers {
                true => String::new(),
                false => axes::short_label(value),
            };
            value_cell(canvas, from, (cell, cell), (value, limit), &text);
        }
    }
    let side = cell * values.len() as f64;
    canvas.outline((left, top), (left + side, top + side), RULE, HAIR);
}

/// A cell on the diverging map with its number, where that fits; the limit is
/// the value that takes the full colour.
pub(super) fn value_cell(
    canvas: &mut Canvas,
    from: Point,
    (width, height): Point,
    (value, limit): (f64, f64),
    text: &str,
) {
    let to = (from.0 + width, from.1 + height);
    if value.is_nan() {
        canvas.rect(from, to, GAP);
        return;
    }
    let ground = theme::diverging(value / limit);
    canvas.rect(from, to, ground);
    canvas.outline(from, to, PAPER, HAIR);
    if !text.is_empty()
        && height >= SMALL + 1.0
        && theme::text_width(text, SMALL, false) <= width - 1.0
    {
        let face = Type { colour: theme::ink_on(ground), ..Type::small(Anchor::Center) };
        canvas.text((from.0 + width / 2.0, from.1 + height / 2.0), text, face);
    }
}

/// The diverging map from `-limit` to `limit` and its label in `width` points, from the top left corner.
pub(super) fn colour_bar(
    canvas: &mut Canvas,
    (left, top): Point,
    label: &str,
    limit: f64,
    width: f64,
) {
    const GAP: f64 = 8.0;
    const LEAST: f64 = 40.0;
    const LARGEST: f64 = 110.0;
    const STEPS: usize = 55;
    let label = theme::shorten(label, NORMAL, false, width - GAP - LEAST);
    let bar = (width - GAP - theme::text_width(&label, NORMAL, false)).min(LARGEST);
    let each = bar / STEPS as f64;
    for i in 0..STEPS {
        let t = (i as f64 + 0.5) / STEPS as f64 * 2.0 - 1.0;
        let from = (left + i as f64 * each, top);
        // The overlap hides the seam between neighbours.
        let over = if i + 1 < STEPS { 0.3 } else { 0.0 };
        canvas.rect(from, (from.0 + each + over, top + 6.0), theme::diverging(t));
    }
    canvas.outline((left, top), (left + bar, top + 6.0), RULE, HAIR);
    for (value, text) in axes::ticks((-limit, limit), ((bar / 18.0) as usize).max(3)) {
        let x = left + (value / limit + 1.0) / 2.0 * bar;
        canvas.line(&[(x, top + 6.0), (x, top + 8.0)], RULE, HAIR);
        canvas.text((x, top + 12.5), &text, Type::small(Anchor::Center));
    }
    let face = Type { size: NORMAL, ..Type::small(Anchor::Left) };
    canvas.text((left + bar + GAP, top + 3.0), &label, face);
}

fn check(data: &HeatmapData) -> Result<()> {
    let check = Check::new(&data.name)?;
    let count = data.concepts.len();
    check.not_empty("no concepts are given", count)?;
    check.not_empty("no panels are given", data.panels.len())?;
    check.distinct(|c| format!("concept `{c}`"), &data.concepts)?;
    check.distinct(
        |(layer, state)| format!("the panel of {state} at layer {layer}"),
        data.panels.iter().map(|p| (p.layer, &p.state)),
    )?;
    for panel in &data.panels {
        let what = format!("the cosines of {} at layer {}", panel.state, panel.layer);
        check.length(&what, count, panel.cosine.len())?;
        for row in &panel.cosine {
            check.numbers(&what, count, row)?;
        }
    }
    let all = data.panels.iter().flat_map(|p| p.cosine.iter().flatten());
    check.any_value("every cosine is missing", all)
}

fn table(data: &HeatmapData, rows: &[Vec<Map>]) -> Table {
    let mut table = Table::new("kind state layer concept other value");
    for map in rows.iter().flatten() {
        let (kind, values) = match &map.difference {
            None => ("cosine", &map.panel.cosine),
            Some(values) => ("difference", values),
        };
        for (concept, row) in data.concepts.iter().zip(values) {
            for (other, value) in data.concepts.iter().zip(row) {
                let words: [&dyn Display; 5] =
                    [&kind, &map.panel.state, &map.panel.layer, concept, other];
                table.row(&words, &[*value]);
            }
        }
    }
    table
}
