//! A results file as readers need it: records, findings, doubts.

use super::ReportError;
use crate::analysis::findings::{doubts, findings};
use crate::analysis::records::{FindingRow, ReferencePointRow, Results, WarningRow};
use crate::store::manifest::hold_to_record;
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
    /// Doubts of the file, of its records and of the design.
    pub doubted: Vec<WarningRow>,
}

impl Opened {
    /// Reads a file that a command or a study left.
    ///
    /// # Errors
    /// One that changed since; a file of activations, and those of reading.
    pub fn at(path: &Path) -> Result<Self, ReportError> {
        hold_to_record(path)?;
        Self::written(path)
    }

    /// Reads a file that was written just now, of which no record tells yet.
    ///
    /// # Errors
    /// A file of activations, and those of reading.
    pub fn written(path: &Path) -> Result<Self, ReportError> {
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
        let doubted = warnings(&results, &attrs);
        Ok(Opened { reader, attrs, results, findings, references, doubted })
    }
}

fn warnings(r: &Results, attrs: &RootAttrs) -> Vec<WarningRow> {
    let of_file = attrs.warnings.iter().cloned();
    let of_file = of_file.map(|text| WarningRow { about: String::new(), text });
    r.warnings.iter().cloned().chain(doubts(r)).chain(of_file).collect()
}
