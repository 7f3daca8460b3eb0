//! Forest: estimates with their intervals, one a row, over what they are compared with.
//!
//! Rows stand in groups, in one or more panels. A row shows an estimate with its interval, the band of a
//! null, the values of single controls, or several of these; a word or number may stand at its end. Bounds
//! of equivalence are a band behind all rows of a panel. Two panels stand abreast where the figure is wide,
//! each with a scale of its own.

use plotters::style::RGBColor;

use super::axes::{self, Area, Frame, Tick};
use super::canvas::{Anchor, Canvas, Mark, Type};
use super::page::{self, Entry, Key, Page, Table};
use super::rows::Rows;
use super::theme::{
    self, Palette, DOT, GRID, HAIR, INK, LINE, MUTED, NORMAL, NULLS, RULE, SMALL, THIN,
};
use super::values::Check;
use super::{Estimate, Output, Result, Written};
use crate::store::values::distinct;

/// Panels of rows.
#[derive(Debug, Clone)]
pub struct ForestData {
    /// Stem of the file names.
    pub name: String,
    /// Title, for the page that shows the figure.
    pub title: String,
    /// Words, for the page that shows the figure: kinds of intervals and nulls, and n.
    pub caption: String,
    /// What a ring in place of a dot is.
    pub hollow: String,
    /// What the grey band of a row is.
    pub null: String,
    /// What the grey dots of a row are.
    pub controls: String,
    /// The panels, in the order in which they are read.
    pub panels: Vec<ForestPanel>,
}

/// Rows on one scale.
#[derive(Debug, Clone)]
pub struct ForestPanel {
    /// Above it.
    pub title: String,
    /// Label of its axis, with unit.
    pub x_label: String,
    /// Bound of equivalence; NaN for none.
    pub bound: f64,
    /// From top to bottom; those of a group stand together.
    pub rows: Vec<ForestRow>,
}

/// What stands in one row.
#[derive(Debug, Clone)]
pub struct ForestRow {
    /// Heading under which it stands; empty in every row of a panel for no headings.
    pub group: String,
    /// Name of the row.
    pub name: String,
    /// Condition or concept whose colour it takes; empty for ink.
    pub of: String,
    /// With its interval.
    pub estimate: Estimate,
    /// Whether the estimate is a ring.
    pub hollow: bool,
    /// Ends of a null's band; NaN for none.
    pub null: (f64, f64),
    /// Values of single controls.
    pub controls: Vec<f64>,
    /// At the end of the row; empty for nothing.
    pub text: String,
}

const HEAD: f64 = 14.0;
const GROUP: f64 = 12.5;
const ROW: f64 = 11.0;
const GAP_X: f64 = 16.0;
const BETWEEN: f64 = 12.0;
const INDENT: f64 = 6.0;
/// Shares of a panel that names and texts may take.
const NAMES: f64 = 0.45;
const TEXTS: f64 = 0.22;

/// Draws the figure; `palette` is that of what the rows are of.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &ForestData, palette: &Palette, out: &Output) -> Result<Written> {
    check(data)?;
    let across = if out.narrow() { 1 } else { data.panels.len().min(2) };
    let inner = out.points() - 2.0 * page::MARGIN;
    let columns = page::columns(page::MARGIN, inner, across, GAP_X);
    let plans: Vec<Plan> =
        data.panels.iter().map(|p| Plan::new(p, columns[0].1 - columns[0].0)).collect();
    // Panels abreast are as high as the higher one.
    let heights: Vec<f64> = (plans.chunks(across))
        .map(|row| row.iter().map(Plan::height).fold(0.0, f64::max))
        .collect();
    let body = heights.iter().sum::<f64>() + BETWEEN * (heights.len() as f64 - 1.0);
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, legend(data), (out.points(), body));
    let names = data.panels.iter().flat_map(|p| &p.rows).map(|r| r.of.as_str());
    let colours = palette.colours(distinct(names.filter(|n| !n.is_empty())));

    page.draw(out, &table(data), |canvas| {
        let mut top = page.body.top;
        for (row, height) in plans.chunks(across).zip(&heights) {
            for (plan, column) in row.iter().zip(&columns) {
                plan.draw(canvas, (*column, top), |of| colours.get(of).copied().unwrap_or(INK));
            }
            top += height + BETWEEN;
        }
    })
}

/// One panel with its measures.
struct Plan<'a> {
    panel: &'a ForestPanel,
    rows: Rows<'a>,
    /// Widths of names and of texts.
    names: f64,
    texts: f64,
    range: (f64, f64),
    ticks: Vec<Tick>,
}

impl<'a> Plan<'a> {
    fn new(panel: &'a ForestPanel, width: f64) -> Self {
        let pairs: Vec<_> = panel.rows.iter().map(|r| (&*r.group, &*r.name)).collect();
        let grouped = panel.rows.iter().any(|r| !r.group.is_empty());
        let rows = Rows::new(&pairs, if grouped { GROUP } else { 0.0 }, ROW);
        let headings = rows.groups.iter().map(|g| theme::text_width(g.1, NORMAL, true));
        let longest = page::label_width(rows.rows.iter().map(|r| r.2), f64::INFINITY) + INDENT;
        let names = headings.fold(longest, f64::max).min(width * NAMES) + 5.0;
        let texts = page::label_width(panel.rows.iter().map(|r| &*r.text), width * TEXTS);
        let texts = if texts > 0.0 { texts + 6.0 } else { 4.0 };
        let values = panel.rows.iter().flat_map(|r| {
            let ends = [r.null.0, r.null.1];
            r.estimate.numbers().into_iter().chain(ends).chain(r.controls.iter().copied())
        });
        let bounds = [panel.bound, -panel.bound, 0.0];
        let range = axes::padded(axes::range_of(values.chain(bounds)), 0.05);
        let ticks = axes::ticks(range, ((width - names - texts) / 26.0) as usize);
        Plan { panel, rows, names, texts, range, ticks }
    }

    fn height(&self) -> f64 {
        HEAD + self.rows.height + 3.0 + axes::X_AXIS
    }

    fn draw(
        &self,
        canvas: &mut Canvas,
        ((left, right), top): ((f64, f64), f64),
        colour: impl Fn(&str) -> RGBColor,
    ) {
        let top = top + HEAD;
        let across = (left + self.names, right - self.texts);
        let area = Area::new(across, (top, top + self.rows.height + 3.0));
        // The label may be wider than its axis, but must stay in the panel.
        let middle = (across.0 + across.1) / 2.0;
        let room = 2.0 * (middle - left).min(right - middle);
        let label = theme::shorten(&self.panel.x_label, NORMAL, false, room);
        let frame = Frame::of_rows(area, (self.range, &self.ticks, &label, true));
        let bounds = Some(self.panel.bound).filter(|b| *b > 0.0);
        let bounds = bounds.map(|b| [-b, b].map(|end| frame.x.at(end)));
        if let Some([lo, hi]) = bounds {
            canvas.rect((lo, area.top), (hi, area.bottom), GRID);
        }
        frame.draw(canvas);
        // Over the grid, which may have a line at a bound.
        for x in bounds.into_iter().flatten() {
            canvas.dashed([(x, area.top), (x, area.bottom)], MUTED, THIN);
        }
        axes::heading(canvas, (left, top - 7.0), &self.panel.title, right - left);
        for (y, name) in self.rows.groups.iter().filter(|g| !g.1.is_empty()) {
            canvas.line(&[(left, top + y), (area.right, top + y)], RULE, HAIR);
            axes::heading(canvas, (left, top + y + GROUP * 0.55), name, self.names - 2.0);
        }
        frame.zero_x(canvas);
        for (y, group, name) in &self.rows.rows {
            let own = |r: &&ForestRow| r.group == *group && r.name == *name;
            let Some(row) = self.panel.rows.iter().find(own) else { continue };
            let y = top + y;
            let text = theme::shorten(name, SMALL, false, self.names - INDENT - 3.0);
            canvas.text((left + INDENT, y), &text, Type::small(Anchor::Left));
            one(canvas, &frame, row, y, colour(&row.of));
            if !row.text.is_empty() {
                let text = theme::shorten(&row.text, SMALL, false, self.texts - 6.0);
                canvas.text((area.right + 5.0, y), &text, Type::small(Anchor::Left));
            }
        }
    }
}

/// What stands in a row.
fn one(canvas: &mut Canvas, frame: &Frame, row: &ForestRow, y: f64, colour: RGBColor) {
    let (lo, hi) = row.null;
    if !(lo + hi).is_nan() {
        let half = ROW * 0.32;
        canvas.rect((frame.x.at(lo), y - half), (frame.x.at(hi), y + half), NULLS[0]);
    }
    for (i, value) in row.controls.iter().enumerate() {
        let apart = [0.0, 1.8, -1.8][i % 3];
        canvas.mark((frame.x.at(*value), y + apart), DOT * 0.55, RULE, Mark::Dot);
    }
    let mark = if row.hollow { Mark::Ring } else { Mark::Dot };
    frame.on_row(canvas, &row.estimate, y, colour, (mark, DOT, LINE * 0.8));
}

fn legend(data: &ForestData) -> Vec<Entry> {
    let rows = || data.panels.iter().flat_map(|p| &p.rows);
    let shown = [
        (Key::Mark(INK, Mark::Ring), &data.hollow, rows().any(|r| r.hollow)),
        (Key::Band(NULLS[0], 1.0), &data.null, rows().any(|r| !(r.null.0 + r.null.1).is_nan())),
        (Key::SmallDot(RULE), &data.controls, rows().any(|r| !r.controls.is_empty())),
    ];
    let known = shown.into_iter().filter(|(_, text, any)| *any && !text.is_empty());
    let mut entries: Vec<Entry> = known.map(|(key, text, _)| (key, text.clone())).collect();
    if data.panels.iter().any(|p| p.bound > 0.0) {
        entries.push((Key::Band(GRID, 1.0), "bounds of equivalence".into()));
    }
    entries
}

fn check(data: &ForestData) -> Result<()> {
    let check = Check::new(&data.name)?;
    let rows = || data.panels.iter().flat_map(|p| &p.rows);
    check.not_empty("no rows are given", rows().count())?;
    for panel in &data.panels {
        let title = &panel.title;
        check.not_empty(&format!("panel `{title}` has no rows"), panel.rows.len())?;
        check.finite(&format!("the bound of panel `{title}`"), &[panel.bound])?;
        check.distinct(
            |(group, name)| format!("row `{name}` of `{group}` in panel `{title}`"),
            panel.rows.iter().map(|r| (&r.group, &r.name)),
        )?;
    }
    for row in rows() {
        let what = format!("row `{}` of `{}`", row.name, row.group);
        check.estimates(&what, &[row.estimate])?;
        let (value, (lo, hi)) = (f64::NAN, row.null);
        check.estimates(&format!("the null of {what}"), &[Estimate { value, lo, hi }])?;
        check.finite(&format!("a control of {what}"), &row.controls)?;
    }
    let values = rows().flat_map(|r| [&r.estimate.value, &r.null.0].into_iter().chain(&r.controls));
    check.any_value("every value is missing", values)
}

fn table(data: &ForestData) -> Table {
    let mut table = Table::new("panel unit group row kind text value lo hi");
    for panel in &data.panels {
        let words = (&panel.title, &panel.x_label);
        if panel.bound > 0.0 {
            let numbers = [f64::NAN, -panel.bound, panel.bound];
            table.row(&[words.0, words.1, &"", &"", &"bounds", &""], &numbers);
        }
        for row in &panel.rows {
            let mut add = |kind: &str, text: &str, numbers: [f64; 3]| {
                table.row(&[words.0, words.1, &row.group, &row.name, &kind, &text], &numbers);
            };
            if !row.estimate.is_missing() || row.estimate.has_interval() {
                let kind = if row.hollow { "hollow" } else { "estimate" };
                add(kind, &row.text, row.estimate.numbers());
            }
            if !(row.null.0 + row.null.1).is_nan() {
                add("null", &row.text, [f64::NAN, row.null.0, row.null.1]);
            }
            for value in &row.controls {
                add("control", "", [*value, f64::NAN, f64::NAN]);
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::samples::sets;
    use super::super::FigureError;
    use super::*;

    #[test]
    fn every_number_of_a_row_is_in_the_csv_and_bounds_and_controls_are_told_from_estimates() {
        let data = sets::forest(4, &["one", "two"], &["base", "conscious"]);
        let dir = tempfile::tempdir().unwrap();
        let written = draw(&data, &Palette::default(), &Output::to(dir.path())).unwrap();
        let mut reader = csv::Reader::from_path(written.file("csv").unwrap()).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
        let of = |kind: &str| rows.iter().filter(|r| &r[4] == kind).count();
        assert_eq!((of("estimate"), of("hollow")), (4 * 3, 4));
        assert_eq!((of("null"), of("control"), of("bounds")), (4, 4 * 5, 1));
        let first = &data.panels[0].rows[0];
        let row = rows.iter().find(|r| &r[4] == "estimate").unwrap();
        let numbers: Vec<f64> = (6..9).map(|i| row[i].parse().unwrap()).collect();
        assert_eq!(numbers, first.estimate.numbers());
        assert_eq!((&row[2], &row[3], &row[5]), ("one", "base", "equivalent"));
    }

    #[test]
    fn a_row_that_is_given_twice_or_holds_nothing_known_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |change: &dyn Fn(&mut ForestData)| {
            let mut data = sets::forest(1, &["one"], &["base", "conscious"]);
            change(&mut data);
            draw(&data, &Palette::default(), &Output::to(dir.path())).unwrap_err()
        };
        let twice = refused(&|d| d.panels[0].rows[1].name = "base".into());
        assert!(matches!(twice, FigureError::Twice { .. }), "{twice}");
        let swapped = refused(&|d| d.panels[0].rows[0].null = (1.0, -1.0));
        assert!(matches!(swapped, FigureError::Interval { .. }), "{swapped}");
        let empty = refused(&|d| d.panels.clear());
        assert!(matches!(empty, FigureError::Empty { .. }), "{empty}");
    }
}
