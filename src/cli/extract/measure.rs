//! States to directions: what is read of each state and what the directions room makes of it.
//!
//! Base comes first, then the adapters in their order. Nuisance directions are differences in
//! means, read in the same state and the same way as the concepts; the surprisal direction
//! comes from the neutral exchanges. A layer is chosen in base, on development pairs; all
//! reported numbers are of main pairs.

use super::super::reading::{self, Contrast, Reading};
use super::super::state::{self, NamedAdapter};
use super::super::Console;
use super::SURPRISAL;
use crate::behavior::response_log_probs;
use crate::capture::{Position, Request};
use crate::directions::{
    carried, choose_layer, estimate, left_by_eraser, profile, reliability, surprisal,
    surprisal_reliability, Carried, Covariance, Direction, DirectionError, Eraser, Estimator,
    LayerChoice, Pairs, Profile, QualityOptions,
};
use crate::geometry::shift::layer_rms;
use crate::materials::Concept;
use crate::model::{Decoder, Interventions, Model, Tokenizer};
use crate::stats::Interval;
use anyhow::{anyhow, Context, Result};
use ndarray::Axis;
use rayon::prelude::*;

/// What is to be extracted.
pub struct Plan {
    pub concepts: Vec<Concept>,
    pub nuisances: Vec<Nuisance>,
    pub estimators: Vec<Estimator>,
    /// Block numbers, increasing.
    pub layers: Vec<usize>,
    /// Where directions are estimated, then where they are scored as well.
    pub positions: Vec<Position>,
    pub reading: Reading,
    /// Choose a layer on the development split.
    pub choose: bool,
    pub eraser: Option<Covariance>,
    pub options: QualityOptions,
}

/// Something that a direction should not be.
pub enum Nuisance {
    Surprisal,
    Concept(Concept),
}

impl Nuisance {
    pub fn name(&self) -> &str {
        match self {
            Nuisance::Surprisal => SURPRISAL,
            Nuisance::Concept(concept) => &concept.name,
        }
    }
}

/// What was found.
pub struct Measured {
    pub states: Vec<StateFound>,
    /// `[concept][estimator]`; empty unless a layer was to be chosen.
    pub choices: Vec<Vec<LayerChoice>>,
}

/// What was found in one state.
pub struct StateFound {
    pub name: String,
    /// `[nuisance][layer]`.
    pub nuisances: Vec<Vec<Direction>>,
    /// Their reliability, `[nuisance][layer]`.
    pub nuisance_reliability: Vec<Vec<f64>>,
    /// `[concept][layer][estimator]`.
    pub found: Vec<Vec<Vec<Found>>>,
    /// `[concept][layer]`; empty unless erasers were asked for.
    pub erasers: Vec<Vec<Erased>>,
}

/// A direction and where it was carried.
pub struct Found {
    pub profile: Profile,
    /// Base's direction scored in this state; none in base.
    pub from_base: Option<Carried>,
    /// The direction scored at each further position.
    pub at_roles: Vec<Carried>,
}

/// An eraser and what it leaves on held-out rows.
pub struct Erased {
    pub eraser: Eraser,
    pub auroc: f64,
    pub interval: Interval,
}

/// `[concept][position][layer]`.
type AllPairs = Vec<Vec<Vec<Pairs>>>;

/// Measures base and every adapter's state.
pub fn run(
    plan: &Plan,
    model: &Model,
    adapters: &[NamedAdapter],
    out: &Console,
) -> Result<Measured> {
    let mut states = Vec::new();
    let mut choices = Vec::new();
    let mut base: Option<AllPairs> = None;
    for (name, folder) in state::states(adapters) {
        let decoder = state::state(&model.decoder, folder.as_deref())?;
        let is_base = base.is_none();
        let read = read(plan, &decoder, &model.tokenizer, &name, is_base, out)?;
        if is_base && plan.choose {
            choices = choose(plan, &read.pairs)?;
        }
        let main: AllPairs = match plan.choose && is_base {
            true => split_main(&read.pairs),
            false => read.pairs,
        };
        out.log(&format!("{name}, directions"));
        let mut found = Vec::new();
        let mut erasers = Vec::new();
        for (c, concept) in plan.concepts.iter().enumerate() {
            let of_layer = |l: usize| {
                let nuisances: Vec<(&str, &Direction)> = plan
                    .nuisances
                    .iter()
                    .zip(&read.nuisances)
                    .filter(|(n, _)| n.name() != concept.name)
                    .map(|(n, by_layer)| (n.name(), &by_layer[l]))
                    .collect();
                let from = base.as_ref().map(|b| &b[c][0][l]);
                let positions: Vec<&Pairs> = main[c].iter().map(|p| &p[l]).collect();
                at_layer(plan, &positions, from, &nuisances, read.rms[l])
            };
            let layers: Vec<Vec<Found>> = (0..plan.layers.len())
                .into_par_iter()
                .map(|l| of_layer(l).with_context(|| format!("layer {}", plan.layers[l])))
                .collect::<Result<_>>()
                .with_context(|| format!("{name}, concept `{}`", concept.name))?;
            found.push(layers);
            if let Some(covariance) = plan.eraser {
                let erased: Vec<Erased> = main[c][0]
                    .par_iter()
                    .map(|pairs| erase(pairs, covariance, plan.options))
                    .collect::<Result<_>>()
                    .with_context(|| format!("{name}, eraser of `{}`", concept.name))?;
                erasers.push(erased);
            }
        }
        states.push(StateFound {
            name,
            nuisances: read.nuisances,
            nuisance_reliability: read.nuisance_reliability,
            found,
            erasers,
        });
        base.get_or_insert(main);
    }
    Ok(Measured { states, choices })
}

/// What was read of one state.
struct StateRead {
    rms: Vec<f64>,
    nuisances: Vec<Vec<Direction>>,
    nuisance_reliability: Vec<Vec<f64>>,
    pairs: AllPairs,
}

/// Reads neutral texts, nuisances and concepts; development pairs only of base and only for choosing.
fn read(
    plan: &Plan,
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    name: &str,
    is_base: bool,
    out: &Console,
) -> Result<StateRead> {
    let at = Request::new(&plan.positions[..1], plan.layers.clone());
    let everywhere = Request::new(&plan.positions, plan.layers.clone());
    let layers = 0..plan.layers.len();
    let neutral = reading::neutral_tokens(tokenizer, None)?;
    let background = reading::read(
        decoder,
        &neutral,
        &at,
        out,
        &format!("{name}, neutral texts"),
    )?;
    let contrast = |concept: &Concept, request: &Request, with_dev: bool| {
        let texts = Contrast::new(tokenizer, concept, plan.reading)?;
        let texts = if with_dev { texts } else { texts.main_only() };
        let what = format!("{name}, {}", concept.name);
        reading::contrast(decoder, &texts, request, out, &what)
    };
    let (splits, seed) = (plan.options.splits, plan.options.seed);
    let (mut nuisances, mut stable) = (Vec::new(), Vec::new());
    for nuisance in &plan.nuisances {
        let by_layer: Result<Vec<(Direction, f64)>, DirectionError> = match nuisance {
            Nuisance::Concept(concept) => {
                let read = contrast(concept, &at, false)?;
                let mean_diff = |l: usize| {
                    let pairs = read[0].pairs(l);
                    let direction = estimate(&pairs, Estimator::MeanDiff, seed)?;
                    Ok((
                        direction,
                        reliability(&pairs, Estimator::MeanDiff, splits, seed)?,
                    ))
                };
                layers.clone().map(mean_diff).collect()
            }
            Nuisance::Surprisal => {
                let log_prob = response_log_probs(decoder, &neutral, &Interventions::none())?;
                let slope = |l: usize| {
                    let x = background.index_axis(Axis(1), l);
                    let direction = surprisal(x, &log_prob)?;
                    Ok((
                        direction,
                        surprisal_reliability(x, &log_prob, splits, seed)?,
                    ))
                };
                layers.clone().map(slope).collect()
            }
        };
        let by_layer =
            by_layer.with_context(|| format!("{name}, nuisance `{}`", nuisance.name()))?;
        let (directions, reliabilities) = by_layer.into_iter().unzip();
        nuisances.push(directions);
        stable.push(reliabilities);
    }
    let mut pairs = Vec::new();
    for concept in &plan.concepts {
        let read = contrast(concept, &everywhere, plan.choose && is_base)?;
        let of = |r: &reading::ConceptReading| layers.clone().map(|l| r.pairs(l)).collect();
        pairs.push(read.iter().map(of).collect());
    }
    Ok(StateRead {
        rms: layer_rms(background.view()),
        nuisances,
        nuisance_reliability: stable,
        pairs,
    })
}

/// Without the development pairs, at every position and layer.
fn split_main(all: &AllPairs) -> AllPairs {
    let layers = |p: &Vec<Pairs>| p.iter().map(|pairs| pairs.split(false)).collect();
    let positions = |c: &Vec<Vec<Pairs>>| c.iter().map(layers).collect();
    all.iter().map(positions).collect()
}

/// The layer of each concept and estimator.
fn choose(plan: &Plan, pairs: &AllPairs) -> Result<Vec<Vec<LayerChoice>>> {
    let of = |(concept, read): (&Concept, &Vec<Vec<Pairs>>)| {
        let each = plan.estimators.iter().map(|e| {
            choose_layer(&read[0], *e, plan.options.seed)
                .map_err(|error| anyhow!(error).context(format!("concept `{}`, {e}", concept.name)))
        });
        each.collect()
    };
    plan.concepts.iter().zip(pairs).map(of).collect()
}

/// All estimators on one concept at one layer; `positions` are its pairs at each position.
fn at_layer(
    plan: &Plan,
    positions: &[&Pairs],
    base: Option<&Pairs>,
    nuisances: &[(&str, &Direction)],
    rms: f64,
) -> Result<Vec<Found>> {
    let (pairs, roles) = (positions[0], &positions[1..]);
    let options = plan.options;
    let each = plan.estimators.iter().map(|e| {
        let profile = profile(pairs, *e, nuisances, rms, options)?;
        let at_roles = roles
            .iter()
            .map(|role| carried(pairs, role, *e, options))
            .collect::<Result<_, _>>()?;
        let from_base = base
            .map(|base| carried(base, pairs, *e, options))
            .transpose()?;
        Ok(Found {
            profile,
            from_base,
            at_roles,
        })
    });
    each.collect()
}

fn erase(pairs: &Pairs, covariance: Covariance, options: QualityOptions) -> Result<Erased> {
    let eraser = Eraser::of_pairs(pairs, covariance)?;
    let (auroc, interval) = left_by_eraser(pairs, covariance, options)?;
    Ok(Erased {
        eraser,
        auroc,
        interval,
    })
}
