//! Coverage of the other intervals: areas, shifts, stability, persistence.

use crate::check::{Check, Size};
use crate::plant::{spectrum, Plant, WIDTH};
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use residuum::geometry::population::{population, Source};
use residuum::geometry::projections::{every_projection, Ruler};
use residuum::geometry::random_directions::RandomDirections;
use residuum::geometry::shift::{project, ShiftInput};
use residuum::geometry::stability::direction_stability;
use residuum::stats::area::paired_area;
use residuum::stats::autoregression::{persistence, Centre};
use residuum::stats::bootstrap::bootstrap_mean;
use residuum::stats::interval::fisher;
use residuum::stats::rank::pearson;
use residuum::stats::rng::{fill_normal, stream};
use residuum::stats::Resampling;
use statrs::distribution::{ContinuousCDF, Normal};

/// Share of planted data sets whose interval holds what was planted.
pub fn coverage(what: &str, size: Size, holds: impl Fn(u64) -> Option<bool> + Sync) -> Check {
    let seen: Vec<bool> = (0..size.coverage as u64).into_par_iter().filter_map(&holds).collect();
    let n = seen.len();
    let share = seen.iter().filter(|s| **s).count() as f64 / n as f64;
    Check::new(format!("{what}: 95 % interval holds it"), share, size.bounds, n)
}

pub fn normal(n: usize, repeat: u64, purpose: &str) -> Vec<f64> {
    let mut out = vec![0f32; n];
    fill_normal(&mut stream(repeat, purpose, 0), &mut out);
    out.into_iter().map(f64::from).collect()
}

pub fn rows(n: usize, repeat: u64, purpose: &str) -> Array3<f32> {
    let mut x = Array2::zeros((n, WIDTH));
    fill_normal(&mut stream(repeat, purpose, 0), x.as_slice_mut().unwrap_or_default());
    for (mut column, s) in x.columns_mut().into_iter().zip(spectrum(false)) {
        column *= s;
    }
    x.insert_axis(Axis(1)) // (n, 1, d)
}

/// A shift of `by` along the true direction of a concept, which is known from 48 pairs.
fn crossed(n: usize, reliability: f64, by: f32, size: Size, repeat: u64) -> Option<bool> {
    let plant = Plant::pair((48, 48), (reliability, reliability), 0.3, repeat);
    let (data, truth) = (plant.data(), plant.truth(&spectrum(false)));
    let base = rows(n, repeat, "calibrate/base");
    let mut tuned = &base + &(rows(n, repeat, "calibrate/tuned") * 0.3);
    for mut text in tuned.outer_iter_mut() {
        text.row_mut(0).scaled_add(by, &truth.row(0));
    }
    let (texts, prompts): (Vec<usize>, Vec<usize>) = ((0..n).collect(), (0..48).collect());
    let differences = data.differences[0][0].view();
    let source = Source { differences, clusters: &prompts, strata: &[0; 48], beyond: None };
    let axis = population(&source).ok()?.mean;
    let ruler = Ruler {
        axes: &[axis.view()],
        sources: &[source],
        placebos: &[],
        random: &RandomDirections::new(base.view(), 9, repeat).ok()?,
    };
    let input = ShiftInput { tuned: tuned.view(), base: base.view(), clusters: &texts };
    let options = Resampling { draws: size.draws, level: 0.95, seed: repeat };
    let found = every_projection(&input, &ruler, options).ok()?;
    Some(found.crossed[0][0].interval.contains(f64::from(by)))
}

pub fn all(size: Size) -> Vec<Check> {
    let mut out = Vec::new();
    for (n, area) in [(24, 0.7), (48, 0.7), (48, 0.9), (120, 0.95)] {
        let apart = 2f64.sqrt() * Normal::standard().inverse_cdf(area);
        let clusters: Vec<usize> = (0..n).collect();
        out.push(coverage(&format!("AUROC {area}, {n} pairs"), size, |repeat| {
            let negative = normal(n, repeat, "calibrate/negative");
            let positive: Vec<f64> =
                normal(n, repeat, "calibrate/positive").iter().map(|v| v + apart).collect();
            let got = paired_area(&positive, &negative, &clusters, 0.95, 0, 0, "").ok()?;
            Some(got.interval.contains(area))
        }));
    }
    for n in [24, 100] {
        let clusters: Vec<usize> = (0..n).collect();
        out.push(coverage(&format!("mean of {n} prompts"), size, |repeat| {
            let values = normal(n, repeat, "calibrate/mean");
            let got =
                bootstrap_mean(&values, &clusters, size.draws, 0.95, repeat, "calibrate").ok()?;
            Some(got.interval.contains(0.0))
        }));
        out.push(coverage(&format!("projection of a shift, {n} texts"), size, |repeat| {
            let base = rows(n, repeat, "calibrate/base");
            let mut tuned = &base + &(rows(n, repeat, "calibrate/tuned") * 0.3);
            tuned.index_axis_mut(Axis(2), 3).mapv_inplace(|v| v + 0.05);
            let mut axis = Array2::zeros((1, WIDTH));
            axis[[0, 3]] = 2.0;
            let input = ShiftInput { tuned: tuned.view(), base: base.view(), clusters: &clusters };
            let options = Resampling { draws: size.draws, level: 0.95, seed: repeat };
            let got = project(&input, &[axis.view()], options).ok()?;
            Some(got[0][0].raw.interval.contains(0.05))
        }));
    }
    for (n, r) in [(5, 0.0), (5, 0.6), (12, 0.6)] {
        out.push(coverage(&format!("correlation {r} over {n} conditions"), size, |repeat| {
            let x = normal(n, repeat, "calibrate/predictor");
            let noise = normal(n, repeat, "calibrate/behaviour");
            let y: Vec<f64> =
                x.iter().zip(&noise).map(|(x, e)| r * x + (1.0 - r * r).sqrt() * e).collect();
            Some(fisher(pearson(&x, &y), n, 0.95).contains(r))
        }));
    }
    for (texts, reliability) in [(24, 0.7), (24, 0.8), (100, 0.8)] {
        for by in [0.0, 0.3] {
            let what = format!(
                "shift of {by} along a population direction, {texts} texts, 48 pairs, reliability {reliability}"
            );
            out.push(coverage(&what, size, |repeat| crossed(texts, reliability, by, size, repeat)));
        }
    }
    let clusters: Vec<usize> = (0..48).collect();
    out.push(coverage("stability of a direction, 48 pairs, cosine .7", size, |repeat| {
        let shared = rows(48, repeat, "calibrate/shared");
        let mut base = shared.clone();
        let mut tuned = shared * 0.9 + rows(48, repeat, "calibrate/own") * 0.436;
        // Two dimensions of middling noise carry the signal.
        base.index_axis_mut(Axis(2), 2).mapv_inplace(|v| v + 0.3);
        tuned.index_axis_mut(Axis(2), 2).mapv_inplace(|v| v + 0.3 * 0.7);
        tuned.index_axis_mut(Axis(2), 5).mapv_inplace(|v| v + 0.3 * 0.51f32.sqrt());
        let got = direction_stability(base.view(), tuned.view(), &clusters, 0.95).ok()?;
        Some(got[0].noiseless_interval.contains(0.7))
    }));
    out.push(coverage("persistence .6 over 8 turns, 24 conversations", size, |repeat| {
        let noise = normal(24 * 9, repeat, "calibrate/turns");
        let conversations: Vec<Vec<f64>> = noise
            .chunks(9)
            .map(|c| {
                let mut x = c[0] / (1.0 - 0.36f64).sqrt();
                (1..9)
                    .map(|t| {
                        if t > 1 {
                            x = 0.6 * x + c[t];
                        }
                        x
                    })
                    .collect()
            })
            .collect();
        let got = persistence(&conversations, Centre::Turn, 0.95).ok()?;
        Some(got.phi.interval.contains(0.6))
    }));
    out
}
