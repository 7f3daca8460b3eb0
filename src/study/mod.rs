//! The whole study: a checked manifest, a plan of stages keyed by what they declare, and their running.
//!
//! A manifest is [`written`], held within [`bounds`], and [`loading`] makes a [`manifest::Study`] of it.
//! [`plan`] makes [`stage`]s of a study: values with inputs, outputs, cost and a function. [`run`] runs
//! those that are not done, so that a killed study continues where it was and a changed line redoes
//! only what depends on it. This room knows the order of the stages and what flows between them; how
//! each works is the other rooms' business.

mod acts;
pub mod bounds;
pub mod clean;
pub mod cost;
pub mod day;
pub mod files;
pub mod fit;
mod held;
pub mod layout;
pub mod lints;
mod loading;
pub mod manifest;
pub mod marker;
pub mod models;
pub mod plan;
pub mod planner;
pub mod price;
mod record;
pub mod renders;
pub mod run;
pub mod stage;
pub mod stages;
pub mod template;
pub mod text;
pub mod written;

use std::path::PathBuf;

/// Ways in which a study can fail.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    #[error("{path}: cannot be read ({source})")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: cannot be written ({source}); check the folder and the free space")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {why}")]
    Toml { path: PathBuf, why: String },
    #[error("{path}{}: {key} {why}", line_clause(.line))]
    Key {
        path: PathBuf,
        line: Option<usize>,
        key: String,
        why: String,
    },
    #[error("{file}{}{}, condition `{condition}`: {why}", line_clause(.line), id_clause(.id))]
    Text {
        file: PathBuf,
        line: Option<usize>,
        id: String,
        condition: String,
        why: String,
    },
    #[error("the study needs about {need} of {what}, and there are {there}; {hint}")]
    Room {
        what: String,
        need: String,
        there: String,
        hint: String,
    },
    #[error("{path}: holds something other than a study's stage ({why}); delete it and run again")]
    Stage { path: PathBuf, why: String },
    #[error("{path}: exists already; choose another folder")]
    Exists { path: PathBuf },
    #[error("model `{got}` has {got_shape} layers x dimensions, the base has {want_shape}; a condition must be of the base's shape")]
    OtherShape {
        got: String,
        got_shape: String,
        want_shape: String,
    },
    #[error("there is no stage `{stage}` in the plan; `study plan` lists them")]
    Unplanned { stage: String },
    #[error("stage {stage} needs what is not there: {missing}; run that first")]
    Needs { stage: String, missing: String },
    #[error("stage {stage} failed")]
    InStage {
        stage: String,
        source: Box<StudyError>,
    },
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    #[error(transparent)]
    Material(#[from] crate::materials::MaterialError),
    #[error(transparent)]
    Finetune(#[from] crate::finetune::FinetuneError),
    #[error(transparent)]
    Behavior(#[from] crate::behavior::BehaviorError),
    #[error(transparent)]
    Analysis(#[from] crate::analysis::AnalysisError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
}

fn line_clause(line: &Option<usize>) -> String {
    line.map_or(String::new(), |l| format!(", line {l}"))
}

fn id_clause(id: &str) -> String {
    match id.is_empty() {
        true => String::new(),
        false => format!(", `{id}`"),
    }
}
