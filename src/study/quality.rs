//! How good the directions of the study's concepts are.

use super::acts::StateActs;
use super::run::Run;
use super::StudyError;
use crate::directions::{
    choose_layer, quality, DirectionError, Estimator, Pairs, Quality, QualityOptions,
};
use crate::geometry::shift::layer_rms;
use crate::materials::{Concept, Split};
use ndarray::{s, Array3};
use rayon::prelude::*;

/// The layer that the development split chooses for a concept.
pub struct Chosen {
    /// Index of the concept.
    pub concept: usize,
    pub layer: usize,
    pub n_dev: usize,
}

/// A concept's pairs at one layer of `(2 n_pairs, layers, d)`, positive and negative in turn.
fn pairs_at(concept: &Concept, acts: &Array3<f32>, layer: usize) -> Pairs {
    let mut templates: Vec<&str> = Vec::new();
    let template = concept
        .pairs
        .iter()
        .map(|p| match templates.iter().position(|t| *t == p.template) {
            Some(i) => i,
            None => {
                templates.push(&p.template);
                templates.len() - 1
            }
        })
        .collect();
    let side = |from: usize| acts.slice(s![from..;2, layer, ..]).to_owned();
    Pairs {
        positive: side(0),
        negative: side(1),
        prompt: (0..concept.pairs.len()).collect(),
        template,
        is_dev: concept
            .pairs
            .iter()
            .map(|p| p.split == Split::Dev)
            .collect(),
    }
}

/// Quality of the mean-difference direction of each concept at each layer, `[concept][layer]`.
pub fn all_quality(
    run: &Run,
    acts: &StateActs,
    draws: usize,
) -> Result<Vec<Vec<Quality>>, StudyError> {
    let rms = layer_rms(acts.neutral[0].view());
    let options = QualityOptions {
        draws,
        seed: run.study.written.seed,
        ..QualityOptions::default()
    };
    let concepts = run.study.concepts.iter().zip(&acts.concepts);
    concepts
        .map(|(concept, a)| {
            (0..a.dim().1)
                .into_par_iter()
                .map(|l| {
                    let pairs = pairs_at(concept, a, l);
                    Ok(quality(&pairs, Estimator::MeanDiff, rms[l], options)?)
                })
                .collect()
        })
        .collect()
}

/// Layers of persona and autonomy by their development pairs; a concept with too few is left out.
pub fn chosen_layers(run: &Run, base: &StateActs) -> Result<Vec<Chosen>, StudyError> {
    let mut out = Vec::new();
    for (concept, of) in run.study.concepts.iter().take(2).enumerate() {
        let a = &base.concepts[concept];
        let layers: Vec<Pairs> = (0..a.dim().1).map(|l| pairs_at(of, a, l)).collect();
        match choose_layer(&layers, Estimator::MeanDiff, run.study.written.seed) {
            Ok(choice) => out.push(Chosen {
                concept,
                layer: choice.chosen,
                n_dev: choice.n_pairs,
            }),
            Err(DirectionError::NoDevelopmentPairs { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(out)
}
