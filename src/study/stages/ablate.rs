//! Necessity: directions projected out of one fine-tune of the focus or of the reference, which is then
//! asked for preferences or for the focus condition's claim.
//!
//! A fine-tune is put to its own directions, read anew in it, since those of base may no longer be what
//! it uses; a fine-tune of the reference is put to those of the focus's fine-tune in the same place, so
//! that both sides of a difference lose the same. Random directions are one set for all, drawn with
//! the covariance of the focus's first fine-tune.

use super::capture;
use crate::analysis::cause::{directions, Ablated, Controls, CLAIM, PREFERENCES};
use crate::analysis::texts::neutral_tokens;
use crate::analysis::BASE;
use crate::causal::{Bench, Direction};
use crate::materials::{NeutralText, Preference};
use crate::model::{Decoder, Model, Tokens};
use crate::study::layout::{self, Layout};
use crate::study::manifest::Edits;
use crate::study::planner::{asked_value, before, Before, Planner};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{files, Result};

const REVISION: u32 = 1;

/// Name of the stage of a state.
pub fn name(state: &str, of_claim: bool) -> String {
    match of_claim {
        false => format!("ablate-{state}"),
        true => format!("ablate-claim-{state}"),
    }
}

/// What is edited, by which directions, and what is asked then: the same for ablations and doses.
pub struct Edited<'a> {
    pub asked: Vec<Preference>,
    pub edits: &'a Edits,
    /// Random directions.
    pub random: usize,
    pub seed: u64,
    /// Texts for side effects.
    pub sides: &'a [NeutralText],
}

impl Edited<'_> {
    /// Declares all of it.
    pub fn declared(&self, inputs: Inputs) -> Inputs {
        inputs
            .value("asked", &asked_value(&self.asked))
            .value("concepts", &(&self.edits.concepts, &self.edits.placebos))
            .value("random directions", &self.random)
            .value("seed", &self.seed)
            .value("texts for side effects", self.sides)
    }

    /// The directions as the state `own` and, where it is another, base read them, and random ones
    /// of the neutral texts of `background`.
    pub fn directions(
        &self,
        layout: &Layout,
        own: &str,
        background: &str,
        layers: &[usize],
    ) -> Result<Vec<Direction>> {
        let Edits { concepts: tested, placebos } = self.edits;
        let names = [&tested[..], placebos].concat();
        let called: Vec<&str> = names.iter().map(String::as_str).collect();
        let read = |state: &str| capture::concepts(layout, state, &called);
        let base = if own == BASE { None } else { Some(read(BASE)?) };
        let texts = capture::concepts(layout, background, &[])?;
        let controls = Controls { tested, placebos, random: self.random, seed: self.seed };
        let of = (names.as_slice(), layers);
        Ok(directions(&read(own)?, base.as_ref(), &texts.neutral[0], of, &controls)?)
    }

    /// What a state is scored on under each edit.
    pub fn bench<'b>(
        &'b self,
        base: &'b Model,
        model: &'b Decoder,
        system: Option<&'b str>,
        neutral: &'b [Tokens],
    ) -> Bench<'b> {
        Bench { model, tokenizer: &base.tokenizer, battery: &self.asked, system, neutral }
    }
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
) -> Result<Option<Stage<'a>>> {
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
    let (weights, system) = (p.weights(state)?, study.of_state(state).system());
    // States that the directions are read in, and the covariance of the random ones.
    let (own, background) = (p.id(study.directions_of(state)), p.id(first));
    let (random, seed, sides) = (spec.random, study.written.seed, &study.side_texts[..]);
    let what = Edited { asked, edits, random, seed, sides };
    let mut inputs = (what.declared(p.of_state(Inputs::revision(REVISION), state, stages)?))
        .value("of the claim", &of_claim)
        .value("read in", &(own, background));
    for of in [BASE, own, background] {
        inputs = inputs.stage(before(stages, &capture::name(of))?);
    }
    let runs = 1 + 2 * edits.concepts.len() + edits.placebos.len() + random;
    let cost = p.costs.edited(s.is_base(), &what.asked, runs)?;
    let output = layout::ablated(&s.id, of_claim);
    let (name, outputs) = (name(&s.id, of_claim), vec![output.clone()]);
    Ok(Some(Stage::new(name, inputs, outputs, cost, move |work: &mut Work| {
        let (decoder, base) = (work.models.decoder(&weights)?, work.models.base);
        let layers: Vec<usize> = (0..decoder.layers()).collect();
        let directions = what.directions(work.layout, own, background, &layers)?;
        let neutral = neutral_tokens(&base.tokenizer, what.sides, None)?;
        let told = &mut *work.watch;
        let watch = &mut |edit: &str| told(&format!("ablating {edit}"));
        let bench = what.bench(base, &decoder, system, &neutral);
        let done = Ablated {
            state: s.id.clone(),
            directions_of: own.into(),
            asked: if of_claim { CLAIM } else { PREFERENCES }.into(),
            edits: bench.ablate(&directions, None, watch)?,
        };
        files::write_json(work.layout, &output, &done)
    })))
}
