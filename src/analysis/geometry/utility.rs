//! The utility direction of base beside its directions of concepts.
//!
//! The weights are a sum over outcomes, so they are put in the place of a shift whose texts are the
//! outcomes: the cosine with a concept's population direction and its nulls are those that every shift is
//! given.

use super::shifts::over_the_table;
use super::LEVEL;
use crate::analysis::records::{ReadoutRow, UtilityCosineRow};
use crate::analysis::roles::place;
use crate::analysis::state::BASE;
use crate::analysis::verdict::least_of_draws;
use crate::analysis::{Draws, Readings, Result, Roles};
use crate::geometry::population::{population, Source};
use crate::geometry::projections::{every_projection, Ruler};
use crate::geometry::random_directions::RandomDirections;
use crate::geometry::shift::ShiftInput;
use crate::stats::ridge::ridge;
use crate::stats::Resampling;
use ndarray::{s, Array2, Array3, ArrayView2, ArrayView3, Axis};

/// Cosines with every concept at the layers where base has a utility direction; none where it has none.
/// `utilities` are base's, `acts (outcomes, layers, d)` its stream at the outcomes, at `layers`.
///
/// # Errors
/// A layer that was not read; a placebo that was not read; as of a shift.
pub fn utility_cosines(
    readings: &Readings,
    roles: &Roles,
    readouts: &[ReadoutRow],
    (utilities, acts, layers): (&[f64], ArrayView3<f32>, &[usize]),
    draws: Draws,
) -> Result<Vec<UtilityCosineRow>> {
    let has = |l: usize| {
        let mut own = readouts.iter().filter(|r| r.state == BASE && r.layer == l);
        own.any(|r| r.direction)
    };
    let kept: Vec<usize> = (0..layers.len()).filter(|&i| has(layers[i])).collect();
    let at = |i: &usize| readings.layers.iter().position(|l| *l == layers[*i]);
    let read: Vec<usize> = kept.iter().filter_map(at).collect();
    let Some(base) = readings.acts.first().filter(|_| !read.is_empty()) else {
        return Ok(Vec::new());
    };
    let n = acts.dim().0;
    // Its mean over outcomes is the unit direction.
    let mut parts = Array3::<f32>::zeros((n, kept.len(), acts.dim().2));
    for (l, &i) in kept.iter().enumerate() {
        let x = acts.index_axis(Axis(1), i).mapv(f64::from); // (outcomes, d)
        let fit = ridge(x.view(), utilities)?;
        let length = fit.weights.dot(&fit.weights).sqrt();
        let centred = &x - &(x.sum_axis(Axis(0)) / n as f64);
        let share = fit.coefficients * (n as f64 / length); // (outcomes)
        let part = (centred * share.insert_axis(Axis(1))).mapv(|v| v as f32);
        parts.slice_mut(s![.., l, ..]).assign(&part);
    }
    let some = |x: &Array3<f32>| x.select(Axis(1), &read);
    let differences: Vec<Array3<f32>> =
        base.concepts.iter().map(|c| some(&c.differences())).collect();
    let sources: Vec<Source> =
        readings.concepts.iter().zip(&differences).map(|(c, d)| c.source(d.view())).collect();
    let axes: Vec<Array2<f64>> =
        sources.iter().map(|s| Ok(population(s)?.mean)).collect::<Result<_>>()?;
    let axes: Vec<ArrayView2<f64>> = axes.iter().map(|a| a.view()).collect();
    let names = readings.names();
    let placebos = (roles.placebos.iter())
        .map(|p| Ok(axes[place("placebo", p, &names)?]))
        .collect::<Result<Vec<_>>>()?;
    let neutral = readings.all_neutral.as_ref().unwrap_or(&base.neutral);
    let random = RandomDirections::new(some(&neutral[0]).view(), draws.null, draws.seed)?;
    let ruler = Ruler { axes: &axes, sources: &sources, placebos: &placebos, random: &random };
    let clusters: Vec<usize> = (0..n).collect();
    let nothing = Array3::zeros(parts.dim());
    let input = ShiftInput { tuned: parts.view(), base: nothing.view(), clusters: &clusters };
    let options = Resampling { draws: draws.bootstrap, level: LEVEL, seed: draws.seed };
    let found = every_projection(&input, &ruler, options)?;
    let (mut rows, mut observed) = (Vec::new(), Vec::new());
    for (c, info) in readings.concepts.iter().enumerate() {
        for (l, &i) in kept.iter().enumerate() {
            let (along, permuted) = (found.crossed[l][c], found.permuted[l][c]);
            let placebo = &found.against_placebos[c];
            observed.push(found.standard[[l, c]]);
            rows.push(UtilityCosineRow {
                concept: info.name.clone(),
                layer: layers[i],
                estimate: along.value,
                permuted_lo: permuted.lo,
                permuted_hi: permuted.hi,
                p_permuted: found.p_permuted[[l, c]],
                p_permuted_max: f64::NAN,
                least_p: least_of_draws(found.largest_permuted.len()),
                null_lo: found.random[l].lo,
                null_hi: found.random[l].hi,
                p_random: found.p_random[[l, c]],
                placebo_lo: placebo.lo[l],
                placebo_hi: placebo.hi[l],
                p_placebo: placebo.p[l],
                n,
                prompts: info.prompts(),
            });
        }
    }
    let adjusted = over_the_table(&observed, &[found.largest_permuted]);
    rows.iter_mut().zip(adjusted).for_each(|(row, p)| row.p_permuted_max = p);
    Ok(rows)
}
