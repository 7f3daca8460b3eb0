//! The page around a figure: its legend, its body, and its files.
//!
//! A page is planned before it is drawn: the legend flows in rows above the
//! panels, and what is left is the body in which a figure places its panels.
//! Nothing of the page can therefore cover data, however long the names are.
//! Title and caption are not drawn: they are words of the page or slide that
//! shows the figure, and go into [`Written`].
//!
//! Files appear whole or not at all. The CSV is tidy: one row for each thing
//! that is drawn.

use std::fmt::Display;

use plotters::style::{Color, RGBColor};

use super::axes::{self, Area};
use super::canvas::{self, Anchor, Canvas, Mark, Point, Type};
use super::theme::{self, DOT, LINE, MUTED, SMALL};
use super::values::number;
use super::{pdf, raster, FigureError, Format, Output, Result, Written};

/// What stands before a legend's text.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Line(RGBColor),
    ThinLine(RGBColor),
    /// With a point on it.
    Series(RGBColor, Mark),
    DashedLine(RGBColor),
    /// Colour and opacity.
    Band(RGBColor, f64),
    Mark(RGBColor, Mark),
    SmallDot(RGBColor),
    Box(RGBColor),
    /// An upright tick on the bar of its interval.
    Tick(RGBColor),
}

/// An entry of the legend.
pub type Entry = (Key, String);

/// The legend of a figure and where its panels go.
pub struct Page<'a> {
    /// Name, title and caption as given.
    given: [&'a str; 3],
    size: Point,
    legend: Vec<(Point, Entry)>,
    /// Where panels may be drawn.
    pub body: Area,
}

/// White around everything.
pub const MARGIN: f64 = 3.0;
const KEY: f64 = 14.0;
const KEY_GAP: f64 = 3.5;
const ENTRY_GAP: f64 = 11.0;
const ROW: f64 = 11.0;

impl<'a> Page<'a> {
    /// Plans a page for a figure of this name, title and caption, whose panels take `body` points of
    /// height.
    pub fn plan(given: [&'a String; 3], legend: Vec<Entry>, (width, body): (f64, f64)) -> Page<'a> {
        let given = given.map(String::as_str);
        let inner = width - 2.0 * MARGIN;
        let mut y = MARGIN;
        let mut placed = Vec::new();
        let mut x = MARGIN;
        for (key, text) in legend {
            let text = theme::shorten(&text, SMALL, false, inner - KEY - KEY_GAP);
            let wide = KEY + KEY_GAP + theme::text_width(&text, SMALL, false);
            if x > MARGIN && x + wide > width - MARGIN {
                x = MARGIN;
                y += ROW;
            }
            placed.push(((x, y + ROW / 2.0), (key, text)));
            x += wide + ENTRY_GAP;
        }
        if !placed.is_empty() {
            y += ROW + 3.0;
        }
        let size = (width, y + body + MARGIN);
        let body = Area::new((MARGIN, width - MARGIN), (y, y + body));
        Page { given, size, legend: placed, body }
    }

    /// Draws the legend and then the panels, and writes the files of the figure.
    pub fn draw(
        &self,
        out: &Output,
        table: &Table,
        panels: impl FnOnce(&mut Canvas),
    ) -> Result<Written> {
        let [name, title, caption] = self.given;
        let mut written = Written {
            name: name.into(),
            title: title.into(),
            caption: caption.into(),
            files: Vec::new(),
        };
        if !out.wants(name) {
            return Ok(written);
        }
        let svg = canvas::paint(name, self.size, out.zoom(), title, |canvas| {
            for ((x, y), (key, text)) in &self.legend {
                draw_key(canvas, (*x, *y), *key);
                canvas.text((x + KEY + KEY_GAP, *y), text, Type::small(Anchor::Left));
            }
            panels(canvas);
        })?;
        let csv = table
            .bytes()
            .map_err(|e| FigureError::Draw { figure: name.into(), reason: e.to_string() })?;
        let mut put = |ending: &str, bytes: &[u8]| -> Result<()> {
            let path = out.dir.join(format!("{name}.{ending}"));
            let failed = |source| FigureError::File { figure: name.into(), source };
            crate::store::atomic::write(&path, bytes).map_err(failed)?;
            written.files.push(path);
            Ok(())
        };
        for format in &out.formats {
            match format {
                Format::Svg => put(format.name(), svg.as_bytes())?,
                Format::Png => put(format.name(), &raster::png(name, &raster::tree(name, &svg)?)?)?,
                Format::Pdf => {
                    put(format.name(), &pdf::pdf(name, &raster::tree(name, &svg)?, title)?)?
                }
            }
        }
        put("csv", &csv)?;
        Ok(written)
    }
}

fn draw_key(canvas: &mut Canvas, (x, y): Point, key: Key) {
    let ends = [(x, y), (x + KEY, y)];
    let middle = (x + KEY / 2.0, y);
    match key {
        Key::Line(colour) => canvas.line(&ends, colour, LINE),
        Key::ThinLine(colour) => canvas.line(&ends, colour, theme::THIN),
        Key::Series(colour, mark) => {
            canvas.line(&ends, colour, LINE);
            canvas.mark(middle, DOT, colour, mark);
        }
        Key::DashedLine(colour) => canvas.dashed(ends, colour, theme::THIN),
        Key::Band(colour, opacity) => {
            canvas.rect((x, y - 3.0), (x + KEY, y + 3.0), colour.mix(opacity));
        }
        Key::Mark(colour, mark) => canvas.mark(middle, DOT, colour, mark),
        Key::SmallDot(colour) => canvas.mark(middle, 0.9, colour, Mark::Dot),
        Key::Box(colour) => {
            let (from, to) = ((middle.0 - 3.5, y - 3.5), (middle.0 + 3.5, y + 3.5));
            canvas.outline(from, to, colour, LINE);
        }
        Key::Tick(colour) => {
            canvas.line(&ends, colour, theme::THIN);
            tick(canvas, middle, colour);
        }
    }
}

/// An upright tick around `middle`.
pub fn tick(canvas: &mut Canvas, (x, y): Point, colour: RGBColor) {
    canvas.line(&[(x, y - 2.2), (x, y + 2.2)], colour, LINE);
}

/// The legend's entry for layers that are marked, if any are.
pub fn layers_chosen(layers: &[usize]) -> Option<Entry> {
    let list: Vec<String> = layers.iter().map(usize::to_string).collect();
    let noun = if list.len() == 1 { "layer" } else { "layers" };
    let text = format!("chosen {noun} ({})", list.join(", "));
    (!list.is_empty()).then_some((Key::DashedLine(MUTED), text))
}

/// Row labels of a body: the width that the longest takes, at most `most`.
pub fn label_width<'a>(labels: impl IntoIterator<Item = &'a str>, most: f64) -> f64 {
    let wide = labels.into_iter().map(|text| theme::text_width(text, SMALL, false));
    wide.fold(0.0, f64::max).min(most)
}

/// `count` panels of a height row by row, each with room for words above and a gap below.
pub struct Grid {
    count: usize,
    across: usize,
    /// From left to right.
    pub columns: Vec<(f64, f64)>,
    head: f64,
    panel: f64,
    gap: f64,
}

impl Grid {
    /// In as many columns as there are.
    pub fn new(count: usize, columns: Vec<(f64, f64)>, [head, panel, gap]: [f64; 3]) -> Self {
        Grid { count, across: columns.len(), columns, head, panel, gap }
    }

    /// Width of a panel.
    pub fn wide(&self) -> f64 {
        self.columns[0].1 - self.columns[0].0
    }

    /// Height of all rows.
    pub fn height(&self) -> f64 {
        let rows = self.count.div_ceil(self.across) as f64;
        rows * (self.head + self.panel + self.gap) - self.gap
    }

    /// Where a panel stands in the body of a page.
    pub fn area(&self, index: usize, body: &Area) -> Area {
        let row = (index / self.across) as f64;
        let top = body.top + self.head + row * (self.head + self.panel + self.gap);
        Area::new(self.columns[index % self.across], (top, top + self.panel))
    }

    /// One label for the bottom axes of all panels.
    pub fn x_label(&self, canvas: &mut Canvas, body: &Area, text: &str) {
        let (left, right) = (self.columns[0].0, self.columns[self.across - 1].1);
        let place = ((left + right) / 2.0, body.bottom - 7.0);
        axes::label_within(canvas, place, text, (body.left, body.right));
    }

    /// Whether a panel has none underneath, and whether it is the first of its row.
    pub fn at_edge(&self, index: usize) -> (bool, bool) {
        (index + self.across >= self.count, index.is_multiple_of(self.across))
    }
}

/// Splits `width` at `left` into `count` columns with `gap` between.
pub fn columns(left: f64, width: f64, count: usize, gap: f64) -> Vec<(f64, f64)> {
    let each = (width - gap * (count as f64 - 1.0)) / count as f64;
    let starts = (0..count).map(|i| left + i as f64 * (each + gap));
    starts.map(|from| (from, from + each)).collect()
}

/// How many of `count` small panels of one kind, one a condition or concept, stand abreast.
pub fn multiples(count: usize, out: &Output) -> usize {
    match (out.narrow(), count) {
        (true, 0..=2) | (false, 0..=4) => count.max(1),
        (true, 3..=6) => 2,
        (true, _) | (false, 5 | 6 | 9) => 3,
        (false, _) => 4,
    }
}

/// How many of `count` panels stand abreast.
pub fn abreast(count: usize, out: &Output) -> usize {
    match (out.narrow(), count) {
        (_, 0 | 1) | (true, 2) => 1,
        (true, _) | (false, 2 | 4) => 2,
        (false, _) => 3,
    }
}

/// The rows of a figure's CSV.
pub struct Table {
    header: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Of columns, whose names hold no blank.
    pub fn new(header: &'static str) -> Self {
        Table { header, rows: Vec::new() }
    }

    /// Adds a row; a missing number is an empty field.
    pub fn row(&mut self, words: &[&dyn Display], numbers: &[f64]) {
        let words = words.iter().map(|w| w.to_string());
        self.rows.push(words.chain(numbers.iter().map(|v| number(*v))).collect());
    }

    fn bytes(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.header.split(' '))?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_flows_into_rows_and_stays_on_the_page() {
        theme::register().unwrap();
        let entries: Vec<Entry> = (0..14)
            .map(|i| (Key::Line(theme::INK), format!("a rather long condition name {i}")))
            .collect();
        let words = ["t", "title", "caption"].map(str::to_owned);
        let wide = Output::to("").points();
        let page = Page::plan(words.each_ref(), entries, (wide, 100.0));
        let rows: std::collections::BTreeSet<i64> =
            page.legend.iter().map(|((_, y), _)| (*y * 10.0) as i64).collect();
        assert!(rows.len() > 1);
        for ((x, y), (_, text)) in &page.legend {
            let right = x + KEY + KEY_GAP + theme::text_width(text, SMALL, false);
            assert!(right <= wide && *y < page.body.top);
        }
    }

    #[test]
    fn columns_fill_the_width() {
        let list = columns(10.0, 100.0, 3, 5.0);
        assert_eq!(list.len(), 3);
        assert!((list[2].1 - 110.0).abs() < 1e-9);
        assert!(list.windows(2).all(|w| (w[1].0 - w[0].1 - 5.0).abs() < 1e-9));
    }
}
