//! The report: what a run found, on one page.
//!
//! `ReportData` holds finished words, tables and the paths of figures; nothing
//! is computed here. `write` makes `report.html`, which needs no other file (the
//! figures' SVG and the font are inside it) and reads in light, in dark and on
//! paper, and `report.md` beside it, which links the figures' PNG.
//!
//! The order is that of a reader's questions: what was run, what was found and
//! what to doubt, the figures, the tables, earlier work beside ours, the files
//! of the run. Warnings stand above the figures and are never left out; a
//! report without any says so.
//!
//! What is unusual: both templates escape all data by default, each in its own
//! way, so a name with markup in it is shown as it is written; only the SVG of
//! our own figures is inlined as it stands.

mod markdown;
mod page;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::figures::page::replace;
use crate::figures::Written;

/// All that a report says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReportData {
    pub title: String,
    pub study: String,
    pub model: String,
    /// The command that repeats the run.
    pub command: String,
    /// As it is to be printed.
    pub date: String,
    /// One finding a sentence, with its interval, negative ones included.
    pub findings: Vec<String>,
    /// What a reader should doubt, and why.
    pub warnings: Vec<String>,
    pub figures: Vec<ReportFigure>,
    pub tables: Vec<ReportTable>,
    pub references: Vec<ReferencePoint>,
    pub files: Vec<RunFile>,
}

/// A figure that lies in the run folder, its PNG beside its SVG.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportFigure {
    pub title: String,
    pub caption: String,
    /// Absolute, or relative to the report's folder.
    pub svg: PathBuf,
}

impl From<Written> for ReportFigure {
    fn from(written: Written) -> Self {
        ReportFigure {
            title: written.title,
            caption: written.caption,
            svg: written.svg,
        }
    }
}

/// A table of finished text; each row has one cell a column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportTable {
    pub title: String,
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A number of earlier work beside ours: a point of reference, not a target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReferencePoint {
    pub quantity: String,
    pub earlier: String,
    pub source: String,
    pub ours: String,
}

/// A file of the run folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFile {
    pub path: String,
    pub what: String,
}

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenReport {
    pub html: PathBuf,
    pub markdown: PathBuf,
}

/// The ways in which a report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot read the figure {}: {source}; draw the figures before the report", path.display())]
    Figure {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not an SVG file; the report inlines SVG figures only", path.display())]
    NotSvg { path: PathBuf },
    #[error("table `{table}`: row {row} has {got} cells where {want} columns are named; give one cell a column")]
    Cells {
        table: String,
        row: usize,
        want: usize,
        got: usize,
    },
    #[error("the report's template failed: {0}; this is a fault of the template")]
    Template(#[from] minijinja::Error),
    #[error("cannot write {}: {source}; check that the folder exists and has room", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Writes `report.html` and `report.md` into `dir`, which is made if it is not
/// there. The same data and figures give the same bytes.
pub fn write(data: &ReportData, dir: &Path) -> Result<WrittenReport, ReportError> {
    for table in &data.tables {
        let want = table.columns.len();
        if let Some(row) = table.rows.iter().position(|r| r.len() != want) {
            return Err(ReportError::Cells {
                table: table.title.clone(),
                row: row + 1,
                want,
                got: table.rows[row].len(),
            });
        }
    }
    let html = page::render(data, dir)?;
    let text = markdown::render(data, dir)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    let written = WrittenReport {
        html: dir.join("report.html"),
        markdown: dir.join("report.md"),
    };
    replace(&written.html, html.as_bytes()).map_err(failed(&written.html))?;
    replace(&written.markdown, text.as_bytes()).map_err(failed(&written.markdown))?;
    Ok(written)
}

#[cfg(test)]
mod tests;
