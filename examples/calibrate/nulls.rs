//! P-values where nothing is there: uniform, and false findings held.
//!
//! P-values of few null values live on a coarse grid; a uniform number within the grid's step
//! makes them continuous, so that one test serves all. A test at .01 fails for a sound p once in a
//! hundred, and there are a dozen of them: one that fails is made again on data drawn anew, and
//! what that says stands.

use crate::check::{Check, Size};
use crate::plant::{spectrum, Plant, WIDTH};
use ndarray::{Array1, Array2, Array3, ArrayView2};
use rand::Rng;
use rayon::prelude::*;
use residuum::geometry::population::{population, Source};
use residuum::geometry::projections::{every_projection, Ruler};
use residuum::geometry::random_directions::RandomDirections;
use residuum::geometry::rank_one::one_factor;
use residuum::geometry::regions::{mahalanobis, silhouette, Clouds};
use residuum::geometry::shift::ShiftInput;
use residuum::geometry::subspace_curve::{subspace_curve, Differences};
use residuum::geometry::{contrast, coupling, CouplingOptions, Over};
use residuum::stats::area::paired_area;
use residuum::stats::kolmogorov::ks_uniform;
use residuum::stats::permutation::{p_value, Tail};
use residuum::stats::rng::{fill_normal, stream};
use residuum::stats::shrinkage::{ledoit_wolf, mixtures};
use residuum::stats::Resampling;
use std::cell::OnceCell;

/// Least p of the Kolmogorov-Smirnov test of uniformity.
const LEAST: f64 = 0.01;

/// P-values of planted data sets, one row a set and one column a null, drawn anew on demand.
pub struct Found<const N: usize, F: Fn(u64) -> Option<[f64; N]> + Sync> {
    rows: Vec<[f64; N]>,
    again: OnceCell<Vec<[f64; N]>>,
    one: F,
    sets: u64,
}

impl<const N: usize, F: Fn(u64) -> Option<[f64; N]> + Sync> Found<N, F> {
    /// Runs `one` on the seeds of `sets` data sets.
    pub fn new(sets: usize, one: F) -> Self {
        let sets = sets as u64;
        Found {
            rows: (0..sets).into_par_iter().filter_map(&one).collect(),
            again: OnceCell::new(),
            one,
            sets,
        }
    }

    /// Data sets that gave values.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Share of sets with p <= .05 in a column.
    pub fn rate(&self, column: usize) -> f64 {
        self.rows.iter().filter(|r| r[column] <= 0.05).count() as f64 / self.len() as f64
    }

    /// Whether a column's p-values are uniform.
    pub fn uniform(&self, what: &str, column: usize) -> Check {
        let test = |rows: &[[f64; N]]| {
            let p: Vec<f64> = rows.iter().map(|r| r[column]).collect();
            ks_uniform(&p).map_or(f64::NAN, |k| k.p)
        };
        let mut what = format!("{what}: p-values uniform (KS p)");
        let mut got = test(&self.rows);
        if got < LEAST {
            what += &format!(", again after {got:.4}");
            got = test(self.again.get_or_init(|| {
                let seeds = 1_000_000..1_000_000 + self.sets;
                seeds.into_par_iter().filter_map(&self.one).collect()
            }));
        }
        Check::new(what, got, (LEAST, 1.0), self.len())
    }
}

/// Four standard errors of a rate of 5 %.
pub fn slack(n: usize) -> f64 {
    4.0 * (0.05 * 0.95 / n as f64).sqrt()
}

/// Spreads p = (1 + b) / (1 + n) over its step.
fn spread(p: f64, n: usize, seed: u64, index: u64) -> f64 {
    let u: f64 = stream(seed, "calibrate/spread", index).random();
    p - u / (1 + n) as f64
}

fn noise(rows: usize, seed: u64, purpose: &str) -> Array2<f32> {
    let mut x = Array2::zeros((rows, WIDTH));
    fill_normal(&mut stream(seed, purpose, 0), x.as_slice_mut().unwrap_or_default());
    for (mut column, s) in x.columns_mut().into_iter().zip(spectrum(false)) {
        column *= s;
    }
    x
}

/// Concepts without any signal, in layers that resemble each other.
fn nothing(concepts: usize, layers: usize, seed: u64) -> Plant {
    Plant {
        pairs: vec![24; concepts],
        reliability: vec![0.0; concepts],
        cosines: vec![0.0; concepts - 1],
        layers,
        ..Plant::pair((24, 24), (0.0, 0.0), 0.0, seed)
    }
}

/// Label flips, placebos, and corrections over layers and pairs under the global null.
pub fn labels(size: Size) -> Vec<Check> {
    let (concepts, layers) = (4, 10);
    let found = Found::new(size.null, |repeat| {
        let options = CouplingOptions {
            placebos: vec![2, 3],
            draws: 20,
            // Enough for a q below .05 among 60 tests.
            flips: 1999,
            random: 20,
            seed: repeat,
            ..CouplingOptions::for_pair(0, 1)
        };
        let data = nothing(concepts, layers, repeat).data();
        let got = coupling(data.input(), &options).ok()?;
        let cosine = |a: usize, b: usize| got.raw.value[[0, a, b, 0]];
        let placebos = [cosine(0, 2), cosine(0, 3), cosine(1, 2), cosine(1, 3)];
        let among = |value: f64, null: &[f64]| p_value(value, null, Tail::TwoSided);
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::min);
        Some([
            got.p_flip[[0, 0, 1, 0]],
            got.p_flip_one[[0, 0, 1, 0]],
            least(&mut got.pairs[0].p_flip_max.iter().copied()),
            least(&mut got.q_flip.iter().copied().filter(|q| !q.is_nan())),
            spread(among(cosine(0, 1), &placebos), 4, repeat, 0),
        ])
    });
    let n = found.len();
    vec![
        found.uniform("labels of both concepts flipped", 0),
        found.uniform("labels of one concept flipped", 1),
        found.uniform("smallest max-T p over layers", 2),
        found.uniform("placebo concepts", 4),
        Check::new(
            "any layer's max-T p <= .05 under the global null",
            found.rate(2),
            (0.05 - slack(n), 0.05 + slack(n)),
            n,
        ),
        Check::new(
            "any q <= .05 over layers and pairs under the global null",
            found.rate(3),
            (0.0, 0.05 + slack(n)),
            n,
        ),
    ]
}

/// A direction drawn like the layer varies, against random directions of the layer.
pub fn directions(size: Size) -> Vec<Check> {
    let found = Found::new(size.null, |repeat| {
        // Concept 1 is real; concept 0 is a random direction, every pair the same.
        let plant =
            |neutral: usize| Plant { neutral, ..Plant::pair((24, 24), (0.9, 0.9), 0.0, repeat) };
        let options = CouplingOptions {
            draws: 20,
            flips: 20,
            random: size.draws,
            seed: repeat,
            ..CouplingOptions::for_pair(0, 1)
        };
        let p = |direction: &Array1<f32>, neutral: usize| {
            let mut data = plant(neutral).data();
            for mut row in data.differences[0][0].lanes_mut(ndarray::Axis(2)) {
                row.assign(direction);
            }
            let got = coupling(data.input(), &options).ok()?;
            Some(got.p_random[[0, 0, 1, 0]])
        };
        let background = plant(100).data().background.remove(0);
        let covariance = ledoit_wolf(background.index_axis(ndarray::Axis(1), 0)).ok()?;
        let coefficients = mixtures(1, 100, repeat, "calibrate/direction");
        let drawn = covariance.mixed(&coefficients).row(0).to_owned();
        let layer = noise(1, repeat, "calibrate/true direction").row(0).to_owned();
        Some([p(&drawn, 100)?, p(&layer, 100)?, p(&layer, 24)?])
    });
    let n = found.len();
    vec![
        found.uniform("mixtures of the neutral texts", 0),
        Check::new(
            "directions of the true covariance, 100 neutral texts: p <= .05",
            found.rate(1),
            (0.05 - slack(n), 0.05 + slack(n)),
            n,
        ),
        Check::new(
            "directions of the true covariance, 24 neutral texts: p <= .05",
            found.rate(2),
            (0.05 - slack(n), 0.05 + slack(n)),
            n,
        ),
    ]
}

/// Two states that differ by nothing but noise: contrasts, shifts, regions.
pub fn states(size: Size) -> Vec<Check> {
    let found = Found::new(size.null, |repeat| {
        let plant = Plant { states: 2, ..Plant::pair((48, 48), (0.84, 0.8), 0.3, repeat) };
        let data = plant.data();
        let options = CouplingOptions {
            draws: size.draws,
            flips: 20,
            random: 20,
            seed: repeat,
            ..CouplingOptions::for_pair(0, 1)
        };
        let got = coupling(data.input(), &options).ok()?;
        let value = got.raw.value.slice(ndarray::s![.., 0, 1, ..]).to_owned();
        let sets = (&[1usize][..], &[0usize][..]);
        let draws = got.pairs[0].draws.raw.view();
        let change = contrast(value.view(), draws, sets, Over::Prompts, 0.95, repeat).ok()?;

        let direction = |i: u64| -> Array2<f64> {
            noise(1, repeat, &format!("calibrate/axis {i}")).mapv(f64::from)
        };
        let axes: Vec<Array2<f64>> = (0..10).map(direction).collect();
        let views: Vec<ArrayView2<f64>> = axes.iter().map(|a| a.view()).collect();
        let clusters: Vec<usize> = (0..24).collect();
        let shift = ShiftInput {
            tuned: data.background[1].view(),
            base: data.background[0].view(),
            clusters: &clusters,
        };
        let background = data.background[0].view();
        let random = RandomDirections::new(background, size.draws, repeat).ok()?;
        let strata = [0; 48];
        // The second axis is of pairs whose sides do not differ.
        let blank = Plant::pair((48, 48), (0.0, 0.0), 0.0, repeat).data();
        let sources = [&data, &blank].map(|d| Source {
            differences: d.differences[0][1].view(),
            clusters: &d.clusters[1],
            strata: &strata,
            beyond: None,
        });
        let means = [0, 1].map(|c| population(&sources[c]).map(|p| p.mean));
        let [Ok(first), Ok(second)] = means else { return None };
        let axes = &[first.view(), second.view()];
        let ruler = Ruler { axes, sources: &sources, placebos: &views, random: &random };
        let draws = size.draws;
        let options = Resampling { draws, level: 0.95, seed: repeat };
        let moved = every_projection(&shift, &ruler, options).ok()?;
        let null = moved.placebo.row(0).to_vec();
        let placebo = p_value(moved.on[0][0].cosine.value, &null, Tail::TwoSided);

        let layer = |s: usize| data.background[s].index_axis(ndarray::Axis(1), 0).to_owned();
        let (base, tuned): (Array2<f32>, Array2<f32>) = (layer(0), layer(1));
        let both = [base.view(), tuned.view()];
        let clouds = Clouds { states: &both, clusters: &clusters };
        let options = Resampling { draws: 99, level: 0.95, seed: repeat };
        let near = silhouette(&clouds, options).ok()?;
        let far = mahalanobis(&clouds, 0, options).ok()?;
        Some([
            change.p[0],
            moved.p_flip[[0, 0]],
            moved.p_permuted[[0, 1]],
            spread(placebo, 10, repeat, 1),
            spread(near.p, 99, repeat, 2),
            spread(far[0].p, 99, repeat, 3),
        ])
    });
    let n = found.len();
    vec![
        Check::new(
            "dK (plain) of two states alike: p <= .05",
            found.rate(0),
            (0.05 - slack(n), 0.05 + slack(n)),
            n,
        ),
        found.uniform("shift: signs of texts flipped", 1),
        found.uniform("shift: labels of pairs permuted, sides that do not differ", 2),
        found.uniform("shift: placebo concepts", 3),
        found.uniform("silhouette: names permuted within texts", 4),
        found.uniform("Mahalanobis: labels swapped within texts", 5),
    ]
}

/// Areas, subspaces and rank-1 shares.
pub fn others(size: Size) -> Vec<Check> {
    let found = Found::new(size.null, |repeat| {
        let x = noise(96, repeat, "calibrate/area");
        let clusters: Vec<usize> = (0..48).collect();
        let side =
            |from: usize| -> Vec<f64> { (from..from + 48).map(|i| f64::from(x[[i, 0]])).collect() };
        let area =
            paired_area(&side(0), &side(48), &clusters, 0.95, size.draws, repeat, "calibrate");

        let texts: Array3<f32> = noise(60, repeat, "calibrate/texts").insert_axis(ndarray::Axis(1));
        let covariance = ledoit_wolf(texts.index_axis(ndarray::Axis(1), 0)).ok()?;
        let one = covariance.mixed(&mixtures(1, 60, repeat, "calibrate/first"));
        let first = one.select(ndarray::Axis(0), &[0; 4]);
        let second = noise(24, repeat, "calibrate/second");
        let (a, b): (Vec<usize>, Vec<usize>) = ((0..4).collect(), (0..24).collect());
        let options = Resampling { draws: 199, level: 0.95, seed: repeat };
        let curve = subspace_curve(
            Differences { rows: first.view(), clusters: &a },
            Differences { rows: second.view(), clusters: &b },
            &covariance,
            1,
            options,
        )
        .ok()?;

        let shifts = noise(20, repeat, "calibrate/shifts");
        let shifts = shifts.slice(ndarray::s![.., 100..106]).mapv(f64::from);
        let one = one_factor(shifts.t(), 199, repeat).ok()?;
        Some([area.ok()?.p, spread(curve[0].p, 199, repeat, 4), spread(one.p, 199, repeat, 5)])
    });
    vec![
        found.uniform("AUROC: labels swapped within prompts", 0),
        found.uniform("subspace overlap: random subspaces", 1),
        Check::new(
            "one factor: independent conditions rejected at .05".to_string(),
            found.rate(2),
            (0.0, 0.05 + slack(found.len())),
            found.len(),
        ),
    ]
}
