//! Shifts: how far each fine-tune moves the residual stream along a direction.
//!
//! One row of panels a layer; left the raw shift, right the shift without the
//! component that the identity fine-tunes share. Within a panel the rows are
//! conditions, grouped by direction; the direction of base is a filled dot and
//! the one extracted again in the fine-tuned model an open diamond below it.
//! All panels share one scale, in units of the layer's residual RMS.

use super::axes::{self, Area, Frame};
use super::canvas::Mark;
use super::page::{self, Entry, Key, Page, Table};
use super::rows::Rows;
use super::theme::{self, Palette, DOT, GRID, HAIR, INK, LINE, NORMAL, RULE};
use super::values::Check;
use super::{Estimate, Output, Result, Written};
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
        if self == Self::Base {
            "base"
        } else {
            "re_extracted"
        }
    }
}

impl ShiftForm {
    fn name(self) -> &'static str {
        if self == Self::Raw {
            "raw"
        } else {
            "shared_removed"
        }
    }

    fn title(self) -> &'static str {
        if self == Self::Raw {
            "whole"
        } else {
            "unshared"
        }
    }
}

const HEAD: f64 = 14.0;
const GROUP: f64 = 12.0;
const ROW: f64 = 11.0;
const BETWEEN: f64 = 8.0;
const GAP_X: f64 = 14.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &ShiftData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let layers = distinct(data.points.iter().map(|p| p.layer));
    let conditions = distinct(data.points.iter().map(|p| p.condition.as_str()));
    let directions = distinct(data.points.iter().map(|p| p.direction.as_str()));
    let mut forms = distinct(data.points.iter().map(|p| p.form));
    forms.sort();

    let titles: Vec<String> = directions.iter().map(|d| format!("on {d}")).collect();
    // Every direction has a row for every condition.
    let pairs: Vec<(&str, &str)> =
        titles.iter().flat_map(|t| conditions.iter().map(|c| (t.as_str(), *c))).collect();
    let rows = Rows::new(&pairs, GROUP, ROW);
    let panel = rows.height + 4.0;
    let down = layers.len() as f64;
    let body = down * (HEAD + panel) + (down - 1.0) * BETWEEN + axes::X_AXIS;
    let page =
        Page::plan([&data.name, &data.title, &data.caption], legend(data), (out.points(), body));
    let whole = page.body;
    let heads = titles.iter().map(|t| theme::text_width(t, NORMAL, true)).fold(0.0, f64::max);
    let most = out.name();
    let label = page::label_width(conditions.iter().copied(), most).max(heads.min(most)) + 10.0;
    let range = axes::range_with_zero(data.points.iter().map(|p| &p.projection));
    let range = axes::padded(range, 0.05);
    let columns =
        page::columns(whole.left + label, whole.width() - label - 4.0, forms.len(), GAP_X);
    let x_ticks = axes::ticks(range, ((columns[0].1 - columns[0].0) / 32.0) as usize);
    let colours = palette.colours(conditions.iter().copied());

    page.draw(out, &table(data), |canvas| {
        for (i, &layer) in layers.iter().enumerate() {
            let top = whole.top + HEAD + i as f64 * (HEAD + panel + BETWEEN);
            for (j, &form) in forms.iter().enumerate() {
                let area = Area::new(columns[j], (top, top + panel));
                let last = i + 1 == layers.len();
                let frame = Frame::of_rows(area, (range, &x_ticks, "", last));
                frame.draw(canvas);
                frame.heading(canvas, &format!("Layer {layer}: {}", form.title()));
                for (y, _) in &rows.groups {
                    let from = if j == 0 { whole.left } else { area.left };
                    canvas.line(&[(from, top + y), (area.right, top + y)], RULE, HAIR);
                }
                for (y, ..) in &rows.rows {
                    canvas.line(&[(area.left, top + y), (area.right, top + y)], GRID, HAIR);
                }
                frame.zero_x(canvas);
                if j == 0 {
                    rows.names(canvas, (area.left - label + 2.0, area.left - 4.0), top);
                }
                for p in data.points.iter().filter(|p| p.layer == layer && p.form == form) {
                    let group = directions.iter().position(|d| *d == p.direction).unwrap_or(0);
                    let row = conditions.iter().position(|c| *c == p.condition).unwrap_or(0);
                    let (y, ..) = rows.rows[group * conditions.len() + row];
                    let (mark, lower) = match p.source {
                        DirectionSource::Base => (Mark::Dot, -ROW * 0.2),
                        DirectionSource::ReExtracted => (Mark::OpenDiamond, ROW * 0.2),
                    };
                    let colour = colours[p.condition.as_str()];
                    let look = (mark, DOT, LINE * 0.8);
                    frame.on_row(canvas, &p.projection, top + y + lower, colour, look);
                }
            }
        }
        let middle = (columns[0].0 + whole.right) / 2.0;
        let place = (middle, whole.bottom - 7.0);
        axes::label_within(canvas, place, &data.x_label, (whole.left, whole.right));
    })
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

fn check(data: &ShiftData) -> Result<()> {
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
        let numbers = p.projection.numbers();
        table.row(&[&p.layer, &p.condition, &p.direction, &source, &form], &numbers);
    }
    table
}
