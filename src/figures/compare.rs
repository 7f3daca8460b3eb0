//! Compare: quantities of two runs side by side, and what one has less the other.
//!
//! A block of rows a unit, since cosines and nats share no scale. On the left a ring for A and a dot for B,
//! each with its interval, on the right the difference with both of its intervals: the bold one takes the
//! two runs for independent, the thin one holds whatever they share.

use super::axes::{self, Area, Frame};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::page::{self, Key, Page, Table};
use super::theme::{self, DOT, INK, LINE, PAIR, RULE, SMALL, THIN};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

/// Quantities of two runs.
#[derive(Debug, Clone)]
pub struct CompareData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals, and how many of how many.
    pub caption: String,
    /// Name of the first run in the legend.
    pub a: String,
    /// Name of the second.
    pub b: String,
    /// From top to bottom.
    pub blocks: Vec<CompareBlock>,
}

/// Quantities of one unit.
#[derive(Debug, Clone)]
pub struct CompareBlock {
    /// The unit.
    pub unit: String,
    /// From top to bottom.
    pub rows: Vec<CompareRow>,
}

/// One quantity.
#[derive(Debug, Clone)]
pub struct CompareRow {
    /// Its name; two lines of it are shown.
    pub name: String,
    /// In A.
    pub a: Estimate,
    /// In B.
    pub b: Estimate,
    /// B less A, as of independent runs.
    pub difference: Estimate,
    /// The same with the interval that holds whatever they share.
    pub any: Estimate,
}

const HEAD: f64 = 15.0;
const ROW: f64 = 20.0;
const BETWEEN: f64 = 8.0;
/// Share of the width that names take.
const LABEL: f64 = 0.32;
const GAP: f64 = 14.0;
/// From the middle of a row to A and to B.
const APART: f64 = 3.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &CompareData, out: &Output) -> Result<Written> {
    check(data)?;
    let panel = |b: &CompareBlock| HEAD + b.rows.len() as f64 * ROW + axes::X_AXIS + BETWEEN;
    let body: f64 = data.blocks.iter().map(panel).sum();
    let legend = vec![
        (Key::Mark(PAIR[0], Mark::Ring), data.a.clone()),
        (Key::Mark(PAIR[1], Mark::Dot), data.b.clone()),
        (Key::Line(INK), "95 %, independent runs".into()),
        (Key::ThinLine(RULE), "95 %, whatever they share".into()),
    ];
    let page = Page::plan([&data.name, &data.title, &data.caption], legend, (out.points(), body));
    let (left, right) = (page.body.left + LABEL * out.points(), page.body.right - 6.0);
    let columns = page::columns(left, right - left, 2, GAP);
    page.draw(out, &table(data), |canvas| {
        let mut top = page.body.top;
        for block in &data.blocks {
            let (from, to) = (top + HEAD, top + panel(block) - axes::X_AXIS - BETWEEN);
            names(canvas, block, (page.body.left, left - 5.0), from);
            let area = |i: usize| Area::new(columns[i], (from, to));
            sides(canvas, block, area(0));
            differences(canvas, block, area(1));
            top += panel(block);
        }
    })
}

/// Middle of a row.
fn middle(top: f64, i: usize) -> f64 {
    top + (i as f64 + 0.5) * ROW
}

/// Names of the rows in two lines at most.
fn names(canvas: &mut Canvas, block: &CompareBlock, (left, right): (f64, f64), top: f64) {
    for (i, row) in block.rows.iter().enumerate() {
        let mut lines = theme::wrap(&row.name, SMALL, false, right - left);
        if lines.len() > 2 {
            let rest = lines.split_off(1).join(" ");
            lines.push(rest);
        }
        let first = middle(top, i) - (lines.len() as f64 - 1.0) * SMALL * theme::LEADING / 2.0;
        for (j, line) in lines.iter().enumerate() {
            let line = theme::shorten(line, SMALL, false, right - left);
            let y = first + j as f64 * SMALL * theme::LEADING;
            canvas.text((right, y), &line, Type::small(Anchor::Right));
        }
    }
}

fn sides(canvas: &mut Canvas, block: &CompareBlock, area: Area) {
    let both = block.rows.iter().flat_map(|r| [&r.a, &r.b]);
    let range = axes::padded(axes::range_with_zero(both), 0.06);
    let ticks = axes::ticks(range, (area.width() / 30.0) as usize);
    let unit = theme::shorten(&block.unit, theme::NORMAL, false, area.width());
    let frame = Frame::of_rows(area, (range, &ticks, &unit, true));
    frame.draw(canvas);
    frame.zero_x(canvas);
    frame.heading(canvas, "both runs");
    for (i, row) in block.rows.iter().enumerate() {
        let y = middle(area.top, i);
        frame.on_row(canvas, &row.a, y - APART, PAIR[0], (Mark::Ring, DOT * 1.1, LINE * 0.8));
        frame.on_row(canvas, &row.b, y + APART, PAIR[1], (Mark::Dot, DOT * 1.1, LINE * 0.8));
    }
}

fn differences(canvas: &mut Canvas, block: &CompareBlock, area: Area) {
    let both = block.rows.iter().flat_map(|r| [&r.difference, &r.any]);
    let range = axes::padded(axes::range_with_zero(both), 0.06);
    let ticks = axes::ticks(range, (area.width() / 30.0) as usize);
    let unit = theme::shorten(&block.unit, theme::NORMAL, false, area.width());
    let frame = Frame::of_rows(area, (range, &ticks, &unit, true));
    frame.draw(canvas);
    frame.zero_x(canvas);
    frame.heading(canvas, "B less A");
    for (i, row) in block.rows.iter().enumerate() {
        let y = middle(area.top, i);
        frame.on_row(canvas, &row.any, y, RULE, (Mark::Dot, THIN, THIN));
        frame.on_row(canvas, &row.difference, y, INK, (Mark::Dot, DOT * 1.1, LINE));
    }
}

fn check(data: &CompareData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no quantities are given", data.blocks.len())?;
    for block in &data.blocks {
        check.not_empty(&format!("no rows in {}", block.unit), block.rows.len())?;
        for r in &block.rows {
            check.estimates(&r.name, &[r.a, r.b, r.difference, r.any])?;
        }
    }
    let rows = data.blocks.iter().flat_map(|b| &b.rows);
    check.any_value("every value is missing", rows.flat_map(|r| [&r.a.value, &r.b.value]))
}

fn table(data: &CompareData) -> Table {
    let mut table = Table::new("unit quantity side value lo hi");
    for block in &data.blocks {
        for r in &block.rows {
            for (side, e) in
                [("A", &r.a), ("B", &r.b), ("B less A", &r.difference), ("any", &r.any)]
            {
                table.row(&[&block.unit, &r.name, &side], &e.numbers());
            }
        }
    }
    table
}
