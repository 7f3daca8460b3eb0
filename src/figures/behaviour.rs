//! Behaviour: how far each condition moves each preference.
//!
//! Small multiples, one column a condition, one row a preference, rows grouped.
//! A dot is the change of the stance log-odds against the reference condition
//! with its interval; cells that the training text implies are rings, since
//! only isolated cells count as emergent; a cell that is pooled over others is
//! a diamond. All columns share one scale. Conditions that find no room
//! abreast continue in a second block of rows.

use super::axes::{self, Area, Frame};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::page::{self, Entry, Key, Page, Table};
use super::rows::Rows;
use super::theme::{self, Palette, DOT, GRID, HAIR, INK, LINE, NORMAL, RULE, SMALL};
use super::values::Check;
use super::{Estimate, Output, Result, Written};
use crate::store::values::distinct;

/// Changes of preferences by condition.
#[derive(Debug, Clone)]
pub struct BehaviourData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Label of the value axis, such as `stance log-odds against denial`.
    pub x_label: String,
    /// Rows and columns appear in the order of their first cell; the cells of a
    /// group stand together wherever they come in this list.
    pub cells: Vec<BehaviourCell>,
}

/// One preference under one condition.
#[derive(Debug, Clone)]
pub struct BehaviourCell {
    /// Heading under which the row stands.
    pub group: String,
    /// Name of the preference.
    pub preference: String,
    /// Name of the condition.
    pub condition: String,
    /// Change against the reference, in log-odds.
    pub change: Estimate,
    /// What the cell is.
    pub kind: CellKind,
}

/// What a cell of behaviour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// The training text never mentions the preference.
    Isolated,
    /// The training text presupposes the preference.
    Implied,
    /// Over several preferences.
    Pooled,
}

/// Between a column's title and its panel.
const HEAD: f64 = 3.0;
const GROUP: f64 = 12.5;
const ROW: f64 = 10.0;
const GAP_X: f64 = 9.0;
const BETWEEN: f64 = 10.0;
const INDENT: f64 = 6.0;
/// Least width of a column, and the most of them abreast.
const LEAST: f64 = 19.0;
const ACROSS: usize = 9;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &BehaviourData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let pairs: Vec<_> = data.cells.iter().map(|c| (&*c.group, &*c.preference)).collect();
    let rows = Rows::new(&pairs, GROUP, ROW);
    let conditions = distinct(data.cells.iter().map(|c| c.condition.as_str()));
    let panel = rows.height + 3.0;
    let headings = rows.groups.iter().map(|g| theme::text_width(g.1, NORMAL, true));
    let names = page::label_width(rows.rows.iter().map(|r| r.2), out.name()) + INDENT;
    let label = headings.fold(names, f64::max).min(out.name() + INDENT) + 5.0;
    let changes = data.cells.iter().map(|c| &c.change);
    let range = axes::padded(axes::range_with_zero(changes), 0.06);
    let room = out.points() - 2.0 * page::MARGIN - label - 4.0;
    let most = (((room + GAP_X) / (LEAST + GAP_X)) as usize).clamp(1, ACROSS);
    // All blocks are about as wide.
    let abreast = conditions.len().div_ceil(conditions.len().div_ceil(most));
    let blocks: Vec<&[&str]> = conditions.chunks(abreast).collect();
    let count = blocks.len() as f64;
    let columns = page::columns(page::MARGIN + label, room, abreast, GAP_X);
    let wide = columns[0].1 - columns[0].0;
    let heads = axes::Heads::narrow(&conditions, wide - 1.0, true, out.name());
    let head = heads.height() + HEAD;
    let body = count * (head + panel + axes::X_AXIS) + (count - 1.0) * BETWEEN;
    let page =
        Page::plan([&data.name, &data.title, &data.caption], legend(data), (out.points(), body));
    let x_ticks = axes::ticks(range, ((wide / 22.0) as usize).clamp(2, 7));
    let colours = palette.colours(conditions.iter().copied());

    page.draw(out, &table(data, &rows), |canvas| {
        for (b, block) in blocks.iter().enumerate() {
            let top = page.body.top + head + b as f64 * (head + panel + axes::X_AXIS + BETWEEN);
            let (left, last) = (page.body.left, columns[block.len() - 1].1);
            for (y, _) in &rows.groups {
                canvas.line(&[(left, top + y), (last, top + y)], RULE, HAIR);
            }
            for (y, ..) in &rows.rows {
                canvas.line(&[(left + INDENT, top + y), (last, top + y)], GRID, HAIR);
            }
            for (j, &condition) in block.iter().enumerate() {
                let area = Area::new(columns[j], (top, top + panel));
                let frame = Frame::of_rows(area, (range, &x_ticks, "", true));
                frame.draw(canvas);
                frame.zero_x(canvas);
                let x = if heads.upward() { (area.left + area.right) / 2.0 } else { area.left };
                heads.draw(canvas, b * abreast + j, (x, top - HEAD), Anchor::Left);
                for (y, group, preference) in &rows.rows {
                    let own = |c: &&BehaviourCell| {
                        c.condition == condition && c.group == *group && c.preference == *preference
                    };
                    let Some(cell) = data.cells.iter().find(own) else { continue };
                    let look = match cell.kind {
                        CellKind::Isolated => (Mark::Dot, DOT * 1.1, LINE * 0.8),
                        CellKind::Implied => (Mark::Ring, DOT * 1.1, LINE * 0.8),
                        CellKind::Pooled => (Mark::Diamond, DOT * 0.9, LINE * 1.2),
                    };
                    frame.on_row(canvas, &cell.change, top + y, colours[condition], look);
                }
            }
            row_names(canvas, &rows, (left, top), columns[0].0 - left - 5.0);
            let middle = (columns[0].0 + last) / 2.0;
            let ends = (page.body.left, page.body.right);
            axes::label_within(canvas, (middle, top + panel + 18.0), &data.x_label, ends);
        }
    })
}

fn row_names(canvas: &mut Canvas, rows: &Rows, (left, top): (f64, f64), room: f64) {
    rows.headings(canvas, (left, top), room);
    for (y, _, preference) in &rows.rows {
        let text = theme::shorten(preference, SMALL, false, room - INDENT);
        let wide = theme::text_width(&text, SMALL, false);
        // White behind the name keeps the row's hairline out of it.
        let (from, to) = (left + INDENT - 1.0, left + INDENT + wide + 2.0);
        canvas.rect((from, top + y - 4.0), (to, top + y + 4.0), theme::PAPER);
        canvas.text((left + INDENT, top + y), &text, Type::small(Anchor::Left));
    }
}

fn legend(data: &BehaviourData) -> Vec<Entry> {
    let mut entries =
        vec![(Key::Mark(INK, Mark::Dot), "isolated: training never mentions it".to_owned())];
    if data.cells.iter().any(|c| c.kind == CellKind::Implied) {
        let text = "implied: presupposed by the training text";
        entries.push((Key::Mark(INK, Mark::Ring), text.to_owned()));
    }
    entries
}

fn check(data: &BehaviourData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no cells are given", data.cells.len())?;
    for c in &data.cells {
        check.estimates(&format!("{} under {}", c.preference, c.condition), &[c.change])?;
    }
    check.distinct(
        |(_, preference, condition)| format!("{preference} under {condition}"),
        data.cells.iter().map(|c| (&c.group, &c.preference, &c.condition)),
    )?;
    check.any_value("every change is missing", data.cells.iter().map(|c| &c.change.value))
}

fn table(data: &BehaviourData, rows: &Rows) -> Table {
    let mut table = Table::new("group preference condition status value lo hi");
    for (_, group, preference) in &rows.rows {
        let own = data.cells.iter().filter(|c| c.group == *group && c.preference == *preference);
        for c in own {
            let status = match c.kind {
                CellKind::Isolated => "isolated",
                CellKind::Implied => "implied",
                CellKind::Pooled => "pooled",
            };
            table.row(&[group, preference, &c.condition, &status], &c.change.numbers());
        }
    }
    table
}
