//! Transfer: does one concept's direction separate another concept's pairs?
//!
//! The direction comes from concept a, the rows from concept b, so nothing needs
//! to be held out as long as they share no text. The interval resamples the
//! scores of b by prompt; both sides of a pair carry the same weight.

use super::GeometryError;
use crate::stats::bootstrap::{cluster_weights, Clusters, Estimate};
use crate::stats::interval::percentile;
use crate::stats::rank::SortedScores;
use ndarray::{ArrayView1, ArrayView2};

/// AUROC of `unit (d)` between `positive (n, d)` and `negative (n, d)`.
///
/// `clusters` names the prompt of each pair. Errors when shapes disagree.
pub fn transfer_auroc(
    unit: ArrayView1<f32>,
    positive: ArrayView2<f32>,
    negative: ArrayView2<f32>,
    clusters: &[usize],
    draws: usize,
    level: f64,
    seed: u64,
) -> Result<Estimate, GeometryError> {
    let n = clusters.len();
    for (what, side) in [
        ("positive rows", positive.shape()),
        ("negative rows", negative.shape()),
    ] {
        if side != [n, unit.len()] {
            return Err(GeometryError::Shape {
                what: what.to_string(),
                expected: vec![n, unit.len()],
                got: side.to_vec(),
            });
        }
    }
    let project = |side: ArrayView2<f32>| -> Vec<f64> {
        side.dot(&unit).iter().map(|&v| f64::from(v)).collect()
    };
    let scores = SortedScores::new(&project(positive), &project(negative));
    let mut areas: Vec<f64> = cluster_weights(clusters, draws, seed, "transfer")
        .rows()
        .into_iter()
        .map(|row| {
            let weights: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
            scores.weighted(&weights, &weights)
        })
        .collect();
    let ones = vec![1.0; n];
    Ok(Estimate {
        value: scores.weighted(&ones, &ones),
        interval: percentile(&mut areas, level),
        n,
        n_clusters: Clusters::new(clusters).count(),
    })
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
            transfer_auroc(
                unit.view(),
                positive.view(),
                negative.view(),
                &clusters,
                300,
                0.95,
                0,
            )
            .unwrap()
        };
        let along = area(array![0.0, 0.0, 1.0, 0.0]);
        assert!(along.value > 0.95 && along.interval.lo > 0.9);
        let across = area(array![1.0, 0.0, 0.0, 0.0]);
        assert!(across.interval.contains(0.5));
        let reversed = area(array![0.0, 0.0, -1.0, 0.0]);
        assert!((reversed.value + along.value - 1.0).abs() < 1e-12);
    }
}
