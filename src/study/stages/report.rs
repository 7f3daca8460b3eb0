//! The report: page, findings and figures, from `results.h5` alone.

use super::measure;
use crate::study::layout::{FIGURES, RESULTS};
use crate::study::planner::{before, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::Result;

const REVISION: u32 = 2;

/// Name of the stage.
pub const NAME: &str = "report";

/// Plans it.
///
/// # Errors
/// A stage that was not planned.
pub fn stage<'a>(p: &Planner<'a>, stages: &Before) -> Result<Stage<'a>> {
    let inputs = Inputs::revision(REVISION)
        .value("version", env!("CARGO_PKG_VERSION"))
        .stage(before(stages, measure::NAME)?);
    let outputs = ["report.html", "report.md", "findings.json", FIGURES];
    let outputs = outputs.map(String::from).to_vec();
    let cost = p.costs.report();
    Ok(Stage::new(NAME, inputs, outputs, cost, |work: &mut Work| {
        crate::report::render_written(&work.layout.at(RESULTS), work.layout.root())?;
        Ok(())
    }))
}
