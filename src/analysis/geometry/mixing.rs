//! Slopes of the shift of the neutral texts over the identity share of the training, along base's
//! directions, at the first position.

use super::shift_contrasts::fine_tunes;
use super::shifts::{directions, Along};
use super::{Asked, GeometryOptions, LEVEL};
use crate::analysis::mixing::Ladder;
use crate::analysis::records::MixingRow;
use crate::analysis::state::by_condition;
use crate::analysis::{over_fine_tunes, FineTunes, Readings, Result};
use crate::geometry::population::Source;
use crate::geometry::projections::{every_projection, Ruler};
use crate::geometry::random_directions::RandomDirections;
use crate::geometry::shift::ShiftInput;
use ndarray::{Array3, ArrayView2, ArrayView3};

/// Name of the outcome.
const SHIFT: &str = "shift";

/// The slopes of every ladder along every coupled concept at [`GeometryOptions::at`], in layer RMS.
///
/// # Errors
/// As [`super::geometry`].
pub fn mixing(
    readings: &Readings,
    options: &GeometryOptions,
    ladders: &[Ladder],
) -> Result<Vec<MixingRow>> {
    let mut rows = Vec::new();
    if ladders.is_empty() {
        return Ok(rows);
    }
    let asked = Asked::new(readings, options)?;
    let sets = FineTunes::of(&readings.states, by_condition(&readings.states));
    let along: Vec<_> = directions(&asked, 0)?.into_iter().filter(Along::is_plain).collect();
    let axes: Vec<ArrayView2<f64>> = along.iter().map(|a| a.direction.mean.view()).collect();
    let sources: Vec<Source> = along.iter().map(|a| a.source(&asked, 0)).collect();
    let texts: Vec<ArrayView3<f32>> = readings.acts.iter().map(|a| a.neutral[0].view()).collect();
    let clusters = asked.texts();
    // Of this null nothing is given.
    let random = RandomDirections::new(texts[0].reborrow(), 1, asked.options.seed)?;
    let each = fine_tunes(&asked, &along, &texts)?; // (state, axis, layer)
    for ladder in ladders {
        let sides: Vec<(&FineTunes, f64)> =
            ladder.places(&sets).into_iter().map(|(i, w)| (&sets[i], w)).collect();
        // Weights sum to 0: what the texts are in base does not count.
        let mut slope = texts[0].mapv(f64::from);
        for (set, weight) in &sides {
            for &m in &set.states {
                let part = weight / set.states.len() as f64;
                slope.zip_mut_with(&texts[m], |s, &v| *s += part * f64::from(v));
            }
        }
        let slope: Array3<f32> = slope.mapv(|v| v as f32);
        let (tuned, base) = (slope.view(), texts[0].reborrow());
        let input = ShiftInput { tuned, base, clusters: &clusters };
        let ruler = Ruler { axes: &axes, sources: &sources, placebos: &[], random: &random };
        let found = every_projection(&input, &ruler, asked.shift_options())?;
        for (axis, direction) in along.iter().enumerate() {
            for &l in &asked.at {
                let (rms, crossed) = (readings.rms[l], found.crossed[l][axis]);
                let within = (crossed.value / rms, crossed.interval.width() / 2.0 / rms);
                let of = |m: usize| each[[m, axis, l]] / rms;
                let c = over_fine_tunes(within, &sides, &sets, of, LEVEL);
                let concept = asked.concept(direction.concept);
                let tested = (c, found.p_flip[[l, axis]], found.n);
                rows.push(MixingRow {
                    layer: asked.layer(l) as f64,
                    unit: "layer RMS".into(),
                    ..ladder.row(&sets, (SHIFT, &concept), tested)
                });
            }
        }
    }
    Ok(rows)
}
