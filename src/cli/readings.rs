//! From options to [`Readings`]: concepts and neutral texts, read in base and in every adapter's state.
//!
//! What `extract` and `geometry` share. Every state is read on the same texts; development pairs are
//! read in base alone and only where a layer is chosen, and an adapter's state exists only while it is
//! read. [`ground`] says what a results file is about.

use super::state::{self, NamedAdapter, BASE};
use super::Console;
use crate::analysis::records::StateRow;
use crate::analysis::scale::layer_rows;
use crate::analysis::{
    directions::Further, layer_rms, texts::neutral_tokens, ConceptInfo, Contrast, Reading,
    Readings, State, StateActivations, StateTexts,
};
use crate::behavior::response_log_probs;
use crate::capture::Position;
use crate::directions::{DirectionError, FEWEST_PAIRS};
use crate::materials::{self, Concept, NeutralText};
use crate::model::{Interventions, Model, Tokens};
use crate::store::{names::twice, Frame};
use anyhow::{bail, Context, Result};

/// The neutral texts that layer RMS, covariances and shifts are read on.
pub fn shift_texts() -> Result<Vec<NeutralText>> {
    Ok(materials::for_shifts(&materials::load_neutral_texts(None)?))
}

/// Those texts as tokens: the unit of doses is taken on them in base.
pub fn scale_texts(model: &Model) -> Result<Vec<Tokens>> {
    Ok(neutral_tokens(&model.tokenizer, &shift_texts()?, None)?)
}

/// A concept by name or file, of `pairs` main pairs drawn by `seed` where that is given.
pub fn concept(name: &str, pairs: Option<u32>, seed: u64) -> Result<Concept> {
    let mut loaded = materials::load::concept(name)?;
    if let Some(n) = pairs {
        loaded = loaded.draw(n as usize, seed)?;
    }
    Ok(loaded.items)
}

/// Several of them, each once.
pub fn concepts(names: &[String], pairs: Option<u32>, seed: u64) -> Result<Vec<Concept>> {
    let each = names.iter().map(|name| concept(name, pairs, seed));
    let all: Vec<Concept> = each.collect::<Result<_>>()?;
    let names: Vec<&str> = all.iter().map(|c| &*c.name).collect();
    match twice(&names) {
        None => Ok(all),
        Some(name) => bail!("concept `{name}` is given twice; leave one out"),
    }
}

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
    /// Main pairs and neutral texts as tokens.
    pub texts: StateTexts,
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
    state::check(model, adapters.iter().map(|a| &*a.folder), out)?;
    let tok = &model.tokenizer;
    let contrast = |c: &Concept| match what.reading {
        Reading::Response => Contrast::responses(tok, c, None),
        Reading::Identical => Contrast::identical(tok, c, what.neutral),
    };
    let all: Vec<Contrast> = what.concepts.iter().map(contrast).collect::<Result<_, _>>()?;
    let mut texts = StateTexts::of(tok, &all, what.neutral, None, what.choosing.is_some())?;
    for few in texts.dev.iter().take(what.choosing.unwrap_or(0)) {
        if few.len() < FEWEST_PAIRS {
            let error = DirectionError::NoDevelopmentPairs { needed: FEWEST_PAIRS, got: few.len() };
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
        all_neutral: None,
    };
    let mut log_probs = Vec::new();
    let later = what.positions[1..].iter();
    let mut further: Vec<Further> =
        later.map(|p| Further { position: *p, acts: Vec::new() }).collect();
    let tuned = adapters.iter().map(|a| (&*a.name, Some(&*a.folder)));
    for (name, folder) in std::iter::once((BASE, None)).chain(tuned) {
        let decoder = state::state(&model.decoder, folder)?;
        let contrasts = texts.concepts.iter().chain(&texts.dev);
        let n = contrasts.map(|c| c.texts.len()).sum::<usize>() + texts.neutral.len();
        let mut bar = out.bar(name, n);
        let (first, watch) = (&what.positions[..1], &mut || bar.step(""));
        let read = StateActivations::capture_at(
            &decoder,
            &texts,
            what.layers,
            first,
            what.positions,
            watch,
        );
        let (acts, at) = read.with_context(|| name.to_string())?;
        for (further, acts) in further.iter_mut().zip(at) {
            further.acts.push(acts);
        }
        if what.log_probs {
            let edits = Interventions::none();
            log_probs.push(response_log_probs(&decoder, &texts.neutral, &edits)?);
        }
        readings.acts.push(acts);
        readings.states.push(State::named(name));
        texts.dev.clear();
    }
    Ok(Read { readings, texts, log_probs, further })
}

/// The states and layers that were read; `fixed` are the blocks that are printed.
pub fn ground(readings: &Readings, fixed: &[usize]) -> [Frame; 2] {
    let states: Vec<StateRow> = readings.states.iter().map(state::row).collect();
    let layers = layer_rows(&readings.layers, &readings.rms, fixed, readings.texts());
    [Frame::of(&states), Frame::of(&layers)]
}
