//! Necessity: directions projected out of one fine-tune of the focus or of the reference, which is then
//! asked for preferences or for the focus condition's claim.
//!
//! A fine-tune is put to its own directions, read anew in it, since those of base may no longer be what
//! it uses; a fine-tune of the reference is put to those of the focus's fine-tune in the same place, so
//! that both sides of a difference lose the same. Random directions are one set for all, drawn with
//! the covariance of the focus's first fine-tune.

use super::capture;
use crate::analysis::cause::{ablate, directions, Ablated, Controls, Subject, CLAIM, PREFERENCES};
use crate::analysis::texts::neutral_tokens;
use crate::analysis::BASE;
use crate::causal::Bench;
use crate::materials::{NeutralText, Preference};
use crate::study::layout::{self, Layout};
use crate::study::manifest::Edits;
use crate::study::models::Weights;
use crate::study::planner::{asked_value, before, texts_value, Before, Planner, POSITIONS};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, StudyError};

const REVISION: u32 = 1;

/// Name of the stage of a state.
pub fn name(state: &str, of_claim: bool) -> String {
    match of_claim {
        false => format!("ablate-{state}"),
        true => format!("ablate-claim-{state}"),
    }
}

struct Ablate<'a> {
    id: &'a str,
    weights: Weights,
    system: Option<&'a str>,
    asked: Vec<Preference>,
    of_claim: bool,
    edits: &'a Edits,
    random: usize,
    seed: u64,
    /// States that the directions are read in, and the covariance of the random ones.
    directions_of: &'a str,
    background: &'a str,
    sides: &'a [NeutralText],
}

/// Plans it; none where nothing is asked.
///
/// # Errors
/// A text that the template refuses.
pub fn stage<'a>(
    p: &Planner<'a>,
    state: usize,
    of_claim: bool,
    stages: &Before,
) -> Result<Option<Stage<'a>>, StudyError> {
    let study = p.study;
    let [battery, claim] = study.asked();
    let asked = if of_claim { claim } else { battery };
    let sides = study.sides();
    let (Some(edits), Some(spec), Some([focus, _])) = (&study.edits, &study.written.causal, sides)
    else {
        return Ok(None);
    };
    let (Some(&first), false) = (focus.first(), asked.is_empty()) else {
        return Ok(None);
    };
    let s = &study.states[state];
    let what = Ablate {
        id: &s.id,
        weights: p.weights(state)?,
        system: study.of_state(state).system(),
        asked,
        of_claim,
        edits,
        random: spec.random,
        seed: study.written.seed,
        directions_of: p.id(study.directions_of(state)),
        background: p.id(first),
        sides: &study.side_texts,
    };
    let mut inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("asked", &asked_value(&what.asked))
        .value("of the claim", &of_claim)
        .value("concepts", &(&edits.concepts, &edits.placebos))
        .value("random directions", &what.random)
        .value("seed", &what.seed)
        .value("read in", &(what.directions_of, what.background))
        .value("texts for side effects", &texts_value(what.sides));
    for of in [BASE, what.directions_of, what.background] {
        inputs = inputs.stage(before(stages, &capture::name(of))?);
    }
    let runs = 1 + 2 * edits.concepts.len() + edits.placebos.len() + what.random;
    let cost = p.costs.edited(s.is_base(), &what.asked, runs)?;
    let outputs = vec![layout::ablated(&s.id, of_claim)];
    let run = move |work: &mut Work| what.run(work);
    Ok(Some(Stage::new(name(&s.id, of_claim), inputs, outputs, cost, run)))
}

impl Ablate<'_> {
    fn run(&self, work: &mut Work) -> Result<(), StudyError> {
        let decoder = work.models.decoder(&self.weights)?;
        let tok = &work.models.base.tokenizer;
        let names: Vec<String> =
            (self.edits.concepts.iter()).chain(&self.edits.placebos).cloned().collect();
        let called: Vec<&str> = names.iter().map(String::as_str).collect();
        let read = |state: &str, concepts: &[&str]| {
            let path = work.layout.at(&layout::activations(state));
            acts::read(&path, concepts, &[], &POSITIONS[..1])
        };
        let (own, base) = (read(self.directions_of, &called)?, read(BASE, &called)?);
        let background = read(self.background, &[])?;
        let layers: Vec<usize> = (0..decoder.layers()).collect();
        let controls = Controls {
            tested: &self.edits.concepts,
            placebos: &self.edits.placebos,
            random: self.random,
            seed: self.seed,
        };
        let directions =
            directions(&own, Some(&base), &background.neutral[0], (&names, &layers), &controls)?;
        let neutral = neutral_tokens(tok, self.sides, None)?;
        let subject = Subject {
            state: self.id,
            bench: Bench {
                model: &decoder,
                tokenizer: tok,
                battery: &self.asked,
                system: self.system,
                neutral: &neutral,
            },
            roles: None,
        };
        let asked = if self.of_claim { CLAIM } else { PREFERENCES };
        let watch = &mut *work.watch;
        let done = ablate(&subject, self.directions_of, asked, &directions, &mut |edit| {
            watch(&format!("ablating {edit}"))
        })?;
        files::write_json(work.layout, &layout::ablated(self.id, self.of_claim), &done)
    }
}

/// What a finished stage left.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout, state: &str, of_claim: bool) -> Result<Ablated, StudyError> {
    files::json(layout, &layout::ablated(state, of_claim))
}
