//! How far the stream tells the utility of an outcome, and the direction along which it does.
//!
//! Few outcomes and many dimensions: a fit to all of them tells nothing. r is of predictions of outcomes
//! that were left out, penalty and all ([`HeldOut`]), and is held against the same with utilities
//! permuted over outcomes. Only where its interval lies above 0 are the weights called a direction.

use crate::analysis::records::{ReadoutRow, UtilityRow};
use crate::analysis::verdict::least_of_draws;
use crate::analysis::{AnalysisError, Draws, Result, State};
use crate::stats::interval::percentile;
use crate::stats::permutation::{p_value, Tail};
use crate::stats::rank::pearson;
use crate::stats::ridge::{ridge, HeldOut};
use crate::stats::rng::stream;
use crate::stats::Interval;
use ndarray::{Array3, Axis};
use rand::seq::SliceRandom;
use rayon::prelude::*;

/// Folds of outcomes.
const FOLDS: usize = 8;
/// Coverage of intervals and bands.
const LEVEL: f64 = 0.95;

/// Utilities of outcomes and what the stream is at them.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The states.
    pub states: &'a [State],
    /// Of every state, in the order of the outcomes.
    pub utilities: &'a [UtilityRow],
    /// Stream at the last token of each outcome alone, `[state]` -> `(outcomes, layers, d)`.
    pub acts: &'a [Array3<f32>],
    /// The blocks.
    pub layers: &'a [usize],
    /// Draws of the null, and the seed of these and of the folds.
    pub draws: Draws,
}

/// Utilities of a state.
pub fn utilities_of(all: &[UtilityRow], state: &str) -> Vec<f64> {
    all.iter().filter(|u| u.state == state).map(|u| u.estimate).collect()
}

/// r of every state at every layer.
///
/// # Errors
/// Activations of another number of states or outcomes; values that are not finite.
pub fn readouts(input: &Told) -> Result<Vec<ReadoutRow>> {
    if input.states.len() != input.acts.len() {
        return Err(AnalysisError::Input {
            what: "activations at outcomes".into(),
            why: format!("there are {} for {} states", input.acts.len(), input.states.len()),
        });
    }
    let n = input.acts.first().map_or(0, |a| a.dim().0);
    let seed = input.draws.seed;
    let shuffled = |purpose: &str, k: usize| {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut stream(seed, purpose, k as u64));
        order
    };
    let folds: Vec<usize> = shuffled("readout/folds", 0).iter().map(|i| i % FOLDS).collect();
    let orders: Vec<Vec<usize>> =
        (0..input.draws.null).map(|k| shuffled("readout/permuted", k)).collect();
    let mut rows = Vec::new();
    for (state, acts) in input.states.iter().zip(input.acts) {
        let y = utilities_of(input.utilities, &state.id);
        for (l, &layer) in input.layers.iter().enumerate() {
            let x = acts.index_axis(Axis(1), l).mapv(f64::from); // (outcomes, d)
            let held = HeldOut::new(x.view(), &folds)?;
            let r = |y: &[f64]| pearson(&held.predict(y), y);
            let permuted = |order: &Vec<usize>| r(&order.iter().map(|&i| y[i]).collect::<Vec<_>>());
            let mut null: Vec<f64> = orders.par_iter().map(permuted).collect();
            let estimate = r(&y);
            let interval = interval(estimate, &null);
            let (p, least_p) =
                (p_value(estimate, &null, Tail::Greater), least_of_draws(null.len()));
            let band = percentile(&mut null, LEVEL);
            rows.push(ReadoutRow {
                state: state.id.clone(),
                layer,
                estimate,
                lo: interval.lo,
                hi: interval.hi,
                null_lo: band.lo,
                null_hi: band.hi,
                p,
                least_p,
                penalty: ridge(x.view(), &y)?.penalty,
                direction: interval.lo > 0.0,
                n,
            });
        }
    }
    Ok(rows)
}

/// r less the ends of the null's band, on Fisher's scale. Predictions share what they were fitted on, so
/// without a link r lies below 0 in the mean and spreads more than that of as many independent points;
/// the interval then holds 0 in 95 % of cases, and lies above it in 2.5 %.
fn interval(r: f64, null: &[f64]) -> Interval {
    let band = percentile(&mut null.iter().map(|r| r.atanh()).collect(), LEVEL);
    match r.is_finite() && !null.is_empty() {
        true => Interval { lo: r.atanh() - band.hi, hi: r.atanh() - band.lo }.map(f64::tanh),
        false => Interval::UNDEFINED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::fill_normal;
    use crate::store::Record;

    const N: usize = 32;
    const LAYERS: [usize; 2] = [1, 4];

    /// Streams of a state in noise, moved by `by` along one axis at the second layer for each nat of
    /// utility, and the utilities.
    fn told(by: f32, index: u64) -> (Vec<UtilityRow>, Array3<f32>) {
        let (mut u, mut acts) = (vec![0f32; N], Array3::zeros((N, 2, 60)));
        fill_normal(&mut stream(4, "told", 2 * index), &mut u);
        fill_normal(&mut stream(4, "told", 2 * index + 1), acts.as_slice_mut().unwrap());
        for (i, u) in u.iter().enumerate() {
            acts[[i, 1, 7]] += by * u;
        }
        let row = |(i, u): (usize, &f32)| UtilityRow {
            state: index.to_string(),
            outcome: i.to_string(),
            estimate: f64::from(*u),
            ..UtilityRow::NONE
        };
        (u.iter().enumerate().map(row).collect(), acts)
    }

    fn run(by: f32, states: u64, null: usize) -> Vec<ReadoutRow> {
        let (utilities, acts): (Vec<_>, Vec<_>) = (0..states).map(|i| told(by, i)).unzip();
        let names: Vec<State> = (0..states).map(|i| State::named(&i.to_string())).collect();
        readouts(&Told {
            states: &names,
            utilities: &utilities.concat(),
            acts: &acts,
            layers: &LAYERS,
            draws: Draws { bootstrap: 0, null, seed: 1 },
        })
        .unwrap()
    }

    #[test]
    fn a_planted_direction_is_read_and_noise_gives_none() {
        let found = run(8.0, 3, 199);
        for row in &found {
            let planted = row.layer == 4;
            assert_eq!(row.direction, planted, "{row:?}");
            assert!(!planted || (row.estimate > 0.8 && row.p == row.least_p), "{row:?}");
            assert!(row.lo < row.estimate && row.estimate < row.hi && row.n == N);
        }
    }

    #[test]
    fn without_a_link_the_interval_holds_0_as_often_as_it_says() {
        let found = run(0.0, 100, 99);
        let above = found.iter().filter(|r| r.direction).count();
        let beside = found.iter().filter(|r| r.lo > 0.0 || r.hi < 0.0).count();
        // 5 and 10 of 200, give or take three standard errors of 2.2 and 3.1.
        assert!(above <= 12 && (1..=20).contains(&beside), "{above} {beside}");
        assert!(found.iter().all(|r| (r.lo > 0.0) == r.direction));
    }
}
