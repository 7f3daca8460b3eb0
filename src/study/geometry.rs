//! Geometry of all states: the coupling, its changes by condition, and everything beside it.

use super::acts::StateActs;
use super::measure::{reported_layers, states_of};
use super::run::Run;
use super::StudyError;
use crate::geometry::warning::{warnings, PairNumbers};
use crate::geometry::{
    changes, coupling, Beside, Change, Cohort, Coupling, CouplingInput, CouplingOptions, Moved,
    Over, Reading, Warning,
};
use crate::stats::interval::percentile;
use crate::stats::Interval;
use ndarray::Array3;

/// What was measured of the states' geometry.
pub struct Geometry {
    pub options: CouplingOptions,
    pub coupling: Coupling,
    /// Of the response tokens.
    pub beside: Beside,
    /// Shifts of the user's tokens.
    pub user_shifts: Vec<Moved>,
    /// `(condition, reference condition, changes in four forms)`: every condition against base and
    /// against the study's reference.
    pub changes: Vec<(usize, usize, Vec<Change>)>,
}

/// Measures all of it.
pub fn geometry(run: &Run, acts: &[StateActs], reference: usize) -> Result<Geometry, StudyError> {
    let study = run.study;
    let n = study.concepts.len();
    let differences: Vec<Vec<Array3<f32>>> = acts
        .iter()
        .map(|a| (0..n).map(|c| a.differences(c)).collect())
        .collect();
    let of_concept = |c: &crate::materials::Concept| (0..c.pairs.len()).collect();
    let clusters: Vec<Vec<usize>> = study.concepts.iter().map(of_concept).collect();
    let background: Vec<Array3<f32>> = acts.iter().map(|a| a.neutral[0].clone()).collect();
    let draws = &study.written.draws;
    let options = CouplingOptions {
        nuisances: study.nuisances.clone(),
        placebos: (2..n).collect(),
        draws: draws.bootstrap,
        flips: draws.null,
        random: draws.null,
        seed: study.written.seed,
        ..CouplingOptions::for_pair(0, 1)
    };
    let coupling = coupling(
        CouplingInput {
            differences: &differences,
            clusters: &clusters,
            background: &background,
        },
        &options,
    )?;
    let cohort = |position: usize| Cohort {
        states: (acts.iter().zip(&differences))
            .map(|(a, d)| Reading {
                differences: d,
                sides: [a.sides(0), a.sides(1)],
                neutral: a.neutral[position].view(),
            })
            .collect(),
        clusters: &clusters,
        others: (0..acts.len()).map(|state| others(run, state)).collect(),
        options: &options,
    };
    let beside = cohort(0).beside(&reported_layers(run))?;
    let user_shifts = cohort(1).shifts()?;
    let mut changed = Vec::new();
    for c in 1..study.conditions.len() {
        for against in [0, reference] {
            let known = |k: &(usize, usize, _)| (k.0, k.1) == (c, against);
            if against == c || changed.iter().any(known) {
                continue;
            }
            let (set, other) = (states_of(run, c), states_of(run, against));
            let over = match set.len() {
                1 => Over::Prompts,
                _ => Over::PromptsAndSeeds,
            };
            let found = changes(&coupling, (&set, &other), over, &options)?;
            changed.push((c, against, found));
        }
    }
    Ok(Geometry {
        options,
        coupling,
        beside,
        user_shifts,
        changes: changed,
    })
}

/// The identity fine-tunes of other conditions, for an identity fine-tune.
fn others(run: &Run, state: usize) -> Vec<usize> {
    let of = |s: usize| run.states()[s].condition;
    let identity = |s: &usize| run.study.conditions[of(*s)].identity;
    if !identity(&state) {
        return Vec::new();
    }
    (1..run.states().len())
        .filter(|s| identity(s) && of(*s) != of(state))
        .collect()
}

impl Geometry {
    /// A condition's change from another in one form; none of a condition from itself.
    pub fn change(&self, condition: usize, against: usize, form: &str) -> Option<&Change> {
        let of = |k: &&(usize, usize, Vec<Change>)| (k.0, k.1) == (condition, against);
        let found = self.changes.iter().find(of)?;
        found.2.iter().find(|c| c.form == form)
    }

    /// Mean over a condition's states of the persona-autonomy cosine at a layer, with its interval:
    /// that of the one state, or over the states' common draws of prompts.
    pub fn cosine(&self, run: &Run, condition: usize, l: usize) -> (f64, Interval) {
        let c = &self.coupling;
        let set = states_of(run, condition);
        let n = set.len() as f64;
        let value = set.iter().map(|&i| c.raw.value[[i, 0, 1, l]]).sum::<f64>() / n;
        if let [only] = set[..] {
            let at = [only, 0, 1, l];
            let (lo, hi) = (c.raw.lo[at], c.raw.hi[at]);
            return (value, Interval { lo, hi });
        }
        let draws = &c.pair_draws.raw;
        let mean = |d: usize| {
            set.iter()
                .map(|&i| f64::from(draws[[i, l, d]]))
                .sum::<f64>()
                / n
        };
        let mut means: Vec<f64> = (0..draws.dim().2).map(mean).collect();
        (value, percentile(&mut means, 0.95))
    }

    /// Doubts about the persona-autonomy cosine of a state at a layer.
    pub fn doubts(&self, run: &Run, state: usize, l: usize) -> Vec<Warning> {
        let c = &self.coupling;
        let at = [state, 0, 1, l];
        let name = |k: usize| run.study.concepts[k].name.as_str();
        warnings(&PairNumbers {
            concepts: [name(0), name(1)],
            reliability: [0, 1].map(|k| c.reliability[[state, k, l]]),
            effective_rank: [0, 1].map(|k| c.effective_rank[[state, k, l]]),
            clusters: [0, 1].map(|k| c.n_clusters[k]),
            no_relative_interval: c.raw.relative[at].is_finite()
                && !c.raw.relative_lo[at].is_finite(),
            placebos: Some(2 * self.options.placebos.len()),
            p: [c.p_random[at], c.p_flip[at]],
        })
    }
}
