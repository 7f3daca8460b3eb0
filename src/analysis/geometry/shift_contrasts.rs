//! Shifts of conditions against one another, along base's directions of the coupled concepts.
//!
//! The texts of a condition are the mean over its fine-tunes. Its shift is taken less that of base, of
//! the reference and of the recipe-matched neutral condition; over texts and pairs with the fine-tunes
//! as they are, and over fine-tunes by how those of one recipe differ along the same direction
//! ([`mod@crate::stats::contrast`]).

use super::shifts::{over_the_table, Along, InBase};
use super::{Asked, LEVEL};
use crate::analysis::records::*;
use crate::analysis::state::{by_condition, BASE};
use crate::analysis::{over_fine_tunes, FineTunes, Result};
use crate::geometry::population::Source;
use crate::geometry::projections::{every_projection, Ruler};
use crate::geometry::shift::{mean_of_others, mean_shift, ShiftInput};
use ndarray::{Array3, ArrayView2, ArrayView3};

/// Every condition but base against base, the reference and the neutral condition, at every position.
pub(super) fn shift_contrasts(asked: &Asked, base: &InBase) -> Result<Vec<ShiftContrastRow>> {
    let (readings, kinship) = (asked.readings, asked.kinship);
    let sets = FineTunes::of(&readings.states, by_condition(&readings.states));
    let named = [Some(BASE), kinship.reference.as_deref(), kinship.neutral.as_deref()];
    let references = distinct(named.into_iter().flatten());
    let clusters = asked.texts();
    let axes: Vec<ArrayView2<f64>> = base.along.iter().map(|a| a.direction.mean.view()).collect();
    let sources: Vec<Source> = base.along.iter().map(|a| a.source(asked, 0)).collect();
    let placebos = base.placebos();
    let (mut rows, mut observed, mut largest) = (Vec::new(), Vec::new(), Vec::new());
    for (at, position) in readings.positions.iter().enumerate() {
        let texts: Vec<ArrayView3<f32>> =
            (readings.acts.iter()).map(|a| a.neutral[at].view()).collect();
        let random = &base.random[at];
        let ruler = Ruler { axes: &axes, sources: &sources, placebos: &placebos, random };
        let along = fine_tunes(asked, &base.along, &texts)?;
        for set in sets.iter().filter(|s| s.set != BASE) {
            for &name in references.iter().filter(|r| **r != set.set) {
                let Some(reference) = sets.iter().find(|s| s.set == name) else {
                    continue;
                };
                let mean = |s: &FineTunes| mean_of_others(&texts, std::slice::from_ref(&s.states));
                let (tuned, from) = (mean(set)?, mean(reference)?);
                let input =
                    ShiftInput { tuned: tuned.view(), base: from.view(), clusters: &clusters };
                let found = every_projection(&input, &ruler, asked.shift_options())?;
                for (axis, direction) in base.along.iter().enumerate() {
                    rows.extend(asked.layers().map(|l| {
                        let crossed = found.crossed[l][axis];
                        let found_along = (crossed.value, crossed.interval.width() / 2.0);
                        let sides = [(set, 1.0), (reference, 1.0)];
                        let each = |m: usize| along[[m, axis, l]];
                        let c = over_fine_tunes(found_along, &sides, &sets, each, LEVEL);
                        let (rms, cell) = (readings.rms[l], [l, axis]);
                        let permuted = found.permuted[l][axis];
                        ShiftContrastRow {
                            set: set.set.into(),
                            reference: name.into(),
                            position: position.to_string(),
                            concept: asked.concept(direction.concept),
                            beyond: direction.beyond(asked),
                            layer: asked.layer(l),
                            estimate: c.value / rms,
                            lo: c.interval.lo / rms,
                            hi: c.interval.hi / rms,
                            within_lo: c.within.lo / rms,
                            within_hi: c.within.hi / rms,
                            cosine: found.on[l][axis].cosine.value,
                            p: found.p_flip[cell],
                            p_max: found.p_flip_max[cell],
                            p_fine_tunes: c.p_fine_tunes,
                            permuted_lo: permuted.lo,
                            permuted_hi: permuted.hi,
                            p_permuted: found.p_permuted[cell],
                            p_permuted_max: f64::NAN,
                            df: c.df,
                            fine_tunes: set.count(),
                            reference_fine_tunes: reference.count(),
                            n: found.n,
                        }
                    }));
                    observed.extend(found.standard.column(axis));
                }
                largest.push(found.largest_permuted);
            }
        }
    }
    for (row, p) in rows.iter_mut().zip(over_the_table(&observed, &largest)) {
        row.p_permuted_max = p;
    }
    Ok(rows)
}

/// Every state's shift from base along base's population directions, `(state, axis, layer)`, in
/// activation units.
pub(super) fn fine_tunes(
    asked: &Asked,
    axes: &[Along],
    texts: &[ArrayView3<f32>],
) -> Result<Array3<f64>> {
    let clusters = asked.texts();
    let layers = asked.layers().len();
    let mut along = Array3::zeros((texts.len(), axes.len(), layers));
    for m in asked.states() {
        let input = ShiftInput {
            tuned: texts[m].reborrow(),
            base: texts[0].reborrow(),
            clusters: &clusters,
        };
        let shift = mean_shift(&input)?; // (layers, d)
        for (axis, a) in axes.iter().enumerate() {
            for l in asked.layers() {
                let on = shift.row(l).dot(&a.direction.mean.row(l));
                along[[m, axis, l]] = on / a.direction.noiseless[l].sqrt();
            }
        }
    }
    Ok(along)
}
