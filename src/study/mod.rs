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
pub mod declaration;
pub mod export;
pub mod files;
pub mod fit;
mod held;
pub mod jobs;
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
pub mod sweep;
pub mod take;
pub mod template;
pub mod text;
pub mod written;

use std::path::PathBuf;

/// Result of a study.
pub type Result<T, E = StudyError> = std::result::Result<T, E>;

/// Ways in which a study can fail.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each sentence names the fields that it is made of.
pub enum StudyError {
    /// A file that cannot be read.
    #[error("{path}: cannot be read ({source}); check the path and its permissions")]
    Read { path: PathBuf, source: std::io::Error },
    /// A file that cannot be written.
    #[error("{path}: cannot be written ({source}); check the folder and the free space")]
    Write { path: PathBuf, source: std::io::Error },
    /// A manifest that is no TOML, or has other keys.
    #[error("{path}: {why}")]
    Toml { path: PathBuf, why: String },
    /// A key of the manifest.
    #[error("{path}{}: {key} {why}", line_clause(.line))]
    Key { path: PathBuf, line: Option<usize>, key: String, why: String },
    /// A text that the model cannot be given.
    #[error("{file}{}{}, condition `{condition}`: {why}", line_clause(.line), id_clause(.id))]
    Text { file: PathBuf, line: Option<usize>, id: String, condition: String, why: String },
    /// A machine that is too small.
    #[error("the study needs about {need} of {what}, and there are {there}; {hint}")]
    Room { what: String, need: String, there: String, hint: String },
    /// A file of a run folder that is not what it should be.
    #[error("{path}: holds something other than a study's stage ({why}); delete it and run again")]
    Stage { path: PathBuf, why: String },
    /// The run folder of another study.
    #[error("{path}: holds the run of study `{name}`, not of `{own}`; give its manifest, or another folder (--out)")]
    Another { path: PathBuf, name: String, own: String },
    /// A declaration that was changed by hand, or is of another version.
    #[error("{path}: holds something other than a declaration ({why}); put back the file that was declared, or delete it, and nothing is declared")]
    Declaration { path: PathBuf, why: String },
    /// A file that would be written over.
    #[error("{path}: exists already; choose another folder")]
    Exists { path: PathBuf },
    /// A condition's model of another shape.
    #[error("model `{got}` has {got_shape} layers x dimensions, the base has {want_shape}; a condition must be of the base's shape")]
    OtherShape { got: String, got_shape: String, want_shape: String },
    /// A name that is no stage.
    #[error("there is no stage `{stage}` in the plan; `study plan` lists them")]
    Unplanned { stage: String },
    /// A stage whose inputs are not there.
    #[error("stage {stage} needs what is not there: {missing}; run that first")]
    Needs { stage: String, missing: String },
    /// A stage that failed.
    #[error("stage {stage} failed")]
    InStage { stage: String, source: Box<StudyError> },
    /// Of the room `model`.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// Of the room `materials`.
    #[error(transparent)]
    Material(#[from] crate::materials::MaterialError),
    /// Of the room `finetune`.
    #[error(transparent)]
    Finetune(#[from] crate::finetune::FinetuneError),
    /// Of the room `behavior`.
    #[error(transparent)]
    Behavior(#[from] crate::behavior::BehaviorError),
    /// Of the room `causal`.
    #[error(transparent)]
    Causal(#[from] crate::causal::CausalError),
    /// Of the room `analysis`.
    #[error(transparent)]
    Analysis(#[from] crate::analysis::AnalysisError),
    /// Of the room `store`.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// Of the room `report`.
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
