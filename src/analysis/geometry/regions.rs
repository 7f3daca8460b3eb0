//! States as clouds of the same texts: how far apart, and with one mode or two along a concept.

use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::Result;
use crate::geometry::regions::{along, mahalanobis, silhouette, Clouds};
use crate::stats::mixture::bimodality;
use crate::stats::Resampling;
use ndarray::{ArrayView2, Axis};

/// Activations of the neutral texts in every state at a layer.
fn clouds<'a>(asked: &'a Asked, l: usize) -> Vec<ArrayView2<'a, f32>> {
    (asked.readings.acts.iter()).map(|a| a.neutral[0].index_axis(Axis(1), l)).collect()
}

/// The states as regions of activation space; none with base alone.
pub(super) fn regions(asked: &Asked) -> Result<Vec<RegionRow>> {
    let mut rows = Vec::new();
    if asked.tuned().is_empty() {
        return Ok(rows);
    }
    let clusters = asked.texts();
    let options = Resampling { draws: 500, level: LEVEL, seed: asked.options.seed };
    for &l in &asked.at {
        let states = clouds(asked, l);
        let clouds = Clouds { states: &states, clusters: &clusters };
        let all = silhouette(&clouds, options)?;
        let far = mahalanobis(&clouds, 0, options)?;
        for s in asked.states() {
            let far = far.iter().find(|d| d.state == s);
            let of = |pick: fn(&crate::geometry::regions::Mahalanobis) -> f64| {
                far.map_or(f64::NAN, pick)
            };
            rows.push(RegionRow {
                state: asked.state(s),
                layer: asked.layer(l),
                estimate: of(|d| d.squared.value),
                lo: of(|d| d.squared.interval.lo),
                hi: of(|d| d.squared.interval.hi),
                p: of(|d| d.p),
                distance: of(|d| d.distance),
                silhouette: all.by_state[s],
                silhouette_all: all.mean.value,
                silhouette_lo: all.mean.interval.lo,
                silhouette_hi: all.mean.interval.hi,
                p_silhouette: all.p,
                n: clusters.len(),
            });
        }
    }
    Ok(rows)
}

/// One mode or two along base's direction of every coupled concept, base's texts and a state's
/// together.
pub(super) fn modes(asked: &Asked) -> Result<Vec<ModeRow>> {
    let mut rows = Vec::new();
    for &concept in &asked.coupled {
        let direction = asked.readings.acts[0].concepts[concept].direction(); // (layers, d)
        for &l in &asked.at {
            let states = clouds(asked, l);
            for m in asked.tuned() {
                let mut both = along(states[0], direction.row(l));
                both.extend(along(states[m], direction.row(l)));
                let found = bimodality(&both)?;
                rows.push(ModeRow {
                    state: asked.state(m),
                    concept: asked.concept(concept),
                    layer: asked.layer(l),
                    estimate: found.evidence,
                    bic_one: found.bic_one,
                    bic_two: found.bic_two,
                    distance: found.distance,
                    smaller: found.smaller,
                    n: found.n,
                });
            }
        }
    }
    Ok(rows)
}
