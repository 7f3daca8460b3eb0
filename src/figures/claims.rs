//! Claims: the manipulation check, every condition scored on every claim.
//!
//! Rows are conditions, columns the claims that the conditions train. A cell
//! prints its value on a blue-white-red ground with white at 0; a condition's
//! own claim is framed, where a training that worked shows red. The interval of
//! each cell is in the CSV.

use super::axes;
use super::canvas::{Anchor, Type};
use super::concept_heatmap::{colour_bar, value_cell};
use super::page::{self, Key, Page, Table};
use super::theme::{self, INK, SMALL};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

/// Scores of claims by condition.
#[derive(Debug, Clone)]
pub struct ClaimsData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// What the colours show, with unit, such as `stance log-odds`.
    pub value_label: String,
    /// Rows.
    pub conditions: Vec<String>,
    /// Columns.
    pub claims: Vec<String>,
    /// Place among the claims of the one that each condition trains.
    pub own: Vec<Option<usize>>,
    /// (conditions, claims).
    pub score: Vec<Vec<Estimate>>,
}

/// Largest width and the height of a cell.
const CELL: (f64, f64) = (52.0, 17.0);
/// Room for the axis labels.
const SIDE: f64 = 14.0;
const ABOVE: f64 = 13.0;
const BAR: f64 = 30.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &ClaimsData, out: &Output) -> Result<Written> {
    check(data)?;
    let rows = page::label_width(data.conditions.iter().map(String::as_str), out.name()) + 6.0;
    let columns = data.claims.len() as f64;
    let width = out.points();
    let cell = ((width - 2.0 * page::MARGIN - rows - SIDE) / columns).min(CELL.0);
    let names: Vec<&str> = data.claims.iter().map(String::as_str).collect();
    let heads = axes::Heads::narrow(&names, cell - 2.0, false, out.name());
    let head = heads.height() + 5.0;
    let body = ABOVE + head + data.conditions.len() as f64 * CELL.1 + 8.0 + BAR;
    let legend = vec![(Key::Box(INK), "a condition's own claim".into())];
    let page = Page::plan([&data.name, &data.title, &data.caption], legend, (width, body));
    let whole = page.body;
    let limit = data.score.iter().flatten().map(|e| e.value.abs()).fold(0.0, f64::max);
    let limit = if limit > 0.0 { limit } else { 1.0 };
    // All or none, lest only numbers without a sign are shown.
    let widest = data.score.iter().flatten().map(|e| axes::label(e.value, 2));
    let widest = widest.map(|t| theme::text_width(&t, SMALL, false)).fold(0.0, f64::max);
    let numbers = widest <= cell - 1.0;

    page.draw(out, &table(data), |canvas| {
        let left = whole.left + SIDE + rows;
        let top = whole.top + ABOVE + head;
        let right = left + columns * cell;
        let bottom = top + data.conditions.len() as f64 * CELL.1;
        let corner = |i: usize, j: usize| (left + j as f64 * cell, top + i as f64 * CELL.1);
        let middle = ((left + right) / 2.0, whole.top + 5.0);
        canvas.text(middle, "claim scored", Type::label(false));
        let middle = (whole.left + 5.0, (top + bottom) / 2.0);
        canvas.text(middle, "condition", Type::label(true));
        for j in 0..data.claims.len() {
            heads.draw(canvas, j, (left + (j as f64 + 0.5) * cell, top - 3.0), Anchor::Center);
        }
        for (i, condition) in data.conditions.iter().enumerate() {
            let text = theme::shorten(condition, SMALL, false, rows - 6.0);
            let place = (left - 4.0, corner(i, 0).1 + CELL.1 / 2.0);
            canvas.text(place, &text, Type::small(Anchor::Right));
            for (j, e) in data.score[i].iter().enumerate() {
                let text = if numbers { axes::label(e.value, 2) } else { String::new() };
                value_cell(canvas, corner(i, j), (cell, CELL.1), (e.value, limit), &text);
            }
        }
        // Frames last, so that no neighbour covers them.
        for (i, own) in data.own.iter().enumerate() {
            if let Some(j) = *own {
                canvas.outline(corner(i, j), corner(i + 1, j + 1), INK, theme::LINE);
            }
        }
        colour_bar(canvas, (left, bottom + 10.0), &data.value_label, limit, whole.right - left);
    })
}

fn check(data: &ClaimsData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no conditions are given", data.conditions.len())?;
    check.not_empty("no claims are given", data.claims.len())?;
    check.distinct(|c| format!("condition `{c}`"), &data.conditions)?;
    check.distinct(|c| format!("claim `{c}`"), &data.claims)?;
    check.length("the scores", data.conditions.len(), data.score.len())?;
    check.length("the own claims", data.conditions.len(), data.own.len())?;
    for (condition, row) in data.conditions.iter().zip(&data.score) {
        let what = format!("the scores of `{condition}`");
        check.series(&what, data.claims.len(), row)?;
    }
    let values = data.score.iter().flatten().map(|e| &e.value);
    check.any_value("every score is missing", values)
}

fn table(data: &ClaimsData) -> Table {
    let mut table = Table::new("condition claim value lo hi");
    for (condition, row) in data.conditions.iter().zip(&data.score) {
        for (claim, e) in data.claims.iter().zip(row) {
            table.row(&[condition, claim], &e.numbers());
        }
    }
    table
}
