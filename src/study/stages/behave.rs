//! Stance log-odds of one state on the battery and on the claims.

use crate::behavior::{stance, PairScore};
use crate::materials::Preference;
use crate::model::Interventions;
use crate::study::layout;
use crate::study::models::Weights;
use crate::study::planner::{asked_value, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{files, StudyError};

const REVISION: u32 = 1;

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("behave-{state}")
}

struct Behave<'a> {
    weights: Weights,
    system: Option<&'a str>,
    battery: &'a [Preference],
    claims: &'a [Preference],
    output: String,
}

/// Plans it.
///
/// # Errors
/// A file of the state that cannot be read.
pub fn stage<'a>(p: &Planner<'a>, state: usize, stages: &Before) -> Result<Stage<'a>, StudyError> {
    let s = &p.study.states[state];
    let what = Behave {
        weights: p.weights(state)?,
        system: p.study.of_state(state).system(),
        battery: &p.study.battery,
        claims: &p.study.claims,
        output: layout::behaviour(&s.id),
    };
    let inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("battery", &asked_value(what.battery))
        .value("claims", &asked_value(what.claims));
    let (outputs, cost) = (vec![what.output.clone()], p.costs.behave(s.is_base()));
    let run = move |work: &mut Work| what.run(work);
    Ok(Stage::new(name(&s.id), inputs, outputs, cost, run))
}

impl Behave<'_> {
    fn run(&self, work: &mut Work) -> Result<(), StudyError> {
        let decoder = work.models.decoder(&self.weights)?;
        let (none, tok) = (Interventions::none(), &work.models.base.tokenizer);
        let mut all: Vec<PairScore> = stance(&decoder, tok, self.battery, self.system, &none)?;
        if !self.claims.is_empty() {
            all.extend(stance(&decoder, tok, self.claims, self.system, &none)?);
        }
        files::write_lines(work.layout, &self.output, &all)
    }
}
