//! Null states: adapters with random weights for shifts, shuffled models for couplings.
//!
//! Each is read like any other state, on as little as its null needs: a random adapter on the
//! neutral texts, a shuffled model on the pair's prompts.

use super::readings::{self, Readings};
use super::MeasureArgs;
use crate::cli::Console;
use crate::geometry::nulls::{against, Against};
use crate::geometry::shift::{layer_rms, mean_shift, ShiftInput};
use crate::geometry::Coupling;
use crate::geometry_tables::{self as tables, Rows};
use crate::materials::Concept;
use crate::model::{Adapter, Model};
use crate::stats::linalg::cosine;
use anyhow::Result;
use ndarray::{s, Array2, Array3, Axis};

/// Rows of the table of null states; none unless they are asked for.
pub fn of(
    args: &MeasureArgs,
    model: &Model,
    concepts: &[Concept],
    layers: &[usize],
    readings: &Readings,
    coupling: &Coupling,
    out: &Console,
) -> Result<Rows> {
    let mut found: Vec<(String, &str, String, Against)> = Vec::new();
    if args.random_adapters > 0 {
        adapters(args, model, layers, readings, out, &mut found)?;
    }
    if args.shuffled > 0 {
        let mut null = Array2::zeros((args.shuffled as usize, layers.len()));
        for (i, mut row) in null.rows_mut().into_iter().enumerate() {
            let decoder = model.decoder.shuffled(args.seed, i as u64)?;
            let name = format!("shuffled {}", i + 1);
            let mut means = Vec::new();
            for concept in &concepts[..2] {
                let read =
                    readings::concept(&decoder, model, concept, args.at, layers, out, &name)?;
                means.push(mean(&read.differences()));
            }
            for (l, k) in row.iter_mut().enumerate() {
                *k = cosine(means[0].row(l), means[1].row(l));
            }
        }
        let observed = coupling.raw.value.slice(s![0, 0, 1, ..]).to_vec();
        let ranked = against(&observed, null.view(), 0.95)?;
        let pair = format!("cosine {} x {}", concepts[0].name, concepts[1].name);
        found.push((readings.states[0].clone(), "shuffled-weights", pair, ranked));
    }
    let views: Vec<_> = found
        .iter()
        .map(|f| (f.0.as_str(), f.1, f.2.as_str(), &f.3))
        .collect();
    Ok(tables::against(&views, layers))
}

/// Each adapter's shift along base's persona and autonomy among those of its random matches.
fn adapters(
    args: &MeasureArgs,
    model: &Model,
    layers: &[usize],
    readings: &Readings,
    out: &Console,
    found: &mut Vec<(String, &'static str, String, Against)>,
) -> Result<()> {
    let rms = layer_rms(readings.neutral[0].view());
    let axes = [readings.direction(0, 0), readings.direction(0, 1)];
    let profile = |tuned: &Array3<f32>, axis: &Array2<f64>| -> Result<Vec<f64>> {
        let clusters: Vec<usize> = (0..tuned.dim().0).collect();
        let shift = mean_shift(&ShiftInput {
            tuned: tuned.view(),
            base: readings.neutral[0].view(),
            clusters: &clusters,
        })?;
        let along = |l: usize| {
            let v = axis.row(l);
            shift.row(l).dot(&v) / v.dot(&v).sqrt() / rms[l]
        };
        Ok((0..rms.len()).map(along).collect())
    };
    for (m, named) in args.adapter.iter().enumerate() {
        let trained = Adapter::read(&named.folder, &model.decoder)?;
        let n = args.random_adapters as usize;
        let mut nulls = [0, 1].map(|_| Array2::<f64>::zeros((n, layers.len())));
        for i in 0..n {
            let random = trained.matched_random(args.seed, i as u64)?;
            let decoder = model.decoder.merged(&random)?;
            let name = format!("{} random {}", named.name, i + 1);
            let neutral = readings::neutral(&decoder, model, args.at, layers, out, &name)?;
            for (null, axis) in nulls.iter_mut().zip(&axes) {
                let values = profile(&neutral, axis)?;
                null.row_mut(i).assign(&ndarray::Array1::from(values));
            }
        }
        for ((null, axis), what) in nulls.iter().zip(&axes).zip(["persona", "autonomy"]) {
            let observed = profile(&readings.neutral[m + 1], axis)?;
            let ranked = against(&observed, null.view(), 0.95)?;
            let what = format!("shift along {what}-base, layer RMS");
            found.push((named.name.clone(), "random-adapter", what, ranked));
        }
    }
    Ok(())
}

/// Mean difference by layer, `(layers, d)`.
fn mean(differences: &Array3<f32>) -> Array2<f64> {
    let n = differences.dim().0.max(1) as f64;
    differences.mapv(f64::from).sum_axis(Axis(0)) / n
}
