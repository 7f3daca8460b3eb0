//! Activations of one model state, as the capture stage stored them.

use super::run::{Run, POSITIONS};
use super::StudyError;
use crate::store::ActivationReader;
use ndarray::{s, Array2, Array3, Axis};

/// What was read of one state.
pub struct StateActs {
    /// `[concept]` -> `(2 n_pairs, layers, d)`, positive and negative in turn.
    pub concepts: Vec<Array3<f32>>,
    /// `[position]` -> `(n_texts, layers, d)`.
    pub neutral: Vec<Array3<f32>>,
}

impl StateActs {
    pub fn read(run: &Run, state: usize) -> Result<Self, StudyError> {
        let reader = ActivationReader::open(&run.out.join(run.activations(state)))?;
        let first = POSITIONS[0].to_string();
        let concepts = run
            .study
            .concepts
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

    /// Mean over one side of a concept's pairs, `(layers, d)`.
    pub fn pole(&self, concept: usize, positive: bool) -> Array2<f64> {
        let from = usize::from(!positive);
        let side = self.concepts[concept]
            .slice(s![from..;2, .., ..])
            .mapv(f64::from);
        side.mean_axis(Axis(0)).unwrap_or_default()
    }
}
