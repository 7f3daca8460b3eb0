//! The page around a figure: title, legend, caption, and the three files.
//!
//! A page is planned before it is drawn: title and caption are wrapped to the
//! width, the legend flows in rows between title and panels, and what is left
//! is the body in which a figure places its panels. Nothing of the page can
//! therefore cover data, however long the names are.
//!
//! Files appear whole or not at all. The CSV is tidy: one row for each thing
//! that is drawn.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use plotters::style::{Color, RGBColor};

use super::axes::Area;
use super::canvas::{self, Anchor, Canvas, Mark, Type};
use super::theme::{self, DOT, INK, LEADING, LINE, MUTED, SMALL, TITLE};
use super::values::number;
use super::{raster, FigureError, Written};

/// What stands before a legend's text.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    Line(RGBColor),
    ThinLine(RGBColor),
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

/// The words of a figure and where they stand.
pub struct Page {
    width: f64,
    height: f64,
    title: Vec<String>,
    caption: Vec<String>,
    legend: Vec<(f64, f64, Entry)>,
    body: Area,
}

/// White around everything.
pub const MARGIN: f64 = 3.0;
const KEY: f64 = 14.0;
const KEY_GAP: f64 = 3.5;
const ENTRY_GAP: f64 = 11.0;
const ROW: f64 = 11.0;

impl Page {
    /// Plans a page whose panels take `body` points of height.
    pub fn plan(
        figure: &str,
        (title, caption): (&str, &str),
        legend: Vec<Entry>,
        (width, body): (f64, f64),
    ) -> Result<Page, FigureError> {
        register(figure)?;
        let inner = width - 2.0 * MARGIN;
        let title = theme::wrap(title, TITLE, true, inner);
        let caption = theme::wrap(caption, SMALL, false, inner);
        let mut y = MARGIN + title.len() as f64 * TITLE * LEADING + 4.0;
        let mut placed = Vec::new();
        let mut x = MARGIN;
        let any = !legend.is_empty();
        for (key, text) in legend {
            let text = theme::shorten(&text, SMALL, false, inner - KEY - KEY_GAP);
            let wide = KEY + KEY_GAP + theme::text_width(&text, SMALL, false);
            if x > MARGIN && x + wide > width - MARGIN {
                x = MARGIN;
                y += ROW;
            }
            placed.push((x, y + ROW / 2.0, (key, text)));
            x += wide + ENTRY_GAP;
        }
        if any {
            y += ROW + 3.0;
        }
        let bottom = y + body;
        let words = caption.len() as f64 * SMALL * LEADING;
        let height = bottom + if caption.is_empty() { 0.0 } else { 6.0 + words } + MARGIN;
        Ok(Page {
            width,
            height,
            title,
            caption,
            legend: placed,
            body: Area::new((MARGIN, width - MARGIN), (y, bottom)),
        })
    }

    /// Where panels may be drawn.
    pub fn body(&self) -> Area {
        self.body
    }

    /// Draws the page's words and then the panels; returns the SVG.
    pub fn paint(
        &self,
        figure: &str,
        panels: impl FnOnce(&mut Canvas),
    ) -> Result<String, FigureError> {
        let size = (self.width, self.height);
        canvas::paint(figure, size, &self.title.join(" "), |canvas| {
            self.words(canvas);
            panels(canvas);
        })
    }

    fn words(&self, canvas: &mut Canvas) {
        for (i, line) in self.title.iter().enumerate() {
            let y = MARGIN + (i as f64 + 0.5) * TITLE * LEADING;
            let face = Type { size: TITLE, bold: true, colour: INK, ..Type::small(Anchor::Left) };
            canvas.text((MARGIN, y), line, face);
        }
        for (x, y, (key, text)) in &self.legend {
            draw_key(canvas, (*x, *y), *key);
            canvas.text((x + KEY + KEY_GAP, *y), text, Type::small(Anchor::Left));
        }
        for (i, line) in self.caption.iter().enumerate() {
            let y = self.body.bottom + 6.0 + (i as f64 + 0.5) * SMALL * LEADING;
            let face = Type { colour: MUTED, ..Type::small(Anchor::Left) };
            canvas.text((MARGIN, y), line, face);
        }
    }
}

fn draw_key(canvas: &mut Canvas, (x, y): (f64, f64), key: Key) {
    let ends = [(x, y), (x + KEY, y)];
    let middle = (x + KEY / 2.0, y);
    match key {
        Key::Line(colour) => canvas.line(&ends, colour.to_rgba(), LINE),
        Key::ThinLine(colour) => canvas.line(&ends, colour.to_rgba(), theme::THIN),
        Key::DashedLine(colour) => {
            canvas.dashed(ends[0], ends[1], colour.to_rgba(), theme::THIN, 2.0);
        }
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
            canvas.line(&ends, colour.to_rgba(), theme::THIN);
            tick(canvas, middle, colour);
        }
    }
}

/// An upright tick around `middle`.
pub fn tick(canvas: &mut Canvas, (x, y): (f64, f64), colour: RGBColor) {
    canvas.line(&[(x, y - 2.2), (x, y + 2.2)], colour.to_rgba(), LINE);
}

/// The legend's words for layers that are marked.
pub fn layers_chosen(layers: &[usize]) -> String {
    let list: Vec<String> = layers.iter().map(usize::to_string).collect();
    let noun = if list.len() == 1 { "layer" } else { "layers" };
    format!("chosen {noun} ({})", list.join(", "))
}

/// Makes the embedded font known; needed before any text is measured.
pub fn register(figure: &str) -> Result<(), FigureError> {
    theme::register().map_err(|font| FigureError::Font { figure: figure.to_owned(), font })
}

/// Row labels of a body: the width that the longest takes, at most `most`.
pub fn label_width<'a>(labels: impl IntoIterator<Item = &'a str>, most: f64) -> f64 {
    labels
        .into_iter()
        .map(|text| theme::text_width(text, SMALL, false))
        .fold(0.0, f64::max)
        .min(most)
}

/// Splits `width` at `left` into `count` columns with `gap` between.
pub fn columns(left: f64, width: f64, count: usize, gap: f64) -> Vec<(f64, f64)> {
    let each = (width - gap * (count as f64 - 1.0)) / count as f64;
    (0..count)
        .map(|i| {
            let from = left + i as f64 * (each + gap);
            (from, from + each)
        })
        .collect()
}

/// The width of a figure of `count` panels and how many of them stand abreast:
/// one panel takes a column of two, more take the page.
pub fn grid(count: usize) -> (f64, usize) {
    match count {
        0 | 1 => (theme::NARROW, 1),
        2 | 4 => (theme::WIDE, 2),
        _ => (theme::WIDE, 3),
    }
}

/// The rows of a figure's CSV.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Of columns, whose names hold no blank.
    pub fn new(header: &'static str) -> Self {
        Table { header: header.split(' ').collect(), rows: Vec::new() }
    }

    /// Adds a row; a missing number is an empty field.
    pub fn row(&mut self, words: &[&dyn Display], numbers: &[f64]) {
        let words = words.iter().map(|w| w.to_string());
        let row = words.chain(numbers.iter().map(|v| number(*v)));
        self.rows.push(row.collect());
    }

    fn bytes(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.header)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
    }
}

/// Writes the three files of a figure into `dir`, which is made if it is not
/// there.
pub fn write(
    dir: &Path,
    name: &str,
    (title, caption): (&str, &str),
    svg: &str,
    table: &Table,
) -> Result<Written, FigureError> {
    let png = raster::png(name, svg)?;
    let csv = table
        .bytes()
        .map_err(|e| FigureError::Draw { figure: name.to_owned(), reason: e.to_string() })?;
    let put = |ending: &str, bytes: &[u8]| -> Result<PathBuf, FigureError> {
        let path = dir.join(format!("{name}.{ending}"));
        let failed = |source| FigureError::File { figure: name.to_owned(), source };
        crate::store::atomic::write(&path, bytes).map_err(failed)?;
        Ok(path)
    };
    Ok(Written {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        svg: put("svg", svg.as_bytes())?,
        png: put("png", &png)?,
        csv: put("csv", &csv)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_flows_into_rows_and_stays_on_the_page() {
        let entries: Vec<Entry> = (0..14)
            .map(|i| (Key::Line(INK), format!("a rather long condition name {i}")))
            .collect();
        let page = Page::plan("t", ("title", "caption"), entries, (theme::WIDE, 100.0)).unwrap();
        let rows: std::collections::BTreeSet<i64> =
            page.legend.iter().map(|(_, y, _)| (*y * 10.0) as i64).collect();
        assert!(rows.len() > 1);
        for (x, y, (_, text)) in &page.legend {
            let right = x + KEY + KEY_GAP + theme::text_width(text, SMALL, false);
            assert!(right <= theme::WIDE && *y < page.body.top);
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
