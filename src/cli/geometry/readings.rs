//! What a geometry is measured on: concepts and neutral texts, read in base and in every state.

use super::MeasureArgs;
use crate::capture::Position;
use crate::cli::reading::{self, ConceptReading};
use crate::cli::{state, Console};
use crate::materials::Concept;
use crate::model::{Decoder, Model};
use anyhow::Result;
use ndarray::{Array2, Array3, Axis};

/// What was read of all states.
pub struct Readings {
    pub states: Vec<String>,
    /// `[state][concept]`.
    pub concepts: Vec<Vec<ConceptReading>>,
    /// `[state][concept]` -> `(n, layers, d)`, positive less negative.
    pub differences: Vec<Vec<Array3<f32>>>,
    /// Prompt of each pair, `[concept]`.
    pub clusters: Vec<Vec<usize>>,
    /// `[state]` -> `(n, layers, d)`.
    pub neutral: Vec<Array3<f32>>,
}

impl Readings {
    /// Mean difference of a concept in a state, `(layers, d)`.
    pub fn direction(&self, state: usize, concept: usize) -> Array2<f64> {
        let d = self.differences[state][concept].mapv(f64::from); // (n, layers, d)
        d.sum_axis(Axis(0)) / d.dim().0.max(1) as f64
    }

    /// Prompts of the smaller concept of the pair.
    pub fn prompts(&self) -> usize {
        let distinct = |names: &[usize]| names.iter().max().map_or(0, |m| m + 1);
        distinct(&self.clusters[0]).min(distinct(&self.clusters[1]))
    }
}

/// Reads all concepts and the neutral texts in base and in every adapter's state.
pub fn read(
    args: &MeasureArgs,
    model: &Model,
    concepts: &[Concept],
    layers: &[usize],
    out: &Console,
) -> Result<Readings> {
    let mut all = Readings {
        states: Vec::new(),
        concepts: Vec::new(),
        differences: Vec::new(),
        clusters: Vec::new(),
        neutral: Vec::new(),
    };
    for (name, folder) in state::states(&args.adapter) {
        let decoder = state::state(&model.decoder, folder.as_deref())?;
        let of_state = concepts
            .iter()
            .map(|c| concept(&decoder, model, c, args.at, layers, out, &name))
            .collect::<Result<Vec<_>>>()?;
        all.differences
            .push(of_state.iter().map(ConceptReading::differences).collect());
        all.concepts.push(of_state);
        all.neutral
            .push(neutral(&decoder, model, args.at, layers, out, &name)?);
        all.states.push(name);
    }
    all.clusters = (all.concepts[0].iter()).map(|c| c.prompt.clone()).collect();
    Ok(all)
}

/// Reads one concept in one state.
pub fn concept(
    decoder: &Decoder,
    model: &Model,
    concept: &Concept,
    at: Position,
    layers: &[usize],
    out: &Console,
    state: &str,
) -> Result<ConceptReading> {
    let what = format!("{state}, {}", concept.name);
    let request = reading::request(at, layers);
    reading::concept(decoder, &model.tokenizer, concept, &request, out, &what)
}

/// Reads the neutral texts in one state, `(n, layers, d)`.
pub fn neutral(
    decoder: &Decoder,
    model: &Model,
    at: Position,
    layers: &[usize],
    out: &Console,
    state: &str,
) -> Result<Array3<f32>> {
    let what = format!("{state}, neutral");
    let request = reading::request(at, layers);
    reading::neutral(decoder, &model.tokenizer, &request, out, &what)
}
