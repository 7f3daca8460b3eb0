//! Base and adapters to readings: every state is read on the same texts.
//!
//! Development pairs are read in base alone and only where a layer is chosen; each adapter's state
//! exists only while it is read.

use crate::analysis::directions::Further;
use crate::analysis::{
    layer_rms, ConceptInfo, Contrast, Reading, Readings, State, StateActivations, StateTexts,
};
use crate::behavior::response_log_probs;
use crate::capture::Position;
use crate::cli::state::{self, NamedAdapter};
use crate::cli::Console;
use crate::directions::{DirectionError, FEWEST_PAIRS};
use crate::materials::{Concept, NeutralText};
use crate::model::{Interventions, Model};
use anyhow::{Context, Result};

/// What is read.
pub struct Texts<'a> {
    pub concepts: &'a [Concept],
    pub neutral: &'a [NeutralText],
    pub reading: Reading,
    /// Blocks, increasing.
    pub layers: &'a [usize],
    /// Where directions are read, then where they are scored as well.
    pub positions: &'a [Position],
    /// Base's development pairs too; the first `choosing` concepts must have enough of them.
    pub choosing: Option<usize>,
    /// The log-probability of every neutral answer too.
    pub log_probs: bool,
}

/// What was read.
pub struct Read {
    pub readings: Readings,
    /// `[state]`; empty where it was not wanted.
    pub log_probs: Vec<Vec<f64>>,
    /// The positions behind the first.
    pub further: Vec<Further>,
}

/// Reads base and every adapter's state.
///
/// # Errors
/// A text that the template refuses, too few development pairs, an adapter that is none of the
/// model's.
pub fn read(what: &Texts, model: &Model, adapters: &[NamedAdapter], out: &Console) -> Result<Read> {
    let tok = &model.tokenizer;
    let contrast = |c: &Concept| match what.reading {
        Reading::Response => Contrast::responses(tok, c, None),
        Reading::Identical => Contrast::identical(tok, c, what.neutral),
    };
    let all = what.concepts.iter().map(contrast);
    let all = all.collect::<crate::analysis::Result<Vec<_>>>()?;
    let with_dev = what.choosing.is_some();
    let mut texts = StateTexts::of(tok, &all, what.neutral, None, with_dev)?;
    for few in texts.dev.iter().take(what.choosing.unwrap_or(0)) {
        if few.len() < FEWEST_PAIRS {
            let (needed, got) = (FEWEST_PAIRS, few.len());
            let error = DirectionError::NoDevelopmentPairs { needed, got };
            return Err(error).with_context(|| format!("concept `{}`", few.concept));
        }
    }
    let info = |all: &[Contrast]| all.iter().map(ConceptInfo::of).collect();
    let mut readings = Readings {
        states: Vec::new(),
        layers: what.layers.to_vec(),
        positions: what.positions[..1].to_vec(),
        concepts: info(&texts.concepts),
        dev: info(&texts.dev),
        acts: Vec::new(),
        rms: layer_rms(&model.decoder, &texts.neutral, what.layers)?,
    };
    let mut log_probs = Vec::new();
    let later = what.positions[1..].iter();
    let mut further: Vec<Further> = later
        .map(|p| Further {
            position: *p,
            acts: Vec::new(),
        })
        .collect();
    for (name, folder) in state::states(adapters) {
        let decoder = state::state(&model.decoder, folder.as_deref())?;
        let contrasts = texts.concepts.iter().chain(&texts.dev);
        let n = contrasts.map(|c| c.texts.len()).sum::<usize>() + texts.neutral.len();
        let mut bar = out.bar(&name, n);
        let (acts, at) = StateActivations::capture_at(
            &decoder,
            &texts,
            what.layers,
            &what.positions[..1],
            what.positions,
            &mut || bar.step(""),
        )
        .with_context(|| name.clone())?;
        for (further, acts) in further.iter_mut().zip(at) {
            further.acts.push(acts);
        }
        if what.log_probs {
            let edits = Interventions::none();
            log_probs.push(response_log_probs(&decoder, &texts.neutral, &edits)?);
        }
        readings.acts.push(acts);
        readings.states.push(State::named(&name));
        texts.dev.clear();
    }
    Ok(Read {
        readings,
        log_probs,
        further,
    })
}
