//! Directions: how well each concept's direction can be trusted, by layer.
//!
//! Small multiples, one panel a concept: held-out AUROC and split-half
//! reliability by layer with their intervals, the chance level of AUROC at 0.5,
//! and the chosen layers dashed. All panels share one scale, so that a weak
//! concept is seen at a glance.

use std::path::Path;

use plotters::style::{Color, RGBColor};

use super::axes::{self, Area, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Key, Page, Table};
use super::theme::{DOT, LINE, MUTED, RULE, THIN, WIDE};
use super::values::Check;
use super::{Estimate, FigureError, Written};

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

const AUROC: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const RELIABILITY: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const HEAD: f64 = 14.0;
const PANEL: f64 = 74.0;
const GAP_X: f64 = 10.0;
const BETWEEN: f64 = 10.0;
const ACROSS: usize = 4;

/// Draws the figure into `dir`.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &DirectionsData, dir: &Path) -> Result<Written, FigureError> {
    check(data)?;
    page::register(&data.name)?;
    let words = (data.title.as_str(), data.caption.as_str());
    let across = data.concepts.len().min(ACROSS);
    let down = data.concepts.len().div_ceil(across);
    let body = down as f64 * (HEAD + PANEL + BETWEEN) - BETWEEN + axes::X_AXIS;
    let page = Page::plan(&data.name, words, legend(data), (WIDE, body))?;
    let whole = page.body();
    let all = data.concepts.iter().flat_map(|c| c.auroc.iter().chain(&c.reliability));
    let numbers = all.flat_map(|e| [&e.value, &e.lo, &e.hi]);
    let (lo, _) = axes::range_of(numbers.chain([&0.5, &1.0]));
    let range = (lo - 0.03, 1.03);
    let y_ticks = axes::ticks(range, 6);
    let margin = axes::y_axis_width(&y_ticks, true);
    let columns = page::columns(whole.left + margin, whole.width() - margin - 8.0, across, GAP_X);
    let (first, last) = (data.layers[0] as f64, data.layers[data.layers.len() - 1] as f64);
    let share = if data.layers.len() <= 3 { 0.25 } else { 0.03 };
    let layers = axes::padded((first, last), share);
    let x_ticks = axes::layer_ticks(&data.layers, columns[0].1 - columns[0].0);

    let svg = page.paint(&data.name, |canvas| {
        for (i, concept) in data.concepts.iter().enumerate() {
            let (row, column) = (i / across, i % across);
            let top = whole.top + HEAD + row as f64 * (HEAD + PANEL + BETWEEN);
            let (left, right) = columns[column];
            let area = Area::new((left, right), (top, top + PANEL));
            let lowest = i + across >= data.concepts.len();
            let frame = Frame::new(
                area,
                (layers, &x_ticks, "layer", lowest),
                (range, &y_ticks, "AUROC, reliability", column == 0),
            );
            frame.draw(canvas);
            frame.heading(canvas, &concept.concept);
            frame.level(canvas, 0.5);
            for &layer in &data.chosen {
                let at = frame.x.at(layer as f64);
                canvas.dashed((at, area.top), (at, area.bottom), MUTED.to_rgba(), THIN, 2.0);
            }
            series(
                canvas,
                &frame,
                &data.layers,
                &concept.reliability,
                (RELIABILITY, Mark::OpenDiamond),
            );
            series(canvas, &frame, &data.layers, &concept.auroc, (AUROC, Mark::Dot));
        }
    })?;
    page::write(dir, &data.name, words, &svg, &table(data))
}

fn series(
    canvas: &mut Canvas,
    frame: &Frame,
    layers: &[usize],
    list: &[Estimate],
    (colour, mark): (RGBColor, Mark),
) {
    let x: Vec<f64> = layers.iter().map(|&l| frame.x.at(l as f64)).collect();
    let lo: Vec<f64> = list.iter().map(|e| frame.y.at(e.lo)).collect();
    let hi: Vec<f64> = list.iter().map(|e| frame.y.at(e.hi)).collect();
    canvas.band(&x, &lo, &hi, colour.mix(0.2), 3.0);
    let points: Vec<(f64, f64)> =
        x.iter().zip(list).map(|(x, e)| (*x, frame.y.at(e.value))).collect();
    canvas.line(&points, colour.to_rgba(), LINE);
    if layers.len() <= 12 {
        for p in points {
            canvas.mark(p, DOT, colour, mark);
        }
    }
}

fn legend(data: &DirectionsData) -> Vec<Entry> {
    let mut entries = vec![
        (Key::Line(AUROC), "held-out AUROC".to_owned()),
        (Key::Line(RELIABILITY), "split-half reliability".to_owned()),
        (Key::ThinLine(RULE), "chance AUROC, 0.5".to_owned()),
    ];
    if !data.chosen.is_empty() {
        entries.push((Key::DashedLine(MUTED), page::layers_chosen(&data.chosen)));
    }
    entries
}

fn check(data: &DirectionsData) -> Result<(), FigureError> {
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
