//! Coupling: the cosine of two concepts' directions by layer.
//!
//! Small multiples, one a condition, all on the same scales. Above, the condition's line (mean over seeds)
//! with its interval as a ribbon and each seed as a thin line, over base and the null bands in grey; below,
//! the difference to base with its interval. Chosen layers are dashed.
//! With three layers or fewer, lines would claim values between layers that nobody measured, so conditions
//! are rows instead, cosine left and difference right.
//! The caller says in `y_label` which form of the cosine is drawn (raw, cleaned,
//! relative to its ceiling, whitened) and in `caption` what the ribbons are.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Area, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::rows::Rows;
use super::theme::{self, Colours, Palette, DOT, HAIR, LINE, MUTED, NORMAL, NULLS, RULE};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

/// Cosines by layer for each condition. Every list has one entry per layer.
#[derive(Debug, Clone)]
pub struct CouplingData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Label of the axis of cosines, such as `cos(persona, autonomy)`.
    pub y_label: String,
    /// Label of the axis of differences, such as `difference to base`.
    pub difference_label: String,
    /// Layers, increasing (block outputs, 0-based).
    pub layers: Vec<usize>,
    /// Layers to mark.
    pub chosen: Vec<usize>,
    /// One each, base first.
    pub conditions: Vec<CouplingLine>,
    /// Null distributions, lighter to darker in the order given.
    pub nulls: Vec<NullBand>,
}

/// One condition's line.
#[derive(Debug, Clone)]
pub struct CouplingLine {
    /// Name of the condition.
    pub condition: String,
    /// Mean over seeds, with interval.
    pub mean: Vec<Estimate>,
    /// One list a seed; may be empty.
    pub seeds: Vec<Vec<f64>>,
    /// Difference to base; empty for base itself.
    pub difference: Vec<Estimate>,
}

/// The middle part of a null distribution by layer.
#[derive(Debug, Clone)]
pub struct NullBand {
    /// As in the legend, such as `label-flip null, 95 %`.
    pub label: String,
    /// Lower ends.
    pub lo: Vec<f64>,
    /// Upper ends.
    pub hi: Vec<f64>,
}

/// Height of a panel of cosines as a share of its width, and the least and largest; that of differences is
/// a share of it.
const HIGH: (f64, f64, f64) = (0.62, 66.0, 130.0);
const LOWER: f64 = 0.66;
const HEAD: f64 = 13.0;
const INSIDE: f64 = 6.0;
const BETWEEN: f64 = 9.0;
const GAP_X: f64 = 8.0;
/// Above this many layers, points are not marked.
const MARKED: usize = 12;
/// Up to this many layers, conditions are rows.
const FEW: usize = 3;
const GROUP: f64 = 12.5;
const ROW: f64 = 10.5;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &CouplingData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let colours = palette.colours(data.conditions.iter().map(|c| c.condition.as_str()));
    match data.layers.len() <= FEW {
        true => rows(data, &colours, out),
        false => multiples(data, &colours, out),
    }
}

/// The line that all others are compared with, and those that have panels of their own.
fn shown(data: &CouplingData) -> (Option<&CouplingLine>, &[CouplingLine]) {
    let (first, others) = (&data.conditions[0], &data.conditions[1..]);
    match first.difference.is_empty() && others.iter().any(|c| !c.difference.is_empty()) {
        true => (Some(first), others),
        false => (None, &data.conditions),
    }
}

fn with_difference(data: &CouplingData) -> bool {
    data.conditions.iter().flat_map(|c| &c.difference).any(|e| !e.is_missing())
}

/// One pair of panels a condition.
fn multiples(data: &CouplingData, colours: &Colours, out: &Output) -> Result<Written> {
    let (base, lines) = shown(data);
    let width = out.points();
    let cosines = axes::padded(axes::range_of(upper_numbers(data)), 0.05);
    let all = data.conditions.iter().flat_map(|c| &c.difference);
    let differences = axes::padded(axes::range_with_zero(all), 0.08);
    let (y_ticks, d_ticks) = (axes::ticks(cosines, 5), axes::ticks(differences, 4));
    let margin = axes::y_axis_width(&y_ticks, true).max(axes::y_axis_width(&d_ticks, true));
    let room = width - 2.0 * page::MARGIN - margin - 4.0;
    let abreast = page::multiples(lines.len(), out);
    let columns = page::columns(page::MARGIN + margin, room, abreast, GAP_X);
    let upper = ((columns[0].1 - columns[0].0) * HIGH.0).clamp(HIGH.1, HIGH.2);
    let lower = if with_difference(data) { INSIDE + upper * LOWER } else { 0.0 };
    let grid = Grid::new(lines.len(), columns, [HEAD, upper + lower, BETWEEN + axes::TICKS]);
    let body = grid.height() + axes::X_AXIS;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data, colours), (width, body));
    let layers = layer_range(&data.layers);
    let x_ticks = axes::layer_ticks(&data.layers, grid.wide());
    let y_label = axes::fitting(&[&data.y_label, "cosine"], upper);
    let d_label = axes::fitting(&[&data.difference_label, "difference", "\u{394}"], lower - INSIDE);

    page.draw(out, &table(data), |canvas| {
        for (i, line) in lines.iter().enumerate() {
            let whole = grid.area(i, &page.body);
            let leftmost = grid.at_edge(i).1;
            let area = Area { bottom: whole.top + upper, ..whole };
            let frame = Frame::new(
                area,
                (layers, &x_ticks, "", lower == 0.0),
                (cosines, &y_ticks, y_label, leftmost),
            );
            frame.draw(canvas);
            frame.heading(canvas, &line.condition);
            nulls(canvas, &frame, data);
            frame.level(canvas, 0.0);
            frame.chosen(canvas, &data.chosen);
            for line in base.into_iter().chain([line]) {
                let colour = colours[line.condition.as_str()];
                let x = across(&frame, data);
                frame.ribbon(canvas, &x, &line.mean, colour.mix(0.16), 5.0);
                for seed in &line.seeds {
                    let points: Vec<_> = x.iter().copied().zip(frame.up(seed.clone())).collect();
                    canvas.line(&points, colour.mix(0.5), 0.4);
                }
                series(canvas, &frame, &x, &line.mean, colour);
            }
            if lower > 0.0 {
                let area = Area { top: area.bottom + INSIDE, ..whole };
                let frame = Frame::new(
                    area,
                    (layers, &x_ticks, "", true),
                    (differences, &d_ticks, d_label, leftmost),
                );
                frame.draw(canvas);
                frame.level(canvas, 0.0);
                frame.chosen(canvas, &data.chosen);
                let colour = colours[line.condition.as_str()];
                let x = across(&frame, data);
                frame.ribbon(canvas, &x, &line.difference, colour.mix(0.2), 5.0);
                series(canvas, &frame, &x, &line.difference, colour);
            }
        }
        let label = "layer (output of block, 0-based)";
        grid.x_label(canvas, &page.body, label);
    })
}

/// x of each layer.
fn across(frame: &Frame, data: &CouplingData) -> Vec<f64> {
    data.layers.iter().map(|&l| frame.x.at(l as f64)).collect()
}

fn series(canvas: &mut Canvas, frame: &Frame, x: &[f64], list: &[Estimate], colour: RGBColor) {
    let points = frame.points(x, list);
    canvas.line(&points, colour, LINE);
    for p in points.into_iter().filter(|_| x.len() <= MARKED) {
        canvas.mark(p, DOT * 0.85, colour, Mark::Dot);
    }
}

/// Few layers: a block of rows a layer and a row a condition, cosine left and difference right.
fn rows(data: &CouplingData, colours: &Colours, out: &Output) -> Result<Written> {
    let layers: Vec<String> = data.layers.iter().map(|l| format!("layer {l}")).collect();
    let names = || data.conditions.iter().map(|c| c.condition.as_str());
    let pairs: Vec<_> = layers.iter().flat_map(|l| names().map(move |n| (l.as_str(), n))).collect();
    let rows = Rows::new(&pairs, GROUP, ROW);
    let (width, height) = (out.points(), rows.height + 3.0);
    let heads = layers.iter().map(|l| theme::text_width(l, NORMAL, true)).fold(0.0, f64::max);
    let label = page::label_width(names(), out.name()).max(heads) + 8.0;
    let count = if with_difference(data) { 2 } else { 1 };
    let left = page::MARGIN + label;
    let columns = page::columns(left, width - left - page::MARGIN - 4.0, count, 3.0 * GAP_X);
    let wide = columns[0].1 - columns[0].0;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data, colours), (width, height + axes::X_AXIS));
    let cosines = axes::padded(axes::range_of(upper_numbers(data).chain([0.0])), 0.05);
    let all = data.conditions.iter().flat_map(|c| &c.difference);
    let differences = axes::padded(axes::range_with_zero(all), 0.08);
    let most = (wide / 26.0) as usize;
    let ticks = [axes::ticks(cosines, most), axes::ticks(differences, most)];
    let labels = [
        axes::fitting(&[&data.y_label, "cosine"], wide),
        axes::fitting(&[&data.difference_label, "difference"], wide),
    ];
    let top = page.body.top;

    page.draw(out, &table(data), |canvas| {
        rows.names(canvas, (page.body.left, left - 4.0), top);
        for (j, &column) in columns.iter().enumerate() {
            let range = [cosines, differences][j];
            let area = Area::new(column, (top, top + height));
            let frame = Frame::of_rows(area, (range, &ticks[j], labels[j], true));
            frame.draw(canvas);
            for (k, (y, _)) in rows.groups.iter().enumerate().filter(|_| j == 0) {
                let from = top + y + GROUP;
                let to = from + ROW * data.conditions.len() as f64;
                for (i, null) in widest_first(data) {
                    let ends = (frame.x.at(null.lo[k]), frame.x.at(null.hi[k]));
                    if !(ends.0 + ends.1).is_nan() {
                        canvas.rect((ends.0, from), (ends.1, to), null_shade(i));
                    }
                }
            }
            for (y, _) in &rows.groups {
                let from = if j == 0 { page.body.left } else { area.left };
                canvas.line(&[(from, top + y), (area.right, top + y)], RULE, HAIR);
            }
            frame.zero_x(canvas);
            for (at, (y, ..)) in rows.rows.iter().enumerate() {
                let (k, line) = (at / data.conditions.len(), at % data.conditions.len());
                let line = &data.conditions[line];
                let (y, colour) = (top + y, colours[line.condition.as_str()]);
                let list = [&line.mean, &line.difference][j];
                for seed in line.seeds.iter().filter(|_| j == 0) {
                    canvas.mark((frame.x.at(seed[k]), y + 3.2), 0.9, colour, Mark::Dot);
                }
                if let Some(e) = list.get(k) {
                    frame.on_row(canvas, e, y, colour, (Mark::Dot, DOT, LINE * 0.8));
                }
            }
        }
    })
}

/// The null bands with their places, the widest first, so that a narrower one stays in sight.
fn widest_first(data: &CouplingData) -> Vec<(usize, &NullBand)> {
    let width = |null: &NullBand| -> f64 {
        let pairs = null.lo.iter().zip(&null.hi).map(|(lo, hi)| hi - lo);
        pairs.filter(|w| !w.is_nan()).sum()
    };
    let mut order: Vec<_> = data.nulls.iter().enumerate().collect();
    order.sort_by(|a, b| width(b.1).total_cmp(&width(a.1)));
    order
}

fn nulls(canvas: &mut Canvas, frame: &Frame, data: &CouplingData) {
    let x = across(frame, data);
    for (i, null) in widest_first(data) {
        let (lo, hi) = (frame.up(null.lo.iter().copied()), frame.up(null.hi.iter().copied()));
        canvas.band(&x, &lo, &hi, null_shade(i), 5.0);
    }
}

fn null_shade(index: usize) -> RGBColor {
    NULLS[index.min(NULLS.len() - 1)]
}

fn layer_range(layers: &[usize]) -> (f64, f64) {
    let (first, last) = (layers[0] as f64, layers[layers.len() - 1] as f64);
    axes::padded((first, last), 0.015)
}

/// What is the same in all panels; conditions are named where they are drawn.
fn legend(data: &CouplingData, colours: &Colours) -> Vec<Entry> {
    let few = data.layers.len() <= FEW;
    let mut entries = Vec::new();
    if let (Some(base), false) = (shown(data).0, few) {
        entries.push((Key::Line(colours[base.condition.as_str()]), base.condition.clone()));
    }
    if data.conditions.iter().any(|c| !c.seeds.is_empty()) {
        let key = if few { Key::SmallDot(MUTED) } else { Key::ThinLine(MUTED) };
        entries.push((key, "one seed".into()));
    }
    let nulls = data.nulls.iter().enumerate();
    entries.extend(nulls.map(|(i, null)| (Key::Band(null_shade(i), 1.0), null.label.clone())));
    entries.extend(page::layers_chosen(&data.chosen).filter(|_| !few));
    entries
}

fn upper_numbers(data: &CouplingData) -> impl Iterator<Item = f64> + '_ {
    let lines = data.conditions.iter().flat_map(|line| {
        let means = line.mean.iter().flat_map(Estimate::numbers);
        means.chain(line.seeds.iter().flatten().copied())
    });
    lines.chain(data.nulls.iter().flat_map(|n| n.lo.iter().chain(&n.hi).copied()))
}

fn check(data: &CouplingData) -> Result<()> {
    let check = Check::new(&data.name)?;
    let layers = data.layers.len();
    check.not_empty("no layers are given", layers)?;
    check.increasing("the layers", &data.layers)?;
    check.not_empty("no conditions are given", data.conditions.len())?;
    check.distinct(|c| format!("condition `{c}`"), data.conditions.iter().map(|c| &c.condition))?;
    for line in &data.conditions {
        let what = |part: &str| format!("{part} of condition `{}`", line.condition);
        check.series(&what("the mean"), layers, &line.mean)?;
        for seed in &line.seeds {
            check.numbers(&what("a seed"), layers, seed)?;
        }
        if !line.difference.is_empty() {
            check.series(&what("the difference"), layers, &line.difference)?;
        }
    }
    for null in &data.nulls {
        for edge in [&null.lo, &null.hi] {
            check.numbers(&format!("null band `{}`", null.label), layers, edge)?;
        }
    }
    let means = data.conditions.iter().flat_map(|c| &c.mean);
    check.any_value("every mean is missing", means.map(|e| &e.value))
}

fn table(data: &CouplingData) -> Table {
    let mut table = Table::new("panel series kind seed layer value lo hi");
    for line in &data.conditions {
        let name = &line.condition;
        for (layer, e) in data.layers.iter().zip(&line.mean) {
            table.row(&[&"cosine", name, &"mean", &"", layer], &e.numbers());
        }
        for (i, seed) in line.seeds.iter().enumerate() {
            for (layer, v) in data.layers.iter().zip(seed) {
                table.row(&[&"cosine", name, &"seed", &i, layer], &Estimate::point(*v).numbers());
            }
        }
        for (layer, e) in data.layers.iter().zip(&line.difference) {
            table.row(&[&"difference", name, &"mean", &"", layer], &e.numbers());
        }
    }
    for null in &data.nulls {
        for (layer, (lo, hi)) in data.layers.iter().zip(null.lo.iter().zip(&null.hi)) {
            let numbers = [f64::NAN, *lo, *hi];
            table.row(&[&"cosine", &null.label, &"null", &"", layer], &numbers);
        }
    }
    table
}
