//! The report: what a results file says, on one page.
//!
//! [`render`] reads `results.h5` and nothing else: no model, no folder of a run, no network. Findings,
//! figures, tables and words are made from its records, so a copied file on another machine gives the
//! same report, and the same file the same bytes. `report.html` needs no other file (the figures' SVG
//! and the font are inside it) and reads in light, in dark and on paper; `report.md` links the figures'
//! PNG; `findings.json` holds the rows of findings with their sentences.
//!
//! The order is that of a reader's questions: what was asked, the [`answer()`] and what not to conclude, the
//! figures, every finding, what to doubt, the tables, earlier work, methods, where it is from. Warnings are
//! grouped by what to do about them and counted on the first screen; none is left out, and a report
//! without any says so.
//!
//! What is unusual: both templates escape all data by default, each in its own way, so a name with
//! markup in it is shown as it is written; only the SVG of our own figures is inlined as it stands.

mod about;
pub mod answer;
pub mod compare;
mod draw;
mod markdown;
pub mod notebooks;
mod opened;
mod page;
pub mod plot;
pub mod sentences;
pub mod show;
mod tables;
pub mod warnings;
mod wording;

use crate::analysis::records::{distinct, FindingRow, ReferencePointRow, Results, WarningRow};
use crate::figures::{FigureError, Output, Written};
use crate::store::{atomic, Frame, RootAttrs, StoreError};
use about::{Citation, Method, Provenance};
use answer::{answer, Answer};
use opened::Opened;
use sentences::Said;
use serde::Serialize;
use std::path::{Path, PathBuf};
use warnings::Kind;

/// All that a page says.
#[derive(Debug, Clone, Default, Serialize)]
struct ReportData {
    title: String,
    study: String,
    /// Model and day in one line.
    about: String,
    model: String,
    /// The command that repeats the run.
    command: String,
    /// As it is to be printed.
    date: String,
    answer: Answer,
    /// What words of judgement mean.
    legend: &'static str,
    /// One finding a sentence, with its interval, negative ones included.
    findings: Vec<Said>,
    /// What a reader should doubt, and why, by kind.
    warnings: Vec<Kind>,
    /// How many there are.
    warned: usize,
    /// Layers fixed beforehand; the page begins with the first.
    reported: Vec<usize>,
    figures: Vec<ReportFigure>,
    tables: Vec<ReportTable>,
    references: Vec<ReferencePoint>,
    methods: Vec<Method>,
    provenance: Provenance,
    citation: Citation,
    files: Vec<RunFile>,
}

/// A figure that lies in the run folder, its PNG beside its SVG.
#[derive(Debug, Clone, Default, Serialize)]
struct ReportFigure {
    name: String,
    title: String,
    caption: String,
    /// Absolute, or relative to the report's folder.
    svg: PathBuf,
    /// What was drawn, likewise; empty where it is not known.
    csv: PathBuf,
}

impl ReportFigure {
    /// A figure that was drawn, seen from the report's folder; none that was not asked for.
    fn of(w: &Written, out: &Path) -> Option<Self> {
        let near = |path: &Path| -> PathBuf { path.strip_prefix(out).unwrap_or(path).into() };
        Some(ReportFigure {
            name: w.name.clone(),
            title: w.title.clone(),
            caption: w.caption.clone(),
            svg: near(w.file("svg")?),
            csv: near(w.file("csv")?),
        })
    }
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
    #[error("{} and {} have no quantity with an interval in common (records of A: {in_a}; of B: {in_b}); give two runs of one kind, such as two studies or two calls of one command", a.display(), b.display())]
    NothingInCommon { a: PathBuf, b: PathBuf, in_a: String, in_b: String },
    #[error("layers are counted in two ways, `{in_a}` in {} and `{in_b}` in {}: nothing by layer can be compared", a.display(), b.display())]
    OtherLayers { a: PathBuf, b: PathBuf, in_a: String, in_b: String },
    #[error("{} is not UTF-8, so a notebook cannot name it; rename the folder", path.display())]
    Path { path: PathBuf },
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
    rendered(Opened::at(results)?, results, out)
}

/// As [`render`], by what has just written the file and has not recorded it yet.
///
/// # Errors
/// As [`render`].
pub fn render_written(results: &Path, out: &Path) -> Result<Rendered, ReportError> {
    rendered(Opened::written(results)?, results, out)
}

fn rendered(opened: Opened, results: &Path, out: &Path) -> Result<Rendered, ReportError> {
    let Opened { reader, attrs, results: r, findings: rows, references, doubted } = opened;
    let said = sentences::said(&r, &rows);
    let warnings = flat(&doubted);
    let (folder, json) = (out.join("figures"), out.join("findings.json"));
    let earlier = earlier_figures(&json);
    let figures = draw::all(&r, &draw::Palettes::of(&r), &Output::to(&folder))?;
    for name in earlier.iter().filter(|n| figures.iter().all(|w| w.name != **n)) {
        remove(&folder, name)?;
    }
    let (title, study) = names(&attrs);
    let (methods, provenance) = (about::methods(&reader), about::provenance(&attrs, results)?);
    let called = called(&attrs);
    let data = ReportData {
        answer: answer(&r, &rows, called),
        legend: sentences::LEGEND,
        citation: about::citation(&attrs, &title, &provenance, &methods),
        methods,
        provenance,
        reported: r.reported(),
        title,
        study,
        about: format!("{called}, {}", attrs.created.split('T').next().unwrap_or_default()),
        model: model(&r, &attrs),
        command: attrs.command.clone(),
        date: attrs.created.clone(),
        findings: said.clone(),
        warnings: warnings::kinds(&doubted),
        warned: warnings.len(),
        figures: figures.iter().filter_map(|w| ReportFigure::of(w, out)).collect(),
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
    let sentences = said.into_iter().flat_map(|s| s.sentences).map(|s| s.text).collect();
    Ok(Rendered { html, markdown, json, figures, findings: rows, references, sentences, warnings })
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

/// Each warning once, in one line.
fn flat(rows: &[WarningRow]) -> Vec<String> {
    distinct(rows.iter().map(|w| match w.about.is_empty() {
        true => w.text.clone(),
        false => format!("{}: {}", w.about, w.text),
    }))
}

/// Title of the report and name of its study; a command's file has no study.
fn names(attrs: &RootAttrs) -> (String, String) {
    let name = attrs.config.get("name").and_then(|n| n.as_str());
    match name {
        Some(name) => (format!("residuum study: {name}"), name.into()),
        None => ("residuum report".into(), "-".into()),
    }
}

/// The model's name in a sentence.
fn called(attrs: &RootAttrs) -> &str {
    match attrs.model_id.is_empty() {
        true => "the model",
        false => &attrs.model_id,
    }
}

fn model(r: &Results, attrs: &RootAttrs) -> String {
    let layers = r.all_layers().len();
    let digest = wording::with(", SHA-256 ", &attrs.model_sha256);
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
