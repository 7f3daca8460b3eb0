//! Plane: where conditions lie along two axes, each with the region of its mean.
//!
//! One panel a plane, such as a layer. Base is at the origin; a condition is a large dot with its name
//! and an ellipse, its fine-tunes are small dots that hairlines join to it. A grey cross of bands shows
//! where directions that mean nothing would put the condition furthest from base. A name that finds no
//! place in its panel stands in the legend.

use plotters::style::RGBColor;

use super::axes::{self, Frame, Tick};
use super::canvas::{Canvas, Mark, Point};
use super::labels::{self, Named, Place};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::theme::{
    self, Colours, Palette, DOT, GRID, HAIR, MUTED, NORMAL, PAPER, RULE, SMALL, THIN,
};
use super::values::Check;
use super::{Output, Result, Written};
use crate::store::values::distinct;

/// Conditions in one or more planes.
#[derive(Debug, Clone)]
pub struct PlaneData {
    /// Stem of the file names.
    pub name: String,
    /// Title, for the page that shows the figure.
    pub title: String,
    /// Words, for the page that shows the figure: kinds of intervals and nulls, and n.
    pub caption: String,
    /// Name of what lies at the origin, such as `base`.
    pub origin: String,
    /// What the grey cross is.
    pub null: String,
    /// Whether a length is the same along both axes.
    pub equal: bool,
    /// The panels, in the order in which they are read.
    pub panels: Vec<PlanePanel>,
}

/// One plane.
#[derive(Debug, Clone)]
pub struct PlanePanel {
    /// Above it.
    pub title: String,
    /// Label of the first axis, with unit.
    pub x_label: String,
    /// Label of the second.
    pub y_label: String,
    /// Ends of a null along either axis; NaN for none.
    pub null: (f64, f64),
    /// What is drawn.
    pub points: Vec<PlanePoint>,
}

/// One condition.
#[derive(Debug, Clone)]
pub struct PlanePoint {
    /// Its name.
    pub condition: String,
    /// Where its mean lies.
    pub at: (f64, f64),
    /// Half axes of the region of the mean and the angle of the first, in radians from the first axis;
    /// NaN for none.
    pub ellipse: [f64; 3],
    /// Where its fine-tunes lie; may be empty.
    pub states: Vec<(f64, f64)>,
}

impl PlanePoint {
    /// Points of its ellipse, closed; none where it has none.
    fn outline(&self) -> Vec<(f64, f64)> {
        const CORNERS: usize = 72;
        let [major, minor, angle] = self.ellipse;
        if self.ellipse.iter().any(|v| v.is_nan()) {
            return Vec::new();
        }
        let (sin, cos) = angle.sin_cos();
        let corner = |i: usize| {
            let (down, along) = (i as f64 / CORNERS as f64 * std::f64::consts::TAU).sin_cos();
            let (u, v) = (major * along, minor * down);
            (self.at.0 + u * cos - v * sin, self.at.1 + u * sin + v * cos)
        };
        (0..=CORNERS).map(corner).collect()
    }

    fn is_known(&self) -> bool {
        !(self.at.0 + self.at.1).is_nan()
    }
}

const HEAD: f64 = 14.0;
const GAP_X: f64 = 14.0;
const BETWEEN: f64 = 10.0;
const RIGHT: f64 = 6.0;
const LARGE: f64 = DOT * 1.5;
const LITTLE: f64 = 0.9;
const RIM: f64 = 0.6;
/// Share of a panel's width that a name may take.
const WIDEST: f64 = 0.5;
/// Highest panel.
const TALLEST: f64 = 200.0;

/// Draws the figure; `palette` is that of the conditions.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &PlaneData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let points = || data.panels.iter().flat_map(|p| &p.points);
    let conditions = distinct(points().map(|p| p.condition.as_str()));
    let colours = palette.colours([data.origin.as_str()].into_iter().chain(conditions));
    let plan = Plan::new(data, out);
    let size = (out.points(), plan.grid.height() + axes::X_AXIS);
    let given = || [&data.name, &data.title, &data.caption];
    let mut page = Page::plan(given(), legend(data, None), size);
    let mut named = names(data, &plan, &page);
    if named.iter().any(|n| n.places.contains(&None)) {
        page = Page::plan(given(), legend(data, Some(&colours)), size);
        named = names(data, &plan, &page);
    }

    page.draw(out, &table(data), |canvas| {
        for (i, (panel, named)) in data.panels.iter().zip(&named).enumerate() {
            let frame = plan.frame(i, &page);
            cross(canvas, &frame, panel.null);
            frame.draw(canvas);
            frame.heading(canvas, &panel.title);
            for ends in frame.zeros().into_iter().flatten() {
                canvas.line(&ends, RULE, THIN);
            }
            dots(canvas, &frame, data, panel, &colours);
            let tints: Vec<RGBColor> = named.of.iter().map(|c| colours[c]).collect();
            labels::draw(canvas, &named.names, &named.places, &tints);
        }
    })
}

/// Where the panels stand and what their scales hold.
struct Plan {
    grid: Grid,
    x: Vec<((f64, f64), Vec<Tick>)>,
    y: Vec<((f64, f64), Vec<Tick>)>,
    labels: Vec<[String; 2]>,
}

impl Plan {
    fn new(data: &PlaneData, out: &Output) -> Plan {
        let across = if out.narrow() { 1 } else { data.panels.len().min(2) };
        let inner = out.points() - 2.0 * page::MARGIN - RIGHT;
        // Every panel has a scale of its own, and room for its numbers.
        let all: Vec<_> = data.panels.iter().map(ranges).collect();
        let room = |y: &(f64, f64)| axes::y_axis_width(&axes::ticks(*y, 6), true);
        let margin = all.iter().map(|r| room(&r.1)).fold(0.0, f64::max);
        let columns = page::columns(page::MARGIN + margin, inner - margin, across, GAP_X + margin);
        let wide = columns[0].1 - columns[0].0;
        let high = (wide * 0.8).min(TALLEST);
        let fitted = all.into_iter().map(|(x, y)| match data.equal {
            true => (widened(x, (y.1 - y.0) * wide / high), widened(y, (x.1 - x.0) * high / wide)),
            false => (x, y),
        });
        let (x, y): (Vec<_>, Vec<_>) = fitted.unzip();
        let ticks = |list: Vec<(f64, f64)>, room: f64| -> Vec<_> {
            list.into_iter().map(|r| (r, axes::ticks(r, (room / 28.0) as usize))).collect()
        };
        let shorten = |text: &str, room: f64| theme::shorten(text, NORMAL, false, room);
        let labels = |p: &PlanePanel| [shorten(&p.x_label, wide), shorten(&p.y_label, high)];
        Plan {
            grid: Grid::new(data.panels.len(), columns, [HEAD, high, axes::X_AXIS + BETWEEN]),
            x: ticks(x, wide),
            y: ticks(y, high),
            labels: data.panels.iter().map(labels).collect(),
        }
    }

    fn frame(&self, index: usize, page: &Page) -> Frame<'_> {
        let (x, y, [x_label, y_label]) = (&self.x[index], &self.y[index], &self.labels[index]);
        let area = self.grid.area(index, &page.body);
        Frame::new(area, (x.0, &x.1, x_label, true), (y.0, &y.1, y_label, true))
    }
}

/// A range about the same middle, at least as wide as `least`.
fn widened((lo, hi): (f64, f64), least: f64) -> (f64, f64) {
    let more = ((least - (hi - lo)) / 2.0).max(0.0);
    (lo - more, hi + more)
}

/// The ranges of a panel: the origin, every point, and every ellipse.
fn ranges(panel: &PlanePanel) -> ((f64, f64), (f64, f64)) {
    let each = |p: &PlanePoint| {
        let known = p.is_known().then_some(p.at);
        known.into_iter().chain(p.states.iter().copied()).chain(p.outline()).collect::<Vec<_>>()
    };
    let mut all: Vec<(f64, f64)> = panel.points.iter().flat_map(each).collect();
    all.push((0.0, 0.0));
    let of = |axis: fn(&(f64, f64)) -> f64| axes::padded(axes::range_of(all.iter().map(axis)), 0.1);
    (of(|p| p.0), of(|p| p.1))
}

/// The names of one panel's points, that of the origin first.
struct Names<'a> {
    of: Vec<&'a str>,
    names: Vec<Named>,
    places: Vec<Option<Place>>,
}

fn names<'a>(data: &'a PlaneData, plan: &Plan, page: &Page) -> Vec<Names<'a>> {
    let of = |(i, panel): (usize, &'a PlanePanel)| {
        let frame = plan.frame(i, page);
        let known = panel.points.iter().filter(|p| p.is_known());
        let mut all = vec![(data.origin.as_str(), (0.0, 0.0))];
        all.extend(known.map(|p| (p.condition.as_str(), p.at)));
        let names: Vec<Named> = (all.iter())
            .map(|(name, at)| Named {
                text: theme::shorten(name, SMALL, false, frame.area.width() * WIDEST),
                at: on(&frame, *at),
                radius: LARGE + RIM,
            })
            .collect();
        let states = panel.points.iter().flat_map(|p| &p.states);
        let marks = labels::Marks {
            small: states.map(|at| on(&frame, *at)).collect(),
            rules: frame.zeros().into_iter().flatten().collect(),
        };
        let places = labels::place(&frame.area, &names, &marks);
        Names { of: all.into_iter().map(|a| a.0).collect(), names, places }
    };
    data.panels.iter().enumerate().map(of).collect()
}

fn on(frame: &Frame, (x, y): (f64, f64)) -> Point {
    (frame.x.at(x), frame.y.at(y))
}

/// The bands of a null along both axes, as far as they lie in the panel.
fn cross(canvas: &mut Canvas, frame: &Frame, (lo, hi): (f64, f64)) {
    if (lo + hi).is_nan() {
        return;
    }
    let a = &frame.area;
    let [left, right] = [lo, hi].map(|v| frame.x.at(v).clamp(a.left, a.right));
    let [bottom, top] = [lo, hi].map(|v| frame.y.at(v).clamp(a.top, a.bottom));
    canvas.rect((left, a.top), (right, a.bottom), GRID);
    canvas.rect((a.left, top), (a.right, bottom), GRID);
}

fn dots(
    canvas: &mut Canvas,
    frame: &Frame,
    data: &PlaneData,
    panel: &PlanePanel,
    colours: &Colours,
) {
    for p in panel.points.iter().filter(|p| p.is_known()) {
        let colour = colours[p.condition.as_str()];
        let outline: Vec<Point> = p.outline().into_iter().map(|at| on(frame, at)).collect();
        canvas.line(&outline, colour, THIN);
        for at in &p.states {
            canvas.line(&[on(frame, p.at), on(frame, *at)], colour, HAIR);
            canvas.mark(on(frame, *at), LITTLE, colour, Mark::Dot);
        }
    }
    let origin = (data.origin.as_str(), (0.0, 0.0));
    let known = panel.points.iter().filter(|p| p.is_known());
    for (name, at) in known.map(|p| (p.condition.as_str(), p.at)).chain([origin]) {
        canvas.mark(on(frame, at), LARGE + RIM, PAPER, Mark::Dot);
        canvas.mark(on(frame, at), LARGE, colours[name], Mark::Dot);
    }
}

fn legend(data: &PlaneData, conditions: Option<&Colours>) -> Vec<Entry> {
    let points = || data.panels.iter().flat_map(|p| &p.points);
    let mut entries = Vec::new();
    if points().any(|p| !p.states.is_empty()) {
        entries.push((Key::Mark(MUTED, Mark::Dot), "mean of a condition".into()));
        entries.push((Key::SmallDot(MUTED), "one fine-tune".into()));
    }
    if points().any(|p| !p.outline().is_empty()) {
        entries.push((Key::ThinLine(MUTED), "95 % region of the mean".into()));
    }
    if !data.null.is_empty() && data.panels.iter().any(|p| !(p.null.0 + p.null.1).is_nan()) {
        entries.push((Key::Band(GRID, 1.0), data.null.clone()));
    }
    if let Some(colours) = conditions {
        let each = distinct([&*data.origin].into_iter().chain(points().map(|p| &*p.condition)));
        entries.extend(each.into_iter().map(|c| (Key::Mark(colours[c], Mark::Dot), c.into())));
    }
    entries
}

fn check(data: &PlaneData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no panels are given", data.panels.len())?;
    check.distinct(|t| format!("panel `{t}`"), data.panels.iter().map(|p| &p.title))?;
    for panel in &data.panels {
        let title = &panel.title;
        check.finite(&format!("the null of panel `{title}`"), &[panel.null.0, panel.null.1])?;
        let names = panel.points.iter().map(|p| &p.condition).chain([&data.origin]);
        check.distinct(|c| format!("condition `{c}` of panel `{title}`"), names)?;
        for p in &panel.points {
            let what = format!("condition `{}` of panel `{title}`", p.condition);
            check.finite(&what, &[p.at.0, p.at.1])?;
            check.finite(&format!("the region of {what}"), &p.ellipse)?;
            let states: Vec<f64> = p.states.iter().flat_map(|s| [s.0, s.1]).collect();
            check.finite(&format!("a fine-tune of {what}"), &states)?;
        }
    }
    let known = data.panels.iter().flat_map(|p| &p.points).filter(|p| p.is_known());
    check.not_empty("no condition has both its numbers", known.count())
}

/// Means with their regions, then fine-tunes and the ends of the null.
fn table(data: &PlaneData) -> Table {
    let mut table =
        Table::new("panel x_label y_label kind condition x y half_major half_minor angle");
    const NONE: f64 = f64::NAN;
    for panel in &data.panels {
        let (title, x, y) = (&panel.title, &panel.x_label, &panel.y_label);
        for p in &panel.points {
            let [major, minor, angle] = p.ellipse;
            let numbers = [p.at.0, p.at.1, major, minor, angle];
            table.row(&[title, x, y, &"mean", &p.condition], &numbers);
            for s in &p.states {
                let numbers = [s.0, s.1, NONE, NONE, NONE];
                table.row(&[title, x, y, &"state", &p.condition], &numbers);
            }
        }
        if !(panel.null.0 + panel.null.1).is_nan() {
            for end in [panel.null.0, panel.null.1] {
                table.row(&[title, x, y, &"end of the null", &""], &[end, end, NONE, NONE, NONE]);
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::samples::sets;
    use super::*;

    #[test]
    fn an_outline_lies_on_its_ellipse() {
        let point = PlanePoint {
            condition: String::new(),
            at: (3.0, -1.0),
            ellipse: [2.0, 0.5, 0.7],
            states: Vec::new(),
        };
        let (sin, cos) = 0.7f64.sin_cos();
        let outline = point.outline();
        for (x, y) in &outline {
            let (x, y) = (x - 3.0, y + 1.0);
            let (u, v) = (x * cos + y * sin, -x * sin + y * cos);
            assert!(((u / 2.0).powi(2) + (v / 0.5).powi(2) - 1.0).abs() < 1e-9);
        }
        assert!((outline[0].0 - 3.0 - 2.0 * cos).abs() < 1e-9);
        assert!(PlanePoint { ellipse: [f64::NAN; 3], ..point }.outline().is_empty());
    }

    #[test]
    fn equal_axes_have_one_length_for_a_unit() {
        let mut data = sets::plane(&["a", "b", "c"], 2, 2);
        data.equal = true;
        theme::register().unwrap();
        for width in [super::super::Width::Double, super::super::Width::Single] {
            let out = Output { width, ..Output::to("") };
            let plan = Plan::new(&data, &out);
            let words = [&data.name, &data.title, &data.caption];
            let page = Page::plan(words, Vec::new(), (out.points(), plan.grid.height()));
            for i in 0..2 {
                let frame = plan.frame(i, &page);
                let (x, y) = (frame.x.at(1.0) - frame.x.at(0.0), frame.y.at(0.0) - frame.y.at(1.0));
                assert!((x / y - 1.0).abs() < 1e-6, "{x} {y}");
            }
        }
    }

    #[test]
    fn base_is_at_the_origin_and_no_condition_may_be_called_so() {
        let dir = tempfile::tempdir().unwrap();
        let refused =
            draw(&sets::plane(&["base"], 1, 1), &Palette::default(), &Output::to(dir.path()));
        assert!(matches!(refused, Err(super::super::FigureError::Twice { .. })));
    }
}
