//! Directions of concepts in every model state, with their quality: the first analysis.
//!
//! From [`Readings`] [`measure`] gives, for each state, concept, estimator and layer, the unit vector
//! between the sides of the main pairs, raw and cleaned of the nuisances, and says how good it is:
//! held-out AUROC beside that of the responses' words alone, split-half reliability, length in layer
//! RMS, closeness to the nuisances, and how far base's direction carries to the other states. A layer
//! is chosen in base on development pairs, which are in no other number.
//!
//! [`against`] holds concepts against pairs by others: each one's direction on the other's pairs.
//!
//! A study asks for the difference in means, a command for whatever its user names; both call this.

mod foreign;
mod found;
mod state;

pub use foreign::{against, PairSet};
pub(super) use found::write_arrays;
pub use found::{write_units, Directions, Doubt, StateDirections};

use super::readings::{ConceptActivations, Readings};
use super::records::Results;
use super::roles::place;
use super::{AnalysisError, Draws, Result};
use crate::capture::Position;
use crate::directions::{
    choose_layer, lexical, Covariance, DirectionError, Estimator, LayerChoice, Lexical, Pairs,
    QualityOptions,
};
use rayon::prelude::*;

/// Nuisance that is no concept: where the stream moves when an answer is less likely.
pub const SURPRISAL: &str = "surprisal";

/// Which directions are wanted.
#[derive(Debug, Clone)]
pub struct DirectionOptions {
    /// Concepts by name; empty for every one that was read.
    pub concepts: Vec<String>,
    /// Estimators of every concept, at least one.
    pub estimators: Vec<Estimator>,
    /// What the cleaned form is without: concepts that were read, or [`SURPRISAL`]. No concept is
    /// cleaned of itself.
    pub nuisances: Vec<String>,
    /// Random halves of the prompts behind each reliability.
    pub splits: usize,
    /// Bootstrap draws in base, and the seed of all.
    pub draws: Draws,
    /// Bootstrap draws in every other state.
    pub tuned_draws: usize,
    /// Fit LEACE erasers by this covariance.
    pub eraser: Option<Covariance>,
    /// Choose a layer for each concept and estimator on base's development pairs.
    pub choose_layer: bool,
}

impl Default for DirectionOptions {
    /// Differences in means of everything that was read, 2,000 draws.
    fn default() -> Self {
        DirectionOptions {
            concepts: Vec::new(),
            estimators: vec![Estimator::MeanDiff],
            nuisances: Vec::new(),
            splits: 100,
            draws: Draws { bootstrap: 2000, null: 0, seed: 0 },
            tuned_draws: 2000,
            eraser: None,
            choose_layer: false,
        }
    }
}

/// The main pairs of the readings at a further position, at which directions are scored.
#[derive(Debug, Clone)]
pub struct Further {
    /// Where in the texts the activations were read.
    pub position: Position,
    /// `[state][concept]`.
    pub acts: Vec<Vec<ConceptActivations>>,
}

/// What the work on each state needs.
struct Work<'a> {
    readings: &'a Readings,
    log_probs: &'a [Vec<f64>],
    further: &'a [Further],
    options: &'a DirectionOptions,
    /// Places of the concepts among those read.
    concepts: Vec<usize>,
    nuisances: Vec<Nuisance>,
    /// `[concept]`.
    lexical: Vec<[Lexical; 2]>,
    /// `[concept][estimator]`; none where no layer was chosen.
    choices: Vec<Vec<Option<LayerChoice>>>,
}

/// Something that a direction should not be.
enum Nuisance {
    /// Place among the concepts that were read.
    Concept(usize),
    Surprisal,
}

/// Directions of the readings' concepts. `log_probs` is the mean log-probability a token of each
/// neutral answer, `[state]`, which the nuisance [`SURPRISAL`] alone needs; `further` may be empty.
/// `watch` is told what is worked at.
///
/// # Errors
/// A name that was not read; inputs that do not fit the readings; a direction that does not exist,
/// with its state, concept and layer.
pub fn measure(
    readings: &Readings,
    log_probs: &[Vec<f64>],
    further: &[Further],
    options: &DirectionOptions,
    watch: &mut dyn FnMut(&str),
) -> Result<Directions> {
    check(readings, log_probs, further, options)?;
    let read = readings.names();
    let concepts = match options.concepts.is_empty() {
        true => (0..read.len()).collect(),
        false => (options.concepts.iter())
            .map(|c| place("concept", c, &read))
            .collect::<Result<Vec<_>>>()?,
    };
    let nuisance = |name: &String| match name == SURPRISAL {
        true => Ok(Nuisance::Surprisal),
        false => Ok(Nuisance::Concept(place("nuisance", name, &read)?)),
    };
    let nuisances = options.nuisances.iter().map(nuisance);
    watch("words of the responses");
    let mut doubts = Vec::new();
    let work = Work {
        nuisances: nuisances.collect::<Result<_>>()?,
        lexical: baselines(readings, &concepts, options)?,
        choices: match options.choose_layer {
            true => choices(readings, &concepts, options, &mut doubts)?,
            false => vec![vec![None; options.estimators.len()]; concepts.len()],
        },
        concepts,
        readings,
        log_probs,
        further,
        options,
    };
    let mut records = Results { layer_choice: work.choice_rows(), ..Results::default() };
    let mut states = Vec::new();
    for (s, state) in readings.states.iter().enumerate() {
        watch(&format!("{}, directions", state.id));
        states.push(work.state(s, &mut records, &mut doubts)?);
    }
    Ok(Directions {
        concepts: work.concepts.iter().map(|&c| read[c].clone()).collect(),
        estimators: options.estimators.clone(),
        nuisances: options.nuisances.clone(),
        layers: readings.layers.clone(),
        states,
        records,
        doubts,
    })
}

fn check(
    readings: &Readings,
    log_probs: &[Vec<f64>],
    further: &[Further],
    options: &DirectionOptions,
) -> Result<()> {
    let refuse = |what: &str, why: String| {
        let what = what.to_string();
        Err(AnalysisError::Input { what, why })
    };
    for (what, none) in [
        ("state", readings.acts.is_empty()),
        ("concept", readings.concepts.is_empty()),
        ("layer", readings.layers.is_empty()),
        ("estimator", options.estimators.is_empty()),
    ] {
        if none {
            return refuse("directions", format!("there is no {what}: give one at least"));
        }
    }
    let (states, texts) = (readings.states.len(), readings.texts());
    let wanted = options.nuisances.iter().any(|n| n == SURPRISAL);
    if wanted && (log_probs.len() != states || log_probs.iter().any(|p| p.len() != texts)) {
        let why =
            format!("give the log-probabilities of {texts} neutral answers in {states} states");
        return refuse(SURPRISAL, why);
    }
    match further.iter().find(|f| f.acts.len() != states) {
        Some(f) => refuse(&f.position.to_string(), format!("read it in all {states} states")),
        None => Ok(()),
    }
}

/// An error of the directions room, with what it is about.
fn about(about: String) -> impl Fn(DirectionError) -> AnalysisError {
    move |source| AnalysisError::Direction { about: about.clone(), source }
}

fn quality_options(options: &DirectionOptions, draws: usize) -> QualityOptions {
    QualityOptions {
        draws,
        splits: options.splits,
        seed: options.draws.seed,
        ..QualityOptions::default()
    }
}

/// The lexical baselines of each concept.
fn baselines(
    readings: &Readings,
    concepts: &[usize],
    options: &DirectionOptions,
) -> Result<Vec<[Lexical; 2]>> {
    let draws = options.draws.bootstrap.max(options.tuned_draws);
    let one = |&c: &usize| {
        let info = &readings.concepts[c];
        let options = quality_options(options, draws);
        lexical(&info.words, &info.prompt, &info.template, options)
            .map_err(about(format!("words of `{}`", info.name)))
    };
    concepts.par_iter().map(one).collect()
}

/// The layer of each concept and estimator by base's development pairs; a concept with too few of
/// them has none, and a doubt.
fn choices(
    readings: &Readings,
    concepts: &[usize],
    options: &DirectionOptions,
    doubts: &mut Vec<Doubt>,
) -> Result<Vec<Vec<Option<LayerChoice>>>> {
    let mut out = Vec::new();
    for &c in concepts {
        let (Some(info), Some(acts)) = (readings.dev.get(c), readings.acts[0].dev.get(c)) else {
            let (what, why) = ("choice of a layer", "read base's development pairs");
            let (what, why) = (what.into(), why.into());
            return Err(AnalysisError::Input { what, why });
        };
        let dev = |l: usize| Pairs { is_dev: vec![true; info.prompt.len()], ..info.pairs(acts, l) };
        let layers: Vec<Pairs> = (0..readings.layers.len()).map(dev).collect();
        let mut of_concept = Vec::new();
        for e in &options.estimators {
            let subject = format!("{}, {e}, development pairs", info.name);
            of_concept.push(match choose_layer(&layers, *e, options.draws.seed) {
                Ok(choice) => Some(choice),
                Err(error @ DirectionError::NoDevelopmentPairs { .. }) => {
                    doubts.push(Doubt { about: subject, layer: None, text: error.to_string() });
                    None
                }
                Err(source) => return Err(about(subject)(source)),
            });
        }
        out.push(of_concept);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
