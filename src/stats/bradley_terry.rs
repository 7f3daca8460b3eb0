//! Utilities from choices between two (Bradley and Terry 1952).
//!
//! The log-odds of choosing i over j is u_i - u_j. A pair comes with the log-odds of its choice, that is
//! with a share of infinitely many choices rather than with one, and the fit is that of maximum likelihood
//! on the shares, with a small ridge on the utilities: it keeps finite what is always chosen, sets the
//! mean of all utilities to 0, and holds at 0 what was in no pair. Newton's method ends at the optimum
//! itself, since the loss is convex.

use super::error::{finite, same_length};
use super::linalg::{cholesky, solve_lower, solve_lower_transposed};
use super::{Result, StatsError};
use ndarray::{Array1, Array2, Axis};

/// Most Newton steps; from zero about six are needed.
const STEPS: usize = 100;

/// A choice between two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// One of them.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Log-odds of choosing the first, in nats.
    pub log_odds: f64,
}

/// Utilities `(n)` in nats, of mean 0: the minimum of `sum w (ln(1 + e^eta) - s eta) + ridge / 2 |u|^2`,
/// eta = u_first - u_second, s the share that `log_odds` stands for, w the weight of each pair.
///
/// # Errors
/// Log-odds that are not finite; numbers of pairs and weights that differ; a ridge that is not positive.
pub fn bradley_terry(
    n: usize,
    pairs: &[Compared],
    weights: &[f64],
    ridge: f64,
) -> Result<Array1<f64>> {
    same_length("pairs and their weights", pairs.len(), weights.len())?;
    finite("log-odds of choices", &pairs.iter().map(|p| p.log_odds).collect::<Vec<_>>())?;
    let share = |x: f64| 1.0 / (1.0 + (-x).exp());
    let shares: Vec<f64> = pairs.iter().map(|p| share(p.log_odds)).collect();
    let each = || pairs.iter().zip(&shares).zip(weights).map(|((p, s), w)| (p, *s, *w));
    let loss = |u: &Array1<f64>| {
        let of = |(p, s, w): (&Compared, f64, f64)| {
            let eta = u[p.first] - u[p.second];
            w * (eta.max(0.0) + (-eta.abs()).exp().ln_1p() - s * eta)
        };
        each().map(of).sum::<f64>() + 0.5 * ridge * u.dot(u)
    };
    let mut u = Array1::<f64>::zeros(n);
    let mut value = loss(&u);
    for _ in 0..STEPS {
        let mut gradient = &u * ridge; // (n)
        let mut curvature = Array2::<f64>::eye(n) * ridge; // (n, n)
        for (p, s, w) in each() {
            let chosen = share(u[p.first] - u[p.second]);
            let (slope, bend) = (w * (chosen - s), w * chosen * (1.0 - chosen));
            gradient[p.first] += slope;
            gradient[p.second] -= slope;
            for (a, b, sign) in [
                (p.first, p.first, 1.0),
                (p.second, p.second, 1.0),
                (p.first, p.second, -1.0),
                (p.second, p.first, -1.0),
            ] {
                curvature[[a, b]] += sign * bend;
            }
        }
        let root = cholesky(curvature.view())?;
        let mut step = gradient.insert_axis(Axis(1)); // (n, 1)
        solve_lower(root.view(), &mut step);
        solve_lower_transposed(root.view(), &mut step);
        let step = step.remove_axis(Axis(1));
        let length = step.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let mut part = 1.0;
        loop {
            let next = &u - &(&step * part);
            let next_value = loss(&next);
            // Near the optimum the loss is flat to rounding, and a full step is right.
            if next_value <= value + 1e-12 * value.abs() || part < 1e-9 {
                (u, value) = (next, next_value);
                break;
            }
            part *= 0.5;
        }
        // Quadratic convergence: after a step this small the error is near rounding.
        if part == 1.0 && length <= 1e-8 {
            return Ok(u);
        }
    }
    Err(StatsError::Unsettled { what: "the fit of utilities", steps: STEPS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    fn pair(first: usize, second: usize, log_odds: f64) -> Compared {
        Compared { first, second, log_odds }
    }

    fn ring(u: &[f64], noise: f64, seed: u64) -> Vec<Compared> {
        let n = u.len();
        let mut rng = stream(seed, "bradley-terry", 0);
        let mut out = Vec::new();
        for apart in 1..=4 {
            for i in 0..n {
                let (j, e) =
                    ((i + apart) % n, Distribution::<f64>::sample(&StandardNormal, &mut rng));
                out.push(pair(i, j, u[i] - u[j] + noise * e));
            }
        }
        out
    }

    #[test]
    fn the_gradient_is_zero_at_the_fit() {
        let planted: Vec<f64> = (0..12).map(|i| (i as f64 - 5.5) / 2.0).collect();
        let pairs = ring(&planted, 1.0, 1);
        let weights: Vec<f64> = (0..pairs.len()).map(|i| (i % 3) as f64).collect();
        for ridge in [1e-6, 0.01, 3.0] {
            let u = bradley_terry(12, &pairs, &weights, ridge).unwrap();
            let mut gradient = &u * ridge;
            for (p, w) in pairs.iter().zip(&weights) {
                let share = |x: f64| 1.0 / (1.0 + (-x).exp());
                let slope = w * (share(u[p.first] - u[p.second]) - share(p.log_odds));
                gradient[p.first] += slope;
                gradient[p.second] -= slope;
            }
            assert!(gradient.iter().all(|g| g.abs() < 1e-9), "{gradient}");
            assert!(u.sum().abs() < 1e-6);
        }
    }

    #[test]
    fn a_tree_has_a_closed_form_and_so_has_one_pair_with_a_ridge() {
        // Of a tree each difference is met by itself.
        let tree = [pair(0, 1, 1.5), pair(2, 1, -0.7), pair(1, 3, 4.0)];
        let u = bradley_terry(4, &tree, &[1.0, 2.0, 0.5], 1e-10).unwrap();
        for p in tree {
            assert!((u[p.first] - u[p.second] - p.log_odds).abs() < 1e-6);
        }
        // Of one pair u = v, -v with tanh(x / 2) / 2 - tanh(v) / 2 = ridge v.
        let u = bradley_terry(2, &[pair(0, 1, 3.0)], &[1.0], 0.2).unwrap();
        assert!((1.5f64.tanh() / 2.0 - u[0].tanh() / 2.0 - 0.2 * u[0]).abs() < 1e-10);
        assert!((u[0] + u[1]).abs() < 1e-12);
    }

    #[test]
    fn exact_differences_give_the_utilities_and_what_was_in_no_pair_has_none() {
        let planted = [1.0, -2.0, 0.5, 0.5, 3.0, -3.0, 0.0];
        let pairs = ring(&planted, 0.0, 2);
        let u = bradley_terry(8, &pairs, &vec![1.0; pairs.len()], 1e-9).unwrap();
        for (got, want) in u.iter().zip(planted) {
            assert!((got - want).abs() < 1e-5, "{u}");
        }
        assert_eq!(u[7], 0.0);
        // Beyond what a share can hold the ridge keeps it finite.
        let far = bradley_terry(2, &[pair(0, 1, 800.0)], &[1.0], 0.01).unwrap();
        assert!(far[0].is_finite() && far[0] > 1.0);
        assert!(bradley_terry(2, &[pair(0, 1, f64::NAN)], &[1.0], 0.01).is_err());
        assert!(bradley_terry(2, &[pair(0, 1, 1.0)], &[1.0], 0.0).is_err());
    }
}
