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

use super::cell::{cell, Cell};
use super::check::each;
use super::coupling_input::{CouplingInput, CouplingOptions};
use super::error::Result;
use super::forms::{Form, FormCell};
use super::nulls::{among_placebos, Against};
use super::resample::{Context, Layout};
use crate::stats::corrections::{benjamini_hochberg, max_t};
use crate::stats::interval::{few_clusters, isotropic_cosine};
use crate::stats::shrinkage::mixtures;
use ndarray::{concatenate, s, Array1, Array2, Array3, Array4, Axis};

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
pub fn coupling(input: CouplingInput, options: &CouplingOptions) -> Result<Coupling> {
    let (layers, width) = input.check(options)?;
    let (states, concepts) = (input.differences.len(), input.clusters.len());
    let layout = Layout::new(input.clusters);
    let (seed, neutral) = (options.seed, input.background[0].dim().0);
    let widening = layout.clusters.iter().map(|c| few_clusters(c.count(), options.level));
    let context = Context {
        draws: layout.bootstrap(options.draws, seed),
        flips: layout.flips(input.strata, options.flips, seed),
        mixtures: mixtures(options.random, neutral, seed, "coupling/random"),
        expansion: widening.collect(),
        input,
        options,
        layout,
    };
    let cells = each(states * layers, |task| cell(&context, task / layers, task % layers))?;
    let at = |s: usize, l: usize| &cells[s * layers + l];
    let four = |part: &dyn Fn(&Cell) -> &Array2<f64>| {
        let shape = (states, concepts, concepts, layers);
        Array4::from_shape_fn(shape, |(s, a, b, l)| part(at(s, l))[[a, b]])
    };
    let three = |part: &dyn Fn(&Cell) -> &Array1<f64>| {
        Array3::from_shape_fn((states, concepts, layers), |(s, a, l)| part(at(s, l))[a])
    };
    let form = |part: &dyn Fn(&Cell) -> &FormCell| {
        let [value, lo, hi, relative, relative_lo, relative_hi] =
            std::array::from_fn(|i| four(&|c| &part(c).cosines[i]));
        Form { value, lo, hi, relative, relative_lo, relative_hi }
    };
    let (raw, cleaned) = (form(&|c| &c.raw), form(&|c| &c.cleaned));
    let (p_flip, p_random) = (four(&|c| &c.flips.p), four(&|c| &c.random.p));
    let by_state: Vec<&[Cell]> = (0..states).map(|s| &cells[s * layers..][..layers]).collect();
    let pair = |i: usize| pair_coupling(i, options, &by_state, &raw, &cleaned);
    Ok(Coupling {
        pairs: (0..options.pairs.len()).map(pair).collect::<Result<_, _>>()?,
        whitened: form(&|c| &c.whitened),
        reliability: three(&|c| &c.raw.reliability),
        flip_lo: four(&|c| &c.flips.lo),
        flip_hi: four(&|c| &c.flips.hi),
        p_flip_one: four(&|c| &c.flips.p_one),
        q_flip: corrected(&p_flip, false),
        random_lo: three(&|c| &c.random.lo),
        random_hi: three(&|c| &c.random.hi),
        q_random: corrected(&p_random, true),
        isotropic: (2.0 / (std::f64::consts::PI * width as f64)).sqrt(),
        isotropic_hi: isotropic_cosine(width, options.level),
        effective_rank: three(&|c| &c.effective_rank),
        n_pairs: input.clusters.iter().map(Vec::len).collect(),
        n_clusters: context.layout.clusters.iter().map(|c| c.count()).collect(),
        raw,
        cleaned,
        p_flip,
        p_random,
    })
}

/// q over a state's layers and pairs; where `ordered`, (a, b) and (b, a) are two tests.
fn corrected(p: &Array4<f64>, ordered: bool) -> Array4<f64> {
    let (states, k, _, layers) = p.dim();
    let mut q = Array4::from_elem(p.dim(), f64::NAN);
    for s in 0..states {
        let places: Vec<(usize, usize, usize)> = (0..k)
            .flat_map(|a| (0..k).map(move |b| (a, b)))
            .filter(|&(a, b)| a < b || (ordered && a > b))
            .flat_map(|(a, b)| (0..layers).map(move |l| (a, b, l)))
            .collect();
        let own: Vec<f64> = places.iter().map(|&(a, b, l)| p[[s, a, b, l]]).collect();
        for (&(a, b, l), value) in places.iter().zip(benjamini_hochberg(&own)) {
            q[[s, a, b, l]] = value;
            if !ordered {
                q[[s, b, a, l]] = value;
            }
        }
    }
    q
}

/// A designated pair's corrections over layers, its placebos and its draws; `cells[state][layer]`.
fn pair_coupling(
    pair: usize,
    options: &CouplingOptions,
    cells: &[&[Cell]],
    raw: &Form,
    cleaned: &Form,
) -> Result<PairCoupling> {
    let (first, second) = options.pairs[pair];
    let (states, layers) = (cells.len(), raw.value.dim().3);
    let profile =
        |form: &Form, s: usize, a: usize, b: usize| form.value.slice(s![s, a, b, ..]).to_vec();
    let adjusted = |n: usize, null: &dyn Fn(&Cell) -> &Vec<f64>| {
        let mut out = Array2::from_elem((states, layers), f64::NAN);
        for (s, cells) in cells.iter().enumerate().filter(|_| n > 0) {
            let null = Array2::from_shape_fn((n, layers), |(i, l)| null(&cells[l])[i]);
            let p = max_t(&profile(raw, s, first, second), null.view());
            out.row_mut(s).assign(&Array1::from(p));
        }
        out
    };
    let among = |form: &Form, placebos: &[usize]| {
        let one = |s: usize| {
            // The first concept with every placebo, then the second.
            let null = [first, second]
                .map(|c| form.value.slice(s![s, c, .., ..]).select(Axis(0), placebos));
            let null = concatenate![Axis(0), null[0], null[1]];
            among_placebos(&profile(form, s, first, second), null.view(), options.level)
        };
        (0..states).map(one).collect::<Result<Vec<Against>>>()
    };
    let draws = |part: &dyn Fn(&Cell) -> &[Vec<f32>]| {
        Array3::from_shape_fn((states, layers, options.draws), |(s, l, draw)| {
            part(&cells[s][l])[pair][draw]
        })
    };
    let all = &options.placebos;
    let kept: Vec<usize> =
        (all.iter().copied()).filter(|p| !options.nuisances.contains(p)).collect();
    Ok(PairCoupling {
        p_flip_max: adjusted(options.flips, &|c| &c.flips.pairs[pair]),
        p_random_max: adjusted(options.random, &|c| &c.random.pairs[pair]),
        placebo: among(raw, all)?,
        placebo_cleaned: among(cleaned, &kept)?,
        draws: PairDraws {
            raw: draws(&|c| &c.raw.pairs),
            relative: draws(&|c| &c.raw.pairs_relative),
            cleaned: draws(&|c| &c.cleaned.pairs),
            whitened: draws(&|c| &c.whitened.pairs),
        },
    })
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;
