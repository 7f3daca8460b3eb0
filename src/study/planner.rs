//! What stages are planned from: the study, its model, their costs, and the digests of their files.
//!
//! Each kind of stage has a file below `stages`; it takes what it needs of a [`Planner`] and
//! of the stages planned before it, and declares all of it.

use super::cost::Costs;
use super::files::Digests;
use super::layout;
use super::layout::Layout;
use super::manifest::{Source, Study};
use super::models::{self, Weights};
use super::stage::{Inputs, Stage};
use super::{Result, StudyError};
use crate::capture::Position;
use crate::materials::{Concept, Preference};
use crate::model::{resolve, Model};
use serde_json::{json, Value};

/// Positions that neutral texts are read at; concept pairs are read at the first only.
pub const POSITIONS: [Position; 2] = [Position::ResponseMean, Position::UserMean];

/// Further ones at which a trace is asked for.
pub const TRACE: [Position; 7] = [
    Position::UserLast,
    Position::BeforeResponse,
    Position::ResponseFirst,
    Position::ResponseQ1,
    Position::ResponseQ2,
    Position::ResponseQ3,
    Position::ResponseQ4,
];

/// What stages are planned from.
pub struct Planner<'a> {
    /// The study.
    pub study: &'a Study,
    /// Its model.
    pub model: &'a Model,
    /// Its run folder.
    pub layout: &'a Layout,
    /// Digests of files.
    pub digests: &'a Digests,
    /// What stages cost.
    pub costs: Costs<'a>,
    /// [`models::record`] of the study's model.
    pub base: Value,
}

/// The stages planned so far.
pub type Before<'a> = [Stage<'a>];

/// A stage planned before.
///
/// # Errors
/// Where it was not: stages are planned in an order in which each follows what it needs.
pub fn before<'s, 'a>(stages: &'s Before<'a>, name: &str) -> Result<&'s Stage<'a>> {
    let found = stages.iter().find(|s| s.name == name);
    found.ok_or_else(|| StudyError::Unplanned { stage: name.into() })
}

impl<'a> Planner<'a> {
    /// Name of a state.
    pub fn id(&self, state: usize) -> &'a str {
        &self.study.states[state].id
    }

    /// Where a state's weights are.
    ///
    /// # Errors
    /// A model that cannot be found.
    pub fn weights(&self, state: usize) -> Result<Weights> {
        let condition = self.study.of_state(state);
        Ok(match &condition.source {
            Source::Base | Source::System(_) => Weights::Base,
            Source::Adapter(folder) => Weights::Adapter(folder.clone()),
            Source::Data { .. } | Source::Neutral => {
                Weights::Adapter(self.layout.at(&layout::adapter(self.id(state))))
            }
            Source::Model { name, at } => {
                Weights::Other { name: name.clone(), path: resolve::resolve(at, &mut |_| ())? }
            }
        })
    }

    /// Declares the weights, the tokenizer and the prompt of a state.
    ///
    /// # Errors
    /// A file of its adapter or model that cannot be read.
    pub fn of_state(&self, inputs: Inputs, state: usize, stages: &Before) -> Result<Inputs> {
        let s = &self.study.states[state];
        let condition = self.study.of_state(state);
        let inputs =
            inputs.value("model", &self.base).value("state", &json!([s.id, s.condition, s.seed]));
        Ok(match &condition.source {
            Source::Base => inputs,
            Source::System(text) => inputs.value("system prompt", text),
            Source::Data { .. } | Source::Neutral => {
                inputs.stage(before(stages, &format!("finetune-{}", s.id))?)
            }
            Source::Adapter(folder) => {
                let [config, weights] = layout::of_adapter(&folder.to_string_lossy());
                (inputs.file("adapter's configuration", config.as_ref(), self.digests)?).file(
                    "adapter's weights",
                    weights.as_ref(),
                    self.digests,
                )?
            }
            Source::Model { name, .. } => match self.weights(state)? {
                Weights::Other { path, .. } => {
                    let files = models::all_files(&path, self.digests)?;
                    inputs.value("model of the condition", &json!([name, files]))
                }
                _ => inputs,
            },
        })
    }
}

/// Everything of concepts that is read.
pub fn concepts_value(all: &[Concept]) -> Value {
    all.iter().map(|c| json!([c.name, c.pairs])).collect()
}

/// Everything of preferences that is asked.
pub fn asked_value(battery: &[Preference]) -> Value {
    (battery.iter()).map(|p| json!([p.name, p.group, p.prompts])).collect()
}
