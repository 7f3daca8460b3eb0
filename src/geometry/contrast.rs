//! Contrasts between sets of states, on paired draws.
//!
//! A contrast is the mean over one set of states less the mean over another:
//! one fine-tune against base (dK), or all seeds of a condition against all
//! seeds of another. Since every state was resampled with the same draws, the
//! draws of a difference are the differences of draws. Where the claim is about
//! conditions the seeds are resampled too; a set of one state then adds
//! nothing, and the count of states is part of the result so that a caption
//! cannot hide it.

use super::GeometryError;
use crate::stats::corrections::max_t;
use crate::stats::interval::percentile;
use crate::stats::permutation::{p_value, Tail};
use crate::stats::rng::stream;
use ndarray::{Array2, ArrayView2, ArrayView3};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// What the interval of a contrast is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Prompts: a statement about these states.
    Prompts,
    /// Prompts and seeds: states are drawn with replacement within each set.
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
    /// Two-sided p from the centred draws.
    pub p: Vec<f64>,
    /// The same adjusted over layers by max-T of studentised values.
    pub p_max: Vec<f64>,
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
/// [`super::Coupling`]. The percentile interval has coverage `level`; draws that
/// are not finite are left out. Errors on an empty set or a state that does not
/// exist.
pub fn contrast(
    value: ArrayView2<f64>,
    draws: ArrayView3<f32>,
    (set, reference): (&[usize], &[usize]),
    over: Over,
    level: f64,
    seed: u64,
) -> Result<Contrast, GeometryError> {
    let (states, layers, n_draws) = draws.dim();
    if value.dim() != (states, layers) {
        return Err(GeometryError::Shape {
            what: "values of a contrast".to_string(),
            expected: vec![states, layers],
            got: value.shape().to_vec(),
        });
    }
    for (what, part) in [("set", set), ("reference", reference)] {
        if part.is_empty() {
            return Err(GeometryError::Count {
                what: format!("{what} of a contrast"),
                expected: 1,
                got: 0,
            });
        }
        if let Some(&index) = part.iter().find(|&&i| i >= states) {
            return Err(GeometryError::Index {
                what: "state",
                index,
                count: states,
            });
        }
    }
    let mut resampled = Array2::<f64>::zeros((n_draws, layers)); // (draws, layers)
    for (draw, mut row) in resampled.rows_mut().into_iter().enumerate() {
        let mut rng = stream(seed, "contrast/seeds", draw as u64);
        for (part, sign) in [(set, 1.0), (reference, -1.0)] {
            for &own in part {
                let state = match over {
                    Over::Prompts => own,
                    Over::PromptsAndSeeds => part[rng.random_range(0..part.len())],
                };
                for (l, sum) in row.iter_mut().enumerate() {
                    *sum += sign * f64::from(draws[[state, l, draw]]) / part.len() as f64;
                }
            }
        }
    }
    let mean = |part: &[usize], l: usize| {
        part.iter().map(|&s| value[[s, l]]).sum::<f64>() / part.len() as f64
    };
    let value: Vec<f64> = (0..layers)
        .map(|l| mean(set, l) - mean(reference, l))
        .collect();
    let mut out = Contrast {
        lo: Vec::new(),
        hi: Vec::new(),
        p: Vec::new(),
        p_max: Vec::new(),
        n_set: set.len(),
        n_reference: reference.len(),
        over,
        value,
    };
    let mut studentised = resampled.clone();
    let mut observed = Vec::new();
    for l in 0..layers {
        let mut own: Vec<f64> = resampled
            .column(l)
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let n = own.len() as f64;
        let centre = own.iter().sum::<f64>() / n;
        let centred: Vec<f64> = own.iter().map(|v| v - centre).collect();
        let deviation = (centred.iter().map(|v| v * v).sum::<f64>() / (n - 1.0)).sqrt();
        studentised
            .column_mut(l)
            .mapv_inplace(|v| match (v - centre) / deviation {
                z if z.is_finite() => z,
                _ => 0.0,
            });
        observed.push(out.value[l] / deviation);
        out.p.push(p_value(out.value[l], &centred, Tail::TwoSided));
        let interval = percentile(&mut own, level);
        out.lo.push(interval.lo);
        out.hi.push(interval.hi);
    }
    out.p_max = max_t(&observed, studentised.view());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

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
        let got = contrast(
            value.view(),
            draws.view(),
            (&[2], &[0]),
            Over::Prompts,
            0.95,
            0,
        )
        .unwrap();
        for l in 0..3 {
            assert!((got.value[l] - 0.2).abs() < 1e-12);
            assert!(got.hi[l] - got.lo[l] < 1e-5);
            assert!((got.lo[l] - 0.2).abs() < 1e-5);
        }
    }

    #[test]
    fn resampling_seeds_widens_the_interval_of_a_set_and_leaves_single_states_alone() {
        let (value, draws) = paired();
        let run = |set: (&[usize], &[usize]), over| {
            contrast(value.view(), draws.view(), set, over, 0.95, 0).unwrap()
        };
        let narrow = run((&[1, 2, 3], &[0]), Over::Prompts);
        let wide = run((&[1, 2, 3], &[0]), Over::PromptsAndSeeds);
        assert!(wide.hi[0] - wide.lo[0] > narrow.hi[0] - narrow.lo[0] + 0.05);
        let one = run((&[3], &[0]), Over::PromptsAndSeeds);
        assert!(one.hi[0] - one.lo[0] < 1e-5);
    }

    #[test]
    fn an_empty_set_and_an_unknown_state_are_refused() {
        let (value, draws) = paired();
        for set in [(&[][..], &[0][..]), (&[9][..], &[0][..])] {
            assert!(contrast(value.view(), draws.view(), set, Over::Prompts, 0.95, 0).is_err());
        }
    }
}
