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
use super::forms::Form;
use super::resample::{Draws, Layout};
use super::GeometryError;
use crate::stats::corrections::{benjamini_hochberg, max_t};
use crate::stats::interval::{few_clusters, isotropic_cosine, percentile};
use crate::stats::permutation::{p_value, Tail};
use crate::stats::shrinkage::mixtures;
use ndarray::{s, Array2, Array3, Array4};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Activations that a coupling is computed from.
#[derive(Debug, Clone, Copy)]
pub struct CouplingInput<'a> {
    /// Positive less negative, `[state][concept]` -> `(n_pairs, n_layers, d)`.
    pub differences: &'a [Vec<Array3<f32>>],
    /// Prompt cluster of each pair, `[concept]` -> `n_pairs`.
    pub clusters: &'a [Vec<usize>],
    /// Activations on neutral texts, `[state]` -> `(n_neutral, n_layers, d)`.
    pub background: &'a [Array3<f32>],
}

/// What to compute and how often to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CouplingOptions {
    /// Concepts whose mean differences are projected out in the cleaned form.
    pub nuisances: Vec<usize>,
    /// Unrelated concepts: the placebo distribution.
    pub placebos: Vec<usize>,
    /// The designated pair: persona, autonomy.
    pub pair: (usize, usize),
    /// Bootstrap draws.
    pub draws: usize,
    /// Label flips.
    pub flips: usize,
    /// Random directions.
    pub random: usize,
    /// Coverage of intervals and null bands.
    pub level: f64,
    /// Seed of all draws.
    pub seed: u64,
}

impl CouplingOptions {
    /// 2,000 draws, flips and random directions, 95 %, no nuisance, no placebo.
    pub fn for_pair(persona: usize, autonomy: usize) -> Self {
        CouplingOptions {
            nuisances: Vec::new(),
            placebos: Vec::new(),
            pair: (persona, autonomy),
            draws: 2000,
            flips: 2000,
            random: 2000,
            level: 0.95,
            seed: 0,
        }
    }
}

/// Bootstrap draws of the designated pair's cosine, each `[state, layer, draw]`,
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
    /// p of the designated pair under label flips, adjusted over layers by max-T, `[state, layer]`.
    pub p_flip_max: Array2<f64>,
    /// Lower end of the band of cosines of concept b with random directions
    /// from N(0, S), S the sample covariance of the layer's neutral texts, `[state, concept, layer]`.
    pub random_lo: Array3<f64>,
    /// Upper end of that band.
    pub random_hi: Array3<f64>,
    /// Two-sided p against it: entry (a, b) keeps b and replaces a, so it is not symmetric.
    pub p_random: Array4<f64>,
    /// q of `p_random` across layers and ordered pairs of a state.
    pub q_random: Array4<f64>,
    /// p of the designated pair with its first concept replaced by random directions, adjusted
    /// over layers by max-T, `[state, layer]`; a random direction is the same mixture of neutral
    /// texts in every layer.
    pub p_random_max: Array2<f64>,
    /// Expected |cosine| of two isotropic random directions, sqrt(2 / (pi d)): a reference, too easy.
    pub isotropic: f64,
    /// What the |cosine| of two isotropic random directions stays below, at the options' level.
    pub isotropic_hi: f64,
    /// Cosines of the designated pair's concepts with each placebo, `[state, layer, 2 placebos]`:
    /// the first concept's, then the second's.
    pub placebo: Array3<f64>,
    /// p of the designated pair's |cosine| among them, `[state, layer]`; NaN without placebos.
    /// With m placebos it is never below 1 / (1 + 2 m).
    pub p_placebo: Array2<f64>,
    /// The same adjusted over layers by max-T: a placebo counts with its largest layer.
    pub p_placebo_max: Array2<f64>,
    /// Lower end of the placebos' band, `[state, layer]`.
    pub placebo_lo: Array2<f64>,
    /// Upper end of the placebos' band, `[state, layer]`.
    pub placebo_hi: Array2<f64>,
    /// Dimensions that the noise of each concept's pairs fills, `[state, concept, layer]`. Below
    /// about 10, as in layers with a few very large dimensions, intervals hold less than their level.
    pub effective_rank: Array3<f64>,
    /// Pairs of each concept.
    pub n_pairs: Vec<usize>,
    /// Prompt clusters of each concept: the unit of replication.
    pub n_clusters: Vec<usize>,
    /// Bootstrap draws of the designated pair.
    pub pair_draws: PairDraws,
}

/// Coupling of all concepts in all states and layers.
///
/// Errors when shapes disagree, an index names nothing, a concept has fewer
/// than 3 clusters, or a value is not finite.
pub fn coupling(
    input: CouplingInput,
    options: &CouplingOptions,
) -> Result<Coupling, GeometryError> {
    let (layers, width) = check(&input, options)?;
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
        p_flip_max: blank2(),
        random_lo: blank3(),
        random_hi: blank3(),
        p_random: blank4(),
        q_random: blank4(),
        p_random_max: blank2(),
        isotropic: (2.0 / (std::f64::consts::PI * width as f64)).sqrt(),
        isotropic_hi: isotropic_cosine(width, options.level),
        placebo: Array3::from_elem((states, layers, 2 * options.placebos.len()), f64::NAN),
        p_placebo: blank2(),
        p_placebo_max: blank2(),
        placebo_lo: blank2(),
        placebo_hi: blank2(),
        effective_rank: blank3(),
        n_pairs: input.clusters.iter().map(Vec::len).collect(),
        n_clusters: context.layout.clusters.iter().map(|c| c.count()).collect(),
        pair_draws: PairDraws {
            raw: blank_draws(),
            relative: blank_draws(),
            cleaned: blank_draws(),
            whitened: blank_draws(),
        },
    };
    for (task, cell) in cells.iter().enumerate() {
        scatter(&mut out, task / layers, task % layers, cell);
    }
    for state in 0..states {
        correct(&mut out, state, options, &cells[state * layers..][..layers]);
    }
    Ok(out)
}

fn scatter(out: &mut Coupling, state: usize, layer: usize, cell: &Cell) {
    out.raw.put(state, layer, &cell.raw);
    out.cleaned.put(state, layer, &cell.cleaned);
    out.whitened.put(state, layer, &cell.whitened);
    for (whole, part) in [
        (&mut out.flip_lo, &cell.flip_lo),
        (&mut out.flip_hi, &cell.flip_hi),
        (&mut out.p_flip, &cell.p_flip),
        (&mut out.p_flip_one, &cell.p_flip_one),
        (&mut out.p_random, &cell.p_random),
    ] {
        whole.slice_mut(s![state, .., .., layer]).assign(part);
    }
    for (whole, part) in [
        (&mut out.reliability, &cell.raw.reliability),
        (&mut out.random_lo, &cell.random_lo),
        (&mut out.random_hi, &cell.random_hi),
        (&mut out.effective_rank, &cell.effective_rank),
    ] {
        whole.slice_mut(s![state, .., layer]).assign(part);
    }
    let draws = &mut out.pair_draws;
    for (whole, part) in [
        (&mut draws.raw, &cell.raw.pair),
        (&mut draws.relative, &cell.raw.pair_relative),
        (&mut draws.cleaned, &cell.cleaned.pair),
        (&mut draws.whitened, &cell.whitened.pair),
    ] {
        for (to, &from) in whole.slice_mut(s![state, layer, ..]).iter_mut().zip(part) {
            *to = from;
        }
    }
}

/// Corrections over a state's layers and pairs, and the placebo distribution.
fn correct(out: &mut Coupling, state: usize, options: &CouplingOptions, cells: &[Cell]) {
    let (_, k, _, layers) = out.p_flip.dim();
    let each = |ordered: bool| -> Vec<(usize, usize, usize)> {
        (0..k)
            .flat_map(|a| (0..k).map(move |b| (a, b)))
            .filter(|&(a, b)| a < b || (ordered && a > b))
            .flat_map(|(a, b)| (0..layers).map(move |l| (a, b, l)))
            .collect()
    };
    let places = each(false);
    let p: Vec<f64> = places
        .iter()
        .map(|&(a, b, l)| out.p_flip[[state, a, b, l]])
        .collect();
    for (&(a, b, l), q) in places.iter().zip(benjamini_hochberg(&p)) {
        out.q_flip[[state, a, b, l]] = q;
        out.q_flip[[state, b, a, l]] = q;
    }
    let places = each(true);
    let p: Vec<f64> = places
        .iter()
        .map(|&(a, b, l)| out.p_random[[state, a, b, l]])
        .collect();
    for (&(a, b, l), q) in places.iter().zip(benjamini_hochberg(&p)) {
        out.q_random[[state, a, b, l]] = q;
    }

    let (first, second) = options.pair;
    let observed = out.raw.value.slice(s![state, first, second, ..]).to_vec();
    let flips = Array2::from_shape_fn((options.flips, layers), |(i, l)| cells[l].pair_flips[i]);
    let random = Array2::from_shape_fn((options.random, layers), |(i, l)| cells[l].pair_random[i]);
    let places: Vec<(usize, usize)> = [first, second]
        .iter()
        .flat_map(|&c| options.placebos.iter().map(move |&placebo| (c, placebo)))
        .collect();
    let placebos = Array2::from_shape_fn((places.len(), layers), |(i, l)| {
        out.raw.value[[state, places[i].0, places[i].1, l]]
    });
    for (whole, null) in [
        (&mut out.p_flip_max, &flips),
        (&mut out.p_random_max, &random),
        (&mut out.p_placebo_max, &placebos),
    ] {
        if null.nrows() > 0 {
            for (l, p) in max_t(&observed, null.view()).into_iter().enumerate() {
                whole[[state, l]] = p;
            }
        }
    }
    for (l, &value) in observed.iter().enumerate().filter(|_| !places.is_empty()) {
        let others = placebos.column(l).to_vec();
        out.p_placebo[[state, l]] = p_value(value, &others, Tail::TwoSided);
        for (place, &value) in others.iter().enumerate() {
            out.placebo[[state, l, place]] = value;
        }
        let band = percentile(&mut others.clone(), options.level);
        out.placebo_lo[[state, l]] = band.lo;
        out.placebo_hi[[state, l]] = band.hi;
    }
}

/// Checks shapes and indices; gives the number of layers and the width.
fn check(
    input: &CouplingInput,
    options: &CouplingOptions,
) -> Result<(usize, usize), GeometryError> {
    let (states, concepts) = (input.differences.len(), input.clusters.len());
    let count = |what: &str, expected: usize, got: usize| match expected == got {
        true => Ok(()),
        false => Err(GeometryError::Count {
            what: what.to_string(),
            expected,
            got,
        }),
    };
    count("background", states.max(1), input.background.len())?;
    let (neutral, layers, width) = input.background[0].dim();
    for (s, (differences, background)) in input.differences.iter().zip(input.background).enumerate()
    {
        count(
            &format!("differences of state {s}"),
            concepts,
            differences.len(),
        )?;
        let expected = vec![neutral, layers, width];
        same_shape(format!("background of state {s}"), expected, background)?;
        for (a, part) in differences.iter().enumerate() {
            let expected = vec![input.clusters[a].len(), layers, width];
            same_shape(
                format!("differences of state {s}, concept {a}"),
                expected,
                part,
            )?;
        }
    }
    for (a, names) in input.clusters.iter().enumerate() {
        let got = crate::stats::bootstrap::Clusters::new(names).count();
        if got < 3 {
            return Err(GeometryError::FewClusters {
                what: format!("concept {a}"),
                got,
            });
        }
    }
    let (first, second) = options.pair;
    let named = options.nuisances.iter().chain(&options.placebos);
    if let Some(&index) = named.chain(&[first, second]).find(|&&i| i >= concepts) {
        return Err(GeometryError::Index {
            what: "concept",
            index,
            count: concepts,
        });
    }
    if first == second
        || options
            .nuisances
            .iter()
            .any(|i| *i == first || *i == second)
    {
        return Err(GeometryError::Pair(first, second));
    }
    Ok((layers, width))
}

fn same_shape(what: String, expected: Vec<usize>, got: &Array3<f32>) -> Result<(), GeometryError> {
    if got.shape() == expected {
        return Ok(());
    }
    Err(GeometryError::Shape {
        what,
        expected,
        got: got.shape().to_vec(),
    })
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;
