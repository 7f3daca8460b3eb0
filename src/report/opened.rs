//! A results file as readers need it: records, findings, doubts.

use super::ReportError;
use crate::analysis::findings::{doubts, findings};
use crate::analysis::records::{distinct, FindingRow, ReferencePointRow, Results};
use crate::store::{ActivationReader, ResultsReader, RootAttrs};
use std::path::Path;

/// An open results file with all that is made from its records.
pub struct Opened {
    pub reader: ResultsReader,
    pub attrs: RootAttrs,
    pub results: Results,
    /// As stored; of a file without any, made from its records.
    pub findings: Vec<FindingRow>,
    pub references: Vec<ReferencePointRow>,
    /// Doubts of the file, of its records and of the design, each once.
    pub warnings: Vec<String>,
}

impl Opened {
    /// Reads a file.
    ///
    /// # Errors
    /// A file of activations, and those of reading.
    pub fn at(path: &Path) -> Result<Self, ReportError> {
        let reader = ResultsReader::open(path)?;
        if ActivationReader::open(path).is_ok() {
            return Err(ReportError::Activations { path: path.into() });
        }
        let results = Results::read(&reader)?;
        let (findings, references) = match results.findings.is_empty() {
            true => findings(&results),
            false => (results.findings.clone(), results.references.clone()),
        };
        let attrs = reader.root_attrs().clone();
        let warnings = warnings(&results, &attrs);
        Ok(Opened { reader, attrs, results, findings, references, warnings })
    }
}

fn warnings(r: &Results, attrs: &RootAttrs) -> Vec<String> {
    let doubts = doubts(r);
    let rows = r.warnings.iter().chain(&doubts);
    let rows = rows.map(|w| match w.about.is_empty() {
        true => w.text.clone(),
        false => format!("{}: {}", w.about, w.text),
    });
    distinct(rows.chain(attrs.warnings.iter().cloned()))
}
