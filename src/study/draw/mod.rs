//! From what was measured to the data of each figure, and the report around them.

mod geometry;
mod link;
mod outcome;
mod report;

use super::findings::Findings;
use super::measure::Measured;
use super::run::Run;
use super::StudyError;
use crate::figures::{
    behaviour, causal, claims, concept_heatmap, coupling, directions, link as links, shift,
    training, trajectory, Written,
};

/// Draws every figure and writes the report; returns the files below the run folder.
pub fn all(run: &Run, m: &Measured, found: &Findings) -> Result<Vec<String>, StudyError> {
    let dir = run.out.join("figures");
    let mut written: Vec<Written> = vec![
        coupling::draw(&geometry::coupling_data(run, m), &dir)?,
        concept_heatmap::draw(&geometry::heatmap_data(run, m), &dir)?,
        shift::draw(&geometry::shift_data(run, m), &dir)?,
        behaviour::draw(&outcome::behaviour_data(run, m), &dir)?,
    ];
    if !run.study.claims.is_empty() {
        written.push(claims::draw(&outcome::claims_data(run, m), &dir)?);
    }
    if let (Some(record), Some(spec)) = (&m.causal, &run.study.written.causal) {
        for sides in &record.sides {
            let data = outcome::causal_data(run, m, (spec, record, sides))?;
            written.push(causal::draw(&data, &dir)?);
        }
    }
    if m.linked.iter().any(|l| !l.isolated.is_empty()) {
        written.push(links::draw(&link::link_data(run, &m.linked), &dir)?);
    }
    if let (Some(f), Some(spec)) = (&m.followed, &run.study.written.trajectory) {
        written.push(trajectory::draw(
            &link::trajectory_data(run, spec, f),
            &dir,
        )?);
    }
    written.push(directions::draw(&geometry::directions_data(run, m), &dir)?);
    let runs = outcome::training_runs(run)?;
    if !runs.is_empty() {
        let data = training::TrainingData {
            name: "training".into(),
            title: "Fine-tuning loss".into(),
            caption: format!(
                "Mean cross-entropy over assistant tokens of each step's {} rows; thin: as logged, thick: smoothed. {} fine-tunes.",
                run.study.written.recipe.step_rows(),
                runs.len()
            ),
            y_label: "loss (nats a token)".into(),
            runs,
        };
        written.push(training::draw(&data, &dir)?);
    }
    let mut files = Vec::new();
    for w in &written {
        for p in [&w.svg, &w.png, &w.csv] {
            if let Ok(rel) = p.strip_prefix(&run.out) {
                files.push(rel.to_string_lossy().into_owned());
            }
        }
    }
    let report = report::data(run, m, found, written);
    crate::report::write(&report, &run.out)?;
    files.extend(["report.html".to_string(), "report.md".to_string()]);
    Ok(files)
}

fn counts(run: &Run) -> String {
    let c = &run.study.concepts;
    format!(
        "{} persona and {} autonomy pairs",
        c[0].pairs.len(),
        c[1].pairs.len()
    )
}

/// Index of the condition in focus: the causal one, or the first tuned.
fn focus(run: &Run) -> usize {
    let named = run
        .study
        .written
        .causal
        .as_ref()
        .map(|c| c.condition.as_str());
    let at = |n: &str| run.study.conditions.iter().position(|c| c.name == n);
    named
        .and_then(at)
        .unwrap_or(run.study.conditions.len().min(2) - 1)
}
