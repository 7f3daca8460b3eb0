//! `report.html`: one file that needs no other.
//!
//! The template's `.html` name turns on escaping for all that it prints. Two
//! things pass as they stand: the SVG of each figure, read from its file and
//! checked to be one, and the embedded font as base64, without which the
//! figures' text would be set in whatever the reader's machine has and could
//! run into its neighbours. The page has no script and asks the network for
//! nothing.

use std::path::Path;

use base64::prelude::{Engine, BASE64_STANDARD};
use minijinja::{context, Environment, Value};

use super::{ReportData, ReportError};
use crate::figures::theme::{BOLD_TTF, REGULAR_TTF};

const TEMPLATE: &str = include_str!("report.html");

pub(super) fn render(data: &ReportData, dir: &Path) -> Result<String, ReportError> {
    let figures = (data.figures.iter())
        .map(|f| Ok(context! { title => f.title, caption => f.caption, svg => inline(&dir.join(&f.svg))? }))
        .collect::<Result<Vec<_>, ReportError>>()?;
    let tables = data.tables.iter().map(|table| {
        let column = |c: usize| table.rows.iter().map(move |row| row[c].as_str());
        let numbers: Vec<bool> = (0..table.columns.len()).map(|c| is_numeric(column(c))).collect();
        // A cell and whether it is set as a number.
        let cells = |texts: &Vec<String>| -> Vec<Value> {
            let each = texts.iter().zip(&numbers);
            each.map(|(text, number)| context! { text, number }).collect()
        };
        let (head, rows) = (cells(&table.columns), table.rows.iter().map(cells));
        let (title, caption, rows) = (&table.title, &table.caption, rows.collect::<Vec<_>>());
        context! { title, caption, head, rows }
    });
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    let all = context! {
        data,
        figures,
        tables => tables.collect::<Vec<_>>(),
        regular => BASE64_STANDARD.encode(REGULAR_TTF),
        bold => BASE64_STANDARD.encode(BOLD_TTF),
    };
    Ok(environment.render_named_str("report.html", TEMPLATE, all)?)
}

/// True when every cell that says anything begins like a number.
fn is_numeric<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let mut any = false;
    for cell in cells {
        let cell = cell.trim().trim_start_matches(['<', '>', '\u{2264}', '\u{2265}', ' ']);
        if cell.is_empty() || cell == "-" || cell == "\u{2013}" {
            continue;
        }
        let bare = cell.trim_start_matches(['-', '\u{2212}', '+', '.', '[', '(']);
        if !bare.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        any = true;
    }
    any
}

/// The SVG of a figure without what may stand before its root element.
fn inline(path: &Path) -> Result<String, ReportError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReportError::Figure { path: path.to_owned(), source })?;
    match text.find("<svg") {
        Some(start) if text.trim_end().ends_with("</svg>") => {
            Ok(text[start..].trim_end().to_owned())
        }
        _ => Err(ReportError::NotSvg { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_told_from_columns_of_words() {
        assert!(is_numeric(["0.31", "\u{2212}0.2 [\u{2212}0.3, 0.1]", "", "< 0.001"].into_iter()));
        assert!(!is_numeric(["0.31", "conscious"].into_iter()));
        assert!(!is_numeric(["", ""].into_iter()));
    }
}
