//! Verdicts: the words that numbers allow.
//!
//! Arithmetic alone; findings apply it to records. "Higher", "lower" and "moves" come only from a p that
//! is adjusted for all tests of its quantity. A test that could not have reached .05 whatever the texts
//! had said is not testable, which is no result. Nothing is called absent but within bounds that were
//! fixed beforehand: all else is not shown, and not excluded.

use crate::stats::interval::normal_quantile;
use crate::stats::Interval;

/// Level of every test.
pub const LEVEL: f64 = 0.05;
/// Chance with which an effect that is called detectable is found.
const POWER: f64 = 0.8;
/// Bounds of equivalence where a file has none: of a cosine, and of a preference in nats a token.
pub const BOUND: f64 = 0.05;

/// The word of a test that found more than none.
pub const HIGHER: &str = "higher";
/// The word of a test that found less.
pub const LOWER: &str = "lower";
/// The word of what lies within the bounds.
pub const EQUIVALENT: &str = "equivalent";
/// The word of what is neither shown nor excluded.
pub const NONE: &str = "none";
/// The word of a test that could not have found anything.
pub const UNTESTABLE: &str = "not testable";

/// A test, and what it could have given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// p, adjusted for all tests of its family; NaN where none was made.
    pub p: f64,
    /// Least that it could have been; NaN where there is no bound.
    pub least: f64,
}

/// The word of a test; empty where none was made.
pub fn word(estimate: f64, test: Test) -> &'static str {
    match test.p {
        p if p.is_nan() => "",
        _ if test.least > LEVEL => UNTESTABLE,
        p if p > LEVEL => NONE,
        _ if estimate < 0.0 => LOWER,
        _ => HIGHER,
    }
}

/// Whether an interval lies within bounds on either side of 0.
pub fn is_within(interval: Interval, bound: f64) -> bool {
    -bound < interval.lo && interval.hi < bound
}

/// Whether an edit is shown to remove less than a third of a total, either way; `thirds` are the
/// intervals of removed less and plus a third of the total. Never where the total may be 0.
pub fn carries_little(total: Interval, thirds: [Interval; 2]) -> bool {
    let [less, plus] = thirds;
    match side(total) {
        Side::Above => side(less) == Side::Below && side(plus) == Side::Above,
        Side::Below => side(less) == Side::Above && side(plus) == Side::Below,
        _ => false,
    }
}

/// Smallest effect that a test shows with a chance of .8, from the width of its 95 % interval.
pub fn detectable(interval: Interval) -> f64 {
    let z = normal_quantile(1.0 - LEVEL / 2.0);
    (z + normal_quantile(POWER)) / z * interval.width() / 2.0
}

/// The same of a correlation over `n` units, by Fisher's transformation; 1 of three, NaN below.
pub fn detectable_correlation(n: usize) -> f64 {
    let reach = normal_quantile(1.0 - LEVEL / 2.0) + normal_quantile(POWER);
    (reach / (n as f64 - 3.0).sqrt()).tanh()
}

/// Least p among `draws` of a null: (1 + 0) / (1 + draws).
pub fn least_of_draws(draws: usize) -> f64 {
    1.0 / (1.0 + draws as f64)
}

/// Least two-sided p of flipped signs over `n` clusters: of 2^n arrangements two are as extreme as one in
/// which all agree.
pub fn least_of_flips(n: usize, draws: usize) -> f64 {
    0.5f64.powi(n as i32 - 1).min(1.0).max(least_of_draws(draws))
}

/// Least q that each test could have in its family, the others being as they are: q as found, or less had
/// its p been the least.
pub fn least_q(p: &[f64], q: &[f64], least: &[f64]) -> Vec<f64> {
    let m = p.iter().filter(|p| !p.is_nan()).count() as f64;
    let one = |(i, least): (usize, &f64)| {
        let others = p.iter().enumerate().filter(|(j, p)| *j != i && *p <= least).count();
        // NaN where the test was not made.
        match q[i].is_nan() {
            true => f64::NAN,
            false => q[i].min(m * least / (1 + others) as f64),
        }
    };
    least.iter().enumerate().map(one).collect()
}

/// What test `i` would be in its family after `adjust`, had its p been the least.
pub fn least_adjusted(p: &[f64], i: usize, least: f64, adjust: fn(&[f64]) -> Vec<f64>) -> f64 {
    let mut p = p.to_vec();
    if !p[i].is_nan() {
        p[i] = p[i].min(least);
    }
    adjust(&p)[i]
}

/// Where an interval lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above 0.
    Above,
    /// Below 0.
    Below,
    /// On both sides of it.
    Both,
    /// It does not exist.
    Unknown,
}

/// On which side of 0 an interval lies.
pub fn side(interval: Interval) -> Side {
    match interval {
        Interval { lo, .. } if lo > 0.0 => Side::Above,
        Interval { hi, .. } if hi < 0.0 => Side::Below,
        Interval { lo, hi } if lo.is_nan() || hi.is_nan() => Side::Unknown,
        _ => Side::Both,
    }
}

/// Which side of a difference moved, from the intervals of a condition and of its reference, each less
/// base and less the recipe-matched neutral. A condition moved where both lie on one side of 0: what lies
/// above base alone may be the recipe, above the neutral alone the neutral's own movement.
pub fn moved(set: [Interval; 2], reference: [Interval; 2]) -> &'static str {
    match (set.map(side), reference.map(side)) {
        ([Side::Above, Side::Above], _) => "towards",
        ([Side::Below, Side::Below], _) => "away",
        (_, [Side::Below, Side::Below]) => "reference away",
        (_, [Side::Above, Side::Above]) => "reference towards",
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::corrections::holm;

    fn interval(lo: f64, hi: f64) -> Interval {
        Interval { lo, hi }
    }

    #[test]
    fn each_word_comes_from_the_adjusted_p_and_what_it_could_have_been() {
        let test = |p: f64, least: f64| Test { p, least };
        assert_eq!(word(0.2, test(0.01, 0.001)), HIGHER);
        assert_eq!(word(-0.2, test(0.05, 0.05)), LOWER);
        assert_eq!(word(-0.2, test(0.28, 0.001)), NONE);
        assert_eq!(word(0.9, test(0.25, 0.25)), UNTESTABLE);
        assert_eq!(word(0.9, test(f64::NAN, 0.001)), "");
    }

    #[test]
    fn only_a_whole_interval_within_the_bounds_is_equivalent() {
        assert!(is_within(interval(-0.04, 0.03), 0.05));
        assert!(!is_within(interval(-0.04, 0.06), 0.05));
        assert!(!is_within(Interval::UNDEFINED, 0.05));
    }

    #[test]
    fn an_edit_carries_little_only_of_a_total_that_is_there() {
        let total = interval(0.2, 0.4); // about .3, a third .1
        let little = [interval(-0.15, -0.02), interval(0.03, 0.16)];
        let much = [interval(-0.03, 0.2), interval(0.15, 0.4)];
        assert!(carries_little(total, little));
        assert!(!carries_little(total, much));
        assert!(!carries_little(interval(-0.1, 0.4), little));
        // Of a shift downwards the two change places.
        let [less, plus] = little;
        assert!(carries_little(interval(-0.4, -0.2), [plus, less]));
        assert!(!carries_little(interval(-0.4, -0.2), little));
    }

    #[test]
    fn few_units_have_a_least_p_and_a_detectable_effect() {
        assert_eq!(least_of_flips(3, 2000), 0.25);
        assert_eq!(least_of_flips(40, 2000), 1.0 / 2001.0);
        assert_eq!(least_of_draws(19), 0.05);
        // (1.96 + .84) / 1.96 of the half width.
        assert!((detectable(interval(-0.1, 0.1)) - 0.14294).abs() < 1e-4);
        assert!((detectable_correlation(7) - 0.8852).abs() < 1e-3);
        assert!(detectable_correlation(3) == 1.0 && detectable_correlation(2).is_nan());
    }

    #[test]
    fn a_test_alone_in_a_large_family_needs_a_smaller_p() {
        let mut p = vec![0.4; 20];
        p[3] = f64::NAN;
        let least = vec![0.004; 20];
        let q = crate::stats::corrections::benjamini_hochberg(&p);
        let found = least_q(&p, &q, &least);
        assert!((found[0] - 19.0 * 0.004).abs() < 1e-12 && found[3].is_nan());
        // Beside four others that are as small it takes a fifth of that.
        p[4..8].fill(0.004);
        let q = crate::stats::corrections::benjamini_hochberg(&p);
        assert!((least_q(&p, &q, &least)[0] - 19.0 * 0.004 / 5.0).abs() < 1e-12);
        assert_eq!(least_adjusted(&[0.5, 0.6, 0.7], 2, 0.05, holm), 0.15000000000000002);
    }

    #[test]
    fn the_side_that_moved_is_the_one_that_left_base_and_the_neutral() {
        let (up, down, both) = (interval(0.1, 0.3), interval(-0.3, -0.1), interval(-0.1, 0.1));
        assert_eq!(moved([up, up], [both, both]), "towards");
        assert_eq!(moved([down, down], [both, both]), "away");
        assert_eq!(moved([both, down], [down, down]), "reference away");
        assert_eq!(moved([both, both], [up, up]), "reference towards");
        // Above base alone: the recipe may have done it.
        assert_eq!(moved([up, both], [both, both]), NONE);
        assert_eq!(moved([up, Interval::UNDEFINED], [both, down]), NONE);
    }
}
