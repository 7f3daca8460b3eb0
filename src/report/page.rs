//! `report.html`: one file that needs no other.
//!
//! The template's `.html` name turns on escaping for all that it prints. What passes as it stands is ours:
//! style, script, the SVG of each figure, read from its file and checked to be one, the embedded font
//! as base64, without which the figures' text would be set in whatever the reader's machine has and
//! could run into its neighbours, and the values of figures by layer as JSON without a `<`. Nothing is
//! asked of the network, and without its script the page still says everything.
//!
//! A figure is one by layer where a panel has layers along x or its CSV has three layers or more: the
//! slider marks the layer in its panels and picks the rows of its CSV, so what is read beside a figure
//! is what was drawn.

use std::path::Path;

use base64::prelude::{Engine, BASE64_STANDARD};
use minijinja::{context, Environment, Value};
use serde::Serialize;
use serde_json::json;

use super::{ReportData, ReportError, ReportFigure, ReportTable};
use crate::analysis::records::distinct;
use crate::figures::theme::{BOLD_TTF, REGULAR_TTF};

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// Stem of the figure that stands beside the answer.
const OVERVIEW: &str = "overview";
/// Wider figures than this, in millimetres, fill the page.
const NARROW: f64 = 100.0;

/// The values of a figure by layer.
#[derive(Debug, Serialize)]
struct Values {
    columns: Vec<String>,
    /// Place of the layer among the columns.
    at: usize,
    rows: Vec<Vec<String>>,
}

pub(super) fn render(data: &ReportData, dir: &Path) -> Result<String, ReportError> {
    let mut values = serde_json::Map::new();
    let mut layers: Vec<usize> = Vec::new();
    // The overview is the first figure, wherever it was drawn.
    let (first, rest): (Vec<_>, Vec<_>) = data.figures.iter().partition(|f| f.name == OVERVIEW);
    let mut shown = Vec::new();
    for (i, f) in first.iter().chain(&rest).enumerate() {
        let svg = inline(&dir.join(&f.svg))?;
        let own = by_layer(f, dir, &svg)?;
        layers.extend(own.iter().flat_map(|v| known_layers(&v.rows, v.at)));
        let layered = own.is_some();
        values.extend(own.map(|v| (f.name.clone(), json!(v))));
        shown.push(context! {
            name => f.name, number => i + 1, title => f.title.trim_end_matches('.'), caption => f.caption,
            wide => width(&svg) > NARROW, layered,
            svg => svg.replacen("<svg", &format!("<svg aria-describedby=\"caption-{}\"", f.name), 1),
        });
    }
    layers.sort_unstable();
    layers.dedup();
    let layered = !layers.is_empty();
    let start = data.reported.first().copied().or(layers.first().copied());
    let all = json!({ "figures": values, "layers": layers, "first": start });
    let references = &data.references;
    let points = references.iter().map(|p| [&p.quantity, &p.earlier, &p.ours, &p.source]);
    let references = ReportTable {
        title: "Earlier work beside ours".into(),
        caption: String::new(),
        columns: ["Quantity", "Earlier", "Ours", "Source"].map(String::from).to_vec(),
        rows: points.map(|p| p.map(String::clone).to_vec()).collect(),
    };
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let overview = if first.is_empty() { None } else { Some(shown.remove(0)) };
    let all = context! {
        data,
        overview,
        figures => shown,
        layered,
        tables => data.tables.iter().map(cells).collect::<Vec<_>>(),
        references => (!references.rows.is_empty()).then(|| cells(&references)),
        values => all.to_string().replace('<', "\\u003c"),
        style => STYLE,
        script => SCRIPT,
        regular => BASE64_STANDARD.encode(REGULAR_TTF),
        bold => BASE64_STANDARD.encode(BOLD_TTF),
    };
    Ok(environment.render_named_str("report.html", TEMPLATE, all)?)
}

/// A table whose cells say whether they are set as numbers.
fn cells(table: &ReportTable) -> Value {
    let column = |c: usize| table.rows.iter().map(move |row| row[c].as_str());
    let numbers: Vec<bool> = (0..table.columns.len()).map(|c| is_numeric(column(c))).collect();
    let cells = |texts: &Vec<String>| -> Vec<Value> {
        let each = texts.iter().zip(&numbers);
        each.map(|(text, number)| context! { text, number }).collect()
    };
    let (head, rows) = (cells(&table.columns), table.rows.iter().map(cells).collect::<Vec<_>>());
    context! { title => table.title, caption => table.caption, head, rows }
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

/// The rows of a figure's CSV where it is one by layer; numbers in four decimals.
fn by_layer(figure: &ReportFigure, dir: &Path, svg: &str) -> Result<Option<Values>, ReportError> {
    if figure.csv.as_os_str().is_empty() {
        return Ok(None);
    }
    let path = dir.join(&figure.csv);
    let failed = |e: csv::Error| ReportError::Figure {
        path: path.clone(),
        source: std::io::Error::other(e.to_string()),
    };
    let mut reader = csv::Reader::from_path(&path).map_err(failed)?;
    let columns: Vec<String> = reader.headers().map_err(failed)?.iter().map(String::from).collect();
    let Some(at) = columns.iter().position(|c| c == "layer") else {
        return Ok(None);
    };
    let rows = reader.records().map(|row| Ok(row?.iter().map(rounded).collect()));
    let rows: Vec<Vec<String>> = rows.collect::<Result<_, csv::Error>>().map_err(failed)?;
    let layers = distinct(known_layers(&rows, at)).len();
    let is = layers > 0 && (svg.contains("class=\"layer-axis\"") || layers >= 3);
    Ok(is.then_some(Values { columns, at, rows }))
}

fn known_layers(rows: &[Vec<String>], at: usize) -> impl Iterator<Item = usize> + '_ {
    rows.iter().filter_map(move |row| row[at].parse().ok())
}

fn rounded(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(number) if cell.contains('.') => format!("{number:.4}"),
        _ => cell.into(),
    }
}

/// Width of an SVG in millimetres; 0 where it does not say.
fn width(svg: &str) -> f64 {
    let text = svg.split_once("width=\"").and_then(|(_, rest)| rest.split_once("mm\""));
    text.and_then(|(number, _)| number.parse().ok()).unwrap_or(0.0)
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

    #[test]
    fn only_what_has_layers_follows_the_slider() {
        let dir = tempfile::tempdir().unwrap();
        let figure = |text: &str| {
            std::fs::write(dir.path().join("f.csv"), text).unwrap();
            ReportFigure { csv: "f.csv".into(), ..ReportFigure::default() }
        };
        let axis = "<rect class=\"layer-axis\"/>";
        let found = |text: &str, svg: &str| by_layer(&figure(text), dir.path(), svg).unwrap();
        let two = "layer,value\n1,0.123456\n2,0.5\n";
        assert!(found(two, "").is_none());
        let values = found(two, axis).unwrap();
        assert_eq!((values.at, &*values.rows[0][1]), (0, "0.1235"));
        assert!(found("value,layer\n1,1\n1,2\n1,3\n", "").is_some());
        assert!(found("value,step\n1,1\n1,2\n1,3\n", axis).is_none());
        assert!(found("value,layer\n1,layer 1\n", axis).is_none());
        assert!(by_layer(
            &ReportFigure { csv: "no.csv".into(), ..ReportFigure::default() },
            dir.path(),
            ""
        )
        .is_err());
        assert_eq!((width("<svg width=\"180.00mm\""), width("<svg")), (180.0, 0.0));
    }
}
