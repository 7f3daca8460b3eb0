//! Activations of one model state: from what was read to a file, and back.

use super::layout::dev_set;
use super::planner::{POSITIONS, TRACE};
use super::Result;
use crate::analysis::{ConceptActivations, StateActivations, StateTexts};
use crate::capture::Position;
use crate::materials::NeutralText;
use crate::model::Tokens;
use crate::store::{
    ActivationReader, ActivationSpec, ActivationWriter, Precision, RootAttrs, Sample,
};
use ndarray::{Array3, Axis};
use std::path::Path;

/// Writes what a state was read as: both sides of each concept's main pairs, development pairs in a
/// set of their own, and the neutral texts at every position. `of` is condition, seed and step.
///
/// # Errors
/// The store's.
pub fn write(
    path: &Path,
    attrs: &RootAttrs,
    (condition, seed, step): (&str, u64, Option<u64>),
    layers: &[usize],
    (texts, neutral): (&StateTexts, &[NeutralText]),
    acts: &StateActivations,
) -> Result<()> {
    let positions = POSITIONS.iter().chain(&TRACE).take(acts.neutral.len());
    let spec = ActivationSpec {
        condition: condition.into(),
        seed,
        step,
        layers: layers.to_vec(),
        hidden: acts.neutral[0].dim().2,
        positions: positions.map(Position::to_string).collect(),
        precision: Precision::F32,
    };
    let mut writer = ActivationWriter::create(path, attrs, spec)?;
    let main = texts.concepts.iter().zip(&acts.concepts);
    let main = main.map(|(c, a)| (c.concept.clone(), c, a));
    let dev = texts.dev.iter().zip(&acts.dev);
    let dev = dev.map(|(c, a)| (dev_set(&c.concept), c, a));
    let mut append = |set: &str, (id, label): (&str, &str), tokens: &Tokens, rows| {
        writer.append(Sample {
            set: set.into(),
            prompt_id: id.into(),
            label: label.into(),
            role: "response".into(),
            n_tokens: tokens.ids.len() as u32,
            rows,
        })
    };
    for (set, contrast, a) in main.chain(dev) {
        for (i, id) in contrast.ids.iter().enumerate() {
            let sides = [("positive", &a.positive), ("negative", &a.negative)];
            for ((label, a), tokens) in sides.into_iter().zip(&contrast.texts[2 * i..]) {
                let rows = vec![(0, a.index_axis(Axis(0), i).to_owned())];
                append(&set, (id, label), tokens, rows)?;
            }
        }
    }
    for (i, (text, tokens)) in neutral.iter().zip(&texts.neutral).enumerate() {
        let at = acts.neutral.iter().map(|a| a.index_axis(Axis(0), i).to_owned());
        append("neutral", (&text.id, &text.kind), tokens, at.enumerate().collect())?;
    }
    Ok(writer.finish()?)
}

/// Reads the concepts, with their development pairs where asked for, and the neutral texts.
///
/// # Errors
/// A file that is no such file, or lacks one of them.
pub fn read(
    path: &Path,
    concepts: &[&str],
    with_dev: &[&str],
    positions: &[Position],
) -> Result<StateActivations> {
    let reader = ActivationReader::open(path)?;
    let first = positions.first().map(Position::to_string).unwrap_or_default();
    let held = reader.sets()?;
    let none = (0, reader.spec().layers.len(), reader.spec().hidden);
    let set = |name: &str| -> Result<ConceptActivations> {
        Ok(ConceptActivations::of_turns(&reader.read(name, &first)?))
    };
    // A concept may have no pairs for development, and then has no set of them.
    let dev = |concept: &&str| match dev_set(concept) {
        name if held.contains(&name) => set(&name),
        _ => Ok(ConceptActivations::of_turns(&Array3::zeros(none))),
    };
    let neutral = positions.iter();
    Ok(StateActivations {
        concepts: concepts.iter().map(|c| set(c)).collect::<Result<_, _>>()?,
        dev: with_dev.iter().map(dev).collect::<Result<_, _>>()?,
        neutral: neutral
            .map(|p| Ok(reader.read("neutral", &p.to_string())?))
            .collect::<Result<_>>()?,
    })
}
