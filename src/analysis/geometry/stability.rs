//! Whether directions and spaces stay what they were in base.

use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::Result;
use crate::geometry::stability::{direction_stability, linear_cka};

/// Cosine of every concept's direction with base's.
pub(super) fn stability(asked: &Asked) -> Result<Vec<StabilityRow>> {
    let mut rows = Vec::new();
    for m in asked.tuned() {
        for (c, clusters) in asked.clusters.iter().enumerate() {
            let (base, tuned) = (&asked.differences[0][c], &asked.differences[m][c]);
            let found = direction_stability(base.view(), tuned.view(), clusters, LEVEL)?;
            rows.extend(found.iter().enumerate().map(|(l, s)| StabilityRow {
                state: asked.state(m),
                concept: asked.concept(c),
                layer: asked.layer(l),
                estimate: s.cosine,
                lo: s.interval.lo,
                hi: s.interval.hi,
                noiseless: s.noiseless,
                noiseless_lo: s.noiseless_interval.lo,
                noiseless_hi: s.noiseless_interval.hi,
                n: s.n,
            }));
        }
    }
    Ok(rows)
}

/// Alignment of the neutral texts' activations with base's.
pub(super) fn alignment(asked: &Asked) -> Result<Vec<AlignmentRow>> {
    let neutral = |s: usize| asked.readings.acts[s].neutral[0].view();
    let mut rows = Vec::new();
    for m in asked.tuned() {
        let found = linear_cka(neutral(0), neutral(m))?;
        rows.extend(found.iter().enumerate().map(|(l, c)| AlignmentRow {
            state: asked.state(m),
            layer: asked.layer(l),
            estimate: c.debiased,
            lo: c.interval.lo,
            hi: c.interval.hi,
            biased: c.biased,
            n: asked.readings.texts(),
        }));
    }
    Ok(rows)
}
