//! Tokens: a text token by token, each on the colour of where it lies on a direction.
//!
//! A panel is a text on a vector at a layer; its tokens flow in lines as they are read. The first
//! token, which in most models holds a value far from all others, sets no colour scale.

use super::axes;
use super::canvas::{Anchor, Canvas, Type};
use super::concept_heatmap::{colour_bar, value_cell};
use super::page::{self, Page, Table};
use super::theme::{self, SMALL};
use super::values::Check;
use super::{Output, Result, Written};

/// Texts on directions.
#[derive(Debug, Clone)]
pub struct TokensData {
    /// Stem of the file names.
    pub name: String,
    /// Title, for the page that shows the figure.
    pub title: String,
    /// Words, for the page that shows the figure: what is read, and n.
    pub caption: String,
    /// What the colours show, with unit.
    pub value_label: String,
    /// The panels, in the order in which they are read.
    pub panels: Vec<TokensPanel>,
}

/// One text on one direction.
#[derive(Debug, Clone)]
pub struct TokensPanel {
    /// Above it.
    pub title: String,
    /// Each token with its value, in order; NaN where it is not known.
    pub tokens: Vec<(String, f64)>,
}

const HEAD: f64 = 14.0;
const LINE: f64 = 12.5;
const CELL: f64 = 10.5;
const GAP: f64 = 1.0;
const BETWEEN: f64 = 7.0;
const BAR: f64 = 28.0;
/// Widest token.
const WIDEST: f64 = 110.0;

/// Draws the figure.
///
/// # Errors
/// Data that cannot be drawn, or a folder that cannot be written.
pub fn draw(data: &TokensData, out: &Output) -> Result<Written> {
    check(data)?;
    let inner = out.points() - 2.0 * page::MARGIN;
    let flows: Vec<Vec<Cell>> = data.panels.iter().map(|p| flow(p, inner)).collect();
    let height =
        |flow: &Vec<Cell>| HEAD + (flow.last().map_or(0, |c| c.line) as f64 + 1.0) * LINE + BETWEEN;
    let body = flows.iter().map(height).sum::<f64>() + BAR;
    let given = [&data.name, &data.title, &data.caption];
    let page = Page::plan(given, Vec::new(), (out.points(), body));
    let later = data.panels.iter().flat_map(|p| p.tokens.iter().skip(1)).map(|t| t.1.abs());
    let limit = later.filter(|v| !v.is_nan()).fold(0.0, f64::max);
    let limit = if limit > 0.0 { limit } else { 1.0 };

    page.draw(out, &table(data), |canvas| {
        let (left, mut top) = (page.body.left, page.body.top);
        for (panel, flow) in data.panels.iter().zip(&flows) {
            axes::heading(canvas, (left, top + HEAD / 2.0), &panel.title, inner);
            for (cell, (_, value)) in flow.iter().zip(&panel.tokens) {
                let place = (left + cell.left, top + HEAD + cell.line as f64 * LINE);
                one(canvas, place, cell, (*value, limit));
            }
            top += height(flow);
        }
        colour_bar(canvas, (left, top + 4.0), &data.value_label, limit, inner);
    })
}

/// Where a token stands.
struct Cell {
    text: String,
    left: f64,
    width: f64,
    line: usize,
}

/// The tokens of a panel in lines of `width` points.
fn flow(panel: &TokensPanel, width: f64) -> Vec<Cell> {
    let (mut left, mut line) = (0.0, 0);
    let mut cells = Vec::new();
    for (token, _) in &panel.tokens {
        let text = theme::shorten(&shown(token), SMALL, false, WIDEST);
        let wide = theme::text_width(&text, SMALL, false) + 3.0;
        if left > 0.0 && left + wide > width {
            (left, line) = (0.0, line + 1);
        }
        cells.push(Cell { text, left, width: wide, line });
        left += wide + GAP;
        if token.ends_with('\n') {
            (left, line) = (0.0, line + 1);
        }
    }
    cells
}

/// A token as it is printed: its blanks and breaks in sight.
fn shown(token: &str) -> String {
    let visible = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c => c.to_string(),
    };
    match token.chars().all(|c| c == ' ') {
        true => "\u{b7}".repeat(token.len().max(1)),
        false => token.trim_matches(' ').chars().map(visible).collect(),
    }
}

fn one(canvas: &mut Canvas, place: (f64, f64), cell: &Cell, value: (f64, f64)) {
    let size = (cell.width, CELL);
    // The number of the cell is in the CSV; its text is the token.
    value_cell(canvas, place, size, value, "");
    let colour = match value.0.is_nan() {
        true => theme::INK,
        false => theme::ink_on(theme::diverging(value.0 / value.1)),
    };
    let face = Type { colour, ..Type::small(Anchor::Left) };
    canvas.text((place.0 + 1.5, place.1 + CELL / 2.0), &cell.text, face);
}

fn check(data: &TokensData) -> Result<()> {
    let check = Check::new(&data.name)?;
    check.not_empty("no texts are given", data.panels.len())?;
    check.distinct(|t| format!("panel `{t}`"), data.panels.iter().map(|p| &p.title))?;
    for panel in &data.panels {
        let values: Vec<f64> = panel.tokens.iter().map(|t| t.1).collect();
        check.finite(&format!("a token of panel `{}`", panel.title), &values)?;
    }
    let all = data.panels.iter().flat_map(|p| &p.tokens).map(|t| &t.1);
    check.any_value("every token is missing", all)
}

fn table(data: &TokensData) -> Table {
    let mut table = Table::new("panel index token value");
    for panel in &data.panels {
        for (i, (token, value)) in panel.tokens.iter().enumerate() {
            table.row(&[&panel.title, &i, token], &[*value]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_flow_in_order_break_at_line_ends_and_stay_in_the_width() {
        theme::register().unwrap();
        let words = "It was a long day,\n and nobody had seen the lamp again";
        let tokens: Vec<(String, f64)> =
            words.split_inclusive([' ', '\n']).map(|t| (t.to_owned(), 0.0)).collect();
        let cells = flow(&TokensPanel { title: String::new(), tokens: tokens.clone() }, 80.0);
        assert_eq!(cells.len(), tokens.len());
        assert!(cells.iter().all(|c| c.left + c.width <= 80.0));
        assert!(cells.windows(2).all(|w| w[0].line <= w[1].line));
        let broken = tokens.iter().position(|t| t.0.ends_with('\n')).unwrap();
        assert!(cells[broken + 1].line > cells[broken].line && cells[broken].text.ends_with("\\n"));
        assert_eq!(shown("  "), "\u{b7}\u{b7}");
    }
}
