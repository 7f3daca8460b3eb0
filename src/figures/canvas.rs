//! The drawing surface: printed points in, SVG text out.
//!
//! plotters writes the SVG. Its coordinates are whole numbers, so the canvas is
//! eight times as fine as a point, and the root element maps it back to
//! millimetres. `raster` makes the PNG from that SVG.
//!
//! What is unusual: the origin is the top left corner and y grows downward;
//! text is placed by the middle of its capitals, so that a label stands beside
//! its row without further arithmetic; a missing coordinate breaks a line. The
//! surface draws nothing outside its own methods, and the same calls give the
//! same bytes.

use std::ops::Range;

use plotters::backend::{DrawingBackend, SVGBackend};
pub use plotters::style::text_anchor::HPos as Anchor;
use plotters::style::text_anchor::{Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle,
};

pub use super::theme::Mark;
use super::theme::{FAMILY, INK, MM, NORMAL, PAPER, PLOTTERS_EM, SMALL};
use super::FigureError;

/// Canvas units in a printed point.
const FINE: f64 = 8.0;

/// A place on the page, in points from its top left corner.
pub type Point = (f64, f64);

/// How a text is set.
#[derive(Clone, Copy)]
pub struct Type {
    pub size: f64,
    pub bold: bool,
    pub colour: RGBColor,
    pub anchor: Anchor,
    /// Turned to read from bottom to top.
    pub upward: bool,
}

impl Type {
    /// 7 pt ink.
    pub const fn small(anchor: Anchor) -> Self {
        Type { size: SMALL, bold: false, colour: INK, anchor, upward: false }
    }

    /// The label of an axis, in the middle of its side.
    pub const fn label(upward: bool) -> Self {
        Type { size: NORMAL, upward, ..Type::small(Anchor::Center) }
    }
}

/// A page of `width` by `height` points.
pub struct Canvas<'a> {
    backend: SVGBackend<'a>,
    failure: Option<String>,
    /// Elements over the drawing that only a page uses: nothing of them is seen.
    over: String,
}

/// Draws on a white page, whose printed size is `zoom` times that in points, and returns the SVG.
pub fn paint(
    figure: &str,
    (width, height): Point,
    zoom: f64,
    title: &str,
    draw: impl FnOnce(&mut Canvas),
) -> Result<String, FigureError> {
    let (w, h) = ((width * FINE).round() as u32, (height * FINE).round() as u32);
    let mut svg = String::new();
    let backend = SVGBackend::with_string(&mut svg, (w, h));
    let mut canvas = Canvas { backend, failure: None, over: String::new() };
    canvas.rect((0.0, 0.0), (width, height), PAPER);
    draw(&mut canvas);
    let closed = canvas.backend.present();
    canvas.keep(closed);
    let (failure, over) = (canvas.failure.take(), std::mem::take(&mut canvas.over));
    drop(canvas);
    if let Some(reason) = failure {
        return Err(FigureError::Draw { figure: figure.into(), reason });
    }
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    let body = body.trim_end().strip_suffix("</svg>").unwrap_or(body);
    let name = escaped(title);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.2}mm\" height=\"{:.2}mm\" viewBox=\"0 0 {w} {h}\" \
         role=\"img\" stroke-linejoin=\"round\" stroke-linecap=\"round\">\n<title>{name}</title>\n{body}{over}</svg>\n",
        f64::from(w) / FINE / MM * zoom,
        f64::from(h) / FINE / MM * zoom,
    ))
}

/// XML has no place for control characters.
fn printable(text: &str) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    text.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn at((x, y): Point) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

impl Canvas<'_> {
    fn keep<E: std::fmt::Display>(&mut self, result: Result<(), E>) {
        if let (Err(error), None) = (result, &self.failure) {
            self.failure = Some(error.to_string());
        }
    }

    /// A line through `points`; a NaN ends one run and starts the next, and a
    /// run of one point becomes a dot of the line's width.
    pub fn line(&mut self, points: &[Point], colour: impl Color, width: f64) {
        let units = (width * FINE).round().max(1.0) as u32;
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: units };
        for run in runs(points.len(), |i| !(points[i].0 + points[i].1).is_nan()) {
            if let [only] = points[run.clone()] {
                self.disc(only, width, &colour);
                continue;
            }
            let drawn = self.backend.draw_path(points[run].iter().map(|p| at(*p)), &style);
            self.keep(drawn);
        }
    }

    /// A straight line in dashes of two points.
    pub fn dashed(&mut self, [from, to]: [Point; 2], colour: RGBColor, width: f64) {
        const DASH: f64 = 2.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let count = (length / DASH / 2.0).ceil().max(1.0) as usize;
        let point = |along: f64| {
            let t = (along / length).min(1.0);
            (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t)
        };
        for start in (0..count).map(|i| i as f64 * DASH * 2.0) {
            self.line(&[point(start), point(start + DASH)], colour, width);
        }
    }

    /// A band between two edges over the same x; NaN in either leaves a gap.
    /// A run of one x becomes a bar of `least` points.
    pub fn band(
        &mut self,
        x: &[f64],
        lower: &[f64],
        upper: &[f64],
        colour: impl Color,
        least: f64,
    ) {
        for run in runs(x.len(), |i| !(x[i] + lower[i] + upper[i]).is_nan()) {
            if run.len() == 1 {
                let (i, half) = (run.start, least / 2.0);
                self.rect((x[i] - half, lower[i]), (x[i] + half, upper[i]), &colour);
                continue;
            }
            let below = run.clone().map(|i| (x[i], lower[i]));
            let above = run.rev().map(|i| (x[i], upper[i]));
            self.polygon(&below.chain(above).collect::<Vec<_>>(), &colour);
        }
    }

    fn polygon(&mut self, corners: &[Point], colour: &impl Color) {
        let drawn = self.backend.fill_polygon(corners.iter().map(|p| at(*p)), &colour.to_rgba());
        self.keep(drawn);
    }

    /// A filled rectangle between two opposite corners.
    pub fn rect(&mut self, from: Point, to: Point, colour: impl Color) {
        self.polygon(&[from, (to.0, from.1), to, (from.0, to.1)], &colour);
    }

    /// The outline of a rectangle.
    pub fn outline(&mut self, from: Point, to: Point, colour: RGBColor, width: f64) {
        self.line(&[from, (to.0, from.1), to, (from.0, to.1), from], colour, width);
    }

    fn disc(&mut self, centre: Point, radius: f64, colour: &impl Color) {
        let units = (radius * FINE).round().max(1.0) as u32;
        let drawn = self.backend.draw_circle(at(centre), units, &colour.to_rgba(), true);
        self.keep(drawn);
    }

    /// A point of the given shape; nothing where a coordinate is missing.
    pub fn mark(&mut self, (x, y): Point, radius: f64, colour: RGBColor, shape: Mark) {
        if x.is_nan() || y.is_nan() {
            return;
        }
        let diamond = |r: f64| [(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
        let wall = 0.75;
        match shape {
            Mark::Dot => self.disc((x, y), radius, &colour),
            Mark::Square => {
                let r = radius * 0.9;
                self.rect((x - r, y - r), (x + r, y + r), colour);
            }
            Mark::Triangle | Mark::Wedge => {
                let r = if shape == Mark::Triangle { radius * 1.2 } else { -radius * 1.2 };
                self.polygon(&[(x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)], &colour);
            }
            Mark::Diamond => self.polygon(&diamond(radius * 1.3), &colour),
            Mark::Cross => {
                for r in [radius, -radius] {
                    self.line(&[(x - r, y - radius), (x + r, y + radius)], colour, radius * 0.6);
                }
            }
            Mark::Ring => {
                self.disc((x, y), radius, &colour);
                self.disc((x, y), radius - wall, &PAPER);
            }
            Mark::OpenDiamond => {
                self.polygon(&diamond(radius * 1.3), &colour);
                self.polygon(&diamond(radius * 1.3 - wall * 1.3), &PAPER);
            }
        }
    }

    /// Says that a panel between two corners has layers from `first` to `last` along x, so that a page can
    /// mark one of them.
    pub fn layer_axis(&mut self, corners: [Point; 2], (first, last): (f64, f64)) {
        let data = format!("class=\"layer-axis\" data-first=\"{first}\" data-last=\"{last}\"");
        self.invisible(corners, &data, "");
    }

    /// Words that a page shows where the pointer rests within `radius` of a point.
    pub fn hover(&mut self, (x, y): Point, radius: f64, text: &str) {
        if !(x + y).is_nan() {
            let title = format!("<title>{}</title>", escaped(text));
            self.invisible(
                [(x - radius, y - radius), (x + radius, y + radius)],
                "class=\"hover\"",
                &title,
            );
        }
    }

    fn invisible(&mut self, [from, to]: [Point; 2], attributes: &str, inside: &str) {
        let ((x, y), (right, bottom)) = (at(from), at(to));
        let (width, height) = (right - x, bottom - y);
        self.over += &format!(
            "<rect {attributes} x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill-opacity=\"0\">{inside}</rect>\n"
        );
    }

    /// `text` with the middle of its capitals at y.
    pub fn text(&mut self, (x, y): Point, text: &str, face: Type) {
        // plotters' centre puts the baseline a quarter em below y; capitals of
        // the font are 0.69 em high.
        let lift = (0.345 - 0.25) * face.size;
        let place = if face.upward { (x + lift, y) } else { (x, y + lift) };
        let weight = if face.bold { FontStyle::Bold } else { FontStyle::Normal };
        let size = face.size * FINE * PLOTTERS_EM;
        let mut font = FontDesc::new(FontFamily::Name(FAMILY), size, weight);
        if face.upward {
            font = font.transform(FontTransform::Rotate270);
        }
        let pos = Pos::new(face.anchor, VPos::Center);
        let style = TextStyle { font, color: face.colour.to_backend_color(), pos };
        let drawn = self.backend.draw_text(&printable(text), &style, at(place));
        self.keep(drawn);
    }
}

/// The stretches of `0..count` in which every entry is known.
fn runs(count: usize, known: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut list = Vec::new();
    let mut start = 0;
    for i in 0..=count {
        if i == count || !known(i) {
            if i > start {
                list.push(start..i);
            }
            start = i + 1;
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(svg: &str, tag: &str) -> usize {
        let document = roxmltree::Document::parse(svg).unwrap();
        document.descendants().filter(|n| n.has_tag_name(tag)).count()
    }

    #[test]
    fn a_missing_value_breaks_a_line_in_two() {
        let line = |y: f64| {
            let points = [(0.0, 1.0), (1.0, 2.0), (2.0, y), (3.0, 1.0), (4.0, 2.0)];
            paint("t", (50.0, 50.0), 1.0, "t", |c| c.line(&points, INK, 1.0)).unwrap()
        };
        assert_eq!(count(&line(0.0), "polyline"), 1);
        assert_eq!(count(&line(f64::NAN), "polyline"), 2);
    }

    #[test]
    fn a_missing_edge_breaks_a_band_in_two() {
        let band = |upper: f64| {
            let x = [0.0, 1.0, 2.0, 3.0, 4.0];
            let (lo, hi) = ([1.0; 5], [2.0, 2.0, upper, 2.0, 2.0]);
            paint("t", (50.0, 50.0), 1.0, "t", |c| c.band(&x, &lo, &hi, INK, 1.0)).unwrap()
        };
        assert_eq!(count(&band(f64::NAN), "polygon"), count(&band(2.0), "polygon") + 1);
    }

    #[test]
    fn what_only_a_page_uses_lies_over_the_drawing_and_is_not_seen() {
        let draw = |with: bool| {
            paint("t", (50.0, 50.0), 1.0, "t", |c| {
                c.line(&[(1.0, 1.0), (40.0, 40.0)], INK, 1.0);
                if with {
                    c.layer_axis([(5.0, 5.0), (45.0, 45.0)], (0.0, 29.0));
                    c.hover((20.0, 20.0), 3.0, "a < b: +0.1");
                    c.hover((f64::NAN, 20.0), 3.0, "missing");
                }
            })
            .unwrap()
        };
        let (plain, with) = (draw(false), draw(true));
        let png = |svg: &str| {
            let tree = super::super::raster::tree("t", svg).unwrap();
            super::super::raster::png("t", &tree).unwrap()
        };
        assert!(png(&plain) == png(&with));
        assert!(with.contains("class=\"layer-axis\" data-first=\"0\" data-last=\"29\""));
        assert!(with.contains("<title>a &lt; b: +0.1</title>") && !with.contains("missing"));
        assert_eq!(count(&with, "svg"), 1);
    }

    #[test]
    fn names_cannot_break_out_of_the_svg() {
        let name = "</text><script>\"&'\u{0}";
        let svg = paint("t", (50.0, 50.0), 1.0, name, |c| {
            c.text((1.0, 1.0), name, Type::small(Anchor::Left));
        })
        .unwrap();
        assert_eq!(count(&svg, "script"), 0);
        assert!(super::super::raster::tree("t", &svg).is_ok());
    }
}
