//! Means over few independent replicates: the seeds of a fine-tune.
//!
//! Where a claim is about a condition, the seed is the unit of replication and
//! there are three of them, or five. Resampling three values cannot show their
//! spread (a third of it is lost), so intervals here are Student's, and a single
//! replicate has none: its spread is unknown, not zero. Differences are Welch's,
//! so the two sides need neither equal spread nor equal number.

use super::error::{enough, finite, Result};
use super::interval::Interval;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean, or a difference of means, over replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Replicated {
    /// The mean, or the first mean less the second.
    pub value: f64,
    /// Student's interval.
    pub interval: Interval,
    /// Two-sided p of a value of 0.
    pub p: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Replicates of the first side.
    pub n: usize,
    /// Replicates of the second side; 0 for a mean.
    pub n_other: usize,
}

/// Mean of `values`, one a seed. Errors below 2 values.
pub fn mean_over(values: &[f64], level: f64) -> Result<Replicated> {
    let (mean, variance, n) = moments(values)?;
    Ok(student(mean, variance / n, n - 1.0, level, (values.len(), 0)))
}

/// Mean of `first` less mean of `second`, one value a seed (Welch 1947; degrees of
/// freedom by Satterthwaite 1946). Errors below 2 values on either side: compare with
/// a single state, such as base, by [`mean_over`] of the differences from it.
pub fn difference_over(first: &[f64], second: &[f64], level: f64) -> Result<Replicated> {
    let (a, va, n) = moments(first)?;
    let (b, vb, m) = moments(second)?;
    let (va, vb) = (va / n, vb / m);
    let df = (va + vb).powi(2) / (va * va / (n - 1.0) + vb * vb / (m - 1.0));
    Ok(student(a - b, va + vb, df, level, (first.len(), second.len())))
}

/// Quantile of Student's t that leaves `(1 - level) / 2` above it; the normal one for infinite `df`.
pub fn t_quantile(df: f64, level: f64) -> f64 {
    let upper = 0.5 + level / 2.0;
    match StudentsT::new(0.0, 1.0, df) {
        Ok(t) if df.is_finite() => t.inverse_cdf(upper),
        _ => super::interval::normal_quantile(upper),
    }
}

/// Two-sided p of a t statistic; normal for infinite `df`, NaN for a NaN statistic.
pub fn t_p_value(t: f64, df: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, df) {
        _ if t.is_nan() => f64::NAN,
        Ok(student) if df.is_finite() => 2.0 * student.sf(t.abs()),
        _ => super::interval::normal_two_sided(t),
    }
}

fn moments(values: &[f64]) -> Result<(f64, f64, f64)> {
    enough("a mean over seeds with its interval", 2, "seeds", values.len())?;
    finite("the list of values by seed", values)?;
    let (mean, variance) = super::moments::moments(values);
    Ok((mean, variance, values.len() as f64))
}

fn student(value: f64, variance: f64, df: f64, level: f64, n: (usize, usize)) -> Replicated {
    // Equal replicates leave no spread and no degrees of freedom.
    let df = if df.is_nan() { 1.0 } else { df };
    let reach = t_quantile(df, level) * variance.sqrt();
    Replicated {
        value,
        interval: Interval::around(value, reach),
        p: t_p_value(value / variance.sqrt(), df),
        df,
        n: n.0,
        n_other: n.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use approx::assert_abs_diff_eq;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(n: usize, repeat: u64) -> Vec<f64> {
        let mut rng = stream(2, "replicates", repeat);
        (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    #[test]
    fn a_mean_over_three_seeds_uses_the_tabled_t() {
        let got = mean_over(&[1.0, 2.0, 3.0], 0.95).unwrap();
        // t.975 with 2 degrees of freedom is 4.3027, the standard error 1 / sqrt 3.
        assert_abs_diff_eq!(got.interval.hi, 2.0 + 4.3027 / 3f64.sqrt(), epsilon = 1e-4);
        assert_eq!((got.n, got.n_other), (3, 0));
        assert!(mean_over(&[1.0], 0.95).is_err());
    }

    #[test]
    fn intervals_over_three_seeds_cover_at_their_level() {
        let covered = (0..1000)
            .filter(|&i| mean_over(&normal(3, i), 0.95).unwrap().interval.contains(0.0))
            .count();
        // 950 give or take four standard errors of 6.9.
        assert!((922..=978).contains(&covered), "{covered} of 1000");
        let covered = (0..1000)
            .filter(|&i| {
                let second: Vec<f64> = normal(5, i + 5000).iter().map(|v| 3.0 * v).collect();
                let got = difference_over(&normal(4, i), &second, 0.95).unwrap();
                got.interval.contains(0.0)
            })
            .count();
        assert!((922..=978).contains(&covered), "{covered} of 1000");
    }

    #[test]
    fn swapping_the_sides_turns_the_difference() {
        let (a, b) = (normal(4, 1), normal(3, 2));
        let one = difference_over(&a, &b, 0.9).unwrap();
        let two = difference_over(&b, &a, 0.9).unwrap();
        assert_abs_diff_eq!(one.value, -two.value, epsilon = 1e-12);
        assert_abs_diff_eq!(one.interval.lo, -two.interval.hi, epsilon = 1e-12);
        assert_abs_diff_eq!(one.p, two.p, epsilon = 1e-12);
    }
}
