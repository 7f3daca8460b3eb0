//! Contrasts between sets of states, on paired draws.
//!
//! A contrast is the mean over one set of states less the mean over another:
//! one fine-tune against base (dK), or all seeds of a condition against all
//! seeds of another. Since every state was resampled with the same draws, the
//! draws of a difference are the differences of draws. Where the claim is about
//! conditions the seeds count too, and resampling two or three of them would
//! lose much of their spread: their variance V is taken from the values of the
//! states, less the part of it that is noise of the prompts, and joins that of the
//! prompts W in an interval of half-width sqrt(z^2 W + t^2 V), t with one degree of
//! freedom less than seeds (Graybill and Wang 1980). Satterthwaite's shortcut would
//! hold too little where three seeds differ much. A set of one state adds no variance
//! of seeds; the count of states is part of the result so that a caption cannot hide it.
//!
//! The plain cosine of a state falls with the reliability of its directions, so
//! a contrast of plain cosines also shows a change of reliability. Contrast the
//! relative cosines to leave that out.

use super::check::{at_least, index, shape};
use super::error::Result;
use super::seeds::Seeds;
use crate::stats::interval::{percentile, Interval};
use crate::stats::moments::moments;
use crate::stats::permutation::{p_value, Tail};
use crate::stats::rng::stream;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3};
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// What the interval of a contrast is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Prompts: a statement about these states.
    Prompts,
    /// Prompts and seeds: a statement about the conditions.
    PromptsAndSeeds,
}

/// A contrast by layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Mean of the set less mean of the reference, one a layer.
    pub value: Vec<f64>,
    /// Lower ends.
    pub lo: Vec<f64>,
    /// Upper ends.
    pub hi: Vec<f64>,
    /// Two-sided p: of the centred draws over prompts; over seeds 1 less the level at which the
    /// interval reaches 0.
    pub p: Vec<f64>,
    /// The value in half-widths of its interval, one a layer.
    pub observed: Vec<f64>,
    /// Largest of the layers in each draw without a change, on the same scale, by which contrasts on one
    /// set of draws are adjusted for each other (max-T); layers depend on each other as the draws of
    /// the prompts and the deviations of the seeds do.
    pub largest: Vec<f64>,
    /// Standard error over prompts, one a layer.
    pub error_prompts: Vec<f64>,
    /// Standard error that seeds add, one a layer; 0 where they do not count.
    pub error_seeds: Vec<f64>,
    /// States in the set.
    pub n_set: usize,
    /// States in the reference.
    pub n_reference: usize,
    /// What was resampled.
    pub over: Over,
}

/// Contrast of the states `set` against `reference`.
///
/// `value` is `(state, layer)`, `draws` is `[state, layer, draw]` from one
/// [`super::Coupling`]; draws that are not finite are left out. Intervals have coverage `level`.
/// Errors on an empty set or a state that does not exist.
pub fn contrast(
    value: ArrayView2<f64>,
    draws: ArrayView3<f32>,
    (set, reference): (&[usize], &[usize]),
    over: Over,
    level: f64,
    seed: u64,
) -> Result<Contrast> {
    let (states, layers, n_draws) = draws.dim();
    shape("values of a contrast", &[states, layers], value.shape())?;
    for (what, part) in [("set", set), ("reference", reference)] {
        at_least(&format!("{what} of a contrast"), 1, part.len())?;
        part.iter().try_for_each(|&i| index("state", i, states))?;
    }
    let parts = [(set, 1.0), (reference, -1.0)];
    let mean = |part: &[usize], of: &dyn Fn(usize) -> f64| {
        part.iter().map(|&s| of(s)).sum::<f64>() / part.len() as f64
    };
    let resampled = Array2::from_shape_fn((n_draws, layers), |(draw, l)| {
        let drawn = |s: usize| f64::from(draws[[s, l, draw]]);
        parts.iter().map(|(part, sign)| sign * mean(part, &drawn)).sum::<f64>()
    });
    let apart = |l: usize| mean(set, &|s| value[[s, l]]) - mean(reference, &|s| value[[s, l]]);
    let found: Vec<f64> = (0..layers).map(apart).collect();
    let [mut lo, mut hi, mut p, mut error_prompts, mut error_seeds, mut reaches]: [Vec<f64>; 6] =
        Default::default();
    let mut null = resampled.clone(); // (draws, layers), by and by in units of the half-width
    let mut seeds: Vec<Seeds> = Vec::new();
    for (l, &estimate) in found.iter().enumerate() {
        let finite = |v: &f64| v.is_finite();
        let mut own: Vec<f64> = resampled.column(l).iter().copied().filter(finite).collect();
        let (centre, variance) = moments(&own);
        null.column_mut(l).mapv_inplace(|v| match v - centre {
            z if z.is_finite() => z,
            _ => 0.0,
        });
        let layer = match over {
            Over::Prompts => Seeds::NONE,
            Over::PromptsAndSeeds => Seeds::of(value, draws, &parts, l),
        };
        let (value, reach) = (estimate, layer.reach(variance, level));
        let interval = match layer.parts.is_empty() {
            true => {
                let centred: Vec<f64> = own.iter().map(|v| v - centre).collect();
                p.push(p_value(value, &centred, Tail::TwoSided));
                percentile(&mut own, level)
            }
            false => {
                p.push(layer.p(value, variance));
                Interval::around(value, reach)
            }
        };
        lo.push(interval.lo);
        hi.push(interval.hi);
        error_prompts.push(variance.sqrt());
        error_seeds.push(layer.variance().sqrt());
        reaches.push(reach);
        seeds.push(layer);
    }
    for (draw, mut row) in null.rows_mut().into_iter().enumerate() {
        let mut rng = stream(seed, "contrast/seeds", draw as u64);
        for part in 0..seeds.first().map_or(0, |s| s.parts.len()) {
            // One set of weights on the seeds and one divisor, common to all layers: a
            // multivariate t with the layers' own dependence.
            let n = seeds[0].parts[part].deviations.len();
            let weights: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
            let chi: f64 = match ChiSquared::new((n - 1) as f64) {
                Ok(squares) => squares.sample(&mut rng),
                Err(_) => f64::NAN,
            };
            let divisor = (chi / (n - 1) as f64).sqrt();
            for (value, layer) in row.iter_mut().zip(&seeds) {
                *value += layer.parts[part].drawn(&weights) / divisor;
            }
        }
        for (value, reach) in row.iter_mut().zip(&reaches) {
            *value /= reach;
        }
    }
    let observed: Vec<f64> = found.iter().zip(&reaches).map(|(v, r)| v / r).collect();
    let most = |row: ArrayView1<f64>| row.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    Ok(Contrast {
        value: found,
        lo,
        hi,
        p,
        observed,
        largest: null.rows().into_iter().map(most).collect(),
        error_prompts,
        error_seeds,
        n_set: set.len(),
        n_reference: reference.len(),
        over,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};
    use rand::Rng;

    /// Four states whose draws share one error and differ by a constant.
    fn paired() -> (Array2<f64>, Array3<f32>) {
        let mut rng = stream(1, "contrast test", 0);
        let errors: Vec<f32> = (0..400).map(|_| rng.random::<f32>() - 0.5).collect();
        let value = Array2::from_shape_fn((4, 3), |(s, l)| 0.1 * s as f64 + 0.01 * l as f64);
        let draws =
            Array3::from_shape_fn((4, 3, 400), |(s, l, i)| value[[s, l]] as f32 + errors[i]);
        (value, draws)
    }

    #[test]
    fn an_error_that_two_states_share_cancels_in_their_difference() {
        let (value, draws) = paired();
        let got =
            contrast(value.view(), draws.view(), (&[2], &[0]), Over::Prompts, 0.95, 0).unwrap();
        for l in 0..3 {
            assert!((got.value[l] - 0.2).abs() < 1e-12);
            assert!(got.hi[l] - got.lo[l] < 1e-5);
            assert!((got.lo[l] - 0.2).abs() < 1e-5);
        }
    }

    #[test]
    fn seeds_widen_the_interval_of_a_set_and_leave_single_states_alone() {
        let (value, draws) = paired();
        let run = |set: (&[usize], &[usize]), over| {
            contrast(value.view(), draws.view(), set, over, 0.95, 0).unwrap()
        };
        let narrow = run((&[1, 2, 3], &[0]), Over::Prompts);
        let wide = run((&[1, 2, 3], &[0]), Over::PromptsAndSeeds);
        assert!(narrow.hi[0] - narrow.lo[0] < 1e-5);
        // Values .1, .2, .3: standard error .1 / sqrt 3, t.975 with 2 degrees of freedom 4.3027.
        let reach = 4.3027 * 0.1 / 3f64.sqrt();
        assert!((wide.hi[0] - 0.2 - reach).abs() < 1e-4, "{}", wide.hi[0]);
        assert!((wide.error_seeds[0] - 0.1 / 3f64.sqrt()).abs() < 1e-6);
        // t = .2 / (.1 / sqrt 3) = 3.4641 with 2 degrees of freedom: p = .0742.
        assert!((wide.p[0] - 0.0742).abs() < 1e-3, "{}", wide.p[0]);
        let one = run((&[3], &[0]), Over::PromptsAndSeeds);
        assert!(one.hi[0] - one.lo[0] < 1e-5);
    }

    #[test]
    fn intervals_over_seeds_cover_the_difference_of_conditions() {
        // Seeds differ with sd .3, prompts add a shared error and one of each state.
        let repeats = 400;
        let mut covered = 0;
        for repeat in 0..repeats {
            let mut rng = stream(repeat, "seeds", 0);
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            let shared = 0.2 * normal();
            let value = Array2::from_shape_fn((4, 1), |(s, _)| match s {
                0 => shared + 0.1 * normal(),
                _ => 1.0 + shared + 0.3 * normal() + 0.1 * normal(),
            });
            let mut errors: Vec<f64> = Vec::new();
            for _ in 0..300 {
                let shared = 0.2 * normal();
                errors.extend((0..4).map(|_| shared + 0.1 * normal()));
            }
            let draws = Array3::from_shape_fn((4, 1, 300), |(s, _, i)| {
                (value[[s, 0]] + errors[4 * i + s]) as f32
            });
            let sets = (&[1usize, 2, 3][..], &[0usize][..]);
            let over = Over::PromptsAndSeeds;
            let got = contrast(value.view(), draws.view(), sets, over, 0.95, repeat).unwrap();
            covered += usize::from(got.lo[0] <= 1.0 && 1.0 <= got.hi[0]);
        }
        assert!((368..=397).contains(&covered), "{covered} of {repeats}");
    }

    #[test]
    fn an_empty_set_and_an_unknown_state_are_refused() {
        let (value, draws) = paired();
        for set in [(&[][..], &[0][..]), (&[9][..], &[0][..])] {
            assert!(contrast(value.view(), draws.view(), set, Over::Prompts, 0.95, 0).is_err());
        }
    }
}
