//! Intervals: from resamples, and for rates.
//!
//! [`Interval`] is the one type for a range with two ends. [`percentile`] takes
//! it from bootstrap draws; [`wilson`] and [`newcombe`] give closed-form
//! intervals of a rate and of a difference of two rates, which stay sensible
//! at 0 and 1 and at small n, where the textbook normal interval does not.
//! Levels are given as coverage, 0.95 for 95 %.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF, Normal, StudentsT};

/// A range with two ends, in the units of the quantity. NaN where undefined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Interval {
    /// An interval that says nothing.
    pub const UNDEFINED: Interval = Interval { lo: f64::NAN, hi: f64::NAN };

    /// The interval that reaches as far either way.
    pub fn around(value: f64, reach: f64) -> Self {
        Interval { lo: value - reach, hi: value + reach }
    }

    /// The interval of what an increasing function makes of a value.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Interval { lo: f(self.lo), hi: f(self.hi) }
    }

    /// The part within `least` to `most`.
    pub fn within(self, least: f64, most: f64) -> Self {
        Interval { lo: self.lo.max(least), hi: self.hi.min(most) }
    }

    /// Whether `value` lies inside, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// Upper end less lower end.
    pub fn width(&self) -> f64 {
        self.hi - self.lo
    }
}

/// Central percentile interval of `draws` (order is changed); NaN draws are left out.
///
/// Quantiles interpolate linearly between order statistics (Hyndman and Fan
/// 1996, type 7). Undefined when no draw is finite or infinite.
pub fn percentile(draws: &mut Vec<f64>, level: f64) -> Interval {
    draws.retain(|x| !x.is_nan());
    if draws.is_empty() {
        return Interval::UNDEFINED;
    }
    let tail = (1.0 - level) / 2.0;
    Interval { lo: quantile(draws, tail), hi: quantile(draws, 1.0 - tail) }
}

/// Percentile interval of a value from its `draws` over `clusters` clusters, widened for few of them
/// ([`few_clusters`]).
pub fn widened(
    value: f64,
    draws: impl Iterator<Item = f64>,
    clusters: usize,
    level: f64,
) -> Interval {
    let widening = few_clusters(clusters, level);
    percentile(&mut draws.map(|d| value + widening * (d - value)).collect(), level)
}

/// The `q` quantile of non-empty `values` free of NaN, by selection (order is changed).
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    let place = q.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let share = place - place.floor();
    let (_, &mut at, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    if share == 0.0 {
        return at;
    }
    let next = above.iter().copied().fold(f64::INFINITY, f64::min);
    at + share * (next - at)
}

/// Factor by which a bootstrap's deviations are widened for few clusters:
/// t quantile over normal quantile, times sqrt(C / (C - 1)) (Hesterberg 2015,
/// the expanded percentile interval). 1.03 for 60 clusters, 1.10 for 20; NaN below 2.
pub fn few_clusters(clusters: usize, level: f64) -> f64 {
    few_clusters_pooled(clusters, clusters.saturating_sub(1), level)
}

/// As [`few_clusters`], of one of several groups of clusters whose spread is pooled: `free` degrees of
/// freedom in all.
pub fn few_clusters_pooled(clusters: usize, free: usize, level: f64) -> f64 {
    let n = clusters as f64;
    match StudentsT::new(0.0, 1.0, free as f64) {
        Ok(t) if clusters > 1 => {
            let upper = 0.5 + level / 2.0;
            t.inverse_cdf(upper) / normal_quantile(upper) * (n / (n - 1.0)).sqrt()
        }
        _ => f64::NAN,
    }
}

/// Wilson score interval of a rate of `successes` in `n` trials (Wilson 1927).
///
/// Undefined for `n = 0`.
pub fn wilson(successes: u64, n: u64, level: f64) -> Interval {
    if n == 0 {
        return Interval::UNDEFINED;
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let (k, n) = (successes as f64, n as f64);
    let p = k / n;
    let centre = 2.0 * k + z * z;
    let spread = z * (z * z + 4.0 * k * (1.0 - p)).sqrt();
    let scale = 2.0 * (n + z * z);
    Interval { lo: ((centre - spread) / scale).max(0.0), hi: ((centre + spread) / scale).min(1.0) }
}

/// Interval of the difference of two independent rates, first less second
/// (Newcombe 1998, method 10: Wilson intervals combined).
pub fn newcombe(first: (u64, u64), second: (u64, u64), level: f64) -> Interval {
    let rate = |(k, n): (u64, u64)| (k as f64 / n as f64, wilson(k, n, level));
    difference(rate(first), rate(second))
}

/// Interval of the first estimate less the second, each with an interval of one level, where their errors
/// are independent: the reach either way is the root of the squared reaches of the two (square-and-add,
/// Newcombe 1998; Zou and Donner 2008), so that an interval may be longer on one side. NaN where an end is.
pub fn difference((a, of_a): (f64, Interval), (b, of_b): (f64, Interval)) -> Interval {
    Interval {
        lo: a - b - (a - of_a.lo).hypot(of_b.hi - b),
        hi: a - b + (of_a.hi - a).hypot(b - of_b.lo),
    }
}

/// The same where the errors may have anything in common: the reaches add up. Of normal errors it holds at
/// least its level, since the standard error of a difference is at most the sum of the two.
pub fn difference_of_any(first: Interval, second: Interval) -> Interval {
    Interval { lo: first.lo - second.hi, hi: first.hi - second.lo }
}

/// Pooled two-proportion z and its two-sided p; NaN when both rates are 0 or both 1.
pub fn two_proportion_z(first: (u64, u64), second: (u64, u64)) -> (f64, f64) {
    let (k, n) = (first.0 as f64, first.1 as f64);
    let (j, m) = (second.0 as f64, second.1 as f64);
    let pooled = (k + j) / (n + m);
    let z = (k / n - j / m) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    (z, normal_two_sided(z))
}

/// Interval of a correlation over `n` independent units, by its inverse hyperbolic tangent, which is nearly
/// normal with variance 1 / (n - 3) (Fisher 1921).
///
/// Undefined below 4 units and without a correlation.
pub fn fisher(r: f64, n: usize, level: f64) -> Interval {
    if n < 4 || r.is_nan() {
        return Interval::UNDEFINED;
    }
    let reach = normal_quantile(0.5 + level / 2.0) / (n as f64 - 3.0).sqrt();
    let z = r.clamp(-1.0, 1.0).atanh();
    Interval { lo: (z - reach).tanh(), hi: (z + reach).tanh() }
}

/// Value that the |cosine| of two isotropic random directions in `d` dimensions stays below
/// with chance `level`: cos^2 is Beta(1/2, (d - 1)/2). NaN below 2 dimensions.
pub fn isotropic_cosine(d: usize, level: f64) -> f64 {
    let squared = Beta::new(0.5, (d as f64 - 1.0) / 2.0);
    squared.map_or(f64::NAN, |beta| beta.inverse_cdf(level).sqrt())
}

/// The `p` quantile of a standard normal value.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// Two-sided p of a standard normal value.
pub(super) fn normal_two_sided(z: f64) -> f64 {
    2.0 * Normal::standard().sf(z.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    #[test]
    fn wilson_matches_the_published_examples() {
        // Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        for (k, n, lo, hi) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let got = wilson(k, n, 0.95);
            assert_abs_diff_eq!(got.lo, lo, epsilon = 5e-5);
            assert_abs_diff_eq!(got.hi, hi, epsilon = 5e-5);
        }
    }

    #[test]
    fn newcombe_matches_the_published_example() {
        let got = newcombe((56, 70), (48, 80), 0.95);
        assert_abs_diff_eq!(got.lo, 0.0524, epsilon = 5e-5);
        assert_abs_diff_eq!(got.hi, 0.3339, epsilon = 5e-5);
    }

    /// Shares of 4,000 repeats in which the truth, 0.3, lies within the interval for independent errors and
    /// within that for any, of two estimates whose errors have the standard deviations 1 and .5.
    fn covered(correlation: f64) -> (f64, f64) {
        use rand_distr::{Distribution, StandardNormal};
        let (mut independent, mut any) = (0, 0);
        let z = normal_quantile(0.975);
        for repeat in 0..4000 {
            let mut rng = crate::stats::rng::stream(repeat, "difference", 0);
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            let (x, y) = (normal(), normal());
            let second = correlation * x + (1.0 - correlation * correlation).sqrt() * y;
            let (a, b) = (1.3 + x, 1.0 + 0.5 * second);
            let (of_a, of_b) = (Interval::around(a, z), Interval::around(b, 0.5 * z));
            independent += usize::from(difference((a, of_a), (b, of_b)).contains(0.3));
            any += usize::from(difference_of_any(of_a, of_b).contains(0.3));
        }
        (independent as f64 / 4000.0, any as f64 / 4000.0)
    }

    #[test]
    fn a_difference_holds_its_level_if_independent_and_the_wider_one_whatever_is_shared() {
        let (independent, any) = covered(0.0);
        assert!((0.94..=0.96).contains(&independent) && any > 0.98, "{independent} {any}");
        // Errors that go the same way make it too wide, opposite ones too narrow.
        let (independent, any) = covered(0.8);
        assert!(independent > 0.98 && any > 0.98, "{independent} {any}");
        let (independent, any) = covered(-1.0);
        assert!(independent < 0.93 && (0.94..=0.96).contains(&any), "{independent} {any}");
    }

    #[test]
    fn a_difference_of_skewed_intervals_is_skewed_and_of_none_is_none() {
        let of = |lo, hi| Interval { lo, hi };
        let got = difference((0.5, of(0.2, 0.6)), (0.1, of(0.0, 0.5)));
        assert_abs_diff_eq!(got.lo, 0.4 - 0.5, epsilon = 1e-12); // sqrt(.3^2 + .4^2)
        assert_abs_diff_eq!(got.hi, 0.4 + 0.02f64.sqrt(), epsilon = 1e-12);
        assert!(difference((0.5, of(0.2, 0.6)), (0.1, Interval::UNDEFINED)).lo.is_nan());
        assert_eq!(difference_of_any(of(1.0, 2.0), of(0.5, 0.75)), of(0.25, 1.5));
    }

    #[test]
    fn fishers_interval_is_that_of_the_textbook_and_none_of_three_units() {
        // r = .5 of 28 units: atanh .5493, reach 1.96 / 5.
        let got = fisher(0.5, 28, 0.95);
        assert_abs_diff_eq!(got.lo, (0.549306f64 - 0.391993).tanh(), epsilon = 1e-6);
        assert_abs_diff_eq!(got.hi, (0.549306f64 + 0.391993).tanh(), epsilon = 1e-6);
        assert!(fisher(0.5, 3, 0.95).lo.is_nan() && fisher(f64::NAN, 9, 0.95).hi.is_nan());
        // Rounding may carry a correlation beyond 1.
        assert_eq!(fisher(1.0 + f64::EPSILON, 9, 0.95), Interval { lo: 1.0, hi: 1.0 });
    }

    #[test]
    fn few_clusters_widen_by_the_tabled_t_quantile() {
        // t.975 with 19 degrees of freedom is 2.0930.
        let want = 2.0930 / 1.95996 * (20f64 / 19.0).sqrt();
        assert_abs_diff_eq!(few_clusters(20, 0.95), want, epsilon = 1e-4);
        assert!(few_clusters(1, 0.95).is_nan());
        let pooled = 2.7764 / 1.95996 * 1.5f64.sqrt();
        assert_abs_diff_eq!(few_clusters_pooled(3, 4, 0.95), pooled, epsilon = 1e-4);
        assert!(few_clusters(2000, 0.95) < 1.002);
    }

    #[test]
    fn isotropic_cosines_are_those_of_angles_in_the_plane_and_of_a_normal_in_many_dimensions() {
        // In the plane the angle is uniform: P(|cos| < c) = 1 - 2 acos(c) / pi.
        let want = (std::f64::consts::PI * 0.05 / 2.0).cos();
        assert_abs_diff_eq!(isotropic_cosine(2, 0.95), want, epsilon = 1e-6);
        let wide = isotropic_cosine(576, 0.95);
        assert_abs_diff_eq!(wide, 1.95996 / 576f64.sqrt(), epsilon = 2e-4);
    }

    #[test]
    fn equal_rates_have_no_z() {
        let (z, p) = two_proportion_z((10, 40), (25, 100));
        assert_abs_diff_eq!(z, 0.0, epsilon = 1e-12);
        assert_abs_diff_eq!(p, 1.0, epsilon = 1e-9);
        assert!(two_proportion_z((0, 5), (0, 5)).0.is_nan());
    }

    proptest! {
        #[test]
        fn selection_gives_the_quantile_that_sorting_gives(
            values in prop::collection::vec(-1e3f64..1e3, 1..200), q in 0.0f64..1.0
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let place = q * (sorted.len() - 1) as f64;
            let (i, f) = (place.floor() as usize, place.fract());
            let want = if f == 0.0 { sorted[i] } else { sorted[i] * (1.0 - f) + sorted[i + 1] * f };
            prop_assert!((quantile(&mut values.clone(), q) - want).abs() < 1e-9);
        }

        #[test]
        fn wilson_holds_the_observed_rate(n in 1u64..500, share in 0.0f64..1.0) {
            let k = (share * n as f64).round() as u64;
            let got = wilson(k, n, 0.95);
            let rate = k as f64 / n as f64;
            prop_assert!(got.lo <= rate + 1e-12 && rate <= got.hi + 1e-12);
            prop_assert!(got.lo >= 0.0 && got.hi <= 1.0);
        }
    }
}
