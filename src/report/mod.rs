//! The report: what a results file says, on one page.
//!
//! [`render`] reads `results.h5` and nothing else: no model, no folder of a run, no network. Findings,
//! figures, tables and words are made from its records, so a copied file on another machine gives the
//! same report, and the same file the same bytes. `report.html` needs no other file (the figures' SVG
//! and the font are inside it) and reads in light, in dark and on paper; `report.md` links the figures'
//! PNG; `findings.json` holds the rows of findings with their sentences.
//!
//! The order is that of a reader's questions: what was run, what was found and what to doubt, the
//! figures, the tables, earlier work beside ours, the files of a run. Warnings stand above the figures
//! and are never left out; a report without any says so.
//!
//! What is unusual: both templates escape all data by default, each in its own way, so a name with
//! markup in it is shown as it is written; only the SVG of our own figures is inlined as it stands.

mod draw;
mod markdown;
mod page;
pub mod plot;
pub mod sentences;
mod tables;

use crate::analysis::findings::{doubts, findings};
use crate::analysis::records::{distinct, FindingRow, ReferencePointRow, Results};
use crate::figures::{FigureError, Output, Written};
use crate::store::{atomic, ActivationReader, Frame, ResultsReader, RootAttrs, StoreError};
use sentences::Said;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// All that a page says.
#[derive(Debug, Clone, Default, Serialize)]
struct ReportData {
    title: String,
    study: String,
    model: String,
    /// The command that repeats the run.
    command: String,
    /// As it is to be printed.
    date: String,
    /// One finding a sentence, with its interval, negative ones included.
    findings: Vec<Said>,
    /// What a reader should doubt, and why.
    warnings: Vec<String>,
    figures: Vec<ReportFigure>,
    tables: Vec<ReportTable>,
    references: Vec<ReferencePoint>,
    files: Vec<RunFile>,
}

/// A figure that lies in the run folder, its PNG beside its SVG.
#[derive(Debug, Clone, Serialize)]
struct ReportFigure {
    title: String,
    caption: String,
    /// Absolute, or relative to the report's folder.
    svg: PathBuf,
}

/// A table of finished text; each row has one cell a column.
#[derive(Debug, Clone, Serialize)]
struct ReportTable {
    title: String,
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A number of earlier work beside ours: a point of reference, not a target.
#[derive(Debug, Clone, Serialize)]
struct ReferencePoint {
    quantity: String,
    earlier: String,
    source: String,
    ours: String,
}

/// A file of the run folder.
#[derive(Debug, Clone, Serialize)]
struct RunFile {
    path: String,
    what: String,
}

/// What was rendered, and where.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// `report.html`.
    pub html: PathBuf,
    /// `report.md`.
    pub markdown: PathBuf,
    /// `findings.json`.
    pub json: PathBuf,
    /// The figures that were drawn.
    pub figures: Vec<Written>,
    /// Every finding.
    pub findings: Vec<FindingRow>,
    /// Numbers of earlier work beside ours.
    pub references: Vec<ReferencePointRow>,
    /// What is said of the declaration, then of findings, one a sentence.
    pub sentences: Vec<String>,
    /// What a reader should doubt.
    pub warnings: Vec<String>,
}

impl Rendered {
    /// All files, figures first.
    pub fn files(&self) -> Vec<&Path> {
        let figures = self.figures.iter().flat_map(|w| &w.files);
        let pages = [&self.html, &self.markdown, &self.json];
        figures.chain(pages).map(PathBuf::as_path).collect()
    }
}

/// The ways in which a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentence of each says what it is
pub enum ReportError {
    /// The results file, or a file of the report.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A figure.
    #[error(transparent)]
    Figures(#[from] FigureError),
    #[error("cannot read the figure {}: {source}; draw the figures before the report", path.display())]
    Figure { path: PathBuf, source: std::io::Error },
    #[error("{} holds activations and no results; give the results.h5 of a study or of a command that measures", path.display())]
    Activations { path: PathBuf },
    #[error("{} has no {what} `{name}`; it has {known}", path.display())]
    Unknown { path: PathBuf, what: &'static str, name: String, known: String },
    #[error("{} is not an SVG file; the report inlines SVG figures only", path.display())]
    NotSvg { path: PathBuf },
    #[error("table `{table}`: row {row} has {got} cells where {want} columns are named; give one cell a column")]
    Cells { table: String, row: usize, want: usize, got: usize },
    #[error("the report's template failed: {0}; this is a fault of the template")]
    Template(#[from] minijinja::Error),
}

/// Makes the page, the figures and `findings.json` of a results file in the folder `out`, which is made
/// if it is not there. Figures of an earlier report in it that are no longer made are removed.
///
/// # Errors
/// A file that is no results file of this version, records that cannot be drawn, a folder that cannot
/// be written.
pub fn render(results: &Path, out: &Path) -> Result<Rendered, ReportError> {
    let reader = open(results)?;
    let r = Results::read(&reader)?;
    let (rows, references) = match r.findings.is_empty() {
        true => findings(&r),
        false => (r.findings.clone(), r.references.clone()),
    };
    let said = sentences::said(&r, &rows);
    let attrs = reader.root_attrs();
    let warnings = warnings(&r, attrs);
    let (folder, json) = (out.join("figures"), out.join("findings.json"));
    let earlier = earlier_figures(&json);
    let figures = draw::all(&r, &draw::Palettes::of(&r), &Output::to(&folder))?;
    for name in earlier.iter().filter(|n| figures.iter().all(|w| w.name != **n)) {
        remove(&folder, name)?;
    }
    let (title, study) = names(attrs);
    let figure = |w: &Written| {
        let svg = w.file("svg")?;
        let (title, caption) = (w.title.clone(), w.caption.clone());
        Some(ReportFigure { title, caption, svg: svg.strip_prefix(out).unwrap_or(svg).into() })
    };
    let data = ReportData {
        title,
        study,
        model: model(&r, attrs),
        command: attrs.command.clone(),
        date: attrs.created.clone(),
        findings: said.clone(),
        warnings: warnings.clone(),
        figures: figures.iter().filter_map(figure).collect(),
        tables: tables::all(&r, &rows),
        references: tables::references(&references),
        files: tables::files(),
    };
    let (html, markdown) = write(&data, out)?;
    let all = serde_json::json!({
        "declaration": Frame::of(&r.declaration).json(),
        "declared_contrasts": Frame::of(&r.declared_contrasts).json(),
        "declared_keys": Frame::of(&r.declared_keys).json(),
        "findings": said_json(&rows),
        "references": Frame::of(&references).json(),
        "figures": figures.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(),
        "warnings": warnings,
    });
    atomic::write(&json, format!("{all:#}\n").as_bytes())?;
    let sentences = said.into_iter().flat_map(|s| s.sentences).collect();
    Ok(Rendered { html, markdown, json, figures, findings: rows, references, sentences, warnings })
}

/// Opens a file of results, and no file of activations.
fn open(path: &Path) -> Result<ResultsReader, ReportError> {
    let reader = ResultsReader::open(path)?;
    match ActivationReader::open(path).is_ok() {
        true => Err(ReportError::Activations { path: path.into() }),
        false => Ok(reader),
    }
}

/// Names of the figures that an earlier report in the same folder made; none where it left no list.
fn earlier_figures(json: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(json).ok();
    let all = text.and_then(|t| serde_json::from_str::<serde_json::Value>(&t).ok());
    let names = all.and_then(|v| v["figures"].as_array().cloned());
    let own = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (names.into_iter().flatten())
        .filter_map(|n| n.as_str().map(str::to_owned))
        .filter(|n| n.chars().all(own))
        .collect()
}

/// Removes the files of a figure.
fn remove(folder: &Path, name: &str) -> Result<(), StoreError> {
    for kind in ["svg", "png", "csv"] {
        let path = folder.join(format!("{name}.{kind}"));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io { path, source })
            }
            _ => {}
        }
    }
    Ok(())
}

/// Rows of findings as JSON, each with its sentence.
fn said_json(rows: &[FindingRow]) -> serde_json::Value {
    let mut all = Frame::of(rows).json();
    let objects = all.as_array_mut().into_iter().flatten();
    for (object, f) in objects.zip(rows) {
        object["sentence"] = sentences::sentence(f).into();
    }
    all
}

/// Doubts of the file, of its records and of the design, each once.
fn warnings(r: &Results, attrs: &RootAttrs) -> Vec<String> {
    let doubts = doubts(r);
    let rows = r.warnings.iter().chain(&doubts);
    let rows = rows.map(|w| match w.about.is_empty() {
        true => w.text.clone(),
        false => format!("{}: {}", w.about, w.text),
    });
    distinct(rows.chain(attrs.warnings.iter().cloned()))
}

/// Title of the report and name of its study; a command's file has no study.
fn names(attrs: &RootAttrs) -> (String, String) {
    let name = attrs.config.get("name").and_then(|n| n.as_str());
    match name {
        Some(name) => (format!("residuum study: {name}"), name.into()),
        None => ("residuum report".into(), "-".into()),
    }
}

fn model(r: &Results, attrs: &RootAttrs) -> String {
    let layers = r.all_layers().len();
    let digest = sentences::with(", SHA-256 ", &attrs.model_sha256);
    format!("{} ({layers} layers read{digest})", attrs.model_id)
}

/// Writes `report.html` and `report.md` into `dir`, which is made if it is not there, and says where
/// they are. The same data and figures give the same bytes.
fn write(data: &ReportData, dir: &Path) -> Result<(PathBuf, PathBuf), ReportError> {
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
    let (html, markdown) = (dir.join("report.html"), dir.join("report.md"));
    let (page, text) = (page::render(data, dir)?, markdown::render(data, dir)?);
    atomic::write(&html, page.as_bytes())?;
    atomic::write(&markdown, text.as_bytes())?;
    Ok((html, markdown))
}

#[cfg(test)]
mod tests;
