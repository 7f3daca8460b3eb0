//! Activations of one model state: read from the model into a file, and from the file.

use super::run::{Run, POSITIONS};
use super::stages::{concept_texts, neutral_texts};
use super::StudyError;
use crate::capture::{capture, CaptureError, Request};
use crate::materials::{Concept, NeutralText};
use crate::model::{Decoder, Interventions, Tokens};
use crate::store::{ActivationReader, ActivationSpec, ActivationWriter, Sample};
use ndarray::{s, Array2, Array3, ArrayView3, Axis};

/// The texts that a state is read on.
pub struct Texts<'a> {
    pub concepts: &'a [Concept],
    pub neutral: &'a [NeutralText],
    pub system: Option<&'a str>,
}

/// Reads the texts into the activation file `name` below the run folder, at `spec.layers`:
/// concept pairs at the first of [`POSITIONS`], neutral texts at all.
pub fn write(
    run: &Run,
    decoder: &Decoder,
    texts: &Texts,
    spec: ActivationSpec,
    name: &str,
) -> Result<(), StudyError> {
    let tok = &run.model.tokenizer;
    let concepts = concept_texts(texts.concepts, tok, texts.system)?;
    let neutral = neutral_texts(texts.neutral, tok, texts.system)?;
    let layers = spec.layers.clone();
    let mut writer = ActivationWriter::create(&run.out.join(name), &run.attrs(), spec)?;
    // All concepts go in one plan, so that common beginnings are computed once.
    let flat: Vec<Tokens> = concepts.iter().flatten().cloned().collect();
    let mut got = vec![None; flat.len()];
    let request = Request::new(&POSITIONS[..1], layers.clone());
    let none = Interventions::none();
    capture(decoder, &flat, &request, &none, &mut |i, _, values| {
        got[i] = Some(values);
        Ok(())
    })?;
    let mut next = 0;
    for concept in texts.concepts {
        for pair in &concept.pairs {
            for label in ["positive", "negative"] {
                let Some(values) = got[next].take() else {
                    continue;
                };
                writer.append(Sample {
                    set: concept.name.clone(),
                    prompt_id: pair.id.clone(),
                    label: label.into(),
                    role: "response".into(),
                    n_tokens: flat[next].ids.len() as u32,
                    rows: vec![(0, values)],
                })?;
                next += 1;
            }
        }
    }
    let request = Request::new(&POSITIONS, layers);
    let mut rows: Vec<Vec<(usize, Array2<f32>)>> = vec![Vec::new(); neutral.len()];
    capture(decoder, &neutral, &request, &none, &mut |i, p, values| {
        rows[i].push((p, values));
        Ok::<(), CaptureError>(())
    })?;
    for ((t, tokens), rows) in texts.neutral.iter().zip(&neutral).zip(rows) {
        writer.append(Sample {
            set: "neutral".into(),
            prompt_id: t.id.clone(),
            label: t.kind.clone(),
            role: "response".into(),
            n_tokens: tokens.ids.len() as u32,
            rows,
        })?;
    }
    Ok(writer.finish()?)
}

/// What was read of one state.
pub struct StateActs {
    /// `[concept]` -> `(2 n_pairs, layers, d)`, positive and negative in turn.
    pub concepts: Vec<Array3<f32>>,
    /// `[position]` -> `(n_texts, layers, d)`.
    pub neutral: Vec<Array3<f32>>,
}

impl StateActs {
    /// Of a state of the study.
    pub fn read(run: &Run, state: usize) -> Result<Self, StudyError> {
        Self::open(run, &run.activations(state), &run.study.concepts)
    }

    /// Of the activation file `name` below the run folder.
    pub fn open(run: &Run, name: &str, concepts: &[Concept]) -> Result<Self, StudyError> {
        let reader = ActivationReader::open(&run.out.join(name))?;
        let first = POSITIONS[0].to_string();
        let concepts = concepts
            .iter()
            .map(|c| Ok(reader.read(&c.name, &first)?))
            .collect::<Result<_, StudyError>>()?;
        let neutral = POSITIONS
            .iter()
            .map(|p| Ok(reader.read("neutral", &p.to_string())?))
            .collect::<Result<_, StudyError>>()?;
        Ok(StateActs { concepts, neutral })
    }

    /// Positive less negative of a concept, `(n_pairs, layers, d)`.
    pub fn differences(&self, concept: usize) -> Array3<f32> {
        let a = &self.concepts[concept];
        &a.slice(s![0..;2, .., ..]) - &a.slice(s![1..;2, .., ..])
    }

    /// Mean difference of a concept, `(layers, d)`.
    pub fn direction(&self, concept: usize) -> Array2<f64> {
        let d = self.differences(concept).mapv(f64::from);
        d.mean_axis(Axis(0)).unwrap_or_default()
    }

    /// Positive and negative side of a concept, `(n_pairs, layers, d)`.
    pub fn sides(&self, concept: usize) -> (ArrayView3<'_, f32>, ArrayView3<'_, f32>) {
        let a = &self.concepts[concept];
        (a.slice(s![0..;2, .., ..]), a.slice(s![1..;2, .., ..]))
    }
}
