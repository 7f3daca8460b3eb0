//! Cluster bootstrap.
//!
//! The unit that is drawn with replacement is the cluster (a prompt, with all
//! its templates and samples), never the row. A draw is a row of counts: how
//! often each cluster was drawn. Statistics are then weighted sums, which turns
//! a bootstrap of vectors into one matrix product.
//! Each draw has its own stream, so the same bits come from any number of
//! threads, and the same `(seed, purpose)` gives the same draws to every model
//! state: differences between states are paired.

use super::error::{enough, same_length, Result};
use super::interval::{widened, Interval};
use super::rng::stream;
use ndarray::{Array2, ArrayView2, Axis, Zip};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often to draw, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resampling {
    /// Bootstrap draws, or draws of a null.
    pub draws: usize,
    /// Coverage of intervals and bands.
    pub level: f64,
    /// Seed; the same seed gives the same draws to every state.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Resampling { draws: 2000, level: 0.95, seed: 0 }
    }
}

/// Rows grouped by cluster, with cluster names replaced by `0..count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// Cluster of each row, in `0..count`, in order of the cluster's name.
    pub of: Vec<usize>,
    /// Rows in each cluster.
    pub sizes: Vec<usize>,
}

impl Clusters {
    /// Groups rows by their cluster name.
    pub fn new(names: &[usize]) -> Self {
        let mut dense: BTreeMap<usize, usize> = names.iter().map(|&name| (name, 0)).collect();
        for (place, value) in dense.values_mut().enumerate() {
            *value = place;
        }
        let of: Vec<usize> = names.iter().map(|name| dense[name]).collect();
        let mut sizes = vec![0; dense.len()];
        for &cluster in &of {
            sizes[cluster] += 1;
        }
        Clusters { of, sizes }
    }

    /// Number of clusters.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Sums by cluster `(count)` of `values (n)`.
    pub fn totals(&self, values: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count()];
        for (&value, &cluster) in values.iter().zip(&self.of) {
            sums[cluster] += value;
        }
        sums
    }

    /// Sums by cluster `(count, d)` of what rows `a (n, d)` have more than `b (n, d)`.
    pub fn differences(&self, a: ArrayView2<f32>, b: ArrayView2<f32>) -> Array2<f64> {
        let mut sums = Array2::<f64>::zeros((self.count(), a.ncols()));
        for (i, &cluster) in self.of.iter().enumerate() {
            Zip::from(sums.row_mut(cluster))
                .and(a.row(i))
                .and(b.row(i))
                .for_each(|s, &x, &y| *s += f64::from(x) - f64::from(y));
        }
        sums
    }

    /// Sums by cluster `(count, d)` of `rows (n, d)`.
    pub fn sums<T: Copy + Into<f64>>(&self, rows: ArrayView2<T>) -> Array2<f64> {
        let mut sums = Array2::<f64>::zeros((self.count(), rows.ncols()));
        for (row, &cluster) in rows.rows().into_iter().zip(&self.of) {
            let mut sum = sums.row_mut(cluster);
            sum.zip_mut_with(&row, |s, &v| *s += v.into());
        }
        sums
    }
}

/// Values by key, keys in order of first appearance.
pub fn grouped<K: PartialEq, V>(items: impl IntoIterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut out: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in items {
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, values)) => values.push(value),
            None => out.push((key, vec![value])),
        }
    }
    out
}

/// Counts `(draws, n_clusters)`: how often each cluster was drawn; rows sum to `n_clusters`.
pub fn cluster_counts(n_clusters: usize, draws: usize, seed: u64, purpose: &str) -> Array2<f32> {
    let mut counts = Array2::<f32>::zeros((draws, n_clusters)); // (draws, clusters)
    counts.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(draw, mut row)| {
        let mut rng = stream(seed, purpose, draw as u64);
        for _ in 0..n_clusters {
            row[rng.random_range(0..n_clusters)] += 1.0;
        }
    });
    counts
}

/// Weights `(draws, n)` of rows: each row carries its cluster's count.
///
/// `clusters` names the cluster of each row. Source: Davison and Hinkley 1997,
/// section 3.8 (resampling whole groups).
pub fn cluster_weights(clusters: &[usize], draws: usize, seed: u64, purpose: &str) -> Array2<f32> {
    let clusters = Clusters::new(clusters);
    let counts = cluster_counts(clusters.count(), draws, seed, purpose);
    counts.select(Axis(1), &clusters.of) // (draws, n)
}

/// A value with its bootstrap interval and the counts behind it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Estimate from all rows.
    pub value: f64,
    /// Percentile interval over clusters, widened for few of them.
    pub interval: Interval,
    /// Rows.
    pub n: usize,
    /// Clusters: the unit of replication.
    pub n_clusters: usize,
}

/// Mean of `values` with a percentile interval over clusters, widened for few of them
/// ([`few_clusters`](super::interval::few_clusters)): over 3 prompts it is 2.7 times as wide as plain resampling says, and over
/// one it is undefined.
///
/// Errors when there are no values or the lengths differ.
pub fn bootstrap_mean(
    values: &[f64],
    clusters: &[usize],
    draws: usize,
    level: f64,
    seed: u64,
    purpose: &str,
) -> Result<Estimate> {
    same_length("values and their clusters", values.len(), clusters.len())?;
    enough("a bootstrap mean", 1, "values", values.len())?;
    let grouped = Clusters::new(clusters);
    let (sums, n_clusters) = (grouped.totals(values), grouped.count());
    let counts = cluster_counts(n_clusters, draws, seed, purpose);
    let means = counts.rows().into_iter().map(|row| {
        let (mut total, mut weight) = (0.0, 0.0);
        for ((&count, &sum), &size) in row.iter().zip(&sums).zip(&grouped.sizes) {
            total += f64::from(count) * sum;
            weight += f64::from(count) * size as f64;
        }
        total / weight
    });
    let value = super::moments::mean(values);
    Ok(Estimate {
        value,
        interval: widened(value, means, n_clusters, level),
        n: values.len(),
        n_clusters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn whole_clusters_are_drawn_and_every_draw_has_the_same_number() {
        let names = [9, 9, 4, 7, 4, 9];
        let weights = cluster_weights(&names, 50, 1, "test");
        for row in weights.rows() {
            assert_eq!(row[0], row[1]);
            assert_eq!(row[0], row[5]);
            assert_eq!(row[2], row[4]);
            assert_eq!(row[0] + row[2] + row[3], 3.0);
        }
    }

    #[test]
    fn draws_are_the_same_bits_for_any_number_of_threads() {
        let draw = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| cluster_counts(17, 300, 5, "threads"))
        };
        assert_eq!(draw(1), draw(4));
    }

    #[test]
    fn clusters_that_repeat_a_value_do_not_narrow_the_interval() {
        let mut rng = stream(3, "values", 0);
        let values: Vec<f64> = (0..30).map(|_| StandardNormal.sample(&mut rng)).collect();
        let names: Vec<usize> = (0..30).collect();
        let repeated: Vec<f64> = values.iter().flat_map(|&v| [v; 5]).collect();
        let repeated_names: Vec<usize> = names.iter().flat_map(|&v| [v; 5]).collect();
        let once = bootstrap_mean(&values, &names, 500, 0.95, 1, "m").unwrap();
        let five = bootstrap_mean(&repeated, &repeated_names, 500, 0.95, 1, "m").unwrap();
        assert!((once.interval.width() - five.interval.width()).abs() < 1e-9);
    }

    #[test]
    fn the_interval_of_a_mean_covers_at_its_level_also_over_few_prompts() {
        for n in [8usize, 40] {
            let covered = (0..400)
                .filter(|&repeat| {
                    let mut rng = stream(11, "cover", repeat);
                    let values: Vec<f64> = (0..n)
                        .map(|_| 2.0 + Distribution::<f64>::sample(&StandardNormal, &mut rng))
                        .collect();
                    let names: Vec<usize> = (0..n).collect();
                    bootstrap_mean(&values, &names, 400, 0.95, repeat, "c")
                        .unwrap()
                        .interval
                        .contains(2.0)
                })
                .count();
            assert!((364..=394).contains(&covered), "{n}: {covered} of 400");
        }
        let one = bootstrap_mean(&[1.0, 2.0], &[3, 3], 50, 0.95, 0, "c").unwrap();
        assert!(one.interval.lo.is_nan());
    }
}
