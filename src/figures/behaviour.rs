//! Behaviour: how far each condition moves each preference.
//!
//! Small multiples, one column a condition, one row a preference, rows grouped.
//! A dot is the change of the stance log-odds against the reference condition
//! with its interval; cells that the training text implies are rings, since
//! only isolated cells count as emergent. All columns share one scale. More
//! than nine conditions continue in a second block of rows.

use std::fmt::Display;
use std::path::Path;

use plotters::style::Color;

use super::axes::{self, Area, Frame};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::page::{self, Entry, Key, Page, Table};
use super::theme::{self, Palette, DOT, GRID, HAIR, INK, LINE, NORMAL, RULE, SMALL, WIDE};
use super::values::Check;
use super::{Estimate, FigureError, Written};
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
    /// True when the training text presupposes the preference.
    pub implied: bool,
}

/// Between a column's title and its panel.
const HEAD: f64 = 3.0;
const GROUP: f64 = 12.5;
const ROW: f64 = 10.0;
const GAP_X: f64 = 5.0;
const BETWEEN: f64 = 10.0;
const LABEL: f64 = 125.0;
const INDENT: f64 = 6.0;
const ACROSS: usize = 9;

struct Group<'a> {
    name: &'a str,
    preferences: Vec<&'a str>,
}

/// Draws the figure into `dir`.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &BehaviourData, palette: &Palette, dir: &Path) -> Result<Written, FigureError> {
    check(data)?;
    page::register(&data.name)?;
    let words = (data.title.as_str(), data.caption.as_str());
    let groups = groups(data);
    let conditions = distinct(data.cells.iter().map(|c| c.condition.as_str()));
    let rows: usize = groups.iter().map(|g| g.preferences.len()).sum();
    let panel = groups.len() as f64 * GROUP + rows as f64 * ROW + 3.0;
    let blocks: Vec<&[&str]> = conditions.chunks(even(conditions.len())).collect();
    let count = blocks.len() as f64;
    let names = groups.iter().flat_map(|g| g.preferences.iter().copied());
    let label = (page::label_width(names, LABEL) + INDENT)
        .max(groups.iter().map(|g| theme::text_width(g.name, NORMAL, true)).fold(0.0, f64::max))
        .min(LABEL + INDENT)
        + 5.0;
    let numbers = data.cells.iter().flat_map(|c| [&c.change.value, &c.change.lo, &c.change.hi]);
    let range = axes::padded(axes::range_of(numbers.chain([&0.0])), 0.06);
    let room = WIDE - 2.0 * page::MARGIN - label - 4.0;
    let columns = page::columns(page::MARGIN + label, room, blocks[0].len(), GAP_X);
    let wide = columns[0].1 - columns[0].0;
    let heads = axes::Heads::new(conditions.iter().copied(), wide - 1.0, true);
    let head = heads.height() + HEAD;
    let body = count * (head + panel + axes::X_AXIS) + (count - 1.0) * BETWEEN;
    let page = Page::plan(&data.name, words, legend(data), (WIDE, body))?;
    let whole = page.body();
    let x_ticks = axes::ticks(range, ((wide / 22.0) as usize).clamp(2, 7));
    let colours = palette.colours(conditions.iter().copied());

    let svg = page.paint(&data.name, |canvas| {
        for (b, block) in blocks.iter().enumerate() {
            let top = whole.top + head + b as f64 * (head + panel + axes::X_AXIS + BETWEEN);
            let last = columns[block.len() - 1].1;
            stripes(canvas, &groups, (whole.left, last), top);
            for (j, &condition) in block.iter().enumerate() {
                let (left, right) = columns[j];
                let area = Area::new((left, right), (top, top + panel));
                let frame = Frame::of_rows(area, (range, &x_ticks, "", true));
                frame.draw(canvas);
                frame.zero_x(canvas);
                let index = b * blocks[0].len() + j;
                heads.draw(canvas, index, (left, top - HEAD), Anchor::Left);
                column(canvas, &frame, data, &groups, condition, colours[condition]);
            }
            row_names(canvas, &groups, (whole.left, top), columns[0].0);
            let middle = (columns[0].0 + last) / 2.0;
            let face = Type { size: NORMAL, ..Type::small(Anchor::Middle) };
            canvas.text((middle, top + panel + 18.0), &data.x_label, face);
        }
    })?;
    page::write(dir, &data.name, words, &svg, &table(data, &groups))
}

/// Columns a block, so that all blocks are about as wide.
fn even(conditions: usize) -> usize {
    let blocks = conditions.div_ceil(ACROSS);
    conditions.div_ceil(blocks)
}

fn groups(data: &BehaviourData) -> Vec<Group<'_>> {
    distinct(data.cells.iter().map(|c| c.group.as_str()))
        .into_iter()
        .map(|name| {
            let own = data.cells.iter().filter(|c| c.group == name);
            Group { name, preferences: distinct(own.map(|c| c.preference.as_str())) }
        })
        .collect()
}

/// The middle of each row below the top of a panel, with its preference.
fn row_places<'g>(groups: &'g [Group<'_>]) -> impl Iterator<Item = (f64, &'g str, &'g str)> {
    let mut y = 0.0;
    groups.iter().flat_map(move |group| {
        y += GROUP;
        let start = y;
        y += group.preferences.len() as f64 * ROW;
        let rows = group.preferences.iter().enumerate();
        rows.map(move |(i, p)| (start + (i as f64 + 0.5) * ROW, group.name, *p)).collect::<Vec<_>>()
    })
}

/// Hairlines above each group, across all columns.
fn stripes(canvas: &mut Canvas, groups: &[Group], (left, right): (f64, f64), top: f64) {
    let mut y = top;
    for group in groups {
        canvas.line(&[(left, y), (right, y)], RULE.to_rgba(), HAIR);
        y += GROUP + group.preferences.len() as f64 * ROW;
    }
    for (y, _, _) in row_places(groups) {
        let y = top + y;
        canvas.line(&[(left + INDENT, y), (right, y)], GRID.to_rgba(), HAIR);
    }
}

fn row_names(canvas: &mut Canvas, groups: &[Group], (left, top): (f64, f64), right: f64) {
    let room = right - left - 5.0;
    let mut y = top;
    for group in groups {
        axes::heading(canvas, (left, y + GROUP * 0.55), group.name, room);
        y += GROUP + group.preferences.len() as f64 * ROW;
    }
    for (y, _, preference) in row_places(groups) {
        let text = theme::shorten(preference, SMALL, false, room - INDENT);
        let wide = theme::text_width(&text, SMALL, false);
        // White behind the name keeps the row's hairline out of it.
        let (from, to) = (left + INDENT - 1.0, left + INDENT + wide + 2.0);
        canvas.rect((from, top + y - 4.0), (to, top + y + 4.0), theme::PAPER.to_rgba());
        canvas.text((left + INDENT, top + y), &text, Type::small(Anchor::Left));
    }
}

fn column(
    canvas: &mut Canvas,
    frame: &Frame,
    data: &BehaviourData,
    groups: &[Group],
    condition: &str,
    colour: plotters::style::RGBColor,
) {
    for (y, group, preference) in row_places(groups) {
        let y = frame.area.top + y;
        let cell = data
            .cells
            .iter()
            .find(|c| c.condition == condition && c.group == group && c.preference == preference);
        let Some(cell) = cell else { continue };
        let e = &cell.change;
        if e.has_interval() {
            let ends = [(frame.x.at(e.lo), y), (frame.x.at(e.hi), y)];
            canvas.line(&ends, colour.to_rgba(), LINE * 0.8);
        }
        let mark = if cell.implied { Mark::Ring } else { Mark::Dot };
        canvas.mark((frame.x.at(e.value), y), DOT * 1.1, colour, mark);
    }
}

fn legend(data: &BehaviourData) -> Vec<Entry> {
    let mut entries =
        vec![(Key::Mark(INK, Mark::Dot), "isolated: training never mentions it".to_owned())];
    if data.cells.iter().any(|c| c.implied) {
        let text = "implied: presupposed by the training text";
        entries.push((Key::Mark(INK, Mark::Ring), text.to_owned()));
    }
    entries
}

fn check(data: &BehaviourData) -> Result<(), FigureError> {
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

fn table(data: &BehaviourData, groups: &[Group]) -> Table {
    let mut table = Table::new("group preference condition status value lo hi");
    for (_, group, preference) in row_places(groups) {
        let own = data.cells.iter();
        for c in own.filter(|c| c.group == group && c.preference == preference) {
            let status = if c.implied { "implied" } else { "isolated" };
            let words: [&dyn Display; 4] = [&c.group, &c.preference, &c.condition, &status];
            table.row(&words, &c.change.numbers());
        }
    }
    table
}
