//! Transfer: does one concept's direction separate another concept's pairs?
//!
//! The direction comes from concept a, the rows from concept b, so nothing needs
//! to be held out as long as they share no text. The interval and the p are over
//! the prompts of b, the direction being given: its own error is not in them.

use super::check::shape;
use super::error::Result;
use crate::stats::area::{paired_area, Area};
use ndarray::{ArrayView1, ArrayView2};

/// AUROC of `unit (d)` between `positive (n, d)` and `negative (n, d)`.
///
/// `clusters` names the prompt of each pair, `flips` label swaps make the p. Errors when shapes
/// disagree or a projection is not finite.
pub fn transfer_auroc(
    unit: ArrayView1<f32>,
    positive: ArrayView2<f32>,
    negative: ArrayView2<f32>,
    clusters: &[usize],
    flips: usize,
    level: f64,
    seed: u64,
) -> Result<Area> {
    let n = clusters.len();
    for (what, side) in [("positive rows", positive.shape()), ("negative rows", negative.shape())] {
        shape(what, &[n, unit.len()], side)?;
    }
    let along = |side: ArrayView2<f32>| side.dot(&unit).mapv(f64::from).to_vec();
    let (positive, negative) = (along(positive), along(negative));
    Ok(paired_area(&positive, &negative, clusters, level, flips, seed, "transfer")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::{fill_normal, stream};
    use ndarray::{array, Array2};

    #[test]
    fn a_direction_transfers_to_pairs_that_share_its_axis_only() {
        let mut negative = Array2::<f32>::zeros((50, 4));
        fill_normal(&mut stream(1, "n", 0), negative.as_slice_mut().unwrap());
        let mut positive = Array2::<f32>::zeros((50, 4));
        fill_normal(&mut stream(1, "p", 0), positive.as_slice_mut().unwrap());
        positive.column_mut(2).mapv_inplace(|v| v + 3.0);
        let clusters: Vec<usize> = (0..50).collect();
        let area = |unit: ndarray::Array1<f32>| {
            transfer_auroc(unit.view(), positive.view(), negative.view(), &clusters, 300, 0.95, 0)
                .unwrap()
        };
        let along = area(array![0.0, 0.0, 1.0, 0.0]);
        assert!(along.value > 0.95 && along.interval.lo > 0.9 && along.p < 0.01);
        let across = area(array![1.0, 0.0, 0.0, 0.0]);
        assert!(across.interval.contains(0.5) && across.p > 0.01);
        let reversed = area(array![0.0, 0.0, -1.0, 0.0]);
        assert!((reversed.value + along.value - 1.0).abs() < 1e-12);
    }
}
