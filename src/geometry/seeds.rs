//! What the seeds of a condition add to the variance of a contrast.
//!
//! Two or three seeds show little of their own spread and resampling them shows less, so it is
//! estimated: the variance between the states' values, less the noise of the prompts that the
//! states do not share, which the draws show. It joins the variance over prompts in one half-width.

use crate::stats::moments::moments;
use crate::stats::replicates::t_quantile;
use ndarray::{ArrayView2, ArrayView3};

/// What seeds add to the variance of a contrast at one layer.
pub(super) struct Seeds {
    /// Sets of several states.
    pub parts: Vec<Part>,
}

/// Spread of the states of one set.
pub(super) struct Part {
    /// Variance that seeds add to the mean.
    variance: f64,
    /// Each state's deviation from the mean, over the root of their sum of squares.
    pub deviations: Vec<f64>,
}

impl Part {
    /// A draw of the mean's error for normal weights on the states.
    pub fn drawn(&self, weights: &[f64]) -> f64 {
        let sum: f64 = weights.iter().zip(&self.deviations).map(|(w, d)| w * d).sum();
        sum * self.variance.sqrt()
    }
}

impl Seeds {
    pub const NONE: Seeds = Seeds { parts: Vec::new() };

    /// Spread of the states of every set of several at layer `l`.
    pub fn of(
        value: ArrayView2<f64>,
        draws: ArrayView3<f32>,
        parts: &[(&[usize], f64)],
        l: usize,
    ) -> Self {
        let mut out = Seeds::NONE;
        for part in parts.iter().map(|p| p.0).filter(|p| p.len() > 1) {
            let n = part.len() as f64;
            let values: Vec<f64> = part.iter().map(|&s| value[[s, l]]).collect();
            let (mean, spread) = moments(&values);
            // Noise of the prompts that the states do not share, as the draws show it.
            let (mut noise, mut counted) = (0.0, 0.0);
            for draw in 0..draws.dim().2 {
                let off = |(&s, v): (&usize, &f64)| f64::from(draws[[s, l, draw]]) - v;
                let drawn: Vec<f64> = part.iter().zip(&values).map(off).collect();
                let (_, variance) = moments(&drawn);
                if variance.is_finite() {
                    noise += variance;
                    counted += 1.0;
                }
            }
            let length = (spread * (n - 1.0)).sqrt();
            let share = |v: &f64| if length > 0.0 { (v - mean) / length } else { 0.0 };
            out.parts.push(Part {
                variance: (spread - noise / f64::max(counted, 1.0)).max(0.0) / n,
                deviations: values.iter().map(share).collect(),
            });
        }
        out
    }

    pub fn variance(&self) -> f64 {
        self.parts.iter().map(|p| p.variance).sum()
    }

    /// Half-width of the interval beside a variance over prompts.
    pub fn reach(&self, prompts: f64, level: f64) -> f64 {
        let squared = |df: f64| t_quantile(df, level).powi(2);
        let of = |p: &Part| squared(p.deviations.len() as f64 - 1.0) * p.variance;
        let seeds: f64 = self.parts.iter().map(of).sum();
        (squared(f64::INFINITY) * prompts + seeds).sqrt()
    }

    /// 1 less the level at which the interval reaches 0, by bisection; NaN for a NaN value.
    pub fn p(&self, value: f64, prompts: f64) -> f64 {
        if !(value.is_finite() && prompts.is_finite()) {
            return f64::NAN;
        }
        let (mut lo, mut hi) = (0.0, 1.0); // levels
        for _ in 0..50 {
            let middle = (lo + hi) / 2.0;
            match self.reach(prompts, middle) < value.abs() {
                true => lo = middle,
                false => hi = middle,
            }
        }
        1.0 - (lo + hi) / 2.0
    }
}
