//! Activations of one state on every concept's pairs and on the neutral texts; in base also those of
//! the development pairs, and the layer RMS, the unit of doses and shifts.

use crate::analysis::texts::neutral_tokens;
use crate::analysis::{layer_rms, StateActivations, StateTexts};
use crate::materials::{Concept, NeutralText};
use crate::store::{ActivationSpec, Precision};
use crate::study::layout::{self, Layout, SCALE};
use crate::study::manifest::Study;
use crate::study::models::Weights;
use crate::study::planner::{concepts_value, texts_value, Before, Planner, POSITIONS};
use crate::study::stage::{Inputs, Stage, Work};
use crate::study::{acts, files, StudyError};
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
    pub fn read(layout: &Layout) -> Result<Self, StudyError> {
        files::json(layout, SCALE)
    }
}

/// Name of the stage of a state.
pub fn name(state: &str) -> String {
    format!("capture-{state}")
}

/// Everything that one state is read on.
struct Capture<'a> {
    condition: &'a str,
    seed: u64,
    weights: Weights,
    system: Option<&'a str>,
    concepts: &'a [Concept],
    neutral: &'a [NeutralText],
    /// Texts of the layer RMS, in base.
    scale: Option<&'a [NeutralText]>,
    output: String,
}

/// Plans it.
///
/// # Errors
/// A file of the state that cannot be read.
pub fn stage<'a>(p: &Planner<'a>, state: usize, stages: &Before) -> Result<Stage<'a>, StudyError> {
    let study = p.study;
    let s = &study.states[state];
    let what = Capture {
        condition: &s.condition,
        seed: s.seed,
        weights: p.weights(state)?,
        system: study.of_state(state).system(),
        concepts: &study.concepts,
        neutral: &study.shift_texts,
        scale: s.is_base().then_some(&study.scale_texts),
        output: layout::activations(&s.id),
    };
    let mut inputs = p
        .of_state(Inputs::revision(REVISION), state, stages)?
        .value("concepts", &concepts_value(what.concepts))
        .value("neutral texts", &texts_value(what.neutral));
    let mut outputs = vec![what.output.clone()];
    if let Some(texts) = what.scale {
        inputs = inputs.value("texts of the layer RMS", &texts_value(texts));
        outputs.push(SCALE.into());
    }
    let cost = p.costs.capture(s.is_base());
    let run = move |work: &mut Work| what.run(work);
    Ok(Stage::new(name(&s.id), inputs, outputs, cost, run))
}

impl Capture<'_> {
    fn run(&self, work: &mut Work) -> Result<(), StudyError> {
        let decoder = work.models.decoder(&self.weights)?;
        let tok = &work.models.base.tokenizer;
        let with_dev = self.scale.is_some();
        let texts = StateTexts::new(tok, self.concepts, self.neutral, self.system, with_dev)?;
        let layers: Vec<usize> = (0..decoder.layers()).collect();
        let read = StateActivations::capture(&decoder, &texts, &layers, &POSITIONS, &mut || ())?;
        let spec = ActivationSpec {
            condition: self.condition.into(),
            seed: self.seed,
            step: None,
            layers: layers.clone(),
            hidden: decoder.hidden(),
            positions: POSITIONS.iter().map(|p| p.to_string()).collect(),
            precision: Precision::F32,
        };
        let path = work.layout.at(&self.output);
        let kinds: Vec<String> = self.neutral.iter().map(|t| t.kind.clone()).collect();
        acts::write(&path, &work.attrs(None), spec, &texts, &kinds, &read)?;
        if let Some(scale) = self.scale {
            let tokens = neutral_tokens(tok, scale, None)?;
            let scale =
                Scale { rms: layer_rms(&decoder, &tokens, &layers)?, layers, n: tokens.len() };
            files::write_json(work.layout, SCALE, &scale)?;
        }
        Ok(())
    }
}

/// What a finished stage read of a state.
///
/// # Errors
/// A file that is not there or holds something else.
pub fn read(layout: &Layout, study: &Study, state: usize) -> Result<StateActivations, StudyError> {
    let s = &study.states[state];
    let names: Vec<&str> = study.concepts.iter().map(|c| c.name.as_str()).collect();
    let dev: &[&str] = if s.is_base() { &names } else { &[] };
    let path = layout.at(&layout::activations(&s.id));
    acts::read(&path, &names, dev, &POSITIONS)
}
