//! What is measured beside the coupling: changes, shifts, stability, transfer, subspaces, regions.
//!
//! Changes, shifts, stability and alignment are given for every layer; transfers, subspaces and
//! regions, which cost more, for the layers that are shown.

use super::readings::Readings;
use crate::geometry::projections::{every_projection, mean_of_others, Projections, Ruler};
use crate::geometry::regions::{mahalanobis, silhouette, Clouds, RegionOptions};
use crate::geometry::shift::{ShiftInput, ShiftOptions};
use crate::geometry::stability::{direction_stability, linear_cka};
use crate::geometry::subspace_curve::{subspace_curve, CurveOptions, Differences};
use crate::geometry::transfer::transfer_auroc;
use crate::geometry::{contrast, Contrast, Coupling, CouplingOptions, Form, Over};
use crate::geometry_tables::{self as tables, Rows};
use crate::stats::shrinkage::ledoit_wolf;
use anyhow::Result;
use ndarray::{s, Array2, Array3, ArrayView2, ArrayView3, Axis};

/// Rows of every table.
pub struct Findings {
    pub changes: Rows,
    pub projections: Rows,
    pub stability: Rows,
    pub alignment: Rows,
    pub transfer: Rows,
    pub overlap: Rows,
    pub regions: Rows,
    pub null_states: Rows,
}

/// Everything but the null states.
pub fn of(
    coupling: &Coupling,
    readings: &Readings,
    concepts: &[String],
    layers: &[usize],
    shown: &[usize],
    options: &CouplingOptions,
) -> Result<Findings> {
    let at: Vec<usize> = (0..layers.len())
        .filter(|&l| shown.contains(&layers[l]))
        .collect();
    let texts = readings.neutral[0].dim().0;
    let regions = match readings.states.len() {
        1 => tables::regions(&[], &[], texts),
        _ => regions(readings, layers, &at, options)?,
    };
    Ok(Findings {
        changes: changes(coupling, readings, layers, options)?,
        projections: projections(readings, layers, options)?,
        stability: stability(readings, concepts, layers, options)?,
        alignment: alignment(readings, layers, texts)?,
        transfer: transfer(readings, concepts, layers, &at, options)?,
        overlap: overlap(readings, layers, &at, options)?,
        regions,
        null_states: tables::against(&[], layers),
    })
}

fn changes(
    c: &Coupling,
    readings: &Readings,
    layers: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let draws = &c.pair_draws;
    let of = |form: &Form, relative: bool| -> Array2<f64> {
        let whole = if relative {
            &form.relative
        } else {
            &form.value
        };
        whole.slice(s![.., 0, 1, ..]).to_owned() // (state, layer)
    };
    let forms: [(&str, Array2<f64>, &Array3<f32>); 4] = [
        ("relative", of(&c.raw, true), &draws.relative),
        ("plain", of(&c.raw, false), &draws.raw),
        ("cleaned", of(&c.cleaned, false), &draws.cleaned),
        ("whitened", of(&c.whitened, false), &draws.whitened),
    ];
    let mut found: Vec<(&str, &str, &str, Contrast)> = Vec::new();
    for (m, name) in readings.states.iter().enumerate().skip(1) {
        for (form, value, draws) in &forms {
            let change = contrast(
                value.view(),
                draws.view(),
                (&[m], &[0]),
                Over::Prompts,
                options.level,
                options.seed,
            )?;
            found.push((name, &readings.states[0], form, change));
        }
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, f.1, f.2, &f.3)).collect();
    Ok(tables::changes(&views, layers))
}

fn projections(readings: &Readings, layers: &[usize], options: &CouplingOptions) -> Result<Rows> {
    let clusters: Vec<usize> = (0..readings.neutral[0].dim().0).collect();
    let placebos: Vec<Array2<f64>> = (options.placebos.iter())
        .map(|&c| readings.direction(0, c))
        .collect();
    let (persona, autonomy) = (readings.direction(0, 0), readings.direction(0, 1));
    let states: Vec<ArrayView3<f32>> = readings.neutral.iter().map(|n| n.view()).collect();
    let tuned: Vec<usize> = (1..states.len()).collect();
    let mut found: Vec<(&str, &str, Projections)> = Vec::new();
    for &m in &tuned {
        let own = (readings.direction(m, 0), readings.direction(m, 1));
        let views: Vec<ArrayView2<f64>> = placebos.iter().map(|p| p.view()).collect();
        let ruler = Ruler {
            persona_base: persona.view(),
            autonomy_base: autonomy.view(),
            persona_own: own.0.view(),
            autonomy_own: own.1.view(),
            placebos: &views,
            background: readings.neutral[0].view(),
        };
        let others = match tuned.len() {
            1 => None,
            _ => Some(mean_of_others(&states, &tuned, m)?),
        };
        let bases = std::iter::once(("whole", &readings.neutral[0]))
            .chain(others.iter().map(|o| ("unshared", o)));
        for (part, base) in bases {
            let input = ShiftInput {
                tuned: readings.neutral[m].view(),
                base: base.view(),
                clusters: &clusters,
            };
            let shift = ShiftOptions {
                draws: options.draws,
                level: options.level,
                seed: options.seed,
            };
            let moved = every_projection(&input, &ruler, shift)?;
            found.push((&readings.states[m], part, moved));
        }
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, f.1, &f.2)).collect();
    Ok(tables::projections(&views, layers))
}

fn stability(
    readings: &Readings,
    concepts: &[String],
    layers: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let mut found = Vec::new();
    for (m, state) in readings.states.iter().enumerate().skip(1) {
        for (c, concept) in concepts.iter().enumerate() {
            let by_layer = direction_stability(
                readings.differences[0][c].view(),
                readings.differences[m][c].view(),
                &readings.clusters[c],
                options.level,
            )?;
            found.push((state.as_str(), concept.as_str(), by_layer));
        }
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, f.1, f.2.as_slice())).collect();
    Ok(tables::stability(&views, layers))
}

fn alignment(readings: &Readings, layers: &[usize], texts: usize) -> Result<Rows> {
    let mut found = Vec::new();
    for (m, state) in readings.states.iter().enumerate().skip(1) {
        let by_layer = linear_cka(readings.neutral[0].view(), readings.neutral[m].view())?;
        found.push((state.as_str(), by_layer));
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, f.1.as_slice())).collect();
    Ok(tables::alignment(&views, layers, texts))
}

fn transfer(
    readings: &Readings,
    concepts: &[String],
    layers: &[usize],
    at: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let mut found = Vec::new();
    for (m, state) in readings.states.iter().enumerate() {
        for (from, to) in [(0, 1), (1, 0)] {
            let direction = readings.direction(m, from);
            let pairs = &readings.concepts[m][to];
            for &l in at {
                let row = direction.row(l);
                let unit = row.mapv(|v| (v / row.dot(&row).sqrt()) as f32);
                let area = transfer_auroc(
                    unit.view(),
                    pairs.positive.index_axis(Axis(1), l),
                    pairs.negative.index_axis(Axis(1), l),
                    &readings.clusters[to],
                    options.flips,
                    options.level,
                    options.seed,
                )?;
                let (from, to) = (concepts[from].as_str(), concepts[to].as_str());
                found.push((state.as_str(), from, to, layers[l], area));
            }
        }
    }
    Ok(tables::transfer(&found))
}

fn overlap(
    readings: &Readings,
    layers: &[usize],
    at: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let mut found = Vec::new();
    for (m, state) in readings.states.iter().enumerate() {
        for &l in at {
            let background = readings.neutral[m].index_axis(Axis(1), l);
            let side = |c: usize| Differences {
                rows: readings.differences[m][c].index_axis(Axis(1), l),
                clusters: &readings.clusters[c],
            };
            let curve = subspace_curve(
                side(0),
                side(1),
                &ledoit_wolf(background)?,
                CurveOptions {
                    level: options.level,
                    seed: options.seed,
                    ..CurveOptions::default()
                },
            )?;
            found.push((state.as_str(), layers[l], curve));
        }
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, f.1, f.2.as_slice())).collect();
    Ok(tables::overlap(&views))
}

fn regions(
    readings: &Readings,
    layers: &[usize],
    at: &[usize],
    options: &CouplingOptions,
) -> Result<Rows> {
    let texts = readings.neutral[0].dim().0;
    let clusters: Vec<usize> = (0..texts).collect();
    let mut found = Vec::new();
    for &l in at {
        let states: Vec<ArrayView2<f32>> = (readings.neutral.iter())
            .map(|n| n.index_axis(Axis(1), l))
            .collect();
        let clouds = Clouds {
            states: &states,
            clusters: &clusters,
        };
        let region = RegionOptions {
            level: options.level,
            seed: options.seed,
            ..RegionOptions::default()
        };
        let (apart, far) = (
            silhouette(&clouds, region)?,
            mahalanobis(&clouds, 0, region)?,
        );
        found.push((layers[l], apart, far));
    }
    let views: Vec<_> = found.iter().map(|f| (f.0, &f.1, f.2.as_slice())).collect();
    Ok(tables::regions(&readings.states, &views, texts))
}
