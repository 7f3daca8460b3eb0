//! Coupling: the cosine of two concepts' directions by layer.
//!
//! Upper panel: one line a condition (mean over seeds) with its interval as a
//! ribbon and each seed as a thin line, over the null bands in grey. Lower
//! panel: the difference to base with its interval. Chosen layers are dashed.
//! With three layers or fewer, lines would claim values between layers that nobody measured, so the
//! conditions stand side by side at each layer, each in a lane of its own.
//! The caller says in `y_label` which form of the cosine is drawn (raw, cleaned,
//! relative to its ceiling, whitened) and in `caption` what the ribbons are.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Area, Frame};
use super::canvas::{Canvas, Mark};
use super::page::{self, Entry, Key, Page, Table};
use super::theme::{Colours, Palette, DOT, LINE, MUTED, NULLS};
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
    /// Label of the upper panel's axis, such as `cos(persona, autonomy)`.
    pub y_label: String,
    /// Label of the lower panel's axis, such as `difference to base`.
    pub difference_label: String,
    /// Layers, increasing (block outputs, 0-based).
    pub layers: Vec<usize>,
    /// Layers to mark.
    pub chosen: Vec<usize>,
    /// A line each.
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

const UPPER: f64 = 168.0;
const LOWER: f64 = 112.0;
const HEAD: f64 = 14.0;
const BETWEEN: f64 = 12.0;
/// Above this many layers, points are not marked.
const MARKED: usize = 12;

/// Lanes of one panel.
struct Lanes {
    /// x of each layer.
    x: Vec<f64>,
    /// Distance between neighbouring conditions at one layer; 0 for lines.
    step: f64,
    conditions: usize,
}

/// True when the conditions stand side by side.
fn side_by_side(layers: &[usize]) -> bool {
    layers.len() <= 3
}

impl Lanes {
    fn new(frame: &Frame, layers: &[usize], conditions: usize) -> Self {
        const WIDEST: f64 = 15.0;
        let step = if side_by_side(layers) {
            let room = frame.area.width() / (layers.len() as f64 + 1.0) * 0.75;
            (room / conditions as f64).min(WIDEST)
        } else {
            0.0
        };
        Lanes { x: layers.iter().map(|&l| frame.x.at(l as f64)).collect(), step, conditions }
    }

    /// x of each layer for the condition at `index`, `off` points to its right.
    fn across(&self, index: usize, off: f64) -> Vec<f64> {
        let apart = (index as f64 - (self.conditions as f64 - 1.0) / 2.0) * self.step;
        self.x.iter().map(|x| x + apart + off).collect()
    }
}

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &CouplingData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let colours = palette.colours(data.conditions.iter().map(|c| c.condition.as_str()));
    let mut differences = data.conditions.iter().flat_map(|c| &c.difference);
    let with_difference = differences.any(|e| !e.is_missing());
    let lower = if with_difference { HEAD + BETWEEN + LOWER } else { 0.0 };
    let body = HEAD + UPPER + lower + axes::X_AXIS;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data, &colours), (out.points(), body));

    let cosines = axes::padded(axes::range_of(upper_numbers(data)), 0.05);
    let y_ticks = axes::ticks(cosines, 7);
    let all = data.conditions.iter().flat_map(|c| &c.difference);
    let differences = axes::padded(axes::range_with_zero(all), 0.08);
    let d_ticks = axes::ticks(differences, 5);
    let margin = axes::y_axis_width(&y_ticks, true).max(axes::y_axis_width(&d_ticks, true));
    let top = page.body.top + HEAD;
    let across = (page.body.left + margin, page.body.right - 6.0);
    let upper = Area::new(across, (top, top + UPPER));
    let top = upper.bottom + BETWEEN + HEAD;
    let lower = Area::new(across, (top, top + LOWER));
    let layers = layer_range(&data.layers);
    let x_ticks = axes::layer_ticks(&data.layers, upper.width());
    let x_label = "layer (output of block, 0-based)";

    page.draw(out, &table(data), |canvas| {
        let top = Frame::new(
            upper,
            (layers, &x_ticks, x_label, !with_difference),
            (cosines, &y_ticks, &data.y_label, true),
        );
        panel(canvas, &top, data, &colours, false);
        top.heading(canvas, "a  Cosine by layer");
        if with_difference {
            let bottom = Frame::new(
                lower,
                (layers, &x_ticks, x_label, true),
                (differences, &d_ticks, &data.difference_label, true),
            );
            panel(canvas, &bottom, data, &colours, true);
            bottom.heading(canvas, "b  Difference to base");
        }
    })
}

fn panel(canvas: &mut Canvas, frame: &Frame, data: &CouplingData, colours: &Colours, lower: bool) {
    let lanes = Lanes::new(frame, &data.layers, data.conditions.len());
    frame.draw(canvas);
    if !lower {
        nulls(canvas, frame, &lanes, data);
    }
    frame.level(canvas, 0.0);
    frame.chosen(canvas, &data.chosen);
    let lines: Vec<_> = (data.conditions.iter().enumerate())
        .map(|(i, line)| {
            let list = if lower { &line.difference } else { &line.mean };
            (i, line, list, colours[line.condition.as_str()])
        })
        .collect();
    for (i, _, list, colour) in &lines {
        let x = lanes.across(*i, 0.0);
        if lanes.step == 0.0 {
            frame.ribbon(canvas, &x, list, colour.mix(0.13), 5.0);
            continue;
        }
        for (x, e) in x.into_iter().zip(*list) {
            canvas.line(&[(x, frame.y.at(e.lo)), (x, frame.y.at(e.hi))], *colour, LINE);
        }
    }
    for (i, line, _, colour) in lines.iter().filter(|_| !lower) {
        seeds(canvas, frame, &lanes, *i, line, *colour);
    }
    for (i, _, list, colour) in lines {
        let points = frame.points(&lanes.across(i, 0.0), list);
        if lanes.step == 0.0 {
            canvas.line(&points, colour, LINE);
        }
        for p in points.into_iter().filter(|_| data.layers.len() <= MARKED) {
            canvas.mark(p, DOT, colour, Mark::Dot);
        }
    }
}

/// The null bands, the widest first, so that a narrower one stays in sight.
fn nulls(canvas: &mut Canvas, frame: &Frame, lanes: &Lanes, data: &CouplingData) {
    let width = |null: &NullBand| -> f64 {
        let pairs = null.lo.iter().zip(&null.hi).map(|(lo, hi)| hi - lo);
        pairs.filter(|w| !w.is_nan()).sum()
    };
    let mut order: Vec<_> = data.nulls.iter().enumerate().collect();
    order.sort_by(|a, b| width(b.1).total_cmp(&width(a.1)));
    let least = lanes.step * (lanes.conditions as f64 + 1.0);
    for (i, null) in order {
        let (lo, hi) = (frame.up(null.lo.iter().copied()), frame.up(null.hi.iter().copied()));
        if lanes.step == 0.0 {
            canvas.band(&lanes.x, &lo, &hi, null_shade(i), 5.0);
            continue;
        }
        for (k, x) in lanes.x.iter().enumerate() {
            canvas.band(&[*x], &lo[k..=k], &hi[k..=k], null_shade(i), least);
        }
    }
}

fn seeds(
    canvas: &mut Canvas,
    frame: &Frame,
    lanes: &Lanes,
    index: usize,
    line: &CouplingLine,
    colour: RGBColor,
) {
    for seed in &line.seeds {
        let at = |off: f64| lanes.across(index, off).into_iter();
        let up = frame.up(seed.iter().copied());
        if lanes.step == 0.0 {
            canvas.line(&at(0.0).zip(up).collect::<Vec<_>>(), colour.mix(0.45), 0.4);
            continue;
        }
        for p in at(3.5).zip(up) {
            canvas.mark(p, 0.9, colour, Mark::Dot);
        }
    }
}

fn null_shade(index: usize) -> RGBColor {
    NULLS[index.min(NULLS.len() - 1)]
}

fn layer_range(layers: &[usize]) -> (f64, f64) {
    let (first, last) = (layers[0] as f64, layers[layers.len() - 1] as f64);
    let few = side_by_side(layers);
    let room = if few { ((last - first) * 0.35).max(0.5) } else { (last - first) * 0.015 };
    (first - room, last + room)
}

fn legend(data: &CouplingData, colours: &Colours) -> Vec<Entry> {
    let beside = side_by_side(&data.layers);
    let key = |c: &CouplingLine| {
        let colour = colours[c.condition.as_str()];
        if beside {
            Key::Mark(colour, Mark::Dot)
        } else {
            Key::Line(colour)
        }
    };
    let mut entries: Vec<Entry> =
        data.conditions.iter().map(|c| (key(c), c.condition.clone())).collect();
    let nulls = data.nulls.iter().enumerate();
    entries.extend(nulls.map(|(i, null)| (Key::Band(null_shade(i), 1.0), null.label.clone())));
    if data.conditions.iter().any(|c| !c.seeds.is_empty()) {
        let key = if beside { Key::SmallDot(MUTED) } else { Key::ThinLine(MUTED) };
        entries.push((key, "one seed".into()));
    }
    entries.extend(page::layers_chosen(&data.chosen));
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
