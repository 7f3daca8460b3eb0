//! The couples' concepts in other ways: one's direction on the other's pairs, and their subspaces.

use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::Result;
use crate::geometry::subspace_curve::{subspace_curve, Differences};
use crate::geometry::transfer::transfer_auroc;
use crate::stats::shrinkage::ledoit_wolf;
use crate::stats::Resampling;
use ndarray::Axis;

/// Transfer of each concept of a couple to the other, both ways.
pub(super) fn transfer(asked: &Asked) -> Result<Vec<TransferRow>> {
    let mut rows = Vec::new();
    for s in asked.states() {
        for (from, to) in (asked.couples.iter()).flat_map(|&(a, b)| [(a, b), (b, a)]) {
            let acts = &asked.readings.acts[s];
            let direction = acts.concepts[from].direction(); // (layers, d)
            let pairs = &acts.concepts[to];
            for &l in &asked.at {
                let row = direction.row(l);
                let unit = row.mapv(|v| (v / row.dot(&row).sqrt()) as f32);
                let area = transfer_auroc(
                    unit.view(),
                    pairs.positive.index_axis(Axis(1), l),
                    pairs.negative.index_axis(Axis(1), l),
                    &asked.clusters[to],
                    asked.options.flips,
                    LEVEL,
                    asked.options.seed,
                )?;
                rows.push(TransferRow {
                    state: asked.state(s),
                    direction: asked.concept(from),
                    pairs: asked.concept(to),
                    layer: asked.layer(l),
                    estimate: area.value,
                    lo: area.interval.lo,
                    hi: area.interval.hi,
                    p: area.p,
                    n: area.n_clusters,
                });
            }
        }
    }
    Ok(rows)
}

/// Overlap of every couple's subspaces for growing k.
pub(super) fn overlap(asked: &Asked) -> Result<Vec<OverlapRow>> {
    let how = Resampling { draws: 500, level: LEVEL, seed: asked.options.seed };
    let mut rows = Vec::new();
    for s in asked.states() {
        for &l in &asked.at {
            let neutral = asked.readings.acts[s].neutral[0].index_axis(Axis(1), l);
            let covariance = ledoit_wolf(neutral)?;
            for &(a, b) in &asked.couples {
                let side = |c: usize| Differences {
                    rows: asked.differences[s][c].index_axis(Axis(1), l),
                    clusters: &asked.clusters[c],
                };
                let curve = subspace_curve(side(a), side(b), &covariance, 8, how)?;
                let angle = |a: Option<&f64>| a.copied().unwrap_or(f64::NAN);
                rows.extend(curve.iter().map(|at| OverlapRow {
                    state: asked.state(s),
                    concept_a: asked.concept(a),
                    concept_b: asked.concept(b),
                    layer: asked.layer(l),
                    k: at.k,
                    estimate: at.overlap.value,
                    lo: at.overlap.interval.lo,
                    hi: at.overlap.interval.hi,
                    chance: at.chance,
                    null_lo: at.null_lo,
                    null_hi: at.null_hi,
                    p: at.p,
                    smallest_angle: angle(at.angles.first()),
                    largest_angle: angle(at.angles.last()),
                }));
            }
        }
    }
    Ok(rows)
}
