//! Activations of one state on every concept's pairs and on the neutral texts; in base also those of
//! the development pairs, the layer RMS, the unit of doses and shifts, and all neutral texts for shifts.

use crate::analysis::texts::neutral_tokens;
use crate::analysis::{layer_rms, readings, StateActivations, StateTexts};
use crate::study::layout::{self, Layout, ALL_NEUTRAL, SCALE};
use crate::study::manifest::Study;
use crate::study::planner::{concepts_value, Before, Planner, POSITIONS, TRACE};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, Result};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

const REVISION: u32 = 1;

/// RMS of an entry of base's stream after each block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The blocks.
    pub layers: Vec<usize>,
    /// Root mean square after each.
    pub rms: Vec<f64>,
    /// Neutral texts behind it.
    pub n: usize,
}

impl Scale {
    /// That of a run.
    ///
    /// # Errors
    /// A file that is not there or holds something else.
    pub fn read(layout: &Layout) -> Result<Self> {
        files::json(layout, SCALE)
    }
}

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("capture-{state}")
}

/// Plans it.
///
/// # Errors
/// A file of the state that cannot be read.
pub fn stage<'a>(p: &Planner<'a>, state: usize, stages: &Before) -> Result<Stage<'a>> {
    let (study, s) = (p.study, &p.study.states[state]);
    let (weights, system) = (p.weights(state)?, study.of_state(state).system());
    // Texts of the layer RMS, in base.
    let scale = s.is_base().then_some(&study.scale_texts);
    let mut inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("concepts", &concepts_value(&study.concepts))
        .value("neutral texts", &study.shift_texts);
    let mut positions = POSITIONS.to_vec();
    if study.written.positions.trace {
        inputs = inputs.value("positions of the trace", &TRACE);
        positions.extend(TRACE);
    }
    let mut outputs = vec![layout::activations(&s.id)];
    if let Some(texts) = scale {
        inputs = inputs.value("texts of the layer RMS", texts);
        outputs.push(SCALE.into());
        if study.reads_fewer() {
            inputs = inputs.value("all neutral texts", &true);
            outputs.push(ALL_NEUTRAL.into());
        }
    }
    let cost = p.costs.capture(s.is_base());
    Ok(Stage::new(name(&s.id), inputs, outputs, cost, move |work: &mut Work| {
        let (decoder, tok) = (work.models.decoder(&weights)?, &work.models.base.tokenizer);
        let (neutral, with_dev) = (&study.shift_texts, scale.is_some());
        let texts = StateTexts::new(tok, &study.concepts, neutral, system, with_dev)?;
        let layers: Vec<usize> = (0..decoder.layers()).collect();
        let read = StateActivations::capture(&decoder, &texts, &layers, &positions, &mut || ())?;
        let path = work.layout.at(&layout::activations(&s.id));
        let of = (s.condition.as_str(), s.seed, None);
        acts::write(&path, &work.attrs(None), of, &layers, (&texts, neutral), &read)?;
        if let Some(scale) = scale {
            let tokens = neutral_tokens(tok, scale, None)?;
            let rms = layer_rms(&decoder, &tokens, &layers)?;
            if study.reads_fewer() {
                let neutral = readings::read(&decoder, &tokens, &layers, &POSITIONS, &mut || ())?;
                let read = StateActivations { neutral, ..StateActivations::default() };
                let texts = StateTexts { neutral: tokens.clone(), ..StateTexts::default() };
                let path = work.layout.at(ALL_NEUTRAL);
                acts::write(&path, &work.attrs(None), of, &layers, (&texts, scale), &read)?;
            }
            files::write_json(work.layout, SCALE, &Scale { layers, rms, n: tokens.len() })?;
        }
        Ok(())
    }))
}

/// Concepts of a state at the first position, with its neutral texts.
///
/// # Errors
/// As [`read`].
pub fn concepts(layout: &Layout, state: &str, names: &[&str]) -> Result<StateActivations> {
    acts::read(&layout.at(&layout::activations(state)), names, &[], &POSITIONS[..1])
}

/// Base on all neutral texts for shifts, at every position; none where the states are read on all.
///
/// # Errors
/// As [`read`].
pub fn all_neutral(layout: &Layout, study: &Study) -> Result<Option<Vec<Array3<f32>>>> {
    let read = || Ok(acts::read(&layout.at(ALL_NEUTRAL), &[], &[], &POSITIONS)?.neutral);
    study.reads_fewer().then(read).transpose()
}

/// The neutral texts of a state at the positions of the trace.
///
/// # Errors
/// As [`read`].
pub fn trace(layout: &Layout, state: &str) -> Result<Vec<Array3<f32>>> {
    Ok(acts::read(&layout.at(&layout::activations(state)), &[], &[], &TRACE)?.neutral)
}

/// What a finished stage read of a state.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout, study: &Study, state: usize) -> Result<StateActivations> {
    let s = &study.states[state];
    let names: Vec<&str> = study.concepts.iter().map(|c| c.name.as_str()).collect();
    let dev: &[&str] = if s.is_base() { &names } else { &[] };
    let path = layout.at(&layout::activations(&s.id));
    acts::read(&path, &names, dev, &POSITIONS)
}
