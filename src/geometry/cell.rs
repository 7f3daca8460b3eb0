//! One state and layer of a coupling.
//!
//! This is the unit of parallel work: it gathers the pairs' differences into
//! cluster sums, forms their Gram matrix once, and takes from it the three
//! forms, the label-flip null and the effective rank of the noise; the
//! random-direction null mixes this layer's neutral texts by shared coefficients. Nothing here is drawn, all draws
//! come in with the [`Context`], and nothing outlives the cell but small
//! matrices over concepts and the designated pairs' draws.

use super::check::finite;
use super::error::Result;
use super::forms::{form, FormCell};
use super::resample::{effective_rank, quadratic, Context, Layout};
use crate::stats::interval::percentile;
use crate::stats::linalg::orthonormal_rows;
use crate::stats::permutation::{p_value, Tail};
use crate::stats::shrinkage::{ledoit_wolf, Shrinkage};
use ndarray::{s, Array1, Array2, Axis};

/// What one (state, layer) yields.
pub(super) struct Cell {
    pub raw: FormCell,
    pub cleaned: FormCell,
    pub whitened: FormCell,
    pub flips: Flips,
    pub random: Random,
    pub effective_rank: Array1<f64>,
}

/// Labels flipped.
pub(super) struct Flips {
    pub lo: Array2<f64>,
    pub hi: Array2<f64>,
    pub p: Array2<f64>,
    /// Labels of the row's concept flipped, the column's kept.
    pub p_one: Array2<f64>,
    /// Cosines of each designated pair.
    pub pairs: Vec<Vec<f64>>,
}

/// Random directions in the place of the row's concept.
pub(super) struct Random {
    pub lo: Array1<f64>,
    pub hi: Array1<f64>,
    pub p: Array2<f64>,
    /// Cosines of each designated pair's second concept.
    pub pairs: Vec<Vec<f64>>,
}

/// Everything about one state and layer.
pub(super) fn cell(context: &Context, state: usize, layer: usize) -> Result<Cell> {
    let (layout, options) = (&context.layout, context.options);
    let k = layout.concepts();
    let width = context.input.background[0].dim().2;
    let mut sums = Array2::<f64>::zeros((layout.rows(), width)); // (clusters of all concepts, d)
    for (a, differences) in context.input.differences[state].iter().enumerate() {
        let own = layout.clusters[a].sums(differences.index_axis(Axis(1), layer));
        sums.slice_mut(s![layout.span(a), ..]).assign(&own);
    }
    finite(&format!("a difference of state {state}, layer {layer}"), &sums)?;
    let gram = inner_products(&sums, layout);
    let mut means = Array2::<f64>::zeros((k, width)); // (concepts, d)
    for a in 0..k {
        let sum = sums.slice(s![layout.span(a), ..]).sum_axis(Axis(0));
        means.row_mut(a).assign(&(sum / layout.clusters[a].of.len() as f64));
    }

    let all = vec![true; k];
    let raw = form(context, &gram, &all);
    let kept: Vec<bool> = (0..k).map(|a| !options.nuisances.contains(&a)).collect();
    let nuisance = orthonormal_rows(means.select(Axis(0), &options.nuisances).view()); // (j, d)
    let along = sums.dot(&nuisance.t()); // (rows, j)
    let cleaned = form(context, &(&gram - &along.dot(&along.t())), &kept);
    let background = context.input.background[state].index_axis(Axis(1), layer);
    let covariance = ledoit_wolf(background)?; // (n_neutral, d)
    let whitened = form(context, &covariance.whiten_gram(sums.view(), gram.view()), &all);

    let flips = flips(context, &gram, &raw.cosines[0]);
    let random = random(context, &covariance, &means, &raw.cosines[0]);
    let effective_rank = (0..k).map(|a| effective_rank(layout, &gram, a)).collect();
    Ok(Cell { raw, cleaned, whitened, flips, random, effective_rank })
}

/// The cosines among those with labels flipped.
fn flips(context: &Context, gram: &Array2<f64>, value: &Array2<f64>) -> Flips {
    let (layout, options) = (&context.layout, context.options);
    let k = layout.concepts();
    let [mut lo, mut hi, mut p, mut p_one] =
        std::array::from_fn(|_| Array2::from_elem((k, k), f64::NAN));
    let mut pairs = vec![Vec::new(); options.pairs.len()];
    let flipped = quadratic(layout, &context.flips, &gram.mapv(|v| v as f32));
    for a in 0..k {
        for b in a + 1..k {
            let rows = [(a, b), (a, a), (b, b)].map(|(x, y)| flipped.row(layout.pair(x, y)));
            let cosine = |i: usize| {
                let [ab, aa, bb] = rows.map(|row| f64::from(row[i]));
                ab / (aa * bb).sqrt()
            };
            let mut null: Vec<f64> = (0..options.flips).map(cosine).collect();
            let own = p_value(value[[a, b]], &null, Tail::TwoSided);
            if let Some(i) = options.place(a, b) {
                pairs[i] = null.clone();
            }
            let band = percentile(&mut null, options.level);
            for at in [[a, b], [b, a]] {
                lo[at] = band.lo;
                hi[at] = band.hi;
                p[at] = own;
            }
        }
    }
    for b in 0..k {
        let toward = gram.slice(s![.., layout.span(b)]).sum_axis(Axis(1)); // (rows)
        let length = layout.block(gram, b, b).sum();
        for a in (0..k).filter(|&a| a != b) {
            let toward = toward.slice(s![layout.span(a)]).mapv(|v| v as f32);
            let along = context.flips[a].dot(&toward); // (flips)
            let own = flipped.row(layout.pair(a, a));
            let cosine = |(&x, &y): (&f32, &f32)| f64::from(x) / (f64::from(y) * length).sqrt();
            let null: Vec<f64> = along.iter().zip(own).map(cosine).collect();
            p_one[[a, b]] = p_value(value[[a, b]], &null, Tail::TwoSided);
        }
    }
    Flips { lo, hi, p, p_one, pairs }
}

/// The cosines among those with random directions of the layer's covariance.
fn random(
    context: &Context,
    covariance: &Shrinkage,
    means: &Array2<f64>,
    value: &Array2<f64>,
) -> Random {
    let options = context.options;
    let k = means.nrows();
    let directions = covariance.mixed(&context.mixtures); // (random, d)
    let lengths: Array1<f64> =
        (directions.rows().into_iter()).map(|row| f64::from(row.dot(&row)).sqrt()).collect();
    let products = directions.dot(&means.t().mapv(|v| v as f32)); // (random, concepts)
    let (mut lo, mut hi) = (Array1::zeros(k), Array1::zeros(k));
    let mut p = Array2::from_elem((k, k), f64::NAN);
    let mut pairs = vec![Vec::new(); options.pairs.len()];
    for b in 0..k {
        let length = means.row(b).dot(&means.row(b)).sqrt();
        let along = products.column(b);
        let mut null: Vec<f64> =
            along.iter().zip(&lengths).map(|(&x, &l)| f64::from(x) / (l * length)).collect();
        for a in (0..k).filter(|&a| a != b) {
            p[[a, b]] = p_value(value[[a, b]], &null, Tail::TwoSided);
        }
        for (i, _) in (options.pairs.iter().enumerate()).filter(|(_, p)| p.1 == b) {
            pairs[i] = null.clone();
        }
        let band = percentile(&mut null, options.level);
        lo[b] = band.lo;
        hi[b] = band.hi;
    }
    Random { lo, hi, p, pairs }
}

/// Inner products of all rows; blocks below the diagonal are mirrored.
fn inner_products(sums: &Array2<f64>, layout: &Layout) -> Array2<f64> {
    let mut gram = Array2::<f64>::zeros((layout.rows(), layout.rows()));
    for a in 0..layout.concepts() {
        let (own, first) = (layout.span(a), layout.offsets[a]);
        let part = sums.slice(s![own.clone(), ..]).dot(&sums.slice(s![first.., ..]).t());
        gram.slice_mut(s![own.clone(), first..]).assign(&part);
        gram.slice_mut(s![first.., own]).assign(&part.t());
    }
    gram
}
