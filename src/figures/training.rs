//! Training: loss by step, to see that every run learned and none broke.
//!
//! Small multiples, one panel a condition, all on the same scales. A run (seed)
//! is a thin line of its raw loss and a heavier one smoothed by a centred
//! moving mean over about a twentieth of its steps; runs of one panel differ in
//! depth of colour. The CSV holds both lines.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Frame};
use super::canvas::Canvas;
use super::page::{self, Grid, Key, Page, Table};
use super::theme::{self, Palette, LINE, MUTED};
use super::values::Check;
use super::{Output, Result, Written};
use crate::store::values::distinct;

/// Losses of all runs.
#[derive(Debug, Clone)]
pub struct TrainingData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Label of the loss axis, with unit, such as `loss (nats per token)`.
    pub y_label: String,
    /// The fine-tunes.
    pub runs: Vec<TrainingRun>,
}

/// One fine-tune.
#[derive(Debug, Clone)]
pub struct TrainingRun {
    /// Name of the condition.
    pub condition: String,
    /// Number of the fine-tune within its condition.
    pub seed: u64,
    /// Optimiser steps, increasing.
    pub step: Vec<u64>,
    /// Mean loss of each step's batch; NaN where none was logged.
    pub loss: Vec<f64>,
}

const HEAD: f64 = 14.0;
const PANEL: f64 = 92.0;
const GAP_X: f64 = 10.0;
const BETWEEN: f64 = 14.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &TrainingData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let conditions = distinct(data.runs.iter().map(|r| r.condition.as_str()));
    let count = conditions.len();
    let across = page::multiples(count, out);
    let losses = axes::range_of(data.runs.iter().flat_map(|r| r.loss.iter().copied()));
    let range = axes::padded(losses, 0.05);
    let y_ticks = axes::ticks(range, 6);
    let steps = data.runs.iter().flat_map(|r| r.step.iter().map(|&s| s as f64));
    let across_range = axes::padded(axes::range_of(steps), 0.02);
    let left = page::MARGIN + axes::y_axis_width(&y_ticks, true);
    let columns = page::columns(left, out.points() - page::MARGIN - left - 8.0, across, GAP_X);
    let grid = Grid::new(count, columns, [HEAD, PANEL, BETWEEN]);
    let legend = vec![
        (Key::Line(MUTED), "smoothed (one line a seed)".into()),
        (Key::ThinLine(theme::RULE), "each step".into()),
    ];
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend, (out.points(), grid.height() + axes::X_AXIS));
    let x_ticks = axes::ticks(across_range, (grid.wide() / 26.0) as usize);
    let colours = palette.colours(conditions.iter().copied());

    page.draw(out, &table(data), |canvas| {
        for (i, &condition) in conditions.iter().enumerate() {
            let (lowest, leftmost) = grid.at_edge(i);
            let frame = Frame::new(
                grid.area(i, &page.body),
                (across_range, &x_ticks, "optimiser step", lowest),
                (range, &y_ticks, &data.y_label, leftmost),
            );
            frame.draw(canvas);
            frame.heading(canvas, condition);
            let own: Vec<&TrainingRun> =
                data.runs.iter().filter(|r| r.condition == condition).collect();
            runs(canvas, &frame, &own, colours[condition]);
        }
    })
}

fn runs(canvas: &mut Canvas, frame: &Frame, own: &[&TrainingRun], colour: RGBColor) {
    let line = |run: &TrainingRun, values: &[f64]| -> Vec<(f64, f64)> {
        let steps = run.step.iter().map(|&s| frame.x.at(s as f64));
        steps.zip(values.iter().map(|&v| frame.y.at(v))).collect()
    };
    for run in own {
        canvas.line(&line(run, &run.loss), colour.mix(0.3), 0.35);
    }
    // The palest first, so that the others stay in sight.
    for (i, run) in own.iter().enumerate().rev() {
        let depth = i as f64 / own.len().max(2) as f64;
        let shade = shade(colour, depth);
        canvas.line(&line(run, &smoothed(&run.loss)), shade, LINE * 0.85);
    }
}

/// `colour` with a share of white, so that runs of one panel can be told apart.
fn shade(colour: RGBColor, share: f64) -> RGBColor {
    let lift = |c: u8| (f64::from(c) + (255.0 - f64::from(c)) * share * 0.7).round() as u8;
    RGBColor(lift(colour.0), lift(colour.1), lift(colour.2))
}

/// A centred moving mean over a twentieth of the steps (at least three), that
/// skips missing values and stays missing where the value itself is.
pub fn smoothed(loss: &[f64]) -> Vec<f64> {
    let half = (loss.len() / 40).max(1);
    (0..loss.len())
        .map(|i| {
            if loss[i].is_nan() {
                return f64::NAN;
            }
            let near = &loss[i.saturating_sub(half)..(i + half + 1).min(loss.len())];
            let known: Vec<f64> = near.iter().copied().filter(|v| !v.is_nan()).collect();
            known.iter().sum::<f64>() / known.len() as f64
        })
        .collect()
}

fn check(data: &TrainingData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no runs are given", data.runs.len())?;
    for run in &data.runs {
        let what = format!("run {} seed {}", run.condition, run.seed);
        check.not_empty(&format!("{what} has no steps"), run.step.len())?;
        check.increasing(&what, &run.step)?;
        check.numbers(&format!("the loss of {what}"), run.step.len(), &run.loss)?;
    }
    check.distinct(
        |(condition, seed)| format!("run {condition} seed {seed}"),
        data.runs.iter().map(|r| (&r.condition, r.seed)),
    )?;
    let losses = data.runs.iter().flat_map(|r| &r.loss);
    check.any_value("every loss is missing", losses)
}

fn table(data: &TrainingData) -> Table {
    let mut table = Table::new("condition seed step loss smoothed");
    for run in &data.runs {
        let smooth = smoothed(&run.loss);
        for ((step, loss), smooth) in run.step.iter().zip(&run.loss).zip(smooth) {
            table.row(&[&run.condition, &run.seed, step], &[*loss, smooth]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_a_constant_and_its_gaps() {
        let mut loss = vec![2.0; 60];
        loss[30] = f64::NAN;
        let smooth = smoothed(&loss);
        assert!(smooth[30].is_nan());
        assert!(smooth.iter().enumerate().all(|(i, v)| i == 30 || (v - 2.0).abs() < 1e-12));
    }
}
