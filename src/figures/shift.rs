//! Shifts: how far each fine-tune moves the residual stream along a direction.
//!
//! One row of panels a layer; left the raw shift, right the shift without the
//! component that the identity fine-tunes share. Within a panel the rows are
//! conditions, grouped by direction; the direction of base is a filled dot and
//! the one extracted again in the fine-tuned model an open diamond below it.
//! All panels share one scale, in units of the layer's residual RMS.

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

/// Projections of shifts on directions.
#[derive(Debug, Clone)]
pub struct ShiftData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Label of the value axis, such as `projection of the shift (layer RMS)`.
    pub x_label: String,
    /// What is drawn.
    pub points: Vec<ShiftPoint>,
}

/// One projection.
#[derive(Debug, Clone)]
pub struct ShiftPoint {
    /// Block, from 0.
    pub layer: usize,
    /// Name of the condition.
    pub condition: String,
    /// Concept of the direction, such as `persona`.
    pub direction: String,
    /// Where the direction was read.
    pub source: DirectionSource,
    /// Which part of the shift it is.
    pub form: ShiftForm,
    /// In units of the layer's RMS.
    pub projection: Estimate,
}

/// The model state in which a direction was extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectionSource {
    /// Base.
    Base,
    /// The fine-tuned model itself.
    ReExtracted,
}

/// What was projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShiftForm {
    /// The whole shift.
    Raw,
    /// What the identity fine-tunes do not share.
    SharedRemoved,
}

impl DirectionSource {
    fn name(self) -> &'static str {
        match self {
            DirectionSource::Base => "base",
            DirectionSource::ReExtracted => "re_extracted",
        }
    }
}

impl ShiftForm {
    fn name(self) -> &'static str {
        match self {
            ShiftForm::Raw => "raw",
            ShiftForm::SharedRemoved => "shared_removed",
        }
    }

    fn title(self) -> &'static str {
        match self {
            ShiftForm::Raw => "raw shift",
            ShiftForm::SharedRemoved => "shared component removed",
        }
    }
}

const HEAD: f64 = 14.0;
const GROUP: f64 = 12.0;
const ROW: f64 = 11.0;
const BETWEEN: f64 = 8.0;
const GAP_X: f64 = 14.0;
const LABEL: f64 = 120.0;

/// Draws the figure into `dir`.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &ShiftData, palette: &Palette, dir: &Path) -> Result<Written, FigureError> {
    check(data)?;
    page::register(&data.name)?;
    let words = (data.title.as_str(), data.caption.as_str());
    let layers = distinct(data.points.iter().map(|p| p.layer));
    let conditions = distinct(data.points.iter().map(|p| p.condition.as_str()));
    let directions = distinct(data.points.iter().map(|p| p.direction.as_str()));
    let mut forms = distinct(data.points.iter().map(|p| p.form));
    forms.sort();

    let group = GROUP + conditions.len() as f64 * ROW;
    let panel = group * directions.len() as f64 + 4.0;
    let rows = layers.len() as f64;
    let body = rows * (HEAD + panel) + (rows - 1.0) * BETWEEN + axes::X_AXIS;
    let page = Page::plan(&data.name, words, legend(data), (WIDE, body))?;
    let whole = page.body();
    let heads = directions
        .iter()
        .map(|d| theme::text_width(&group_title(d), NORMAL, true))
        .fold(0.0, f64::max);
    let label = page::label_width(conditions.iter().copied(), LABEL).max(heads.min(LABEL)) + 10.0;
    let numbers =
        data.points.iter().flat_map(|p| [&p.projection.value, &p.projection.lo, &p.projection.hi]);
    let range = axes::padded(axes::range_of(numbers.chain([&0.0])), 0.05);
    let columns =
        page::columns(whole.left + label, whole.width() - label - 4.0, forms.len(), GAP_X);
    let x_ticks = axes::ticks(range, ((columns[0].1 - columns[0].0) / 32.0) as usize);
    let colours = palette.colours(conditions.iter().copied());

    let svg = page.paint(&data.name, |canvas| {
        for (i, &layer) in layers.iter().enumerate() {
            let top = whole.top + HEAD + i as f64 * (HEAD + panel + BETWEEN);
            for (j, &form) in forms.iter().enumerate() {
                let (left, right) = columns[j];
                let area = Area::new((left, right), (top, top + panel));
                let last = i + 1 == layers.len();
                let frame = Frame::of_rows(area, (range, &x_ticks, &data.x_label, last));
                frame.draw(canvas);
                frame.heading(canvas, &format!("Layer {layer}: {}", form.title()));
                for g in 0..directions.len() {
                    let start = top + g as f64 * group;
                    let from = if j == 0 { whole.left } else { left };
                    canvas.line(&[(from, start), (right, start)], RULE.to_rgba(), HAIR);
                    for c in 0..conditions.len() {
                        let y = row(start, c);
                        canvas.line(&[(left, y), (right, y)], GRID.to_rgba(), HAIR);
                    }
                }
                frame.zero_x(canvas);
                for (g, &direction) in directions.iter().enumerate() {
                    let start = top + g as f64 * group;
                    if j == 0 {
                        names(canvas, (left, start), direction, &conditions, label);
                    }
                    for (c, &condition) in conditions.iter().enumerate() {
                        let here = data.points.iter().filter(|p| {
                            p.layer == layer
                                && p.form == form
                                && p.direction == direction
                                && p.condition == condition
                        });
                        for p in here {
                            point(canvas, &frame, p, row(start, c), colours[condition]);
                        }
                    }
                }
            }
        }
    })?;
    page::write(dir, &data.name, words, &svg, &table(data))
}

/// The middle of a group's row, the group's top being at `start`.
fn row(start: f64, index: usize) -> f64 {
    start + GROUP + (index as f64 + 0.5) * ROW
}

fn group_title(direction: &str) -> String {
    format!("on {direction}")
}

fn names(
    canvas: &mut Canvas,
    (left, top): (f64, f64),
    direction: &str,
    conditions: &[&str],
    room: f64,
) {
    let start = left - room + 2.0;
    let text = group_title(direction);
    axes::heading(canvas, (start, top + GROUP * 0.6), &text, room - 6.0);
    for (c, condition) in conditions.iter().enumerate() {
        let y = row(top, c);
        let text = theme::shorten(condition, SMALL, false, room - 8.0);
        canvas.text((left - 4.0, y), &text, Type::small(Anchor::Right));
    }
}

fn point(
    canvas: &mut Canvas,
    frame: &Frame,
    p: &ShiftPoint,
    middle: f64,
    colour: plotters::style::RGBColor,
) {
    let (mark, y) = match p.source {
        DirectionSource::Base => (Mark::Dot, middle - ROW * 0.2),
        DirectionSource::ReExtracted => (Mark::OpenDiamond, middle + ROW * 0.2),
    };
    let e = &p.projection;
    if e.has_interval() {
        let ends = [(frame.x.at(e.lo), y), (frame.x.at(e.hi), y)];
        canvas.line(&ends, colour.to_rgba(), LINE * 0.8);
    }
    canvas.mark((frame.x.at(e.value), y), DOT, colour, mark);
}

fn legend(data: &ShiftData) -> Vec<Entry> {
    let mut entries = Vec::new();
    let has = |source| data.points.iter().any(|p| p.source == source);
    if has(DirectionSource::Base) {
        entries.push((Key::Mark(INK, Mark::Dot), "direction from base".to_owned()));
    }
    if has(DirectionSource::ReExtracted) {
        let text = "direction re-extracted in the fine-tuned model";
        entries.push((Key::Mark(INK, Mark::OpenDiamond), text.to_owned()));
    }
    entries
}

fn check(data: &ShiftData) -> Result<(), FigureError> {
    let check = Check::new(&data.name)?;
    check.not_empty("no projections are given", data.points.len())?;
    for p in &data.points {
        let what = format!("{} on {} at layer {}", p.condition, p.direction, p.layer);
        check.estimates(&what, &[p.projection])?;
    }
    check.distinct(
        |(layer, condition, direction, ..)| format!("{condition} on {direction} at layer {layer}"),
        data.points.iter().map(|p| (p.layer, &p.condition, &p.direction, p.source, p.form)),
    )?;
    let values = data.points.iter().map(|p| &p.projection.value);
    check.any_value("every projection is missing", values)
}

fn table(data: &ShiftData) -> Table {
    let mut table = Table::new("layer condition direction source form value lo hi");
    for p in &data.points {
        let (source, form) = (p.source.name(), p.form.name());
        let words: [&dyn Display; 5] = [&p.layer, &p.condition, &p.direction, &source, &form];
        table.row(&words, &p.projection.numbers());
    }
    table
}
