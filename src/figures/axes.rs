//! Scales, ticks and the frame of a panel.
//!
//! A `Scale` maps values to points along one side of a panel. Ticks are chosen
//! at 1, 2 or 5 times a power of ten, as many as there is room for; layers are
//! whole numbers and get ticks of their own. A panel has a left and a bottom
//! line, light grid lines at its ticks and its axis labels outside, so that no
//! label can meet the data. Numbers are set with a true minus sign and as many
//! decimals as their step needs.

use plotters::style::{Color, RGBColor};

use super::canvas::{Anchor, Canvas, Mark, Point, Type};
use super::theme::{self, GRID, HAIR, MUTED, NORMAL, RULE, SMALL, THIN};
use super::Estimate;

/// A rectangle in points, y downward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// From left to right and from top to bottom.
    pub const fn new((left, right): (f64, f64), (top, bottom): (f64, f64)) -> Self {
        Area { left, top, right, bottom }
    }

    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

/// A linear map from values to points.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub lo: f64,
    pub hi: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `lo` to `from` and `hi` to `to`; a range without width is widened.
    pub fn new((lo, hi): (f64, f64), from: f64, to: f64) -> Self {
        let (lo, hi) = if hi > lo { (lo, hi) } else { (lo - 0.5, lo + 0.5) };
        Scale { lo, hi, from, to }
    }

    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.lo) / (self.hi - self.lo) * (self.to - self.from)
    }

    pub fn holds(&self, value: f64) -> bool {
        let slack = (self.hi - self.lo) * 1e-9;
        value >= self.lo - slack && value <= self.hi + slack
    }
}

/// The smallest and largest known value; (0, 1) when there is none.
pub fn range_of(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let known = values.into_iter().filter(|v| !v.is_nan());
    let widen = |(lo, hi): (f64, f64), v: f64| (v.min(lo), v.max(hi));
    let range = known.fold((f64::NAN, f64::NAN), widen);
    if range.0.is_nan() {
        (0.0, 1.0)
    } else {
        range
    }
}

/// The range of all numbers of some estimates.
pub fn range_of_all<'e>(estimates: impl IntoIterator<Item = &'e Estimate>) -> (f64, f64) {
    range_of(estimates.into_iter().flat_map(Estimate::numbers))
}

/// The range of all numbers of some estimates and of 0.
pub fn range_with_zero<'e>(estimates: impl IntoIterator<Item = &'e Estimate>) -> (f64, f64) {
    range_of(estimates.into_iter().flat_map(Estimate::numbers).chain([0.0]))
}

/// `range` with `share` of its width added at either end.
pub fn padded((lo, hi): (f64, f64), share: f64) -> (f64, f64) {
    let more = if hi > lo { (hi - lo) * share } else { lo.abs().max(1.0) * share };
    (lo - more, hi + more)
}

/// A tick: its value and its label.
pub type Tick = (f64, String);

/// At most `most` ticks (at least two) within `range`, with labels.
pub fn ticks((lo, hi): (f64, f64), most: usize) -> Vec<Tick> {
    let rough = (hi - lo) / most.max(2) as f64;
    if rough <= 0.0 || !rough.is_finite() {
        return vec![(lo, label(lo, 2))];
    }
    let most = most.max(2) as i64;
    let power = 10f64.powf(rough.log10().floor());
    let count = |step: f64| ((hi / step + 1e-9).floor() - (lo / step - 1e-9).ceil()) as i64 + 1;
    let tidy = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|m| m * power);
    let widest = tidy.into_iter().find(|&s| count(s) <= most).unwrap_or(hi - lo);
    // A step that leaves fewer than two ticks gives way to a less tidy one.
    let less = [0.8, 0.6, 0.4, 0.3, 0.2, 0.1].map(|share| share * widest);
    let step = [widest].into_iter().chain(less).find(|&s| count(s) >= 2).unwrap_or(widest);
    let first = (lo / step - 1e-9).ceil() as i64;
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let values = (first..first + count(step).max(0)).map(|i| i as f64 * step);
    values.map(|value| (value, label(value, decimals))).collect()
}

/// Ticks for layers: each one when there is room, else every 2nd, 5th, ...
pub fn layer_ticks(layers: &[usize], width: f64) -> Vec<Tick> {
    const ROOM: f64 = 16.0;
    let most = (width / ROOM).max(2.0) as usize;
    let shown: Vec<usize> = if layers.len() <= most.min(8) {
        layers.to_vec()
    } else {
        let (first, last) = (layers[0], layers[layers.len() - 1]);
        let mut tidy = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter();
        let every = tidy.find(|step| (last - first) / step < most).unwrap_or(1000);
        (first..=last).filter(|l| l % every == 0).collect()
    };
    shown.into_iter().map(|l| (l as f64, l.to_string())).collect()
}

/// `value` with `decimals` and a true minus sign, no sign on zero.
pub fn label(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    }
}

/// A cosine as it stands in a cell: two decimals, no zero before the point.
pub fn short_label(value: f64) -> String {
    let text = label(value, 2);
    match text.as_str() {
        "0.00" => "0".to_owned(),
        "1.00" => "1".to_owned(),
        "\u{2212}1.00" => "\u{2212}1".to_owned(),
        _ => match text.split_once("0.") {
            Some((sign @ ("" | "\u{2212}"), rest)) => format!("{sign}.{rest}"),
            _ => text,
        },
    }
}

/// One axis of a panel: its range, ticks and label, and whether numbers and label are shown or left to
/// a neighbouring panel.
pub type Axis<'a> = ((f64, f64), &'a [Tick], &'a str, bool);

/// The frame of a panel.
pub struct Frame<'a> {
    pub area: Area,
    pub x: Scale,
    pub y: Scale,
    pub bottom: Axis<'a>,
    pub left: Axis<'a>,
}

/// Height that the numbers and the label of a bottom axis take.
pub const X_AXIS: f64 = 25.0;
/// Height that the numbers of a bottom axis take.
pub const TICKS: f64 = 12.0;
/// Distance from an axis to its numbers.
const TICK_GAP: f64 = 3.5;

/// The label of a bottom axis around a middle, moved and shortened so that it stays between two ends.
pub fn label_within(canvas: &mut Canvas, (x, y): Point, text: &str, (left, right): (f64, f64)) {
    let text = theme::shorten(text, NORMAL, false, right - left);
    let half = theme::text_width(&text, NORMAL, false) / 2.0;
    canvas.text((x.max(left + half).min(right - half), y), &text, Type::label(false));
}

/// The first of some labels that has room, or the last.
pub fn fitting<'l>(labels: &[&'l str], room: f64) -> &'l str {
    let fits = |text: &&&str| theme::text_width(text, NORMAL, false) <= room;
    labels.iter().find(fits).or(labels.last()).copied().unwrap_or_default()
}

/// Width that the numbers and the label of a left axis take.
pub fn y_axis_width(ticks: &[Tick], labelled: bool) -> f64 {
    let numbers =
        ticks.iter().map(|(_, text)| theme::text_width(text, SMALL, false)).fold(0.0, f64::max);
    numbers + TICK_GAP + 2.0 + if labelled { NORMAL + 4.0 } else { 0.0 }
}

impl<'a> Frame<'a> {
    /// A panel over `area` between a bottom and a left axis.
    pub fn new(area: Area, bottom: Axis<'a>, left: Axis<'a>) -> Self {
        let x = Scale::new(bottom.0, area.left, area.right);
        Frame { area, x, y: Scale::new(left.0, area.bottom, area.top), bottom, left }
    }

    /// A panel of rows: its left axis has no ticks.
    pub fn of_rows(area: Area, x: Axis<'a>) -> Self {
        Frame::new(area, x, ((0.0, 1.0), &[], "", false))
    }

    /// Draws grid, lines, numbers and labels; data come on top.
    pub fn draw(&self, canvas: &mut Canvas) {
        let a = &self.area;
        let (_, x_ticks, x_label, x_numbers) = self.bottom;
        for (value, text) in x_ticks.iter().filter(|t| self.x.holds(t.0)) {
            let x = self.x.at(*value);
            canvas.line(&[(x, a.top), (x, a.bottom)], GRID, HAIR);
            canvas.line(&[(x, a.bottom), (x, a.bottom + 2.0)], RULE, HAIR);
            if x_numbers {
                canvas.text((x, a.bottom + 7.0), text, Type::small(Anchor::Center));
            }
        }
        let (_, y_ticks, y_label, y_numbers) = self.left;
        for (value, text) in y_ticks.iter().filter(|t| self.y.holds(t.0)) {
            let y = self.y.at(*value);
            canvas.line(&[(a.left, y), (a.right, y)], GRID, HAIR);
            canvas.line(&[(a.left - 2.0, y), (a.left, y)], RULE, HAIR);
            if y_numbers {
                canvas.text((a.left - TICK_GAP, y), text, Type::small(Anchor::Right));
            }
        }
        canvas.line(&[(a.left, a.top), (a.left, a.bottom), (a.right, a.bottom)], RULE, HAIR);
        if x_numbers && !x_label.is_empty() {
            let middle = (a.left + a.right) / 2.0;
            canvas.text((middle, a.bottom + 18.0), x_label, Type::label(false));
        }
        if y_numbers && !y_label.is_empty() {
            let left = a.left - y_axis_width(y_ticks, true) + NORMAL / 2.0;
            canvas.text((left, (a.top + a.bottom) / 2.0), y_label, Type::label(true));
        }
    }

    /// The zero lines of the panel, upright and level.
    pub fn zeros(&self) -> [Option<[Point; 2]>; 2] {
        let (a, x, y) = (&self.area, self.x.at(0.0), self.y.at(0.0));
        let upright = self.x.holds(0.0).then_some([(x, a.top), (x, a.bottom)]);
        [upright, self.y.holds(0.0).then_some([(a.left, y), (a.right, y)])]
    }

    /// A line at x = 0, darker than the grid.
    pub fn zero_x(&self, canvas: &mut Canvas) {
        if let Some(ends) = self.zeros()[0] {
            canvas.line(&ends, RULE, THIN);
        }
    }

    /// A line at the given y, darker than the grid.
    pub fn level(&self, canvas: &mut Canvas, value: f64) {
        if self.y.holds(value) {
            let y = self.y.at(value);
            canvas.line(&[(self.area.left, y), (self.area.right, y)], RULE, THIN);
        }
    }

    /// A dashed line at each of the layers that are marked, along an axis of layers.
    pub fn chosen(&self, canvas: &mut Canvas, layers: &[usize]) {
        let a = &self.area;
        canvas.layer_axis([(a.left, a.top), (a.right, a.bottom)], (self.x.lo, self.x.hi));
        for x in layers.iter().map(|&l| self.x.at(l as f64)) {
            canvas.dashed([(x, self.area.top), (x, self.area.bottom)], MUTED, THIN);
        }
    }

    /// A bold title on the left above the panel.
    pub fn heading(&self, canvas: &mut Canvas, text: &str) {
        heading(canvas, (self.area.left, self.area.top - 7.0), text, self.area.width());
    }

    /// y of each value; NaN stays NaN.
    pub fn up(&self, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        values.into_iter().map(|v| self.y.at(v)).collect()
    }

    /// The intervals of `list` over `x`, which is in points, as a band.
    pub fn ribbon(
        &self,
        c: &mut Canvas,
        x: &[f64],
        list: &[Estimate],
        shade: impl Color,
        least: f64,
    ) {
        let (lo, hi) = (self.up(list.iter().map(|e| e.lo)), self.up(list.iter().map(|e| e.hi)));
        c.band(&x[..lo.len()], &lo, &hi, shade, least);
    }

    /// The values of `list` over `x`, which is in points.
    pub fn points(&self, x: &[f64], list: &[Estimate]) -> Vec<Point> {
        x.iter().zip(list).map(|(x, e)| (*x, self.y.at(e.value))).collect()
    }

    /// An estimate on the row at `y`: a bar for its interval, a mark for its value.
    pub fn on_row(&self, c: &mut Canvas, e: &Estimate, y: f64, colour: RGBColor, look: Look) {
        let (mark, size, width) = look;
        if e.has_interval() {
            c.line(&[(self.x.at(e.lo), y), (self.x.at(e.hi), y)], colour, width);
        }
        c.mark((self.x.at(e.value), y), size, colour, mark);
        c.hover((self.x.at(e.value), y), size.max(3.0), &e.to_string());
    }
}

/// The mark of a value and its size, and the width of the bar of its interval.
pub type Look = (Mark, f64, f64);

/// A bold panel title of at most `width` points, from its left end.
pub fn heading(canvas: &mut Canvas, place: Point, text: &str, width: f64) {
    let face = Type { size: NORMAL, bold: true, ..Type::small(Anchor::Left) };
    canvas.text(place, &theme::shorten(text, NORMAL, true, width), face);
}

/// Column titles in at most three lines of `width` points.
pub struct Heads {
    lines: Vec<Vec<String>>,
    width: f64,
    bold: bool,
    /// Most width of a title that reads upward.
    upward: Option<f64>,
}

impl Heads {
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, width: f64, bold: bool) -> Self {
        const MOST: usize = 3;
        let fit = |name: &str| {
            let mut lines = theme::wrap(name, SMALL, bold, width);
            if lines.len() > MOST {
                let rest = lines.split_off(MOST - 1).join(" ");
                lines.push(rest);
            }
            lines
        };
        Heads { lines: names.into_iter().map(fit).collect(), width, bold, upward: None }
    }

    /// Names of narrow columns: where a line would have to be cut, all read upward, in at most `most`
    /// points.
    pub fn narrow(names: &[&str], width: f64, bold: bool, most: f64) -> Self {
        let level = Heads::new(names.iter().copied(), width, bold);
        let fits = |line: &String| theme::text_width(line, SMALL, bold) <= width;
        if level.lines.iter().flatten().all(fits) {
            return level;
        }
        let lines = names.iter().map(|n| vec![(*n).to_owned()]).collect();
        Heads { lines, upward: Some(most), ..level }
    }

    pub fn height(&self) -> f64 {
        let wide = |line: &String| theme::text_width(line, SMALL, self.bold);
        match self.upward {
            Some(most) => self.lines.iter().flatten().map(wide).fold(0.0, f64::max).min(most),
            None => {
                let most = self.lines.iter().map(Vec::len).max().unwrap_or(0);
                most as f64 * SMALL * theme::LEADING
            }
        }
    }

    /// Whether the titles read upward.
    pub fn upward(&self) -> bool {
        self.upward.is_some()
    }

    /// Draws the title of column `index` so that it ends at `bottom`; x is its
    /// left end or middle, as `anchor` says, and its middle where it reads upward.
    pub fn draw(&self, canvas: &mut Canvas, index: usize, place: Point, anchor: Anchor) {
        let most = self.upward.unwrap_or(self.width);
        let shorten = |line: &String| theme::shorten(line, SMALL, self.bold, most);
        let lines: Vec<String> = self.lines[index].iter().map(shorten).collect();
        if self.upward.is_some() {
            let face = Type { bold: self.bold, upward: true, ..Type::small(Anchor::Left) };
            return canvas.text((place.0, place.1 - 1.0), &lines.concat(), face);
        }
        lines_above(canvas, &lines, place, Type { bold: self.bold, ..Type::small(anchor) });
    }
}

/// Lines of small text, the last one just above `bottom`.
pub fn lines_above(canvas: &mut Canvas, lines: &[String], (x, bottom): Point, face: Type) {
    for (line, up) in lines.iter().rev().zip(0..) {
        canvas.text((x, bottom - (f64::from(up) + 0.5) * SMALL * theme::LEADING), line, face);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_in_the_range_and_never_exceed_their_number() {
        for (lo, hi) in [(0.0, 1.0), (-0.3, 0.72), (1e-4, 9e-4), (-250.0, 1300.0), (0.98, 1.0)] {
            for most in 3..9 {
                let list = ticks((lo, hi), most);
                assert!(list.len() <= most && !list.is_empty(), "{lo} {hi} {most}: {list:?}");
                assert!(list.iter().all(|t| t.0 >= lo - 1e-9 && t.0 <= hi + 1e-9));
                let texts: std::collections::BTreeSet<_> = list.iter().map(|t| &t.1).collect();
                assert_eq!(texts.len(), list.len(), "labels repeat: {list:?}");
            }
        }
    }

    #[test]
    fn two_layers_get_both_their_ticks() {
        let list = layer_ticks(&[10, 24], 200.0);
        assert_eq!(list.iter().map(|t| t.1.as_str()).collect::<Vec<_>>(), ["10", "24"]);
    }

    #[test]
    fn labels_use_a_true_minus_and_no_negative_zero() {
        assert_eq!(label(-0.25, 2), "\u{2212}0.25");
        assert_eq!(label(-0.001, 2), "0.00");
        assert_eq!(short_label(-0.126), "\u{2212}.13");
        assert_eq!(short_label(0.999), "1");
        assert_eq!(short_label(10.25), "10.25");
    }

    #[test]
    fn a_scale_maps_its_ends_to_the_ends_of_its_side() {
        let scale = Scale::new((-2.0, 6.0), 100.0, 20.0);
        assert_eq!((scale.at(-2.0), scale.at(6.0)), (100.0, 20.0));
        assert!(scale.holds(6.0) && !scale.holds(6.1));
    }
}
