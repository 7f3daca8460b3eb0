//! Concept heat maps: cosines of every pair of concepts.
//!
//! A grid of square panels: one row of panels a layer, one column a model state
//! (base and conscious side by side). Each cell prints its cosine on a
//! blue-white-red ground with white at 0; a missing cosine is a grey cell
//! without a number. When the concepts are so many that 7 pt numbers no longer
//! fit a cell, the panels take a row each, and past that the cells stay without
//! numbers; the CSV always holds them.

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
const GAP_X: f64 = 12.0;
const GAP_Y: f64 = 10.0;
/// Least height and width of a cell that holds a 7 pt number.
const ROOM: f64 = 15.0;
const LARGEST: f64 = 24.0;
const BAR: f64 = 30.0;
const LABEL: f64 = 96.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &HeatmapData, out: &Output) -> Result<Written> {
    check(data)?;
    let layers = distinct(data.panels.iter().map(|p| p.layer));
    let states = distinct(data.panels.iter().map(|p| p.state.as_str()));
    let count = data.concepts.len() as f64;
    let label = page::label_width(data.concepts.iter().map(String::as_str), LABEL) + 5.0;
    let width = out.points();
    let inner = width - 2.0 * page::MARGIN;
    let cell_of = |across: usize| {
        let columns = across as f64;
        ((inner - label - GAP_X * (columns - 1.0)) / columns / count).min(LARGEST)
    };
    // One column of panels only when that gives the numbers their room.
    let single = cell_of(states.len()) < ROOM && cell_of(1) > cell_of(states.len());
    let across = if single { 1 } else { states.len() };
    let cell = cell_of(across);
    let side = cell * count;
    let down = if single { data.panels.len() } else { layers.len() };
    let body = down as f64 * (HEAD + side + GAP_Y) - GAP_Y + 4.0 + label + BAR;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, Vec::new(), (width, body));
    let whole = page.body;
    let name = |name: &str| theme::shorten(name, SMALL, false, label - 5.0);

    page.draw(out, &table(data), |canvas| {
        for (index, panel) in data.panels.iter().enumerate() {
            let row = layers.iter().position(|l| *l == panel.layer).unwrap_or(0);
            let column = states.iter().position(|s| *s == panel.state).unwrap_or(0);
            let (row, column) = if single { (index, 0) } else { (row, column) };
            let left = whole.left + label + column as f64 * (side + GAP_X);
            let top = whole.top + HEAD + row as f64 * (HEAD + side + GAP_Y);
            let (right, bottom) = (left + side, top + side);
            for (i, line) in panel.cosine.iter().enumerate() {
                for (j, &value) in line.iter().enumerate() {
                    let from = (left + j as f64 * cell, top + i as f64 * cell);
                    let text = axes::short_label(value);
                    value_cell(canvas, from, (cell, cell), (value, 1.0), &text);
                }
            }
            canvas.outline((left, top), (right, bottom), RULE, HAIR);
            let title = format!("{}, layer {}", panel.state, panel.layer);
            axes::heading(canvas, (left, top - 7.0), &title, side);
            for (i, concept) in data.concepts.iter().enumerate() {
                let middle = (i as f64 + 0.5) * cell;
                let face = Type::small(Anchor::Right);
                if column == 0 {
                    canvas.text((left - 3.5, top + middle), &name(concept), face);
                }
                if row + 1 == down {
                    let upward = Type { upward: true, ..face };
                    canvas.text((left + middle, bottom + 4.0), &name(concept), upward);
                }
            }
        }
        colour_bar(canvas, (whole.left + label, whole.bottom - BAR + 8.0), "cosine", 1.0);
    })
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
    if height >= SMALL + 1.0 && theme::text_width(text, SMALL, false) <= width - 1.0 {
        let face = Type { colour: theme::ink_on(ground), ..Type::small(Anchor::Center) };
        canvas.text((from.0 + width / 2.0, from.1 + height / 2.0), text, face);
    }
}

/// The diverging map from `-limit` to `limit`, its top left corner at `place`.
pub(super) fn colour_bar(canvas: &mut Canvas, (left, top): Point, label: &str, limit: f64) {
    const WIDTH: f64 = 110.0;
    const STEPS: usize = 55;
    let each = WIDTH / STEPS as f64;
    for i in 0..STEPS {
        let t = (i as f64 + 0.5) / STEPS as f64 * 2.0 - 1.0;
        let from = (left + i as f64 * each, top);
        // The overlap hides the seam between neighbours.
        let over = if i + 1 < STEPS { 0.3 } else { 0.0 };
        canvas.rect(from, (from.0 + each + over, top + 6.0), theme::diverging(t));
    }
    canvas.outline((left, top), (left + WIDTH, top + 6.0), RULE, HAIR);
    for (value, text) in axes::ticks((-limit, limit), 5) {
        let x = left + (value / limit + 1.0) / 2.0 * WIDTH;
        canvas.line(&[(x, top + 6.0), (x, top + 8.0)], RULE, HAIR);
        canvas.text((x, top + 12.5), &text, Type::small(Anchor::Center));
    }
    let face = Type { size: NORMAL, ..Type::small(Anchor::Left) };
    canvas.text((left + WIDTH + 12.0, top + 3.0), label, face);
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

fn table(data: &HeatmapData) -> Table {
    let mut table = Table::new("state layer concept other cosine");
    for panel in &data.panels {
        for (concept, row) in data.concepts.iter().zip(&panel.cosine) {
            for (other, value) in data.concepts.iter().zip(row) {
                table.row(&[&panel.state, &panel.layer, concept, other], &[*value]);
            }
        }
    }
    table
}
