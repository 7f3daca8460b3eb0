//! Trajectory: what moves first over a fine-tune's steps.
//!
//! One panel a quantity, all over the same steps, spaced by log(1 + step) so
//! that the untouched model at step 0 has a place and the early steps have
//! room. A line is a condition or a contrast, with its interval as a ribbon and
//! a dot at each step that was measured. Below the lines, in a strip of its
//! own, a tick marks the step at which a line is half way to its last value and
//! a bar its interval; a line keeps its row of the strip in all panels, so that
//! the ticks can be compared down and across the page.

use plotters::style::Color;
use std::collections::BTreeSet;

use super::axes::{self, Frame, Heads, Scale, Tick};
use super::canvas::{Anchor, Canvas};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::theme::{self, Colours, Palette, DOT, HAIR, LINE, MUTED, NORMAL, RULE, SMALL, THIN};
use super::values::Check;
use super::{Estimate, Output, Result, Written};
use crate::store::values::distinct;

/// Quantities by training step.
#[derive(Debug, Clone)]
pub struct TrajectoryData {
    /// Stem of the file names.
    pub name: String,
    /// Title above it.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// The panels, in the order in which they are read.
    pub panels: Vec<TrajectoryPanel>,
}

/// One quantity.
#[derive(Debug, Clone)]
pub struct TrajectoryPanel {
    /// Title above it.
    pub title: String,
    /// Label of the value axis, with unit.
    pub y_label: String,
    /// Lines of the panel.
    pub lines: Vec<TrajectoryLine>,
}

/// One condition or contrast.
#[derive(Debug, Clone)]
pub struct TrajectoryLine {
    /// As in the legend, such as `conscious - denial`; has the same colour in
    /// every panel.
    pub label: String,
    /// Optimiser steps, increasing from 0, the model before training.
    pub steps: Vec<usize>,
    /// One entry a step.
    pub value: Vec<Estimate>,
    /// Step at which the line is half way to its last value.
    pub half_way: Option<Estimate>,
}

const LEAST: f64 = 104.0;
const TALLEST: f64 = 170.0;
const GAP_X: f64 = 12.0;
const BETWEEN: f64 = 8.0;
const RIGHT: f64 = 8.0;
/// Height of a line's row in the strip of half-way ticks.
const ROW: f64 = 6.0;
/// Above this many steps, points are not marked.
const MARKED: usize = 16;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &TrajectoryData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let lines = || data.panels.iter().flat_map(|p| &p.lines);
    let labels = distinct(lines().map(|l| l.label.as_str()));
    let colours = palette.colours(labels.iter().copied());
    // Rows of the strip.
    let halved = distinct(lines().filter(|l| half(l).is_some()).map(|l| l.label.as_str()));
    let strip = match halved.len() {
        0 => 0.0,
        rows => rows as f64 * ROW + 3.0,
    };

    let (width, across) = (out.points(), page::abreast(data.panels.len(), out));
    let ranges: Vec<(f64, f64)> = data.panels.iter().map(range).collect();
    let y_ticks: Vec<Vec<Tick>> = ranges.iter().map(|r| axes::ticks(*r, 6)).collect();
    let margin = y_ticks.iter().map(|t| axes::y_axis_width(t, true)).fold(0.0, f64::max);
    let room = width - 2.0 * page::MARGIN - RIGHT;
    let mut columns = page::columns(page::MARGIN, room, across, GAP_X);
    columns.iter_mut().for_each(|c| c.0 += margin);
    let wide = columns[0].1 - columns[0].0;
    let heads = Heads::new(data.panels.iter().map(|p| p.title.as_str()), wide, true);
    let labelled = data.panels.iter().map(|p| theme::text_width(&p.y_label, NORMAL, false));
    let panel = labelled.fold(LEAST, f64::max).min(TALLEST);
    let heights = [heads.height() + 4.0, panel + strip, BETWEEN];
    let grid = Grid::new(data.panels.len(), columns, heights);
    let entries = legend(&labels, palette, !halved.is_empty());
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, entries, (width, grid.height() + axes::X_AXIS));
    let last = lines().filter_map(|l| l.steps.last().copied()).max();
    let along = axes::padded((0.0, spaced(last.unwrap_or(0) as f64)), 0.025);
    let x_ticks = step_ticks(&measured(data), wide / (along.1 - along.0));

    page.draw(out, &table(data), |canvas| {
        for (i, panel_data) in data.panels.iter().enumerate() {
            let area = grid.area(i, &page.body);
            let y_label = theme::shorten(&panel_data.y_label, NORMAL, false, panel);
            let frame = Frame {
                y: Scale::new(ranges[i], area.bottom - strip, area.top),
                ..Frame::new(
                    area,
                    (along, &x_ticks, "", grid.at_edge(i).0),
                    (ranges[i], &y_ticks[i], &y_label, true),
                )
            };
            frame.draw(canvas);
            heads.draw(canvas, i, (area.left, area.top - 2.0), Anchor::Left);
            frame.level(canvas, 0.0);
            values(canvas, &frame, panel_data, &colours, palette);
            if strip > 0.0 {
                let y = area.bottom - strip;
                canvas.line(&[(area.left, y), (area.right, y)], RULE, HAIR);
                halves(canvas, &frame, panel_data, &halved, &colours);
            }
        }
        grid.x_label(canvas, &page.body, "optimiser step, log(1 + step)");
    })
}

/// Where a step stands along the axis.
fn spaced(step: f64) -> f64 {
    step.ln_1p()
}

/// The half-way step, where one is known.
fn half(line: &TrajectoryLine) -> Option<Estimate> {
    line.half_way.filter(|e| !e.is_missing())
}

fn range(panel: &TrajectoryPanel) -> (f64, f64) {
    axes::padded(axes::range_of_all(panel.lines.iter().flat_map(|l| &l.value)), 0.06)
}

fn values(
    canvas: &mut Canvas,
    frame: &Frame,
    panel: &TrajectoryPanel,
    colours: &Colours,
    palette: &Palette,
) {
    let place = |line: &TrajectoryLine| -> Vec<f64> {
        line.steps.iter().map(|&s| frame.x.at(spaced(s as f64))).collect()
    };
    for line in &panel.lines {
        let shade = colours[line.label.as_str()].mix(0.14);
        frame.ribbon(canvas, &place(line), &line.value, shade, 4.0);
    }
    for line in &panel.lines {
        let colour = colours[line.label.as_str()];
        let points = frame.points(&place(line), &line.value);
        canvas.line(&points, colour, LINE);
        for p in points.into_iter().filter(|_| line.steps.len() <= MARKED) {
            canvas.mark(p, DOT * 0.85, colour, palette.mark(&line.label));
        }
    }
}

/// The ticks of the strip, the first line's row on top.
fn halves(
    canvas: &mut Canvas,
    frame: &Frame,
    panel: &TrajectoryPanel,
    rows: &[&str],
    colours: &Colours,
) {
    let top = frame.area.bottom - rows.len() as f64 * ROW - 1.5;
    for line in &panel.lines {
        let at = rows.iter().position(|label| *label == line.label);
        let (Some(e), Some(row)) = (half(line), at) else {
            continue;
        };
        let colour = colours[line.label.as_str()];
        let y = top + (row as f64 + 0.5) * ROW;
        let x = |step: f64| frame.x.at(spaced(step));
        if e.has_interval() {
            canvas.line(&[(x(e.lo), y), (x(e.hi), y)], colour, THIN);
        }
        page::tick(canvas, (x(e.value), y), colour);
    }
}

/// All steps of all lines, in order.
fn measured(data: &TrajectoryData) -> Vec<usize> {
    let lines = data.panels.iter().flat_map(|p| &p.lines);
    let steps: BTreeSet<usize> = lines.flat_map(|l| l.steps.iter().copied()).collect();
    steps.into_iter().collect()
}

/// Ticks at the measured steps where their labels have room, else at 0 and at
/// 1, 2 and 5 times the powers of ten, or at these powers alone; `scale` is in
/// points a unit of the axis.
fn step_ticks(steps: &[usize], scale: f64) -> Vec<Tick> {
    const APART: f64 = 4.0;
    let last = steps.last().copied().unwrap_or(0);
    let tidy = |leads: &[usize]| -> Vec<usize> {
        let powers = (0..19).map(|power| 10usize.pow(power));
        let all = powers.flat_map(|p| leads.iter().map(move |lead| lead.saturating_mul(p)));
        std::iter::once(0).chain(all.take_while(|s| *s <= last)).collect()
    };
    let half = |step: usize| theme::text_width(&step.to_string(), SMALL, false) / 2.0;
    let fits = |list: &[usize]| {
        list.windows(2).all(|w| {
            let room = (spaced(w[1] as f64) - spaced(w[0] as f64)) * scale;
            room >= half(w[0]) + half(w[1]) + APART
        })
    };
    let lists = [steps.to_vec(), tidy(&[1, 2, 5]), tidy(&[1, 3]), tidy(&[1])];
    let shown = lists.into_iter().find(|list| fits(list)).unwrap_or_else(|| vec![0, last]);
    shown.into_iter().map(|s| (spaced(s as f64), s.to_string())).collect()
}

fn legend(labels: &[&str], palette: &Palette, halved: bool) -> Vec<Entry> {
    let colours = palette.colours(labels.iter().copied());
    let mut entries: Vec<Entry> = labels
        .iter()
        .map(|l| (Key::Series(colours[l], palette.mark(l)), (*l).to_owned()))
        .collect();
    if halved {
        let text = "half way to the last value, with its interval";
        entries.push((Key::Tick(MUTED), text.to_owned()));
    }
    entries
}

fn check(data: &TrajectoryData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no panels are given", data.panels.len())?;
    check.distinct(|title| format!("panel `{title}`"), data.panels.iter().map(|p| &p.title))?;
    for panel in &data.panels {
        let title = &panel.title;
        check.not_empty(&format!("panel `{title}` has no lines"), panel.lines.len())?;
        check.distinct(
            |label| format!("line `{label}` of panel `{title}`"),
            panel.lines.iter().map(|l| &l.label),
        )?;
        for line in &panel.lines {
            let what = format!("line `{}` of panel `{title}`", line.label);
            check.not_empty(&format!("{what} has no steps"), line.steps.len())?;
            check.increasing(&what, &line.steps)?;
            check.within(&format!("the first step of {what}"), line.steps[0] as f64, (0.0, 0.0))?;
            check.series(&format!("the value of {what}"), line.steps.len(), &line.value)?;
            if let Some(e) = line.half_way {
                let what = format!("the half-way step of {what}");
                let last = line.steps[line.steps.len() - 1] as f64;
                check.estimates(&what, &[e])?;
                for step in e.numbers() {
                    check.within(&what, step, (0.0, last))?;
                }
            }
        }
    }
    let lines = data.panels.iter().flat_map(|p| &p.lines);
    let values = lines.flat_map(|l| &l.value).map(|e| &e.value);
    check.any_value("every value is missing", values)
}

/// In a row of kind `half way`, value and interval are steps.
fn table(data: &TrajectoryData) -> Table {
    let mut table = Table::new("panel line kind step value lo hi");
    for panel in &data.panels {
        for line in &panel.lines {
            for (step, e) in line.steps.iter().zip(&line.value) {
                table.row(&[&panel.title, &line.label, &"value", step], &e.numbers());
            }
            if let Some(e) = &line.half_way {
                table.row(&[&panel.title, &line.label, &"half way", &""], &e.numbers());
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(steps: &[usize], scale: f64) -> Vec<String> {
        theme::register().unwrap();
        let list = step_ticks(steps, scale);
        list.into_iter().map(|t| t.1).collect()
    }

    #[test]
    fn ticks_stand_at_the_measured_steps_while_these_have_room() {
        let steps = [0, 1, 2, 4, 8, 16, 32, 64, 128, 200];
        assert_eq!(texts(&steps, 40.0), steps.map(|s| s.to_string()));
        assert_eq!(texts(&steps, 24.0), ["0", "1", "2", "5", "10", "20", "50", "100", "200"]);
        assert_eq!(texts(&steps, 15.0), ["0", "1", "3", "10", "30", "100"]);
        assert_eq!(texts(&steps, 1.0), ["0", "200"]);
        assert_eq!(texts(&[0], 40.0), ["0"]);
    }

    #[test]
    fn the_axis_starts_at_step_0_and_grows_with_the_logarithm() {
        assert_eq!(spaced(0.0), 0.0);
        let ratio = (spaced(99.0) - spaced(9.0)) / (spaced(9.0) - spaced(0.0));
        assert!((ratio - 1.0).abs() < 1e-12);
    }
}
