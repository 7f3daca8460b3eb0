//! From what the other stages left (activations, scores, logs) to every record, in `results.h5` with
//! its CSVs.
//!
//! The numbers are made by the analyses (`measured`); this file knows which files they come
//! from. Everything that is ever said of the study is in the file afterwards: the report reads nothing
//! else.

use super::about::Left;
use super::{behave, capture, finetune, measured};
use crate::analysis::directions::write_units;
use crate::analysis::records::Results;
use crate::store::{Frame, ResultsWriter};
use crate::study::layout::{self, CSV, RESULTS, ROWS};
use crate::study::manifest::Study;
use crate::study::planner::{asked_value, before, concepts_value, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{declaration, files, Result, StudyError};
use serde_json::{json, Value};

const REVISION: u32 = 6;

/// Name of the stage.
pub const NAME: &str = "measure";

/// Plans it.
///
/// # Errors
/// A stage that was not planned.
pub fn stage<'a>(p: &Planner<'a>, stages: &Before) -> Result<Stage<'a>> {
    let study = p.study;
    let declaration = declaration::records(study, p.model, p.layout, p.digests)?;
    let states: Vec<Value> = (0..study.states.len())
        .map(|i| {
            let (s, c) = (&study.states[i], study.of_state(i));
            json!([
                s.id,
                s.condition,
                s.seed,
                s.text,
                s.share,
                c.source.name(),
                c.identity,
                c.prevent
            ])
        })
        .collect();
    let said = study.concepts.iter().map(|c| [&c.positive, &c.negative]);
    let status = study.battery.iter().map(|b| json!([b.name, b.status]));
    let related = study.claims.iter().map(|c| json!([c.name, c.related]));
    let mut inputs = Inputs::revision(REVISION)
        .value("version", env!("CARGO_PKG_VERSION"))
        .value("model", &p.base)
        .value("manifest", &study.written)
        .value("states", &states)
        .value("roles", &json!([study.roles, study.reference, study.focus, study.neutral]))
        .value("concepts", &concepts_value(&study.concepts))
        .value("sides of concepts", &said.collect::<Vec<_>>())
        .value("battery", &asked_value(&study.battery))
        .value("claims", &asked_value(&study.claims))
        .value("declining", &asked_value(&study.declining))
        .value("related", &related.collect::<Vec<_>>())
        .value("status", &status.collect::<Vec<_>>())
        .value("outcomes", &study.outcomes)
        .value("neutral texts", &study.shift_texts)
        .value("rows", &study.used)
        .value("notes", &study.notes)
        .value("declaration", &declaration.frames().iter().map(Frame::json).collect::<Vec<_>>());
    for s in &study.states {
        inputs = inputs
            .stage(before(stages, &capture::name(&s.id))?)
            .stage(before(stages, &behave::name(&s.id))?);
    }
    // What else was planned is read too.
    for other in stages {
        inputs = inputs.stage(other);
    }
    let outputs = [RESULTS, CSV, ROWS].map(String::from).to_vec();
    let run = move |work: &mut Work| run(study, &declaration, work);
    let quoted = study.states.iter().map(|s| layout::activations(&s.id)).collect();
    Ok(Stage::new(NAME, inputs, outputs, p.costs.measure(), run).quoting(quoted))
}

fn run(study: &Study, declaration: &Results, work: &mut Work) -> Result<()> {
    work.models.release();
    let (layout, model) = (work.layout, work.models.base);
    let mut config = serde_json::to_value(&study.written)
        .map_err(|e| StudyError::Stage { path: layout.at(RESULTS), why: e.to_string() })?;
    config["inputs"] = work.record["inputs"].clone();
    let attrs = work.attrs(Some(config));
    let learnt = (0..study.states.len())
        .filter(|&i| study.of_state(i).is_tuned())
        .map(|i| files::json(layout, &layout::learnt(&study.states[i].id)))
        .collect::<Result<Vec<finetune::Learnt>, _>>()?;
    let left = Left { layout, study, model, learnt: &learnt, declaration };
    let (readings, found, results) = measured::all(&left, &mut *work.watch)?;
    let mut w = ResultsWriter::create(&layout.at(RESULTS), &attrs)?;
    // First, so that the file's coordinates are all states, concepts and layers.
    write_units(&mut w, &readings, &found)?;
    results.write(&mut w)?;
    for s in &study.states {
        w.activations(&layout::activations(&s.id))?;
    }
    w.finish()?;
    files::write_json(layout, ROWS, &json!({"used": study.used, "learnt": learnt}))
}
