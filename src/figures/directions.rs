//! Directions: how well each concept's direction can be trusted, by layer.
//!
//! Small multiples, one panel a concept: held-out AUROC and split-half
//! reliability by layer with their intervals, the chance level of AUROC at 0.5,
//! and the chosen layers dashed. All panels share one scale, so that a weak
//! concept is seen at a glance.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::theme::{DOT, LINE, PAIR, RULE};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

/// Quality of directions by layer.
#[derive(Debug, Clone)]
pub struct DirectionsData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Layers, increasing (block outputs, 0-based).
    pub layers: Vec<usize>,
    /// Layers to mark.
    pub chosen: Vec<usize>,
    /// A panel each.
    pub concepts: Vec<ConceptQuality>,
}

/// One concept; each list has one entry per layer.
#[derive(Debug, Clone)]
pub struct ConceptQuality {
    /// Name of the concept.
    pub concept: String,
    /// Held out by prompt and template.
    pub auroc: Vec<Estimate>,
    /// Split-half, Spearman-Brown corrected.
    pub reliability: Vec<Estimate>,
}

const AUROC: RGBColor = PAIR[0];
const RELIABILITY: RGBColor = PAIR[1];
const HEAD: f64 = 14.0;
const PANEL: f64 = 74.0;
const GAP_X: f64 = 10.0;
const BETWEEN: f64 = 10.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &DirectionsData, out: &Output) -> Result<Written> {
    check(data)?;
    let count = data.concepts.len();
    let all = data.concepts.iter().flat_map(|c| c.auroc.iter().chain(&c.reliability));
    let range = (axes::range_of_all(all).0.min(0.5) - 0.03, 1.03);
    let y_ticks = axes::ticks(range, 6);
    let left = page::MARGIN + axes::y_axis_width(&y_ticks, true);
    let room = out.points() - page::MARGIN - left - 8.0;
    let columns = page::columns(left, room, page::multiples(count, out), GAP_X);
    let grid = Grid::new(count, columns, [HEAD, PANEL, BETWEEN]);
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data), (out.points(), grid.height() + axes::X_AXIS));
    let (first, last) = (data.layers[0] as f64, data.layers[data.layers.len() - 1] as f64);
    let share = if data.layers.len() <= 3 { 0.25 } else { 0.03 };
    let layers = axes::padded((first, last), share);
    let x_ticks = axes::layer_ticks(&data.layers, grid.wide());

    page.draw(out, &table(data), |canvas| {
        for (i, concept) in data.concepts.iter().enumerate() {
            let (lowest, leftmost) = grid.at_edge(i);
            let frame = Frame::new(
                grid.area(i, &page.body),
                (layers, &x_ticks, "layer", lowest),
                (range, &y_ticks, "AUROC, reliability", leftmost),
            );
            frame.draw(canvas);
            frame.heading(canvas, &concept.concept);
            frame.level(canvas, 0.5);
            frame.chosen(canvas, &data.chosen);
            let x: Vec<f64> = data.layers.iter().map(|&l| frame.x.at(l as f64)).collect();
            let reliability = (RELIABILITY, Mark::OpenDiamond);
            series(canvas, &frame, &x, &concept.reliability, reliability);
            series(canvas, &frame, &x, &concept.auroc, (AUROC, Mark::Dot));
        }
    })
}

fn series(
    canvas: &mut Canvas,
    frame: &Frame,
    x: &[f64],
    list: &[Estimate],
    (colour, mark): (RGBColor, Mark),
) {
    frame.ribbon(canvas, x, list, colour.mix(0.2), 3.0);
    let points = frame.points(x, list);
    canvas.line(&points, colour, LINE);
    for p in points.into_iter().filter(|_| x.len() <= 12) {
        canvas.mark(p, DOT, colour, mark);
    }
}

fn legend(data: &DirectionsData) -> Vec<Entry> {
    let mut entries = vec![
        (Key::Line(AUROC), "held-out AUROC".into()),
        (Key::Line(RELIABILITY), "split-half reliability".into()),
        (Key::ThinLine(RULE), "chance AUROC, 0.5".into()),
    ];
    entries.extend(page::layers_chosen(&data.chosen));
    entries
}

fn check(data: &DirectionsData) -> Result<()> {
    let check = Check::new(&data.name)?;
    let layers = data.layers.len();
    check.not_empty("no layers are given", layers)?;
    check.increasing("the layers", &data.layers)?;
    check.not_empty("no concepts are given", data.concepts.len())?;
    check.distinct(|c| format!("concept `{c}`"), data.concepts.iter().map(|c| &c.concept))?;
    for c in &data.concepts {
        for (part, list) in [("AUROC", &c.auroc), ("reliability", &c.reliability)] {
            let what = format!("the {part} of `{}`", c.concept);
            check.series(&what, layers, list)?;
        }
    }
    let all = data.concepts.iter().flat_map(|c| c.auroc.iter().chain(&c.reliability));
    check.any_value("every value is missing", all.map(|e| &e.value))
}

fn table(data: &DirectionsData) -> Table {
    let mut table = Table::new("concept measure layer value lo hi");
    for c in &data.concepts {
        for (measure, list) in [("auroc", &c.auroc), ("reliability", &c.reliability)] {
            for (layer, e) in data.layers.iter().zip(list) {
                table.row(&[&c.concept, &measure, layer], &e.numbers());
            }
        }
    }
    table
}
