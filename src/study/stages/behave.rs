//! Stance log-odds of one state on the battery and on the claims, and how likely it finds answers that
//! decline.

use crate::behavior::{stance, PairScore};
use crate::materials::Preference;
use crate::model::{Decoder, Interventions, Tokenizer};
use crate::study::layout;
use crate::study::planner::{asked_value, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{files, Result};

const REVISION: u32 = 1;

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("behave-{state}")
}

/// Every pair of a battery, and of claims and harmless requests where there are any, as a state scores
/// them.
///
/// # Errors
/// A text that is refused; the model's.
pub fn scores(
    decoder: &Decoder,
    tok: &Tokenizer,
    (battery, others): (&[Preference], [&[Preference]; 2]),
    system: Option<&str>,
) -> Result<Vec<PairScore>> {
    let none = Interventions::none();
    let mut all = stance(decoder, tok, battery, system, &none)?;
    for asked in others.into_iter().filter(|o| !o.is_empty()) {
        all.extend(stance(decoder, tok, asked, system, &none)?);
    }
    Ok(all)
}

/// Plans it.
///
/// # Errors
/// A file of the state that cannot be read.
pub fn stage<'a>(p: &Planner<'a>, state: usize, stages: &Before) -> Result<Stage<'a>> {
    let (study, s) = (p.study, &p.study.states[state]);
    let (weights, system) = (p.weights(state)?, study.of_state(state).system());
    let inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("battery", &asked_value(&study.battery))
        .value("claims", &asked_value(&study.claims))
        .value("declining", &asked_value(&study.declining));
    let (output, cost) = (layout::behaviour(&s.id), p.costs.behave(s.is_base()));
    Ok(Stage::new(name(&s.id), inputs, vec![output.clone()], cost, move |work: &mut Work| {
        let (decoder, tok) = (work.models.decoder(&weights)?, &work.models.base.tokenizer);
        let others = [&study.claims[..], &study.declining[..]];
        let all = scores(&decoder, tok, (&study.battery, others), system)?;
        files::write_lines(work.layout, &output, &all)
    }))
}
