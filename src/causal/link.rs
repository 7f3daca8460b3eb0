//! Link: do states that moved further inside also behave further?
//!
//! The condition is the unit: seeds of one condition are averaged first, since they share their
//! training text. The correlation of condition means has a permutation p over conditions (all
//! arrangements up to eight conditions, else drawn ones) and is recomputed without each condition
//! in turn. A correlation over all states is given beside it and carries no p.

use super::warning::{FEWEST_CONDITIONS, WORTH_CARRYING};
use super::{CausalError, Result, Warning};
use crate::stats::bootstrap::grouped;
use crate::stats::interval::fisher;
use crate::stats::moments::{mean, squares};
use crate::stats::rank::{pearson, spearman};
use crate::stats::rng::stream;
use crate::stats::Interval;
use rand::seq::SliceRandom;

/// One model state.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name of the state.
    pub state: String,
    /// Condition that it was trained on; its seeds share it.
    pub condition: String,
    /// Behaviour shift, nats a token.
    pub behaviour: f64,
    /// What moved inside.
    pub predictor: f64,
}

/// How one predictor goes with behaviour.
#[derive(Debug, Clone)]
pub struct Link {
    /// Pearson correlation of condition means.
    pub r: f64,
    /// Its 95 % interval over conditions; undefined of three.
    pub interval: Interval,
    /// Spearman correlation of the same.
    pub rho: f64,
    /// Behaviour a unit of the predictor, least squares over condition means.
    pub slope: f64,
    /// Chance of an |r| as large when conditions are rearranged.
    pub p: f64,
    /// Arrangements behind p.
    pub permutations: usize,
    /// Whether they are all that there are.
    pub exact: bool,
    /// Conditions: the unit of p.
    pub n_conditions: usize,
    /// Correlation over states, seeds not averaged; descriptive.
    pub r_states: f64,
    /// States behind `r_states`.
    pub n_states: usize,
    /// r without each condition.
    pub without: Vec<(String, f64)>,
    /// Doubts about the correlation.
    pub warnings: Vec<Warning>,
}

/// Arrangements up to which all are made: those of eight.
const ALL_OF: usize = 40_320;

/// Rounding below which two correlations count as equal.
pub(super) const TIE: f64 = 1e-12;

/// Condition means of a value, in order of first appearance.
pub fn condition_means(points: &[Point], value: impl Fn(&Point) -> f64) -> Vec<(String, f64)> {
    let by_condition = grouped(points.iter().map(|p| (p.condition.clone(), value(p))));
    by_condition.into_iter().map(|(c, values)| (c, mean(&values))).collect()
}

/// Correlates a predictor, called `name`, with behaviour over conditions.
///
/// # Errors
/// `Empty` below 3 conditions; `NotFinite`.
pub fn link(name: &str, points: &[Point], draws: usize, seed: u64) -> Result<Link> {
    let known = |p: &Point| p.behaviour.is_finite() && p.predictor.is_finite();
    if let Some(p) = points.iter().find(|p| !known(p)) {
        return Err(CausalError::NotFinite {
            what: format!("state `{}`: {name} or the behaviour", p.state),
        });
    }
    let means = condition_means(points, |p| p.predictor);
    let n = means.len();
    if n < 3 {
        return Err(CausalError::Empty("a link needs the shifts of at least 3 conditions"));
    }
    let (conditions, x): (Vec<String>, Vec<f64>) = means.into_iter().unzip();
    let behaviour = condition_means(points, |p| p.behaviour);
    let behaviour: Vec<f64> = behaviour.into_iter().map(|b| b.1).collect();
    let (orders, exact) = arrangements(n, draws, seed, "link");
    let r = pearson(&x, &behaviour);
    let as_large = |moved: &[f64]| pearson(&x, moved).abs() >= r.abs() - TIE;
    let without: Vec<(String, f64)> = (conditions.into_iter().enumerate())
        .map(|(i, c)| (c, pearson(&less(&x, i), &less(&behaviour, i))))
        .collect();
    let mut warnings = Vec::new();
    if n < FEWEST_CONDITIONS {
        warnings.push(Warning::FewConditions { n });
    }
    // Signed so that losing half of it and changing its sign are one comparison.
    let kept = |w: &f64| w * r.signum();
    let weakest = (without.iter()).min_by(|a, b| kept(&a.1).total_cmp(&kept(&b.1)));
    let carries = |w: &&(String, f64)| r.abs() >= WORTH_CARRYING && kept(&w.1) < r.abs() / 2.0;
    if let Some((condition, left)) = weakest.filter(carries) {
        warnings.push(Warning::OneConditionCarries {
            predictor: name.into(),
            condition: condition.clone(),
            with: r,
            without: *left,
        });
    }
    let all: (Vec<f64>, Vec<f64>) = points.iter().map(|p| (p.predictor, p.behaviour)).unzip();
    Ok(Link {
        r,
        interval: fisher(r, n, 0.95),
        rho: spearman(&x, &behaviour),
        slope: r * spread(&behaviour) / spread(&x),
        p: match r.is_nan() {
            true => f64::NAN,
            false => share(&orders, &behaviour, exact, as_large),
        },
        permutations: orders.len(),
        exact,
        n_conditions: n,
        r_states: pearson(&all.0, &all.1),
        n_states: points.len(),
        without,
        warnings,
    })
}

/// p of each predictor's |r| by max-T: among the largest |r| of all predictors in each arrangement of the
/// conditions, which they share. NaN for a predictor that lacks a condition that another has, or has no r.
pub fn adjusted(predictors: &[Vec<Point>], draws: usize, seed: u64) -> Vec<f64> {
    let means = |points: &Vec<Point>| {
        let x = condition_means(points, |p| p.predictor);
        let (conditions, x): (Vec<String>, Vec<f64>) = x.into_iter().unzip();
        let y = condition_means(points, |p| p.behaviour).into_iter().map(|b| b.1).collect();
        (conditions, x, y)
    };
    let each: Vec<(Vec<String>, Vec<f64>, Vec<f64>)> = predictors.iter().map(means).collect();
    let all = each.iter().map(|e| &e.0).max_by_key(|c| c.len()).cloned().unwrap_or_default();
    let (orders, exact) = arrangements(all.len(), draws, seed, "link");
    let observed: Vec<f64> = (each.iter())
        .map(|(conditions, x, y)| match *conditions == all {
            true => pearson(x, y).abs(),
            false => f64::NAN,
        })
        .collect();
    let largest = |order: &Vec<usize>| {
        let moved = |y: &[f64]| order.iter().map(|&i| y[i]).collect::<Vec<f64>>();
        let known = each.iter().zip(&observed).filter(|(_, r)| !r.is_nan());
        known.map(|((_, x, y), _)| pearson(x, &moved(y)).abs()).fold(0.0, f64::max)
    };
    let null: Vec<f64> = orders.iter().map(largest).collect();
    let one = usize::from(!exact);
    let p = |r: &f64| match r.is_nan() {
        true => f64::NAN,
        false => {
            let b = null.iter().filter(|n| **n >= r - TIE).count();
            (b + one) as f64 / (null.len() + one) as f64
        }
    };
    observed.iter().map(p).collect()
}

/// p of the arrangements of `values` that are at least as extreme: with all of them the identity is among them;
/// with drawn ones the observed arrangement counts as one more.
pub(super) fn share(
    orders: &[Vec<usize>],
    values: &[f64],
    exact: bool,
    as_extreme: impl Fn(&[f64]) -> bool,
) -> f64 {
    let moved = |order: &Vec<usize>| order.iter().map(|&i| values[i]).collect::<Vec<f64>>();
    let b = orders.iter().filter(|order| as_extreme(&moved(order))).count();
    let one = usize::from(!exact);
    (b + one) as f64 / (orders.len() + one) as f64
}

fn less(v: &[f64], i: usize) -> Vec<f64> {
    [&v[..i], &v[i + 1..]].concat()
}

fn spread(v: &[f64]) -> f64 {
    squares(v).sqrt()
}

/// All arrangements of `0..n` where they are few enough, else drawn ones; and which of the two.
pub(super) fn arrangements(
    n: usize,
    draws: usize,
    seed: u64,
    purpose: &str,
) -> (Vec<Vec<usize>>, bool) {
    if (2..=n).fold(1, usize::saturating_mul) > ALL_OF {
        let drawn = |i: usize| {
            let mut order: Vec<usize> = (0..n).collect();
            order.shuffle(&mut stream(seed, purpose, i as u64));
            order
        };
        return ((0..draws).map(drawn).collect(), false);
    }
    let mut out = vec![Vec::new()];
    for k in 0..n {
        let place = |order: Vec<usize>| {
            (0..=k).map(move |at| {
                let mut longer = order.clone();
                longer.insert(at, k);
                longer
            })
        };
        out = out.into_iter().flat_map(place).collect();
    }
    (out, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    fn rows(of: &[(&str, f64, f64)]) -> Vec<Point> {
        let row = |(i, (c, x, y)): (usize, &(&str, f64, f64))| Point {
            state: format!("{c}-{i}"),
            condition: c.to_string(),
            behaviour: *y,
            predictor: *x,
        };
        of.iter().enumerate().map(row).collect()
    }

    fn one(rows: &[Point]) -> Link {
        link("shift", rows, 999, 1).unwrap()
    }

    #[test]
    fn the_correlation_is_that_of_condition_means_and_p_counts_all_arrangements() {
        let l = one(&rows(&[
            ("a", 1.0, 2.0),
            ("a", 3.0, 4.0), // mean 2, 3
            ("b", 0.0, 1.0),
            ("c", 4.0, 6.0),
            ("d", 1.0, 0.0),
        ]));
        // x = 2 0 4 1, y = 3 1 6 0: sums of squares 8.75 and 21, of products 12.5.
        let want = 12.5 / (8.75f64 * 21.0).sqrt();
        assert!((l.r - want).abs() < 1e-12, "{}", l.r);
        assert!((l.slope - 12.5 / 8.75).abs() < 1e-12);
        assert_eq!((l.n_conditions, l.n_states, l.permutations), (4, 5, 24));
        let (x, y) = ([2.0, 0.0, 4.0, 1.0], [3.0, 1.0, 6.0, 0.0]);
        let mut b = 0;
        for i in 0..4 {
            for j in (0..4).filter(|j| *j != i) {
                for k in (0..4).filter(|k| ![i, j].contains(k)) {
                    let m = 6 - i - j - k;
                    let moved = [y[i], y[j], y[k], y[m]];
                    b += usize::from(pearson(&x, &moved).abs() >= l.r - 1e-12);
                }
            }
        }
        assert_eq!(l.p, b as f64 / 24.0);
        assert!(l.exact && l.p >= 1.0 / 24.0);
        let three = one(&rows(&[("a", 1.0, 2.0), ("b", 0.0, 1.0), ("c", 4.0, 6.0)]));
        assert!(three.warnings.contains(&Warning::FewConditions { n: 3 }));
    }

    #[test]
    fn p_is_uniform_without_a_link_and_seeds_of_a_condition_do_not_help() {
        let run = |repeat: u64| {
            let mut rng = stream(12, "link-test", repeat);
            let mut normal = || Distribution::<f64>::sample(&StandardNormal, &mut rng);
            let mut all = Vec::new();
            for c in ["a", "b", "c", "d", "e", "f"] {
                let (x, y) = (normal(), normal());
                // Five seeds that share their condition's value: a test by states would see 30 points.
                all.extend((0..5).map(|_| (c, x + 0.01 * normal(), y + 0.01 * normal())));
            }
            one(&rows(&all)).p
        };
        let mut p: Vec<f64> = (0..200).map(run).collect();
        p.sort_by(f64::total_cmp);
        let small = p.iter().filter(|p| **p < 0.05).count();
        assert!(small <= 20, "{small} of 200 below .05");
        let gap = p.iter().enumerate();
        let ks = gap.map(|(i, p)| (p - (i as f64 + 0.5) / 200.0).abs());
        assert!(ks.fold(0.0, f64::max) < 1.63 / 200f64.sqrt());
    }

    #[test]
    fn the_best_of_many_predictors_is_held_to_the_best_of_every_arrangement() {
        let y = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let names = ["a", "b", "c", "d", "e", "f"];
        let of = |x: &[f64]| -> Vec<Point> {
            let all: Vec<_> = x.iter().zip(y).zip(names).map(|((x, y), c)| (c, *x, y)).collect();
            rows(&all)
        };
        let straight = of(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let mut rng = stream(3, "link-max", 0);
        let mut noise =
            || -> Vec<f64> { (0..6).map(|_| StandardNormal.sample(&mut rng)).collect() };
        let mut all = vec![straight.clone()];
        all.extend((0..20).map(|_| of(&noise())));
        all.push(straight[..4].to_vec());
        let p = adjusted(&all, 99, 1);
        // Alone only the arrangement itself and its mirror image are as good.
        assert_eq!(adjusted(&all[..1], 99, 1), [2.0 / 720.0]);
        assert!(p[0] >= 2.0 / 720.0 && p[0] < 0.05, "{}", p[0]);
        assert!(p[1..21].iter().all(|p| *p > 0.05) && p[21].is_nan());
    }

    #[test]
    fn one_condition_that_carries_the_correlation_is_named() {
        let l = one(&rows(&[
            ("a", 0.1, 0.2),
            ("b", 0.2, 0.1),
            ("c", 0.15, 0.16),
            ("d", 0.12, 0.11),
            ("far", 5.0, 5.0),
        ]));
        assert!(l.r > 0.99);
        let carried = |w: &Warning| matches!(w, Warning::OneConditionCarries { condition, .. } if condition == "far");
        assert!(l.warnings.iter().any(carried), "{:?}", l.warnings);
        assert_eq!(l.without.len(), 5);
    }

    #[test]
    fn many_conditions_are_permuted_by_drawing() {
        let of: Vec<(String, f64)> = (0..9).map(|i| (format!("c{i}"), i as f64)).collect();
        let of: Vec<(&str, f64, f64)> = of.iter().map(|(c, v)| (c.as_str(), *v, v * v)).collect();
        let l = one(&rows(&of));
        assert!(!l.exact && l.permutations == 999);
        assert_eq!(l.p, 1.0 / 1000.0);
        assert!(link("shift", &rows(&of[..2]), 9, 1).is_err());
    }
}
