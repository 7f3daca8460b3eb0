//! Activations of the model states of one question, all on the same texts.
//!
//! Concepts are read at the first position, neutral texts at every one. All concept texts of a state go
//! in one capture plan, so that common beginnings are computed once and a command and a study read the
//! same bits.

use super::texts::{Contrast, StateTexts};
use super::{layer_rms, Result, State};
use crate::capture::{capture, CaptureError, Position, Request};
use crate::causal::Labelled;
use crate::directions::Pairs;
use crate::geometry::population::Source;
use crate::materials::{Concept, NeutralText};
use crate::model::{Decoder, Interventions, Model, Tokens};
use ndarray::{s, Array2, Array3, ArrayView3, Axis};

/// Both sides of a concept's pairs in one state.
#[derive(Debug, Clone)]
pub struct ConceptActivations {
    /// `(pairs, layers, d)`.
    pub positive: Array3<f32>,
    /// `(pairs, layers, d)`.
    pub negative: Array3<f32>,
}

impl ConceptActivations {
    /// From rows that are positive and negative by turns, `(2 pairs, layers, d)`.
    pub fn of_turns(both: &Array3<f32>) -> Self {
        let pairs = both.dim().0 / 2;
        let side = |from: usize| {
            let rows: Vec<usize> = (0..pairs).map(|i| 2 * i + from).collect();
            both.select(Axis(0), &rows)
        };
        ConceptActivations { positive: side(0), negative: side(1) }
    }

    /// Positive less negative, `(pairs, layers, d)`.
    pub fn differences(&self) -> Array3<f32> {
        &self.positive - &self.negative
    }

    /// Mean difference, `(layers, d)`.
    pub fn direction(&self) -> Array2<f64> {
        let n = self.positive.dim().0.max(1) as f64;
        // Subtracted at full width, as the estimators do it: one direction, to the bit.
        let differences = self.positive.mapv(f64::from) - self.negative.mapv(f64::from);
        differences.sum_axis(Axis(0)) / n
    }
}

/// What is known of a concept's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct ConceptInfo {
    /// Name of the concept.
    pub name: String,
    /// Prompt of each pair, the cluster.
    pub prompt: Vec<usize>,
    /// Template of each pair.
    pub template: Vec<usize>,
    /// Template and polarity of each pair: labels are permuted within.
    pub stratum: Vec<usize>,
    /// What either side says, positive and negative by turns.
    pub words: Vec<String>,
}

impl ConceptInfo {
    /// What a contrast says of its pairs.
    pub fn of(c: &Contrast) -> Self {
        ConceptInfo {
            name: c.concept.clone(),
            prompt: c.prompt.clone(),
            template: c.template.clone(),
            stratum: c.stratum.clone(),
            words: c.words.clone(),
        }
    }

    /// Distinct prompts.
    pub fn prompts(&self) -> usize {
        crate::stats::bootstrap::Clusters::new(&self.prompt).count()
    }

    /// What the direction of `differences (pairs, layers, d)` is the mean of.
    pub fn source<'a>(&'a self, differences: ArrayView3<'a, f32>) -> Source<'a> {
        let (clusters, strata) = (&self.prompt, &self.stratum);
        Source { differences, clusters, strata, beyond: None }
    }

    /// The pairs of `differences (pairs, layers, d)`, for directions with their labels permuted.
    pub fn labelled<'a>(&'a self, differences: ArrayView3<'a, f32>) -> Labelled<'a> {
        let (prompts, strata) = (&self.prompt, &self.stratum);
        Labelled { concept: &self.name, differences, prompts, strata }
    }

    /// The pairs of `acts` at layer index `l`.
    pub fn pairs(&self, acts: &ConceptActivations, l: usize) -> Pairs {
        Pairs {
            positive: acts.positive.index_axis(Axis(1), l).to_owned(),
            negative: acts.negative.index_axis(Axis(1), l).to_owned(),
            prompt: self.prompt.clone(),
            template: self.template.clone(),
            is_dev: vec![false; self.prompt.len()],
        }
    }
}

/// What one state was read as.
#[derive(Debug, Clone, Default)]
pub struct StateActivations {
    /// Main pairs, `[concept]`.
    pub concepts: Vec<ConceptActivations>,
    /// Development pairs, `[concept]`; empty unless they were read.
    pub dev: Vec<ConceptActivations>,
    /// Neutral texts, `[position]` -> `(texts, layers, d)`.
    pub neutral: Vec<Array3<f32>>,
}

impl StateActivations {
    /// Reads the texts in a model; `watch` is told of every text that is done.
    ///
    /// # Errors
    /// The capture's.
    pub fn capture(
        decoder: &Decoder,
        texts: &StateTexts,
        layers: &[usize],
        positions: &[Position],
        watch: &mut dyn FnMut(),
    ) -> Result<Self> {
        let concepts = &positions[..positions.len().min(1)];
        Ok(Self::capture_at(decoder, texts, layers, positions, concepts, watch)?.0)
    }

    /// As [`capture`](Self::capture), with the main pairs at all positions of `concepts`, whose first
    /// is that of `positions`: beside the state, `[further position][concept]`.
    ///
    /// # Errors
    /// The capture's.
    pub fn capture_at(
        decoder: &Decoder,
        texts: &StateTexts,
        layers: &[usize],
        positions: &[Position],
        concepts: &[Position],
        watch: &mut dyn FnMut(),
    ) -> Result<(Self, Vec<Vec<ConceptActivations>>)> {
        // Development pairs have a plan of their own: with or without them the others are the same bits.
        let mut main = sides(decoder, &texts.concepts, layers, concepts, watch)?.into_iter();
        let dev = sides(decoder, &texts.dev, layers, &concepts[..1], watch)?;
        let state = StateActivations {
            concepts: main.next().unwrap_or_default(),
            dev: dev.into_iter().next().unwrap_or_default(),
            neutral: read(decoder, &texts.neutral, layers, positions, watch)?,
        };
        let further = main.collect();
        Ok((state, further))
    }
}

/// Both sides of every contrast, `[position][contrast]`, all in one capture plan.
fn sides(
    decoder: &Decoder,
    contrasts: &[Contrast],
    layers: &[usize],
    positions: &[Position],
    watch: &mut dyn FnMut(),
) -> Result<Vec<Vec<ConceptActivations>>> {
    let flat: Vec<Tokens> = contrasts.iter().flat_map(|c| c.texts.iter().cloned()).collect();
    let rows = read(decoder, &flat, layers, positions, watch)?;
    let each = rows.iter().map(|rows| {
        let mut from = 0;
        let one = |c: &Contrast| {
            let to = from + c.texts.len();
            let both = rows.slice(s![from..to, .., ..]).to_owned();
            from = to;
            ConceptActivations::of_turns(&both)
        };
        contrasts.iter().map(one).collect()
    });
    Ok(each.collect())
}

/// Activations of texts, `(texts, layers, d)` for each position.
///
/// # Errors
/// The capture's.
pub fn read(
    decoder: &Decoder,
    texts: &[Tokens],
    layers: &[usize],
    positions: &[Position],
    watch: &mut dyn FnMut(),
) -> Result<Vec<Array3<f32>>> {
    let shape = (texts.len(), layers.len(), decoder.hidden());
    let mut all = vec![Array3::zeros(shape); positions.len()];
    if texts.is_empty() {
        return Ok(all);
    }
    let request = Request::new(positions, layers.to_vec());
    let mut keep = |text: usize, position: usize, values: Array2<f32>| {
        all[position].index_axis_mut(Axis(0), text).assign(&values);
        if position == 0 {
            watch();
        }
        Ok::<(), CaptureError>(())
    };
    capture(decoder, texts, &request, &Interventions::none(), &mut keep)?;
    Ok(all)
}

/// The states of one question, base first.
#[derive(Debug, Clone)]
pub struct Readings {
    /// The states that were read, base first.
    pub states: Vec<State>,
    /// Block of each layer index.
    pub layers: Vec<usize>,
    /// Positions of the neutral texts; concepts are read at the first.
    pub positions: Vec<Position>,
    /// Main pairs of each concept.
    pub concepts: Vec<ConceptInfo>,
    /// Development pairs of each concept; empty unless base's were read.
    pub dev: Vec<ConceptInfo>,
    /// `[state]`.
    pub acts: Vec<StateActivations>,
    /// Layer RMS in base, `[layer]`: see [`super::layer_rms`].
    pub rms: Vec<f64>,
    /// Base's neutral texts for shifts at every position, all of them, `(texts, layers, d)`: what random
    /// directions are drawn from; none where the states were read on all.
    pub all_neutral: Option<Vec<Array3<f32>>>,
}

impl Readings {
    /// Reads concepts, their development pairs among them, and neutral texts in a model as it is: all
    /// that its directions and their quality need.
    ///
    /// # Errors
    /// `NoMainPairs`; a text that the template refuses; a layer that the model does not have.
    pub fn of_base(
        model: &Model,
        concepts: &[Concept],
        neutral: &[NeutralText],
        layers: &[usize],
        position: Position,
    ) -> Result<Self> {
        let texts = StateTexts::new(&model.tokenizer, concepts, neutral, None, true)?;
        let positions = [position];
        let acts =
            StateActivations::capture(&model.decoder, &texts, layers, &positions, &mut || ())?;
        let info = |all: &[Contrast]| all.iter().map(ConceptInfo::of).collect();
        Ok(Readings {
            states: vec![State::base()],
            layers: layers.to_vec(),
            positions: positions.to_vec(),
            concepts: info(&texts.concepts),
            dev: info(&texts.dev),
            acts: vec![acts],
            rms: layer_rms(&model.decoder, &texts.neutral, layers)?,
            all_neutral: None,
        })
    }

    /// Names of the concepts.
    pub fn names(&self) -> Vec<String> {
        self.concepts.iter().map(|c| c.name.clone()).collect()
    }

    /// Prompt of each pair, `[concept]`.
    pub fn clusters(&self) -> Vec<Vec<usize>> {
        self.concepts.iter().map(|c| c.prompt.clone()).collect()
    }

    /// Positive less negative, `[state][concept]` -> `(pairs, layers, d)`.
    pub fn differences(&self) -> Vec<Vec<Array3<f32>>> {
        let of = |a: &StateActivations| a.concepts.iter().map(|c| c.differences()).collect();
        self.acts.iter().map(of).collect()
    }

    /// Neutral texts at the first position, `[state]` -> `(texts, layers, d)`.
    pub fn background(&self) -> Vec<Array3<f32>> {
        self.acts.iter().map(|a| a.neutral[0].clone()).collect()
    }

    /// Number of neutral texts.
    pub fn texts(&self) -> usize {
        self.acts.first().map_or(0, |a| a.neutral[0].dim().0)
    }
}
