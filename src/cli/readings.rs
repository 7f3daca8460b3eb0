//! From options to [`Readings`]: concepts and neutral texts, read in base and in every adapter's state.
//!
//! What `geometry` and `extract` share. [`subject`] writes what a results file is about.

use super::state::{self, NamedAdapter};
use super::Console;
use crate::analysis::records::{ConceptRow, CoupleRow, LayerRow, StateRow};
use crate::analysis::{
    layer_rms, ConceptInfo, Readings, Roles, State, StateActivations, StateTexts,
};
use crate::capture::Position;
use crate::materials::{self, Concept, NeutralText, Split};
use crate::model::Model;
use crate::store::ResultsWriter;
use anyhow::{bail, Result};

/// The neutral texts that layer RMS, covariances and shifts are read on.
pub fn shift_texts() -> Result<Vec<NeutralText>> {
    Ok(materials::for_shifts(&materials::load_neutral_texts(None)?))
}

/// Concepts by name or file, each once; of each `pairs` main pairs, drawn by `seed`, where that is given.
pub fn concepts(names: &[String], pairs: Option<usize>, seed: u64) -> Result<Vec<Concept>> {
    let mut all: Vec<Concept> = Vec::new();
    for name in names {
        let loaded = materials::load::concept(name)?;
        let concept = match pairs {
            Some(n) => loaded.draw(n, seed)?.items,
            None => loaded.items,
        };
        if all.iter().any(|c| c.name == concept.name) {
            bail!("concept `{}` is given twice; leave one out", concept.name);
        }
        all.push(concept);
    }
    Ok(all)
}

/// What is read, and where.
pub struct Plan<'a> {
    pub model: &'a Model,
    pub adapters: &'a [NamedAdapter],
    /// Development pairs are read in base alone.
    pub texts: &'a StateTexts,
    pub layers: &'a [usize],
    /// The concepts are read at the first.
    pub positions: &'a [Position],
}

impl Plan<'_> {
    /// Reads base and every adapter's state, each merged only while it is at work.
    pub fn read(&self, out: &Console) -> Result<Readings> {
        let decoder = &self.model.decoder;
        let main_only = StateTexts {
            dev: Vec::new(),
            ..self.texts.clone()
        };
        let (mut states, mut acts) = (Vec::new(), Vec::new());
        for (name, folder) in state::states(self.adapters) {
            let texts = match folder {
                None => self.texts,
                Some(_) => &main_only,
            };
            let pairs = texts.concepts.iter().chain(&texts.dev);
            let total = pairs.map(|c| c.texts.len()).sum::<usize>() + texts.neutral.len();
            let mut progress = out.bar(&name, total);
            let decoder = state::state(decoder, folder.as_deref())?;
            acts.push(StateActivations::capture(
                &decoder,
                texts,
                self.layers,
                self.positions,
                &mut || progress.step(""),
            )?);
            states.push(State::named(&name));
        }
        let infos = |of: &[crate::analysis::Contrast]| of.iter().map(ConceptInfo::of).collect();
        Ok(Readings {
            states,
            layers: self.layers.to_vec(),
            positions: self.positions.to_vec(),
            concepts: infos(&self.texts.concepts),
            dev: infos(&self.texts.dev),
            acts,
            rms: layer_rms(decoder, &self.texts.neutral, self.layers)?,
        })
    }
}

/// Writes states, concepts, couples and layers; `reported` are the blocks that are printed.
pub fn subject(
    w: &mut ResultsWriter,
    readings: &Readings,
    concepts: &[Concept],
    roles: &Roles,
    reported: &[usize],
) -> Result<()> {
    let states = readings.states.iter().map(|s| StateRow {
        state: s.id.clone(),
        condition: s.condition.clone(),
        seed: s.seed as usize,
        source: if s.is_base() { "base" } else { "adapter" }.into(),
        text: s.text.clone(),
        identity: !s.is_base(),
    });
    w.records(&states.collect::<Vec<_>>())?;
    let coupled = roles.coupled();
    let rows = (concepts.iter().zip(&readings.concepts)).map(|(concept, info)| {
        let mut templates = info.template.clone();
        templates.sort_unstable();
        templates.dedup();
        let dev = |p: &&materials::Pair| p.split == Split::Dev;
        ConceptRow {
            concept: info.name.clone(),
            coupled: coupled.contains(&info.name.as_str()),
            placebo: roles.placebos.contains(&info.name),
            nuisance: roles.nuisances.contains(&info.name),
            positive: concept.positive.clone(),
            negative: concept.negative.clone(),
            pairs: info.prompt.len(),
            n: info.prompts(),
            templates: templates.len(),
            dev_pairs: concept.pairs.iter().filter(dev).count(),
        }
    });
    w.records(&rows.collect::<Vec<_>>())?;
    let couples = roles.couples.iter().map(|(a, b)| CoupleRow {
        concept_a: a.clone(),
        concept_b: b.clone(),
    });
    w.records(&couples.collect::<Vec<_>>())?;
    let layers = (readings.layers.iter().zip(&readings.rms)).map(|(&layer, &rms)| LayerRow {
        layer,
        reported: reported.contains(&layer),
        rms,
        n: readings.texts(),
    });
    Ok(w.records(&layers.collect::<Vec<_>>())?)
}
