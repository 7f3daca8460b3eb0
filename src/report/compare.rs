//! Two results files against each other, as text, JSON, record, figure and page.
//!
//! The differences are those of [`crate::analysis::compare`]; this file says them. Findings come first, since
//! they are what each run reports; of the other records those rows are listed that differ or cannot be
//! compared, and all are in `compare.h5`.

use super::about::{Citation, Provenance};
use super::answer::{Answer, Part};
use super::opened::Opened;
use super::sentences::{Said, Sentence};
use super::show::Screen;
use super::{markdown, names, page, tables, ReportData, ReportError, ReportFigure, RunFile};
use crate::analysis::compare::{self, Comparison, Side, IDENTICAL, NOT_COMPARABLE};
use crate::analysis::records::{distinct, ComparedRow, DifferenceRow, FindingRow, Results};
use crate::analysis::verdict::{HIGHER, LOWER};
use crate::figures::compare::{draw, CompareBlock, CompareData, CompareRow};
use crate::figures::{Estimate, FigureError, Output, Written};
use crate::store::{atomic, Frame, Record, ResultsWriter, RootAttrs};
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// Files that a comparison writes into its folder, besides csv/ and figures/.
pub const FILES: [&str; 3] = ["compare.h5", "compare.html", "compare.md"];
/// Rows of a unit that the figure shows, and of a table that the page shows.
const DRAWN: usize = 14;
const LISTED: usize = 60;
/// Columns of a difference that the tables leave out.
const WITHOUT: [&str; 4] = ["record", "n_a", "n_b", "p"];

/// Two files and what they say of each other.
#[derive(Debug, Clone)]
pub struct Compared {
    files: [PathBuf; 2],
    attrs: [RootAttrs; 2],
    found: Comparison,
}

/// Reads and compares two files, B less A.
///
/// # Errors
/// Files that cannot be read as results, that count layers otherwise, or have no quantity in common.
pub fn of(a: &Path, b: &Path) -> Result<Compared, ReportError> {
    let side = |path: &Path| -> Result<Side, ReportError> {
        let Opened { reader, mut results, findings, .. } = Opened::at(path)?;
        results.findings = findings;
        Ok(Side::of(&reader, results))
    };
    let (in_a, in_b) = (side(a)?, side(b)?);
    let (a, b) = (a.to_path_buf(), b.to_path_buf());
    let attrs = [in_a.attrs().clone(), in_b.attrs().clone()];
    let [x, y] = &attrs;
    if x.layer_convention != y.layer_convention {
        let (in_a, in_b) = (x.layer_convention.clone(), y.layer_convention.clone());
        return Err(ReportError::OtherLayers { a, b, in_a, in_b });
    }
    let found = compare::compare(&in_a, &in_b);
    if found.differences.is_empty() {
        let (in_a, in_b) = (listed(&in_a.records()), listed(&in_b.records()));
        return Err(ReportError::NothingInCommon { a, b, in_a, in_b });
    }
    Ok(Compared { files: [a, b], attrs, found })
}

/// Names in a sentence.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        names => names.join(", "),
    }
}

impl Compared {
    /// The JSON object: of findings every difference, of other records those that are higher or lower.
    pub fn json(&self) -> Value {
        let file = |i: usize| {
            let (attrs, (title, _)) = (&self.attrs[i], names(&self.attrs[i]));
            json!({
                "file": self.files[i].display().to_string(), "title": title, "model": attrs.model_id, "created": attrs.created,
                "version": attrs.version, "seed": attrs.seed,
            })
        };
        let own = |d: &&DifferenceRow| is_finding(d) || differs(d);
        let rows: Vec<DifferenceRow> = self.found.differences.iter().filter(own).cloned().collect();
        json!({
            "a": file(0), "b": file(1),
            "independent": self.found.is_independent(),
            "shared": Frame::of(&self.found.shared).json(),
            "provenance": Frame::of(&self.found.provenance).json(),
            "records": Frame::of(&self.found.compared).json(),
            "differences": Frame::of(&rows).json(),
        })
    }

    /// The same as a page of text.
    pub fn text(&self, screen: &Screen) -> String {
        let mut out = String::new();
        for (name, i) in [("A  ", 0), ("B  ", 1)] {
            out += &screen.wrap(name, &self.about(i));
        }
        out += &screen.heading("What differs");
        for part in self.counted() {
            out += &screen.wrap("  - ", &format!("{}: {}", part.topic, part.said.text));
        }
        for sentence in [self.apart(), self.dependence()].concat() {
            out += &screen.wrap("  - ", &sentence);
        }
        out += &screen.heading("By record");
        for row in &self.found.compared {
            out += &screen.wrap("  ", &by_record(row));
        }
        out += &screen.heading("How the runs were made, where that differs");
        if self.found.provenance.is_empty() {
            out += &screen.wrap("  ", "In nothing that the files say.");
        }
        for row in &self.found.provenance {
            let or = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            out += &screen.wrap("  ", &format!("{}: {} | {}", row.key, or(&row.a), or(&row.b)));
        }
        out
    }

    /// Writes the record with its CSV, the figure and the page into `out`; gives the files, the page first.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, out: &Path, command: &str) -> Result<Vec<PathBuf>, ReportError> {
        let [record, html, text] = FILES.map(|name| out.join(name));
        let Comparison { differences, compared, shared, provenance } = self.found.clone();
        let rows = Results { differences, compared, shared, provenance, ..Results::default() };
        let [a, b] = self.files.each_ref().map(|f| f.display().to_string());
        let attrs = RootAttrs::new(command, json!({ "a": a, "b": b }), 0);
        let mut writer = ResultsWriter::create(&record, &attrs)?;
        rows.write(&mut writer)?;
        writer.finish()?;
        let figure = match draw(&self.figure(), &Output::to(out.join("figures"))) {
            Err(FigureError::Empty { .. }) => None,
            drawn => Some(drawn?),
        };
        let data = self.page(command, figure.as_ref(), out);
        atomic::write(&html, page::render(&data, out)?.as_bytes())?;
        atomic::write(&text, markdown::render(&data, out)?.as_bytes())?;
        let drawn = figure.into_iter().flat_map(|w| w.files);
        Ok([html, text, record].into_iter().chain(drawn).collect())
    }

    fn about(&self, i: usize) -> String {
        let (attrs, (title, _)) = (&self.attrs[i], names(&self.attrs[i]));
        let (file, created, model) = (self.files[i].display(), &attrs.created, &attrs.model_id);
        format!(
            "{file}: {title}, {model}, seed {}, {created}, residuum {}",
            attrs.seed, attrs.version
        )
    }

    /// How findings and other quantities agree.
    fn counted(&self) -> Vec<Part> {
        let (findings, other): (Vec<&DifferenceRow>, Vec<&DifferenceRow>) =
            self.found.differences.iter().partition(|d| is_finding(d));
        let part = |topic, said: String| Part { topic, said: said.into(), ..Part::default() };
        let both = [("Findings", findings), ("Other quantities", other)];
        let both = both.into_iter().filter(|(_, rows)| !rows.is_empty());
        both.map(|(topic, rows)| part(topic, counts(&rows))).collect()
    }

    /// Findings that differ, one a sentence.
    fn apart(&self) -> Vec<String> {
        let own = self.found.differences.iter().filter(|d| is_finding(d) && differs(d));
        own.map(|d| self.sentence(d)).collect()
    }

    /// What the runs share, and what that means for the intervals.
    fn dependence(&self) -> Vec<String> {
        let of = |word: &str| -> Vec<&str> {
            let own = self.found.shared.iter().filter(|s| s.shared == word);
            own.map(|s| s.what.as_str()).collect()
        };
        let (yes, unknown) = (of("yes"), of("not known"));
        let mut out = Vec::new();
        if !yes.is_empty() {
            out.push(format!(
                "The runs share {}: their errors are not independent.",
                yes.join(", ")
            ));
        }
        if !unknown.is_empty() {
            out.push(format!("Whether they share {} is not known.", unknown.join(", ")));
        }
        out.push(match self.found.is_independent() {
            true => "They share nothing that the files know of: intervals take their errors for independent.",
            false => "Intervals and words below hold whatever the runs share; lo and hi in compare.h5 take them for independent.",
        }.into());
        out
    }

    fn sentence(&self, d: &DifferenceRow) -> String {
        let counting = d.counting(self.found.is_independent());
        let (of, word, unit) = (short(&d.of), &d.verdict, &d.unit);
        let (a, b, by) = (d.a, d.b, d.estimate);
        let (lo, hi) = (counting.lo, counting.hi);
        format!("{of}: {a:+.3} in A, {b:+.3} in B, {word} by {by:+.3} [{lo:+.3}, {hi:+.3}] {unit}.")
    }

    /// Findings that can be compared, by unit, those that are not identical first.
    fn figure(&self) -> CompareData {
        let own = self.found.differences.iter();
        let mut own: Vec<&DifferenceRow> = own
            .filter(|d| is_finding(d) && d.verdict != NOT_COMPARABLE && d.estimate.is_finite())
            .collect();
        own.sort_by_key(|d| (d.verdict == IDENTICAL, !differs(d)));
        let block = |unit: &str| {
            let rows = own.iter().filter(|d| d.unit == unit).take(DRAWN);
            CompareBlock { unit: unit.into(), rows: rows.map(|d| paired(d)).collect() }
        };
        let blocks: Vec<CompareBlock> =
            distinct(own.iter().map(|d| d.unit.as_str())).into_iter().map(block).collect();
        let drawn: usize = blocks.iter().map(|b| b.rows.len()).sum();
        let name = |side: &str, i: usize| format!("{side}: {}", self.files[i].display());
        CompareData {
            name: "compare".into(),
            title: "Findings of two runs, and what B has less A".into(),
            caption: format!(
                "{drawn} of {} findings that can be compared, at most {DRAWN} a unit, those that differ first. Bars: 95 %.",
                own.len(),
            ),
            a: name("A", 0),
            b: name("B", 1),
            blocks,
        }
    }

    fn page(&self, command: &str, figure: Option<&Written>, out: &Path) -> ReportData {
        let list = |is: &dyn Fn(&&DifferenceRow) -> bool| -> Frame {
            let rows: Vec<DifferenceRow> =
                self.found.differences.iter().filter(is).take(LISTED).cloned().collect();
            Frame::of(&rows)
        };
        let most = format!("At most {LISTED} rows; all are in compare.h5.");
        let without: Vec<&str> = WITHOUT.into_iter().chain(["why"]).collect();
        let other = |d: &&DifferenceRow| !is_finding(d) && differs(d);
        let apart = |d: &&DifferenceRow| d.verdict == NOT_COMPARABLE;
        let table = |title: &str, caption: &str, frame: Frame, without: &[&str]| {
            tables::table(title.into(), caption, frame, without)
        };
        let numbers = ["p_max", "p", "estimate", "lo", "hi", "any_lo", "any_hi", "verdict"];
        let mut all = vec![
            table(
                "Findings",
                &most,
                list(&|d| is_finding(d) && d.verdict != NOT_COMPARABLE),
                &without,
            ),
            table("Other quantities that differ", &most, list(&other), &without[1..]),
            table("Not comparable", &most, list(&apart), &numbers),
            table("By record", "", Frame::of(&self.found.compared), &[]),
            table("What the runs share", "", Frame::of(&self.found.shared), &[]),
            table("How they were made", "", Frame::of(&self.found.provenance), &[]),
        ];
        all.retain(|t| !t.rows.is_empty());
        let files = [
            ("compare.h5", "every difference, with definitions"),
            ("csv/", "the same as CSV"),
            ("figures/", "the figure as SVG, PNG and CSV"),
        ];
        let apart: Vec<Sentence> = self.apart().into_iter().map(Sentence::from).collect();
        let apart =
            Said { heading: "Findings that differ".into(), sentences: apart, ..Said::default() };
        let facts = vec![("A".to_owned(), self.about(0)), ("B".to_owned(), self.about(1))];
        ReportData {
            title: "Two runs compared".into(),
            about: "Differences are B less A.".into(),
            study: "-".into(),
            model: distinct(self.attrs.iter().map(|a| a.model_id.as_str())).join("; "),
            command: command.into(),
            date: distinct(self.attrs.iter().map(|a| a.created.as_str())).join("; "),
            answer: Answer {
                question: "In what do the two runs differ?".into(),
                parts: self.counted(),
                cautions: self.dependence(),
            },
            findings: Some(apart).into_iter().filter(|s| !s.sentences.is_empty()).collect(),
            figures: figure.and_then(|w| ReportFigure::of(w, out)).into_iter().collect(),
            tables: all,
            provenance: Provenance { facts, ..Provenance::default() },
            citation: Citation {
                text: format!("Made with residuum {}.", env!("CARGO_PKG_VERSION")),
                ..Citation::default()
            },
            files: files
                .map(|(path, what)| RunFile { path: path.into(), what: what.into() })
                .to_vec(),
            ..ReportData::default()
        }
    }
}

fn is_finding(d: &DifferenceRow) -> bool {
    d.record == FindingRow::META.path
}

fn differs(d: &DifferenceRow) -> bool {
    d.verdict == HIGHER || d.verdict == LOWER
}

/// How rows agree, in one sentence.
fn counts(rows: &[&DifferenceRow]) -> String {
    let words = distinct(rows.iter().map(|d| d.verdict.as_str()));
    let count = |word: &str| {
        let n = rows.iter().filter(|d| d.verdict == word).count();
        match word {
            "" => format!("{n} without an interval"),
            "none" => format!("{n} neither shown to differ nor excluded"),
            HIGHER | LOWER => format!("{n} {word} in B"),
            word => format!("{n} {word}"),
        }
    };
    let all: Vec<String> = words.into_iter().map(count).collect();
    format!("{} in both files, {}.", rows.len(), all.join(", "))
}

/// How the rows of one record agree.
fn by_record(row: &ComparedRow) -> String {
    let each = [
        (row.identical, "identical"),
        (row.higher, "higher in B"),
        (row.lower, "lower in B"),
        (row.equivalent, "equivalent"),
        (row.none, "neither shown to differ nor excluded"),
        (row.untested, "without an interval"),
        (row.not_comparable, "not comparable"),
        (row.only_a, "only in A"),
        (row.only_b, "only in B"),
    ];
    let each = each.into_iter().filter(|(n, _)| *n > 0);
    let each: Vec<String> = each.map(|(n, what)| format!("{n} {what}")).collect();
    format!("{}: {} in both; {}.", row.record, row.n, each.join(", "))
}

/// A row as the figure shows it.
fn paired(d: &DifferenceRow) -> CompareRow {
    let estimate = |value: f64, lo: f64, hi: f64| match lo.is_finite() && hi.is_finite() {
        true => Estimate::new(value, lo, hi),
        false => Estimate::point(value),
    };
    CompareRow {
        name: short(&d.of),
        a: estimate(d.a, d.a_lo, d.a_hi),
        b: estimate(d.b, d.b_lo, d.b_hi),
        difference: estimate(d.estimate, d.lo, d.hi),
        any: estimate(d.estimate, d.any_lo, d.any_hi),
    }
}

/// The texts and places of a finding as a name: `layer 2: change-of-coupling, a less b, x x y, relative`.
fn short(of: &str) -> String {
    let (mut layer, mut out) = (String::new(), String::new());
    for part in of.split(", ") {
        let known = ["quantity ", "set ", "subject ", "outcome ", "form "];
        let bare = known.iter().find_map(|k| part.strip_prefix(k)).unwrap_or(part);
        match (part.strip_prefix("reference "), part.starts_with("layer ")) {
            (Some(reference), _) => out += &format!(" less {reference}"),
            (_, true) => layer = format!("{part}: "),
            _ if out.is_empty() => out += bare,
            _ => out += &format!(", {bare}"),
        }
    }
    layer + &out
}
