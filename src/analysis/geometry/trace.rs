//! The trace of a fine-tune on text unrelated to its training, by position.
//!
//! The neutral texts' mean shift from base along base's directions, at single places of the exchange: a
//! narrow fine-tune leaves a mark there that mixing in other rows removes (Minder et al. 2025,
//! arXiv 2510.13900). The texts are read state by state, since positions are many.

use super::shifts::{directions, over_the_table, Along};
use super::{Asked, GeometryOptions};
use crate::analysis::records::*;
use crate::analysis::verdict::least_of_draws;
use crate::analysis::{AnalysisError, Readings};
use crate::capture::Position;
use crate::geometry::population::Source;
use crate::geometry::projections::{every_projection, Ruler};
use crate::geometry::random_directions::RandomDirections;
use crate::geometry::shift::ShiftInput;
use ndarray::{Array3, ArrayView2};

/// Shifts of every state but base at `positions`, of which `read` gives a state's neutral texts, one
/// `(texts, layers, d)` a position.
///
/// # Errors
/// As [`super::geometry`], and what `read` does.
pub fn trace<E: From<AnalysisError>>(
    readings: &Readings,
    options: &GeometryOptions,
    positions: &[Position],
    mut read: impl FnMut(usize) -> Result<Vec<Array3<f32>>, E>,
) -> Result<Vec<TraceRow>, E> {
    let asked = Asked::new(readings, options)?;
    let along = directions(&asked, 0)?.into_iter().filter(Along::is_plain);
    let along: Vec<_> = along.collect();
    let axes: Vec<ArrayView2<f64>> = along.iter().map(|a| a.direction.mean.view()).collect();
    let sources: Vec<Source> = along.iter().map(|a| a.source(&asked, 0)).collect();
    let base = read(0)?;
    let (draws, seed) = (asked.options.random, asked.options.seed);
    let random = base.iter().map(|t| RandomDirections::new(t.view(), draws, seed));
    let random: Vec<RandomDirections> =
        random.collect::<Result<_, _>>().map_err(AnalysisError::from)?;
    let (mut rows, mut observed, mut largest) = (Vec::new(), Vec::new(), Vec::new());
    for m in asked.tuned() {
        let texts = read(m)?;
        for (at, position) in positions.iter().enumerate() {
            let clusters: Vec<usize> = (0..base[at].dim().0).collect();
            let (tuned, from) = (texts[at].view(), base[at].view());
            let input = ShiftInput { tuned, base: from, clusters: &clusters };
            let random = &random[at];
            let ruler = Ruler { axes: &axes, sources: &sources, placebos: &[], random };
            let found = every_projection(&input, &ruler, asked.shift_options());
            let found = found.map_err(AnalysisError::from)?;
            for (axis, direction) in along.iter().enumerate() {
                rows.extend(asked.layers().map(|l| {
                    let (rms, cell) = (readings.rms[l], [l, axis]);
                    let (crossed, permuted) = (found.crossed[l][axis], found.permuted[l][axis]);
                    TraceRow {
                        state: asked.state(m),
                        position: position.to_string(),
                        concept: asked.concept(direction.concept),
                        layer: asked.layer(l),
                        estimate: crossed.value / rms,
                        lo: crossed.interval.lo / rms,
                        hi: crossed.interval.hi / rms,
                        cosine: found.on[l][axis].cosine.value,
                        p_flip: found.p_flip[cell],
                        permuted_lo: permuted.lo,
                        permuted_hi: permuted.hi,
                        p_permuted: found.p_permuted[cell],
                        p_permuted_max: f64::NAN,
                        least_p: least_of_draws(found.largest_permuted.len()),
                        null_lo: found.random[l].lo,
                        null_hi: found.random[l].hi,
                        p_random: found.p_random[cell],
                        n: found.n,
                    }
                }));
                observed.extend(found.standard.column(axis));
            }
            largest.push(found.largest_permuted);
        }
    }
    for (row, p) in rows.iter_mut().zip(over_the_table(&observed, &largest)) {
        row.p_permuted_max = p;
    }
    Ok(rows)
}
