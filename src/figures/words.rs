//! Words: what the activations tell apart beside what a bag of words does.
//!
//! A block of rows a concept, a row a layer. A dot is the held-out AUROC of the direction with its
//! interval, a ring that of the lexical baseline on the same folds: where the ring lies at the dot, the
//! direction shows no more than the words that the pairs differ in.

use super::axes::{self, Area, Frame};
use super::canvas::Mark;
use super::page::{self, Key, Page, Table};
use super::rows::Rows;
use super::theme::{Palette, DOT, INK, LINE};
use super::values::Check;
use super::{Estimate, Output, Result, Written};

/// Areas by concept and layer.
#[derive(Debug, Clone)]
pub struct WordsData {
    /// Stem of the file names.
    pub name: String,
    /// Title above the panel.
    pub title: String,
    /// Words below the panel: kinds of intervals, and n.
    pub caption: String,
    /// Rows of a concept stand together.
    pub rows: Vec<WordsRow>,
}

/// One concept at one layer.
#[derive(Debug, Clone)]
pub struct WordsRow {
    /// Name of the concept.
    pub concept: String,
    /// Layer, in words.
    pub layer: String,
    /// Held-out AUROC of the direction.
    pub area: Estimate,
    /// That of the lexical baseline.
    pub words: f64,
}

const HEAD: f64 = 13.0;
const ROW: f64 = 11.0;

/// Draws the figure; `palette` is that of the concepts.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &WordsData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let pairs: Vec<_> = data.rows.iter().map(|r| (&*r.concept, &*r.layer)).collect();
    let rows = Rows::new(&pairs, HEAD, ROW);
    let panel = rows.height + 3.0;
    let words: Vec<Estimate> = data.rows.iter().map(|r| Estimate::point(r.words)).collect();
    let shown = data.rows.iter().map(|r| &r.area).chain(&words);
    let (low, _) = axes::range_of_all(shown);
    let range = axes::padded((low.min(0.5), 1.0), 0.04);
    let legend = vec![
        (Key::Mark(INK, Mark::Dot), "direction, 95 % interval".into()),
        (Key::Mark(INK, Mark::Ring), "bag of words".into()),
    ];
    let body = panel + axes::X_AXIS;
    let page = Page::plan([&data.name, &data.title, &data.caption], legend, (out.points(), body));
    let left =
        page.body.left + page::label_width(rows.groups.iter().map(|g| g.1), out.name()) + 8.0;
    let (top, right) = (page.body.top, page.body.right);
    let ticks = axes::ticks(range, 6);
    let colours = palette.colours(rows.groups.iter().map(|g| g.1));

    page.draw(out, &table(data), |canvas| {
        rows.names(canvas, (page.body.left, left - 3.0), top);
        let area = Area::new((left, right), (top, top + panel));
        let frame = Frame::of_rows(area, (range, &ticks, "held-out AUROC", true));
        frame.draw(canvas);
        for (row, (y, ..)) in data.rows.iter().zip(&rows.rows) {
            let (y, colour) = (top + y, colours[&*row.concept]);
            let bare = Estimate::point(row.words);
            frame.on_row(canvas, &bare, y, colour, (Mark::Ring, DOT * 1.2, LINE));
            frame.on_row(canvas, &row.area, y, colour, (Mark::Dot, DOT * 1.1, LINE));
        }
    })
}

fn check(data: &WordsData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no rows are given", data.rows.len())?;
    let named = |r: &WordsRow| (r.concept.clone(), r.layer.clone());
    check.distinct(|(c, l)| format!("`{c}` at {l}"), data.rows.iter().map(named))?;
    for r in &data.rows {
        check.estimates(&format!("`{}` at {}", r.concept, r.layer), &[r.area])?;
    }
    let words: Vec<f64> = data.rows.iter().map(|r| r.words).collect();
    check.numbers("the lexical baseline", words.len(), &words)?;
    check.any_value("every area is missing", data.rows.iter().map(|r| &r.area.value))
}

fn table(data: &WordsData) -> Table {
    let mut table = Table::new("concept layer value lo hi bag_of_words");
    for r in &data.rows {
        let [value, lo, hi] = r.area.numbers();
        table.row(&[&r.concept, &r.layer], &[value, lo, hi, r.words]);
    }
    table
}
