//! Geometry of model states: how concepts lie to one another, and where a fine-tune moved the texts.
//!
//! [`geometry()`] asks the geometry room, which knows indices only, everything about one set of
//! [`Readings`] and gives the answers names: couplings with their nulls and doubts, their changes
//! between conditions, shifts of the neutral texts, and what is asked beside them. State 0 is base.
//! What costs more (planes, transfer, subspaces, regions) is measured at the blocks of
//! [`GeometryOptions::at`]. Null states, which need models, are in [`null_states`], shifts at single
//! places of the texts, which are read one state at a time, in [`trace()`].

mod changes;
mod coupling;
mod kinship;
mod mixing;
mod null_states;
mod planes;
mod regions;
mod shift_contrasts;
mod shifts;
mod stability;
mod subspaces;
#[cfg(test)]
mod tests;
mod trace;
mod units;
mod utility;

pub use kinship::{Kin, Kinship};
pub use mixing::mixing;
pub use null_states::{null_states, NullStates};
pub use trace::trace;
pub use units::write_units;
pub use utility::utility_cosines;

use super::records::*;
use super::roles::place;
use super::{Draws, Readings, Result, Roles};
use crate::geometry::population::Source;
use crate::geometry::shift::ShiftInput;
use crate::geometry::{self, CouplingInput, CouplingOptions};
use crate::stats::Resampling;
use ndarray::Array3;

/// Coverage of intervals and bands.
const LEVEL: f64 = 0.95;

/// What is asked, by name.
#[derive(Debug, Clone)]
pub struct GeometryOptions {
    /// Which concepts are couples, placebos and nuisances.
    pub roles: Roles,
    /// What each condition is compared with.
    pub kinship: Kinship,
    /// Draws of intervals and nulls, and their seed.
    pub draws: Draws,
    /// Blocks at which doubts, planes, transfer, subspaces and regions are given.
    pub at: Vec<usize>,
}

/// Everything that readings say about the geometry of their states; `watch` is told what begins.
///
/// # Errors
/// `UnknownName` of a role, a reference or a neutral condition; `Geometry` where shapes disagree, a
/// concept has fewer than 3 prompts or a couple holds a nuisance or a placebo.
pub fn geometry(
    readings: &Readings,
    options: &GeometryOptions,
    watch: &mut dyn FnMut(&str),
) -> Result<Results> {
    let asked = Asked::new(readings, options)?;
    watch("coupling");
    let background = readings.background();
    let input = CouplingInput {
        differences: &asked.differences,
        clusters: &asked.clusters,
        strata: &asked.strata,
        background: &background,
    };
    let found = geometry::coupling(input, &asked.options)?;
    drop(background);
    let mut out = Results {
        coupling: coupling::couplings(&asked, &found),
        nulls: coupling::nulls(&asked, &found),
        pair_nulls: coupling::pair_nulls(&asked, &found),
        precision: coupling::precision(&asked, &found),
        condition_coupling: changes::conditions(&asked, &found),
        changes: changes::changes(&asked, &found)?,
        warnings: coupling::doubts(&asked, &found),
        ..Results::default()
    };
    drop(found);
    watch("shifts");
    let base = shifts::InBase::new(&asked)?;
    out.shifts = shifts::shifts(&asked, &base)?;
    out.shift_contrasts = shift_contrasts::shift_contrasts(&asked, &base)?;
    out.planes = planes::planes(&asked, &base)?;
    drop(base);
    out.poles = shifts::poles(&asked)?;
    out.shift_cosines = shifts::shift_cosines(&asked)?;
    watch("stability");
    out.stability = stability::stability(&asked)?;
    out.alignment = stability::alignment(&asked)?;
    watch("transfer and subspaces");
    out.transfer = subspaces::transfer(&asked)?;
    out.overlap = subspaces::overlap(&asked)?;
    watch("regions");
    out.regions = regions::regions(&asked)?;
    out.modes = regions::modes(&asked)?;
    Ok(out)
}

/// The question with names resolved to indices.
struct Asked<'a> {
    readings: &'a Readings,
    kinship: &'a Kinship,
    /// Concepts of each couple.
    couples: Vec<(usize, usize)>,
    /// Concepts of the couples, each once.
    coupled: Vec<usize>,
    placebos: Vec<usize>,
    /// Indices of the layers at which costly things are measured.
    at: Vec<usize>,
    options: CouplingOptions,
    /// Positive less negative, `[state][concept]` -> `(pairs, layers, d)`.
    differences: Vec<Vec<Array3<f32>>>,
    /// Prompt of each pair, `[concept]`.
    clusters: Vec<Vec<usize>>,
    /// Template and polarity of each pair, `[concept]`.
    strata: Vec<Vec<usize>>,
}

impl<'a> Asked<'a> {
    fn new(readings: &'a Readings, options: &'a GeometryOptions) -> Result<Self> {
        let names = readings.names();
        let (roles, draws) = (&options.roles, options.draws);
        let concept = |role, name: &str| place(role, name, &names);
        let several = |role, list: &[String]| -> Result<Vec<usize>> {
            list.iter().map(|n| concept(role, n)).collect()
        };
        let couples = (roles.couples.iter())
            .map(|(a, b)| Ok((concept("concept", a)?, concept("concept", b)?)))
            .collect::<Result<Vec<_>>>()?;
        let coupled = (roles.coupled().into_iter())
            .map(|n| concept("concept", n))
            .collect::<Result<Vec<_>>>()?;
        let (placebos, nuisances) =
            (several("placebo", &roles.placebos)?, several("nuisance", &roles.nuisances)?);
        options.kinship.check(&readings.states)?;
        let has = |l: &usize| options.at.contains(&readings.layers[*l]);
        Ok(Asked {
            readings,
            kinship: &options.kinship,
            at: (0..readings.layers.len()).filter(has).collect(),
            options: CouplingOptions {
                nuisances,
                placebos: placebos.clone(),
                pairs: couples.clone(),
                draws: draws.bootstrap,
                flips: draws.null,
                random: draws.null,
                level: LEVEL,
                seed: draws.seed,
            },
            couples,
            coupled,
            placebos,
            differences: readings.differences(),
            clusters: readings.clusters(),
            strata: readings.concepts.iter().map(|c| c.stratum.clone()).collect(),
        })
    }

    fn state(&self, i: usize) -> String {
        self.readings.states[i].id.clone()
    }

    fn concept(&self, i: usize) -> String {
        self.readings.concepts[i].name.clone()
    }

    fn layer(&self, l: usize) -> usize {
        self.readings.layers[l]
    }

    /// Indices of all states.
    fn states(&self) -> std::ops::Range<usize> {
        0..self.readings.states.len()
    }

    /// Indices of all states but base.
    fn tuned(&self) -> std::ops::Range<usize> {
        1..self.readings.states.len()
    }

    /// Indices of all layers.
    fn layers(&self) -> std::ops::Range<usize> {
        0..self.readings.layers.len()
    }

    /// The pairs of a concept in a state.
    fn source(&self, state: usize, concept: usize) -> Source<'_> {
        self.readings.concepts[concept].source(self.differences[state][concept].view())
    }

    /// Prompts of the smaller of two concepts.
    fn prompts(&self, (a, b): (usize, usize)) -> usize {
        let of = |c: usize| self.readings.concepts[c].prompts();
        of(a).min(of(b))
    }

    /// A cluster of its own for every neutral text.
    fn texts(&self) -> Vec<usize> {
        (0..self.readings.texts()).collect()
    }

    /// A state's shift from base at the first position.
    fn less_base<'s>(&'s self, state: usize, clusters: &'s [usize]) -> ShiftInput<'s> {
        let texts = |state: usize| self.readings.acts[state].neutral[0].view();
        ShiftInput { tuned: texts(state), base: texts(0), clusters }
    }

    fn shift_options(&self) -> Resampling {
        Resampling { draws: self.options.draws, level: LEVEL, seed: self.options.seed }
    }
}
