//! The jackknife: leave one cluster out at a time.
//!
//! For statistics that a bootstrap spoils by drawing a row twice: distances
//! between rows (a row is at distance 0 from its copy), subspaces (copies lower
//! the rank), alignments of Gram matrices. The statistic must be smooth; a
//! median or a count is not. The interval is Student's with one degree of
//! freedom less than there are clusters (Efron and Tibshirani 1993, chapter 11).

use super::interval::Interval;
use super::moments::{mean, squares};
use super::replicates::t_quantile;
use serde::{Deserialize, Serialize};

/// A statistic with what leaving clusters out says about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Jackknifed {
    /// The statistic on all clusters.
    pub value: f64,
    /// Estimated bias: subtract it for the bias-corrected value.
    pub bias: f64,
    /// Standard error.
    pub error: f64,
    /// Interval about the value, not corrected for bias.
    pub interval: Interval,
    /// Clusters.
    pub n: usize,
}

/// Jackknife of a statistic worth `value` on all clusters and `without[i]` when cluster i is
/// left out. Undefined (NaN) below 3 clusters or with a value that is not finite.
pub fn jackknife(value: f64, without: &[f64], level: f64) -> Jackknifed {
    jackknife_groups(value, &[without], level)
}

/// The same where `without(i)` is the statistic with cluster i of `n` left out.
pub fn jackknife_of(
    value: f64,
    n: usize,
    without: impl Fn(usize) -> f64,
    level: f64,
) -> Jackknifed {
    jackknife(value, &(0..n).map(without).collect::<Vec<_>>(), level)
}

/// The same for a statistic of several independent sets of clusters, such as two concepts:
/// variances add, degrees of freedom are those of the smallest set.
pub fn jackknife_groups(value: f64, groups: &[&[f64]], level: f64) -> Jackknifed {
    let (mut variance, mut bias, mut fewest, mut n) = (0.0, 0.0, usize::MAX, 0);
    for group in groups {
        let count = group.len() as f64;
        variance += (count - 1.0) / count * squares(group);
        bias += (count - 1.0) * (mean(group) - value);
        fewest = fewest.min(group.len());
        n += group.len();
    }
    if !(3..usize::MAX).contains(&fewest) {
        return Jackknifed {
            value,
            bias: f64::NAN,
            error: f64::NAN,
            interval: Interval::UNDEFINED,
            n,
        };
    }
    let error = f64::sqrt(variance);
    let reach = t_quantile(fewest as f64 - 1.0, level) * error;
    Jackknifed { value, bias, error, interval: Interval::around(value, reach), n }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn leave_out(values: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        (0..values.len())
            .map(|i| {
                let mut rest = values.to_vec();
                rest.remove(i);
                f(&rest)
            })
            .collect()
    }

    fn mean(v: &[f64]) -> f64 {
        v.iter().sum::<f64>() / v.len() as f64
    }

    #[test]
    fn the_error_of_a_mean_is_the_textbook_one_and_it_has_no_bias() {
        let x = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0];
        let got = jackknife(mean(&x), &leave_out(&x, mean), 0.95);
        let s2 = x.iter().map(|v| (v - mean(&x)).powi(2)).sum::<f64>() / 5.0;
        assert_abs_diff_eq!(got.error, (s2 / 6.0).sqrt(), epsilon = 1e-12);
        assert_abs_diff_eq!(got.bias, 0.0, epsilon = 1e-12);
    }

    #[test]
    fn the_bias_of_the_variance_with_divisor_n_is_found() {
        let x = [1.0, 4.0, 2.0, 8.0, 5.0];
        let divided_by_n =
            |v: &[f64]| v.iter().map(|a| (a - mean(v)).powi(2)).sum::<f64>() / v.len() as f64;
        let got = jackknife(divided_by_n(&x), &leave_out(&x, divided_by_n), 0.95);
        let unbiased = divided_by_n(&x) * 5.0 / 4.0;
        assert_abs_diff_eq!(got.value - got.bias, unbiased, epsilon = 1e-12);
    }

    #[test]
    fn two_clusters_say_nothing() {
        assert!(jackknife(1.0, &[1.0, 2.0], 0.95).interval.lo.is_nan());
        assert!(jackknife(1.0, &[], 0.95).error.is_nan());
    }
}
