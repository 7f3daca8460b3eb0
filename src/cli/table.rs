//! Plain text tables, and the same rows as CSV columns and JSON objects.
//!
//! A command fills one [`Table`] and prints, stores and serialises that, so that the three say the
//! same. Numbers keep their full width in CSV and JSON; the text shows as many decimals as their
//! column names. A number that does not exist is `-` in text, `NaN` in CSV and null in JSON.

use crate::store::{atomic::Pending, csv, StoreError, Values};
use serde_json::{Map, Value};
use std::path::Path;

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    Int(usize),
    Real(f64),
}

impl From<&str> for Cell {
    fn from(v: &str) -> Self {
        Cell::Text(v.into())
    }
}

impl From<String> for Cell {
    fn from(v: String) -> Self {
        Cell::Text(v)
    }
}

impl From<usize> for Cell {
    fn from(v: usize) -> Self {
        Cell::Int(v)
    }
}

impl From<f64> for Cell {
    fn from(v: f64) -> Self {
        Cell::Real(v)
    }
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    columns: Vec<&'static str>,
    decimals: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table; `decimals` is for the text only.
    pub fn new(columns: &[&'static str], decimals: usize) -> Self {
        Table {
            columns: columns.to_vec(),
            decimals,
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell a column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The cell of a row under a column; a column that does not exist is a missing number.
    pub fn cell(&self, row: usize, column: &str) -> Cell {
        let at = self.columns.iter().position(|c| *c == column);
        let cell = at.and_then(|i| self.rows.get(row)?.get(i));
        cell.cloned().unwrap_or(Cell::Real(f64::NAN))
    }

    /// The same rows without one column.
    pub fn without(&self, column: &str) -> Table {
        let kept: Vec<usize> = (0..self.columns.len())
            .filter(|&i| self.columns[i] != column)
            .collect();
        let row = |r: &Vec<Cell>| kept.iter().map(|&i| r[i].clone()).collect();
        Table {
            columns: kept.iter().map(|&i| self.columns[i]).collect(),
            decimals: self.decimals,
            rows: self.rows.iter().map(row).collect(),
        }
    }

    /// The rows whose whole number in `column` is among `values`.
    pub fn only(&self, column: &str, values: &[usize]) -> Table {
        let at = self.columns.iter().position(|c| *c == column);
        let kept = |row: &&Vec<Cell>| match at.map(|i| &row[i]) {
            Some(Cell::Int(n)) => values.contains(n),
            _ => false,
        };
        Table {
            rows: self.rows.iter().filter(kept).cloned().collect(),
            ..self.clone()
        }
    }

    /// Aligned text: numbers to the right, texts to the left.
    pub fn text(&self) -> String {
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|c| self.show(c)).collect())
            .collect();
        let width = |i: usize| {
            let cells = shown.iter().filter_map(|r| r.get(i));
            let longest = cells.map(|c| c.chars().count()).max().unwrap_or(0);
            longest.max(self.columns[i].chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let is_text = |i: usize| matches!(self.rows.first().map(|r| &r[i]), Some(Cell::Text(_)));
        let line = |cells: Vec<&str>| {
            let mut out = String::new();
            for (i, cell) in cells.into_iter().enumerate() {
                let pad = " ".repeat(widths[i].saturating_sub(cell.chars().count()));
                let gap = if i == 0 { "" } else { "  " };
                out += &match is_text(i) {
                    true => format!("{gap}{cell}{pad}"),
                    false => format!("{gap}{pad}{cell}"),
                };
            }
            out.trim_end().to_string() + "\n"
        };
        let mut out = line(self.columns.clone());
        for row in &shown {
            out += &line(row.iter().map(String::as_str).collect());
        }
        out
    }

    fn show(&self, cell: &Cell) -> String {
        match cell {
            Cell::Text(t) => t.clone(),
            Cell::Int(n) => n.to_string(),
            Cell::Real(v) if v.is_nan() => "-".into(),
            Cell::Real(v) => format!("{v:.*}", self.decimals),
        }
    }

    /// One object a row.
    pub fn json(&self) -> Value {
        let value = |cell: &Cell| match cell {
            Cell::Text(t) => Value::from(t.as_str()),
            Cell::Int(n) => Value::from(*n),
            Cell::Real(v) => Value::from(*v),
        };
        let object = |row: &Vec<Cell>| {
            let entries = self.columns.iter().zip(row);
            Value::Object(
                entries
                    .map(|(k, c)| (k.to_string(), value(c)))
                    .collect::<Map<_, _>>(),
            )
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// Columns for the results file.
    pub fn columns(&self) -> Vec<(&str, Values)> {
        let column = |i: usize| -> Values {
            let cells = || self.rows.iter().map(move |r| &r[i]);
            if cells().all(|c| matches!(c, Cell::Int(_))) {
                let ints = cells().map(|c| if let Cell::Int(n) = c { *n } else { 0 });
                return Values::from(ints.collect::<Vec<usize>>());
            }
            if cells().all(|c| !matches!(c, Cell::Text(_))) {
                let reals = cells().map(|c| match c {
                    Cell::Real(v) => *v,
                    Cell::Int(n) => *n as f64,
                    Cell::Text(_) => f64::NAN,
                });
                return Values::from(reals.collect::<Vec<f64>>());
            }
            let texts = cells().map(|c| match c {
                Cell::Text(t) => t.clone(),
                Cell::Int(n) => n.to_string(),
                Cell::Real(v) => v.to_string(),
            });
            Values::from(texts.collect::<Vec<String>>())
        };
        let names = self.columns.iter().enumerate();
        names.map(|(i, name)| (*name, column(i))).collect()
    }

    /// Writes the rows as CSV, whole or not at all.
    pub fn write_csv(&self, path: &Path) -> Result<(), StoreError> {
        let pending = Pending::new(path)?;
        csv::write_table(pending.path(), path, &self.columns())?;
        pending.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_is_a_dash_in_text_and_null_in_json() {
        let mut t = Table::new(&["name", "value", "n"], 2);
        t.row(vec!["a".into(), 1.234.into(), 10usize.into()]);
        t.row(vec!["longer".into(), f64::NAN.into(), 2usize.into()]);
        assert_eq!(
            t.text(),
            "name    value   n\na        1.23  10\nlonger      -   2\n"
        );
        assert_eq!(t.json()[1]["value"], Value::Null);
        assert_eq!(t.json()[0]["value"], 1.234);
    }
}
