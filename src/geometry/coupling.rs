//! Coupling: cosines between concept directions, with intervals and nulls.
//!
//! Input is pair differences for every state, concept and layer; output is
//! arrays `[state, concept, concept, layer]`. Each (state, layer) is one task:
//! its clusters' sums give one Gram matrix, from which the raw, cleaned and
//! whitened forms and the label-flip null all follow (see `resample`). Draws are
//! made once and shared, so states are paired, and memory holds one task's
//! matrices a thread whatever the number of states (see `cell`).
//! Concepts are taken to have texts of their own: if two concepts share texts
//! their noise is shared too and the cosine between them is too large.

use super::cell::{cell, Cell, Context};
use super::coupling_input::{CouplingInput, CouplingOptions};
use super::forms::Form;
use super::nulls::{among_placebos, Against};
use super::resample::{Draws, Layout};
use super::GeometryError;
use crate::stats::corrections::{benjamini_hochberg, max_t};
use crate::stats::interval::{few_clusters, isotropic_cosine};
use crate::stats::shrinkage::mixtures;
use ndarray::{s, Array2, Array3, Array4};
use rayon::prelude::*;

/// Bootstrap draws of a designated pair's cosine, each `[state, layer, draw]`,
/// the same draws in every state and layer.
#[derive(Debug, Clone, PartialEq)]
pub struct PairDraws {
    /// Raw cosine.
    pub raw: Array3<f32>,
    /// Raw cosine relative to its ceiling (infinite where a length was not positive).
    pub relative: Array3<f32>,
    /// Cleaned cosine.
    pub cleaned: Array3<f32>,
    /// Whitened cosine.
    pub whitened: Array3<f32>,
}

/// What is measured of one designated pair alone.
#[derive(Debug, Clone, PartialEq)]
pub struct PairCoupling {
    /// p under label flips, adjusted over layers by max-T, `[state, layer]`.
    pub p_flip_max: Array2<f64>,
    /// p with the first concept replaced by random directions, adjusted over layers by max-T,
    /// `[state, layer]`; a random direction is the same mixture of neutral texts in every layer.
    pub p_random_max: Array2<f64>,
    /// The raw cosine among those of the pair's two concepts with each placebo, `[state]`.
    pub placebo: Vec<Against>,
    /// The cleaned cosine among cleaned ones, without the placebos that are nuisances, `[state]`.
    pub placebo_cleaned: Vec<Against>,
    /// Bootstrap draws of the cosine.
    pub draws: PairDraws,
}

/// Coupling in every state and layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupling {
    /// Cosine of mean differences.
    pub raw: Form,
    /// After projecting out the nuisances' mean differences; NaN for nuisances,
    /// equal to `raw` without any.
    pub cleaned: Form,
    /// After whitening by the shrinkage covariance of the state's neutral activations.
    pub whitened: Form,
    /// Reliability of each concept's raw mean difference, `[state, concept, layer]`.
    pub reliability: Array3<f64>,
    /// Lower end of the label-flip null band.
    pub flip_lo: Array4<f64>,
    /// Upper end of the label-flip null band.
    pub flip_hi: Array4<f64>,
    /// Two-sided p of the label-flip null: that the labels of both concepts carry
    /// nothing. Exact under it, and conservative for two strong directions that
    /// are merely orthogonal, because flipping makes both of them noise.
    pub p_flip: Array4<f64>,
    /// Two-sided p of the null that the labels of a carry nothing along b: entry (a, b) keeps
    /// the direction of b and flips the labels of a. Exact whatever b is, so not symmetric.
    pub p_flip_one: Array4<f64>,
    /// q of `p_flip` across layers and pairs of a state (Benjamini-Hochberg).
    pub q_flip: Array4<f64>,
    /// Lower end of the band of cosines of concept b with random directions
    /// from N(0, S), S the sample covariance of the layer's neutral texts, `[state, concept, layer]`.
    pub random_lo: Array3<f64>,
    /// Upper end of that band.
    pub random_hi: Array3<f64>,
    /// Two-sided p against it: entry (a, b) keeps b and replaces a, so it is not symmetric.
    pub p_random: Array4<f64>,
    /// q of `p_random` across layers and ordered pairs of a state.
    pub q_random: Array4<f64>,
    /// Expected |cosine| of two isotropic random directions, sqrt(2 / (pi d)): a reference, too easy.
    pub isotropic: f64,
    /// What the |cosine| of two isotropic random directions stays below, at the options' level.
    pub isotropic_hi: f64,
    /// Dimensions that the noise of each concept's pairs fills, `[state, concept, layer]`. Below
    /// about 10, as in layers with a few very large dimensions, intervals hold less than their level.
    pub effective_rank: Array3<f64>,
    /// Pairs of each concept.
    pub n_pairs: Vec<usize>,
    /// Prompt clusters of each concept: the unit of replication.
    pub n_clusters: Vec<usize>,
    /// `[pair]`, in the order of the options.
    pub pairs: Vec<PairCoupling>,
}

/// Coupling of all concepts in all states and layers.
///
/// Errors when shapes disagree, an index names nothing, a concept has fewer
/// than 3 clusters, or a value is not finite.
pub fn coupling(
    input: CouplingInput,
    options: &CouplingOptions,
) -> Result<Coupling, GeometryError> {
    let (layers, width) = input.check(options)?;
    let (states, concepts) = (input.differences.len(), input.clusters.len());
    let layout = Layout::new(input.clusters);
    let context = Context {
        draws: Draws::bootstrap(&layout, options.draws, options.seed),
        flips: Draws::flips(&layout, options.flips, options.seed),
        mixtures: mixtures(
            options.random,
            input.background[0].dim().0,
            options.seed,
            "coupling/random",
        ),
        expansion: (layout.clusters.iter())
            .map(|c| few_clusters(c.count(), options.level))
            .collect(),
        input,
        options,
        layout,
    };
    let cells: Vec<Cell> = (0..states * layers)
        .into_par_iter()
        .map(|task| cell(&context, task / layers, task % layers))
        .collect::<Result<_, _>>()?;

    let four = (states, concepts, concepts, layers);
    let blank4 = || Array4::from_elem(four, f64::NAN);
    let blank3 = || Array3::from_elem((states, concepts, layers), f64::NAN);
    let blank2 = || Array2::from_elem((states, layers), f64::NAN);
    let blank_draws = || Array3::<f32>::zeros((states, layers, options.draws));
    let mut out = Coupling {
        raw: Form::new(four),
        cleaned: Form::new(four),
        whitened: Form::new(four),
        reliability: blank3(),
        flip_lo: blank4(),
        flip_hi: blank4(),
        p_flip: blank4(),
        p_flip_one: blank4(),
        q_flip: blank4(),
        random_lo: blank3(),
        random_hi: blank3(),
        p_random: blank4(),
        q_random: blank4(),
        isotropic: (2.0 / (std::f64::consts::PI * width as f64)).sqrt(),
        isotropic_hi: isotropic_cosine(width, options.level),
        effective_rank: blank3(),
        n_pairs: input.clusters.iter().map(Vec::len).collect(),
        n_clusters: context.layout.clusters.iter().map(|c| c.count()).collect(),
        pairs: (options.pairs.iter())
            .map(|_| PairCoupling {
                p_flip_max: blank2(),
                p_random_max: blank2(),
                placebo: Vec::new(),
                placebo_cleaned: Vec::new(),
                draws: PairDraws {
                    raw: blank_draws(),
                    relative: blank_draws(),
                    cleaned: blank_draws(),
                    whitened: blank_draws(),
                },
            })
            .collect(),
    };
    for (task, cell) in cells.iter().enumerate() {
        scatter(&mut out, task / layers, task % layers, cell);
    }
    for state in 0..states {
        correct(&mut out, state);
        for pair in 0..options.pairs.len() {
            let cells = &cells[state * layers..][..layers];
            correct_pair(&mut out, state, pair, options, cells)?;
        }
    }
    Ok(out)
}

fn scatter(out: &mut Coupling, state: usize, layer: usize, cell: &Cell) {
    out.raw.put(state, layer, &cell.raw);
    out.cleaned.put(state, layer, &cell.cleaned);
    out.whitened.put(state, layer, &cell.whitened);
    for (whole, part) in [
        (&mut out.flip_lo, &cell.flips.lo),
        (&mut out.flip_hi, &cell.flips.hi),
        (&mut out.p_flip, &cell.flips.p),
        (&mut out.p_flip_one, &cell.flips.p_one),
        (&mut out.p_random, &cell.random.p),
    ] {
        whole.slice_mut(s![state, .., .., layer]).assign(part);
    }
    for (whole, part) in [
        (&mut out.reliability, &cell.raw.reliability),
        (&mut out.random_lo, &cell.random.lo),
        (&mut out.random_hi, &cell.random.hi),
        (&mut out.effective_rank, &cell.effective_rank),
    ] {
        whole.slice_mut(s![state, .., layer]).assign(part);
    }
    for (i, pair) in out.pairs.iter_mut().enumerate() {
        for (whole, part) in [
            (&mut pair.draws.raw, &cell.raw.pairs[i]),
            (&mut pair.draws.relative, &cell.raw.pairs_relative[i]),
            (&mut pair.draws.cleaned, &cell.cleaned.pairs[i]),
            (&mut pair.draws.whitened, &cell.whitened.pairs[i]),
        ] {
            for (to, &from) in whole.slice_mut(s![state, layer, ..]).iter_mut().zip(part) {
                *to = from;
            }
        }
    }
}

/// Corrections over a state's layers and pairs.
fn correct(out: &mut Coupling, state: usize) {
    let (_, k, _, layers) = out.p_flip.dim();
    let each = |ordered: bool| -> Vec<(usize, usize, usize)> {
        (0..k)
            .flat_map(|a| (0..k).map(move |b| (a, b)))
            .filter(|&(a, b)| a < b || (ordered && a > b))
            .flat_map(|(a, b)| (0..layers).map(move |l| (a, b, l)))
            .collect()
    };
    let places = each(false);
    let p: Vec<f64> = places.iter().map(|&(a, b, l)| out.p_flip[[state, a, b, l]]).collect();
    for (&(a, b, l), q) in places.iter().zip(benjamini_hochberg(&p)) {
        out.q_flip[[state, a, b, l]] = q;
        out.q_flip[[state, b, a, l]] = q;
    }
    let places = each(true);
    let p: Vec<f64> = places.iter().map(|&(a, b, l)| out.p_random[[state, a, b, l]]).collect();
    for (&(a, b, l), q) in places.iter().zip(benjamini_hochberg(&p)) {
        out.q_random[[state, a, b, l]] = q;
    }
}

/// A designated pair's corrections over layers, and its placebos.
fn correct_pair(
    out: &mut Coupling,
    state: usize,
    pair: usize,
    options: &CouplingOptions,
    cells: &[Cell],
) -> Result<(), GeometryError> {
    let (first, second) = options.pairs[pair];
    let layers = cells.len();
    let profile = |form: &Form, a: usize, b: usize| form.value.slice(s![state, a, b, ..]).to_vec();
    let observed = profile(&out.raw, first, second);
    let flips =
        Array2::from_shape_fn((options.flips, layers), |(i, l)| cells[l].flips.pairs[pair][i]);
    let random =
        Array2::from_shape_fn((options.random, layers), |(i, l)| cells[l].random.pairs[pair][i]);
    let among = |form: &Form, placebos: &[usize]| {
        let null: Vec<Vec<f64>> = ([first, second].iter())
            .flat_map(|&c| placebos.iter().map(move |&placebo| (c, placebo)))
            .map(|(c, placebo)| profile(form, c, placebo))
            .collect();
        let null = Array2::from_shape_fn((null.len(), layers), |(i, l)| null[i][l]);
        among_placebos(&profile(form, first, second), null.view(), options.level)
    };
    let all = &options.placebos;
    let kept: Vec<usize> =
        (all.iter().copied()).filter(|p| !options.nuisances.contains(p)).collect();
    let (placebo, placebo_cleaned) = (among(&out.raw, all)?, among(&out.cleaned, &kept)?);
    let found = &mut out.pairs[pair];
    found.placebo.push(placebo);
    found.placebo_cleaned.push(placebo_cleaned);
    for (whole, null) in [(&mut found.p_flip_max, &flips), (&mut found.p_random_max, &random)] {
        if null.nrows() > 0 {
            for (l, p) in max_t(&observed, null.view()).into_iter().enumerate() {
                whole[[state, l]] = p;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;
