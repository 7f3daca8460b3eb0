//! Link: whether the states that moved further also behave differently.
//!
//! One panel a predictor, such as the shift along a direction; each model state
//! is a small dot in the colour of its condition. The mean over a condition's
//! states, its seeds, is a large dot that bears the condition's name; a hairline
//! joins it to its seeds. What the caller computed over the conditions stands in
//! words above the points, where it can cover none.

use plotters::style::{Color, RGBColor};

use super::axes::{self, Frame, Tick};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::labels::{self, Named, Place};
use super::page::{self, Entry, Grid, Key, Page, Table};
use super::theme::{
    self, Colours, Palette, DOT, HAIR, LEADING, MUTED, NORMAL, PAPER, RULE, SMALL, THIN,
};
use super::values::Check;
use super::{Output, Result, Written};
use crate::store::values::distinct;

/// Behaviour of states against what else was measured on them.
#[derive(Debug, Clone)]
pub struct LinkData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panels.
    pub title: String,
    /// Words below the panels: kinds of intervals and nulls, and n.
    pub caption: String,
    /// The behaviour, such as `isolated preferences less base, nats a token`; all panels share its scale.
    pub y_label: String,
    /// The panels, in the order in which they are read.
    pub panels: Vec<LinkPanel>,
}

/// One predictor.
#[derive(Debug, Clone)]
pub struct LinkPanel {
    /// The predictor, such as `shift along persona, layer RMS`.
    pub x_label: String,
    /// What is drawn.
    pub points: Vec<LinkPoint>,
    /// Printed above the points, such as `r = .41, p = .12, n = 8 conditions`;
    /// empty for nothing.
    pub text: String,
}

/// One model state.
#[derive(Debug, Clone)]
pub struct LinkPoint {
    /// Such as `conscious-s1`.
    pub state: String,
    /// Such as `conscious`; its states are its seeds.
    pub condition: String,
    /// The predictor.
    pub x: f64,
    /// The behaviour.
    pub y: f64,
}

/// The mean over the states of a condition.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mean<'a> {
    condition: &'a str,
    at: (f64, f64),
    /// States that it is taken over.
    count: usize,
}

const LEAST: f64 = 115.0;
const TALLEST: f64 = 185.0;
const GAP_X: f64 = 12.0;
const BETWEEN: f64 = 10.0;
const RIGHT: f64 = 6.0;
/// Radius of a condition's mean and of a state.
const LARGE: f64 = DOT * 1.5;
const LITTLE: f64 = 0.9;
/// White around a mean, so that it stands out from the seeds and lines below.
const RIM: f64 = 0.6;
/// Share of a panel's width that a condition's name may take.
const WIDEST: f64 = 0.55;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &LinkData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let points = || data.panels.iter().flat_map(|p| &p.points);
    let colours = palette.colours(points().map(|p| p.condition.as_str()));
    let plan = Plan::new(data, out);
    let size = (plan.width, plan.grid.height() + axes::X_AXIS);
    let given = || [&data.name, &data.title, &data.caption];
    let mut page = Page::plan(given(), legend(data, None), size);
    let mut named = names(data, &plan, &page);
    // A name that found no place in its panel stands in the legend.
    if named.iter().any(|n| n.places.contains(&None)) {
        page = Page::plan(given(), legend(data, Some((&colours, palette))), size);
        named = names(data, &plan, &page);
    }

    page.draw(out, &table(data), |canvas| {
        for (i, (panel, named)) in data.panels.iter().zip(&named).enumerate() {
            let frame = plan.frame(i, &page);
            frame.draw(canvas);
            for ends in frame.zeros().into_iter().flatten() {
                canvas.line(&ends, RULE, THIN);
            }
            let place = (frame.area.left, frame.area.top - 2.0);
            axes::lines_above(canvas, &plan.texts[i], place, Type::small(Anchor::Left));
            dots(canvas, &frame, panel, &colours, palette);
            let tints: Vec<RGBColor> = named.means.iter().map(|m| colours[m.condition]).collect();
            labels::draw(canvas, &named.names, &named.places, &tints);
        }
    })
}

/// Where the panels stand and what their scales hold.
struct Plan {
    width: f64,
    grid: Grid,
    /// The words above each panel.
    texts: Vec<Vec<String>>,
    x: Vec<((f64, f64), Vec<Tick>)>,
    y: ((f64, f64), Vec<Tick>),
    x_labels: Vec<String>,
    y_label: String,
}

impl Plan {
    fn new(data: &LinkData, out: &Output) -> Plan {
        let panels = &data.panels;
        let (width, across) =
            (out.points(), if out.narrow() { 1 } else { page::abreast(panels.len(), out) });
        let known = |p: &LinkPanel, of: fn(&LinkPoint) -> f64| -> Vec<f64> {
            p.points.iter().filter(|p| drawn(p)).map(of).collect()
        };
        let all: Vec<f64> = panels.iter().flat_map(|p| known(p, |p| p.y)).collect();
        let y = (range(&all), axes::ticks(range(&all), 6));
        let margin = axes::y_axis_width(&y.1, true);
        let inner = width - 2.0 * page::MARGIN - RIGHT;
        let columns = page::columns(page::MARGIN + margin, inner - margin, across, GAP_X);
        let wide = columns[0].1 - columns[0].0;
        let x = panels.iter().map(|p| {
            let range = range(&known(p, |p| p.x));
            (range, axes::ticks(range, (wide / 24.0) as usize))
        });
        let texts: Vec<Vec<String>> =
            panels.iter().map(|p| theme::wrap(&p.text, SMALL, false, wide - 4.0)).collect();
        let lines = texts.iter().map(Vec::len).max().unwrap_or(0);
        let longest = theme::text_width(&data.y_label, NORMAL, false).max(LEAST);
        let tallest = if out.narrow() { LEAST } else { TALLEST };
        let height = longest.max(wide * 0.75).min(tallest);
        let strip = lines as f64 * SMALL * LEADING + 4.0;
        let shorten = |text: &str, room: f64| theme::shorten(text, NORMAL, false, room);
        Plan {
            x: x.collect(),
            y,
            x_labels: panels.iter().map(|p| shorten(&p.x_label, wide)).collect(),
            y_label: shorten(&data.y_label, height),
            grid: Grid::new(panels.len(), columns, [strip, height, axes::X_AXIS + BETWEEN]),
            width,
            texts,
        }
    }

    fn frame(&self, index: usize, page: &Page) -> Frame<'_> {
        let (x, y) = (&self.x[index], &self.y);
        Frame::new(
            self.grid.area(index, &page.body),
            (x.0, &x.1, &self.x_labels[index], true),
            (y.0, &y.1, &self.y_label, self.grid.at_edge(index).1),
        )
    }
}

/// The names of one panel's means.
struct Names<'a> {
    means: Vec<Mean<'a>>,
    names: Vec<Named>,
    places: Vec<Option<Place>>,
}

fn names<'a>(data: &'a LinkData, plan: &Plan, page: &Page) -> Vec<Names<'a>> {
    let of = |(i, panel): (usize, &'a LinkPanel)| {
        let frame = plan.frame(i, page);
        let means = means(panel);
        let names: Vec<Named> = means
            .iter()
            .map(|m| Named {
                text: theme::shorten(m.condition, SMALL, false, frame.area.width() * WIDEST),
                at: (frame.x.at(m.at.0), frame.y.at(m.at.1)),
                radius: LARGE + RIM,
            })
            .collect();
        let known = panel.points.iter().filter(|p| drawn(p));
        let marks = labels::Marks {
            small: known.map(|p| (frame.x.at(p.x), frame.y.at(p.y))).collect(),
            rules: frame.zeros().into_iter().flatten().collect(),
        };
        let places = labels::place(&frame.area, &names, &marks);
        Names { means, names, places }
    };
    data.panels.iter().enumerate().map(of).collect()
}

/// True for a state of which both numbers are known.
fn drawn(point: &LinkPoint) -> bool {
    !(point.x + point.y).is_nan()
}

/// The mean of each condition's states, in the order of the states.
fn means(panel: &LinkPanel) -> Vec<Mean<'_>> {
    let known = || panel.points.iter().filter(|p| drawn(p));
    distinct(known().map(|p| p.condition.as_str()))
        .into_iter()
        .map(|condition| {
            let own: Vec<&LinkPoint> = known().filter(|p| p.condition == condition).collect();
            let count = own.len();
            let sum = |of: fn(&LinkPoint) -> f64| own.iter().map(|p| of(p)).sum::<f64>();
            let at = (sum(|p| p.x) / count as f64, sum(|p| p.y) / count as f64);
            Mean { condition, at, count }
        })
        .collect()
}

/// The range of an axis: it reaches 0 unless that would more than double it.
fn range(values: &[f64]) -> (f64, f64) {
    let (lo, hi) = axes::range_of(values.iter().copied());
    let (low, high) = (lo.min(0.0), hi.max(0.0));
    let near = high - low <= 2.0 * (hi - lo) || hi == lo;
    axes::padded(if near { (low, high) } else { (lo, hi) }, 0.08)
}

fn dots(
    canvas: &mut Canvas,
    frame: &Frame,
    panel: &LinkPanel,
    colours: &Colours,
    palette: &Palette,
) {
    let at = |(x, y): (f64, f64)| (frame.x.at(x), frame.y.at(y));
    let means = means(panel);
    for mean in means.iter().filter(|m| m.count > 1) {
        let colour = colours[mean.condition];
        let own = panel.points.iter().filter(|p| p.condition == mean.condition);
        for point in own.filter(|p| drawn(p)) {
            let place = at((point.x, point.y));
            canvas.line(&[at(mean.at), place], colour.mix(0.6), HAIR);
            canvas.mark(place, LITTLE, colour, Mark::Dot);
        }
    }
    for mean in &means {
        let mark = palette.mark(mean.condition);
        canvas.mark(at(mean.at), LARGE + RIM, PAPER, mark);
        canvas.mark(at(mean.at), LARGE, colours[mean.condition], mark);
    }
}

/// Large and small dots, and the conditions where the panels do not name all.
fn legend(data: &LinkData, conditions: Option<(&Colours, &Palette)>) -> Vec<Entry> {
    let mut entries = Vec::new();
    if data.panels.iter().flat_map(means).any(|m| m.count > 1) {
        entries.push((Key::Mark(MUTED, Mark::Dot), "mean of a condition".into()));
        entries.push((Key::SmallDot(MUTED), "one seed".into()));
    }
    if let Some((colours, palette)) = conditions {
        let points = data.panels.iter().flat_map(|p| &p.points);
        let each = distinct(points.map(|p| p.condition.as_str())).into_iter();
        entries.extend(each.map(|c| (Key::Mark(colours[c], palette.mark(c)), c.into())));
    }
    entries
}

fn check(data: &LinkData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no panels are given", data.panels.len())?;
    check.distinct(|x| format!("panel `{x}`"), data.panels.iter().map(|p| &p.x_label))?;
    for panel in &data.panels {
        let title = &panel.x_label;
        check.not_empty(&format!("panel `{title}` has no states"), panel.points.len())?;
        check.distinct(
            |state| format!("state `{state}` of panel `{title}`"),
            panel.points.iter().map(|p| &p.state),
        )?;
        for p in &panel.points {
            let what = format!("state `{}` of panel `{title}`", p.state);
            check.finite(&what, &[p.x, p.y])?;
        }
    }
    let known = data.panels.iter().flat_map(|p| &p.points);
    check.not_empty("no state has both its numbers", known.filter(|p| drawn(p)).count())
}

/// States as given, then the means of their conditions; in a mean's row `state`
/// is empty.
fn table(data: &LinkData) -> Table {
    let mut table = Table::new("x_label y_label text kind condition state x y");
    for panel in &data.panels {
        let (x, y, text) = (&panel.x_label, &data.y_label, &panel.text);
        for p in &panel.points {
            table.row(&[x, y, text, &"state", &p.condition, &p.state], &[p.x, p.y]);
        }
        for m in means(panel) {
            table.row(&[x, y, text, &"mean", &m.condition, &""], &[m.at.0, m.at.1]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(state: &str, condition: &str, x: f64, y: f64) -> LinkPoint {
        LinkPoint { state: state.to_owned(), condition: condition.to_owned(), x, y }
    }

    #[test]
    fn a_mean_is_over_the_states_with_both_numbers() {
        let panel = LinkPanel {
            x_label: "x".to_owned(),
            points: vec![
                point("a-s1", "a", 1.0, 4.0),
                point("a-s2", "a", 3.0, 8.0),
                point("a-s3", "a", 50.0, f64::NAN),
                point("b-s1", "b", f64::NAN, 1.0),
            ],
            text: String::new(),
        };
        let only = Mean { condition: "a", at: (2.0, 6.0), count: 2 };
        assert_eq!(means(&panel), [only]);
    }

    #[test]
    fn an_axis_reaches_0_when_0_is_not_far() {
        let (lo, hi) = range(&[0.2, 0.9]);
        assert!(lo < 0.0 && hi > 0.9);
        let (lo, hi) = range(&[0.7, 0.8]);
        assert!(lo > 0.6 && hi < 0.9);
        let (lo, hi) = range(&[-0.3, -0.3]);
        assert!(lo < -0.3 && hi > 0.0);
    }
}
